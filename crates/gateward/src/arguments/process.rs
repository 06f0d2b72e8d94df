//! The arguments of `dev` and `serve` (the settings, and where more of them stand), and of `check`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;
use clap::{Arg, Args, Command};

use crate::settings::{Given, KEYS};

/// What `dev` and `serve` were told.
#[derive(Clone, Debug, Default, Args)]
pub struct ProcessArguments {
    /// Settings file, in YAML [default: gateward.yaml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings that were given as flags.
    #[command(flatten)]
    pub given: Given,
    /// The flags that hold references, by the setting's key: what they say is known when vaults have been asked.
    #[arg(skip)]
    pub referring: BTreeMap<String, String>,
}

/// Takes the flags of `dev` and `serve` that hold references out of `words`, and gives them by key. Whatever is wrong
/// with the usage is left for the usual reading of the words to find.
pub(super) fn take_referring(usage: &Command, words: &mut Vec<OsString>) -> BTreeMap<String, String> {
    let refers = |word: &OsString| word.to_str().is_some_and(|word| word.contains("{vault://"));
    if !words.iter().any(refers) {
        return BTreeMap::new();
    }
    let any_text = |command: Command| {
        let anything = |arg: Arg| arg.value_parser(OsStringValueParser::new());
        KEYS.into_iter().fold(command, |command, key| command.mut_arg(key, anything))
    };
    let usage = HOSTS.into_iter().fold(usage.clone(), |usage, host| usage.mut_subcommand(host, any_text));
    let Ok(said) = usage.try_get_matches_from(words.iter()) else { return BTreeMap::new() };
    let Some((_, said)) = said.subcommand().filter(|(name, _)| HOSTS.contains(name)) else {
        return BTreeMap::new();
    };
    let mut referring = BTreeMap::new();
    for key in KEYS {
        let text = said.get_one::<OsString>(key).filter(|text| refers(text)).and_then(|text| text.to_str());
        let Some(text) = text else { continue };
        referring.insert(key.to_owned(), text.to_owned());
        let flag = format!("--{}", key.replace('_', "-"));
        let Some(at) = words
            .iter()
            .position(|word| word.to_str().is_some_and(|word| word.split('=').next() == Some(flag.as_str())))
        else {
            continue;
        };
        let length = if words[at] == *flag { 2 } else { 1 };
        words.drain(at..(at + length).min(words.len()));
    }
    referring
}

/// The commands that run a gateway.
const HOSTS: [&str; 2] = ["dev", "serve"];

/// `check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Files with resources, which are one configuration together
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print what was found as JSON, on one line
    #[arg(long)]
    pub json: bool,
}

pub(super) const AFTER_HELP_CHECK: &str = "\
APISIX's standalone form is read (YAML that ends with #END, or JSON), and decK's for vaults. Each error is told as
file:line:column. A route that no request can reach, because another takes the same requests first, is a warning.
The exit code is 0 if nothing is wrong, 1 if something is. Vaults are not asked; variables
(${{NAME}}) are those of this command's environment.";

pub(super) const AFTER_HELP_DEV: &str = "\
Each setting can also stand in the settings file, as `data_dir`, or in the environment, as GATEWARD_DATA_DIR: a flag
wins over the environment, and the environment over the file. A secret is safer there: others on this machine can see
the flags. In any of the three it may be a reference, such as {vault://aws/gateway/admin-key}.

Everything listens on loopback: traffic on 9080 and 9081, control on 8000. Unless --control-listen says otherwise, the
ports of the systems that Gateward takes the place of are open too: 8001 (Kong), 8081 (Akeyless), 9180 (APISIX) and 9091
(its metrics); the APISIX key of their documents is the one that is taken. Files are kept in .gateward, and in it
admin.json with the administrator's access id and key, which are made at the first start.";

pub(super) const AFTER_HELP_SERVE: &str = "\
Each setting can also stand in the settings file, as `data_dir`, or in the environment, as GATEWARD_DATA_DIR: a flag
wins over the environment, and the environment over the file. A secret is safer there: others on this machine can see
the flags. In any of the three it may be a reference, such as {vault://aws/gateway/admin-key}.

An administrator must be set: admin_access_id and admin_access_key. Traffic comes in on port 9080 of all addresses, and
files are kept in /var/lib/gateward, unless something else is said. Without apisix_admin_key APISIX clients need a token.";
