//! What an item is sealed with, where somebody chose that: a customer fragment, or a key, which is a name for one.

use gateward_items::{Item, ItemError, ItemKind, Protection, Record};
use gateward_model::{Invalid, ItemName};
use gateward_seal::FragmentId;
use serde::Deserialize;
use serde_json::json;

use super::item::tree;
use super::{Answer, ApiError, Call, fields};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Create {
    name: ItemName,
    #[serde(default, deserialize_with = "fields::text")]
    alg: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    customer_frg_id: Option<String>,
    #[serde(default, deserialize_with = "fields::text")]
    description: Option<String>,
    /// What older clients call the description.
    #[serde(default, deserialize_with = "fields::text")]
    metadata: Option<String>,
    #[serde(default, deserialize_with = "fields::texts")]
    tag: Vec<String>,
    #[serde(default, deserialize_with = "fields::flag")]
    delete_protection: bool,
}

/// `/create-dfc-key`: a name for a customer fragment, by which items are sealed with it.
pub(super) async fn create_key(call: Call) -> Answer {
    let sent: Create = call.fields()?;
    if sent.alg.as_deref().is_some_and(|alg| alg != "AES256GCM") {
        return Err(Invalid::new("alg", "is AES256GCM; nothing else seals").into());
    }
    let Some(fragment) = sent.customer_frg_id.as_deref().filter(|id| !id.is_empty()) else {
        let problem = "is missing; what is sealed without a customer fragment needs no key";
        return Err(Invalid::new("customer-frg-id", problem).into());
    };
    let fragment = given(&call, "customer-frg-id", fragment)?;
    let record = Record {
        description: sent.description.or(sent.metadata),
        tags: sent.tag,
        delete_protection: sent.delete_protection,
        protection: Some(Protection { fragment, key: None }),
        ..Record::new(ItemKind::Key, call.parts.clock.now())
    };
    let item = tree(&call.parts).create(Item { name: sent.name, record }).await?;
    Ok(json!({"name": item.name, "item_id": item.record.id, "display_id": item.record.id.to_string()}).into())
}

/// What `text` of the field `field` chooses: the fragment of that id, or the one that the key of that name stands for.
pub(super) async fn chosen(
    call: &Call,
    field: &str,
    text: Option<&str>,
) -> Result<Option<Protection>, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.starts_with("cf-") {
        return Ok(Some(Protection { fragment: given(call, field, text)?, key: None }));
    }
    let name = ItemName::parse(text).map_err(|error| Invalid { field: field.to_owned(), ..error })?;
    let key = match tree(&call.parts).get_kind(&name, ItemKind::Key).await {
        Err(ItemError::Missing(name)) => {
            let problem = format!(
                "there is no key {name}; give the id of a customer fragment (cf-…), or make the key with create-dfc-key"
            );
            return Err(Invalid::new(field, problem).into());
        }
        found => found?.item,
    };
    key.check_enabled()?;
    let fragment = key.record.protection.map(|protection| protection.fragment);
    let missing = || Invalid::new(field, format!("{name} stands for no customer fragment"));
    let fragment = given(call, field, fragment.ok_or_else(missing)?.as_str())?;
    Ok(Some(Protection { fragment, key: Some(name) }))
}

/// The fragment called `text`, if this gateway has it: what it cannot open again it seals no value with.
fn given(call: &Call, field: &str, text: &str) -> Result<FragmentId, Invalid> {
    let id: FragmentId = text.parse().map_err(|error| Invalid::new(field, format!("{error}")))?;
    if call.parts.sealer.has_fragment(&id) {
        return Ok(id);
    }
    Err(Invalid::new(
        field,
        format!("this gateway was not given the customer fragment {id}; start it with that"),
    ))
}
