//! Settings of plugins, and what consumers show to them: of what is taken a plugin can be made, for there a check is
//! the last word. What holds a reference is checked again when its value is known.
//!
//! The first line is a plugin's name, after `consumer ` for what consumers show; the rest is the JSON.

use std::sync::Arc;

use gateward_plugins::{Shared, Site, kind};
use serde_json::Value;

use crate::named;
use crate::stage::with_stage;

pub(crate) fn run(input: &[u8]) {
    let Some((name, json)) = named(input) else { return };
    if json.to_string().contains("{vault://") {
        return;
    }
    match name.strip_prefix("consumer ") {
        Some(name) => show(name, &json),
        None => with_stage(|stage| build(name, &json, &stage.shared)),
    }
}

fn build(name: &str, json: &Value, shared: &Arc<Shared>) {
    let Some(kind) = kind(name) else { return };
    let site = Site { owner: "route/1", metadata: None, shared };
    match (kind.check)(json) {
        Ok(()) => drop((kind.build)(json, &site).expect("what passes the check can be built")),
        Err(error) => assert!(!error.problem.is_empty()),
    }
}

fn show(name: &str, json: &Value) {
    let Some(consumer) = kind(name).and_then(|kind| kind.consumer.as_ref()) else { return };
    if (consumer.check)(json).is_ok() {
        let credential = (consumer.build)(json).expect("what passes the check can be built");
        assert!(!credential.key.is_empty(), "who shows nothing is nobody");
    }
}
