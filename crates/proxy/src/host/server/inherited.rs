//! Listening sockets that the process was started with.
//!
//! systemd opens sockets for a service, and a gateway opens them for its successor. Both say so in the environment
//! (`LISTEN_FDS`, and `LISTEN_PID` where the number of the process is known beforehand) and hand on file descriptors
//! from the third on. Which socket is meant for what is told by its address.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use listenfd::ListenFd;
use socket2::SockRef;

/// Listening sockets that the process was started with, and that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(SocketAddr, Arc<TcpListener>)>);

impl Inherited {
    /// Takes over what the environment speaks of, and takes it out of there. To be called once, before any thread is
    /// started.
    pub fn take() -> io::Result<Self> {
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for at in 0..given.len() {
            if let Some(socket) = given.take_tcp_listener(at)? {
                sockets.push(socket);
            }
        }
        Self::from_sockets(sockets)
    }

    /// What was handed on in another way.
    pub fn from_sockets(sockets: impl IntoIterator<Item = TcpListener>) -> io::Result<Self> {
        let known = sockets.into_iter().map(|socket| {
            if !SockRef::from(&socket).is_listener()? {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "an inherited socket does not listen",
                ));
            }
            Ok((socket.local_addr()?, Arc::new(socket)))
        });
        known.collect::<io::Result<_>>().map(Self)
    }

    /// All sockets that listen on `address`, for [`Listener::inherited`](super::Listener::inherited); none if there are
    /// none. With port 0 it is those of any port there.
    pub fn of(&mut self, address: SocketAddr) -> Vec<Arc<TcpListener>> {
        let meant = |own: &SocketAddr| own.ip() == address.ip() && [0, own.port()].contains(&address.port());
        self.0.extract_if(.., |(own, _)| meant(own)).map(|(_, socket)| socket).collect()
    }

    /// Where the others listen, which no setting names.
    pub fn rest(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.iter().map(|(address, _)| *address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_their_address_and_all_of_them() {
        let open = |address: &str| TcpListener::bind(address).unwrap();
        let (one, other) = (open("127.0.0.1:0"), open("127.0.0.1:0"));
        let (at, elsewhere) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let copy = one.try_clone().unwrap();
        let mut inherited = Inherited::from_sockets([one, other, copy]).unwrap();
        assert_eq!(inherited.of(at).len(), 2);
        assert_eq!(inherited.of(at).len(), 0);
        assert_eq!(inherited.rest().collect::<Vec<_>>(), [elsewhere]);
        assert_eq!(inherited.of("[::1]:0".parse().unwrap()).len(), 0);
        assert_eq!(inherited.of("127.0.0.1:0".parse().unwrap()).len(), 1);
    }
}
