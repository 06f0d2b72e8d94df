//! A connection before HTTP: whether there is room for it, what a balancer says of the client, the handshake of TLS.

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gateward_net::{Conn, Scheme};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::super::crowd::AddressSeat;
use super::super::proxy_protocol::{self, Header};
use super::super::tether::{Seats, Tether};
use super::super::transport::{Heard, Transport};
use super::super::vigil::Vigil;
use super::super::{refusal, tls};
use super::linger::linger;
use super::{Open, Protocols};

/// What a listener asks of its connections.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Manners {
    pub(in super::super) tls: bool,
    pub(in super::super) proxy_protocol: bool,
}

/// The connections of one listener.
#[derive(Clone)]
pub(in super::super) struct Connections {
    pub(in super::super) protocols: Rc<Protocols>,
    pub(in super::super) manners: Manners,
    pub(in super::super) stopped: watch::Receiver<Option<Duration>>,
    /// Held as long as there is a listener or a connection.
    pub(in super::super) alive: mpsc::Sender<()>,
}

impl Connections {
    /// Serves `stream` in a task of its own.
    pub(in super::super) fn serve(&self, stream: TcpStream, client: SocketAddr) {
        let Some(seat) = self.protocols.crowd.seat() else {
            self.turn_away(stream);
            return;
        };
        let this = self.clone();
        tokio::task::spawn_local(async move {
            let alive = this.alive.clone();
            let Some(welcomed) = this.welcome(stream, client).await else { return };
            let vigil = Vigil::new(&this.protocols.limits);
            let open = Rc::new(Open {
                conn: welcomed.conn,
                vigil: Arc::clone(&vigil),
                tether: Tether {
                    stopped: this.stopped,
                    _alive: alive,
                    _seats: Arc::new(Seats { _seat: seat, _of_address: welcomed.of_address }),
                },
                protocols: this.protocols,
                since: Instant::now(),
                requests: Cell::new(0),
                streams: OnceCell::new(),
                stopping: Cell::new(false),
                last: Cell::new(false),
                rude: Cell::new(false),
            });
            let io = Heard { transport: welcomed.transport, before: welcomed.before, vigil };
            open.serve(io, welcomed.http2).await;
        });
    }

    /// Completes when no more connections are to be taken.
    pub(in super::super) async fn stop(&mut self) {
        // An error means that the server was dropped, and all tasks are about to be.
        let _ = self.stopped.wait_for(Option::is_some).await;
    }

    /// All that comes before HTTP.
    async fn welcome(&self, tcp: TcpStream, client: SocketAddr) -> Option<Welcomed> {
        // Answers are written whole; to wait for more would only delay them.
        tcp.set_nodelay(true).ok()?;
        let conn = Conn::plain(client, tcp.local_addr().ok()?);
        if !self.manners.tls && !self.manners.proxy_protocol {
            let Ok(of_address) = self.protocols.crowd.seat_of(client.ip()) else {
                self.turn_away(tcp);
                return None;
            };
            let transport = Transport::Plain(tcp);
            return Some(Welcomed { transport, before: Vec::new(), conn, http2: None, of_address });
        }
        // The future of a handshake is large, and a connection is long: it must not take its room all the time.
        timeout(self.protocols.limits.handshake, Box::pin(self.introduce(tcp, conn))).await.ok()?
    }

    /// Lets the balancer say who the client is, and shakes hands with that.
    async fn introduce(&self, mut tcp: TcpStream, mut conn: Conn) -> Option<Welcomed> {
        let client = conn.client;
        let mut before = Vec::new();
        if self.manners.proxy_protocol {
            let header = proxy_protocol::read(&mut tcp).await;
            let (header, rest) = header.inspect_err(|error| refused_before_http(&client, error)).ok()?;
            if let Header::Proxied { client, local } = header {
                (conn.client, conn.local) = (client, local);
            }
            before = rest;
        }
        // As soon as it is known whose it is: a handshake takes the place of a connection too, and some time.
        let Ok(of_address) = self.protocols.crowd.seat_of(conn.client.ip()) else {
            self.turn_away(tcp);
            return None;
        };
        if !self.manners.tls {
            return Some(Welcomed {
                transport: Transport::Plain(tcp),
                before,
                conn,
                http2: None,
                of_address,
            });
        }
        let Protocols { certificates, fallback_sni, .. } = &*self.protocols;
        let encrypted = tls::accept(tcp, before, || certificates(), fallback_sni.as_deref()).await;
        let encrypted = encrypted.inspect_err(|error| refused_before_http(&client, error)).ok()?;
        conn.scheme = Scheme::Https;
        conn.tls = Some(Arc::new(encrypted.facts));
        let (transport, http2) = (Transport::Tls(encrypted.stream), Some(encrypted.http2));
        Some(Welcomed { transport, before: Vec::new(), conn, http2, of_address })
    }

    /// Says that there is no room, to a client that can hear it without a handshake.
    fn turn_away(&self, stream: TcpStream) {
        if self.manners.tls {
            return;
        }
        let Some(turn) = self.protocols.crowd.refusal() else { return };
        tokio::task::spawn_local(async move {
            let _turn = turn;
            let mut stream = stream;
            if stream.write_all(refusal::NO_ROOM.as_bytes()).await.is_ok() {
                linger(&mut stream).await;
            }
        });
    }
}

/// A connection that is ready for HTTP.
struct Welcomed {
    transport: Transport,
    /// What was read of HTTP already.
    before: Vec<u8>,
    conn: Conn,
    /// Whether it is HTTP/2 that is spoken; None if the first bytes tell.
    http2: Option<bool>,
    /// Its place among the connections of its address.
    of_address: Option<AddressSeat>,
}

fn refused_before_http(client: &SocketAddr, error: &(dyn std::error::Error + 'static)) {
    tracing::debug!(%client, error, "a connection ended before its first request");
}
