//! The end of a connection whose client may still be speaking.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Lets a client finish what it is saying, for a while, so that it gets to read what we said: a socket that is closed
/// with unread bytes in it takes back what was sent.
pub(super) async fn linger<S>(stream: &mut S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let unheard = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut heard = 0;
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            heard += length;
            if heard > LINGER_BYTES {
                return;
            }
        }
    };
    let _ = timeout(LINGER, Box::pin(unheard)).await;
}

const LINGER: Duration = Duration::from_secs(1);

const LINGER_BYTES: usize = 1024 * 1024;
