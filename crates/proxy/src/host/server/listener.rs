//! Listening sockets.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;

use super::connection::Connections;

/// Where a server listens, and what is spoken there.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where. Port 0 means one that is free.
    pub address: SocketAddr,
    /// Whether connections begin with a handshake of TLS.
    pub tls: bool,
    /// Whether connections begin with a header of the PROXY protocol. Only a balancer may reach such a listener: the
    /// header is believed.
    pub proxy_protocol: bool,
    /// Sockets that listen there already, given by whoever started the process. With any, none is opened.
    pub inherited: Vec<Arc<TcpListener>>,
}

impl Listener {
    /// Plain HTTP on `address`.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: false, proxy_protocol: false, inherited: Vec::new() }
    }

    /// HTTP over TLS on `address`.
    pub fn tls(address: SocketAddr) -> Self {
        Self { tls: true, ..Self::plain(address) }
    }
}

/// The sockets to listen by: those that were inherited, all of them; else one for each thread.
pub(super) fn open_all(listener: &Listener, threads: usize, exclusive: bool) -> io::Result<Vec<TcpListener>> {
    if !listener.inherited.is_empty() {
        let taken = listener.inherited.iter().map(|socket| {
            socket.set_nonblocking(true)?;
            socket.try_clone()
        });
        return taken.collect();
    }
    // The first one says which port the others listen on too.
    let first = bind(listener.address, exclusive)?;
    let address = first.local_addr()?;
    let others = (1..threads).map(|_| bind(address, false));
    std::iter::once(Ok(first)).chain(others).collect()
}

/// Each socket with the thread that takes from it. A socket has its own queue, so none may be left out; and where there
/// are fewer than threads, some threads share one.
pub(super) fn dealt_out(sockets: Vec<TcpListener>, threads: usize) -> io::Result<Vec<(usize, TcpListener)>> {
    let count = sockets.len();
    let shared: io::Result<Vec<_>> =
        (count..threads).map(|thread| Ok((thread, sockets[thread % count].try_clone()?))).collect();
    let shared = shared?;
    Ok(sockets.into_iter().enumerate().map(|(at, socket)| (at % threads, socket)).chain(shared).collect())
}

/// Listens on `address`, which other sockets of this user may listen on too, unless `exclusive` and one already does.
fn bind(address: SocketAddr, exclusive: bool) -> io::Result<TcpListener> {
    if exclusive && address.port() != 0 {
        // Sockets that share an address all say so; one that does not finds out whether anybody is there.
        open(address, false)?;
    }
    open(address, true)
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` are two addresses, and whoever wants both says both.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Takes connections until it is told to stop.
pub(super) async fn accept(listener: TcpListener, mut connections: Connections) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "a listening socket cannot be used");
            return;
        }
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connections.stop() => break,
        };
        match accepted {
            Ok((stream, client)) => connections.serve(stream, client),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be taken");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    // What the kernel has taken on our behalf would be reset with the socket.
    while let Some(Ok((stream, client))) = accept_waiting(&listener).await {
        connections.serve(stream, client);
    }
}

async fn accept_waiting(listener: &tokio::net::TcpListener) -> Option<io::Result<(TcpStream, SocketAddr)>> {
    std::future::poll_fn(|cx| match listener.poll_accept(cx) {
        std::task::Poll::Ready(accepted) => std::task::Poll::Ready(Some(accepted)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

/// Whether the client hung up before we took its connection, which concerns no other.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

const BACKLOG: i32 = 1024;

/// Out of file descriptors, most often: to ask again at once would only burn time.
const BREATH: Duration = Duration::from_millis(100);
