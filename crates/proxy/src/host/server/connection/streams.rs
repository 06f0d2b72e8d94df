//! The streams of an HTTP/2 connection.

use std::future::Future;
use std::sync::Arc;

use hyper::rt::Executor;

use super::super::vigil::Vigil;

/// Runs the streams of an HTTP/2 connection where the connection itself runs, on its data thread, and counts them.
#[derive(Clone)]
pub(super) struct Streams(pub(super) Arc<Vigil>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        let stream = Stream::begin(&self.0);
        // It is large, and spawning moves what it is given many times over.
        let future = Box::pin(future);
        tokio::task::spawn_local(async move {
            let _stream = stream;
            future.await;
        });
    }
}

struct Stream(Arc<Vigil>);

impl Stream {
    fn begin(vigil: &Arc<Vigil>) -> Self {
        vigil.begin_stream();
        Self(Arc::clone(vigil))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.end_stream();
    }
}
