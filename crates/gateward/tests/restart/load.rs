//! Clients that never stop asking: some on connections that they keep, some on a new one each time.
//!
//! A client that keeps connections does what RFC 9112 (9.6) asks of it: it looks whether the server has closed the
//! connection before it uses it again, and honours `Connection: close`. It sends nothing twice: what is lost is a failure.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait_until;

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// What has come of it.
#[derive(Debug)]
pub struct Told {
    /// Answers on a connection that was used before.
    pub reused: u64,
    /// Answers on a new connection.
    pub fresh: u64,
    pub failures: Vec<String>,
}

struct Shared {
    address: String,
    path: &'static str,
    stop: AtomicBool,
    reused: AtomicU64,
    fresh: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Asks for `path` at `url` until it is told to end.
    pub fn start(url: &str, path: &'static str) -> Self {
        let shared = Arc::new(Shared {
            address: url.trim_start_matches("http://").to_owned(),
            path,
            stop: AtomicBool::new(false),
            reused: AtomicU64::new(0),
            fresh: AtomicU64::new(0),
            failures: Mutex::default(),
        });
        let clients = (0..8).map(|number| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.ask(number % 2 == 0))
        });
        Self { clients: clients.collect(), shared }
    }

    /// Waits until another few hundred requests were answered.
    #[track_caller]
    pub fn goes_on(&self) {
        let before = self.shared.answers();
        wait_until("requests are answered", || self.shared.answers() > before + 300);
    }

    /// Ends it.
    pub fn end(self) -> Told {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        let failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Shared { reused, fresh, .. } = &*self.shared;
        Told { reused: reused.load(Ordering::Relaxed), fresh: fresh.load(Ordering::Relaxed), failures }
    }
}

impl Shared {
    fn answers(&self) -> u64 {
        self.reused.load(Ordering::Relaxed) + self.fresh.load(Ordering::Relaxed)
    }

    fn ask(&self, keeps: bool) {
        let mut kept: Option<BufReader<TcpStream>> = None;
        while !self.stop.load(Ordering::Relaxed) {
            let reused = kept.take().filter(|connection| is_open(connection.get_ref()));
            let count = if reused.is_some() { &self.reused } else { &self.fresh };
            let how = if reused.is_some() { "a kept connection" } else { "a new connection" };
            match self.one(reused, keeps) {
                Ok(connection) => {
                    count.fetch_add(1, Ordering::Relaxed);
                    kept = connection;
                }
                Err(error) => {
                    let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
                    failures.push(format!("on {how}: {error}"));
                }
            }
        }
    }

    /// One request; gives the connection back if it may be used again.
    fn one(
        &self,
        kept: Option<BufReader<TcpStream>>,
        keeps: bool,
    ) -> io::Result<Option<BufReader<TcpStream>>> {
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(&self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(20)))?;
                BufReader::new(stream)
            }
        };
        let close = if keeps { "" } else { "Connection: close\r\n" };
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n{close}\r\n", self.path, self.address);
        connection.get_mut().write_all(request.as_bytes())?;
        let (mut length, mut last, mut first) = (0, !keeps, true);
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if std::mem::take(&mut first) && !line.starts_with("HTTP/1.1 200 ") {
                return Err(io::Error::other(line));
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().map_err(io::Error::other)?;
            }
            last |= line == "connection: close";
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body)?;
        Ok((!last).then_some(connection))
    }
}

/// Whether the server has not closed it.
fn is_open(stream: &TcpStream) -> bool {
    let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
    let open = matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
    open && stream.set_nonblocking(false).is_ok()
}
