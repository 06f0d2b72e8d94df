//! Events of REST APIs: payload format 1.0, which has no word for itself in older APIs.

use gateward_net::Scheme;

use super::envelope::Envelope;
use super::mapped::own;
use super::request::{Origin, Parsed, assemble, headers, parameters};
use super::target::{append_decoded, path};

/// The request of `event`.
pub(super) fn request(event: &Envelope<'_>) -> Parsed {
    let parts = event.context().zip(event.http_method.as_deref()).zip(event.path.as_deref());
    let Some(((context, method), raw_path)) = parts else { return Ok(None) };
    // The path is without the stage here, and names and values of the query were decoded.
    let mut target = path(own(raw_path, event).unwrap_or(raw_path));
    append_decoded(&mut target, &parameters(event));
    let client = context.identity.as_ref().and_then(|identity| identity.source_ip.as_deref());
    let origin = Origin { client: client.unwrap_or_default(), scheme: Scheme::Https, port: 443 };
    assemble(event, method, target, headers(event)?, &origin)
}
