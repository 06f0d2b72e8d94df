//! The command line: what can be said, and what was said.
//!
//! `gateward` and `akeyless` (a link to the same binary) know the same commands. What is wrong with a command line is
//! found here, before anything is done.

mod create;
mod gateway;
mod identity;
mod items;
mod process;
mod secret_flag;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use create::Create;
pub use gateway::{
    At, Auth, Connection, DeleteItem, GetTmpCreds, GetValue, RevokeTmpCreds, VaultGet, VaultList, VaultTest,
};
pub use identity::{Configure, GenCustomerFragment, GetCloudIdentity};
pub use items::OneCall;
pub use process::{Check, ProcessArguments};

use crate::surroundings::Surroundings;

/// What is to be done.
#[derive(Debug)]
pub enum Command {
    /// Run the gateway, made for trying things.
    Dev(ProcessArguments),
    /// Run the gateway.
    Serve(ProcessArguments),
    /// Run the gateway inside a Lambda function.
    Lambda {
        /// The Runtime API's `host:port`.
        runtime_api: String,
    },
    /// Check resource files.
    Check(Check),
    /// Resolve a reference.
    VaultGet(VaultGet),
    /// List the vaults of a running gateway.
    VaultList(VaultList),
    /// Have a running gateway try a reference.
    VaultTest(VaultTest),
    /// Log in to a running gateway.
    Auth(Auth),
    /// Make a customer fragment.
    GenCustomerFragment(GenCustomerFragment),
    /// Make a cloud id.
    GetCloudIdentity(GetCloudIdentity),
    /// Keep a profile.
    Configure(Configure),
    /// Ask a running gateway for something.
    Ask(Ask),
}

/// What a running gateway can be asked for.
#[derive(Debug)]
pub enum Ask {
    /// A new dynamic secret.
    Create(Create),
    /// The end of a dynamic secret.
    Delete(DeleteItem),
    /// A credential.
    GetValue(GetValue),
    /// The credentials that live.
    GetTmpCreds(GetTmpCreds),
    /// The end of credentials.
    RevokeTmpCreds(RevokeTmpCreds),
    /// Something about items that is one call.
    One(Box<dyn OneCall>),
}

/// A command line that was understood.
#[derive(Debug)]
pub struct Understood {
    /// What is to be done.
    pub command: Command,
    /// What had to be guessed.
    pub warnings: Vec<String>,
}

/// Why nothing is to be done: help was wanted, or the usage is wrong.
#[derive(Debug)]
pub struct Stop {
    /// What to print.
    pub text: String,
    /// Whether it is what was asked for.
    pub is_result: bool,
}

/// Reads a command line, the name of the program first.
pub fn parse(
    words: impl IntoIterator<Item = OsString>,
    surroundings: &Surroundings,
) -> Result<Understood, Stop> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    if let Some(runtime_api) = surroundings.variable("AWS_LAMBDA_RUNTIME_API").filter(|_| words.len() < 2) {
        // Before the usage is put together, which would be half of a function's start.
        let command = Command::Lambda { runtime_api: runtime_api.to_owned() };
        return Ok(Understood { command, warnings: Vec::new() });
    }
    let mut usage = CommandLine::command();
    let referring = process::take_referring(&usage, &mut words);
    let matches = usage.try_get_matches_from_mut(words)?;
    let meant = || command_of(&usage, &matches);
    let said = CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut meant()))?;
    let wrong = |kind, problem: &str| Stop::from(meant().error(kind, problem));
    let Some(spoken) = said.command else {
        return Err(Stop { text: usage.render_help().to_string(), is_result: false });
    };
    let mut warnings = Vec::new();
    let command = match spoken {
        Spoken::Dev(process) => Command::Dev(ProcessArguments { referring, ..process }),
        Spoken::Serve(process) => Command::Serve(ProcessArguments { referring, ..process }),
        Spoken::Check(check) => Command::Check(check),
        Spoken::Vault(SpokenVault::Get(get)) => Command::VaultGet(get),
        Spoken::Vault(SpokenVault::List(list)) => Command::VaultList(list),
        Spoken::Vault(SpokenVault::Test(test)) => Command::VaultTest(test),
        Spoken::Auth(auth) => {
            if let Some(problem) = auth.problem() {
                return Err(wrong(ErrorKind::ArgumentConflict, problem));
            }
            Command::Auth(auth)
        }
        Spoken::GenCustomerFragment(made) => Command::GenCustomerFragment(made),
        Spoken::GetCloudIdentity(get) => Command::GetCloudIdentity(get),
        Spoken::Configure(configure) => {
            if let Some(problem) = configure.problem() {
                return Err(wrong(ErrorKind::ArgumentConflict, problem));
            }
            if configure.default_location_prefix.is_some() {
                warnings.push("--default-location-prefix has no meaning here and is ignored".to_owned());
            }
            Command::Configure(configure)
        }
        Spoken::GetDynamicSecretValue(get) | Spoken::DynamicSecret(SpokenSecret::GetValue(get)) => {
            Command::Ask(Ask::GetValue(get))
        }
        Spoken::DynamicSecret(SpokenSecret::Create(create)) => match (create.native, create.custom.0) {
            (Some(native), _) => Command::Ask(Ask::One(native.call())),
            (None, Some(custom)) => {
                let (create, guessed) =
                    custom.understand().map_err(|problem| wrong(ErrorKind::ArgumentConflict, &problem))?;
                warnings = guessed;
                Command::Ask(Ask::Create(create))
            }
            (None, None) => return Err(wrong(ErrorKind::MissingRequiredArgument, NOTHING_SAID)),
        },
        Spoken::DynamicSecret(SpokenSecret::Delete(delete)) => Command::Ask(Ask::Delete(delete)),
        Spoken::DynamicSecret(SpokenSecret::TmpCreds(SpokenTmpCreds::Get(get))) => {
            Command::Ask(Ask::GetTmpCreds(get))
        }
        Spoken::DynamicSecret(SpokenSecret::TmpCreds(SpokenTmpCreds::Delete(revoke))) => {
            Command::Ask(Ask::RevokeTmpCreds(revoke))
        }
        Spoken::Item(item) => {
            let call = item.call();
            if let Some(problem) = call.problem() {
                return Err(wrong(ErrorKind::ArgumentConflict, &problem));
            }
            Command::Ask(Ask::One(call))
        }
        Spoken::DynamicSecret(SpokenSecret::One(call)) => {
            let call = call.call().ok_or_else(|| wrong(ErrorKind::MissingRequiredArgument, NOTHING_SAID))?;
            Command::Ask(Ask::One(call))
        }
        Spoken::DynamicSecret(SpokenSecret::TmpCreds(SpokenTmpCreds::One(call))) => {
            Command::Ask(Ask::One(call.call()))
        }
    };
    Ok(Understood { command, warnings })
}

/// The command that was meant: it is its usage that is told beside what is wrong with it.
fn command_of(usage: &clap::Command, matches: &ArgMatches) -> clap::Command {
    let (mut command, mut said) = (usage, matches.subcommand());
    while let Some((name, below)) = said {
        let Some(meant) = command.find_subcommand(name) else { break };
        (command, said) = (meant, below.subcommand());
    }
    command.clone()
}

/// clap has asked for what is required already, so this is for a command line that it has let through.
const NOTHING_SAID: &str = "the name and the producer of the dynamic secret are missing";

impl Ask {
    /// Which gateway is asked, and as whom.
    pub fn connection(&self) -> &Connection {
        match self {
            Self::Create(create) => &create.connection,
            Self::Delete(delete) => &delete.connection,
            Self::GetValue(get) => &get.connection,
            Self::GetTmpCreds(get) => &get.connection,
            Self::RevokeTmpCreds(revoke) => &revoke.connection,
            Self::One(call) => &call.common().connection,
        }
    }
}

impl From<clap::Error> for Stop {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        Self { text: without_passwords(text.trim_end()), is_result: !error.use_stderr() }
    }
}

/// `text` with `***` for who logs in by the URLs in it: what is wrong is repeated to whoever has written it, and stays in logs.
fn without_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(char::is_whitespace).unwrap_or(part.len());
        let rest = part[..end].rfind('@').map_or(part, |at| &part[at..]);
        shown.push_str(if rest.len() == part.len() { "://" } else { "://***" });
        shown.push_str(rest);
    }
    shown
}

/// A gateway with no servers to manage
#[derive(Debug, Parser)]
#[command(name = "gateward", version, after_help = AFTER_HELP)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Spoken>,
}

#[derive(Debug, Subcommand)]
enum Spoken {
    /// Run the gateway on this machine, with nothing to configure
    #[command(after_help = process::AFTER_HELP_DEV)]
    Dev(ProcessArguments),
    /// Run the gateway
    #[command(after_help = process::AFTER_HELP_SERVE)]
    Serve(ProcessArguments),
    /// Say what is wrong with resource files, without starting anything
    #[command(after_help = process::AFTER_HELP_CHECK)]
    Check(Check),
    /// Secrets that stand in vaults
    #[command(subcommand, disable_help_subcommand = true)]
    Vault(SpokenVault),
    /// Log in to a running gateway, and print a token
    #[command(after_help = gateway::AFTER_HELP_AUTH)]
    Auth(Auth),
    /// Keep who logs in, for the other commands
    #[command(after_help = identity::AFTER_HELP_CONFIGURE)]
    Configure(Configure),
    /// Print who this machine is to AWS, as something to log in with
    #[command(after_help = identity::AFTER_HELP_CLOUD_IDENTITY)]
    GetCloudIdentity(GetCloudIdentity),
    /// Make a customer fragment, a second half of the key that seals secrets
    #[command(after_help = identity::AFTER_HELP_FRAGMENT)]
    GenCustomerFragment(GenCustomerFragment),
    /// Dynamic secrets: made when they are asked for, revoked when their time is over
    #[command(subcommand, disable_help_subcommand = true)]
    DynamicSecret(SpokenSecret),
    /// Issue a credential of a dynamic secret, and print it
    #[command(after_help = gateway::AFTER_HELP_TOKEN)]
    GetDynamicSecretValue(GetValue),
    #[command(flatten)]
    Item(items::SpokenItem),
}

#[derive(Debug, Subcommand)]
enum SpokenVault {
    /// Resolve a reference, here or in a running gateway, and print the value
    #[command(after_help = gateway::AFTER_HELP_VAULT_GET)]
    Get(VaultGet),
    /// List the vaults of a running gateway
    #[command(after_help = gateway::AFTER_HELP_TOKEN)]
    List(VaultList),
    /// Have a running gateway read a reference, and say what happened without the value
    #[command(after_help = gateway::AFTER_HELP_TOKEN)]
    Test(VaultTest),
}

#[derive(Debug, Subcommand)]
enum SpokenSecret {
    /// Create a dynamic secret: over HTTP (custom), or built in (postgresql, aws)
    #[command(after_help = create::AFTER_HELP)]
    Create(Box<create::SpokenCreate>),
    /// Issue a credential, and print it (as get-dynamic-secret-value does)
    #[command(after_help = gateway::AFTER_HELP_TOKEN)]
    GetValue(GetValue),
    /// Delete a dynamic secret, and revoke its credentials
    #[command(after_help = gateway::AFTER_HELP_TOKEN)]
    Delete(DeleteItem),
    /// The credentials that were issued and are not yet revoked
    #[command(subcommand, disable_help_subcommand = true)]
    TmpCreds(SpokenTmpCreds),
    #[command(flatten)]
    One(items::SpokenDynamic),
}

#[derive(Debug, Subcommand)]
enum SpokenTmpCreds {
    /// List the credentials of a dynamic secret
    #[command(after_help = gateway::AFTER_HELP_TOKEN)]
    Get(GetTmpCreds),
    /// Revoke one credential of a dynamic secret, or all
    #[command(after_help = gateway::AFTER_HELP_TOKEN)]
    Delete(RevokeTmpCreds),
    #[command(flatten)]
    One(items::SpokenLease),
}

const AFTER_HELP: &str = "\
It routes traffic, resolves secrets from vaults, and issues credentials that it revokes on time. Start with
`gateward dev`. Results go to stdout and everything else to stderr; the exit code is 0 for success, 1 for failure, 2 for
wrong usage. With AWS_LAMBDA_RUNTIME_API in its environment and no command, it serves the events of a Lambda function.";

#[cfg(test)]
mod tests;
