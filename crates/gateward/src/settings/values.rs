//! The kinds of values that settings have. Each is read from text, because a flag and a variable are nothing else; the
//! file may also say a number as a number, and addresses as a list.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use tracing_subscriber::EnvFilter;

/// A value is not what its setting takes. Says what that is, and never what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(&'static str);

/// Addresses to listen on; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(pub(super) Vec<SocketAddr>);

/// What keeps the resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// Files of our own in the data directory.
    #[default]
    Local,
    /// The process's memory.
    Memory,
}

/// How the administrator logs in: with an access key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessIdType;

/// A number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(pub(super) u16);

/// How long to drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainSeconds(pub(super) u16);

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(pub(super) String);

impl FromStr for Addresses {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let wrong = Wrong("addresses are an IP address and a port each, such as 127.0.0.1:9080,[::1]:9080");
        let addresses = text.split(',').map(|address| address.trim().parse());
        addresses.collect::<Result<_, _>>().map(Self).map_err(|_| wrong)
    }
}

impl FromStr for StoreKind {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "local" => Ok(Self::Local),
            "memory" => Ok(Self::Memory),
            _ => Err(Wrong("a store is local or memory")),
        }
    }
}

impl FromStr for AccessIdType {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "access_key" => Ok(Self),
            _ => Err(Wrong("the administrator logs in with an access_key, and in no other way")),
        }
    }
}

impl FromStr for Threads {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let threads = text.parse().ok().filter(|threads| (1..=1024).contains(threads));
        threads.map(Self).ok_or(Wrong("it is a whole number from 1 to 1024"))
    }
}

impl FromStr for DrainSeconds {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let seconds = text.parse().ok().filter(|seconds| *seconds <= 3600);
        seconds.map(Self).ok_or(Wrong("it is a whole number of seconds from 0 to 3600"))
    }
}

impl FromStr for LogFilter {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(Wrong(
                "a filter is error, warn, info, debug or trace, or tracing's own, such as info,gateward_leases=debug",
            )),
        }
    }
}

macro_rules! read_from_the_file {
    ($($value:ty)*) => {$(
        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Written(PhantomData))
            }
        }
    )*};
}

read_from_the_file!(Addresses StoreKind AccessIdType Threads DrainSeconds LogFilter);

/// A value as the file has it: text, a whole number, or a list of texts, which is as good as one with commas.
struct Written<T>(PhantomData<T>);

impl<'de, T: FromStr<Err = Wrong>> Visitor<'de> for Written<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("text, a whole number or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut texts = Vec::<String>::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        self.visit_str(&texts.join(","))
    }
}
