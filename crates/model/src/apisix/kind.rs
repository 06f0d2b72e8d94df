//! The kinds of resources, and what they are called.

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Which requests go where.
    Routes,
    /// What several routes have in common.
    Services,
    /// Nodes that requests go to.
    Upstreams,
    /// Who calls.
    Consumers,
    /// What a consumer shows; its id is `consumer/credential`.
    Credentials,
    /// Plugins for several consumers.
    ConsumerGroups,
    /// Plugins for every request.
    GlobalRules,
    /// Plugins for several routes.
    PluginConfigs,
    /// What all instances of a plugin have in common; its id is the plugin's name.
    PluginMetadata,
    /// Certificates.
    Ssls,
}

impl Kind {
    /// All kinds; those that others refer to come first.
    pub const ALL: [Self; 10] = [
        Self::PluginMetadata,
        Self::Ssls,
        Self::Upstreams,
        Self::Services,
        Self::PluginConfigs,
        Self::ConsumerGroups,
        Self::Consumers,
        Self::Credentials,
        Self::GlobalRules,
        Self::Routes,
    ];

    /// The kind that is called `plural` in paths.
    pub fn of(plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.plural() == plural)
    }

    /// In paths, in declarative files, and in the store.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Services => "services",
            Self::Upstreams => "upstreams",
            Self::Consumers => "consumers",
            Self::Credentials => "credentials",
            Self::ConsumerGroups => "consumer_groups",
            Self::GlobalRules => "global_rules",
            Self::PluginConfigs => "plugin_configs",
            Self::PluginMetadata => "plugin_metadata",
            Self::Ssls => "ssls",
        }
    }

    /// In sentences.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Routes => "route",
            Self::Services => "service",
            Self::Upstreams => "upstream",
            Self::Consumers => "consumer",
            Self::Credentials => "credential",
            Self::ConsumerGroups => "consumer group",
            Self::GlobalRules => "global rule",
            Self::PluginConfigs => "plugin config",
            Self::PluginMetadata => "plugin metadata",
            Self::Ssls => "ssl",
        }
    }
}
