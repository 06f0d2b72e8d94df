//! The access log: a line of JSON for each request, written off its path.
//!
//! Data threads put what became of a request into a queue and go on. One thread looks into the queue twenty times a
//! second, makes lines of what it finds and writes them together. Nobody wakes it, because to wake a thread costs more
//! than to hand the record over; and nobody waits for it: when the queue is full, records are dropped and counted.
//!
//! In a Lambda function nobody may come later: each line is written when its request has ended, and before Lambda hears of
//! the end of the answer.

mod destination;
mod line;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use gateward_plugins::{Confidential, Record};

use crate::settings::AccessLog as Target;
use destination::Destination;

/// The access log, as long as the process lives.
pub struct AccessLog {
    way: Way,
    counts: Arc<Counts>,
}

/// When lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// A moment later, by a thread of their own.
    Later,
    /// By whoever ends a request.
    AtOnce,
}

/// How a record becomes a line.
enum Way {
    Later { records: SyncSender<Box<Record>>, calls: Mutex<Sender<Call>> },
    AtOnce(Mutex<Pen>),
}

/// What has become of records.
#[derive(Debug, Default)]
pub struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
}

/// What the writer is told.
enum Call {
    /// The file has been moved away.
    Reopen,
    /// Write what there is, and say so.
    End(Sender<()>),
}

impl AccessLog {
    /// Opens the log at `target`, if there is to be one. What is `confidential` is not written down.
    pub fn open(
        target: &Target,
        writes: Writes,
        confidential: Arc<Confidential>,
    ) -> Result<Option<Arc<Self>>, String> {
        let Some(destination) = Destination::open(target)
            .map_err(|(path, error)| format!("access_log: {} cannot be opened: {error}", path.display()))?
        else {
            return Ok(None);
        };
        let counts = Arc::new(Counts::default());
        let pen = Pen { destination, confidential, counts: Arc::clone(&counts) };
        let way = match writes {
            Writes::Later => Writer::start(pen).map_err(|error| format!("access_log: {error}"))?,
            Writes::AtOnce => Way::AtOnce(Mutex::new(pen)),
        };
        Ok(Some(Arc::new(Self { way, counts })))
    }

    /// What has become of records until now: how many were written, how many dropped.
    pub fn counts(&self) -> (u64, u64) {
        (self.counts.written.load(Ordering::Relaxed), self.counts.dropped.load(Ordering::Relaxed))
    }

    /// Opens the file anew: somebody has moved it away.
    pub fn reopen(&self) {
        self.call(Call::Reopen);
    }

    /// Waits until everything is written that has ended, though not for ever.
    pub fn finish(&self) {
        let (done, ended) = channel();
        self.call(Call::End(done));
        if ended.recv_timeout(FINISH).is_err() {
            tracing::warn!("the end of the access log could not be written in time");
        }
    }

    fn call(&self, call: Call) {
        match (&self.way, call) {
            (Way::Later { calls, .. }, call) => {
                // The writer ends only when nobody can call any more, or with a panic, which was reported.
                let _ = lock(calls).send(call);
            }
            (Way::AtOnce(pen), Call::Reopen) => lock(pen).reopen(),
            (Way::AtOnce(_), Call::End(done)) => drop(done.send(())),
        }
    }
}

impl gateward_proxy::AccessLog for AccessLog {
    fn ended(&self, record: Box<Record>) {
        match &self.way {
            Way::Later { records, .. } => {
                if records.try_send(record).is_err() {
                    self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
            Way::AtOnce(pen) => {
                let (mut lines, mut pen) = (Vec::new(), lock(pen));
                line::write(&record, &pen.confidential, &mut lines);
                pen.write(&mut lines, &mut 1);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread that writes.
struct Writer {
    queue: Receiver<Box<Record>>,
    heard: Receiver<Call>,
    pen: Pen,
}

/// What lines are written with.
struct Pen {
    destination: Destination,
    confidential: Arc<Confidential>,
    counts: Arc<Counts>,
}

impl Writer {
    fn start(pen: Pen) -> io::Result<Way> {
        let (records, queue) = sync_channel(QUEUE);
        let (calls, heard) = channel();
        let writer = Self { queue, heard, pen };
        thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(Way::Later { records, calls: Mutex::new(calls) })
    }

    fn run(mut self) {
        let mut ticks = 0_u32;
        loop {
            let call = self.heard.recv_timeout(TICK);
            let everybody_left = self.write_what_there_is();
            match call {
                Ok(Call::Reopen) => self.pen.reopen(),
                Ok(Call::End(done)) => drop(done.send(())),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if everybody_left => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            ticks += 1;
            if ticks >= LOOK {
                ticks = 0;
                if self.pen.destination.has_moved() {
                    self.pen.reopen();
                }
            }
        }
    }

    /// Writes all records that are there; whether no more can come.
    fn write_what_there_is(&mut self) -> bool {
        let mut lines = Vec::new();
        let mut count = 0;
        let everybody_left = loop {
            match self.queue.try_recv() {
                Ok(record) => {
                    line::write(&record, &self.pen.confidential, &mut lines);
                    count += 1;
                }
                Err(TryRecvError::Empty) => break false,
                Err(TryRecvError::Disconnected) => break true,
            }
            if lines.len() >= BATCH {
                self.pen.write(&mut lines, &mut count);
            }
        };
        self.pen.write(&mut lines, &mut count);
        everybody_left
    }
}

impl Pen {
    fn write(&mut self, lines: &mut Vec<u8>, count: &mut u64) {
        if lines.is_empty() {
            return;
        }
        let written = self.destination.write(lines);
        let counted = if written.is_ok() { &self.counts.written } else { &self.counts.dropped };
        counted.fetch_add(*count, Ordering::Relaxed);
        self.report(written, "the access log cannot be written; records are dropped");
        lines.clear();
        *count = 0;
    }

    fn reopen(&mut self) {
        let reopened = self.destination.reopen();
        self.report(reopened, "the access log cannot be opened anew; the old file is written on");
    }

    fn report(&self, result: io::Result<()>, what: &str) {
        if let Err(error) = result {
            tracing::error!(%error, "{what}");
        }
    }
}

/// How many records may wait: what half a million requests a second leave in one tick.
const QUEUE: usize = 32 * 1024;

/// How often the writer looks.
const TICK: Duration = Duration::from_millis(50);

/// After how many ticks it looks whether the file has been moved.
const LOOK: u32 = 20;

/// How much is written at once.
const BATCH: usize = 64 * 1024;

/// How long the end may take.
const FINISH: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
