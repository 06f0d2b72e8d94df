//! How the process runs: where it listens, where it keeps things, who administers it.
//!
//! A setting comes from a flag, else from the environment, else from `gateward.yaml`, else from here. What nobody
//! knows is refused, wherever it stands, so that a slip of the pen is never a setting left at its default.

mod admin_file;
mod confidants;
mod error;
mod given;
mod lease_limits;
mod limits;
mod log_filter;
mod producers_tls;
mod references;
mod sources;
mod values;
mod vaults;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateward_access::{AdminIdentity, AllowedAccess};
use gateward_leases::producer::allowed::AllowedProducers;
use gateward_net::PeerTls;
use gateward_proxy::host::lambda::ResponseMode;
use gateward_proxy::host::server::Limits;
use gateward_seal::{FragmentId, Fragments, SecretValue};
use gateward_vaults::Resolver;

pub use admin_file::{AdminFile, AdminFileError, Kept};
pub use error::SettingsError;
pub use given::{Given, KEYS};
pub use values::{AccessLog, LeaseLimits, StoreKind};

use crate::arguments::ProcessArguments;
use crate::surroundings::Surroundings;
use values::{AccessIdType, Addresses, TrafficAddresses};

/// How the process runs, all of it decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What kind of process it is.
    pub mode: Mode,
    /// Where traffic comes in.
    pub traffic: Traffic,
    /// Where the control plane listens.
    pub control: Listen,
    /// Where the systems listen that Gateward takes the place of; under `dev` only.
    pub compatibility: Option<CompatibilityPorts>,
    /// Where files are kept.
    pub data_dir: PathBuf,
    /// What keeps the resources.
    pub store: StoreKind,
    /// The table that does, where the store is one of DynamoDB's.
    pub dynamodb_table: String,
    /// The region of the table and of the KMS key, where it is not what the machine says.
    pub aws_region: Option<String>,
    /// What is called for both in place of AWS's own endpoints.
    pub aws_endpoint_url: Option<String>,
    /// The files that hold the routing resources; none if the store does.
    pub resources: Vec<PathBuf>,
    /// Where the root key comes from.
    pub root_key: RootKeySource,
    /// Who administers the gateway.
    pub admin: AdminIdentity,
    /// Who else may do what, by the deployment.
    pub allowed: Vec<AllowedAccess>,
    /// The STS that is asked about identities of AWS, if not the one that they signed for.
    pub sts_endpoint_url: Option<String>,
    /// Whom cloud ids must have been signed for.
    pub aws_iam_server_id: Option<String>,
    /// Second halves of the key.
    pub fragments: Fragments,
    /// The one of them that seals what nobody chose a key for.
    pub default_fragment: Option<FragmentId>,
    /// Whether the administrator was made up just now, and has to be told to somebody.
    pub admin_is_new: bool,
    /// What APISIX clients say to administer routes; without it they need a token.
    pub apisix_admin_key: Option<SecretValue>,
    /// What APISIX clients say to look at resources, and no more.
    pub apisix_viewer_key: Option<SecretValue>,
    /// A file with certificates to trust besides the usual ones.
    pub tls_ca: Option<PathBuf>,
    /// The host whose certificate clients get that name none.
    pub fallback_sni: Option<String>,
    /// Who is asked for names, in place of those in `/etc/resolv.conf`.
    pub dns_servers: Vec<SocketAddr>,
    /// Where producers may stand.
    pub producers_allow: AllowedProducers,
    /// What is special about the TLS of producers, if anything is.
    pub producers_tls: Option<Arc<PeerTls>>,
    /// How much a client may take.
    pub limits: Limits,
    /// How many leases may live, and for how long what about them.
    pub lease_limits: LeaseLimits,
    /// The file by which a restored store is noticed.
    pub lease_witness: PathBuf,
    /// How many threads carry traffic.
    pub data_threads: usize,
    /// What is logged, in the words of tracing's filters.
    pub log: String,
    /// Where a line for each request goes.
    pub access_log: AccessLog,
    /// The queue by which a Lambda function hears of what is about to fall due.
    pub revocation_queue: Option<String>,
    /// The event bus that hears of changes: its name, or its ARN.
    pub events_bus: Option<String>,
    /// How a Lambda function gives its answers.
    pub response_mode: ResponseMode,
    /// How long requests may take to end once the process is to stop.
    pub drain: Duration,
    /// Defaults of vaults' settings, as the variables that they would stand in.
    pub vault_defaults: VaultDefaults,
}

/// Variables for vaults. They may hold secrets, and are not printed.
#[derive(Clone, Default)]
pub struct VaultDefaults(pub BTreeMap<String, String>);

impl fmt::Debug for VaultDefaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// The kinds of processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// On a developer's machine, for that machine only.
    Dev,
    /// On a server.
    Serve,
    /// In a Lambda function, where nothing listens.
    Lambda,
}

/// Where traffic comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The addresses, plain ones first.
    pub entrances: Vec<Entrance>,
    /// Whether somebody asked for the plain ones. Of the usual ones, an IPv6 address on a machine without IPv6 is no
    /// failure.
    pub chosen: bool,
}

/// An address of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// The address.
    pub address: SocketAddr,
    /// Whether connections begin with a handshake of TLS.
    pub tls: bool,
    /// Whether connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The addresses.
    pub addresses: Vec<SocketAddr>,
    /// Whether somebody asked for them. Of the usual ones, an IPv6 address on a machine without IPv6 is no failure.
    pub chosen: bool,
}

/// The ports on which the documents of other systems expect them, on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompatibilityPorts {
    /// Kong's Admin API.
    pub kong: u16,
    /// The Akeyless API.
    pub akeyless: u16,
    /// APISIX's Admin API.
    pub apisix: u16,
    /// APISIX's metrics.
    pub prometheus: u16,
}

/// Where the root key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootKeySource {
    /// Its text was given.
    Text(SecretValue),
    /// It stands in a file, which is made if there is none.
    File(PathBuf),
    /// It stands in the store, sealed by this key of AWS KMS, and is made if there is none.
    Kms(String),
}

impl Settings {
    /// Decides everything for a process of the kind `mode` that was told `arguments`.
    pub fn decide(
        mode: Mode,
        arguments: &ProcessArguments,
        surroundings: &Surroundings,
    ) -> Result<Self, SettingsError> {
        let (given, vault_defaults) = sources::read(arguments, surroundings)?;
        let root_keys = [
            ("root_key", given.root_key.is_some()),
            ("root_key_file", given.root_key_file.is_some()),
            ("root_key_kms", given.root_key_kms.is_some()),
        ];
        let mut set = root_keys.iter().filter(|(_, is_set)| *is_set).map(|(key, _)| *key);
        if let (Some(one), Some(another)) = (set.next(), set.next()) {
            return Err(SettingsError::TwoRootKeys(one, another));
        }
        let store = given.store.unwrap_or_default();
        if given.dynamodb_table.is_some() && store != StoreKind::Dynamodb {
            return Err(SettingsError::TableWithoutStore);
        }
        let data_dir = given.data_dir.clone().unwrap_or_else(|| match mode {
            Mode::Dev => surroundings.directory.join(DEV_DATA_DIR),
            Mode::Serve => PathBuf::from("/var/lib/gateward"),
            Mode::Lambda => PathBuf::from("/tmp/gateward"),
        });
        let root_key = match (&given.root_key, &given.root_key_kms, mode) {
            (Some(text), ..) => RootKeySource::Text(text.clone()),
            (None, Some(key), _) => RootKeySource::Kms(key.clone()),
            (None, None, Mode::Lambda) => return Err(SettingsError::NoRootKeyInLambda),
            (None, None, _) => {
                let file = given.root_key_file.clone();
                RootKeySource::File(file.unwrap_or_else(|| data_dir.join("root.key")))
            }
        };
        let (traffic, control) = listen(mode, &given)?;
        let compatibility = (mode == Mode::Dev && !control.chosen).then_some(COMPATIBILITY_PORTS);
        let administration = administration(mode, &given, &data_dir)?;
        let fragments = confidants::fragments(&given)?;
        let allowed = confidants::allowed(&given)?;
        let producers_tls = producers_tls::producers_tls(&given)?;
        Ok(Self {
            mode,
            traffic,
            control,
            compatibility,
            store,
            dynamodb_table: given.dynamodb_table.unwrap_or_else(|| "gateward".to_owned()),
            aws_region: given.aws_region,
            aws_endpoint_url: given.aws_endpoint_url,
            resources: given.resources.map(|paths| paths.0).unwrap_or_default(),
            root_key,
            admin: administration.admin,
            allowed,
            sts_endpoint_url: given.sts_endpoint_url,
            aws_iam_server_id: given.aws_iam_server_id,
            fragments,
            default_fragment: given.default_customer_fragment,
            admin_is_new: administration.is_new,
            apisix_admin_key: administration.apisix_admin_key,
            apisix_viewer_key: administration.apisix_viewer_key,
            tls_ca: given.tls_ca,
            fallback_sni: given.tls_fallback_sni,
            dns_servers: given.dns_servers.map(|servers| servers.0).unwrap_or_default(),
            producers_allow: given.producers_allow.map(|list| list.0).unwrap_or_default(),
            producers_tls,
            limits: given.limits.map_or_else(Limits::default, |limits| limits.0),
            lease_limits: given.lease_limits.unwrap_or_default(),
            lease_witness: given.lease_witness.unwrap_or_else(|| data_dir.join("lease-witness.json")),
            data_threads: given.data_threads.map_or_else(
                || surroundings.cores.clamp(1, USUAL_MOST_THREADS),
                |threads| usize::from(threads.0),
            ),
            log: given.log.unwrap_or_default().into_text(),
            access_log: given.access_log.unwrap_or_default(),
            revocation_queue: given.revocation_queue,
            events_bus: given.events_bus,
            response_mode: given.lambda_answers.unwrap_or_default().0,
            drain: given
                .drain_seconds
                .map_or(USUAL_DRAIN, |seconds| Duration::from_secs(u64::from(seconds.0))),
            data_dir,
            vault_defaults,
        })
    }
}

/// A resolver for a command that asks vaults itself: with what the environment and the settings file say of them. Called
/// on a runtime.
pub fn resolver_of_a_command(surroundings: &Surroundings) -> Result<Arc<Resolver>, SettingsError> {
    let source = sources::for_a_command(surroundings)?;
    source
        .resolver()
        .map_err(|problem| SettingsError::Value { place: "no vault can be asked".to_owned(), problem })
}

fn listen(mode: Mode, given: &Given) -> Result<(Traffic, Listen), SettingsError> {
    if mode == Mode::Lambda {
        let traffic = Traffic { entrances: Vec::new(), chosen: false };
        return Ok((traffic, Listen { addresses: Vec::new(), chosen: false }));
    }
    let usual = match mode {
        Mode::Dev => [loopback(PROXY_PORT), loopback(PROXY_PORT_OF_DOCUMENTS)].concat(),
        Mode::Serve | Mode::Lambda => {
            vec![(Ipv4Addr::UNSPECIFIED, PROXY_PORT).into(), (Ipv6Addr::UNSPECIFIED, PROXY_PORT).into()]
        }
    };
    let usual = TrafficAddresses(usual.into_iter().map(|address| (address, false)).collect());
    let entrances = |TrafficAddresses(addresses): &TrafficAddresses, tls: bool| {
        let entrance = |&(address, proxy_protocol)| Entrance { address, tls, proxy_protocol };
        addresses.iter().map(entrance).collect::<Vec<_>>()
    };
    let plain = entrances(given.proxy_listen.as_ref().unwrap_or(&usual), false);
    let over_tls = given.tls_listen.as_ref().map(|addresses| entrances(addresses, true)).unwrap_or_default();
    let control = match &given.control_listen {
        Some(Addresses(addresses)) => Listen { addresses: addresses.clone(), chosen: true },
        None => Listen { addresses: loopback(CONTROL_PORT), chosen: false },
    };
    if mode == Mode::Dev {
        let addresses = |entrances: &[Entrance]| entrances.iter().map(|entrance| entrance.address).collect();
        let all: [(_, Vec<SocketAddr>); 3] = [
            ("proxy_listen", addresses(&plain)),
            ("tls_listen", addresses(&over_tls)),
            ("control_listen", control.addresses.clone()),
        ];
        for (key, addresses) in all {
            if let Some(address) = addresses.into_iter().find(|address| !address.ip().is_loopback()) {
                return Err(SettingsError::DevBeyondLoopback { key, address });
            }
        }
    }
    let chosen = given.proxy_listen.is_some();
    Ok((Traffic { entrances: [plain, over_tls].concat(), chosen }, control))
}

fn loopback(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

struct Administration {
    admin: AdminIdentity,
    is_new: bool,
    apisix_admin_key: Option<SecretValue>,
    apisix_viewer_key: Option<SecretValue>,
}

fn administration(
    mode: Mode,
    given: &Given,
    data_dir: &std::path::Path,
) -> Result<Administration, SettingsError> {
    let chosen = match (&given.admin_access_id, &given.admin_access_key) {
        (Some(access_id), key) if given.admin_access_id_type == Some(AccessIdType::AwsIam) => {
            if key.is_some() {
                return Err(SettingsError::KeyWithAwsIam);
            }
            Some(AdminIdentity::aws_iam(access_id.clone(), confidants::admin_bounds(given))?)
        }
        (None, _) if given.admin_access_id_type == Some(AccessIdType::AwsIam) => {
            return Err(SettingsError::HalfAdmin("admin_access_id"));
        }
        (Some(access_id), Some(access_key)) => {
            Some(AdminIdentity::new(access_id.clone(), access_key.clone())?)
        }
        (None, None) => None,
        (Some(_), None) => return Err(SettingsError::HalfAdmin("admin_access_key")),
        (None, Some(_)) => return Err(SettingsError::HalfAdmin("admin_access_id")),
    };
    let (apisix_admin_key, apisix_viewer_key) =
        (given.apisix_admin_key.clone(), given.apisix_viewer_key.clone());
    for (name, key) in [("apisix_admin_key", &apisix_admin_key), ("apisix_viewer_key", &apisix_viewer_key)] {
        if key.as_ref().is_some_and(|key| key.expose().trim().is_empty()) {
            return Err(SettingsError::EmptyApisixKey(name));
        }
    }
    if apisix_viewer_key.is_some() && apisix_viewer_key == apisix_admin_key {
        return Err(SettingsError::SameApisixKeys);
    }
    match (mode, chosen) {
        (Mode::Serve | Mode::Lambda, Some(admin)) => match apisix_admin_key {
            Some(key) if key.matches(APISIX_KEY_OF_DOCUMENTS) => Err(SettingsError::KnownApisixKey),
            apisix_admin_key => {
                Ok(Administration { admin, is_new: false, apisix_admin_key, apisix_viewer_key })
            }
        },
        (Mode::Serve | Mode::Lambda, None) => Err(SettingsError::NoAdmin),
        (Mode::Dev, Some(admin)) => Ok(Administration {
            admin,
            is_new: false,
            apisix_admin_key: Some(apisix_admin_key.unwrap_or_else(|| APISIX_KEY_OF_DOCUMENTS.into())),
            apisix_viewer_key,
        }),
        (Mode::Dev, None) => {
            let file = AdminFile::within(data_dir);
            let (kept, is_new) = file.read_or_create(|| {
                let made = AdminIdentity::generate();
                Kept {
                    access_id: made.access_id().clone(),
                    access_key: made.access_key().cloned().unwrap_or_default(),
                    apisix_admin_key: APISIX_KEY_OF_DOCUMENTS.into(),
                }
            })?;
            Ok(Administration {
                admin: AdminIdentity::new(kept.access_id, kept.access_key)?,
                is_new,
                apisix_admin_key: Some(apisix_admin_key.unwrap_or(kept.apisix_admin_key)),
                apisix_viewer_key,
            })
        }
    }
}

/// Where `dev` keeps things, and the other commands look for its administrator.
pub const DEV_DATA_DIR: &str = ".gateward";

const PROXY_PORT: u16 = 9080;
/// HTTP/2, where APISIX's documents expect it.
const PROXY_PORT_OF_DOCUMENTS: u16 = 9081;
const CONTROL_PORT: u16 = 8000;
const COMPATIBILITY_PORTS: CompatibilityPorts =
    CompatibilityPorts { kong: 8001, akeyless: 8081, apisix: 9180, prometheus: 9091 };

/// The key that stands in APISIX's documents, so that everybody has it.
pub const APISIX_KEY_OF_DOCUMENTS: &str = "edd1c9f034335f136f87ad84b625c8f1";

/// More threads than these rarely carry more traffic; whoever knows better says so.
const USUAL_MOST_THREADS: usize = 8;
const USUAL_DRAIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
