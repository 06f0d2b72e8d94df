//! A flag whose value is a secret, and its twin that reads the secret from a file.
//!
//! Whoever may list processes sees the flags of all. So each `--NAME VALUE` has a `--NAME-file FILE` beside it, where `-` is
//! standard input. It is a flag of its own, so that no value, whatever it begins with, is ever taken for the name of a file.

use std::fmt;
use std::io::{self, Read as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgGroup, ArgMatches, Args, Command, FromArgMatches};
use gateward_seal::SecretValue;

/// Which flag it is.
pub trait Flag {
    /// Its long name.
    const LONG: &str;
    /// The long name of its twin.
    const FILE: &str;
    /// Its letter, if it has one.
    const SHORT: Option<char> = None;
    /// What stands for the value in its help.
    const VALUE: &str;
    /// What it is.
    const HELP: &str;
    /// What the two are called together, if one of them must be said.
    const GROUP: Option<&str> = None;
}

/// The secret that a flag or its twin has given.
pub struct SecretFlag<F>(Option<SecretValue>, PhantomData<fn() -> F>);

impl<F> SecretFlag<F> {
    /// The secret, if it was given.
    pub fn get(&self) -> Option<&SecretValue> {
        self.0.as_ref()
    }

    /// The secret as it is sent.
    pub fn expose(&self) -> Option<&str> {
        self.0.as_ref().map(SecretValue::expose)
    }
}

impl<F: Flag> Args for SecretFlag<F> {
    fn augment_args(command: Command) -> Command {
        let mut flag = Arg::new(F::LONG)
            .long(F::LONG)
            .value_name(F::VALUE)
            .help(F::HELP)
            .allow_hyphen_values(true)
            .value_parser(ValueParser::new(|text: &str| Ok::<_, io::Error>(SecretValue::from(text))));
        if let Some(letter) = F::SHORT {
            flag = flag.short(letter);
        }
        let file = Arg::new(F::FILE)
            .long(F::FILE)
            .value_name("FILE")
            .help("The same out of a file; - is standard input")
            .conflicts_with(F::LONG)
            .value_parser(clap::value_parser!(PathBuf));
        let command = command.arg(flag).arg(file);
        match F::GROUP {
            Some(group) => command.group(ArgGroup::new(group).args([F::LONG, F::FILE]).required(true)),
            None => command,
        }
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<F: Flag> FromArgMatches for SecretFlag<F> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let secret = match (matches.get_one::<SecretValue>(F::LONG), matches.get_one::<PathBuf>(F::FILE)) {
            (Some(said), _) => Some(said.clone()),
            (None, Some(path)) => Some(read(path).map_err(|problem| {
                clap::Error::raw(ErrorKind::Io, format!("--{}: {} {problem}\n", F::FILE, path.display()))
            })?),
            (None, None) => None,
        };
        Ok(Self(secret, PhantomData))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The text of a file but for the line feed at its end, which editors and `echo` put there.
fn read(path: &Path) -> Result<SecretValue, String> {
    let mut text = String::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().lock().take(MOST).read_to_string(&mut text),
        false => std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text)),
    };
    let ending = ["\r\n", "\n"].into_iter().find(|ending| text.ends_with(ending));
    text.truncate(text.len() - ending.map_or(0, str::len));
    let secret = SecretValue::new(text);
    match read {
        Ok(length) if length as u64 == MOST => Err(format!("is larger than {} bytes", MOST - 1)),
        Ok(_) => Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err("is no text in UTF-8".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// As much as the body of a call may have, and a byte more.
const MOST: u64 = 1_572_864 + 1;

impl<F> Clone for SecretFlag<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<F> Default for SecretFlag<F> {
    fn default() -> Self {
        Self(None, PhantomData)
    }
}

/// Shows whether there is one, and never what it is.
impl<F> fmt::Debug for SecretFlag<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The flags of secrets that there are.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident: $long:literal, $file:literal, $value:literal, $help:literal $(, $more:item)*;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Flag for $name {
            const LONG: &str = $long;
            const FILE: &str = $file;
            const VALUE: &str = $value;
            const HELP: &str = $help;
            $($more)*
        }
    )*};
}

flags! {
    /// The value of a new static secret.
    NewValue: "value", "value-file", "VALUE", "The value, kept sealed",
        const SHORT: Option<char> = Some('v');, const GROUP: Option<&str> = Some("secret");;
    /// The next value of a static secret.
    NextValue: "value", "value-file", "VALUE", "The new value, kept sealed",
        const SHORT: Option<char> = Some('v');, const GROUP: Option<&str> = Some("secret");;
    /// The payload of a custom producer.
    Payload: "payload", "payload-file", "PAYLOAD", "What the producer gets with every call, kept sealed";
    /// The first value of a rotated secret.
    FirstPayload: "custom-payload", "custom-payload-file", "VALUE", "The first value, kept sealed";
    /// The next value of a rotated secret.
    NextPayload: "custom-payload", "custom-payload-file", "VALUE",
        "A new value, kept sealed, in place of what the producer knows";
    /// The password of a PostgreSQL administrator.
    PostgresqlPassword: "postgresql-password", "postgresql-password-file", "PASSWORD",
        "The password of who makes the users, kept sealed";
    /// The secret half of an AWS access key.
    AwsSecretKey: "aws-access-secret-key", "aws-access-secret-key-file", "KEY",
        "The secret of that access key, kept sealed";
    /// The access key of a login.
    AccessKey: "access-key", "access-key-file", "KEY", "The access key [env: GATEWARD_ADMIN_ACCESS_KEY]";
    /// The access key of a profile.
    ProfileKey: "access-key", "access-key-file", "KEY", "The access key, with access_key";
}
