//! Further ways to log in: with an API key, or as somebody whom AWS knows.

use gateward_access::{AccessId, AuthMethod, AwsBounds, Directory, DirectoryError, MethodKind};
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use serde::Deserialize;
use serde_json::{Value, json};

use super::allowed_access::{check_name, directory};
use super::{Answer, Call, fields};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Method {
    name: String,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    access_expires: Option<u64>,
    #[serde(default, deserialize_with = "fields::texts")]
    bound_ips: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    bound_aws_account_id: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    bound_arn: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    bound_role_name: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    bound_role_id: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    bound_resource_id: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    bound_user_name: Vec<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    bound_user_id: Vec<String>,
}

/// `/auth-method-create-api-key`: the only answer in which the key stands.
pub(super) async fn create_api_key(call: Call) -> Answer {
    let sent: Method = call.fields()?;
    call.refuse_others(&["bound-ips"], is_bound, "bounds no API key here; leave it out")?;
    let (kind, key) = MethodKind::api_key();
    let made = create(&call, sent, kind).await?;
    Ok(json!({"access_id": made.access_id, "access_key": key.expose(), "name": made.name}).into())
}

/// `/auth-method-create-aws-iam`.
pub(super) async fn create_aws_iam(call: Call) -> Answer {
    let mut sent: Method = call.fields()?;
    call.refuse_others(
        AWS_BOUNDS,
        is_bound,
        "is no bound of aws_iam here; those are told by `gateward auth-method create \
                       aws-iam --help`",
    )?;
    let bounds = AwsBounds {
        accounts: std::mem::take(&mut sent.bound_aws_account_id),
        arns: std::mem::take(&mut sent.bound_arn),
        role_names: std::mem::take(&mut sent.bound_role_name),
        role_ids: std::mem::take(&mut sent.bound_role_id),
        resource_ids: std::mem::take(&mut sent.bound_resource_id),
        user_names: std::mem::take(&mut sent.bound_user_name),
        user_ids: std::mem::take(&mut sent.bound_user_id),
    };
    let is_account =
        |account: &String| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if bounds.accounts.is_empty() || !bounds.accounts.iter().all(is_account) {
        return Err(Invalid::new("bound-aws-account-id", "is one account of 12 digits, or several").into());
    }
    let made = create(&call, sent, MethodKind::AwsIam { bounds }).await?;
    Ok(json!({"access_id": made.access_id, "name": made.name}).into())
}

async fn create(call: &Call, sent: Method, kind: MethodKind) -> Result<AuthMethod, super::ApiError> {
    check_name(&sent.name)?;
    if !sent.bound_ips.is_empty() {
        let problem =
            "a gateway does not see who called the one before it; leave it out, and bound addresses there";
        return Err(Invalid::new("bound-ips", problem).into());
    }
    let now = call.parts.clock.now();
    let method = AuthMethod {
        name: sent.name,
        access_id: AccessId::generate(),
        kind,
        description: sent.description.unwrap_or_default(),
        access_expires: sent.access_expires.unwrap_or_default(),
        created: now.secs(),
        since: now.millis(),
    };
    directory(&call.parts)?
        .edit(|kept| {
            if kept.methods.iter().any(|other| other.name == method.name) {
                return Err(DirectoryError::Exists { kind: KIND, name: method.name.clone() });
            }
            kept.methods.push(method.clone());
            Ok(())
        })
        .await?;
    Ok(method)
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// `/auth-method-get`.
pub(super) async fn get(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    let kept = directory(&call.parts)?.current()?;
    let found = kept.methods.iter().find(|method| method.name == name).ok_or_else(|| missing(&name))?;
    Ok(shown(found).into())
}

/// `/auth-method-list`.
pub(super) async fn list(call: Call) -> Answer {
    let kept = call.parts.authenticator.directory().map(Directory::current).transpose()?;
    let methods: Vec<Value> = kept.iter().flat_map(|kept| &kept.methods).map(shown).collect();
    Ok(json!({"auth_methods": methods, "next_page": ""}).into())
}

/// `/auth-method-delete`: tokens that it gave are not taken any more either.
pub(super) async fn delete(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    directory(&call.parts)?
        .edit(|kept| {
            let place = kept.methods.iter().position(|method| method.name == name);
            kept.methods.remove(place.ok_or_else(|| missing(&name))?);
            Ok(())
        })
        .await?;
    Ok(json!({"name": name, "auth_method_name": name}).into())
}

/// `/reset-access-key`: neither the key before nor a token that it gave is taken any more.
pub(super) async fn reset_key(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    let (kind, key) = MethodKind::api_key();
    let now = call.parts.clock.now().millis();
    let changed = directory(&call.parts)?
        .edit(|kept| {
            let method = kept.methods.iter_mut().find(|method| method.name == name);
            let method = method.ok_or_else(|| missing(&name))?;
            if !matches!(method.kind, MethodKind::ApiKey { .. }) {
                return Err(DirectoryError::NoKey { name: name.clone() });
            }
            method.kind = kind.clone();
            // A token of this very millisecond counts among those before.
            method.since = now + 1;
            Ok(method.clone())
        })
        .await?;
    Ok(json!({"access_id": changed.access_id, "access_key": key.expose(), "name": name}).into())
}

fn shown(method: &AuthMethod) -> Value {
    let rules = match &method.kind {
        MethodKind::ApiKey { .. } => json!({"rules_type": "api_key"}),
        MethodKind::AwsIam { bounds } => json!({
            "rules_type": "aws_iam",
            "aws_iam_access_rules": {
                "account_id": bounds.accounts, "arn": bounds.arns, "role_name": bounds.role_names,
                "role_id": bounds.role_ids, "resource_id": bounds.resource_ids, "user_name": bounds.user_names,
                "user_id": bounds.user_ids,
            },
        }),
    };
    let mut access_info = rules;
    access_info["access_expires"] = method.access_expires.into();
    json!({
        "auth_method_name": method.name,
        "auth_method_access_id": method.access_id,
        "description": method.description,
        "creation_date": Timestamp::from_secs(method.created).rfc3339(),
        // A key that was reset, too.
        "modification_date": Timestamp::from_millis(method.since).rfc3339(),
        "access_info": access_info,
    })
}

fn missing(name: &str) -> DirectoryError {
    DirectoryError::Missing { kind: KIND, name: name.to_owned() }
}

/// Whether a field would bound who may log in: one that is not known is not to be ignored.
fn is_bound(field: &str) -> bool {
    field.starts_with("bound-") || field.starts_with("gw-bound-") || field == "force-sub-claims"
}

const AWS_BOUNDS: &[&str] = &[
    "bound-ips",
    "bound-aws-account-id",
    "bound-arn",
    "bound-role-name",
    "bound-role-id",
    "bound-resource-id",
    "bound-user-name",
    "bound-user-id",
];

const KIND: &str = "auth method";
