//! Requests of which the body decides which route takes them, or what a plugin does.
//!
//! Few configurations have routes that ask for something in a body, and of their requests few depend on it. The body of
//! such a request is read before its route is looked for, or before the first plugin's turn; it then goes where it would
//! have gone anyway.

use std::sync::Arc;

use bytes::Bytes;
use gateward_model::{Failure, Origin};
use gateward_net::{Body, Conn, FetchError};
use gateward_vars::{Facts, RequestBody};
use http::{Request, Response};

use super::refusal::too_long_to_read;
use super::request_id::RequestId;
use super::turns::Found;
use super::{Gateway, Refused, facts};
use crate::hygiene;
use crate::snapshot::Snapshot;

/// Whether it depends on the body of `request` which route takes it. What is refused anyway depends on nothing.
pub(super) fn decides(snapshot: &Snapshot, request: &Request<Body>, conn: &Conn) -> bool {
    let Ok(target) = hygiene::check(request) else { return false };
    let facts = facts(request, target.host, conn, "");
    RequestBody::is_spoken_by(request.headers())
        && snapshot.certificates().permits(conn, target.host, &target.path).is_ok()
        && snapshot.router.wants_body(target.host, &target.path, request.method(), &facts)
}

impl Gateway {
    /// Answers a request of which the body [`decides`].
    pub(super) async fn answer_by_body(
        &self,
        snapshot: &Arc<Snapshot>,
        mut request: Request<Body>,
        conn: &Conn,
        id: &RequestId,
    ) -> Result<Response<Body>, Box<Refused>> {
        let read = read(&mut request).await;
        let bytes = read.map_err(|failure| self.turned_away(&request, conn, *failure, false))?;
        let body = bytes.as_deref().map(RequestBody::new);
        let found = {
            let checked = hygiene::check(&request);
            let target =
                checked.map_err(|improper| self.turned_away(&request, conn, improper.failure(), true))?;
            let facts = Facts { body: body.as_ref(), ..facts(&request, target.host, conn, id.as_str()) };
            snapshot.router.find(target.host, &target.path, request.method(), &facts).map(Found::from)
        };
        self.answer_in_turns(snapshot, found, request, body.as_ref(), conn, id).await
    }

    /// Answers a request of which the body is [of use](is_of_use).
    pub(super) async fn answer_with_body(
        &self,
        snapshot: &Arc<Snapshot>,
        found: Option<Found>,
        mut request: Request<Body>,
        conn: &Conn,
        id: &RequestId,
    ) -> Result<Response<Body>, Box<Refused>> {
        let read = read(&mut request).await;
        let bytes = read.map_err(|failure| self.turned_away(&request, conn, *failure, false))?;
        let body = bytes.as_deref().map(RequestBody::new);
        self.answer_in_turns(snapshot, found, request, body.as_ref(), conn, id).await
    }
}

/// Whether a plugin that may see a request for `found`, or the choice of a node, asks for something in its body.
pub(super) fn is_of_use(snapshot: &Snapshot, found: Option<&Found>) -> bool {
    let by_route = |found: &Found| found.route.needs_body || snapshot.callers.needs_body;
    snapshot.global.needs_body() || found.is_some_and(by_route)
}

/// Reads the body of `request`, which keeps it; none of a kind that says nothing. One that is longer than [`LONGEST`] is
/// refused: were it taken for one that says nothing, padding would lead past a route, or past a plugin.
async fn read(request: &mut Request<Body>) -> Result<Option<Bytes>, Box<Failure>> {
    if !RequestBody::is_spoken_by(request.headers()) {
        return Ok(None);
    }
    let body = std::mem::take(request.body_mut()).read_ahead(LONGEST).await;
    let (bytes, body) =
        body.map_err(|error| Box::new(FetchError::RequestBody(error.into()).failure(Origin::Client)))?;
    *request.body_mut() = body;
    bytes.ok_or_else(|| Box::new(too_long_to_read())).map(Some)
}

/// How much of a body is read for the sake of its route, in bytes.
const LONGEST: usize = 1024 * 1024;
