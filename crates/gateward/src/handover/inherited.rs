//! Listening sockets that the process was given when it was started.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use listenfd::ListenFd;
use serde::{Deserialize, Serialize};

/// What a socket is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Who is served there.
    pub plane: Plane,
    /// The address as it was asked for; its port may be 0, which the socket's own is not.
    pub asked: SocketAddr,
}

/// Who is served by a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plane {
    /// Those whose requests are routed.
    Traffic,
    /// Those who configure.
    Control,
}

/// A socket that one process hands to another.
#[derive(Clone, Debug)]
pub struct Handed {
    /// What it is there for; none if a service manager gives it, who does not know.
    pub role: Option<Role>,
    /// The socket.
    pub socket: Arc<TcpListener>,
}

/// The sockets that the process was given.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<Handed>,
    /// Whether another gateway gives them, and with them the store.
    handed_on: bool,
}

impl Inherited {
    /// Those of a predecessor.
    pub fn from_predecessor(sockets: Vec<Handed>) -> Self {
        Self { sockets, handed_on: true }
    }

    /// Those of a service manager (`LISTEN_FDS`), if it gave any.
    pub fn from_service_manager() -> io::Result<Self> {
        let mut given = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..given.len() {
            if let Some(socket) = given.take_tcp_listener(index)? {
                sockets.push(Handed { role: None, socket: Arc::new(socket) });
            }
        }
        Ok(Self { sockets, handed_on: false })
    }

    /// Whether another gateway gives them, and with them the store.
    pub fn is_handed_on(&self) -> bool {
        self.handed_on
    }

    /// Whether there is a socket for `role`.
    pub fn has(&self, role: Role) -> bool {
        self.sockets.iter().any(|handed| handed.is_for(role))
    }

    /// The sockets for `role`, which are then its own.
    pub fn take(&mut self, role: Role) -> Vec<Arc<TcpListener>> {
        let (taken, left) =
            std::mem::take(&mut self.sockets).into_iter().partition(|handed| handed.is_for(role));
        self.sockets = left;
        let taken: Vec<Handed> = taken;
        taken.into_iter().map(|handed| handed.socket).collect()
    }

    /// Where the sockets listen that nobody took.
    pub fn left(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|handed| handed.socket.local_addr().ok()).collect()
    }
}

impl Handed {
    fn is_for(&self, role: Role) -> bool {
        match self.role {
            Some(own) => own == role,
            None => self.socket.local_addr().is_ok_and(|address| address == role.asked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Arc<TcpListener> {
        Arc::new(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    #[test]
    fn a_socket_goes_to_whoever_asked_for_it_before_or_else_by_its_address() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let role = |plane, asked| Role { plane, asked };
        let (traffic, control, managed) = (socket(), socket(), socket());
        let address = managed.local_addr().unwrap();
        let mut inherited = Inherited::from_predecessor(vec![
            Handed { role: Some(role(Plane::Traffic, any)), socket: Arc::clone(&traffic) },
            Handed { role: Some(role(Plane::Control, any)), socket: control },
            Handed { role: None, socket: managed },
        ]);
        assert!(inherited.has(role(Plane::Traffic, any)));
        let taken = inherited.take(role(Plane::Traffic, any));
        assert!(taken.len() == 1 && Arc::ptr_eq(&taken[0], &traffic));
        assert!(inherited.take(role(Plane::Traffic, any)).is_empty(), "it is taken once");
        assert_eq!(inherited.take(role(Plane::Traffic, address)).len(), 1);
        assert_eq!(inherited.left().len(), 1);
    }
}
