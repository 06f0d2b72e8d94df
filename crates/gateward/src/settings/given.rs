//! The settings as they are given: one list of them, for the flags, the environment and the file.

use std::path::PathBuf;

use clap::Args;
use gateward_access::AccessId;
use gateward_seal::{FragmentId, SecretValue};
use serde::Deserialize;

use super::values::{
    AccessIdType, AccessLog, Addresses, DnsServers, DrainSeconds, Json, LambdaAnswers, LeaseLimits,
    LimitChanges, LogFilter, Paths, ProducerPlaces, StoreKind, Texts, Threads, TrafficAddresses,
};

/// Settings that were given in one place; each may be missing.
#[derive(Clone, Debug, Default, PartialEq, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Given {
    /// Where traffic comes in: addresses with commas between them; proxy+ADDRESS where a balancer says who the client is
    #[arg(long, value_name = "ADDRESSES")]
    pub(super) proxy_listen: Option<TrafficAddresses>,
    /// Where traffic comes in over TLS, by convention on port 9443 [default: nowhere]
    #[arg(long, value_name = "ADDRESSES")]
    pub(super) tls_listen: Option<TrafficAddresses>,
    /// Where the control plane listens [default: 127.0.0.1:8000,[::1]:8000]
    #[arg(long, value_name = "ADDRESSES")]
    pub(super) control_listen: Option<Addresses>,
    /// Where the store and the root key are kept
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) data_dir: Option<PathBuf>,
    /// What keeps the resources: local (files), memory (until it stops) or dynamodb (a table) [default: local]
    #[arg(long, value_name = "KIND")]
    pub(super) store: Option<StoreKind>,
    /// The table of the store dynamodb [default: gateward]
    #[arg(long, value_name = "NAME")]
    pub(super) dynamodb_table: Option<String>,
    /// The region of that table and of the KMS key [default: AWS_REGION, else the profile's]
    #[arg(long, value_name = "REGION")]
    pub(super) aws_region: Option<String>,
    /// A URL to use for both in place of AWS's own [default: AWS_ENDPOINT_URL_DYNAMODB and the like, if set]
    #[arg(long, value_name = "URL")]
    pub(super) aws_endpoint_url: Option<String>,
    /// Files that hold the routing resources, with commas between them; then the store's are not served
    #[arg(long, value_name = "FILES")]
    pub(super) resources: Option<Paths>,
    /// The key that seals all secrets: 32 bytes in base64 or hexadecimal
    #[arg(long, value_name = "KEY")]
    pub(super) root_key: Option<SecretValue>,
    /// The file with that key, made if there is none [default: root.key in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(super) root_key_file: Option<PathBuf>,
    /// The key of AWS KMS (id, ARN or alias) that seals that key, which is then made, and kept sealed in the store
    #[arg(long, value_name = "KEY")]
    pub(super) root_key_kms: Option<String>,
    /// The administrator's access id: p- and then letters and digits
    #[arg(long, value_name = "ID")]
    pub(super) admin_access_id: Option<AccessId>,
    /// The administrator's access key
    #[arg(long, value_name = "KEY")]
    pub(super) admin_access_key: Option<SecretValue>,
    /// How the administrator logs in [default: access_key]
    #[arg(long, value_name = "TYPE")]
    pub(super) admin_access_id_type: Option<AccessIdType>,
    /// With aws_iam: the ARNs of administrators, as STS tells them, with * and ?, with commas between them
    #[arg(long, value_name = "ARNS")]
    pub(super) admin_bound_arns: Option<Texts>,
    /// With aws_iam: the AWS accounts of administrators, with commas between them
    #[arg(long, value_name = "NUMBERS")]
    pub(super) admin_bound_aws_accounts: Option<Texts>,
    /// Who else may do what: JSON, [{"name": "", "access_id": "p-…", "permissions": ["admin"]}]
    #[arg(long, value_name = "JSON")]
    pub(super) allowed_access_permissions: Option<Json>,
    /// The URL of the STS that is asked about identities of AWS [default: the one that they signed for]
    #[arg(long, value_name = "URL")]
    pub(super) sts_endpoint_url: Option<String>,
    /// What cloud ids must have been signed for, so that one shown to another verifier is none here [default: anything]
    #[arg(long, value_name = "ID")]
    pub(super) aws_iam_server_id: Option<String>,
    /// Second halves of the key: JSON, {"customer_fragments": [{"id": "cf-…", "value": "…"}]}
    #[arg(long, value_name = "JSON")]
    pub(super) customer_fragments: Option<Json>,
    /// The file with that JSON
    #[arg(long, value_name = "FILE")]
    pub(super) customer_fragments_file: Option<PathBuf>,
    /// The customer fragment that seals what nobody chose a key for [default: none]
    #[arg(long, value_name = "ID")]
    pub(super) default_customer_fragment: Option<FragmentId>,
    /// The key with which APISIX clients administer routes
    #[arg(long, value_name = "KEY")]
    pub(super) apisix_admin_key: Option<SecretValue>,
    /// The key with which APISIX clients may look and not change
    #[arg(long, value_name = "KEY")]
    pub(super) apisix_viewer_key: Option<SecretValue>,
    /// A file with certificates (PEM) to trust besides the usual ones
    #[arg(long, value_name = "FILE")]
    pub(super) tls_ca: Option<PathBuf>,
    /// The host whose certificate clients get that name none
    #[arg(long, value_name = "HOST")]
    pub(super) tls_fallback_sni: Option<String>,
    /// Who is asked for names, in place of those in /etc/resolv.conf: addresses with commas between them
    #[arg(long, value_name = "ADDRESSES")]
    pub(super) dns_servers: Option<DnsServers>,
    /// Where producers may stand: hosts and URLs that theirs begin with, with commas between them [default: anywhere]
    #[arg(long, value_name = "PLACES")]
    pub(super) producers_allow: Option<ProducerPlaces>,
    /// Certificates to trust producers by, in place of all others: PEM, or a file with it
    #[arg(long, value_name = "PEM", allow_hyphen_values = true)]
    pub(super) producers_ca: Option<SecretValue>,
    /// The certificate that producers are shown, with those that vouch for it: PEM, or a file with it
    #[arg(long, value_name = "PEM", allow_hyphen_values = true)]
    pub(super) producers_client_cert: Option<SecretValue>,
    /// Its private key: PEM, or a file with it
    #[arg(long, value_name = "PEM", allow_hyphen_values = true)]
    pub(super) producers_client_key: Option<SecretValue>,
    /// How much a client may take: NAME=VALUE with commas between them
    #[arg(long, value_name = "LIMITS")]
    pub(super) limits: Option<LimitChanges>,
    /// How many leases may live, and how long holds and records last: NAME=VALUE with commas between them
    #[arg(long, value_name = "LIMITS")]
    pub(super) lease_limits: Option<LeaseLimits>,
    /// The file by which a restored store is noticed; keep it out of backups [default: lease-witness.json in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(super) lease_witness: Option<PathBuf>,
    /// How many threads carry traffic [default: one a core, 8 at most]
    #[arg(long, value_name = "NUMBER")]
    pub(super) data_threads: Option<Threads>,
    /// What is logged: error, warn, info, debug, trace, or a filter [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(super) log: Option<LogFilter>,
    /// Where a line for each request goes: off, stdout, stderr or a file [default: off]
    #[arg(long, value_name = "WHERE")]
    pub(super) access_log: Option<AccessLog>,
    /// In a Lambda function, the URL of the SQS queue by which it hears of what is about to fall due
    #[arg(long, value_name = "URL", hide = true)]
    pub(super) revocation_queue: Option<String>,
    /// The event bus of EventBridge, by name or ARN, that hears when credentials and producers change [default: none]
    #[arg(long, value_name = "BUS")]
    pub(super) events_bus: Option<String>,
    /// In a Lambda function, how answers are given: buffered or streamed, as its URL or integration wants them [default: buffered]
    #[arg(long, value_name = "HOW", hide = true)]
    pub(super) lambda_answers: Option<LambdaAnswers>,
    /// Seconds that requests may take to end once it is to stop [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub(super) drain_seconds: Option<DrainSeconds>,
}

/// The names of the settings, as the file has them.
pub const KEYS: [&str; 42] = [
    "proxy_listen",
    "tls_listen",
    "control_listen",
    "data_dir",
    "store",
    "dynamodb_table",
    "aws_region",
    "aws_endpoint_url",
    "resources",
    "root_key",
    "root_key_file",
    "root_key_kms",
    "admin_access_id",
    "admin_access_key",
    "admin_access_id_type",
    "admin_bound_arns",
    "admin_bound_aws_accounts",
    "allowed_access_permissions",
    "sts_endpoint_url",
    "aws_iam_server_id",
    "customer_fragments",
    "customer_fragments_file",
    "default_customer_fragment",
    "apisix_admin_key",
    "apisix_viewer_key",
    "tls_ca",
    "tls_fallback_sni",
    "dns_servers",
    "producers_allow",
    "producers_ca",
    "producers_client_cert",
    "producers_client_key",
    "limits",
    "lease_limits",
    "lease_witness",
    "data_threads",
    "log",
    "access_log",
    "revocation_queue",
    "events_bus",
    "lambda_answers",
    "drain_seconds",
];

impl Given {
    /// What is given here, else there.
    pub(super) fn or(self, there: Self) -> Self {
        Self {
            proxy_listen: self.proxy_listen.or(there.proxy_listen),
            tls_listen: self.tls_listen.or(there.tls_listen),
            control_listen: self.control_listen.or(there.control_listen),
            data_dir: self.data_dir.or(there.data_dir),
            store: self.store.or(there.store),
            dynamodb_table: self.dynamodb_table.or(there.dynamodb_table),
            aws_region: self.aws_region.or(there.aws_region),
            aws_endpoint_url: self.aws_endpoint_url.or(there.aws_endpoint_url),
            resources: self.resources.or(there.resources),
            root_key: self.root_key.or(there.root_key),
            root_key_file: self.root_key_file.or(there.root_key_file),
            root_key_kms: self.root_key_kms.or(there.root_key_kms),
            admin_access_id: self.admin_access_id.or(there.admin_access_id),
            admin_access_key: self.admin_access_key.or(there.admin_access_key),
            admin_access_id_type: self.admin_access_id_type.or(there.admin_access_id_type),
            admin_bound_arns: self.admin_bound_arns.or(there.admin_bound_arns),
            admin_bound_aws_accounts: self.admin_bound_aws_accounts.or(there.admin_bound_aws_accounts),
            allowed_access_permissions: self.allowed_access_permissions.or(there.allowed_access_permissions),
            sts_endpoint_url: self.sts_endpoint_url.or(there.sts_endpoint_url),
            aws_iam_server_id: self.aws_iam_server_id.or(there.aws_iam_server_id),
            customer_fragments: self.customer_fragments.or(there.customer_fragments),
            customer_fragments_file: self.customer_fragments_file.or(there.customer_fragments_file),
            default_customer_fragment: self.default_customer_fragment.or(there.default_customer_fragment),
            apisix_admin_key: self.apisix_admin_key.or(there.apisix_admin_key),
            apisix_viewer_key: self.apisix_viewer_key.or(there.apisix_viewer_key),
            tls_ca: self.tls_ca.or(there.tls_ca),
            tls_fallback_sni: self.tls_fallback_sni.or(there.tls_fallback_sni),
            dns_servers: self.dns_servers.or(there.dns_servers),
            producers_allow: self.producers_allow.or(there.producers_allow),
            producers_ca: self.producers_ca.or(there.producers_ca),
            producers_client_cert: self.producers_client_cert.or(there.producers_client_cert),
            producers_client_key: self.producers_client_key.or(there.producers_client_key),
            limits: self.limits.or(there.limits),
            lease_limits: self.lease_limits.or(there.lease_limits),
            lease_witness: self.lease_witness.or(there.lease_witness),
            data_threads: self.data_threads.or(there.data_threads),
            log: self.log.or(there.log),
            access_log: self.access_log.or(there.access_log),
            revocation_queue: self.revocation_queue.or(there.revocation_queue),
            events_bus: self.events_bus.or(there.events_bus),
            lambda_answers: self.lambda_answers.or(there.lambda_answers),
            drain_seconds: self.drain_seconds.or(there.drain_seconds),
        }
    }
}
