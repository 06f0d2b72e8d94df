//! Telling a service manager how it goes: systemd's `Type=notify`.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::surroundings::Surroundings;

/// Tells `state` (`READY=1`) to the service manager, if there is one that wants to know.
pub fn notify(surroundings: &Surroundings, state: &str) {
    let Some(path) = surroundings.variable("NOTIFY_SOCKET") else { return };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    };
    let told = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager could not be told {state}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_manager_hears_what_it_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut surroundings = Surroundings::default();
        notify(&surroundings, "nobody hears this");
        surroundings.environment.insert("NOTIFY_SOCKET".to_owned(), path.display().to_string());
        notify(&surroundings, "READY=1");
        let mut heard = [0; 64];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
    }
}
