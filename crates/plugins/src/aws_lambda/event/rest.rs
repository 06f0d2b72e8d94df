//! The event of API Gateway's REST APIs, which HTTP APIs have as "1.0".

use serde::Serialize;

use super::arguments::{self, Arguments, Shown};
use super::client_certificate::ClientCertificate;
use super::content::Content;
use super::fields::{self, Fields};
use super::resource::{PathParameters, resource};
use super::{Encode, Entrance, Source};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'s> {
    version: &'static str,
    resource: String,
    path: &'s str,
    http_method: &'s str,
    headers: Fields<'s>,
    multi_value_headers: Fields<'s>,
    #[serde(flatten)]
    query: Query<'s>,
    path_parameters: Option<PathParameters<'s>>,
    stage_variables: (),
    request_context: Context<'s>,
    body: Option<Content<'s>>,
    is_base64_encoded: bool,
}

/// The arguments, twice; null where there are none.
struct Query<'s>(Arguments<'s>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'s> {
    #[serde(flatten)]
    entrance: Entrance<'s>,
    authorizer: Authorizer,
    extended_request_id: &'s str,
    http_method: &'s str,
    identity: Identity<'s>,
    path: &'s str,
    protocol: &'static str,
    request_time: String,
    request_time_epoch: u64,
    resource_id: (),
    resource_path: String,
}

/// Nobody authorises on AWS's side.
#[derive(Default, Serialize)]
struct Authorizer {
    claims: (),
    scopes: (),
}

/// Who asks. What only AWS can know is null, as it is there for whoever has not signed.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'s> {
    access_key: (),
    account_id: (),
    caller: (),
    #[serde(skip_serializing_if = "Option::is_none")]
    client_cert: Option<ClientCertificate>,
    cognito_authentication_provider: (),
    cognito_authentication_type: (),
    cognito_identity_id: (),
    cognito_identity_pool_id: (),
    principal_org_id: (),
    source_ip: String,
    user: (),
    user_agent: Option<&'s str>,
    user_arn: (),
}

impl<'s> Event<'s> {
    pub(super) fn of(source: &'s Source<'_>, encode: Encode) -> Self {
        let body = Content::of(source.headers(), source.body, encode);
        let resource = resource(source);
        Self {
            version: "1.0",
            path: source.path(),
            http_method: source.head.method.as_str(),
            headers: Fields(source.headers(), fields::How::Last),
            multi_value_headers: Fields(source.headers(), fields::How::All),
            query: Query(Arguments::of(source.query())),
            path_parameters: PathParameters::of(source),
            stage_variables: (),
            request_context: Context {
                entrance: source.entrance(),
                authorizer: Authorizer::default(),
                extended_request_id: source.request_id,
                http_method: source.head.method.as_str(),
                identity: Identity {
                    client_cert: source.client_certificate(),
                    source_ip: source.client.to_string(),
                    user_agent: source.user_agent(),
                    ..Identity::default()
                },
                path: source.path(),
                protocol: source.protocol(),
                request_time: source.now.common_log_format(),
                request_time_epoch: source.now.millis(),
                resource_id: (),
                resource_path: resource.clone(),
            },
            resource,
            is_base64_encoded: body.is_some_and(Content::is_base64),
            body,
        }
    }
}

impl Serialize for Query<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let shown = |how| (!self.0.is_empty()).then_some(Shown(&self.0, how));
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("queryStringParameters", &shown(arguments::How::First))?;
        map.serialize_entry("multiValueQueryStringParameters", &shown(arguments::How::All))?;
        map.end()
    }
}
