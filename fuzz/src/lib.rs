//! What the fuzz targets do: one function each, which takes whatever bytes come and asserts what its parser promises.
//!
//! They are plain functions, so that a test can call them over the seeds; `targets/` hands them to libFuzzer.

mod admin_json;
mod allowed_access;
mod answer;
mod aws_profile;
mod cloud_id;
mod event;
mod expression;
mod fragments;
mod hygiene;
mod jwt;
mod names;
mod path;
mod plugin;
mod producer_token;
mod proxy_protocol;
mod reference;
mod request;
mod resource;
mod resource_file;
mod router;
mod signature;
mod stage;
mod sts_answer;
mod template;
mod texts_with_references;
mod uri;

use serde_json::Value;

/// A target: it returns if all is well, and panics if not.
pub type Target = fn(&[u8]);

/// All targets, by the names of their binaries and of their folders in `seeds/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("admin_json", admin_json::run),
    ("allowed_access", allowed_access::run),
    ("answer", answer::run),
    ("aws_profile", aws_profile::run),
    ("cloud_id", cloud_id::run),
    ("event", event::run),
    ("expression", expression::run),
    ("fragments", fragments::run),
    ("hygiene", hygiene::run),
    ("jwt", jwt::run),
    ("names", names::run),
    ("path", path::run),
    ("plugin", plugin::run),
    ("producer_token", producer_token::run),
    ("proxy_protocol", proxy_protocol::run),
    ("reference", reference::run),
    ("resource", resource::run),
    ("resource_file", resource_file::run),
    ("router", router::run),
    ("signature", signature::run),
    ("sts_answer", sts_answer::run),
    ("template", template::run),
    ("texts_with_references", texts_with_references::run),
    ("uri", uri::run),
];

/// Runs the target of that name.
///
/// # Panics
///
/// If there is none, and if it finds something.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, run) = target.expect("every binary is named as a target");
    run(input);
}

/// The first byte of `input`, which chooses among a few ways to go on, and the rest.
fn choice(input: &[u8]) -> Option<(usize, &[u8])> {
    let (choice, rest) = input.split_first()?;
    Some((usize::from(*choice), rest))
}

/// The first line of `input`, which chooses among many ways to go on, and the JSON after it.
fn named(input: &[u8]) -> Option<(&str, Value)> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    let name = std::str::from_utf8(&input[..end]).ok()?;
    Some((name, serde_json::from_slice(&input[end + 1..]).ok()?))
}

/// Whether `json` is written as it is here, and so says nothing twice.
fn says_all_once(json: &[u8]) -> bool {
    let Ok(read) = serde_json::from_slice::<Value>(json) else { return false };
    serde_json::to_vec(&read).is_ok_and(|written| written == json)
}
