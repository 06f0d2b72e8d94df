//! Traces, as W3C Trace Context has them: ids, `traceparent`, and which requests are sampled.

use std::fmt;

use http::{HeaderMap, HeaderValue};

/// The name of a trace; not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// The name of a span in a trace; not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

/// Whose part a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) is_sampled: bool,
}

/// Which requests are told of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sampler {
    All,
    None,
    /// Those whose trace id, taken as a number, is below this share of all; so all gateways take the same traces.
    Share(f64),
    /// What the parent says; without one, what this says.
    Parent(Root),
}

/// Which requests without a parent are told of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Root {
    All,
    None,
    Share(f64),
}

impl TraceId {
    /// A new one.
    pub(super) fn random() -> Self {
        Self(fastrand::u128(1..))
    }

    /// Reads 32 hexadecimal digits, in either case; dashes between them, as in a UUID, do not count.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|character| *character != '-').collect();
        let is_hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = u128::from_str_radix(&digits, 16).ok().filter(|id| is_hex && *id != 0)?;
        Some(Self(id))
    }

    /// As it travels.
    pub(super) fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl SpanId {
    /// A new one.
    pub(super) fn random() -> Self {
        Self(fastrand::u64(1..))
    }

    /// As it travels.
    pub(super) fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl Parent {
    /// Whose part a request with `headers` is; nobody's, if they say so in no way that can be read.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(&super::TRACEPARENT).iter();
        let (field, another) = (fields.next()?, fields.next());
        Self::parse(field.to_str().ok()?).filter(|_| another.is_none())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace_id = hex(parts.next()?, 32)?;
        let span_id = hex(parts.next()?, 16)?;
        let flags = hex(parts.next()?, 2)?;
        // A later version may say more; version 0 says no more, and 255 is none.
        if version == 0xff || (version == 0 && parts.next().is_some()) || trace_id == 0 || span_id == 0 {
            return None;
        }
        let span_id = SpanId(u64::try_from(span_id).ok()?);
        Some(Self { trace_id: TraceId(trace_id), span_id, is_sampled: flags & 1 == 1 })
    }
}

impl Sampler {
    /// Whether a request is told of.
    pub(super) fn takes(self, trace_id: TraceId, parent: Option<&Parent>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Share(share) => is_within(trace_id, share),
            Self::Parent(root) => match (parent, root) {
                (Some(parent), _) => parent.is_sampled,
                (None, Root::All) => true,
                (None, Root::None) => false,
                (None, Root::Share(share)) => is_within(trace_id, share),
            },
        }
    }
}

/// What the upstream is told.
pub(super) fn traceparent(trace_id: TraceId, span_id: SpanId, is_sampled: bool) -> HeaderValue {
    let text = format!("00-{trace_id}-{span_id}-{:02x}", u8::from(is_sampled));
    // Digits and dashes.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// Whether the lower half of the id, without its last bit, is below `share` of all that it could be: as the reference
/// implementations of OpenTelemetry have it.
fn is_within(trace_id: TraceId, share: f64) -> bool {
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    let half = (trace_id.0 as u64) >> 1;
    #[expect(clippy::cast_precision_loss, reason = "a share of requests needs no more than 53 bits")]
    let place = half as f64 / (1_u64 << 63) as f64;
    share >= 1.0 || place < share
}

/// Reads exactly so many hexadecimal digits, in lower case.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| is_hex && text.len() == digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_read_as_the_recommendation_says() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let parent = Parent::parse(&format!("00-{trace}-{span}-01")).unwrap();
        assert_eq!(
            (parent.trace_id.to_string().as_str(), parent.span_id.to_string().as_str()),
            (trace, span)
        );
        assert!(parent.is_sampled);
        assert!(!Parent::parse(&format!("00-{trace}-{span}-02")).unwrap().is_sampled);
        assert!(Parent::parse(&format!("01-{trace}-{span}-01-more")).is_some());
        for wrong in [
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-1"),
            format!("00-+{}-{span}-01", &trace[1..]),
            String::new(),
        ] {
            assert_eq!(Parent::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_share_takes_the_same_traces_everywhere_and_about_as_many_as_it_says() {
        let within = |lower: u64, share| is_within(TraceId(u128::from(lower)), share);
        assert!(within(u64::MAX, 1.0) && !within(0, 0.0) && within(1, 0.5));
        assert!(within(u64::MAX / 2 - 4096, 0.5) && !within(u64::MAX / 2 + 4096, 0.5));
        let taken = (0..10_000).filter(|_| is_within(TraceId::random(), 0.1)).count();
        assert!((800..1200).contains(&taken), "{taken}");
    }

    #[test]
    fn a_request_id_is_a_trace_id_if_it_can_be_one() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(TraceId::parse(id).unwrap().to_string(), id);
        assert_eq!(TraceId::parse("0AF76519-16cd-43dd-8448-eb211c80319c").unwrap().to_string(), id);
        for wrong in ["", "0af7", &"0".repeat(32), &"x".repeat(32), &"a".repeat(33)] {
            assert_eq!(TraceId::parse(wrong), None, "{wrong}");
        }
    }
}
