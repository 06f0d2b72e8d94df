//! `auth-method create`, `get`, `list`, `delete`, `reset-access-key`, and what a gateway tells of itself and of who asks.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Body, Common, OneCall};

/// The commands below `auth-method`.
#[derive(Debug, Subcommand)]
pub(in crate::arguments) enum SpokenAuthMethod {
    /// Add a way to log in
    #[command(subcommand, disable_help_subcommand = true)]
    Create(SpokenCreate),
    /// Tell what is known of an auth method
    #[command(after_help = super::AFTER_HELP_TOKEN)]
    Get(GetMethod),
    /// List auth methods
    #[command(after_help = super::AFTER_HELP_TOKEN)]
    List(ListMethods),
    /// Delete an auth method; its tokens end with it
    #[command(after_help = super::AFTER_HELP_TOKEN)]
    Delete(DeleteMethod),
}

/// The kinds of auth methods that can be made.
#[derive(Debug, Subcommand)]
pub(in crate::arguments) enum SpokenCreate {
    /// One with an access key, which is printed now and never again
    #[command(after_help = super::AFTER_HELP_TOKEN)]
    ApiKey(CreateApiKey),
    /// One for identities of AWS
    #[command(after_help = super::AFTER_HELP_TOKEN)]
    AwsIam(Box<CreateAwsIam>),
}

/// What every auth method has.
#[derive(Clone, Debug, Args)]
struct New {
    /// What it is called
    #[arg(short, long)]
    name: String,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// From when on nobody logs in by it, in seconds since 1970 [default: never]
    #[arg(long, value_name = "SECONDS")]
    access_expires: Option<u64>,
    /// Addresses that may log in; the gateway says whether it knows them.
    #[arg(long, hide = true)]
    bound_ips: Vec<String>,
}

/// `auth-method create api-key`.
#[derive(Clone, Debug, Args)]
pub struct CreateApiKey {
    #[command(flatten)]
    new: New,
    #[command(flatten)]
    common: Common,
}

/// `auth-method create aws-iam`.
#[derive(Clone, Debug, Args)]
pub struct CreateAwsIam {
    #[command(flatten)]
    new: New,
    /// An AWS account, 12 digits; may be repeated
    #[arg(long, value_name = "NUMBER", required = true)]
    bound_aws_account_id: Vec<String>,
    /// An ARN as STS tells it, with * and ?; may be repeated
    #[arg(long, value_name = "ARN")]
    bound_arn: Vec<String>,
    /// The name of a role that is assumed; may be repeated
    #[arg(long, value_name = "NAME")]
    bound_role_name: Vec<String>,
    /// The id of a role that is assumed; may be repeated
    #[arg(long, value_name = "ID")]
    bound_role_id: Vec<String>,
    /// The name of a role's session, for an instance its id; may be repeated
    #[arg(long, value_name = "ID")]
    bound_resource_id: Vec<String>,
    /// The name of a user; may be repeated
    #[arg(long, value_name = "NAME")]
    bound_user_name: Vec<String>,
    /// The id of a user; may be repeated
    #[arg(long, value_name = "ID")]
    bound_user_id: Vec<String>,
    #[command(flatten)]
    common: Common,
}

/// `auth-method get`.
#[derive(Clone, Debug, Args)]
pub struct GetMethod {
    /// The auth method
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

/// `auth-method list`.
#[derive(Clone, Debug, Args)]
pub struct ListMethods {
    #[command(flatten)]
    common: Common,
}

/// `auth-method delete`.
#[derive(Clone, Debug, Args)]
pub struct DeleteMethod {
    /// The auth method
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

/// `reset-access-key`.
#[derive(Clone, Debug, Args)]
pub struct ResetAccessKey {
    /// The auth method
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

/// `gateway-get-config`.
#[derive(Clone, Debug, Args)]
pub struct GetConfig {
    #[command(flatten)]
    common: Common,
}

/// `describe-sub-claims`.
#[derive(Clone, Debug, Args)]
pub struct DescribeSubClaims {
    #[command(flatten)]
    common: Common,
}

impl SpokenAuthMethod {
    /// The call that was meant.
    pub(super) fn call(self) -> Box<dyn OneCall> {
        match self {
            Self::Create(SpokenCreate::ApiKey(call)) => Box::new(call),
            Self::Create(SpokenCreate::AwsIam(call)) => call,
            Self::Get(call) => Box::new(call),
            Self::List(call) => Box::new(call),
            Self::Delete(call) => Box::new(call),
        }
    }
}

impl New {
    fn body(&self) -> Body {
        Body::about(&self.name)
            .maybe("description", self.description.as_deref())
            .maybe("access-expires", self.access_expires)
            .list("bound-ips", &self.bound_ips)
    }
}

impl OneCall for CreateApiKey {
    fn operation(&self) -> &'static str {
        "auth-method-create-api-key"
    }

    fn body(&self) -> Body {
        self.new.body()
    }

    fn told(&self, answer: &Value) -> Option<String> {
        identity(&format!("The auth method {} was created.", self.new.name), answer)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for CreateAwsIam {
    fn operation(&self) -> &'static str {
        "auth-method-create-aws-iam"
    }

    fn body(&self) -> Body {
        self.new
            .body()
            .list("bound-aws-account-id", &self.bound_aws_account_id)
            .list("bound-arn", &self.bound_arn)
            .list("bound-role-name", &self.bound_role_name)
            .list("bound-role-id", &self.bound_role_id)
            .list("bound-resource-id", &self.bound_resource_id)
            .list("bound-user-name", &self.bound_user_name)
            .list("bound-user-id", &self.bound_user_id)
    }

    fn told(&self, answer: &Value) -> Option<String> {
        identity(&format!("The auth method {} was created.", self.new.name), answer)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for ResetAccessKey {
    fn operation(&self) -> &'static str {
        "reset-access-key"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn told(&self, answer: &Value) -> Option<String> {
        identity(&format!("The access key of {} was replaced.", self.name), answer)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for GetMethod {
    fn operation(&self) -> &'static str {
        "auth-method-get"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for ListMethods {
    fn operation(&self) -> &'static str {
        "auth-method-list"
    }

    fn body(&self) -> Body {
        Body::default()
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for DeleteMethod {
    fn operation(&self) -> &'static str {
        "auth-method-delete"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The auth method {} was deleted.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for GetConfig {
    fn operation(&self) -> &'static str {
        "gateway-get-config"
    }

    fn body(&self) -> Body {
        Body::default()
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for DescribeSubClaims {
    fn operation(&self) -> &'static str {
        "describe-sub-claims"
    }

    fn body(&self) -> Body {
        Body::default()
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

/// Who logs in from now on, and with what.
fn identity(done: &str, answer: &Value) -> Option<String> {
    let text = |field: &str| answer[field].as_str().map(str::to_owned);
    let mut told = format!("{done}\n- Access ID: {}", text("access_id")?);
    if let Some(key) = text("access_key") {
        told += &format!("\n- Access Key: {key}");
    }
    Some(told)
}
