//! The calls of the Akeyless API, with the bodies that the vendor's own clients send.

use std::time::Duration;

use gateward_seal::SecretValue;
use serde_json::{Map, Value, json};

use crate::arguments::{Ask, Create, GetValue, RevokeTmpCreds};

/// One call of the Akeyless API; the token is not in its body yet.
pub(super) struct Call {
    /// The last part of the path.
    pub(super) operation: &'static str,
    /// The body.
    pub(super) body: Map<String, Value>,
    /// How long to wait for the answer.
    pub(super) patience: Duration,
}

impl Call {
    /// The call that does what `ask` says.
    pub(super) fn of(ask: &Ask) -> Self {
        match ask {
            Ask::Create(create) => Self::create(create),
            Ask::Delete(delete) => Self {
                operation: "dynamic-secret-delete",
                body: body(json!({"name": delete.name})),
                patience: LONG_PATIENCE,
            },
            Ask::GetValue(get) => Self::get_value(get),
            Ask::GetTmpCreds(get) => Self {
                operation: "dynamic-secret-tmp-creds-get",
                body: body(json!({"name": get.name})),
                patience: PATIENCE,
            },
            Ask::RevokeTmpCreds(revoke) => Self::revoke(revoke),
            Ask::One(call) => Self {
                operation: call.operation(),
                body: body(Value::Object(call.body().0)),
                patience: call.patience(),
            },
        }
    }

    /// A login as somebody whom AWS knows.
    pub(super) fn log_in_with_aws(access_id: &str, cloud_id: &SecretValue) -> Self {
        Self {
            operation: "auth",
            body: body(json!({
                "access-id": access_id,
                "access-type": "aws_iam",
                "cloud-id": cloud_id.expose(),
                "azure-cloud": "AzureCloud",
                "gcp-audience": "akeyless.io",
                "oci-auth-type": "apikey",
            })),
            patience: PATIENCE,
        }
    }

    /// A login. What has nothing to do with an access key is there because the vendor's clients always send it.
    pub(super) fn log_in(access_id: &str, access_key: &SecretValue) -> Self {
        Self {
            operation: "auth",
            body: body(json!({
                "access-id": access_id,
                "access-key": access_key.expose(),
                "access-type": "access_key",
                "azure-cloud": "AzureCloud",
                "gcp-audience": "akeyless.io",
                "oci-auth-type": "apikey",
            })),
            patience: PATIENCE,
        }
    }

    fn create(create: &Create) -> Self {
        let mut body = body(json!({
            "name": create.name,
            "create-sync-url": create.create_sync_url,
            "revoke-sync-url": create.revoke_sync_url,
            "timeout-sec": create.timeout_sec,
            "user-ttl": create.user_ttl,
            "enable-admin-rotation": create.akeyless.enable_admin_rotation.unwrap_or_default(),
        }));
        let payload = create.payload.as_ref().map(SecretValue::expose);
        set(&mut body, "rotate-sync-url", create.rotate_sync_url.as_deref());
        set(&mut body, "payload", payload);
        set(&mut body, "max-leases", create.max_leases);
        set(&mut body, "tags", Some(&create.tags).filter(|tags| !tags.is_empty()).cloned());
        set(&mut body, "description", create.description.as_deref());
        set(&mut body, "delete_protection", create.delete_protection.map(|on| on.to_string()));
        let key = create.akeyless.producer_encryption_key_name.as_deref();
        set(&mut body, "producer-encryption-key-name", key);
        let interval = create.akeyless.admin_rotation_interval_days;
        set(&mut body, "admin-rotation-interval-days", interval);
        Self {
            operation: "dynamic-secret-create-custom",
            body,
            // The gateway calls the producer twice before it answers.
            patience: Duration::from_secs(create.timeout_sec) * 2 + PATIENCE,
        }
    }

    fn get_value(get: &GetValue) -> Self {
        let mut body = body(json!({"name": get.name, "timeout": get.timeout}));
        set(&mut body, "args", Some(&get.args).filter(|args| !args.is_empty()).cloned());
        set(&mut body, "host", get.host.as_deref());
        set(&mut body, "target", get.target.as_deref());
        set(&mut body, "ttl", get.ttl.as_deref());
        set(&mut body, "idempotency-key", get.idempotency_key.as_deref());
        Self {
            operation: "get-dynamic-secret-value",
            body,
            patience: Duration::from_secs(get.timeout) + GRACE,
        }
    }

    fn revoke(revoke: &RevokeTmpCreds) -> Self {
        let mut body = body(json!({"name": revoke.name}));
        set(&mut body, "tmp-creds-id", revoke.tmp_creds_id.as_deref());
        set(&mut body, "revoke-all", revoke.revoke_all.then_some(true));
        set(&mut body, "host", revoke.host.as_deref());
        set(&mut body, "soft-delete", revoke.soft_delete.then_some(true));
        Self { operation: "dynamic-secret-tmp-creds-delete", body, patience: LONG_PATIENCE }
    }
}

/// The fields of `object`, and `json`, which every request has.
fn body(object: Value) -> Map<String, Value> {
    let mut fields = match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    fields.insert("json".to_owned(), Value::Bool(false));
    fields
}

fn set(body: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

/// What an answer may take that needs nobody but the gateway.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the gateway may take beside the producer.
const GRACE: Duration = Duration::from_secs(5);

/// What an answer may take for which many credentials are revoked first.
const LONG_PATIENCE: Duration = Duration::from_secs(300);
