//! How many calls of one function may be under way at a time.
//!
//! The count is the process's: all data threads and all routes that call the function share it, and a change of the
//! configuration does not begin it anew. A call is under way until its answer has ended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_net::Body;
use http::Response;

use crate::Site;

/// How many calls of one function may be under way.
pub(super) struct Limit {
    under_way: Arc<AtomicU32>,
    most: u32,
}

/// One call's place, which it leaves when this is dropped.
pub(super) struct Permit(Arc<AtomicU32>);

/// The calls under way of every function that has a limit.
#[derive(Default)]
struct Functions(Mutex<HashMap<String, Weak<AtomicU32>>>);

impl Limit {
    /// At most `most` calls of `function`, whatever that is called by.
    pub(super) fn of(function: String, most: u32, site: &Site<'_>) -> Self {
        let functions = site.shared.get_or(|_| Functions::default());
        let mut known = functions.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = known.get(&function).and_then(Weak::upgrade).unwrap_or_else(|| {
            known.retain(|_, counter| counter.strong_count() > 0);
            let counter = Arc::default();
            known.insert(function, Arc::downgrade(&counter));
            counter
        });
        Self { under_way, most }
    }

    /// Fails if there is no room at this moment: who waits for a body first need not wait in vain, and whose body takes
    /// long to come keeps no place from others.
    pub(super) fn look(&self) -> Result<(), Failure> {
        if self.under_way.load(Ordering::Relaxed) < self.most { Ok(()) } else { Err(full()) }
    }

    /// A place for one more call, if there is room.
    pub(super) fn enter(&self) -> Result<Permit, Failure> {
        let more = |count: u32| (count < self.most).then_some(count + 1);
        match self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Permit(Arc::clone(&self.under_way))),
            Err(_) => Err(full()),
        }
    }
}

fn full() -> Failure {
    let message = "as many calls of the function are under way as there may be; try again soon";
    let code = "function_concurrency_exceeded";
    Failure::new(ErrorStatus::UNAVAILABLE, Origin::Function, code, message).with_retry_after(1)
}

/// `response`, whose end is the end of the call that `permit` is for.
pub(super) fn until_ended(response: Response<Body>, permit: Option<Permit>) -> Response<Body> {
    match permit {
        Some(permit) => response.map(|body| body.when_done(move |_end| drop(permit))),
        None => response,
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
