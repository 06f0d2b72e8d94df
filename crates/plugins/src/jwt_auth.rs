//! `jwt-auth`: a consumer is recognised by a token that it has signed, or somebody for it (RFC 7519).
//!
//! The token names the consumer in a claim, and the consumer's own settings say by which algorithm and key the token
//! must be signed. What the token's header says of the algorithm is compared with that and otherwise believed in
//! nothing, so a token cannot choose a weaker algorithm, nor have a public key taken for a shared secret.

mod key;
mod token;

use std::sync::Arc;

use gateward_model::Invalid;
use gateward_seal::SecretValue;
use http::header::COOKIE;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::authentication::{Challenge, check_name, header_name};
use crate::{ConsumerKind, Credential, Exchange, Kind, Phases, Plugin, Step, query};
use key::{Key, Shown};
use token::Token;

pub(crate) const KIND: Kind = Kind {
    name: NAME,
    priority: 2510,
    secrets: &[],
    phases: Phases { rewrite: true, access: false, respond: false, log: false },
    check: |json| Settings::read(json)?.check(),
    build: |json, site| {
        let plugin = JwtAuth::build(json)?;
        site.shared.confidential.add(&plugin.query);
        Ok(Arc::new(plugin))
    },
    schema,
    consumer: Some(ConsumerKind {
        secrets: &["/secret"],
        check: |json| Shown::read(json)?.check(),
        build: |json| {
            let shown = Shown::read(json)?;
            Ok(Credential { key: SecretValue::from(shown.key.as_str()), details: Box::new(shown.build()?) })
        },
        schema: key::schema,
    }),
    metadata: None,
};

const NAME: &str = "jwt-auth";

/// Lets those pass who show a token of a consumer.
#[derive(Debug)]
struct JwtAuth {
    header: HeaderName,
    query: Box<str>,
    cookie: Box<str>,
    hide: bool,
    key_claim: Box<str>,
    /// The claims about time that a token must have. Where it has one it counts, whether or not it must.
    required: Vec<Claim>,
    keeps_claims: bool,
    challenge: Challenge,
}

/// A claim about the time in which a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Claim {
    /// Until when.
    Exp,
    /// From when on.
    Nbf,
}

/// What the token of a request claims: a note that `store_in_ctx` leaves for plugins that come later.
pub struct TokenClaims(pub Map<String, Value>);

impl JwtAuth {
    fn build(json: &Value) -> Result<Self, Invalid> {
        let settings = Settings::read(json)?;
        settings.check()?;
        Ok(Self {
            header: header_name("header", &settings.header)?,
            query: settings.query.into(),
            cookie: settings.cookie.into(),
            hide: settings.hide_credentials,
            key_claim: settings.key_claim_name.into(),
            required: settings.claims_to_verify.unwrap_or_default(),
            keeps_claims: settings.store_in_ctx,
            challenge: Challenge::build("Bearer", &settings.realm, settings.anonymous_consumer)?,
        })
    }

    /// Whether somebody is recognised; else what is wrong, without what would help to forge a token.
    fn recognise(&self, exchange: &mut Exchange<'_>) -> Result<(), &'static str> {
        let text = self.find(exchange).ok_or("Missing JWT token in request")?;
        let token = Token::read(&text).ok_or("JWT token invalid")?;
        let name = token.claims.get(&*self.key_claim).ok_or("missing user key in JWT token")?;
        let name = name.as_str().ok_or("Invalid user key in JWT token")?;
        let known = exchange.consumers.find::<Key>(NAME, name);
        let (caller, key) = known.ok_or("Invalid user key in JWT token")?;
        let now = exchange.clock.now().secs();
        if !key.has_signed(&token) || !self.is_in_time(&token.claims, now, key.grace) {
            return Err("failed to verify jwt");
        }
        caller.enter(exchange);
        if self.keeps_claims {
            exchange.notes.put(TokenClaims(token.claims));
        }
        Ok(())
    }

    /// The token, from the first place where there is one.
    fn find(&self, exchange: &Exchange<'_>) -> Option<String> {
        let headers = exchange.request.headers();
        if let Some(value) = headers.get(&self.header) {
            let text = value.to_str().ok()?;
            let bare = text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer "));
            return Some(bare.unwrap_or(text).to_owned());
        }
        if let Some(text) = query::argument(exchange.request.uri(), &self.query) {
            return Some(text.into_owned());
        }
        let cookies = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
        let mut pairs = cookies.flat_map(|field| field.split(';'));
        pairs.find_map(|pair| self.value_in(pair).map(str::to_owned))
    }

    /// The value of a cookie that may hold a token, if `pair` is one.
    fn value_in<'c>(&self, pair: &'c str) -> Option<&'c str> {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == &*self.cookie).then_some(value.trim())
    }

    fn is_in_time(&self, claims: &Map<String, Value>, now: u64, grace: u64) -> bool {
        let (now, grace) = (now as f64, grace as f64);
        [Claim::Exp, Claim::Nbf].into_iter().all(|claim| match (claim, claims.get(claim.name())) {
            (claim, None) => !self.required.contains(&claim),
            (Claim::Exp, Some(until)) => until.as_f64().is_some_and(|until| now < until + grace),
            (Claim::Nbf, Some(from)) => from.as_f64().is_some_and(|from| from <= now + grace),
        })
    }

    /// Takes the token out of the request, wherever one could stand.
    fn conceal(&self, exchange: &mut Exchange<'_>) {
        query::remove(exchange.request.uri_mut(), &self.query);
        let headers = exchange.request.headers_mut();
        headers.remove(&self.header);
        let is_concerned = |field: &HeaderValue| {
            field.to_str().is_ok_and(|field| field.split(';').any(|pair| self.value_in(pair).is_some()))
        };
        if !headers.get_all(COOKIE).iter().any(is_concerned) {
            return;
        }
        let kept: Vec<HeaderValue> = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|field| match field.to_str() {
                Ok(text) => self.without_token(text),
                Err(_) => Some(field.clone()),
            })
            .collect();
        headers.remove(COOKIE);
        for field in kept {
            headers.append(COOKIE, field);
        }
    }

    /// A field `Cookie` without the cookie that may hold a token; none if nothing is left.
    fn without_token(&self, field: &str) -> Option<HeaderValue> {
        let others: Vec<&str> =
            field.split(';').filter(|pair| self.value_in(pair).is_none()).map(str::trim).collect();
        HeaderValue::try_from(others.join("; ")).ok().filter(|field| !field.is_empty())
    }
}

impl Plugin for JwtAuth {
    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let recognised = self.recognise(exchange);
        if self.hide {
            self.conceal(exchange);
        }
        match recognised {
            Ok(()) => Step::CONTINUE,
            Err(problem) => self.challenge.meet(problem, exchange),
        }
    }
}

impl Claim {
    fn name(self) -> &'static str {
        match self {
            Self::Exp => "exp",
            Self::Nbf => "nbf",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Settings {
    #[serde(default = "default_header")]
    header: String,
    #[serde(default = "default_name")]
    query: String,
    #[serde(default = "default_name")]
    cookie: String,
    #[serde(default)]
    hide_credentials: bool,
    #[serde(default = "default_key_claim")]
    key_claim_name: String,
    #[serde(default)]
    store_in_ctx: bool,
    #[serde(default = "default_name")]
    realm: String,
    anonymous_consumer: Option<String>,
    claims_to_verify: Option<Vec<Claim>>,
}

impl Settings {
    fn read(json: &Value) -> Result<Self, Invalid> {
        gateward_model::parse(json)
    }

    fn check(&self) -> Result<(), Invalid> {
        check_name("header", &self.header)?;
        if self.key_claim_name.is_empty() {
            return Err(Invalid::new("key_claim_name", "must not be empty"));
        }
        if let Some([one, other]) = self.claims_to_verify.as_deref()
            && one == other
        {
            return Err(Invalid::new("claims_to_verify", "must not hold a claim twice"));
        }
        if self.claims_to_verify.as_ref().is_some_and(|claims| claims.len() > 2) {
            return Err(Invalid::new("claims_to_verify", "must not hold a claim twice"));
        }
        Challenge::check(&self.realm, self.anonymous_consumer.as_deref())
    }
}

fn default_header() -> String {
    "authorization".to_owned()
}

fn default_name() -> String {
    "jwt".to_owned()
}

fn default_key_claim() -> String {
    "key".to_owned()
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "header": {"type": "string", "default": "authorization"},
            "query": {"type": "string", "default": "jwt"},
            "cookie": {"type": "string", "default": "jwt"},
            "hide_credentials": {"type": "boolean", "default": false},
            "key_claim_name": {"type": "string", "minLength": 1, "default": "key"},
            "store_in_ctx": {"type": "boolean", "default": false},
            "realm": {"type": "string", "minLength": 1, "maxLength": 128, "default": "jwt"},
            "anonymous_consumer": {"type": "string", "minLength": 1},
            "claims_to_verify": {
                "type": "array", "uniqueItems": true, "items": {"type": "string", "enum": ["exp", "nbf"]},
            },
        },
    })
}

#[cfg(test)]
mod tests;
