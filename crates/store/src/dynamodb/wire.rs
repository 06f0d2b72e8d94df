//! What stands in the table, and how it is asked for: DynamoDB's JSON.
//!
//! | attribute | what it holds |
//! |---|---|
//! | `p`, `s` | the partition and the sort key, each after a `/`: an empty one is none of DynamoDB's |
//! | `v` | the version |
//! | `d` | the value; absent where it is empty |
//! | `n` | of a counter, in place of a value; at zero the item counts as nothing |
//! | `c` | the tag of the commit that wrote it |
//!
//! The engine's own items have a partition that begins with `#`; see `log.rs`.

use std::ops::{Bound, RangeBounds as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{DynamoError, engine};
use crate::{Change, Entry, Key, Precondition, StoreError, Write};

/// An item's attributes.
pub(super) type Item = Map<String, Value>;

/// What a commit leaves in everything that it writes: a random text that no other commit has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    pub(super) fn random() -> Self {
        Self(format!("{:032x}", fastrand::u128(..)))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the commit with this tag was the last to write `item`.
    pub(super) fn is_of(&self, item: &Item) -> bool {
        string(item, "c").is_some_and(|tag| tag == self.0)
    }
}

/// A part of a partition.
pub(super) struct Range(pub (Bound<String>, Bound<String>));

impl Range {
    pub(super) fn contains(&self, sort: &String) -> bool {
        self.0.contains(sort)
    }

    /// DynamoDB refuses such a range.
    pub(super) fn ends_before_it_starts(&self) -> bool {
        match (&self.0.0, &self.0.1) {
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (
                Bound::Included(start) | Bound::Excluded(start),
                Bound::Included(end) | Bound::Excluded(end),
            ) => start >= end,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        }
    }
}

/// A page of a query.
pub(super) struct Page {
    pub items: Vec<Item>,
    /// Where the next one starts, if there is one.
    pub next: Option<Value>,
}

/// Why an item of a transaction stood against it.
pub(super) struct Reason {
    pub code: String,
    /// The item as it stands, where a condition failed.
    pub item: Option<Item>,
}

impl Reason {
    pub(super) fn is_failed_condition(&self) -> bool {
        self.code == "ConditionalCheckFailed"
    }
}

/// The key of an entry's item.
pub(super) fn key(key: &Key) -> Value {
    json!({ "p": { "S": format!("/{}", key.partition) }, "s": { "S": format!("/{}", key.sort) } })
}

/// The key of an item of the engine's own.
pub(super) fn own_key(partition: &str, sort: &str) -> Value {
    json!({ "p": { "S": format!("#{partition}") }, "s": { "S": format!("/{sort}") } })
}

/// The part of a transaction that does `write`; `None` if there is nothing to it.
pub(super) fn part(table: &str, write: &Write, tag: &Tag) -> Option<Value> {
    let (condition, values) = condition(write);
    let action = match &write.change {
        Change::Check => {
            condition?;
            "ConditionCheck"
        }
        Change::Delete => "Delete",
        Change::Add(_) => "Update",
        Change::Put(_) if condition.is_some() => "Put",
        Change::Put(_) => "Update",
    };
    let mut part = json!({ "TableName": table });
    let mut values = values;
    match &write.change {
        Change::Put(value) if action == "Put" => part["Item"] = put_item(write, value, tag),
        Change::Put(value) => {
            // The version is not known, so it grows in the table.
            part["Key"] = key(&write.key);
            let expression = if value.is_empty() {
                "SET v = if_not_exists(v, :zero) + :one, c = :c REMOVE d"
            } else {
                values.insert(":d".to_owned(), binary(value));
                "SET v = if_not_exists(v, :zero) + :one, c = :c, d = :d"
            };
            part["UpdateExpression"] = expression.into();
            values.insert(":zero".to_owned(), number(0));
            values.insert(":one".to_owned(), number(1));
            values.insert(":c".to_owned(), json!({ "S": tag.as_str() }));
        }
        Change::Add(add) => {
            part["Key"] = key(&write.key);
            part["UpdateExpression"] = "SET v = if_not_exists(v, :zero) + :one, c = :c ADD n :add".into();
            values.insert(":zero".to_owned(), number(0));
            values.insert(":one".to_owned(), number(1));
            values.insert(":c".to_owned(), json!({ "S": tag.as_str() }));
            values.insert(":add".to_owned(), json!({ "N": add.to_string() }));
        }
        Change::Check | Change::Delete => part["Key"] = key(&write.key),
    }
    if let Some(condition) = condition {
        part["ConditionExpression"] = condition.into();
        part["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD".into();
    }
    if !values.is_empty() {
        part["ExpressionAttributeValues"] = Value::Object(values);
    }
    Some(json!({ action: part }))
}

/// The whole item of `write`, whose precondition says which version it will have.
fn put_item(write: &Write, value: &Bytes, tag: &Tag) -> Value {
    let version = match write.precondition {
        Precondition::Version(version) => version.saturating_add(1),
        Precondition::Absent | Precondition::Any | Precondition::Below(_) => 1,
    };
    let mut item = key(&write.key);
    item["v"] = number(version);
    item["c"] = json!({ "S": tag.as_str() });
    if !value.is_empty() {
        item["d"] = binary(value);
    }
    item
}

/// A write's precondition, as DynamoDB has it, with the values that it is about.
fn condition(write: &Write) -> (Option<&'static str>, Item) {
    let mut values = Item::new();
    let condition = match write.precondition {
        // A value that stands there is not to become a counter.
        Precondition::Any if matches!(write.change, Change::Add(_)) => {
            Some("attribute_not_exists(p) OR attribute_exists(n)")
        }
        Precondition::Any => None,
        Precondition::Below(bound) => {
            values.insert(":bound".to_owned(), number(bound));
            // Nothing counts as zero, which is below every bound but zero.
            Some(if bound == 0 { "n < :bound" } else { "attribute_not_exists(p) OR n < :bound" })
        }
        Precondition::Absent => Some("attribute_not_exists(p)"),
        Precondition::Version(version) => {
            values.insert(":expected".to_owned(), number(version));
            Some("v = :expected")
        }
    };
    (condition, values)
}

/// What asks for a page of at most `limit` entries of `range` in `partition`.
pub(super) fn query(
    table: &str,
    partition: &str,
    range: &Range,
    limit: usize,
    start: Option<&Value>,
) -> Value {
    let mut values = Item::new();
    values.insert(":p".to_owned(), json!({ "S": format!("/{partition}") }));
    let mut at = |name: &str, sort: &str| {
        values.insert(name.to_owned(), json!({ "S": format!("/{sort}") }));
    };
    // One condition is all that a sort key may have, and only the one with both ends names two; both are within it.
    let condition = match (&range.0.0, &range.0.1) {
        (Bound::Unbounded, Bound::Unbounded) => "p = :p",
        (Bound::Included(start), Bound::Unbounded) => {
            at(":a", start);
            "p = :p AND s >= :a"
        }
        (Bound::Excluded(start), Bound::Unbounded) => {
            at(":a", start);
            "p = :p AND s > :a"
        }
        (Bound::Unbounded, Bound::Included(end)) => {
            at(":b", end);
            "p = :p AND s <= :b"
        }
        (Bound::Unbounded, Bound::Excluded(end)) => {
            at(":b", end);
            "p = :p AND s < :b"
        }
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            at(":a", start);
            at(":b", end);
            "p = :p AND s BETWEEN :a AND :b"
        }
    };
    // Either end may have to be left out.
    let limit = limit.saturating_add(2).min(MOST_IN_A_PAGE);
    let mut query = json!({
        "TableName": table,
        "ConsistentRead": true,
        "KeyConditionExpression": condition,
        "ExpressionAttributeValues": values,
        "ProjectionExpression": "s, v, d, n",
        "Limit": limit,
    });
    if let Some(start) = start {
        query["ExclusiveStartKey"] = start.clone();
    }
    query
}

/// The item in the answer to `GetItem`, if there is one.
pub(super) fn item(answer: &[u8]) -> Result<Option<Item>, StoreError> {
    Ok(match object(answer)?.remove("Item") {
        Some(Value::Object(item)) => Some(item),
        _ => None,
    })
}

/// The answer to `Query`.
pub(super) fn page(answer: &[u8]) -> Result<Page, StoreError> {
    let mut answer = object(answer)?;
    let Some(Value::Array(items)) = answer.remove("Items") else {
        return Err(garbage("a page without items"));
    };
    let items = items.into_iter().map(|item| match item {
        Value::Object(item) => Ok(item),
        _ => Err(garbage("an item that is none")),
    });
    let items = items.collect::<Result<_, _>>()?;
    Ok(Page { items, next: answer.remove("LastEvaluatedKey").filter(|key| !key.is_null()) })
}

/// Why a transaction was canceled, part by part.
pub(super) fn reasons(answer: &[u8]) -> Result<Vec<Reason>, StoreError> {
    let Some(Value::Array(reasons)) = object(answer)?.remove("CancellationReasons") else {
        return Err(garbage("a canceled transaction without reasons"));
    };
    let read = reasons.into_iter().map(|mut reason| {
        let code = reason["Code"].as_str().unwrap_or("None").to_owned();
        let item = match reason["Item"].take() {
            Value::Object(item) => Some(item),
            _ => None,
        };
        Reason { code, item }
    });
    Ok(read.collect())
}

/// The key of `item`, which was listed in `partition`.
pub(super) fn key_of(partition: &str, item: &Item) -> Result<Key, StoreError> {
    let sort = string(item, "s").and_then(|sort| sort.strip_prefix('/'));
    let sort = sort.ok_or_else(|| garbage("an item without a sort key"))?;
    Ok(Key { partition: partition.to_owned(), sort: sort.to_owned() })
}

/// The entry that `item` is; `None` for a counter at zero.
pub(super) fn entry(key: Key, item: &Item) -> Result<Option<Entry>, StoreError> {
    let version = count(item, "v").ok_or_else(|| garbage("an item without a version"))?;
    if let Some(number) = item.get("n") {
        let count = number["N"].as_str().and_then(|count| count.parse::<i64>().ok());
        let count = count.ok_or_else(|| garbage("a counter that is no whole number"))?;
        let value = u64::try_from(count).ok().filter(|count| *count > 0);
        return Ok(value.map(|count| {
            let value = Bytes::copy_from_slice(&count.to_be_bytes());
            Entry { key, value, version }
        }));
    }
    let value = match item.get("d") {
        None => Bytes::new(),
        Some(value) => {
            let encoded = value["B"].as_str().ok_or_else(|| garbage("a value that is not binary"))?;
            Bytes::from(STANDARD.decode(encoded).map_err(|_| garbage("a value that is not base64"))?)
        }
    };
    Ok(Some(Entry { key, value, version }))
}

/// A string attribute.
pub(super) fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.get("S")?.as_str()
}

/// A whole number.
pub(super) fn count(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.get("N")?.as_str()?.parse().ok()
}

pub(super) fn number(number: u64) -> Value {
    json!({ "N": number.to_string() })
}

pub(super) fn object(answer: &[u8]) -> Result<Map<String, Value>, StoreError> {
    serde_json::from_slice(answer).map_err(|_| garbage("no JSON"))
}

pub(super) fn garbage(what: &'static str) -> StoreError {
    engine(DynamoError::Garbage(what))
}

fn binary(value: &[u8]) -> Value {
    json!({ "B": STANDARD.encode(value) })
}

/// What is in a page is bounded by DynamoDB, too, by a megabyte.
const MOST_IN_A_PAGE: usize = 1000;
