//! The Akeyless API: POST with a JSON body, the token in the body, `{"error": text}` when it fails.
//!
//! Requests have kebab-case names, the vendor's with some exceptions, so `_` and `-` are one there; and they carry many
//! defaults that client libraries send: what is not known here is ignored, what is known and cannot be done is refused.
//! Where a name that is not known may be a restriction, as in auth methods and allowed access, it is refused too.

mod allowed_access;
mod auth_method;
mod dynamic_secret;
mod fields;
mod gateway;
mod item;
mod leases;
mod login;
mod native;
mod protection;
mod repointing;
mod rotated_secret;
mod static_secret;
mod target;
mod terms;
mod tmp_creds;
mod validate;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get, post};
use gateward_access::{DirectoryError, Identity, OutOfReach, Permission};
use gateward_items::{ItemKind, ItemState};
use gateward_leases::lease::Holder;
use gateward_leases::ledger::LedgerError;
use gateward_leases::{CatalogError, IssueError, RenewError, RevokeError};
use gateward_model::{Invalid, ItemName};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use native::Kind;

use crate::request::{BodyRefused, json_answer};
use crate::{ControlParts, audit, authenticate, permissions, request, store_status};

/// What a call does.
type Handle = fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The calls for those with a token, by their paths without a slash. The older names are those of the vendor's older
/// clients.
const CALLS: &[(&str, Handle)] = &[
    ("dynamic-secret-create-custom", |call| Box::pin(dynamic_secret::create(call, "dynamic_secret_details"))),
    ("gateway-create-producer-custom", |call| Box::pin(dynamic_secret::create(call, "producer_details"))),
    ("dynamic-secret-update-custom", |call| Box::pin(dynamic_secret::update(call, "dynamic_secret_details"))),
    ("gateway-update-producer-custom", |call| Box::pin(dynamic_secret::update(call, "producer_details"))),
    ("dynamic-secret-create-postgresql", |call| {
        Box::pin(native::create(call, Kind::Postgresql, "dynamic_secret_details"))
    }),
    ("gateway-create-producer-postgresql", |call| {
        Box::pin(native::create(call, Kind::Postgresql, "producer_details"))
    }),
    ("dynamic-secret-update-postgresql", |call| {
        Box::pin(native::update(call, Kind::Postgresql, "dynamic_secret_details"))
    }),
    ("gateway-update-producer-postgresql", |call| {
        Box::pin(native::update(call, Kind::Postgresql, "producer_details"))
    }),
    ("dynamic-secret-create-aws", |call| Box::pin(native::create(call, Kind::Aws, "dynamic_secret_details"))),
    ("gateway-create-producer-aws", |call| Box::pin(native::create(call, Kind::Aws, "producer_details"))),
    ("dynamic-secret-update-aws", |call| Box::pin(native::update(call, Kind::Aws, "dynamic_secret_details"))),
    ("gateway-update-producer-aws", |call| Box::pin(native::update(call, Kind::Aws, "producer_details"))),
    ("dynamic-secret-get", |call| Box::pin(dynamic_secret::get(call))),
    ("gateway-get-producer", |call| Box::pin(dynamic_secret::get(call))),
    ("dynamic-secret-list", |call| Box::pin(dynamic_secret::list(call))),
    ("gateway-list-producers", |call| Box::pin(dynamic_secret::list(call))),
    ("gateway-start-producer", |call| Box::pin(dynamic_secret::switch(call, ItemState::Enabled))),
    ("gateway-stop-producer", |call| Box::pin(dynamic_secret::switch(call, ItemState::Disabled))),
    ("dynamic-secret-delete", |call| Box::pin(dynamic_secret::delete(call, "dynamic_secret_name"))),
    ("gateway-delete-producer", |call| Box::pin(dynamic_secret::delete(call, "producer_name"))),
    ("get-dynamic-secret-value", |call| Box::pin(dynamic_secret::get_value(call))),
    ("dynamic-secret-get-value", |call| Box::pin(dynamic_secret::get_value(call))),
    ("dynamic-secret-tmp-creds-get", |call| Box::pin(tmp_creds::list(call))),
    ("gateway-get-producer-tmp-creds", |call| Box::pin(tmp_creds::list(call))),
    ("dynamic-secret-tmp-creds-update", |call| Box::pin(tmp_creds::renew(call))),
    ("gateway-update-producer-tmp-creds", |call| Box::pin(tmp_creds::renew(call))),
    ("dynamic-secret-tmp-creds-delete", |call| Box::pin(tmp_creds::delete(call))),
    ("gateway-revoke-producer-tmp-creds", |call| Box::pin(tmp_creds::delete(call))),
    ("lease-report", |call| Box::pin(leases::report(call))),
    ("lease-abandon", |call| Box::pin(leases::abandon(call))),
    ("lease-settle", |call| Box::pin(leases::settle(call))),
    ("lease-let-go", |call| Box::pin(leases::let_go(call))),
    ("create-secret", |call| Box::pin(static_secret::create(call))),
    ("get-secret-value", |call| Box::pin(static_secret::get(call))),
    ("update-secret-val", |call| Box::pin(static_secret::update(call))),
    ("rollback-secret", |call| Box::pin(static_secret::roll_back(call))),
    ("list-items", |call| Box::pin(item::list(call))),
    ("describe-item", |call| Box::pin(item::describe(call))),
    ("delete-item", |call| Box::pin(item::delete(call, None))),
    ("update-item", |call| Box::pin(item::update(call))),
    ("set-item-state", |call| Box::pin(item::set_state(call))),
    ("get-tags", |call| Box::pin(item::tags(call))),
    ("move-objects", |call| Box::pin(item::move_objects(call))),
    ("target-create-web", |call| Box::pin(target::create(call))),
    ("create-web-target", |call| Box::pin(target::create(call))),
    ("target-update-web", |call| Box::pin(target::update(call))),
    ("update-web-target", |call| Box::pin(target::update(call))),
    ("target-get", |call| Box::pin(target::get(call))),
    ("get-target", |call| Box::pin(target::get(call))),
    ("target-get-details", |call| Box::pin(target::get_details(call))),
    ("get-target-details", |call| Box::pin(target::get_details(call))),
    ("target-list", |call| Box::pin(target::list(call))),
    ("list-targets", |call| Box::pin(target::list(call))),
    ("target-delete", |call| Box::pin(target::delete(call))),
    ("delete-target", |call| Box::pin(target::delete(call))),
    ("rotated-secret-create-custom", |call| Box::pin(rotated_secret::create(call))),
    ("rotated-secret-update-custom", |call| Box::pin(rotated_secret::update(call))),
    ("rotated-secret-get-value", |call| Box::pin(rotated_secret::get_value(call))),
    ("get-rotated-secret-value", |call| Box::pin(rotated_secret::get_value(call))),
    ("rotated-secret-list", |call| Box::pin(rotated_secret::list(call))),
    ("rotated-secret-delete", |call| Box::pin(item::delete(call, Some(ItemKind::RotatedSecret)))),
    ("gateway-rotate-secret", |call| Box::pin(rotated_secret::rotate(call))),
    ("rotate-secret", |call| Box::pin(rotated_secret::rotate(call))),
    ("create-dfc-key", |call| Box::pin(protection::create_key(call))),
    ("gateway-create-allowed-access", |call| Box::pin(allowed_access::create(call))),
    ("gateway-update-allowed-access", |call| Box::pin(allowed_access::update(call))),
    ("gateway-get-allowed-access", |call| Box::pin(allowed_access::get(call))),
    ("gateway-delete-allowed-access", |call| Box::pin(allowed_access::delete(call))),
    ("gateway-get-config", |call| Box::pin(gateway::config(call))),
    ("gateway-list-customer-fragments", |call| Box::pin(gateway::fragments(call))),
    ("gateway-download-customer-fragments", |call| Box::pin(gateway::download_fragments(call))),
    ("gen-customer-fragment", |call| Box::pin(gateway::make_fragment(call))),
    ("describe-sub-claims", |call| Box::pin(gateway::sub_claims(call))),
    ("describe-permissions", |call| Box::pin(gateway::permissions(call))),
    ("auth-method-create-api-key", |call| Box::pin(auth_method::create_api_key(call))),
    ("create-auth-method", |call| Box::pin(auth_method::create_api_key(call))),
    ("auth-method-create-aws-iam", |call| Box::pin(auth_method::create_aws_iam(call))),
    ("create-auth-method-aws-iam", |call| Box::pin(auth_method::create_aws_iam(call))),
    ("auth-method-get", |call| Box::pin(auth_method::get(call))),
    ("get-auth-method", |call| Box::pin(auth_method::get(call))),
    ("auth-method-list", |call| Box::pin(auth_method::list(call))),
    ("list-auth-methods", |call| Box::pin(auth_method::list(call))),
    ("auth-method-delete", |call| Box::pin(auth_method::delete(call))),
    ("delete-auth-method", |call| Box::pin(auth_method::delete(call))),
    ("reset-access-key", |call| Box::pin(auth_method::reset_key(call))),
];

pub(crate) fn router() -> Router<Arc<ControlParts>> {
    let open = Router::new()
        .route("/auth", open(login::auth))
        .route("/configure", open(login::configure))
        .route("/validate-token", open(login::validate))
        .route("/validate-producer-credentials", told_by(ApiError::in_core_words, validate::validate))
        .route("/.well-known/jwks.json", get(validate::jwks));
    // One path for them all: a router takes longer to take in eighty paths, three times over, than a function of Lambda's has
    // for its start.
    open.route("/{call}", any(guarded))
}

/// The calls for those with a token.
#[cfg(test)]
pub(crate) fn calls() -> impl Iterator<Item = &'static str> {
    CALLS.iter().map(|(call, _)| *call)
}

/// Whether this API has `path` at the root; where one address serves everything, routes come first.
pub(crate) fn has(path: &str) -> bool {
    matches!(path, "auth" | "configure" | "validate-token") || CALLS.iter().any(|(call, _)| *call == path)
}

/// A call that succeeded, or why not.
pub(crate) type Answer = Result<Told, ApiError>;

/// What a call is answered with.
pub(crate) struct Told {
    body: Value,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Value> for Told {
    fn from(body: Value) -> Self {
        Self { body, headers: Vec::new() }
    }
}

impl Told {
    /// The same with a header more.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
        self
    }
}

/// A call and what it knows: the control plane, who calls, and the body.
pub(crate) struct Call {
    pub(crate) parts: Arc<ControlParts>,
    pub(crate) identity: Identity,
    pub(crate) headers: HeaderMap,
    body: Value,
}

impl Call {
    /// The body's fields as a `T`.
    pub(crate) fn fields<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        Ok(gateward_model::parse(&self.body)?)
    }

    /// Refuses every field but those of `known` that says something, where `is_meant` says that it must not be ignored.
    pub(crate) fn refuse_others(
        &self,
        known: &[&str],
        is_meant: impl Fn(&str) -> bool,
        problem: &str,
    ) -> Result<(), Invalid> {
        let mut sent = self.body.as_object().into_iter().flatten();
        let other = sent.find(|(name, value)| {
            is_meant(name) && !known.contains(&name.as_str()) && fields::is_said(value)
        });
        other.map_or(Ok(()), |(name, _)| Err(Invalid::new(name, problem)))
    }

    /// A header of the request, if it is there and not empty.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok().filter(|value| !value.is_empty());
        value.map(str::to_owned)
    }

    /// Whether the caller may do everything.
    pub(crate) fn is_by_an_admin(&self) -> bool {
        self.parts.authenticator.has(&self.identity, Permission::Admin)
    }

    /// The caller, as the holder of a lease: the access id, and what is known besides. Many identities may have one access id.
    pub(crate) fn holder(&self) -> Holder {
        let Identity { access_id, sub_claims } = &self.identity;
        Holder { access_id: access_id.to_string(), sub_claims: sub_claims.clone() }
    }

    /// Refuses who neither administers the gateway nor holds a lease that `holder` holds.
    pub(crate) fn check_holder(&self, holder: &Holder) -> Result<(), ApiError> {
        if self.is_by_an_admin() || *holder == self.holder() {
            return Ok(());
        }
        let text =
            "the lease is somebody else's; whoever holds it and administrators may renew and revoke it";
        Err(ApiError::new(StatusCode::FORBIDDEN, text))
    }
}

/// A path that anybody may call.
fn open<F, A>(handle: F) -> axum::routing::MethodRouter<Arc<ControlParts>>
where
    F: Fn(Arc<ControlParts>, Value) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    told_by(std::convert::identity, handle)
}

/// The same, whose errors are told in the form that `words` gives them.
fn told_by<F, A>(words: fn(ApiError) -> ApiError, handle: F) -> axum::routing::MethodRouter<Arc<ControlParts>>
where
    F: Fn(Arc<ControlParts>, Value) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Answer> + Send,
{
    post(move |State(parts): State<Arc<ControlParts>>, request: Request<Body>| async move {
        let outcome = match body(request).await {
            Ok((_, body)) => handle(parts, body).await,
            Err(error) => Err(error),
        };
        answer(outcome.map_err(words))
    })
    .fallback(move || async move { answer(Err(words(not_a_post()))) })
}

/// The calls for those with a token.
async fn guarded(State(parts): State<Arc<ControlParts>>, request: Request<Body>) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let Some((call, handle)) = CALLS.iter().find(|(call, _)| *call == path) else {
        return request::not_found().await;
    };
    if request.method() != Method::POST {
        return only_post().await;
    }
    let outcome = match admitted(parts, call, request).await {
        Ok(call) => handle(call).await,
        Err(error) => Err(error),
    };
    answer(outcome)
}

async fn admitted(parts: Arc<ControlParts>, call: &str, request: Request<Body>) -> Result<Call, ApiError> {
    let (need, _) = permissions::of_call(call);
    let (headers, body) = body(request).await?;
    let token = body.get("token").and_then(Value::as_str).filter(|token| !token.is_empty());
    audit::note_subject(call, &body);
    let identity = authenticate::identity(&parts, &headers, token, need)
        .map_err(|refusal| ApiError::new(refusal.status(), refusal.to_string()))?;
    check_new_names(call, &body)?;
    Ok(Call { parts, identity, headers, body })
}

/// Refuses a new name that an item must not be given, whatever the call that gives it. Those that stand stay readable.
fn check_new_names(call: &str, body: &Value) -> Result<(), Invalid> {
    let fields: &[&str] = match call {
        "move-objects" => &["target"],
        call if call.contains("create") => &["name", "new-name"],
        _ => &["new-name"],
    };
    for field in fields {
        // Clients that say all they know say the name again.
        if let Some(Value::String(name)) = body.get(field)
            && (*field == "name" || body.get("name") != body.get(field))
        {
            ItemName::check_new(name).map_err(|problem| Invalid::new(*field, problem))?;
        }
    }
    Ok(())
}

async fn body(request: Request<Body>) -> Result<(HeaderMap, Value), ApiError> {
    let (head, body) = request.into_parts();
    let bytes = request::read(body).await?;
    let json = gateward_model::from_admin(&bytes)
        .map_err(|error| ApiError::bad(format!("the body is no JSON object: {error}")))?;
    let Value::Object(sent) = json else { return Err(ApiError::bad("the body is no JSON object")) };
    Ok((head.headers, Value::Object(fields::in_kebab_case(sent)?)))
}

async fn only_post() -> Response {
    answer(Err(not_a_post()))
}

fn not_a_post() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "call it with POST and a JSON body")
}

fn answer(outcome: Answer) -> Response {
    match outcome {
        Ok(Told { mut body, headers }) => {
            let mut answer = json_answer(StatusCode::OK, &body);
            // It may have been a credential.
            gateward_seal::wipe(&mut body);
            answer.headers_mut().extend(headers);
            answer
        }
        Err(error) => json_answer(error.status, &error.body),
    }
}

/// Why a call failed. The status is never a success.
pub(crate) struct ApiError {
    status: StatusCode,
    body: Value,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, body: json!({"error": text.into()}) }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// In the words of Akeyless's core services.
    pub(crate) fn coded(status: StatusCode, code: &str, message: &str) -> Self {
        Self { status, body: json!({"error": code, "message": message}) }
    }

    /// The same in those words, whoever has refused: before the call itself there is the reading of its body.
    fn in_core_words(self) -> Self {
        if self.body.get("message").is_some() {
            return self;
        }
        let code = self.status.canonical_reason().unwrap_or_default().replace(' ', "");
        Self::coded(self.status, &code, self.body["error"].as_str().unwrap_or_default())
    }

    /// The same with more to know.
    pub(crate) fn and(self, more: &str) -> Self {
        let text = self.body["error"].as_str().unwrap_or_default();
        Self::new(self.status, format!("{text}; {more}"))
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::bad(invalid.to_string())
    }
}

impl From<BodyRefused> for ApiError {
    fn from(refused: BodyRefused) -> Self {
        Self::new(refused.status(), refused.to_string())
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        let status = match &error {
            CatalogError::Missing(_) | CatalogError::NoVersion { .. } => StatusCode::NOT_FOUND,
            CatalogError::Exists(_) | CatalogError::Changed(_) | CatalogError::InUse { .. } => {
                StatusCode::CONFLICT
            }
            CatalogError::Protected(_) | CatalogError::Disabled(_) | CatalogError::Taken { .. } => {
                StatusCode::FORBIDDEN
            }
            CatalogError::Kind { .. } | CatalogError::Invalid(_) => StatusCode::BAD_REQUEST,
            CatalogError::Sealed { .. } => StatusCode::SERVICE_UNAVAILABLE,
            CatalogError::Store(error) => store_status::of_store(error),
        };
        Self::new(status, error.to_string())
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        let status = match &error {
            DirectoryError::Missing { .. } => StatusCode::NOT_FOUND,
            DirectoryError::Exists { .. } | DirectoryError::Busy | DirectoryError::Full => {
                StatusCode::CONFLICT
            }
            DirectoryError::NoKey { .. } => StatusCode::BAD_REQUEST,
            DirectoryError::Deployed { .. } => StatusCode::FORBIDDEN,
            DirectoryError::Sealed(_) => StatusCode::SERVICE_UNAVAILABLE,
            DirectoryError::Store(error) => store_status::of_store(error),
        };
        Self::new(status, error.to_string())
    }
}

impl From<OutOfReach> for ApiError {
    fn from(error: OutOfReach) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        Self::new(store_status::of_ledger(&error), error.to_string())
    }
}

impl From<IssueError> for ApiError {
    fn from(error: IssueError) -> Self {
        let status = match error {
            IssueError::Catalog(error) => return error.into(),
            IssueError::Ledger(ref error) => store_status::of_ledger(error),
            IssueError::Full(_) => StatusCode::TOO_MANY_REQUESTS,
            IssueError::Again(_) => StatusCode::CONFLICT,
            IssueError::Producer(_) => StatusCode::BAD_GATEWAY,
            IssueError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            IssueError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<RenewError> for ApiError {
    fn from(error: RenewError) -> Self {
        let status = match error {
            RenewError::Missing(_) => StatusCode::NOT_FOUND,
            RenewError::Over(_) => StatusCode::CONFLICT,
            RenewError::Producer(_) => StatusCode::BAD_GATEWAY,
            RenewError::Catalog(error) => return error.into(),
            RenewError::Ledger(error) => return error.into(),
        };
        Self::new(status, error.to_string())
    }
}

impl From<RevokeError> for ApiError {
    fn from(error: RevokeError) -> Self {
        let status = match error {
            RevokeError::Missing(_) => StatusCode::NOT_FOUND,
            RevokeError::Unknown(_) => StatusCode::CONFLICT,
            RevokeError::Producer(_) => StatusCode::BAD_GATEWAY,
            RevokeError::Catalog(error) => return error.into(),
            RevokeError::Ledger(error) => return error.into(),
            RevokeError::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
