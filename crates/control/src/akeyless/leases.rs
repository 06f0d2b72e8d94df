//! What an administrator sees of all leases, and decides about those that need somebody: a parked one is abandoned, an
//! UNKNOWN one settled, held revocations are let go. Ours: the vendor's API has nothing like it.

use gateward_leases::{
    Asked, Attention, Lease, Listed, OperatorError, Query, Report, ReportError, Settlement, Verdict,
};
use gateward_leases::{Engine, LeaseId};
use gateward_model::{Invalid, ItemName};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::dynamic_secret::engine;
use super::{Answer, ApiError, Call, fields, tmp_creds};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Wanted {
    #[serde(default, deserialize_with = "fields::text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    ask_producers: bool,
    #[serde(default, deserialize_with = "fields::text")]
    list: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    after: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    limit: Option<u64>,
}

/// `/lease-report`: how many leases stand how, and what people must look at.
pub(super) async fn report(call: Call) -> Answer {
    let Wanted { name, ask_producers, list, after, limit } = call.fields()?;
    let producers = match name {
        Some(name) => Asked::One(call.parts.catalog.get(&ItemName::parse(&name)?).await?.id),
        None if ask_producers => Asked::All,
        None => Asked::Nobody,
    };
    let after = match (list, after) {
        // Each name comes after it.
        (Some(list), None) => Some((attention(&list)?, String::new())),
        (Some(list), Some(after)) => Some((attention(&list)?, page(&list, after)?)),
        (None, Some(_)) => {
            return Err(Invalid::new("after", "goes with `list`: of which list the page is").into());
        }
        (None, None) => None,
    };
    let limit = match limit {
        Some(limit @ 1..=MOST) => usize::try_from(limit).ok(),
        Some(_) => return Err(Invalid::new("limit", format!("is a number from 1 to {MOST}")).into()),
        None => None,
    };
    let report = engine(&call.parts)?.report(Query { after, limit, producers }).await?;
    Ok(told(&report).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Abandoned {
    #[serde(default)]
    id: String,
    #[serde(default)]
    reason: String,
}

/// `/lease-abandon`: a parked credential is let be, though it may work.
pub(super) async fn abandon(call: Call) -> Answer {
    let Abandoned { id, reason } = call.fields()?;
    let verdict = verdict(&call, reason)?;
    let (engine, lease) = (engine(&call.parts)?, lease(&id)?);
    engine.abandon(item_of(engine, lease).await?, lease, verdict).await?;
    Ok(json!({"id": lease}).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Settled {
    #[serde(default)]
    id: String,
    #[serde(default)]
    reason: String,
    #[serde(default, deserialize_with = "fields::text")]
    credential: Option<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    no_credential: bool,
}

/// `/lease-settle`: an operator has found out what became of an UNKNOWN lease.
pub(super) async fn settle(call: Call) -> Answer {
    let Settled { id, reason, credential, no_credential } = call.fields()?;
    let settlement = match (credential, no_credential) {
        (Some(credential), false) => Settlement::Credential(credential),
        (None, true) => Settlement::Nothing,
        _ => {
            let problem = "give either the producer's name for what it has made, or no-credential";
            return Err(Invalid::new("credential", problem).into());
        }
    };
    let verdict = verdict(&call, reason)?;
    let (engine, lease) = (engine(&call.parts)?, lease(&id)?);
    engine.settle(item_of(engine, lease).await?, lease, settlement, verdict).await?;
    Ok(json!({"id": lease}).into())
}

#[derive(Deserialize)]
struct LetGo {
    #[serde(default)]
    reason: String,
}

/// `/lease-let-go`: held revocations go on.
pub(super) async fn let_go(call: Call) -> Answer {
    let LetGo { reason } = call.fields()?;
    let verdict = verdict(&call, reason)?;
    let held = engine(&call.parts)?.let_go(verdict).await?;
    Ok(json!({"was_held": held}).into())
}

fn verdict(call: &Call, reason: String) -> Result<Verdict, ApiError> {
    if reason.len() > LONGEST_REASON {
        return Err(Invalid::new("reason", format!("has at most {LONGEST_REASON} bytes")).into());
    }
    Ok(Verdict { by: call.identity.access_id.to_string(), reason })
}

fn lease(id: &str) -> Result<LeaseId, ApiError> {
    let problem = "is the name of a lease: l- and 32 hexadecimal digits, as `lease-report` tells it";
    Ok(LeaseId::parse(id).ok_or_else(|| Invalid::new("id", problem))?)
}

async fn item_of(engine: &Engine, lease: LeaseId) -> Result<u64, ApiError> {
    engine.item_of(lease).await?.ok_or_else(|| {
        let text = format!(
            "lease {lease} is none that people must decide about: it is not failing, parked or UNKNOWN"
        );
        ApiError::new(StatusCode::NOT_FOUND, text)
    })
}

fn attention(word: &str) -> Result<Attention, Invalid> {
    let kinds = [Attention::Failing, Attention::Parked, Attention::Unknown, Attention::Quarantined];
    let found = kinds.into_iter().find(|kind| word_of(*kind) == word);
    found.ok_or_else(|| Invalid::new("list", "is failing, parked, unknown or quarantined"))
}

/// Where a page of the list `list` begins, if it can be one that an answer has told.
fn page(list: &str, after: String) -> Result<String, Invalid> {
    let is_lease = after
        .split_once('/')
        .is_some_and(|(item, lease)| item.parse::<u64>().is_ok() && LeaseId::parse(lease).is_some());
    // What is in quarantine may be there because of its name.
    if is_lease || list == word_of(Attention::Quarantined) {
        return Ok(after);
    }
    Err(Invalid::new("after", "is no place in a list; it is what the page before has told as next"))
}

fn word_of(kind: Attention) -> &'static str {
    match kind {
        Attention::Failing => "failing",
        Attention::Parked => "parked",
        Attention::Unknown => "unknown",
        Attention::Quarantined => "quarantined",
    }
}

fn told(report: &Report) -> Value {
    let mut told = Map::new();
    told.insert("at".to_owned(), report.at.rfc3339().into());
    for (name, count) in [("live", report.live), ("active", report.active), ("due", report.due)] {
        told.insert(name.to_owned(), count.into());
    }
    told.insert("due_since".to_owned(), report.due_since.map(gateward_clock::Timestamp::rfc3339).into());
    let held = report.held.as_ref().map(
        |held| json!({"since": held.since.rfc3339(), "until": held.until.rfc3339(), "reason": held.reason}),
    );
    told.insert("held".to_owned(), held.into());
    for list in &report.attention {
        told.insert(word_of(list.kind).to_owned(), listed(list));
    }
    let producers = report.reconciled.iter().map(|there| {
        json!({
            "item_name": there.item,
            "can_list": there.can_list,
            "listed": there.listed,
            "unknown_to_us": there.unknown_to_us,
            "in_the_making": there.in_the_making,
            "error": there.error,
        })
    });
    told.insert("producers".to_owned(), producers.collect());
    Value::Object(told)
}

fn listed(list: &Listed) -> Value {
    let leases: Value = list.leases.iter().map(described).collect();
    json!({"count": list.count, "leases": leases, "unreadable": list.unreadable, "next": list.next})
}

fn described(lease: &Lease) -> Value {
    let mut json = tmp_creds::described(lease, "");
    json["item_name"] = lease.item_name.as_str().into();
    if let Some(fields) = json.as_object_mut() {
        // Only the vendor's clients want them.
        for field in ["custom_ttl", "dynamic_secret_type", "encrypted_secret", "host"] {
            fields.remove(field);
        }
    }
    json
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Catalog(error) => error.into(),
            ReportError::Missing(_) => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            ReportError::Ledger(error) => error.into(),
        }
    }
}

impl From<OperatorError> for ApiError {
    fn from(error: OperatorError) -> Self {
        let status = match error {
            OperatorError::Missing(_) => StatusCode::NOT_FOUND,
            OperatorError::NotParked(_) | OperatorError::NotUnknown(_) => StatusCode::CONFLICT,
            OperatorError::NoReason => StatusCode::BAD_REQUEST,
            OperatorError::Guard(_) => StatusCode::SERVICE_UNAVAILABLE,
            OperatorError::Ledger(error) => return error.into(),
        };
        Self::new(status, error.to_string())
    }
}

/// How many leases of each list one answer has at most.
const MOST: u64 = 1000;

/// A reason is kept with the lease.
const LONGEST_REASON: usize = 1024;
