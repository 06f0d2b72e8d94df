//! Web targets: the addresses at which rotated secrets are rotated.

use gateward_items::{Item, ItemKind, ListQuery, TargetChange};
use gateward_model::{Invalid, ItemName, ProducerUrl};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Call, dynamic_secret::permitted, fields, item::check_page, item::tree};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Definition {
    name: ItemName,
    #[serde(default)]
    new_name: Option<ItemName>,
    #[serde(default, deserialize_with = "fields::text")]
    url: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
    /// What older clients call the description.
    #[serde(default, deserialize_with = "fields::text")]
    comment: Option<String>,
    #[serde(default, alias = "protection-key", deserialize_with = "fields::text")]
    key: Option<String>,
}

impl Definition {
    fn url(&self, call: &Call) -> Result<Option<ProducerUrl>, Invalid> {
        if self.key.is_some() {
            return Err(Invalid::new("key", "targets are sealed as everything is; leave it out"));
        }
        let Some(text) = &self.url else { return Ok(None) };
        let url = ProducerUrl::parse(text).map_err(|error| error.within("url"))?;
        permitted(&call.parts, "url", &url)?;
        Ok(Some(url))
    }
}

/// `/target-create-web`, and `/create-web-target`.
pub(super) async fn create(call: Call) -> Answer {
    let sent: Definition = call.fields()?;
    let url = sent.url(&call)?.ok_or_else(|| Invalid::new("url", "is missing"))?;
    let description = sent.description.or(sent.comment).filter(is_said);
    let item = call.parts.rotated_secrets.targets().create(sent.name, &url, description).await?;
    Ok(json!({"target_id": item.record.id}).into())
}

/// `/target-update-web`, and `/update-web-target`.
pub(super) async fn update(call: Call) -> Answer {
    let sent: Definition = call.fields()?;
    let url = sent.url(&call)?;
    let description = sent.description.or(sent.comment).filter(is_said);
    let may_take_values = call.is_by_an_admin();
    let change = TargetChange { new_name: sent.new_name, url, may_take_values, description };
    let item = call.parts.rotated_secrets.targets().update(&sent.name, &change).await?;
    Ok(json!({"target_id": item.record.id}).into())
}

#[derive(Deserialize)]
struct Named {
    name: ItemName,
}

/// `/target-get`, and `/get-target`.
pub(super) async fn get(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    Ok(shown(&tree(&call.parts).get_kind(&name, ItemKind::Target).await?.item).into())
}

/// `/target-get-details`, and `/get-target-details`: with the address.
pub(super) async fn get_details(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    let (item, url) = call.parts.rotated_secrets.targets().get(&name).await?;
    Ok(json!({"target": shown(&item), "value": {"web_target_details": {"url": url}}}).into())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct List {
    #[serde(default, rename = "type", deserialize_with = "fields::texts")]
    kinds: Vec<String>,
    #[serde(default, deserialize_with = "fields::text")]
    filter: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    pagination_token: Option<String>,
}

/// `/target-list`, and `/list-targets`.
pub(super) async fn list(call: Call) -> Answer {
    let List { kinds, filter, pagination_token } = call.fields()?;
    check_page(pagination_token.as_deref())?;
    for kind in &kinds {
        if !KINDS_OF_THE_VENDOR.contains(&kind.to_lowercase().replace('_', "-").as_str()) {
            return Err(Invalid::new("type", "is web; there are no targets of other types").into());
        }
    }
    if !kinds.is_empty() && !kinds.iter().any(|kind| kind.eq_ignore_ascii_case("web")) {
        return Ok(json!({"targets": [], "next_page": ""}).into());
    }
    let kinds = vec![ItemKind::Target];
    let query = ListQuery { kinds, filter, after: pagination_token, ..ListQuery::default() };
    let page = tree(&call.parts).list(&query, PAGE).await?;
    let targets: Value = page.items.iter().map(shown).collect();
    Ok(json!({"targets": targets, "next_page": page.next.unwrap_or_default()}).into())
}

/// `/target-delete`, and `/delete-target`: refused while a rotated secret uses it.
pub(super) async fn delete(call: Call) -> Answer {
    let Named { name } = call.fields()?;
    call.parts.rotated_secrets.targets().delete(&name).await?;
    Ok(json!({}).into())
}

fn shown(item: &Item) -> Value {
    let mut shown = super::item::shown(item, false);
    for (ours, theirs) in
        [("item_id", "target_id"), ("item_name", "target_name"), ("item_metadata", "comment")]
    {
        shown[theirs] = shown[ours].take();
    }
    shown["target_type"] = "web".into();
    shown
}

/// Some clients say with words that they say nothing.
fn is_said(text: &String) -> bool {
    text != "default_comment" && text != "default_metadata"
}

/// The vendor's types of targets; there are none here but web.
const KINDS_OF_THE_VENDOR: &[&str] = &[
    "web",
    "artifactory",
    "aws",
    "azure",
    "chef",
    "db",
    "dockerhub",
    "eks",
    "gcp",
    "gemini",
    "github",
    "gitlab",
    "gke",
    "globalsign",
    "globalsign-atlas",
    "godaddy",
    "google",
    "hashi-vault",
    "k8s",
    "ldap",
    "letsencrypt",
    "linked",
    "openai",
    "ping",
    "rabbitmq",
    "rabbit-mq",
    "salesforce",
    "sectigo",
    "ssh",
    "venafi",
    "windows",
    "zerossl",
];

const PAGE: usize = 1000;
