//! All that may stand in an event, of whichever kind; what is not there tells the kinds apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Message;

/// An event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope<'e> {
    #[serde(borrow, default)]
    pub(super) version: Option<Cow<'e, str>>,
    #[serde(borrow, default)]
    pub(super) request_context: Option<Context<'e>>,
    /// HTTP APIs: the path, with the stage.
    #[serde(borrow, default)]
    pub(super) raw_path: Option<Cow<'e, str>>,
    #[serde(borrow, default)]
    pub(super) raw_query_string: Option<Cow<'e, str>>,
    #[serde(default)]
    pub(super) cookies: Option<Vec<String>>,
    /// The others: method and path, without the stage, but with a custom domain's base path.
    #[serde(borrow, default)]
    pub(super) http_method: Option<Cow<'e, str>>,
    #[serde(borrow, default)]
    pub(super) path: Option<Cow<'e, str>>,
    /// What took the request at the API: REST APIs call it a resource, HTTP APIs a route key, with its method.
    #[serde(borrow, default)]
    pub(super) resource: Option<Cow<'e, str>>,
    #[serde(borrow, default)]
    pub(super) route_key: Option<Cow<'e, str>>,
    #[serde(default)]
    pub(super) path_parameters: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    pub(super) query_string_parameters: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) multi_value_query_string_parameters: Option<BTreeMap<String, Vec<String>>>,
    #[serde(borrow, default)]
    pub(super) body: Option<Cow<'e, str>>,
    #[serde(default)]
    pub(super) is_base64_encoded: bool,
    /// Queues.
    #[serde(default, rename = "Records")]
    pub(super) records: Option<Vec<Record>>,
    /// Schedules.
    #[serde(borrow, default)]
    source: Option<Cow<'e, str>>,
    #[serde(borrow, default, rename = "detail-type")]
    detail_type: Option<Cow<'e, str>>,
}

/// Where a request came from.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Context<'e> {
    #[serde(borrow, default)]
    pub(super) http: Option<Http<'e>>,
    #[serde(borrow, default)]
    pub(super) identity: Option<Identity<'e>>,
    #[serde(default)]
    pub(super) elb: Option<IgnoredAny>,
    #[serde(borrow, default)]
    pub(super) domain_name: Option<Cow<'e, str>>,
    #[serde(borrow, default)]
    pub(super) stage: Option<Cow<'e, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Http<'e> {
    #[serde(borrow)]
    pub(super) method: Cow<'e, str>,
    #[serde(borrow, default)]
    pub(super) source_ip: Cow<'e, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity<'e> {
    #[serde(borrow, default)]
    pub(super) source_ip: Option<Cow<'e, str>>,
}

/// One message of a queue's event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    event_source: Option<String>,
}

impl Envelope<'_> {
    /// Where the request came from, if it is one.
    pub(super) fn context(&self) -> Option<&Context<'_>> {
        self.request_context.as_ref()
    }

    /// Whether it comes from a schedule: a rule's own event, or one that a schedule was told to send.
    pub(super) fn is_tick(&self) -> bool {
        let from = |source: &str| self.source.as_deref() == Some(source);
        let scheduled = self.detail_type.as_deref() == Some("Scheduled Event");
        from("aws.scheduler") || scheduled && from("aws.events")
    }
}

impl Record {
    /// The message, if it is one of SQS.
    pub(super) fn message(self) -> Option<Message> {
        let is_queue = self.event_source.as_deref() == Some("aws:sqs");
        Some(Message { id: self.message_id?, body: self.body? }).filter(|_| is_queue)
    }
}
