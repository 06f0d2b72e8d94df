//! One certificate, made ready for handshakes.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwapOption;
use gateward_model::Invalid;
use gateward_model::apisix::{ClientDemand, ClientTrust, KeyPair, ResourceId, Ssl, TlsVersion};
use gateward_seal::SecretValue;
use gateward_vars::RoutePath;
use gateward_vaults::{Asked, Binding, Resolver, Template};
use regex::RegexSet;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::client_auth;

/// A certificate for some names. One that refers to secrets comes and goes with them.
pub struct Certificate {
    source: Arc<Ssl>,
    served: Arc<ArcSwapOption<Served>>,
    binding: Option<Binding>,
    /// Why it can never be shown, if it cannot.
    problem: Option<Invalid>,
}

/// All that a handshake needs.
pub(crate) struct Served {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) demand: Option<Demand>,
}

/// What a client must show.
pub(crate) struct Demand {
    pub(crate) trust: Arc<ClientTrust>,
    skip: Option<RegexSet>,
}

/// Says what is wrong with `ssl`, as far as it can be known before its references are resolved.
pub fn check(ssl: &Ssl) -> Result<(), Invalid> {
    if templates(ssl)?.iter().all(Option::is_none) {
        return Served::build(ssl).map(drop);
    }
    for (at, pair) in ssl.pairs.iter().enumerate() {
        if [pair.chain.as_str(), pair.key.expose()]
            .iter()
            .all(|text| matches!(Template::parse(text), Ok(None)))
        {
            certified(at, pair)?;
        }
    }
    Ok(())
}

impl Certificate {
    /// Makes `ssl` ready, or asks `resolver` for what it refers to, and is ready once that is there.
    pub(super) fn compile(ssl: &Arc<Ssl>, resolver: &Arc<Resolver>) -> Result<Self, Invalid> {
        let templates = templates(ssl)?;
        let source = Arc::clone(ssl);
        if templates.iter().all(Option::is_none) {
            let served = Arc::new(ArcSwapOption::from_pointee(Served::build(ssl)?));
            return Ok(Self { source, served, binding: None, problem: None });
        }
        check(ssl)?;
        let served = Arc::new(ArcSwapOption::empty());
        let (place, unresolved) = (Arc::clone(&served), Arc::clone(ssl));
        let references = templates.iter().flatten().flat_map(Template::references).cloned().collect();
        let changed = move |values: Option<&[SecretValue]>| {
            place.store(values.and_then(|values| resolved(&unresolved, &templates, values)).map(Arc::new));
        };
        let binding = resolver.bind(references, Box::new(changed));
        Ok(Self { source, served, binding: Some(binding), problem: None })
    }

    /// `ssl`, which cannot be shown because of `problem`.
    pub(super) fn broken(ssl: &Arc<Ssl>, problem: Invalid) -> Self {
        let served = Arc::new(ArcSwapOption::empty());
        Self { source: Arc::clone(ssl), served, binding: None, problem: Some(problem) }
    }

    /// Why it can never be shown, if it cannot.
    pub(super) fn problem(&self) -> Option<&Invalid> {
        self.problem.as_ref()
    }

    /// Whom to ask whether each secret that it refers to was asked for once, if it refers to any.
    pub fn asked(&self) -> Option<Asked> {
        self.binding.as_ref().map(Binding::asked)
    }

    pub(super) fn id(&self) -> &ResourceId {
        &self.source.id
    }

    pub(super) fn names(&self) -> &[String] {
        &self.source.names
    }

    pub(super) fn is_of(&self, ssl: &Arc<Ssl>) -> bool {
        Arc::ptr_eq(&self.source, ssl)
    }

    pub(super) fn refers(&self) -> bool {
        self.binding.is_some()
    }

    pub(super) fn is_demanding(&self) -> bool {
        self.source.client.is_some()
    }

    /// What handshakes go on with; None while a secret is missing.
    pub(super) fn served(&self) -> Option<Arc<Served>> {
        self.served.load_full()
    }
}

impl Demand {
    fn new(demand: &ClientDemand) -> Result<Self, Invalid> {
        let skip = match demand.skip.is_empty() {
            true => None,
            false => Some(RegexSet::new(&demand.skip).map_err(|_| {
                Invalid::new("client.skip_mtls_uri_regex", "the expressions are too large together")
            })?),
        };
        Ok(Self { trust: Arc::new(demand.trust.clone()), skip })
    }

    /// Whether requests for `path` need show nothing. The form of the path counts that routes are found by: else
    /// another way of writing it would be another way around the certificate.
    pub(super) fn skips(&self, path: &RoutePath<'_>) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip.is_match(&String::from_utf8_lossy(path.normal())))
    }
}

impl Served {
    fn build(ssl: &Ssl) -> Result<Self, Invalid> {
        let keys =
            ssl.pairs.iter().enumerate().map(|(at, pair)| certified(at, pair)).collect::<Result<_, _>>()?;
        let versions: Vec<_> = ssl
            .versions
            .iter()
            .map(|version| match version {
                TlsVersion::Tls12 => &TLS12,
                TlsVersion::Tls13 => &TLS13,
            })
            .collect();
        let unusable = |error: rustls::Error| Invalid::new("", format!("TLS cannot be set up: {error}"));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
            .with_protocol_versions(&versions)
            .map_err(unusable)?;
        let demand = ssl.client.as_ref().map(Demand::new).transpose()?;
        let builder = match &demand {
            Some(demand) => {
                let verifier = client_auth::verifier(&demand.trust, demand.skip.is_some(), &PROVIDER)?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Keys(keys)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Sessions live with the client, sealed by keys that no other certificate's handshakes have. Nothing is kept
        // here, so they can be resumed on any thread.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = rustls::crypto::ring::Ticketer::new().map_err(unusable)?;
        Ok(Self { config: Arc::new(config), demand })
    }
}

/// The keys of one certificate; the first one that the client's algorithms can check is used.
#[derive(Debug)]
struct Keys(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        self.0.iter().find(|pair| pair.key.choose_scheme(schemes).is_some()).cloned()
    }
}

/// The pair at `at`, if its two halves belong together.
fn certified(at: usize, pair: &KeyPair) -> Result<Arc<CertifiedKey>, Invalid> {
    let field = |one: &str, many: &str| match at {
        0 => one.to_owned(),
        at => format!("{many}[{}]", at - 1),
    };
    let (cert_field, key_field) = (field("cert", "certs"), field("key", "keys"));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pair.chain.as_bytes()).collect();
    let chain = chain.map_err(|_| Invalid::new(&cert_field, "is not PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes())
        .map_err(|_| Invalid::new(&key_field, "is not a private key in PEM"))?;
    let key = PROVIDER.key_provider.load_private_key(key).map_err(|_| {
        Invalid::new(
            &key_field,
            "is not a key that can be used; RSA (2048 bits and more), ECDSA (P-256, P-384) and Ed25519 are",
        )
    })?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(pair)),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(Invalid::new(key_field, format!("does not belong to the first certificate in {cert_field}")))
        }
        Err(_) => Err(Invalid::new(
            cert_field,
            "its first certificate is not an X.509 certificate that can be read",
        )),
    }
}

/// For each text of `ssl` what it is made of, if references stand in it.
fn templates(ssl: &Ssl) -> Result<Vec<Option<Template>>, Invalid> {
    let parsed: Result<_, _> = ssl.texts().map(Template::parse).collect();
    parsed.map_err(|error| Invalid::new("", format!("a reference cannot be used: {error}")))
}

/// `ssl` with the `values` of its references in their places. What does not fit is as good as missing.
fn resolved(ssl: &Ssl, templates: &[Option<Template>], values: &[SecretValue]) -> Option<Served> {
    let mut values = values.iter();
    let filled: Option<Vec<Option<SecretValue>>> = templates
        .iter()
        .map(|template| match template {
            Some(template) => template.fill(&mut values).map(Some),
            None => Some(None),
        })
        .collect();
    let filled = filled?;
    let texts = ssl.texts().zip(&filled);
    let texts = texts.map(|(text, filled)| filled.as_ref().map_or(text, SecretValue::expose));
    let built = ssl.with_texts(texts).and_then(|ssl| Served::build(&ssl));
    if let Err(invalid) = &built {
        tracing::error!(ssl = %ssl.id, field = invalid.field, "a resolved certificate or key cannot be used");
    }
    built.ok()
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::ring::default_provider()));
