//! The handshake of TLS, up to the point where the connection's protocol is known.
//!
//! The client's first message names the host that it wants. Only then a certificate is chosen, among those that are
//! served at this moment: whoever comes after a change sees what it brought.

use std::io;
use std::sync::Arc;

use gateward_net::TlsFacts;
use rustls::ProtocolVersion;
use rustls::server::{Accepted, Acceptor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::{StartHandshake, TlsStream};

use crate::certificates::{Certificates, NoCertificate};

/// An encrypted connection, and what its handshake said.
pub(super) struct Encrypted {
    pub(super) stream: Box<TlsStream<TcpStream>>,
    pub(super) facts: TlsFacts,
    /// Whether the two ends agreed on HTTP/2.
    pub(super) http2: bool,
}

/// Why there is no encrypted connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the client hung up, or sent something else than TLS, or no certificate that is trusted")]
    Failed(#[from] io::Error),
    #[error("the client's first message cannot be used")]
    Hello(#[source] rustls::Error),
    #[error(transparent)]
    NoCertificate(#[from] NoCertificate),
}

/// Shakes hands with the client, who sent `before` already. Who waits for it sets a limit.
pub(super) async fn accept(
    mut tcp: TcpStream,
    before: Vec<u8>,
    certificates: impl FnOnce() -> Arc<Certificates>,
    fallback_sni: Option<&str>,
) -> Result<Encrypted, HandshakeError> {
    let accepted = hello(&mut tcp, before).await?;
    let sni: Option<Box<str>> =
        accepted.client_hello().server_name().map(|name| name.to_ascii_lowercase().into());
    let served = match certificates().for_handshake(sni.as_deref(), fallback_sni) {
        Ok(served) => served,
        Err(error) => {
            let alert = match error {
                NoCertificate::Unknown => UNRECOGNIZED_NAME,
                NoCertificate::Unavailable => INTERNAL_ERROR,
            };
            alert_in_clear(&mut tcp, alert).await;
            return Err(error.into());
        }
    };
    let stream = StartHandshake::from_parts(accepted, tcp).into_stream(Arc::clone(&served.config)).await?;
    let session = stream.get_ref().1;
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    // The handshake would have failed on one that nobody vouches for.
    let vouched = served.demand.as_ref().zip(shown);
    let facts = TlsFacts {
        sni,
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        vouched_by: vouched.map(|(demand, _)| Arc::clone(&demand.trust)),
        certificate: vouched.map(|(_, certificate)| certificate.as_ref().into()),
    };
    let http2 = session.alpn_protocol() == Some(b"h2");
    Ok(Encrypted { stream: Box::new(stream), facts, http2 })
}

/// The client's first message.
async fn hello(tcp: &mut TcpStream, before: Vec<u8>) -> Result<Accepted, HandshakeError> {
    let mut acceptor = Acceptor::default();
    let mut bytes = before;
    loop {
        let mut unread = bytes.as_slice();
        while !unread.is_empty() {
            acceptor.read_tls(&mut unread)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(accepted),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut message = Vec::new();
                alert.write_all(&mut message)?;
                // The client may have gone; then nobody wants to hear it.
                let _ = tcp.write_all(&message).await;
                return Err(HandshakeError::Hello(error));
            }
        }
        bytes.clear();
        if tcp.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// Says a fatal `alert` before any keys are agreed on, in TLS 1.2's framing that both versions begin with.
async fn alert_in_clear(tcp: &mut TcpStream, alert: u8) {
    let record = [21, 3, 3, 0, 2, 2, alert];
    let _ = tcp.write_all(&record).await;
    let _ = tcp.shutdown().await;
}

/// RFC 8446, section 6.
const UNRECOGNIZED_NAME: u8 = 112;

const INTERNAL_ERROR: u8 = 80;
