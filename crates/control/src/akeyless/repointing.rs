//! What is stored goes nowhere else because an address was changed.
//!
//! The payload of a producer can be written and not read. Whoever could point the producer at a server of their own would
//! read it there, so a caller who moves a producer gives the payload again; administrators need not. A rotated secret's
//! value goes to its web target, so the target of a value that there is moves by administrators alone.

use gateward_model::{CustomSettings, Invalid, ProducerSettings, ProducerUrl};
use gateward_seal::SecretValue;

/// Refuses to send the payload `standing` to an origin that it has not been sent to so far.
pub(super) fn check_payload(
    before: &ProducerSettings,
    after: &ProducerSettings,
    standing: Option<&SecretValue>,
) -> Result<(), Invalid> {
    let (ProducerSettings::Custom(before), ProducerSettings::Custom(after)) = (before, after) else {
        // Native ones look after their own: it is theirs to know which field is an address.
        return Ok(());
    };
    if standing.is_none_or(SecretValue::is_empty) {
        return Ok(());
    }
    let known: Vec<String> = urls(before).map(|(_, url)| url.origin()).collect();
    let moved = urls(after).find(|(_, url)| !known.contains(&url.origin()));
    let Some((field, url)) = moved else { return Ok(()) };
    let problem = format!(
        "is to be given again: by {field} it would go to {}, where it has not gone so far; an administrator may leave it out",
        url.origin()
    );
    Err(Invalid::new("payload", problem))
}

/// Where a payload goes.
fn urls(settings: &CustomSettings) -> impl Iterator<Item = (&'static str, &ProducerUrl)> {
    let both =
        [("create-sync-url", &settings.create_sync_url), ("revoke-sync-url", &settings.revoke_sync_url)];
    both.into_iter().chain(settings.rotate_sync_url.as_ref().map(|url| ("rotate-sync-url", url)))
}
