//! Compiles the resources into a snapshot, with as much of the one before as has stayed the same.
//!
//! Everything that a route is made of is compiled once and shared. A route is compiled anew only if it has changed, or
//! something that it is made of; to find that out is to compare addresses, and where nothing has changed that routes are
//! made of, the others are not even looked at.

use std::collections::HashMap;
use std::sync::Arc;

use gateward_model::apisix::{Kind, Ssl};
use gateward_plugins::Shared;
use gateward_store::Revision;
use gateward_upstreams::Registry;
use gateward_vaults::{Asked, Resolver};
use tokio::sync::Notify;

use super::callers::CallersCompiler;
use super::chain::Chain;
use super::checks::Checked;
use super::known_routes::KnownRoutes;
use super::layers::Workshop;
use super::metadata::AllMetadata;
use super::resources::Changed;
use super::routes::{CompiledRoute, Referents};
use super::secrets::Secrets;
use super::services::Services;
use super::shared_layers::SharedLayers;
use super::ssls::Ssls;
use super::upstreams::{Foundry, Upstreams};
use super::{Broken, Resources, Snapshot};
use crate::certificates::{self, Certificates};

/// Compiles snapshots, one after the other.
pub(crate) struct Compiler {
    parts: CompilerParts,
    /// Rings when a secret has changed that something is compiled with.
    secrets_changed: Arc<Notify>,
    ssls: Ssls,
    /// The certificates that were looked at for what people should know about them.
    looked_at: HashMap<String, Arc<Ssl>>,
    upstreams: Upstreams,
    services: Services,
    metadata: AllMetadata,
    plugin_configs: SharedLayers,
    global_rules: SharedLayers,
    callers: CallersCompiler,
    routes: KnownRoutes,
    checked: Checked,
    /// How many routes may have changed since names of upstreams were last swept.
    unswept: usize,
}

/// What a [`Compiler`] compiles with.
pub(crate) struct CompilerParts {
    /// Where secrets come from.
    pub(crate) resolver: Arc<Resolver>,
    /// What plugins share.
    pub(crate) shared: Arc<Shared>,
    /// What is known of upstreams' nodes.
    pub(crate) registry: Arc<Registry>,
}

/// A snapshot, and whom to ask whether all secrets that it brought were asked for.
pub(crate) struct Compiled {
    pub(crate) snapshot: Snapshot,
    pub(crate) asked: Vec<Asked>,
}

impl Compiler {
    /// A compiler that has compiled nothing yet.
    pub(crate) fn new(parts: CompilerParts) -> Self {
        Self {
            parts,
            secrets_changed: Arc::default(),
            ssls: Ssls::default(),
            looked_at: HashMap::new(),
            upstreams: Upstreams::default(),
            services: Services::default(),
            metadata: AllMetadata::default(),
            plugin_configs: SharedLayers::default(),
            global_rules: SharedLayers::default(),
            callers: CallersCompiler::default(),
            routes: KnownRoutes::default(),
            checked: Checked::default(),
            unswept: 0,
        }
    }

    /// Rings when a secret has changed that something is compiled with; then it is time to compile anew.
    pub(crate) fn secrets_changed(&self) -> Arc<Notify> {
        Arc::clone(&self.secrets_changed)
    }

    /// Compiles `resources`, of which this has `changed` since the last time; `before` is what is served now.
    pub(crate) fn compile(
        &mut self,
        resources: &Resources,
        changed: &Changed,
        revision: Revision,
        before: &Snapshot,
    ) -> Compiled {
        self.warn(resources);
        let CompilerParts { resolver, shared, registry } = &self.parts;
        let secrets = Secrets::new(resolver, &self.secrets_changed);
        self.metadata.refresh(&resources.plugin_metadata, &secrets);
        let workshop = Workshop { secrets: &secrets, shared, metadata: &self.metadata };
        let certificates = Certificates::compile(
            resources.ssls.iter().map(|(_, standing)| &standing.parsed),
            &before.certificates,
            resolver,
        );
        self.ssls.refresh(&resources.ssls, &secrets);
        let foundry = Foundry { registry, ssls: &self.ssls, secrets: &secrets };
        self.upstreams.refresh(&resources.upstreams, &foundry);
        self.services.refresh(&resources.services, &self.upstreams, &foundry, &workshop);
        self.plugin_configs.refresh("plugin_config", &resources.plugin_configs, &workshop);
        self.global_rules.refresh("global_rule", &resources.global_rules, &workshop);
        let referents = Referents {
            upstreams: &self.upstreams,
            services: &self.services,
            plugin_configs: &self.plugin_configs,
        };
        let mut router = before.router.clone();
        self.routes.follow(&resources.routes, changed, &mut router, |standing, before| {
            CompiledRoute::compile(standing, before, &referents, &foundry, &workshop)
        });
        self.checked.follow(self.routes.checked().chain(self.services.targets()));
        self.unswept += match changed {
            Changed::Routes(ids) => ids.len(),
            Changed::Anything => self.routes.count(),
        };
        if self.unswept >= self.routes.count() {
            registry.sweep();
            self.unswept = 0;
        }
        let callers = self.callers.compile(resources, &workshop);
        let mut broken = resources.broken();
        broken.extend(certificates.broken.iter().map(|(id, error)| Broken {
            kind: Kind::Ssls.plural(),
            id: id.as_str().to_owned(),
            problem: error.to_string(),
        }));
        self.name_broken(&mut broken);
        let snapshot = Snapshot {
            revision,
            router,
            global: Chain::of_all(self.global_rules.in_order()),
            callers,
            broken: broken.into(),
            compiled: shared.clock.now(),
            certificates: Arc::new(certificates.certificates),
        };
        let mut asked = secrets.into_new();
        asked.extend(certificates.new.iter().filter_map(|certificate| certificate.asked()));
        Compiled { snapshot, asked }
    }

    /// Adds what could be read, and not compiled.
    fn name_broken(&self, broken: &mut Vec<Broken>) {
        broken.extend(self.routes.broken());
        broken.extend(self.services.broken());
        broken.extend(self.upstreams.broken());
        broken.extend(self.plugin_configs.broken(Kind::PluginConfigs));
        broken.extend(self.global_rules.broken(Kind::GlobalRules));
        broken.extend(self.callers.broken());
        broken.sort_by(|one, other| (one.kind, &one.id).cmp(&(other.kind, &other.id)));
    }

    /// Says of each certificate once what people should know about it.
    fn warn(&mut self, resources: &Resources) {
        let now = self.parts.shared.clock.now();
        let mut before = std::mem::take(&mut self.looked_at);
        for (id, standing) in resources.ssls.iter() {
            let ssl = &standing.parsed;
            if before.remove(id).is_none_or(|known| !Arc::ptr_eq(&known, ssl)) {
                for warning in certificates::warnings(ssl, now) {
                    tracing::warn!(ssl = id, "{warning}");
                }
            }
            self.looked_at.insert(id.to_owned(), Arc::clone(ssl));
        }
    }
}
