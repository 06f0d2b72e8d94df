//! How one of an upstream's nodes is chosen.

use super::holds_reference;
use crate::Invalid;

/// How one of an upstream's nodes is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balancing {
    /// In turn, each as often as its weight says (`roundrobin`).
    #[default]
    RoundRobin,
    /// Always the same one for the same key, as far as the nodes stay the same (`chash`).
    ConsistentHash(HashOn),
    /// The one with the fewest requests under way for its weight (`least_conn`).
    LeastConnections,
    /// The faster one of two that are drawn (`ewma`).
    Ewma,
}

/// What a key is taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashOn {
    /// A variable (`vars`).
    Variable(String),
    /// A request header, by its name.
    Header(String),
    /// A cookie, by its name.
    Cookie(String),
    /// The name of the consumer.
    Consumer,
    /// A text with variables in it (`vars_combinations`).
    Combination(String),
}

impl Balancing {
    /// As it stands in a resource's `type`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::RoundRobin => "roundrobin",
            Self::ConsistentHash(_) => "chash",
            Self::LeastConnections => "least_conn",
            Self::Ewma => "ewma",
        }
    }

    pub(super) fn parse(
        balancing: Option<&str>,
        hash_on: Option<&str>,
        key: Option<String>,
    ) -> Result<Self, Invalid> {
        // What hash_on and key say is checked even where nothing is hashed: it may be a `type` that was forgotten.
        let known = ["vars", "header", "cookie", "consumer", "vars_combinations"];
        let hash_on = hash_on.unwrap_or("vars");
        if !known.contains(&hash_on) {
            return Err(Invalid::new(
                "hash_on",
                "is one of vars, header, cookie, consumer and vars_combinations",
            ));
        }
        match balancing {
            None | Some("roundrobin") => Ok(Self::RoundRobin),
            Some("chash") => Ok(Self::ConsistentHash(HashOn::parse(hash_on, key)?)),
            Some("least_conn") => Ok(Self::LeastConnections),
            Some("ewma") => Ok(Self::Ewma),
            Some(_) => Err(Invalid::new("type", "is one of roundrobin, chash, least_conn and ewma")),
        }
    }
}

impl HashOn {
    fn parse(hash_on: &str, key: Option<String>) -> Result<Self, Invalid> {
        if hash_on == "consumer" {
            return Ok(Self::Consumer);
        }
        let key = key
            .filter(|key| !key.is_empty())
            .ok_or_else(|| Invalid::new("key", "is required where type is chash"))?;
        match hash_on {
            _ if holds_reference(&key) => Ok(Self::Combination(key)),
            "header" if is_name(&key) => Ok(Self::Header(key)),
            "cookie" if is_name(&key) => Ok(Self::Cookie(key)),
            "header" | "cookie" => Err(Invalid::new(
                "key",
                "is the name of a header or cookie: letters, digits, `-` and `_`; what to hash on is said by hash_on",
            )),
            "vars_combinations" => Ok(Self::Combination(key)),
            _ if is_variable(&key) => Ok(Self::Variable(key)),
            _ => Err(Invalid::new(
                "key",
                format!("is arg_ and the name of an argument, or one of {}", VARIABLES.join(", ")),
            )),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn is_variable(text: &str) -> bool {
    VARIABLES.contains(&text) || text.strip_prefix("arg_").is_some_and(is_name)
}

/// The variables that may be hashed on. With any other name every request would fall back to the client's address.
const VARIABLES: [&str; 9] = [
    "uri",
    "request_uri",
    "query_string",
    "host",
    "hostname",
    "remote_addr",
    "remote_port",
    "server_addr",
    "server_name",
];
