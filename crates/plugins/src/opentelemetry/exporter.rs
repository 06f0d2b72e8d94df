//! Tells a collector of spans, off the way of requests.
//!
//! Data threads put spans into a queue and go on; when it is full, spans are dropped and counted. A task on the control
//! runtime looks into the queue ten times a second (nobody wakes it, because that costs more than the span) and sends
//! what has gathered. A collector that does not answer costs spans, and no request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use gateward_model::Invalid;
use gateward_net::{Client, Limits};
use http::Request;
use http::header::CONTENT_TYPE;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::settings::{Collector, Identity, Metadata, Scalar};
use super::span::{Span, export};
use crate::{Confidential, Shared};

/// All spans of this process: who exports them, and what has become of them.
#[derive(Default)]
pub struct Spans {
    exporters: Mutex<HashMap<Identity, Weak<Exporter>>>,
    counts: Arc<Counts>,
    /// Until when nobody waits for a collector again that was too slow.
    rests_until: Mutex<Option<Instant>>,
}

/// What has become of spans.
#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

/// Where spans are handed over for one collector.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: SyncSender<Box<Span>>,
    flush: mpsc::UnboundedSender<oneshot::Sender<()>>,
    counts: Arc<Counts>,
}

impl Spans {
    /// Those that `shared` has.
    pub fn of(shared: &Shared) -> Arc<Self> {
        shared.get_or(|_| Self::default())
    }

    /// How many were exported, how many were dropped because the queue was full, and how many no collector took.
    pub fn counts(&self) -> (u64, u64, u64) {
        let Counts { exported, dropped, failed } = &*self.counts;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(exported), load(dropped), load(failed))
    }

    /// Sends what waits, before the process ends or is frozen. Collectors that were too slow for it are left alone for a
    /// while: no answer is to wait for them again and again.
    pub async fn flush(&self, patience: Duration) {
        if lock(&self.rests_until).is_some_and(|until| Instant::now() < until) {
            return;
        }
        let exporters: Vec<_> = self.exporters().values().filter_map(Weak::upgrade).collect();
        let all_sent = async {
            for exporter in exporters {
                let (done, sent) = oneshot::channel();
                if exporter.flush.send(done).is_ok() {
                    // An error means that the task has ended.
                    let _ = sent.await;
                }
            }
        };
        if timeout(patience, all_sent).await.is_err() {
            *lock(&self.rests_until) = Some(Instant::now() + REST);
            tracing::warn!("the last spans could not be told in time");
        }
    }

    /// The exporter for `metadata`; those who say the same share one.
    pub(super) fn exporter(&self, metadata: &Metadata, shared: &Shared) -> Result<Arc<Exporter>, Invalid> {
        let collector = metadata.collector()?;
        let mut exporters = self.exporters();
        exporters.retain(|_, exporter| exporter.strong_count() > 0);
        let identity = metadata.identity();
        if let Some(exporter) = exporters.get(&identity).and_then(Weak::upgrade) {
            return Ok(exporter);
        }
        let (queue, spans) = sync_channel(collector.queue);
        let (flush, flushes) = mpsc::unbounded_channel();
        let exporter = Arc::new(Exporter { queue, flush, counts: Arc::clone(&self.counts) });
        let mut resource = collector.resource.clone();
        resource.push(("hostname".to_owned(), Scalar::Text(shared.host_name.to_string())));
        let sender = Sender {
            collector,
            resource,
            client: shared.client.clone(),
            confidential: Arc::clone(&shared.confidential),
            counts: Arc::clone(&self.counts),
            is_failing: false,
        };
        shared.runtime.spawn(sender.run(spans, flushes));
        exporters.insert(identity, Arc::downgrade(&exporter));
        Ok(exporter)
    }

    fn exporters(&self) -> MutexGuard<'_, HashMap<Identity, Weak<Exporter>>> {
        lock(&self.exporters)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exporter {
    /// Hands a span over. Never waits.
    pub(super) fn hand_over(&self, span: Box<Span>) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The task that sends.
struct Sender {
    collector: Collector,
    resource: Vec<(String, Scalar)>,
    client: Option<Client>,
    confidential: Arc<Confidential>,
    counts: Arc<Counts>,
    /// Whether the last batch was not taken. Said once, and once more when it is over.
    is_failing: bool,
}

impl Sender {
    async fn run(
        mut self,
        queue: Receiver<Box<Span>>,
        mut flushes: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    ) {
        let mut batch: Vec<Span> = Vec::new();
        let (mut first, mut last) = (Instant::now(), Instant::now());
        loop {
            let flush = timeout(TICK, flushes.recv()).await.ok().flatten();
            let everybody_left = loop {
                match queue.try_recv() {
                    Ok(span) => {
                        last = Instant::now();
                        if batch.is_empty() {
                            first = last;
                        }
                        batch.push(*span);
                    }
                    Err(TryRecvError::Empty) => break false,
                    Err(TryRecvError::Disconnected) => break true,
                }
                if batch.len() >= self.collector.batch {
                    self.send(&mut batch).await;
                }
            };
            let is_time = first.elapsed() >= self.collector.batch_timeout
                || last.elapsed() >= self.collector.inactive_timeout;
            if is_time || everybody_left || flush.is_some() {
                self.send(&mut batch).await;
            }
            if let Some(flush) = flush {
                // Who asked may have gone.
                let _ = flush.send(());
            }
            if everybody_left {
                return;
            }
        }
    }

    async fn send(&mut self, batch: &mut Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        let sent = self.try_send(batch).await;
        let counted = if sent.is_ok() { &self.counts.exported } else { &self.counts.failed };
        counted.fetch_add(batch.len() as u64, Ordering::Relaxed);
        batch.clear();
        match (&sent, self.is_failing) {
            (Err(problem), false) => {
                let collector = self.collector.uri.authority().map_or("", |authority| authority.as_str());
                tracing::warn!(
                    collector,
                    problem,
                    "the collector takes no spans; they are dropped until it does"
                );
            }
            (Ok(()), true) => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        self.is_failing = sent.is_err();
    }

    async fn try_send(&self, batch: &[Span]) -> Result<(), String> {
        let Some(client) = &self.client else { return Err("this process calls nobody".to_owned()) };
        let body = export(&self.resource, batch, &self.confidential);
        let mut request = Request::post(self.collector.uri.clone())
            .header(CONTENT_TYPE, "application/x-protobuf")
            .body(Bytes::from(body))
            .map_err(|error| error.to_string())?;
        for (name, value) in &self.collector.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let limits = Limits { timeout: self.collector.timeout, max_body: MOST_ANSWER, verify: true };
        let answer = client.fetch(request, limits).await.map_err(|error| error.to_string())?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {status}")),
        }
    }
}

/// How often the queue is looked into.
const TICK: Duration = Duration::from_millis(100);

/// For how long nobody waits for collectors after they were too slow.
const REST: Duration = Duration::from_secs(60);

/// What a collector may answer.
const MOST_ANSWER: usize = 64 * 1024;
