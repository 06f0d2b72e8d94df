//! Which plugins see a request, and in which order.
//!
//! The plugins of one resource are a [`Layer`]. A route's [`Chain`] is made of its own layer, its plugin config's and its
//! service's: of two plugins with one name the first of these wins whole. Once it is known who calls, the consumer's
//! plugins, and its group's, join in; they win over the route's.

use std::sync::Arc;

use gateward_model::Failure;
use gateward_model::apisix::PluginEntry;
use gateward_plugins::{Phases, Plugin};
use gateward_vars::Condition;

use super::metadata::Metadata;
use super::{Broken, Slot};

/// The plugins of one resource.
#[derive(Default)]
pub(crate) struct Layer {
    pub(super) links: Vec<Link>,
}

/// A plugin in its place. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link {
    /// Its name, settings and `_meta`, as somebody wrote them.
    pub(crate) entry: Arc<PluginEntry>,
    /// The metadata that it was built with.
    pub(super) metadata: Metadata,
    /// Those with a higher one have their turns first.
    pub(super) priority: i32,
    /// When it has turns.
    pub(crate) phases: Phases,
    /// What must hold of a request for it to have a turn.
    pub(crate) filter: Option<Arc<Condition>>,
    /// The plugin.
    pub(crate) instance: Instance,
    /// Why it cannot be used, if it cannot.
    pub(super) problem: Option<Arc<str>>,
}

/// A plugin with its settings.
#[derive(Clone)]
pub(crate) enum Instance {
    /// Its settings say all.
    Ready(Arc<dyn Plugin>),
    /// Its settings refer to secrets.
    Referring(Arc<Slot>),
    /// A secret that its metadata refer to is not there.
    Unresolved,
    /// What is stored cannot be used. Nobody must be served without it.
    Broken,
}

/// Plugins in the order of their turns.
#[derive(Default)]
pub(crate) struct Chain {
    links: Box<[Link]>,
    phases: Phases,
    needs_body: bool,
}

/// What a consumer brings along: its plugins, and its group's.
#[derive(Default)]
pub(crate) struct Caller {
    /// Why its requests are not served: the group that it is in does not exist, whatever that might restrict.
    pub(crate) refused: Option<Arc<Failure>>,
    chain: Chain,
    /// Everything that it has settings for, also what it has switched off: a route's plugin of that name has no turn.
    named: Vec<Arc<PluginEntry>>,
}

impl Layer {
    /// Whether `other` has the very same plugins.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |(one, other): (&Link, &Link)| {
            Arc::ptr_eq(&one.entry, &other.entry) && one.instance.is(&other.instance)
        };
        self.links.len() == other.links.len() && self.links.iter().zip(&other.links).all(same)
    }
}

impl Layer {
    /// The plugins that cannot be used; they are of the `kind` called `id`.
    pub(super) fn broken(&self, kind: &'static str, id: &str) -> impl Iterator<Item = Broken> {
        self.links.iter().filter_map(move |link| {
            let problem = format!("plugin {}: {}", link.entry.name, link.problem.as_ref()?);
            Some(Broken { kind, id: id.to_owned(), problem })
        })
    }
}

impl Instance {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ready(one), Self::Ready(other)) => Arc::ptr_eq(one, other),
            (Self::Referring(one), Self::Referring(other)) => Arc::ptr_eq(one, other),
            (Self::Unresolved, Self::Unresolved) | (Self::Broken, Self::Broken) => true,
            _ => false,
        }
    }
}

impl Chain {
    /// The plugins of `layers`; where two have one name, the one in the earlier layer.
    pub(super) fn of<'l>(layers: impl IntoIterator<Item = &'l Layer>) -> Self {
        Self::in_order(first_of_each_name(layers))
    }

    /// All plugins of `layers`, also where two have one name.
    pub(super) fn of_all<'l>(layers: impl IntoIterator<Item = &'l Layer>) -> Self {
        Self::in_order(layers.into_iter().flat_map(|layer| layer.links.iter().cloned()).collect())
    }

    fn in_order(mut links: Vec<Link>) -> Self {
        links.retain(|link| !link.entry.meta.disable);
        links.sort_by_key(|link| std::cmp::Reverse(link.priority));
        let phases = links.iter().fold(Phases::default(), |all, link| all.or(link.phases));
        let needs_body = links.iter().any(|link| link.entry.names_body());
        Self { links: links.into_boxed_slice(), phases, needs_body }
    }

    /// Whether there is no plugin.
    pub(crate) fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The phases that one of the plugins has a turn in.
    pub(crate) fn phases(&self) -> Phases {
        self.phases
    }

    /// Whether one of the plugins has a use for the request's body before it goes anywhere.
    pub(crate) fn needs_body(&self) -> bool {
        self.needs_body
    }

    /// The plugins.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The plugins, with those of `caller` where they belong.
    pub(crate) fn with<'c>(&'c self, caller: Option<&'c Caller>) -> impl Iterator<Item = &'c Link> {
        let mut own =
            self.links.iter().filter(move |link| !caller.is_some_and(|caller| caller.names(link))).peekable();
        let mut callers = caller.map_or(&[][..], |caller| &caller.chain.links).iter().peekable();
        std::iter::from_fn(move || match (own.peek(), callers.peek()) {
            (Some(link), Some(callers_link)) if callers_link.priority > link.priority => callers.next(),
            (Some(_), _) => own.next(),
            (None, _) => callers.next(),
        })
    }
}

impl Caller {
    /// What a consumer with `layers` brings along; an earlier layer wins over a later one.
    pub(super) fn of<'l>(layers: impl IntoIterator<Item = &'l Layer>) -> Self {
        let links = first_of_each_name(layers);
        let named = links.iter().map(|link| Arc::clone(&link.entry)).collect();
        Self { refused: None, chain: Chain::in_order(links), named }
    }

    /// A consumer whose requests are not served.
    pub(super) fn refused(failure: Failure) -> Self {
        Self { refused: Some(Arc::new(failure)), ..Self::default() }
    }

    /// Whether it brings nothing along.
    pub(crate) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.refused.is_none()
    }

    /// Its plugins.
    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Whether it brings its own in the place of `link`.
    pub(crate) fn names(&self, link: &Link) -> bool {
        self.named.iter().any(|entry| entry.name == link.entry.name)
    }
}

fn first_of_each_name<'l>(layers: impl IntoIterator<Item = &'l Layer>) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for link in layers.into_iter().flat_map(|layer| &layer.links) {
        if !links.iter().any(|known| known.entry.name == link.entry.name) {
            links.push(link.clone());
        }
    }
    links
}
