//! The part of a path that is the API's own.
//!
//! Behind a custom domain with a base path, an event's path begins with what the domain maps to the API, and that is no
//! part of what was deployed there. No field of the event says how long it is; but the event names the resource that
//! took the request, and what stood in the place of each `{parameter}` of it: what comes before that was mapped.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::envelope::Envelope;

/// The part of `path` that is the API's own, of an event that came by a custom domain and tells.
pub(super) fn own<'p>(path: &'p str, event: &Envelope<'_>) -> Option<&'p str> {
    let domain = event.context()?.domain_name.as_deref()?;
    if domain.contains(APIS_OWN_DOMAIN) {
        return None;
    }
    let resource = event.resource.as_deref().or_else(|| {
        // HTTP APIs write the method before it.
        event.route_key.as_deref()?.split_once(' ').map(|(_method, resource)| resource)
    });
    let none = BTreeMap::new();
    let parameters = event.path_parameters.as_ref().unwrap_or(&none);
    end(path, &taken(resource?, parameters)?)
}

/// What `resource` has taken.
fn taken(resource: &str, parameters: &BTreeMap<String, String>) -> Option<String> {
    let segments = resource.strip_prefix('/')?.split('/').map(|segment| {
        match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            None => Some(Cow::Borrowed(segment)),
            Some(name) => {
                let value = parameters.get(name.trim_end_matches('+'))?;
                Some(Cow::Owned(value.trim_start_matches('/').to_owned()))
            }
        }
    });
    segments.collect::<Option<Vec<_>>>().map(|segments| format!("/{}", segments.join("/")))
}

/// The longest end of `path` that says `taken`.
fn end<'p>(path: &'p str, taken: &str) -> Option<&'p str> {
    // Either may have been decoded, and one of them may have lost the slash at its end.
    let plain = |text: &str| percent_decode_str(text.trim_end_matches('/')).collect::<Vec<u8>>();
    let taken = plain(taken);
    if taken.is_empty() {
        return Some("/");
    }
    let mut ends = path.match_indices('/').map(|(slash, _)| path.get(slash..).unwrap_or_default());
    ends.find(|end| plain(end) == taken)
}

/// What an API's own domain, `{id}.execute-api.{region}.amazonaws.com`, has in it: nothing is mapped there.
const APIS_OWN_DOMAIN: &str = ".execute-api.";
