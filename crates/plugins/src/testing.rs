//! For the tests of plugins: a request, and one plugin's turns at it.

use std::sync::Arc;

use gateward_clock::{ManualClock, Timestamp};
use gateward_model::Failure;
use gateward_net::{Body, Conn, Connector, ConnectorSettings, Pool, PoolSettings, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use serde_json::Value;

use crate::exchange::Notes;
use crate::{Consumers, Exchange, Flow, Kind, Matched, Plugin, RouteFacts, Shared, Site, Step};

/// When the tests take place.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_440_938_160);

/// A place for plugins to be tried in.
pub(crate) struct Bench {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) consumers: Consumers,
    pub(crate) conn: Conn,
    pub(crate) route: Arc<RouteFacts>,
    pub(crate) matched: Option<Matched>,
    pub(crate) rest: Option<&'static str>,
    pub(crate) pool: Pool,
}

impl Bench {
    /// A place without consumers; to be made inside a runtime.
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let connector = Connector::new(ConnectorSettings::default()).unwrap();
        Self {
            shared: Shared::new(Arc::clone(&clock) as _, tokio::runtime::Handle::current()),
            clock,
            consumers: Consumers::default(),
            conn: Conn {
                client: ([127, 0, 0, 1], 40_000).into(),
                local: ([127, 0, 0, 1], 9080).into(),
                scheme: Scheme::Http,
                tls: None,
            },
            route: Arc::new(RouteFacts { id: "1".into(), ..RouteFacts::default() }),
            matched: None,
            rest: None,
            pool: Pool::new(Arc::new(connector), PoolSettings::default()),
        }
    }

    /// The plugin `kind` with `settings`, as on route 1.
    pub(crate) fn build(&self, kind: &Kind, settings: &Value) -> Arc<dyn Plugin> {
        (kind.check)(settings).unwrap();
        (kind.build)(settings, &Site { owner: "route/1", metadata: None, shared: &self.shared }).unwrap()
    }

    /// Has `plugin` take its turns at `request`, before an upstream would; `then` sees what it left.
    pub(crate) async fn try_request<R>(
        &self,
        plugin: &dyn Plugin,
        request: Request<Body>,
        then: impl FnOnce(&mut Exchange<'_>, Flow) -> R,
    ) -> R {
        let target: Uri = request.uri().clone();
        let host = target.host().unwrap_or("gateway.example").to_owned();
        let mut exchange = Exchange {
            target: &target,
            host: &host,
            body: None,
            conn: &self.conn,
            client: self.conn.client.ip(),
            client_port: Some(self.conn.client.port()),
            request_id: HeaderValue::from_static("test"),
            route: Some(&self.route),
            rest: self.rest,
            matched: self.matched.as_ref(),
            params: None,
            upstream_host: None,
            consumer: None,
            consumers: &self.consumers,
            pool: &self.pool,
            clock: &*self.clock,
            notes: Notes::default(),
            request,
        };
        let mut flow = over(plugin.rewrite(&mut exchange)).await;
        if matches!(flow, Flow::Continue) {
            flow = over(plugin.access(&mut exchange)).await;
        }
        then(&mut exchange, flow)
    }

    /// What `plugin` makes of `request`.
    pub(crate) async fn flow(&self, plugin: &dyn Plugin, request: Request<Body>) -> Flow {
        self.try_request(plugin, request, |_, flow| flow).await
    }

    /// Why `plugin` refuses `request`.
    pub(crate) async fn failure(&self, plugin: &dyn Plugin, request: Request<Body>) -> Failure {
        match self.flow(plugin, request).await {
            Flow::Fail(failure) => *failure,
            other => panic!("{other:?}"),
        }
    }
}

async fn over(step: Step<'_>) -> Flow {
    match step {
        Step::Now(flow) => flow,
        Step::Later(flow) => flow.await,
    }
}

/// The body of `response`, as text.
pub(crate) async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect(1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}
