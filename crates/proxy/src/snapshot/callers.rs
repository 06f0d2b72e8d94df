//! Compiles everybody who may call: what they show, and the plugins that they bring along.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use gateward_model::apisix::{self, Kind, PluginSet, ResourceId};
use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_plugins::{Consumer, Consumers, ConsumersBuilder};
use serde_json::Value;

use super::chain::{Caller, Layer};
use super::layers::Workshop;
use super::references::Resolved;
use super::resources::Standing;
use super::secrets::Secrets;
use super::shared_layers::SharedLayers;
use super::{Broken, Callers, Resources};
use crate::typed;

/// Keeps what is needed to compile callers anew, and what came of it last.
#[derive(Default)]
pub(super) struct CallersCompiler {
    groups: SharedLayers,
    layers: HashMap<String, Own>,
    /// What the callers were compiled from. Nothing is done as long as these are the very same.
    inputs: Vec<Input>,
    resolved: HashMap<String, Resolved>,
    /// Those of whom it was told that what they show is not there.
    lacking: HashSet<String>,
    callers: Arc<Callers>,
}

impl CallersCompiler {
    /// Everybody who may call.
    pub(super) fn compile(&mut self, resources: &Resources, workshop: &Workshop<'_>) -> Arc<Callers> {
        self.groups.refresh("consumer_group", &resources.consumer_groups, workshop);
        self.layers = layers(resources, workshop, &mut self.layers);
        self.resolve(resources, workshop.secrets);
        self.tell_who_lacks();
        let inputs = self.inputs(resources);
        if !same(&inputs, &self.inputs) {
            let (consumers, by_name) = (self.consumers(resources), self.by_name(resources));
            let log = by_name.values().any(|caller| caller.chain().phases().log);
            let needs_body = by_name.values().any(|caller| caller.chain().needs_body());
            self.callers = Arc::new(Callers { consumers, by_name, log, needs_body });
            self.inputs = inputs;
        }
        Arc::clone(&self.callers)
    }

    /// What of them, and of their groups, is not in force.
    pub(super) fn broken(&self) -> impl Iterator<Item = Broken> {
        let consumers = self.layers.iter();
        let consumers = consumers.flat_map(|(id, own)| own.layer.broken(Kind::Consumers.plural(), id));
        consumers.chain(self.groups.broken(Kind::ConsumerGroups))
    }

    /// Binds what consumers show by reference, and lets go of what is no longer there.
    fn resolve(&mut self, resources: &Resources, secrets: &Secrets<'_>) {
        let mut before = std::mem::take(&mut self.resolved);
        let consumers = resources.consumers.iter().map(|(id, standing)| (id.to_owned(), &standing.referring));
        let credentials =
            resources.credentials.iter().map(|(id, standing)| (id.to_owned(), &standing.referring));
        for (id, referring) in consumers.chain(credentials) {
            let Some(source) = referring else { continue };
            let resolved = match before.remove(&id) {
                Some(same) if same.is_of(source) => Ok(same),
                _ => secrets.bind(source),
            };
            match resolved {
                Ok(resolved) => drop(self.resolved.insert(id, resolved)),
                Err(error) => {
                    tracing::error!(id, %error, "what a consumer shows cannot be read, and matches nobody");
                }
            }
        }
    }

    /// Tells once of each consumer and credential that matches nobody because a secret is not there, and when it is there
    /// again. Of what is being asked for just now nothing is told: it mostly comes in the same moment.
    fn tell_who_lacks(&mut self) {
        let resolved = &self.resolved;
        self.lacking.retain(|id| resolved.contains_key(id));
        for (id, resolved) in resolved {
            if resolved.lacks() {
                if self.lacking.insert(id.clone()) {
                    tracing::warn!(id, "what a consumer shows could not be resolved, and matches nobody");
                }
            } else if resolved.json().is_some() && self.lacking.remove(id) {
                tracing::info!(id, "what a consumer shows is resolved now");
            }
        }
    }

    fn inputs(&self, resources: &Resources) -> Vec<Input> {
        let consumers = resources.consumers.iter().map(|(id, standing)| (id, input(&standing.parsed)));
        let credentials = resources.credentials.iter().map(|(id, standing)| (id, input(&standing.parsed)));
        let mut inputs = Vec::new();
        for (id, source) in consumers.chain(credentials) {
            let json = self.resolved.get(id).and_then(Resolved::json);
            inputs.push(source);
            inputs.push(json.as_ref().and_then(input));
            inputs.push(self.layers.get(id).and_then(|own| input(&own.layer)));
        }
        inputs.extend(resources.consumer_groups.iter().map(|(id, _)| self.groups.get(id).and_then(input)));
        inputs
    }

    fn consumers(&self, resources: &Resources) -> Consumers {
        let mut builder = ConsumersBuilder::default();
        for (id, standing) in resources.consumers.iter() {
            let source = &standing.parsed;
            let consumer = Consumer {
                username: source.username.as_str().into(),
                group: source.group.as_ref().map(|group| group.as_str().into()),
                credential: None,
                labels: source.description.labels.clone(),
            };
            builder.name(Arc::new(consumer.clone()));
            self.show(&mut builder, id, standing, &source.plugins, consumer);
        }
        for (id, standing) in resources.credentials.iter() {
            let source = &standing.parsed;
            let Some(owner) = resources.consumers.get(source.consumer.as_str()) else {
                tracing::error!(
                    id,
                    "a credential belongs to a consumer that does not exist, and matches nobody"
                );
                continue;
            };
            let consumer = Consumer {
                username: owner.parsed.username.as_str().into(),
                group: owner.parsed.group.as_ref().map(|group| group.as_str().into()),
                credential: Some(source.id.as_str().into()),
                labels: owner.parsed.description.labels.clone(),
            };
            self.show(&mut builder, id, standing, &source.plugins, consumer);
        }
        builder.build()
    }

    /// Adds what a consumer shows to each plugin that authenticates. What cannot be used matches nobody.
    fn show<T>(
        &self,
        builder: &mut ConsumersBuilder,
        id: &str,
        standing: &Standing<T>,
        plugins: &PluginSet,
        consumer: Consumer,
    ) {
        let resolved = self.resolved.get(id).and_then(Resolved::json);
        let consumer = Arc::new(consumer);
        for entry in plugins.iter().filter(|entry| !entry.meta.disable) {
            let Some((kind, shown)) =
                gateward_plugins::kind(&entry.name).and_then(|kind| Some((kind, kind.consumer.as_ref()?)))
            else {
                continue;
            };
            let values: Option<&Value> = match (&standing.referring, &resolved) {
                (None, _) => Some(&entry.settings),
                (Some(_), Some(resolved)) => {
                    resolved.get("plugins").and_then(|plugins| plugins.get(&entry.name))
                }
                (Some(_), None) => None,
            };
            let Some(mut settings) = values.map(without_meta) else { continue };
            let built = typed::coerce(&entry.settings, &mut settings, shown.schema)
                .and_then(|()| (shown.build)(&settings));
            let added = match built {
                Ok(credential) => builder
                    .add(kind.name, Arc::clone(&consumer), credential)
                    .map_err(|taken| taken.to_string()),
                Err(invalid) => Err(invalid.to_string()),
            };
            if let Err(problem) = added {
                tracing::error!(
                    id,
                    plugin = kind.name,
                    problem,
                    "what a consumer shows cannot be used, and matches nobody"
                );
            }
        }
    }

    fn by_name(&self, resources: &Resources) -> HashMap<Box<str>, Caller> {
        let mut by_name = HashMap::new();
        for (id, standing) in resources.consumers.iter() {
            let group_id = standing.parsed.group.as_ref();
            let group = group_id.and_then(|group| self.groups.get(group.as_str()));
            let layers = self.layers.get(id).map(|own| &own.layer).into_iter().chain(group);
            let caller = match (group_id, group) {
                (Some(missing), None) => Caller::refused(no_group(id, missing)),
                _ => Caller::of(layers.map(|layer| &**layer)),
            };
            if !caller.is_empty() {
                by_name.insert(standing.parsed.username.as_str().into(), caller);
            }
        }
        by_name
    }
}

fn layers(
    resources: &Resources,
    workshop: &Workshop<'_>,
    before: &mut HashMap<String, Own>,
) -> HashMap<String, Own> {
    let consumers = resources.consumers.iter();
    let layers = consumers.map(|(id, standing)| {
        let own = match before.remove(id) {
            Some(own) if Arc::ptr_eq(&own.source, &standing.parsed) && workshop.stands(&own.layer) => own,
            before => Own::build(&standing.parsed, workshop, before.map(|own| own.layer)),
        };
        (id.to_owned(), own)
    });
    layers.collect()
}

/// The plugins that a consumer brings along, and where it says so.
struct Own {
    source: Arc<apisix::Consumer>,
    layer: Arc<Layer>,
}

impl Own {
    fn build(source: &Arc<apisix::Consumer>, workshop: &Workshop<'_>, before: Option<Arc<Layer>>) -> Self {
        let owner = format!("consumer/{}", source.username);
        let layer = workshop.consumers_layer(&owner, &source.plugins, before.as_deref());
        let layer = match before {
            Some(before) if before.is_same(&layer) => before,
            _ => Arc::new(layer),
        };
        Self { source: Arc::clone(source), layer }
    }
}

/// The code is APISIX's.
fn no_group(consumer: &str, group: &ResourceId) -> Failure {
    let message = format!(
        "consumer \"{consumer}\": consumer_group \"{group}\" does not exist, or cannot be used; create it, or drop group_id"
    );
    Failure::new(ErrorStatus::UNAVAILABLE, Origin::Gateway, "consumer_group_missing", message)
}

/// A plugin's own settings.
fn without_meta(settings: &Value) -> Value {
    let mut settings = settings.clone();
    if let Value::Object(fields) = &mut settings {
        fields.shift_remove("_meta");
    }
    settings
}

/// Something that was compiled from; none where there was nothing.
type Input = Option<Arc<dyn Any + Send + Sync>>;

fn input<T: Any + Send + Sync>(kept: &Arc<T>) -> Input {
    Some(Arc::clone(kept) as _)
}

fn same(one: &[Input], other: &[Input]) -> bool {
    let same = |(one, other): (&Input, &Input)| match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}
