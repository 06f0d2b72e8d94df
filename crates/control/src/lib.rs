//! The control plane over HTTP.
//!
//! Three dialects, each in the words, shapes and codes of the system that it comes from: [`apisix`] (routes and
//! upstreams), [`kong`] (vaults), [`akeyless`] (logging in, dynamic secrets and their leases). One authenticator
//! serves them all. What is written is answered when it is durable and in force.
//!
//! [`Control`] answers a request for one [`Surface`]: all dialects at once, as on port 8000, or one alone, as on the
//! ports that `gateward dev` lends to people who paste commands from those systems' documents.

mod akeyless;
mod apisix;
mod audit;
mod authenticate;
mod door;
mod guard;
mod health;
mod kong;
mod listen;
mod metrics;
mod permissions;
mod references;
mod request;
mod resources;
mod store_status;
mod vault_usage;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use gateward_access::Authenticator;
use gateward_clock::{Clock, Timestamp};
use gateward_items::StaticSecrets;
use gateward_leases::producer::Producers;
use gateward_leases::producer::token::ProducerTokens;
use gateward_leases::{Catalog, Engine, RotatedSecrets, Rotator};
use gateward_plugins::Shared;
use gateward_proxy::declarative::Declared;
use gateward_proxy::{Configuration, Traffic};
use gateward_seal::{Fragments, Sealer, SecretValue};
use gateward_store::Store;
use gateward_upstreams::Registry;
use gateward_vaults::Resolver;
use http::{HeaderValue, Method, Request, StatusCode};
use request::RequestId;
use tokio::sync::watch;
use tower::ServiceExt as _;

pub use door::ControlDoor;

/// What the control plane is made of.
pub struct ControlParts {
    /// Where resources stand.
    pub store: Arc<dyn Store>,
    /// Seals them.
    pub sealer: Arc<Sealer>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who may.
    pub authenticator: Authenticator,
    /// The customer fragments: what they are called, and no more goes out of them.
    pub fragments: Fragments,
    /// The key of the APISIX Admin API, where there is one.
    pub apisix_admin_key: Option<SecretValue>,
    /// The key for those who may look at APISIX resources and change nothing, where there is one.
    pub apisix_viewer_key: Option<SecretValue>,
    /// What stands in the declarative files, where there are any: it can be read here, and not written.
    pub declared: Option<watch::Receiver<Arc<Declared>>>,
    /// What is served; a write is answered when it is in there.
    pub configuration: Arc<Configuration>,
    /// Where the values of references come from.
    pub resolver: Arc<Resolver>,
    /// What is known of upstreams' nodes.
    pub registry: Arc<Registry>,
    /// What plugins share, what they count among it.
    pub shared: Arc<Shared>,
    /// What the data threads have counted.
    pub traffic: Arc<Traffic>,
    /// What has become of the access log's records, if there is one.
    pub access_log: Option<LogCounts>,
    /// How many lines of the log could not be written.
    pub log_lost: fn() -> u64,
    /// The static secrets.
    pub static_secrets: Arc<StaticSecrets>,
    /// The dynamic secrets.
    pub catalog: Arc<Catalog>,
    /// The rotated secrets, and the targets at which they are rotated.
    pub rotated_secrets: Arc<RotatedSecrets>,
    /// Rotates. `None` where there is no engine: a new payload could get lost.
    pub rotator: Option<Arc<Rotator>>,
    /// Issues and revokes. `None` where nothing would revoke on time: leases are refused there.
    pub engine: Option<Arc<Engine>>,
    /// What makes credentials.
    pub producers: Arc<dyn Producers>,
    /// The tokens that producers are called with.
    pub producer_tokens: Arc<ProducerTokens>,
    /// Whether only this machine's own pages and programs may ask; `gateward dev` on loopback.
    pub local_only: bool,
}

/// Tells how many records of the access log were written, and how many dropped.
pub type LogCounts = Arc<dyn Fn() -> (u64, u64) + Send + Sync>;

/// The control plane.
#[derive(Clone)]
pub struct Control {
    parts: Arc<ControlParts>,
    routers: Arc<Routers>,
    most_connections: usize,
}

/// What of the control plane a listener shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// Everything, behind the authenticator.
    All,
    /// APISIX's Admin API alone.
    Apisix,
    /// Kong's Admin API alone, and without a token, as Kong's own is.
    KongOpen,
    /// The Akeyless API alone.
    Akeyless,
    /// What Prometheus asks APISIX for, alone.
    Prometheus,
}

/// What answers for each surface, built when it is first asked: a Lambda function that only carries traffic never is.
struct Routers {
    parts: Arc<ControlParts>,
    /// Whether the process is about to end.
    draining: Arc<AtomicBool>,
    all: OnceLock<Router>,
    apisix: OnceLock<Router>,
    kong_open: OnceLock<Router>,
    akeyless: OnceLock<Router>,
    prometheus: OnceLock<Router>,
}

impl Routers {
    fn of(&self, surface: Surface) -> &Router {
        let built = match surface {
            Surface::All => &self.all,
            Surface::Apisix => &self.apisix,
            Surface::KongOpen => &self.kong_open,
            Surface::Akeyless => &self.akeyless,
            Surface::Prometheus => &self.prometheus,
        };
        built.get_or_init(|| {
            let health = health::router(&self.draining);
            let router = match surface {
                Surface::All => health
                    .merge(metrics::router())
                    .merge(metrics::apisix_router())
                    .merge(apisix::router())
                    .merge(references::router())
                    .merge(kong::router(kong::Access::Authenticated))
                    .merge(akeyless()),
                Surface::Apisix => health.merge(apisix::router()),
                Surface::KongOpen => health.merge(kong::router(kong::Access::Open)),
                Surface::Akeyless => health.merge(akeyless()),
                Surface::Prometheus => health.merge(metrics::apisix_router()),
            };
            router.fallback(request::not_found).with_state(Arc::clone(&self.parts))
        })
    }
}

fn akeyless() -> Router<Arc<ControlParts>> {
    let api = akeyless::router();
    Router::new().nest("/v2", api.clone()).nest("/api/v2", api.clone()).merge(api)
}

impl Control {
    /// The control plane made of `parts`.
    pub fn new(parts: ControlParts) -> Self {
        let parts = Arc::new(parts);
        let routers = Routers {
            parts: Arc::clone(&parts),
            draining: Arc::default(),
            all: OnceLock::new(),
            apisix: OnceLock::new(),
            kong_open: OnceLock::new(),
            akeyless: OnceLock::new(),
            prometheus: OnceLock::new(),
        };
        Self { parts, routers: Arc::new(routers), most_connections: MOST_CONNECTIONS }
    }

    /// The same with at most `most` connections at a time on each of its ports; those beyond are closed at once.
    #[must_use]
    pub fn with_connections(self, most: usize) -> Self {
        Self { most_connections: most, ..self }
    }

    /// Says on `/ready` from now on that the process is about to end.
    pub fn drain(&self) {
        self.routers.draining.store(true, Ordering::Relaxed);
    }

    /// Asks the control plane from within, with a JSON body, in the administrator's name.
    pub async fn ask(&self, method: Method, path: &str, body: &'static str) -> StatusCode {
        let token = self.parts.authenticator.admin_token();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "localhost")
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::AUTHORIZATION, format!("Bearer {}", token.text.expose()))
            .body(Body::from(body));
        match request {
            Ok(request) => self.answer(Surface::All, request).await.status(),
            Err(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// Deletes each resource that was written for a time when that is over, until the store is closed. Let it run as
    /// long as the control plane does.
    pub async fn expire(self) {
        apisix::expire(&self.parts).await;
    }

    /// The same once: deletes each such resource whose time is over now. What is left at `until` is the next look's.
    pub async fn expire_due(&self, until: Timestamp) {
        tokio::select! {
            biased;
            ended = apisix::expire_due(&self.parts) => if let Err(error) = ended {
                tracing::error!(%error, "what has expired cannot be deleted; the next look tries again");
            },
            () = self.parts.clock.sleep_until(until) => {
                tracing::warn!("not all that has expired is deleted; the next look goes on");
            }
        }
    }

    /// Answers one request. Every answer has a request id.
    pub async fn answer(&self, surface: Surface, mut request: Request<Body>) -> Response {
        let id = request.extensions_mut().remove().map_or_else(request::id, |RequestId(id)| id);
        request::collapse_slashes(request.uri_mut());
        let router = self.routers.of(surface);
        let refusal = if self.parts.local_only { guard::refusal(&request) } else { None };
        let mut response = match refusal {
            Some(refusal) => refusal,
            None => {
                // Whether the process lives is nothing that the store could say.
                if request.uri().path() != "/health" {
                    self.parts.authenticator.refresh().await;
                }
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let answer = async { router.clone().oneshot(request).await.into_response() };
                audit::audited(method, path, &id, answer).await
            }
        };
        let headers = response.headers_mut();
        headers.entry("x-request-id").or_insert(id);
        headers.insert(http::header::SERVER, HeaderValue::from_static("gateward"));
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// As many connections a port of the control plane takes, unless it is told another number.
const MOST_CONNECTIONS: usize = 1024;
