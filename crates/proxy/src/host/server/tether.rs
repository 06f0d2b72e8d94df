//! What an upgraded connection holds on to when HTTP has let go of it.
//!
//! A server that drains waits for all its connections; one that has become a WebSocket is none of HTTP's any more, but
//! still is one. A [`Tether`] comes with each request that could become one, in its extensions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::crowd::{AddressSeat, Seat};

/// Keeps the server from ending while an upgraded connection lives, and tells that when to end.
#[derive(Clone, Debug)]
pub struct Tether {
    pub(super) stopped: watch::Receiver<Option<Duration>>,
    pub(super) _alive: mpsc::Sender<()>,
    pub(super) _seats: Arc<Seats>,
}

/// The places that a connection takes.
#[derive(Debug)]
pub(super) struct Seats {
    pub(super) _seat: Seat,
    pub(super) _of_address: Option<AddressSeat>,
}

impl Tether {
    /// Completes shortly before the server ends, whoever is still there.
    pub async fn end(&mut self) {
        let stopped = self.stopped.wait_for(Option::is_some).await.map(|deadline| *deadline);
        if let Ok(Some(deadline)) = stopped {
            // Some of the time is left for saying goodbye.
            let farewell = (deadline / 10).min(FAREWELL);
            tokio::time::sleep(deadline - farewell).await;
        }
    }
}

const FAREWELL: Duration = Duration::from_millis(500);
