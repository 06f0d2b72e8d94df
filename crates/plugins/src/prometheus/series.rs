//! What one data thread has counted of requests with the same labels.
//!
//! Only that thread writes, so an addition is a load and a store; others may read at any time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;

use crate::Record;

/// What one data thread has counted of requests with the same labels.
#[derive(Debug, Default)]
pub(super) struct Series {
    codes: [Code; MOST_CODES],
    latencies: [Histogram; 3],
    ingress: AtomicU64,
    egress: AtomicU64,
}

/// How often one status was answered; 0 is none yet.
#[derive(Debug, Default)]
struct Code {
    status: AtomicU16,
    count: AtomicU64,
}

#[derive(Debug, Default)]
struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    /// The bits of a floating-point number.
    sum: AtomicU64,
}

/// What several threads have counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) codes: BTreeMap<u16, u64>,
    /// In the order of [`TYPES`].
    pub(super) latencies: [Latencies; 3],
    pub(super) ingress: u64,
    pub(super) egress: u64,
}

/// How many took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Latencies {
    pub(super) counts: [u64; BOUNDS.len() + 1],
    pub(super) sum: f64,
}

impl Series {
    /// Counts a request. False if there is no room for one more status.
    pub(super) fn count(&self, record: &Record) -> bool {
        if !self.count_status(record.status) {
            return false;
        }
        let [request, upstream, own] = &self.latencies;
        request.observe(record.latency);
        if let Some(latency) = record.upstream_latency {
            upstream.observe(latency);
        }
        own.observe(record.latency.saturating_sub(record.upstream_latency.unwrap_or_default()));
        add(&self.ingress, record.request_bytes);
        add(&self.egress, record.response_bytes);
        true
    }

    fn count_status(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        for code in &self.codes {
            match code.status.load(Relaxed) {
                known if known == status => {}
                0 => code.status.store(status, Relaxed),
                _ => continue,
            }
            add(&code.count, 1);
            return true;
        }
        false
    }

    /// Adds what was counted to `sums`.
    pub(super) fn add_to(&self, sums: &mut Sums) {
        for code in &self.codes {
            match code.status.load(Relaxed) {
                0 => break,
                status => *sums.codes.entry(status).or_default() += code.count.load(Relaxed),
            }
        }
        for (histogram, latencies) in self.latencies.iter().zip(&mut sums.latencies) {
            for (count, total) in histogram.counts.iter().zip(&mut latencies.counts) {
                *total += count.load(Relaxed);
            }
            latencies.sum += f64::from_bits(histogram.sum.load(Relaxed));
        }
        sums.ingress += self.ingress.load(Relaxed);
        sums.egress += self.egress.load(Relaxed);
    }
}

impl Histogram {
    fn observe(&self, span: Duration) {
        let millis = span.as_secs_f64() * 1000.0;
        let place = BOUNDS.iter().position(|bound| millis <= *bound).unwrap_or(BOUNDS.len());
        add(&self.counts[place], 1);
        let sum = f64::from_bits(self.sum.load(Relaxed)) + millis;
        self.sum.store(sum.to_bits(), Relaxed);
    }
}

impl Sums {
    /// Adds `other`.
    pub(super) fn add(&mut self, other: &Self) {
        for (status, count) in &other.codes {
            *self.codes.entry(*status).or_default() += count;
        }
        for (own, others) in self.latencies.iter_mut().zip(&other.latencies) {
            own.add(others);
        }
        self.ingress += other.ingress;
        self.egress += other.egress;
    }
}

impl Latencies {
    /// Adds `other`.
    pub(super) fn add(&mut self, other: &Self) {
        for (own, others) in self.counts.iter_mut().zip(&other.counts) {
            *own += others;
        }
        self.sum += other.sum;
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Relaxed).wrapping_add(more), Relaxed);
}

/// The kinds of latency, as APISIX calls them: all of it, the upstream's share, and the rest.
pub(super) const TYPES: [&str; 3] = ["request", "upstream", "apisix"];

/// The bounds of the buckets, in milliseconds: APISIX's.
pub(super) const BOUNDS: [f64; 15] = [
    1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 30_000.0,
    60_000.0,
];

/// How many statuses have room; one more begins another series.
const MOST_CODES: usize = 12;
