//! The arguments of the commands that make or keep what one logs in with, and ask no gateway: a customer fragment, a cloud
//! id, a profile.

use clap::Args;
use gateward_access::AccessId;

use super::secret_flag::{ProfileKey, SecretFlag};

/// `gen-customer-fragment`.
#[derive(Clone, Debug, Args)]
pub struct GenCustomerFragment {
    /// What it is called
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub name: String,
    /// What it is, for people
    #[arg(short, long, default_value = "", hide_default_value = true)]
    pub description: String,
    /// Print the JSON on one line
    #[arg(long)]
    pub json: bool,
}

/// `get-cloud-identity`.
#[derive(Clone, Debug, Args)]
pub struct GetCloudIdentity {
    /// Whose identity; `aws_iam` is the only one
    #[arg(long, value_name = "PROVIDER", value_parser = ["aws_iam"], default_value = "aws_iam", hide_possible_values = true, hide_default_value = true)]
    pub cloud_provider: String,
    /// Whom it is for, where the gateway asks that (its setting aws_iam_server_id)
    #[arg(long, value_name = "ID")]
    pub server_id: Option<String>,
    /// Print it so that it can stand in a URL
    #[arg(long = "url_safe", alias = "url-safe")]
    pub url_safe: bool,
}

/// `configure`.
#[derive(Clone, Debug, Args)]
pub struct Configure {
    /// What the profile is called
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
    /// Who logs in
    #[arg(long, value_name = "ID")]
    pub access_id: AccessId,
    /// How: access_key (api_key is the same) or aws_iam
    #[arg(long, value_name = "TYPE", value_parser = ["access_key", "api_key", "aws_iam"], default_value = "access_key", hide_possible_values = true)]
    pub access_type: String,
    /// The access key.
    #[command(flatten)]
    pub access_key: SecretFlag<ProfileKey>,
    /// Commands written for Akeyless may have it.
    #[arg(long, hide = true)]
    pub default_location_prefix: Option<String>,
}

impl Configure {
    /// What does not go together.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match (self.access_type.as_str(), self.access_key.get()) {
            ("aws_iam", Some(_)) => Some("--access-key has no meaning with --access-type aws_iam"),
            ("aws_iam", None) | (_, Some(_)) => None,
            (_, None) => Some("--access-key is missing; or log in with --access-type aws_iam"),
        }
    }
}

pub(super) const AFTER_HELP_FRAGMENT: &str = "\
It is made here, and sent to nobody. Keep it: what is sealed with a fragment is lost with it.

Example:
  gateward gen-customer-fragment --name mine --description 'for production' > customer_fragments.json
  GATEWARD_CUSTOMER_FRAGMENTS_FILE=customer_fragments.json gateward serve";

pub(super) const AFTER_HELP_CLOUD_IDENTITY: &str = "\
It is a signed request for GetCallerIdentity that was not sent, by the AWS credentials of this machine, and good for one login
within five minutes.

Example:
  gateward auth --access-id p-1234 --access-type aws_iam --cloud-id \"$(gateward get-cloud-identity)\"";

pub(super) const AFTER_HELP_CONFIGURE: &str = "\
The profile is kept in .gateward/profiles in the home directory, readable by its owner alone. Commands take it with --profile;
`default` is taken where nothing else says who asks.";
