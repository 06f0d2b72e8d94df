//! What the path of a request names.

use gateward_model::apisix::{Kind, ResourceId};
use percent_encoding::percent_decode_str;

use super::place::Place;
use super::problem::Problem;

/// What the path of a request names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// All resources of a kind; all credentials of a consumer.
    Collection { kind: Kind, consumer: Option<ResourceId> },
    /// One resource, and the path to something inside it.
    Resource { place: Place, inside: Vec<String> },
    /// What there is to know about plugins and schemas.
    Catalogue(Page),
    /// Where configuration is tried out.
    Trial(Trial),
}

/// A page about plugins and schemas.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// `plugins`
    Plugins,
    /// `plugins/list`
    PluginNames,
    /// `plugins/reload`
    Reload,
    /// `plugins/{name}` and `schema/plugins/{name}`
    Plugin(String),
    /// `schema/{resource}`
    Schema(String),
}

/// What is tried out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trial {
    /// `schema/validate/{resource}`
    Resource(Kind),
    /// `configs/validate`
    Everything,
}

impl Address {
    /// Reads what follows `/apisix/admin`.
    pub(super) fn read(path: &str) -> Result<Self, Problem> {
        let segments: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments[..] {
            ["plugins"] => Ok(Self::Catalogue(Page::Plugins)),
            ["plugins", "list"] => Ok(Self::Catalogue(Page::PluginNames)),
            ["plugins", "reload"] => Ok(Self::Catalogue(Page::Reload)),
            ["plugins", name] | ["schema", "plugins", name] => {
                Ok(Self::Catalogue(Page::Plugin(name.to_owned())))
            }
            ["schema", "validate", resource] => Ok(Self::Trial(Trial::Resource(kind(resource, true)?))),
            ["schema", resource] => Ok(Self::Catalogue(Page::Schema(resource.to_owned()))),
            ["configs", "validate"] => Ok(Self::Trial(Trial::Everything)),
            ["consumers", name, "credentials"] => {
                Ok(Self::Collection { kind: Kind::Credentials, consumer: Some(id(name)?) })
            }
            ["consumers", name, "credentials", own, ref inside @ ..] => {
                let place = Place::new(Kind::Credentials, Some(id(name)?), id(own)?);
                Ok(Self::Resource { place, inside: owned(inside) })
            }
            [resource] => Ok(Self::Collection { kind: kind(resource, false)?, consumer: None }),
            [resource, own, ref inside @ ..] => {
                let place = Place::new(kind(resource, false)?, None, id(own)?);
                Ok(Self::Resource { place, inside: owned(inside) })
            }
            [] => Err(unsupported("")),
        }
    }
}

fn kind(resource: &str, inner: bool) -> Result<Kind, Problem> {
    match Kind::of(resource) {
        // They stand below their consumers.
        Some(Kind::Credentials) if !inner => Err(unsupported(resource)),
        Some(kind) => Ok(kind),
        None => Err(unsupported(resource)),
    }
}

fn unsupported(resource: &str) -> Problem {
    let more = match resource {
        "stream_routes" => return Problem::bad("stream mode is disabled, can not add stream routes"),
        "secrets" => "; vaults are managed as Kong does it, at /vaults",
        "protos" => "; gRPC is passed on as it is, and not transcoded",
        "ssl" => "; certificates are at /apisix/admin/ssls",
        "configs" => "; the whole configuration at once is a declarative file, see gateward check",
        _ => "",
    };
    Problem::not_found(format!("Unsupported resource type: {resource}{more}"))
}

fn id(text: &str) -> Result<ResourceId, Problem> {
    ResourceId::parse(text).map_err(|error| Problem::bad(format!("invalid configuration: {error}")))
}

fn owned(segments: &[&str]) -> Vec<String> {
    segments.iter().map(|&segment| segment.to_owned()).collect()
}
