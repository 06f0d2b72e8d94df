//! All requests that were counted, by their labels.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustc_hash::FxBuildHasher;

use super::labels::{Disabled, Labels};
use super::series::{BOUNDS, Latencies, Series, Sums, TYPES};
use crate::{Exposition, MetricKind, Record, Shared};

/// All requests that were counted in this process.
pub struct Requests {
    /// Tells it apart from others in the tables of threads.
    number: u64,
    /// Where threads hand over what they are about to count in.
    begun: Sender<Begun>,
    collected: Mutex<Collected>,
}

/// A series that a thread has begun.
struct Begun {
    labels: Labels<Box<str>>,
    series: Arc<Series>,
}

struct Collected {
    begun: Receiver<Begun>,
    /// Those that a thread may still write.
    live: Vec<Begun>,
    /// What the others came to.
    past: HashMap<Labels<Box<str>>, Sums>,
    disabled: Disabled,
}

thread_local! {
    /// The series of this thread, by the hash of their labels.
    static TABLE: RefCell<Table> = RefCell::default();
}

#[derive(Default)]
struct Table {
    by_hash: HashMap<u64, Vec<Place>, FxBuildHasher>,
    places: usize,
}

struct Place {
    of: u64,
    labels: Labels<Box<str>>,
    series: Arc<Series>,
}

impl Requests {
    /// Those that `shared` has.
    pub fn of(shared: &Shared) -> Arc<Self> {
        let mut is_new = false;
        let requests = shared.get_or(|_| {
            is_new = true;
            Self::default()
        });
        if is_new {
            shared.runtime.spawn(fold(Arc::downgrade(&requests)));
        }
        requests
    }

    /// Leaves these labels empty from now on.
    pub(super) fn disable(&self, disabled: Disabled) {
        self.collected().disabled = disabled;
    }

    /// Counts a request.
    pub(super) fn count(&self, labels: Labels<&str>, record: &Record) {
        let hash = FxBuildHasher.hash_one((self.number, labels));
        TABLE.with_borrow_mut(|table| {
            let places = table.by_hash.entry(hash).or_default();
            let is_it = |place: &&mut Place| place.of == self.number && place.labels.borrowed() == labels;
            if let Some(place) = places.iter_mut().find(is_it) {
                if !place.series.count(record) {
                    place.series = self.begin(labels);
                    place.series.count(record);
                }
                return;
            }
            let series = self.begin(labels);
            series.count(record);
            places.push(Place { of: self.number, labels: labels.owned(), series });
            table.places += 1;
            // What is forgotten here is not lost: it was handed over when it began.
            if table.places >= MOST_PLACES {
                *table = Table::default();
            }
        });
    }

    fn begin(&self, labels: Labels<&str>) -> Arc<Series> {
        let series = Arc::new(Series::default());
        let begun = Begun { labels: labels.owned(), series: Arc::clone(&series) };
        // The other end is ours, too.
        let _ = self.begun.send(begun);
        series
    }

    /// Writes the metrics of APISIX that tell requests apart.
    pub fn write(&self, exposition: &mut Exposition) {
        let mut collected = self.collected();
        collected.fold();
        let mut all = collected.past.clone();
        for Begun { labels, series } in &collected.live {
            series.add_to(all.entry(labels.clone()).or_default());
        }
        let disabled = collected.disabled.clone();
        drop(collected);
        write_statuses(&all, &disabled, exposition);
        write_latencies(&all, &disabled, exposition);
        write_bandwidth(&all, &disabled, exposition);
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Requests {
    fn default() -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let (begun, receiver) = channel();
        let collected = Collected {
            begun: receiver,
            live: Vec::new(),
            past: HashMap::new(),
            disabled: Disabled::default(),
        };
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        Self { number, begun, collected: Mutex::new(collected) }
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Requests").finish_non_exhaustive()
    }
}

impl Collected {
    /// Takes over what was begun, and adds up what nobody writes any more.
    fn fold(&mut self) {
        self.live.extend(self.begun.try_iter());
        let past = &mut self.past;
        self.live.retain_mut(|Begun { labels, series }| {
            // Whoever is alone with it sees all that was written.
            if Arc::get_mut(series).is_none() {
                return true;
            }
            let mut sums = Sums::default();
            series.add_to(&mut sums);
            past.entry(labels.clone()).or_default().add(&sums);
            false
        });
    }
}

/// Folds from time to time, so that what nobody scrapes does not grow.
async fn fold(requests: Weak<Requests>) {
    loop {
        tokio::time::sleep(FOLD).await;
        let Some(requests) = requests.upgrade() else { return };
        requests.collected().fold();
    }
}

type All = HashMap<Labels<Box<str>>, Sums>;

fn write_statuses(all: &All, disabled: &Disabled, exposition: &mut Exposition) {
    let mut shown: BTreeMap<(Labels<&str>, u16), u64> = BTreeMap::new();
    for (labels, sums) in all {
        let labels = labels.borrowed().shown("http_status", disabled);
        for (code, count) in &sums.codes {
            *shown.entry((labels, *code)).or_default() += count;
        }
    }
    let help = "Requests by the status of their answers.";
    let mut family = exposition.family("apisix_http_status", MetricKind::Counter, help);
    for ((labels, code), count) in shown {
        let code = code.to_string();
        let labels = [
            ("code", code.as_str()),
            ("route", labels.route),
            ("matched_uri", labels.uri),
            ("matched_host", labels.host),
            ("service", labels.service),
            ("consumer", labels.consumer),
            ("node", labels.node),
        ];
        family.sample(&labels, count);
    }
}

fn write_latencies(all: &All, disabled: &Disabled, exposition: &mut Exposition) {
    let mut shown: BTreeMap<(&str, Labels<&str>), Latencies> = BTreeMap::new();
    for (labels, sums) in all {
        let labels = without_match(labels.borrowed()).shown("http_latency", disabled);
        for (kind, latencies) in TYPES.iter().zip(&sums.latencies) {
            // Only what was asked of an upstream has its share.
            if latencies.counts.iter().any(|count| *count > 0) {
                shown.entry((kind, labels)).or_default().add(latencies);
            }
        }
    }
    let help = "How long requests took, in milliseconds.";
    let mut family = exposition.family("apisix_http_latency", MetricKind::Histogram, help);
    for ((kind, labels), latencies) in shown {
        family.histogram(&typed(kind, &labels), &BOUNDS, &latencies.counts, latencies.sum);
    }
}

fn write_bandwidth(all: &All, disabled: &Disabled, exposition: &mut Exposition) {
    let mut shown: BTreeMap<(&str, Labels<&str>), u64> = BTreeMap::new();
    for (labels, sums) in all {
        let labels = without_match(labels.borrowed()).shown("bandwidth", disabled);
        for (kind, bytes) in [("ingress", sums.ingress), ("egress", sums.egress)] {
            *shown.entry((kind, labels)).or_default() += bytes;
        }
    }
    let help = "Bytes of the bodies of requests (ingress) and answers (egress).";
    let mut family = exposition.family("apisix_bandwidth", MetricKind::Counter, help);
    for ((kind, labels), bytes) in shown {
        family.sample(&typed(kind, &labels), bytes);
    }
}

fn without_match(labels: Labels<&str>) -> Labels<&str> {
    Labels { uri: "", host: "", ..labels }
}

fn typed<'l>(kind: &'l str, labels: &Labels<&'l str>) -> [(&'static str, &'l str); 5] {
    [
        ("type", kind),
        ("route", labels.route),
        ("service", labels.service),
        ("consumer", labels.consumer),
        ("node", labels.node),
    ]
}

/// How many series a thread knows before it forgets all of them.
const MOST_PLACES: usize = 4096;

/// How often what was counted is folded.
const FOLD: Duration = Duration::from_secs(15);
