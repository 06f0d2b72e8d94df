//! What requests are told apart by where the same one shall come to the same node.

use std::net::IpAddr;

use gateward_model::apisix::{Balancing, HashOn};
use gateward_vars::{Facts, Template, Variable};

use crate::hashing::hash;

/// What a request is told apart by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key(u64);

impl Key {
    pub(super) fn hash(self) -> u64 {
        self.0
    }
}

/// Where a key comes from.
#[derive(Debug)]
pub(super) enum KeySource {
    Variable(Variable),
    Combination(Template),
}

impl KeySource {
    /// Where `balancing` takes its keys from, if it has any.
    pub(super) fn of(balancing: &Balancing) -> Option<Self> {
        let Balancing::ConsistentHash(hash_on) = balancing else { return None };
        let variable = |name: &str| Self::Variable(Variable::parse(name));
        Some(match hash_on {
            HashOn::Variable(name) => variable(name),
            HashOn::Header(name) => variable(&format!("http_{}", name.to_ascii_lowercase())),
            HashOn::Cookie(name) => variable(&format!("cookie_{name}")),
            HashOn::Consumer => variable("consumer_name"),
            HashOn::Combination(text) => Self::Combination(Template::parse(text)),
        })
    }

    /// Whether it stands in the request's body.
    pub(super) fn needs_body(&self) -> bool {
        match self {
            Self::Variable(variable) => variable.needs_body(),
            Self::Combination(template) => template.needs_body(),
        }
    }

    /// The key in `facts`, or the client's address if there is none.
    pub(super) fn key(&self, facts: &Facts<'_>) -> Key {
        let text = match self {
            Self::Variable(variable) => facts.get(variable),
            Self::Combination(template) => template.render_if_any(facts),
        };
        match text {
            Some(text) if !text.is_empty() => Key(hash(text.as_bytes())),
            _ => match facts.client.to_canonical() {
                IpAddr::V4(address) => Key(hash(&address.octets())),
                IpAddr::V6(address) => Key(hash(&address.octets())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use gateward_net::{Conn, Scheme};
    use http::{HeaderMap, HeaderValue, Method, Uri, Version};
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::upstream;

    fn key(chash: &Value, target: &str, headers: &[(&'static str, &str)], client: &str) -> Key {
        let mut json = json!({"type": "chash", "nodes": []});
        json.as_object_mut().unwrap().extend(chash.as_object().unwrap().clone());
        let target: Uri = target.parse().unwrap();
        let mut fields = HeaderMap::new();
        for (name, value) in headers {
            fields.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let client: IpAddr = client.parse().unwrap();
        let local = "127.0.0.1:9080".parse().unwrap();
        let conn = Conn { client: (client, 4711).into(), local, scheme: Scheme::Http, tls: None };
        let facts = Facts {
            method: &Method::GET,
            target: &target,
            version: Version::HTTP_11,
            host: "example.com",
            headers: &fields,
            body: None,
            conn: &conn,
            client,
            client_port: None,
            request_id: "id",
            params: None,
            route: None,
            consumer: fields.get("consumer").and_then(|name| name.to_str().ok()),
            consumer_group: None,
            upstream: None,
        };
        KeySource::of(&upstream(&json).balancing).unwrap().key(&facts)
    }

    #[test]
    fn a_key_is_what_the_upstream_says() {
        let of = |text: &str| Key(hash(text.as_bytes()));
        let headers = [("x-tenant", "t1"), ("cookie", "a=1; session=s1"), ("consumer", "jack")];
        let cases = [
            (json!({"key": "arg_id"}), "7"),
            (json!({"key": "uri"}), "/a/b"),
            (json!({"hash_on": "header", "key": "X-Tenant"}), "t1"),
            (json!({"hash_on": "cookie", "key": "session"}), "s1"),
            (json!({"hash_on": "consumer"}), "jack"),
            (json!({"hash_on": "vars_combinations", "key": "$arg_id-$http_x_tenant"}), "7-t1"),
        ];
        for (chash, text) in cases {
            assert_eq!(key(&chash, "/a/b?id=7", &headers, "192.0.2.1"), of(text), "{chash}");
        }
    }

    #[test]
    fn without_a_key_it_is_the_clients_address_in_whatever_spelling() {
        for chash in [
            json!({"key": "arg_id"}),
            json!({"key": "query_string"}),
            json!({"hash_on": "header", "key": "X-Tenant"}),
            json!({"hash_on": "consumer"}),
            json!({"hash_on": "vars_combinations", "key": "a$arg_id"}),
        ] {
            let by = |client: &str| key(&chash, "/", &[("x-tenant", "")], client);
            assert_eq!(by("192.0.2.1"), by("::ffff:192.0.2.1"), "{chash}");
            let clients = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
            assert_eq!(clients.map(|client| by(client).hash()).into_iter().collect::<HashSet<_>>().len(), 3);
        }
    }
}
