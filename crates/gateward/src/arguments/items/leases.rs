//! `leases report`, `list`, `abandon`, `settle` and `let-go`: for who answers for the credentials that are out.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use serde_json::Value;

use super::{Body, Common, OneCall};

/// `leases report`.
#[derive(Clone, Debug, Args)]
pub struct ReportLeases {
    /// Ask the producer of this dynamic secret alone what exists there
    #[arg(short, long, conflicts_with = "without_producers")]
    name: Option<String>,
    /// Ask no producer what exists there
    #[arg(long)]
    without_producers: bool,
    /// The most leases of each list, from 1 to 1000 [default: 100]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// `leases list`.
#[derive(Clone, Debug, Args)]
pub struct ListLeases {
    /// Which: those whose revocation fails, is parked, those that nobody knows the name of, or cannot be read
    #[arg(value_enum)]
    which: Which,
    /// Go on after the name that the page before ended with
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// The most leases, from 1 to 1000 [default: 100]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// What people must look at.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    Failing,
    Parked,
    Unknown,
    Quarantined,
}

/// `leases abandon`.
#[derive(Clone, Debug, Args)]
pub struct AbandonLease {
    /// The lease, by the id that `leases list parked` tells
    id: String,
    /// Why; it is kept with the lease
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    common: Common,
}

/// `leases settle`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("found").required(true))]
pub struct SettleLease {
    /// The lease, by the id that `leases list unknown` tells
    id: String,
    /// The producer's name for the credential that exists; it is revoked
    #[arg(long, value_name = "NAME", group = "found")]
    credential: Option<String>,
    /// No credential exists, or it is gone
    #[arg(long, group = "found")]
    no_credential: bool,
    /// Why; it is kept with the lease
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    common: Common,
}

/// `leases let-go`.
#[derive(Clone, Debug, Args)]
pub struct LetGoLeases {
    /// Why; it stands in the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    common: Common,
}

impl Which {
    fn word(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Parked => "parked",
            Self::Unknown => "unknown",
            Self::Quarantined => "quarantined",
        }
    }
}

impl OneCall for ReportLeases {
    fn operation(&self) -> &'static str {
        "lease-report"
    }

    fn body(&self) -> Body {
        Body::default()
            .maybe("name", self.name.as_deref())
            .with("ask-producers", !self.without_producers)
            .maybe("limit", self.limit)
    }

    fn told(&self, answer: &Value) -> Option<String> {
        let mut text = counts(answer)?;
        if let Some(held) = answer["held"].as_object() {
            let word = |name: &str| held.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
            let (since, until, reason) = (word("since"), word("until"), word("reason"));
            let _ = write!(
                text,
                "\nRevocations are HELD since {since}: {reason}.\nThey go on by themselves at {until}, or with: \
                 gateward leases let-go --reason TEXT"
            );
        }
        for which in [Which::Failing, Which::Parked, Which::Unknown, Which::Quarantined] {
            text.push_str(&lines(&answer[which.word()], which));
        }
        for there in answer["producers"].as_array().into_iter().flatten() {
            text.push_str(&existing(there));
        }
        Some(text)
    }

    fn common(&self) -> &Common {
        &self.common
    }

    /// Every producer that can list is asked.
    fn patience(&self) -> Duration {
        Duration::from_secs(if self.without_producers { 30 } else { 900 })
    }
}

impl OneCall for ListLeases {
    fn operation(&self) -> &'static str {
        "lease-report"
    }

    fn body(&self) -> Body {
        Body::default()
            .with("list", self.which.word())
            .maybe("after", self.after.as_deref())
            .maybe("limit", self.limit)
    }

    fn told(&self, answer: &Value) -> Option<String> {
        let text = lines(&answer[self.which.word()], self.which);
        Some(if text.is_empty() {
            format!("No lease is {}.", self.which.word())
        } else {
            text.trim_start().to_owned()
        })
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for AbandonLease {
    fn operation(&self) -> &'static str {
        "lease-abandon"
    }

    fn body(&self) -> Body {
        Body::default().with("id", self.id.as_str()).with("reason", self.reason.as_str())
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!(
            "The lease {} was abandoned. Its credential may work; nobody revokes it any more.",
            self.id
        ))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for SettleLease {
    fn operation(&self) -> &'static str {
        "lease-settle"
    }

    fn body(&self) -> Body {
        Body::default()
            .with("id", self.id.as_str())
            .maybe("credential", self.credential.as_deref())
            .maybe("no-credential", self.no_credential.then_some(true))
            .with("reason", self.reason.as_str())
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(match &self.credential {
            Some(name) => format!("The lease {} was settled: {name} is being revoked.", self.id),
            None => format!("The lease {} was settled: there is no credential.", self.id),
        })
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for LetGoLeases {
    fn operation(&self) -> &'static str {
        "lease-let-go"
    }

    fn body(&self) -> Body {
        Body::default().with("reason", self.reason.as_str())
    }

    fn told(&self, answer: &Value) -> Option<String> {
        let text = match answer["was_held"].as_bool()? {
            true => "Revocations go on: what is due is revoked now.",
            false => "Nothing was held; revocations go on as before.",
        };
        Some(text.to_owned())
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

fn counts(answer: &Value) -> Option<String> {
    let count = |value: &Value| value.as_u64();
    let of = |which: Which| count(&answer[which.word()]["count"]).unwrap_or_default();
    let (live, active, due) = (count(&answer["live"])?, count(&answer["active"])?, count(&answer["due"])?);
    let since =
        answer["due_since"].as_str().map(|since| format!(" (the oldest since {since})")).unwrap_or_default();
    Some(format!(
        "live: {live}\nactive: {active}\ndue and not revoked yet: {due}{since}\nfailing: {}\nparked: {}\nunknown: {}\n\
         in quarantine: {}",
        of(Which::Failing),
        of(Which::Parked),
        of(Which::Unknown),
        of(Which::Quarantined)
    ))
}

/// The leases of one list, one on each line, and how to see those that follow.
fn lines(list: &Value, which: Which) -> String {
    let mut text = String::new();
    let word = |lease: &Value, field: &str| lease[field].as_str().unwrap_or("-").to_owned();
    for lease in list["leases"].as_array().into_iter().flatten() {
        let attempts =
            lease["attempts"].as_u64().map(|attempts| format!(", {attempts} attempts")).unwrap_or_default();
        let _ = write!(
            text,
            "\n  {} {} of {}{attempts}: {}",
            word(lease, "id"),
            word(lease, "item_name"),
            word(lease, "access_id"),
            word(lease, "last_error")
        );
    }
    for name in list["unreadable"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _ = write!(text, "\n  {name} cannot be read");
    }
    if text.is_empty() {
        return text;
    }
    if let Some(next) = list["next"].as_str() {
        let _ = write!(text, "\n  more: gateward leases list {} --after {next}", which.word());
    }
    format!("\n\n{}{text}", which.word())
}

/// What exists at one producer.
fn existing(there: &Value) -> String {
    let name = there["item_name"].as_str().unwrap_or("-");
    if let Some(error) = there["error"].as_str() {
        return format!("\n\n{name}: what exists there is not known: {error}");
    }
    if there["can_list"] != true {
        return format!("\n\n{name}: its producer cannot list what exists");
    }
    let listed = there["listed"].as_u64().unwrap_or_default();
    let strays: Vec<&str> =
        there["unknown_to_us"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut text = format!("\n\n{name}: {listed} exist there, {} that no lease knows", strays.len());
    let making = there["in_the_making"].as_u64().unwrap_or_default();
    if making > 0 {
        let _ = write!(text, " ({making} are just being made, and may be among them)");
    }
    for stray in strays {
        let _ = write!(text, "\n  {stray}");
    }
    text
}
