//! Connections that turn into WebSockets and the like, on routes that allow it.
//!
//! The upgrade is asked for at the node on a connection of its own. Only when the node has answered 101 do the two
//! connections become one: whatever the client sent before is still HTTP.

use gateward_model::Failure;
use gateward_net::{Body, Peer, Timeouts};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, Version};
use http_body::Body as _;
use hyper::upgrade::OnUpgrade;

use super::Gateway;
use super::passage::{Passage, Passed};
use super::turns::Found;
use crate::host::server::Tether;
use crate::splice::splice;

/// A client that wants to upgrade, where it may.
pub(super) struct Wanted {
    /// To what.
    protocol: HeaderValue,
    client: OnUpgrade,
    tether: Option<Tether>,
}

impl Wanted {
    /// What `request` wants, if the route that was found allows it.
    pub(super) fn take(request: &mut Request<Body>, found: Option<&Found>) -> Option<Self> {
        let allowed = found.is_some_and(|found| found.route.enable_websocket);
        if !allowed || request.version() != Version::HTTP_11 || !asks_for_upgrade(request) {
            return None;
        }
        // What a node makes of a body that is followed by another protocol is anybody's guess, and no protocol that
        // people upgrade to needs one.
        if !request.body().is_end_stream() || names_http(request) {
            return None;
        }
        let protocol = request.headers().get(UPGRADE)?.clone();
        let tether = request.extensions().get::<Tether>().cloned();
        Some(Self { protocol, client: hyper::upgrade::on(request), tether })
    }
}

fn asks_for_upgrade(request: &Request<Body>) -> bool {
    let options = request.headers().get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    options.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// Whether HTTP itself is among the protocols, in another version or below TLS. Its requests would pass by the routes, the
/// plugins and the limits.
fn names_http(request: &Request<Body>) -> bool {
    let protocols = request.headers().get_all(UPGRADE).iter();
    protocols.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default().trim_ascii();
        [&b"h2c"[..], b"h2", b"http", b"tls"].iter().any(|http| name.eq_ignore_ascii_case(http))
    })
}

impl Gateway {
    /// Sends a request that wants to upgrade; if the node agrees, both connections become one.
    pub(super) async fn pass_upgrade(
        &self,
        passage: &mut Passage<'_>,
        mut request: Request<Body>,
        wanted: Wanted,
    ) -> Result<Response<Body>, Box<Failure>> {
        request.headers_mut().insert(UPGRADE, wanted.protocol.clone());
        let silence = passage.timeouts().read;
        let send = async |peer: &Peer, request: &mut Request<Body>, timeouts: &Timeouts| {
            self.pool.upgrade(peer, request, timeouts).await
        };
        let Passed { answer: (mut response, stream), turn, asked } =
            self.pass_by(passage, request, send).await?;
        turn.answered(response.status(), asked.elapsed());
        let Some(stream) = stream else { return Ok(response) };
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.entry(UPGRADE).or_insert(wanted.protocol);
        tokio::task::spawn_local(async move {
            let ending = splice(wanted.client, stream, wanted.tether, silence).await;
            tracing::debug!(?ending, "an upgraded connection ended");
            drop(turn);
        });
        Ok(response)
    }
}
