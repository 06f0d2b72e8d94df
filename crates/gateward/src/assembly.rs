//! Puts the parts of a gateway together, in the order in which they need each other.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gateward_access::{Authenticator, Directory, Judge, LoginAlarm, Tokens};
use gateward_clock::{Clock, SystemClock};
use gateward_control::{Control, ControlParts};
use gateward_items::{StaticSecrets, Tree};
use gateward_leases::producer::Producers;
use gateward_leases::producer::custom::CustomProducers;
use gateward_leases::producer::native::{AllProducers, NativeParts};
use gateward_leases::producer::token::ProducerTokens;
use gateward_leases::status::StatusListener;
use gateward_leases::witness::{FileWitness, Witness};
use gateward_leases::{
    Announcer, CallEnd, Catalog, Engine, EngineParts, EngineSettings, RotatedSecrets, Rotator, RotatorParts,
    Turns,
};
use gateward_net::{Client, Connector, ConnectorSettings, TrustError};
use gateward_plugins::{Shared, SharedParts, Spans};
use gateward_proxy::declarative::Following;
use gateward_proxy::host::lambda::{Errands, LONGEST_IDLE};
use gateward_proxy::{Configuration, ConfigurationParts};
use gateward_seal::Sealer;
use gateward_store::local::OpenError;
use gateward_store::{DynamoStore, LocalStore, Looks, MemoryStore, Revision, Store};
use gateward_upstreams::Registry;
use gateward_vaults::{Own, Resolver, ResolverParts};
use tokio::runtime::Handle;

use crate::aws_services::AwsServices;
use crate::clouds::clouds;
use crate::errands::{Chores, Later};
use crate::own_resolver::with_defaults;
use crate::patience::Patience;
use crate::root_key;
use crate::settings::{LeaseLimits, Mode, RootKeySource, Settings, StoreKind};
use crate::status_events::StatusEvents;
use crate::surroundings::Surroundings;
use crate::telemetry::Telemetry;
use crate::terminal::with_causes;

/// A gateway that is put together and not yet open to anybody.
pub struct Assembly {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How it calls others.
    pub connector: Arc<Connector>,
    /// What traffic is served from.
    pub configuration: Arc<Configuration>,
    /// The control plane.
    pub control: Control,
    /// What revokes credentials, where there is something.
    pub engine: Option<Arc<Engine>>,
    /// What rotates payloads, where there is something.
    pub rotator: Option<Arc<Rotator>>,
    /// What a Lambda function does between requests, where there is something.
    pub errands: Option<Arc<dyn Errands>>,
    /// What tells others of changes, where somebody is to hear of them.
    pub events: Option<Arc<StatusEvents>>,
    /// Whether nothing was in the store.
    pub is_new: bool,
    /// What plugins share.
    pub shared: Arc<Shared>,
    local: Option<Arc<LocalStore>>,
}

impl Assembly {
    /// Puts the gateway together; `forbidden` are the addresses that nobody may call through it. A store that is in use
    /// is waited for with `patience`, as are others; what is `following` files comes from them. It counts in `telemetry`.
    pub async fn new(
        settings: &Settings,
        surroundings: &Surroundings,
        forbidden: Vec<SocketAddr>,
        patience: Patience,
        following: Option<Following>,
        telemetry: &Telemetry,
    ) -> Result<Self, Box<dyn Error>> {
        let runtime = Handle::current();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        DirBuilder::new().recursive(true).mode(0o700).create(&settings.data_dir).map_err(|error| {
            format!("the data directory {} cannot be made: {error}", settings.data_dir.display())
        })?;
        let extra_ca = settings.tls_ca.as_deref().map(read_ca).transpose()?;
        let dns_servers = settings.dns_servers.clone();
        let connections =
            ConnectorSettings { forbidden, extra_ca, dns_servers, ..ConnectorSettings::default() };
        let connector = Connector::new(connections.clone()).map_err(|error| untrusted(settings, &error))?;
        let connector = Arc::new(connector);
        let client = match settings.mode {
            Mode::Lambda => Client::keeping(Arc::clone(&connector), LONGEST_IDLE),
            _ => Client::new(Arc::clone(&connector)),
        };
        let clouds = clouds(surroundings, &client, connections, &clock)?;
        let resolver = ResolverParts {
            clock: Arc::clone(&clock),
            client: client.clone(),
            environment: with_defaults(surroundings, &settings.vault_defaults.0),
            runtime: runtime.clone(),
        };
        tell_of_kongs_variables(&resolver.environment);
        let aws = Arc::clone(&clouds.aws);
        let services = AwsServices::new(settings, surroundings, &client, &aws, &clock);
        let queue = settings.revocation_queue.as_deref().map(|url| services.queue(url)).transpose()?;
        let bus = settings.events_bus.as_deref().map(|bus| services.event_bus(bus)).transpose()?;
        let events = bus.map(|bus| StatusEvents::new(bus, Arc::clone(&clock)));
        let sts_endpoint = services.endpoint_url("AWS_ENDPOINT_URL_STS").map(str::to_owned);
        let shared_aws = Arc::clone(&aws);
        let origin = root_key::Origin::of(&settings.root_key, &services)?;
        let prepared = async {
            origin.prepare().await;
            Ok(())
        };
        let opened = async {
            let (store, local) = open_store(settings, &services, patience.for_the_store).await?;
            Ok::<_, Box<dyn Error>>((store.revision().await?, store, local))
        };
        let opened = patience.hold("store: the table in DynamoDB", opened);
        let ((revision, store, local), ()) = tokio::try_join!(opened, prepared)?;
        let is_new = revision == Revision::default();
        let root_key = patience.hold("root_key_kms: KMS", origin.open(&*store, revision)).await?;
        let default_fragment = settings.default_fragment.as_ref();
        let sealer = Arc::new(Sealer::with_fragments(root_key, &settings.fragments, default_fragment)?);
        let tree = Tree::new(Arc::clone(&store));
        let static_secrets =
            Arc::new(StaticSecrets::new(tree.clone(), Arc::clone(&sealer), Arc::clone(&clock)));
        let root_key_file = match &settings.root_key {
            RootKeySource::File(path) => Some(path.clone()),
            _ => None,
        };
        let own = Own {
            secrets: Some(Arc::clone(&static_secrets)),
            files: root_key_file.into_iter().chain([settings.data_dir.clone()]).collect(),
        };
        let resolver = Resolver::with_own(resolver, clouds, own);
        let registry = match settings.mode {
            // Between two events nothing runs, so nodes are called there and never asked.
            Mode::Lambda => Registry::new(Arc::clone(&clock)),
            _ => Registry::with_checks(Arc::clone(&clock), runtime.clone(), Arc::clone(&connector)),
        };
        let registry = Arc::new(registry);
        let shared = Shared::of(SharedParts {
            clock: Arc::clone(&clock),
            runtime: runtime.clone(),
            aws,
            client: Some(client.clone()),
            host_name: telemetry.host_name.clone(),
            confidential: Arc::clone(&telemetry.confidential),
        });
        let parts = ConfigurationParts {
            store: Arc::clone(&store),
            sealer: Arc::clone(&sealer),
            resolver: Arc::clone(&resolver),
            shared: Arc::clone(&shared),
            registry: Arc::clone(&registry),
            clock: Arc::clone(&clock),
            runtime: runtime.clone(),
        };
        // It reads while the producers' key is opened.
        let configuration = Configuration::start_following(parts, following);
        let access_id = settings.admin.access_id().clone();
        let tokens = ProducerTokens::open(&*store, &sealer, access_id, Arc::clone(&clock)).await?;
        let producer_tokens = Arc::new(tokens);

        let rotated_secrets = Arc::new(RotatedSecrets::new(tree, Arc::clone(&sealer), Arc::clone(&clock)));
        let catalog = Arc::new(Catalog::new(Arc::clone(&store), Arc::clone(&sealer), Arc::clone(&clock)));
        let judge = Judge::new(client.clone(), settings.sts_endpoint_url.as_deref())?
            .for_server(settings.aws_iam_server_id.clone());
        let custom = CustomProducers::new(
            client.clone(),
            Arc::clone(&producer_tokens),
            Arc::clone(&catalog),
            settings.producers_allow.clone(),
        )
        .with_tls(settings.producers_tls.clone());
        let native = NativeParts {
            connector: Arc::clone(&connector),
            client,
            aws: Arc::clone(&shared_aws),
            sts_endpoint: sts_endpoint.clone(),
            clock: Arc::clone(&clock),
        };
        let producers: Arc<dyn Producers> = Arc::new(AllProducers::new(custom, native));
        // A function's own disk goes when the function does: what would be issued there could not be revoked.
        let lasts = settings.mode != Mode::Lambda || settings.store == StoreKind::Dynamodb;
        let call_end = Arc::new(CallEnd::default());
        let engine = lasts.then(|| {
            Engine::new(EngineParts {
                store: Arc::clone(&store),
                catalog: Arc::clone(&catalog),
                producers: Arc::clone(&producers),
                clock: Arc::clone(&clock),
                runtime: runtime.clone(),
                owner: owner(settings.store),
                settings: EngineSettings {
                    listener: events.clone().map(|events| events as Arc<dyn StatusListener>),
                    call_end: Arc::clone(&call_end),
                    ..lease_settings(settings)
                },
            })
        });
        let rotator = engine.is_some().then(|| {
            Rotator::new(RotatorParts {
                store: Arc::clone(&store),
                catalog: Arc::clone(&catalog),
                secrets: Arc::clone(&rotated_secrets),
                producers: Arc::clone(&producers),
                clock: Arc::clone(&clock),
                runtime,
                listener: events.clone().map(|events| events as Arc<dyn StatusListener>),
                call_end: Arc::clone(&call_end),
            })
        });
        let tokens = Tokens::new(&sealer, Arc::clone(&clock), Tokens::DEFAULT_TTL);
        let directory = Directory::new(Arc::clone(&store), Arc::clone(&sealer), Arc::clone(&clock));
        let authenticator = Authenticator::new(settings.admin.clone(), tokens)
            .with_allowed(settings.allowed.clone())
            .with_directory(directory)
            .with_judge(judge);
        let authenticator = match &events {
            Some(events) => authenticator.with_alarm(Arc::clone(events) as Arc<dyn LoginAlarm>),
            None => authenticator,
        };
        let control = Control::new(ControlParts {
            fragments: settings.fragments.clone(),
            store,
            sealer,
            clock: Arc::clone(&clock),
            authenticator,
            apisix_admin_key: settings.apisix_admin_key.clone(),
            apisix_viewer_key: settings.apisix_viewer_key.clone(),
            declared: configuration.declared(),
            configuration: Arc::clone(&configuration),
            resolver,
            registry,
            shared: Arc::clone(&shared),
            traffic: Arc::clone(&telemetry.traffic),
            access_log: telemetry.access_log.clone().map(|log| Arc::new(move || log.counts()) as _),
            log_lost: crate::logging::lost,
            static_secrets,
            catalog,
            rotated_secrets,
            rotator: rotator.clone(),
            engine: engine.clone(),
            producers,
            producer_tokens,
            local_only: settings.mode == Mode::Dev,
        });
        let errands = (settings.mode == Mode::Lambda).then(|| {
            let announcer = queue.map(|queue| Arc::new(Later(queue)) as Arc<dyn Announcer>);
            let turns = engine.as_ref().map(|engine| {
                let (engine, rotator, clock) = (Arc::clone(engine), rotator.clone(), Arc::clone(&clock));
                Turns::new(engine, rotator, announcer, call_end, clock)
            });
            Arc::new(Chores {
                turns,
                control: control.clone(),
                events: events.clone(),
                spans: Spans::of(&shared),
                clock: Arc::clone(&clock),
            }) as Arc<dyn Errands>
        });
        Ok(Self {
            clock,
            connector,
            configuration,
            control,
            engine,
            rotator,
            errands,
            events,
            is_new,
            shared,
            local,
        })
    }

    /// Ends what must end in order; whatever was answered is durable already.
    pub fn close(self) {
        if let Some(local) = self.local {
            local.close();
        }
    }
}

/// Says once which of Kong's variables are read, so that nobody wonders where a setting comes from.
fn tell_of_kongs_variables(environment: &BTreeMap<String, String>) {
    let names =
        environment.iter().filter(|(name, value)| name.starts_with("KONG_VAULT_") && !value.is_empty());
    let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
    if !names.is_empty() {
        tracing::info!(
            variables = names.join(", "),
            "Kong's variables are read as defaults of vaults; GATEWARD_VAULT_… of the same name counts before"
        );
    }
}

/// Opens the store; where it is one of this machine's, that one too.
async fn open_store(
    settings: &Settings,
    services: &AwsServices<'_>,
    patience: Duration,
) -> Result<(Arc<dyn Store>, Option<Arc<LocalStore>>), Box<dyn Error>> {
    Ok(match settings.store {
        StoreKind::Memory => (Arc::new(MemoryStore::new()), None),
        StoreKind::Local => {
            let local = open_local(&settings.data_dir.join("store"), patience).await?;
            (Arc::clone(&local) as Arc<dyn Store>, Some(local))
        }
        StoreKind::Dynamodb => {
            let looks = if settings.mode == Mode::Lambda { Looks::WhenAsked } else { Looks::Often };
            let api = Arc::new(services.dynamodb()?);
            (DynamoStore::open(api, &settings.dynamodb_table, Handle::current(), looks).await?, None)
        }
    })
}

/// Opens this machine's store. A process that gives it up may need a moment until its last reader has gone.
async fn open_local(path: &Path, patience: Duration) -> Result<Arc<LocalStore>, OpenError> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match LocalStore::open(path) {
            Err(OpenError::InUse { .. }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            opened => return opened,
        }
    }
}

/// What the engine calls itself in claims. Where no other process can have the store, the next one takes the claims of the
/// last over; else each has a name of its own.
fn owner(store: StoreKind) -> String {
    match store {
        StoreKind::Local | StoreKind::Memory => "the only process of this store".to_owned(),
        StoreKind::Dynamodb => format!("{:032x}", fastrand::u128(..)),
    }
}

/// A store that does not last is nothing that could be put back.
fn lease_settings(settings: &Settings) -> EngineSettings {
    let LeaseLimits { caps, hold, keep } = settings.lease_limits;
    let usual = EngineSettings { caps, hold_for: hold, retention: keep, ..EngineSettings::default() };
    if settings.mode == Mode::Lambda {
        // Nothing that a function writes lasts but the table, and its time stands still between two events.
        return EngineSettings { remembers_due: true, ..usual };
    }
    let witness = (settings.store != StoreKind::Memory).then(|| {
        // Beside the store, and not in it: a backup of the store alone does not take it along.
        Arc::new(FileWitness::at(settings.lease_witness.clone())) as Arc<dyn Witness>
    });
    EngineSettings { witness, ..usual }
}

/// Which setting and which file certificates stand in that cannot be used.
fn untrusted(settings: &Settings, error: &TrustError) -> String {
    match &settings.tls_ca {
        Some(path) => format!("tls_ca: {}: {}", path.display(), with_causes(error)),
        None => with_causes(error),
    }
}

fn read_ca(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("tls_ca: {} cannot be read: {error}", path.display()))
}
