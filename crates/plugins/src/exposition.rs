//! Writes metrics as Prometheus reads them: its text format, version 0.0.4.

use std::fmt::{Display, Write};

/// Metrics, written one family after the other.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// A family whose samples are being written.
pub struct Family<'e> {
    text: &'e mut String,
    name: &'e str,
}

impl Exposition {
    /// What `Content-Type` says of it.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins the family `name`; `help` is one line about it.
    pub fn family<'e>(&'e mut self, name: &'e str, kind: MetricKind, help: &str) -> Family<'e> {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.text, name }
    }

    /// A family of one sample without labels.
    pub fn one(&mut self, name: &str, kind: MetricKind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// All that was written.
    pub fn into_text(self) -> String {
        self.text
    }

    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        // A String takes everything.
        let _ = self.text.write_fmt(what);
    }
}

impl Family<'_> {
    /// Writes one sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// Writes a histogram: how many observations fell into each bucket, of which one more than there are `bounds`, and
    /// their sum.
    pub fn histogram(&mut self, labels: &[(&str, &str)], bounds: &[f64], counts: &[u64], sum: f64) {
        let mut total = 0;
        for (place, count) in counts.iter().enumerate() {
            total += count;
            let bound = bounds.get(place).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            self.line("_bucket", labels, Some(&bound), total);
        }
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, total);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: impl Display) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut mark = '{';
        for (name, label) in labels {
            self.text.push(mark);
            mark = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for character in label.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if mark == ',' {
            self.text.push('}');
        }
        // A String takes everything.
        let _ = writeln!(self.text, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_as_prometheus_reads_it() {
        let mut exposition = Exposition::default();
        exposition.one("up", MetricKind::Gauge, "Whether it is up.", 1);
        let mut family = exposition.family("seen_total", MetricKind::Counter, "What was seen.");
        family.sample(&[("what", "a \"b\\c\"\nd"), ("who", "")], u64::MAX);
        let mut family = exposition.family("took", MetricKind::Histogram, "How long.");
        family.histogram(&[("type", "x")], &[1.0, 2.5], &[3, 0, 2], 7.25);
        assert_eq!(
            exposition.into_text(),
            "# HELP up Whether it is up.\n# TYPE up gauge\nup 1\n\
             # HELP seen_total What was seen.\n# TYPE seen_total counter\n\
             seen_total{what=\"a \\\"b\\\\c\\\"\\nd\",who=\"\"} 18446744073709551615\n\
             # HELP took How long.\n# TYPE took histogram\n\
             took_bucket{type=\"x\",le=\"1\"} 3\ntook_bucket{type=\"x\",le=\"2.5\"} 3\n\
             took_bucket{type=\"x\",le=\"+Inf\"} 5\ntook_sum{type=\"x\"} 7.25\ntook_count{type=\"x\"} 5\n"
        );
    }
}
