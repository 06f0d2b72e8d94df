//! How long a test waits.

use std::time::{Duration, Instant};

/// A moment after which nobody waits any more. On the monotonic clock, because a test machine's wall clock may be set.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// `span` from now.
    pub fn after(span: Duration) -> Self {
        Self(now() + span)
    }

    /// The time that is left, `None` once it is over.
    pub fn left(self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(now());
        (!left.is_zero()).then_some(left)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "deadlines of tests are real time, and this is where it comes from"
)]
fn now() -> Instant {
    Instant::now()
}

/// Looks with `look` until it finds something, or `span` is over. For what gives no sign when it happens (a file that
/// changes, a port that opens); whatever gives one is waited for without this.
pub fn eventually<T>(span: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Deadline::after(span);
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        let left = deadline.left()?;
        pause(left.min(Duration::from_millis(10)));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one pause between two looks at something that gives no sign"
)]
fn pause(span: Duration) {
    std::thread::sleep(span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_late_is_found_and_what_never_comes_is_given_up() {
        let mut looks = 0;
        let found = eventually(Duration::from_secs(10), || {
            looks += 1;
            (looks == 3).then_some("there")
        });
        assert_eq!(found, Some("there"));
        assert_eq!(eventually(Duration::from_millis(20), || None::<()>), None);
    }
}
