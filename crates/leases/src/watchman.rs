//! Tasks that must not end as long as what they serve is there.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Clock;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Runs what `begin` begins until that ends by itself. One that ends in a panic is told, and begun anew after a moment:
/// without it leases would fall due and nobody would see to them.
pub(crate) fn keep_running<F>(
    runtime: &Handle,
    clock: Arc<dyn Clock>,
    what: &'static str,
    begin: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks = runtime.clone();
    runtime.spawn(async move {
        while let Err(ended) = tasks.spawn(begin()).await {
            if !ended.is_panic() {
                // The runtime is shutting down.
                return;
            }
            tracing::error!("{what} has ended in a panic; it begins anew");
            clock.pass(PAUSE).await;
        }
    })
}

const PAUSE: Duration = Duration::from_secs(1);
