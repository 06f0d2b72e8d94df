//! What there is to know about plugins and schemas.

use std::cmp::Reverse;

use gateward_plugins::Kind as Plugin;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::address::Page;
use super::arguments::Arguments;
use super::problem::Problem;
use super::{Answer, Reply, schemas};

pub(super) fn answer(page: &Page, arguments: &Arguments, method: &Method) -> Answer {
    let reading = matches!(*method, Method::GET | Method::HEAD);
    match page {
        // Plugins are compiled in; there is nothing to read anew, and a client that asks for it is not to stumble.
        Page::Reload if method == Method::PUT => Ok(Reply::Text(StatusCode::OK, "done")),
        Page::Reload => Err(Problem::not_allowed("please use PUT method to reload the plugins only.")),
        _ if !reading => {
            Err(Problem::not_allowed(format!("not supported `{method}` method for plugins and schemas")))
        }
        Page::PluginNames => names(arguments),
        Page::Plugins if arguments.get("all") == Some("true") => all(arguments),
        Page::Plugins => Err(Problem::not_found(
            "plugin not found in subsystem http; name one, or ask for plugins/list or plugins?all=true",
        )),
        Page::Plugin(_) if arguments.get("all") == Some("true") => all(arguments),
        Page::Plugin(name) => plugin(name, arguments),
        Page::Schema(resource) => match schemas::of(resource) {
            Some(schema) => Ok(Reply::Json(StatusCode::OK, schema)),
            None => Err(Problem::bad(format!("not found schema: {resource}"))),
        },
    }
}

fn names(arguments: &Arguments) -> Answer {
    let names: Vec<&str> = match subsystem(arguments)? {
        Subsystem::Http => by_priority().iter().map(|plugin| plugin.name).collect(),
        Subsystem::Stream => Vec::new(),
    };
    Ok(Reply::Json(StatusCode::OK, json!(names)))
}

fn all(arguments: &Arguments) -> Answer {
    let plugins: Map<String, Value> = match subsystem(arguments)? {
        Subsystem::Http => {
            by_priority().iter().map(|plugin| (plugin.name.to_owned(), description(plugin))).collect()
        }
        Subsystem::Stream => Map::new(),
    };
    Ok(Reply::Json(StatusCode::OK, Value::Object(plugins)))
}

fn plugin(name: &str, arguments: &Arguments) -> Answer {
    let found = match subsystem(arguments)? {
        Subsystem::Http => gateward_plugins::kind(name),
        Subsystem::Stream => None,
    };
    let found = found.ok_or_else(|| Problem::not_found(format!("plugin not found: {name}")))?;
    let schema = match arguments.get("schema_type") {
        Some("consumer") => found.consumer.as_ref().map(|consumer| (consumer.schema)()),
        Some("metadata") => found.metadata.as_ref().map(|metadata| (metadata.schema)()),
        _ => Some((found.schema)()),
    };
    match schema {
        Some(schema) => Ok(Reply::Json(StatusCode::OK, schema)),
        None => Err(Problem::bad(format!("not found schema: {name} has none of this type"))),
    }
}

fn description(plugin: &Plugin) -> Value {
    let mut description = json!({
        "version": 0.1, "priority": plugin.priority, "schema": (plugin.schema)(),
    });
    if let Some(consumer) = &plugin.consumer {
        description["type"] = "auth".into();
        description["consumer_schema"] = (consumer.schema)();
    }
    if let Some(metadata) = &plugin.metadata {
        description["metadata_schema"] = (metadata.schema)();
    }
    description
}

fn by_priority() -> Vec<&'static Plugin> {
    let mut plugins: Vec<&Plugin> = gateward_plugins::kinds().iter().collect();
    plugins.sort_by_key(|plugin| (Reverse(plugin.priority), plugin.name));
    plugins
}

/// APISIX has two worlds of plugins; in the second, that of bare TCP, there are none here.
enum Subsystem {
    Http,
    Stream,
}

fn subsystem(arguments: &Arguments) -> Result<Subsystem, Problem> {
    match arguments.get("subsystem") {
        None | Some("http") => Ok(Subsystem::Http),
        Some("stream") => Ok(Subsystem::Stream),
        Some(other) => Err(Problem::bad(format!("unsupported subsystem: {other}"))),
    }
}
