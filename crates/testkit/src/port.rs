//! Ports that nobody else has.
//!
//! A listener of ours asks the kernel for port 0 and keeps what it is given. Some programs want to be told a port, and some
//! tests want one where nobody listens: a port that was found free by listening for a moment may then be given to anybody,
//! even to the next listener of the same test. So these come from below the range that kernels give out by themselves
//! (Linux from 32768 on, others from 49152 on), and each is locked for as long as this process lives, against other tests.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

const PORTS: Range<u16> = 20_000..32_000;

/// A loopback port that nobody has but whoever this test gives it to, for a program that cannot be told to choose one itself.
#[track_caller]
pub fn free_port() -> u16 {
    let count = u64::from(PORTS.end - PORTS.start);
    let first = RandomState::new().hash_one(0) % count;
    (0..count)
        .filter_map(|step| u16::try_from((first + step) % count).ok())
        .map(|place| PORTS.start + place)
        .find(|port| is_taken_for_us(*port))
        .expect("a port below those that the kernel gives out is free")
}

/// An address on loopback where nobody listens, and nobody will before this process ends.
#[track_caller]
pub fn nobody() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// Locks a port, unless somebody has locked it or listens on it.
fn is_taken_for_us(port: u16) -> bool {
    static LOCKS: Mutex<Vec<File>> = Mutex::new(Vec::new());
    // Another user's locks could not be opened, so each user has a folder.
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("gateward-test-ports-{user}"));
    fs::create_dir_all(&folder).expect("a folder for the locks of ports can be made");
    let lock = File::create(folder.join(port.to_string())).expect("the lock of a port can be opened");
    let ours = lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    if ours {
        LOCKS.lock().unwrap_or_else(PoisonError::into_inner).push(lock);
    }
    ours
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn no_port_is_given_twice_nor_one_that_the_kernel_gives() {
        let ports: Vec<_> = (0..500).map(|_| free_port()).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), ports.len());
        assert!(ports.iter().all(|port| *port < 32_768), "{ports:?}");
    }

    #[test]
    fn a_port_where_somebody_listens_is_not_given() {
        // Of this range, yet not locked: a program that knows nothing of locks.
        let (port, _listening) = PORTS
            .rev()
            .find_map(|port| Some((port, TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?)))
            .unwrap();
        assert!(!is_taken_for_us(port));
    }

    #[test]
    fn nobody_answers_at_the_address_of_nobody() {
        assert!(TcpStream::connect(nobody()).is_err());
    }
}
