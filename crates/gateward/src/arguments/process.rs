//! The arguments of `dev` and `serve` (the settings, and where more of them stand), and of `check`.

use std::path::PathBuf;

use clap::Args;

use crate::settings::Given;

/// What `dev` and `serve` were told.
#[derive(Clone, Debug, Default, Args)]
pub struct ProcessArguments {
    /// Settings file, in YAML [default: gateward.yaml, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The settings that were given as flags.
    #[command(flatten)]
    pub given: Given,
}

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
the flags.

Everything listens on loopback: traffic on 9080 and 9081, control on 8000. Unless --control-listen says otherwise, the
ports of the systems that Gateward takes the place of are open too: 8001 (Kong), 8081 (Akeyless), 9180 (APISIX) and 9091
(its metrics); the APISIX key of their documents is the one that is taken. Files are kept in .gateward, and in it
admin.json with the administrator's access id and key, which are made at the first start.";

pub(super) const AFTER_HELP_SERVE: &str = "\
Each setting can also stand in the settings file, as `data_dir`, or in the environment, as GATEWARD_DATA_DIR: a flag
wins over the environment, and the environment over the file. A secret is safer there: others on this machine can see
the flags.

An administrator must be set: admin_access_id and admin_access_key. Traffic comes in on port 9080 of all addresses, and
files are kept in /var/lib/gateward, unless something else is said. Without apisix_admin_key APISIX clients need a token.";
