//! A future that is left alone until it has something to say.
//!
//! A task that waits for several things polls all of them whenever one of them moves. What moves with every request
//! should not pay for looking at what moves once an hour.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// `F`, which is polled only when it has asked for it.
pub(super) struct Dozing<F> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
    waker: Waker,
    /// Whom the bell wakes, until it has rung.
    listening: Option<Waker>,
}

impl<F: Future> Dozing<F> {
    /// `future`, which will be polled the first time that somebody asks.
    pub(super) fn new(future: F) -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { future: Box::pin(future), waker: Waker::from(Arc::clone(&bell)), bell, listening: None }
    }
}

impl<F: Future> Future for Dozing<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let known = this.listening.as_ref().is_some_and(|listening| listening.will_wake(cx.waker()));
        if known && !this.bell.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // A bell that rings wakes once, so whoever hears it listens anew.
        let rang = this.bell.rung.swap(false, Ordering::AcqRel);
        this.bell.task.register(cx.waker());
        this.listening = Some(cx.waker().clone());
        let polled = match rang {
            true => this.future.as_mut().poll(&mut Context::from_waker(&this.waker)),
            false => Poll::Pending,
        };
        // It may have rung when nobody listened.
        if this.bell.rung.load(Ordering::Acquire) {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

struct Bell {
    rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_once_and_then_when_it_was_woken() {
        let polls = Cell::new(0);
        let (wake, woken) = tokio::sync::oneshot::channel::<()>();
        let mut woken = Box::pin(woken);
        let mut dozing = Dozing::new(poll_fn(|cx| {
            polls.set(polls.get() + 1);
            woken.as_mut().poll(cx)
        }));
        for _ in 0..5 {
            assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut dozing).poll(cx))).await.is_pending());
        }
        assert_eq!(polls.get(), 1);
        wake.send(()).unwrap();
        assert_eq!(dozing.await, Ok(()));
        assert_eq!(polls.get(), 2);
    }
}
