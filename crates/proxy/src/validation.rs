//! The one check of a resource, for whoever takes resources in: the Admin API, the declarative file, `gateward check`.
//!
//! [`check`] looks at a resource by itself: its schema, its plugins, the references to vaults in it. What it finds out
//! on the way is [`Sound`]: the other resources that must exist, and what a consumer shows that no other may show too.
//! Who takes one resource in looks these up in the store; who takes all of them in at once calls [`check_all`].

mod plugins;
pub(crate) mod texts;

use std::collections::{BTreeSet, HashMap, HashSet};

use gateward_model::Invalid;
use gateward_model::apisix::{
    ClientCertificate, Consumer, Credential, Expression, Kind, ResourceId, Route, RouteUpstream, Service,
    SharedPlugins, Ssl, Upstream,
};
use gateward_seal::SecretValue;
use serde_json::Value;

use crate::{certificates, typed};

/// What is wrong with a resource. It never holds a field's value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A field.
    #[error("invalid configuration: {0}")]
    Schema(Invalid),
    /// A plugin that there is not.
    #[error("unknown plugin [{name}]")]
    UnknownPlugin {
        /// Its name.
        name: String,
    },
    /// The settings of a plugin.
    #[error("failed to check the configuration of plugin {name} err: {error}")]
    Plugin {
        /// Its name.
        name: String,
        /// What is wrong with them; the field is one of the plugin's.
        error: Invalid,
    },
    /// It refers to something that does not exist.
    #[error(
        "failed to fetch {what} info by {what} id [{id}], response code: 404; create the {what} first, or drop {field}",
        what = kind.singular()
    )]
    Dangling {
        /// The field that refers to it.
        field: &'static str,
        /// The kind of what is missing.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// It holds a reference to a vault that does not exist.
    #[error(
        "the vault \"{name}\" that a reference names does not exist; create it first, or mend the reference"
    )]
    NoVault {
        /// The vault's prefix.
        name: String,
    },
    /// What it shows, somebody else shows too.
    #[error(
        "duplicate key found with consumer: {consumer}; what a consumer shows to {plugin} must be its own"
    )]
    Taken {
        /// The plugin.
        plugin: &'static str,
        /// The other consumer.
        consumer: String,
    },
}

impl Fault {
    /// The same as a field and a sentence, for whoever points at a place in a file.
    pub fn into_invalid(self) -> Invalid {
        match self {
            Self::Schema(invalid) => invalid,
            Self::Plugin { name, error } => error.within(&format!("plugins.{name}")),
            Self::UnknownPlugin { ref name } => Invalid::new(format!("plugins.{name}"), self.to_string()),
            Self::Dangling { field, kind, id } => {
                let what = kind.singular();
                Invalid::new(field, format!("{what} \"{id}\" does not exist; create it, or drop {field}"))
            }
            Self::NoVault { .. } => Invalid::new("", self.to_string()),
            Self::Taken { plugin, .. } => Invalid::new(format!("plugins.{plugin}"), self.to_string()),
        }
    }
}

/// What is known of a resource that is right by itself.
#[derive(Debug, Default)]
pub struct Sound {
    /// What must exist for it to work.
    pub links: Vec<Link>,
    /// The vault entities that must exist for its references to have values.
    pub vaults: BTreeSet<String>,
    /// What it shows, as a consumer or a credential. What is behind a reference is not known here.
    pub shown: Vec<Shown>,
}

/// A field that refers to another resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its path.
    pub field: &'static str,
    /// What it refers to.
    pub kind: Kind,
    /// And by which id.
    pub id: ResourceId,
}

/// What a consumer shows to a plugin.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The plugin.
    pub plugin: &'static str,
    /// The consumer's name.
    pub consumer: String,
    /// What no two consumers may show.
    pub key: SecretValue,
}

impl Link {
    /// What is wrong if it does not exist.
    pub fn missing(&self) -> Fault {
        Fault::Dangling { field: self.field, kind: self.kind, id: self.id.as_str().to_owned() }
    }
}

impl Shown {
    /// What is wrong if `consumer` shows the same.
    pub fn taken(&self, consumer: &str) -> Fault {
        Fault::Taken { plugin: self.plugin, consumer: consumer.to_owned() }
    }
}

/// Checks the resource `id` of `kind` by itself. The id of a credential is `consumer/credential`, that of plugin metadata
/// the plugin's name.
pub fn check(kind: Kind, id: &str, json: &Value) -> Result<Sound, Fault> {
    let sound = check_fields(kind, id, json)?;
    Ok(Sound { vaults: texts::vaults(json), ..sound })
}

/// The names of the vault entities that the references in `json`, a resource, name.
pub fn vaults_of(json: &Value) -> BTreeSet<String> {
    texts::vaults(json)
}

fn check_fields(kind: Kind, id: &str, json: &Value) -> Result<Sound, Fault> {
    let mut sound = Sound::default();
    if kind == Kind::PluginMetadata {
        return plugins::check_metadata(id, json).map(|()| sound);
    }
    // References first: what only looks like one is no host or certificate either, but the reason is another.
    texts::check(kind, json).map_err(Fault::Schema)?;
    let parsable = typed::parsable(kind, json);
    match kind {
        Kind::PluginMetadata => {}
        Kind::Routes => {
            let route = Route::parse(resource_id(id)?, &parsable).map_err(Fault::Schema)?;
            if let Some(vars) = json.get("vars").filter(|vars| !vars.is_null()) {
                Expression::parse(vars).map_err(|error| Fault::Schema(error.within("vars")))?;
            }
            plugins::check(&route.plugins)?;
            sound.links.extend(link("service_id", Kind::Services, route.service.as_ref()));
            sound.links.extend(link("plugin_config_id", Kind::PluginConfigs, route.plugin_config.as_ref()));
            check_upstream(route.upstream.as_ref())?;
            sound.links.extend(upstream_link(route.upstream.as_ref()));
        }
        Kind::Services => {
            let service = Service::parse(resource_id(id)?, &parsable).map_err(Fault::Schema)?;
            plugins::check(&service.plugins)?;
            check_upstream(service.upstream.as_ref())?;
            sound.links.extend(upstream_link(service.upstream.as_ref()));
        }
        Kind::Upstreams => {
            resource_id(id)?;
            let upstream = Upstream::parse(&parsable).map_err(Fault::Schema)?;
            gateward_upstreams::check(&upstream).map_err(Fault::Schema)?;
            sound.links.extend(certificate_link("tls.client_cert_id", &upstream));
        }
        Kind::Consumers => {
            let consumer = Consumer::parse(json).map_err(Fault::Schema)?;
            if consumer.username.as_str() != id {
                return Err(Fault::Schema(Invalid::new("username", "is not the one in the path")));
            }
            sound.shown = plugins::check_of_consumer(&consumer.plugins, id)?;
            sound.links.extend(link("group_id", Kind::ConsumerGroups, consumer.group.as_ref()));
        }
        Kind::Credentials => {
            let (consumer, own) = id.split_once('/').unwrap_or((id, ""));
            let credential = Credential::parse(resource_id(consumer)?, resource_id(own)?, json);
            sound.shown =
                plugins::check_of_credential(&credential.map_err(Fault::Schema)?.plugins, consumer)?;
            sound.links.extend(link("consumer", Kind::Consumers, Some(&resource_id(consumer)?)));
        }
        Kind::GlobalRules | Kind::PluginConfigs | Kind::ConsumerGroups => {
            let shared = SharedPlugins::parse(resource_id(id)?, json).map_err(Fault::Schema)?;
            plugins::check(&shared.plugins)?;
        }
        Kind::Ssls => {
            let ssl = Ssl::parse(resource_id(id)?, json).map_err(Fault::Schema)?;
            certificates::check(&ssl).map_err(Fault::Schema)?;
        }
    }
    Ok(sound)
}

/// A resource among all that there are.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'r> {
    /// Its kind.
    pub kind: Kind,
    /// Its id, as for [`check`].
    pub id: &'r str,
    /// What it says.
    pub json: &'r Value,
}

/// Checks `resources` each by itself, and that they go together when there are no others. Tells all that is wrong, each
/// with the place of the resource among them. `vaults` are the prefixes of all vaults, if those are known.
pub fn check_all(resources: &[Resource<'_>], vaults: Option<&BTreeSet<&str>>) -> Vec<(usize, Fault)> {
    let mut faults = Vec::new();
    let mut known = HashSet::with_capacity(resources.len());
    let mut sound = Vec::with_capacity(resources.len());
    for (at, resource) in resources.iter().enumerate() {
        if !known.insert((resource.kind, resource.id)) {
            let problem = format!("there is another {} with this id", resource.kind.singular());
            faults.push((at, Fault::Schema(Invalid::new("id", problem))));
        }
        match check(resource.kind, resource.id, resource.json) {
            Ok(found) => sound.push((at, found)),
            Err(fault) => faults.push((at, fault)),
        }
    }
    let mut shown: HashMap<(&str, &str), &str> = HashMap::new();
    for (at, sound) in &sound {
        let missing = sound.links.iter().filter(|link| !known.contains(&(link.kind, link.id.as_str())));
        faults.extend(missing.map(|link| (*at, link.missing())));
        if let Some(vaults) = vaults {
            let unknown = sound.vaults.iter().filter(|name| !vaults.contains(name.as_str()));
            faults.extend(unknown.map(|name| (*at, Fault::NoVault { name: name.clone() })));
        }
        for one in &sound.shown {
            if let Some(consumer) = shown.insert((one.plugin, one.key.expose()), &one.consumer) {
                faults.push((*at, one.taken(consumer)));
            }
        }
    }
    faults
}

/// Checks the upstream of a route or a service, if that has one of its own.
fn check_upstream(upstream: Option<&RouteUpstream>) -> Result<(), Fault> {
    let Some(RouteUpstream::Own(own)) = upstream else { return Ok(()) };
    gateward_upstreams::check(own).map_err(|error| Fault::Schema(error.within("upstream")))
}

fn resource_id(text: &str) -> Result<ResourceId, Fault> {
    ResourceId::parse(text).map_err(Fault::Schema)
}

fn link(field: &'static str, kind: Kind, id: Option<&ResourceId>) -> Option<Link> {
    id.map(|id| Link { field, kind, id: id.clone() })
}

fn upstream_link(upstream: Option<&RouteUpstream>) -> Option<Link> {
    match upstream? {
        RouteUpstream::Id(id) => link("upstream_id", Kind::Upstreams, Some(id)),
        RouteUpstream::Own(own) => certificate_link("upstream.tls.client_cert_id", own),
    }
}

fn certificate_link(field: &'static str, upstream: &Upstream) -> Option<Link> {
    match &upstream.tls.client {
        Some(ClientCertificate::Id(id)) => link(field, Kind::Ssls, Some(id)),
        _ => None,
    }
}

#[cfg(test)]
mod everywhere;
#[cfg(test)]
mod tests;
