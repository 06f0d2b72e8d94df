//! What carries requests in and answers out: sockets, or the events of a Lambda function.
//!
//! A host turns what it is given into a request, asks the [`Gateway`], and turns the answer into what it has to give.
//! Some requests are not for the data plane but for the control plane, which has its own [`Door`].

pub mod lambda;
pub mod server;

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use gateward_net::{Body, Conn};
use http::{Request, Response};

use crate::Gateway;

/// The control plane, as hosts see it. The binary wires it.
pub trait Door: Send + Sync {
    /// Whether requests for `path` go through this door before any route is looked at.
    fn takes(&self, path: &str) -> bool;

    /// Whether requests for `path` go through this door when no route takes them.
    fn takes_rest(&self, path: &str) -> bool {
        let _ = path;
        false
    }

    /// Answers `request`.
    fn open(&self, request: Request<Body>, conn: Conn) -> LocalBoxFuture<'static, Response<Body>>;
}

/// Where requests come in: through the door, or to the gateway.
pub(crate) struct Entrance {
    pub(crate) gateway: Gateway,
    pub(crate) door: Option<Arc<dyn Door>>,
}

impl Entrance {
    /// Answers `request`.
    pub(crate) async fn answer(&self, request: Request<Body>, conn: &Conn) -> Response<Body> {
        match &self.door {
            Some(door) if self.is_for(&**door, &request, conn) => {
                let open = async |request| door.open(request, conn.clone()).await;
                self.gateway.handle_by(request, conn, None, open).await
            }
            _ => self.gateway.handle(request, conn).await,
        }
    }

    fn is_for(&self, door: &dyn Door, request: &Request<Body>, conn: &Conn) -> bool {
        let path = request.uri().path();
        door.takes(path) || door.takes_rest(path) && !self.gateway.has_route_for(request, conn)
    }
}
