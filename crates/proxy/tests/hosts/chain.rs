//! What plugins, services and consumers do with requests: a whole gateway, configured through its store, with a real
//! upstream behind it that tells what it was sent.

mod authentication;
mod certificates;
mod facts;
mod limits;
mod meta;
mod origins;
mod precedence;
mod references;
mod rewriting;
mod services;

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::support::{Gate, Plane, body, header, nodes, status, upstream};

/// A gateway, and the upstream behind it.
struct Place {
    gate: Gate,
    upstream: SocketAddr,
}

/// What a client got.
struct Reply(String);

impl Place {
    async fn new() -> Self {
        Self::in_environment(&[]).await
    }

    /// One whose vault `env` holds these.
    async fn in_environment(environment: &[(&str, &str)]) -> Self {
        let (upstream, _) = upstream("told").await;
        let gate =
            Gate::with(Plane::start(environment), gateward_proxy::host::server::Limits::default(), None)
                .await;
        Self { gate, upstream }
    }

    async fn put(&self, kind: &str, id: &str, json: Value) {
        self.gate.plane.put(kind, id, &json).await;
    }

    /// A route for `uri` with `plugins`.
    async fn route(&self, uri: &str, plugins: Value) {
        self.route_with(uri, json!({"plugins": plugins})).await;
    }

    /// A route for `uri` with these `fields` besides.
    async fn route_with(&self, uri: &str, fields: Value) {
        let mut route = json!({"uri": uri, "upstream": nodes(&[self.upstream])});
        for (name, field) in fields.as_object().unwrap() {
            route[name] = field.clone();
        }
        let id = uri.replace('/', "-").replace('*', "any");
        self.put("routes", &id, route).await;
    }

    /// A consumer with a key that is called like itself, and with these `fields` besides.
    async fn consumer(&self, name: &str, fields: Value) {
        let mut consumer = json!({"username": name, "plugins": {}});
        for (field, value) in fields.as_object().unwrap() {
            consumer[field] = value.clone();
        }
        consumer["plugins"]["key-auth"] = json!({"key": format!("{name}-key")});
        self.put("consumers", name, consumer).await;
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.ask("GET", target, headers).await
    }

    async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            request.push_str("Host: gate.example\r\n");
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        Reply(self.gate.raw(request + "\r\n").await)
    }
}

impl Reply {
    fn status(&self) -> u16 {
        status(&self.0)
    }

    fn header(&self, name: &str) -> Option<&str> {
        header(&self.0, name)
    }

    /// The JSON that came.
    fn json(&self) -> Value {
        body(&self.0)
    }

    /// What the upstream was sent of that name, joined.
    #[track_caller]
    fn sent(&self, name: &str) -> Option<String> {
        let told = self.json();
        assert_eq!(told["name"], "told", "the upstream did not answer: {}", self.0);
        let values = told["headers"][name].as_array()?;
        Some(values.iter().map(|value| value.as_str().unwrap()).collect::<Vec<_>>().join("|"))
    }

    /// The target that the upstream was sent.
    fn target(&self) -> String {
        self.json()["target"].as_str().unwrap_or_default().to_owned()
    }
}
