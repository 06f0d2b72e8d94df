//! The commands about items that are one call of the Akeyless API each: what they take, what they send, what they say.
//!
//! One file a kind of item, one type a command. What the vendor's own command has and we have no use for is taken and
//! not shown.

mod allowed_access;
mod auth_method;
mod dynamic_secret;
mod item;
mod key;
mod leases;
mod native;
mod rotated_secret;
mod static_secret;
mod target;

use std::fmt;
use std::time::Duration;

use clap::{Arg, Args, Subcommand};
use serde_json::{Map, Value};

use allowed_access::{CreateAllowedAccess, DeleteAllowedAccess, GetAllowedAccess, UpdateAllowedAccess};
use auth_method::{DescribeSubClaims, GetConfig, ResetAccessKey, SpokenAuthMethod};
use dynamic_secret::{GetSecret, ListSecrets, RenewTmpCreds, SpokenUpdate};
use item::{DeleteItem, DescribeItem, GetTags, ListItems, MoveObjects, SetItemState, UpdateItem};
use key::CreateKey;
use leases::{AbandonLease, LetGoLeases, ListLeases, ReportLeases, SettleLease};
use rotated_secret::{CreateRotated, DeleteRotated, GetRotatedValue, ListRotated, Rotate, UpdateRotated};
use static_secret::{CreateSecret, GetSecretValue, RollbackSecret, UpdateSecretVal};
use target::{CreateTarget, DeleteTarget, GetTarget, ListTargets, UpdateTarget};

pub(super) use native::{CreateNative, UnlessCommand};

use super::Connection;
use super::gateway::AFTER_HELP_TOKEN;

/// A command that is one call of the Akeyless API.
pub trait OneCall: fmt::Debug {
    /// The last part of the call's path.
    fn operation(&self) -> &'static str;

    /// What is sent, but for the token.
    fn body(&self) -> Body;

    /// What to print of `answer`, unless JSON is wanted; none to print it as JSON all the same.
    fn told(&self, answer: &Value) -> Option<String> {
        let _ = answer;
        None
    }

    /// What every command has.
    fn common(&self) -> &Common;

    /// What is wrong with what was said, where that is more than one word of it.
    fn problem(&self) -> Option<String> {
        None
    }

    /// How long to wait for the answer.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// The commands at the root.
#[derive(Debug, Subcommand)]
pub(super) enum SpokenItem {
    /// Put a value into the tree of items, sealed
    #[command(after_help = AFTER_HELP_TOKEN)]
    CreateSecret(CreateSecret),
    /// Print the value of a static secret
    #[command(after_help = AFTER_HELP_TOKEN)]
    GetSecretValue(GetSecretValue),
    /// Give a static secret a new value
    #[command(after_help = AFTER_HELP_TOKEN)]
    UpdateSecretVal(UpdateSecretVal),
    /// Give a static secret the value of an older version again
    #[command(after_help = AFTER_HELP_TOKEN)]
    RollbackSecret(RollbackSecret),
    /// List items, and the folders that they are in
    #[command(after_help = AFTER_HELP_TOKEN)]
    ListItems(ListItems),
    /// Tell what is known of an item, but for its value
    #[command(after_help = AFTER_HELP_TOKEN)]
    DescribeItem(DescribeItem),
    /// Delete an item of any kind, at once
    #[command(after_help = AFTER_HELP_TOKEN)]
    DeleteItem(DeleteItem),
    /// Rename an item, or change its tags, description or protection
    #[command(after_help = AFTER_HELP_TOKEN)]
    UpdateItem(UpdateItem),
    /// Switch an item off, or on again
    #[command(after_help = AFTER_HELP_TOKEN)]
    SetItemState(SetItemState),
    /// Print the tags of an item, one on each line
    #[command(after_help = AFTER_HELP_TOKEN)]
    GetTags(GetTags),
    /// Move an item, or a folder with all in it
    #[command(after_help = AFTER_HELP_TOKEN)]
    MoveObjects(MoveObjects),
    /// Targets: where rotated secrets are rotated
    #[command(subcommand, disable_help_subcommand = true)]
    Target(SpokenTarget),
    /// Leases: the credentials that are out, and what somebody must decide about them
    #[command(subcommand, disable_help_subcommand = true)]
    Leases(SpokenLeases),
    /// Rotated secrets: values that a producer replaces
    #[command(subcommand, disable_help_subcommand = true)]
    RotatedSecret(SpokenRotated),
    /// Print the value of a rotated secret (as rotated-secret get-value does)
    #[command(after_help = AFTER_HELP_TOKEN)]
    GetRotatedSecretValue(GetRotatedValue),
    /// Rotate a rotated secret, or the payload of a dynamic secret, now
    #[command(alias = "rotate-secret", after_help = AFTER_HELP_TOKEN)]
    GatewayRotateSecret(Rotate),
    /// Give a customer fragment a name, by which items are sealed with it
    #[command(after_help = AFTER_HELP_TOKEN)]
    CreateDfcKey(CreateKey),
    /// Auth methods: ways to log in besides the administrator's
    #[command(subcommand, disable_help_subcommand = true)]
    AuthMethod(SpokenAuthMethod),
    /// Replace the access key of an auth method, and print the new one
    #[command(after_help = AFTER_HELP_TOKEN)]
    ResetAccessKey(ResetAccessKey),
    /// Allow somebody something
    #[command(after_help = AFTER_HELP_TOKEN)]
    GatewayCreateAllowedAccess(CreateAllowedAccess),
    /// Change what somebody is allowed; what is not said stays
    #[command(after_help = AFTER_HELP_TOKEN)]
    GatewayUpdateAllowedAccess(UpdateAllowedAccess),
    /// Tell what somebody is allowed
    #[command(after_help = AFTER_HELP_TOKEN)]
    GatewayGetAllowedAccess(GetAllowedAccess),
    /// Take back what somebody was allowed
    #[command(after_help = AFTER_HELP_TOKEN)]
    GatewayDeleteAllowedAccess(DeleteAllowedAccess),
    /// Tell how the gateway is set up, and who may what
    #[command(after_help = AFTER_HELP_TOKEN)]
    GatewayGetConfig(GetConfig),
    /// Tell what is known of whoever asks
    #[command(after_help = AFTER_HELP_TOKEN)]
    DescribeSubClaims(DescribeSubClaims),
}

/// The commands below `leases`.
#[derive(Debug, Subcommand)]
pub(super) enum SpokenLeases {
    /// Tell how many leases stand how, and what exists at producers that no lease knows
    #[command(after_help = AFTER_HELP_TOKEN)]
    Report(ReportLeases),
    /// List leases that somebody must look at
    #[command(after_help = AFTER_HELP_TOKEN)]
    List(ListLeases),
    /// Let the credential of a parked lease be, though it may work
    #[command(after_help = AFTER_HELP_TOKEN)]
    Abandon(AbandonLease),
    /// Say what became of a lease whose answer was lost
    #[command(after_help = AFTER_HELP_TOKEN)]
    Settle(SettleLease),
    /// Let revocations go on that were held after a restored backup or a jump of the clock
    #[command(after_help = AFTER_HELP_TOKEN)]
    LetGo(LetGoLeases),
}

/// The commands below `target`.
#[derive(Debug, Subcommand)]
pub(super) enum SpokenTarget {
    /// Create a web target
    #[command(after_help = AFTER_HELP_TOKEN)]
    Create(CreateTarget),
    /// Change a web target
    #[command(after_help = AFTER_HELP_TOKEN)]
    Update(UpdateTarget),
    /// Tell what is known of a target
    #[command(alias = "get-details", after_help = AFTER_HELP_TOKEN)]
    Get(GetTarget),
    /// List targets
    #[command(after_help = AFTER_HELP_TOKEN)]
    List(ListTargets),
    /// Delete a target that no rotated secret uses
    #[command(after_help = AFTER_HELP_TOKEN)]
    Delete(DeleteTarget),
}

/// The commands below `rotated-secret`.
#[derive(Debug, Subcommand)]
pub(super) enum SpokenRotated {
    /// Create a rotated secret whose value a producer replaces over HTTP
    #[command(after_help = AFTER_HELP_TOKEN)]
    Create(CreateRotated),
    /// Change a rotated secret; what is not said stays
    #[command(after_help = AFTER_HELP_TOKEN)]
    Update(UpdateRotated),
    /// Print the value of a rotated secret
    #[command(after_help = AFTER_HELP_TOKEN)]
    GetValue(GetRotatedValue),
    /// List rotated secrets, and how their rotations went
    #[command(after_help = AFTER_HELP_TOKEN)]
    List(ListRotated),
    /// Delete a rotated secret, or one version of it
    #[command(after_help = AFTER_HELP_TOKEN)]
    Delete(DeleteRotated),
}

/// The commands below `dynamic-secret` that are no more than a call.
#[derive(Debug, Subcommand)]
pub(super) enum SpokenDynamic {
    /// Change a dynamic secret; what is not said stays
    #[command(after_help = AFTER_HELP_TOKEN)]
    Update(Box<SpokenUpdate>),
    /// Tell what is known of a dynamic secret, but for its payload
    #[command(after_help = AFTER_HELP_TOKEN)]
    Get(GetSecret),
    /// List dynamic secrets
    #[command(after_help = AFTER_HELP_TOKEN)]
    List(ListSecrets),
}

/// The commands below `tmp-creds` that are no more than a call.
#[derive(Debug, Subcommand)]
pub(super) enum SpokenLease {
    /// Give a credential more time, or less
    #[command(after_help = AFTER_HELP_TOKEN)]
    Update(RenewTmpCreds),
}

impl SpokenItem {
    /// The call that was meant.
    pub(super) fn call(self) -> Box<dyn OneCall> {
        match self {
            Self::CreateSecret(call) => Box::new(call),
            Self::GetSecretValue(call) => Box::new(call),
            Self::UpdateSecretVal(call) => Box::new(call),
            Self::RollbackSecret(call) => Box::new(call),
            Self::ListItems(call) => Box::new(call),
            Self::DescribeItem(call) => Box::new(call),
            Self::DeleteItem(call) => Box::new(call),
            Self::UpdateItem(call) => Box::new(call),
            Self::SetItemState(call) => Box::new(call),
            Self::GetTags(call) => Box::new(call),
            Self::MoveObjects(call) => Box::new(call),
            Self::Target(SpokenTarget::Create(call)) => Box::new(call),
            Self::Target(SpokenTarget::Update(call)) => Box::new(call),
            Self::Target(SpokenTarget::Get(call)) => Box::new(call),
            Self::Target(SpokenTarget::List(call)) => Box::new(call),
            Self::Target(SpokenTarget::Delete(call)) => Box::new(call),
            Self::Leases(SpokenLeases::Report(call)) => Box::new(call),
            Self::Leases(SpokenLeases::List(call)) => Box::new(call),
            Self::Leases(SpokenLeases::Abandon(call)) => Box::new(call),
            Self::Leases(SpokenLeases::Settle(call)) => Box::new(call),
            Self::Leases(SpokenLeases::LetGo(call)) => Box::new(call),
            Self::RotatedSecret(SpokenRotated::Create(call)) => Box::new(call),
            Self::RotatedSecret(SpokenRotated::Update(call)) => Box::new(call),
            Self::RotatedSecret(SpokenRotated::GetValue(call)) | Self::GetRotatedSecretValue(call) => {
                Box::new(call)
            }
            Self::RotatedSecret(SpokenRotated::List(call)) => Box::new(call),
            Self::RotatedSecret(SpokenRotated::Delete(call)) => Box::new(call),
            Self::GatewayRotateSecret(call) => Box::new(call),
            Self::CreateDfcKey(call) => Box::new(call),
            Self::AuthMethod(spoken) => spoken.call(),
            Self::ResetAccessKey(call) => Box::new(call),
            Self::GatewayCreateAllowedAccess(call) => Box::new(call),
            Self::GatewayUpdateAllowedAccess(call) => Box::new(call),
            Self::GatewayGetAllowedAccess(call) => Box::new(call),
            Self::GatewayDeleteAllowedAccess(call) => Box::new(call),
            Self::GatewayGetConfig(call) => Box::new(call),
            Self::DescribeSubClaims(call) => Box::new(call),
        }
    }
}

impl SpokenDynamic {
    /// The call that was meant, if one was.
    pub(super) fn call(self) -> Option<Box<dyn OneCall>> {
        match self {
            Self::Update(update) => update.call(),
            Self::Get(call) => Some(Box::new(call)),
            Self::List(call) => Some(Box::new(call)),
        }
    }
}

impl SpokenLease {
    /// The call that was meant.
    pub(super) fn call(self) -> Box<dyn OneCall> {
        let Self::Update(call) = self;
        Box::new(call)
    }
}

/// The flag without the default that its help tells: where something is changed, what is not said stays. Which gateway is
/// asked is no such thing.
fn without_default(flag: Arg) -> Arg {
    if flag.get_id() == "gateway_url" {
        return flag;
    }
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    match help.rsplit_once(" [default:") {
        Some((words, _)) => flag.help(words.to_owned()),
        None => flag,
    }
}

/// What every command about items has.
#[derive(Clone, Debug, Default, Args)]
pub struct Common {
    /// Print the gateway's answer, as JSON on one line
    #[arg(long)]
    pub json: bool,
    /// Which gateway.
    #[command(flatten)]
    pub connection: Connection,
}

/// The body of a call.
#[derive(Default)]
pub struct Body(pub Map<String, Value>);

impl Body {
    /// A body that is about the item called `name`.
    fn about(name: &str) -> Self {
        Self::default().with("name", name)
    }

    fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0.insert(field.to_owned(), value.into());
        self
    }

    fn maybe(self, field: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    fn list(self, field: &str, values: &[String]) -> Self {
        if values.is_empty() { self } else { self.with(field, values.to_vec()) }
    }
}
