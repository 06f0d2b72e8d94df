//! Why there are no settings: what is wrong, where it stands, and what to do. Never a value.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use gateward_access::{AllowedError, IdentityError, NoEndpoint};
use gateward_net::PeerTlsError;
use gateward_seal::FragmentsError;

use super::AdminFileError;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The settings file cannot be read.
    #[error("the settings file {} cannot be read", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The settings file is not YAML, or not a list of keys with values.
    #[error("the settings file {}, line {line}: {problem}", path.display())]
    Yaml {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A key that nobody knows.
    #[error("the settings file {}: there is no setting {key:?}; there are {known}", path.display())]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: String,
        /// The settings that there are.
        known: String,
    },
    /// A variable that is meant for us and that nobody knows.
    #[error("the environment variable {name} is none of Gateward's; those are {known}, and GATEWARD_VAULT_*")]
    UnknownVariable {
        /// Which variable.
        name: String,
        /// The variables that there are.
        known: String,
    },
    /// The same for vaults' settings.
    #[error("the environment variable {name} is no setting of a vault; there are {known}")]
    UnknownVaultVariable {
        /// Which variable.
        name: String,
        /// The variables that there are.
        known: String,
    },
    /// A value that its setting cannot take.
    #[error("{place}: {problem}")]
    Value {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Two keys, one of which would not be used.
    #[error("{0} and {1} are both set; keep the one under which the secrets were sealed")]
    TwoRootKeys(&'static str, &'static str),
    /// A table that nothing would be kept in.
    #[error("dynamodb_table is set, and the store is another; set store to dynamodb, or drop dynamodb_table")]
    TableWithoutStore,
    /// A function forgets its files, and with them a key that was made there.
    #[error(
        "a Lambda function keeps no files, so it is given the root key: set GATEWARD_ROOT_KEY_KMS or GATEWARD_ROOT_KEY"
    )]
    NoRootKeyInLambda,
    /// Whoever is known to AWS has no key that could be stolen.
    #[error(
        "admin_access_key is set, and admin_access_id_type is aws_iam; drop the key, or set the type to access_key"
    )]
    KeyWithAwsIam,
    /// Bounds of a login that is not used.
    #[error("{0} is set, and admin_access_id_type is access_key; set the type to aws_iam, or drop it")]
    BoundWithoutAwsIam(&'static str),
    /// Nobody could change anything.
    #[error(
        "admin_access_id_type is aws_iam, and nobody else is allowed anything: set allowed_access_permissions to \
         [{{\"name\": \"\", \"access_id\": \"p-…\", \"permissions\": [\"admin\"]}}]"
    )]
    NobodyAllowed,
    /// Entries that cannot be taken.
    #[error("allowed_access_permissions: {0}")]
    Allowed(AllowedError),
    /// Fragments that cannot be taken.
    #[error("{0}: {1}")]
    Fragments(&'static str, FragmentsError),
    /// Two places for one thing.
    #[error("customer_fragments and customer_fragments_file are both set; keep one")]
    FragmentsTwice,
    /// The fragments' file cannot be read.
    #[error("customer_fragments_file: {} cannot be read", path.display())]
    FragmentsFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An endpoint that is none.
    #[error("sts_endpoint_url: {0}")]
    StsEndpoint(NoEndpoint),
    /// An id that no header can hold.
    #[error("aws_iam_server_id: it is a text without spaces, such as the gateway's URL")]
    ServerId,
    /// A certificate without its key, or a key without its certificate.
    #[error("{0} is not set; producers_client_cert and producers_client_key go together")]
    HalfCertificate(&'static str),
    /// The file of a certificate or a key cannot be read.
    #[error("{key}: it is neither PEM nor a file that can be read")]
    PemFile {
        /// Which setting.
        key: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Certificates or a key that cannot be used.
    #[error("producers_ca, producers_client_cert, producers_client_key: {0}")]
    ProducersTls(PeerTlsError),
    /// Half an administrator.
    #[error("{0} is not set; admin_access_id and admin_access_key go together")]
    HalfAdmin(&'static str),
    /// Nobody administers.
    #[error(
        "there is no administrator: set GATEWARD_ADMIN_ACCESS_ID (p- and then letters and digits) and \
         GATEWARD_ADMIN_ACCESS_KEY; only `gateward dev` makes one"
    )]
    NoAdmin,
    /// The administrator cannot be.
    #[error("the administrator cannot be taken")]
    Admin(#[from] IdentityError),
    /// What `dev` keeps of its administrator cannot be used.
    #[error(transparent)]
    AdminFile(#[from] AdminFileError),
    /// A key that is no secret.
    #[error(
        "apisix_admin_key is the one that stands in APISIX's documents, so everybody has it; set another, or none and \
         use a token"
    )]
    KnownApisixKey,
    /// An empty key would let everybody in.
    #[error("{0}: is empty; give a long random text, or leave it out and use a token")]
    EmptyApisixKey(&'static str),
    /// Whoever may look could change everything.
    #[error("apisix_viewer_key and apisix_admin_key are the same; give each a text of its own")]
    SameApisixKeys,
    /// Others could reach what only this machine should.
    #[error(
        "{key}: `gateward dev` listens on loopback only, because its keys are no secrets, and {address} is not \
         loopback; use `gateward serve`"
    )]
    DevBeyondLoopback {
        /// Which setting.
        key: &'static str,
        /// Which address.
        address: SocketAddr,
    },
}
