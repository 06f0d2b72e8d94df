//! The kinds of values that settings have. Each is read from text, because a flag and a variable are nothing else; the
//! file may also say a number as a number, and addresses as a list.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use gateward_leases::producer::allowed::AllowedProducers;
use gateward_proxy::host::lambda::ResponseMode;
use gateward_seal::SecretValue;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

pub use super::lease_limits::LeaseLimits;
pub use super::limits::LimitChanges;
pub use super::log_filter::LogFilter;

/// A value is not what its setting takes. Says what that is, and never what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub(super) &'static str);

/// Addresses to listen on; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses(pub(super) Vec<SocketAddr>);

/// Addresses of traffic; at least one. Those that begin with `proxy+` are for balancers that speak the PROXY protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficAddresses(pub(super) Vec<(SocketAddr, bool)>);

/// Servers that are asked for names; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsServers(pub(super) Vec<SocketAddr>);

/// Files; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths(pub(super) Vec<PathBuf>);

/// Where producers may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerPlaces(pub(super) AllowedProducers);

/// Where a line for each request goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
    /// To the end of a file.
    File(PathBuf),
}

/// What keeps the resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// Files of our own in the data directory.
    #[default]
    Local,
    /// The process's memory.
    Memory,
    /// A table of DynamoDB.
    Dynamodb,
}

/// How the administrator logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessIdType {
    /// With an access key.
    #[default]
    AccessKey,
    /// As somebody whom AWS knows.
    AwsIam,
}

/// Texts; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts(pub(super) Vec<String>);

/// JSON, which may hold secrets. The file may say it in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json(pub(super) SecretValue);

/// A number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads(pub(super) u16);

/// How a Lambda function gives its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LambdaAnswers(pub(super) ResponseMode);

/// How long to drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainSeconds(pub(super) u16);

impl FromStr for Addresses {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let wrong = Wrong("addresses are an IP address and a port each, such as 127.0.0.1:9080,[::1]:9080");
        let addresses = text.split(',').map(|address| address.trim().parse());
        let addresses: Vec<SocketAddr> = addresses.collect::<Result<_, _>>().map_err(|_| wrong)?;
        check_once(addresses.iter().copied()).map(|()| Self(addresses))
    }
}

impl FromStr for TrafficAddresses {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let wrong = Wrong(
            "addresses are an IP address and a port each, such as 127.0.0.1:9080,[::1]:9080, or proxy+10.0.0.1:9082 \
             for a balancer that speaks the PROXY protocol",
        );
        let addresses = text.split(',').map(|address| {
            let (address, proxy_protocol) = match address.trim().strip_prefix("proxy+") {
                Some(address) => (address, true),
                None => (address.trim(), false),
            };
            address.parse().map(|address| (address, proxy_protocol))
        });
        let addresses: Vec<(SocketAddr, bool)> = addresses.collect::<Result<_, _>>().map_err(|_| wrong)?;
        check_once(addresses.iter().map(|(address, _)| *address)).map(|()| Self(addresses))
    }
}

/// Refuses an address that stands twice. Port 0 is another one each time.
fn check_once(addresses: impl Iterator<Item = SocketAddr>) -> Result<(), Wrong> {
    let mut seen = HashSet::new();
    let mut named = addresses.filter(|address| address.port() != 0);
    match named.all(|address| seen.insert(address)) {
        true => Ok(()),
        false => Err(Wrong("an address stands there twice")),
    }
}

impl FromStr for DnsServers {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let server = |text: &str| {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| (address, DNS_PORT).into()))
        };
        let servers = text.split(',').map(server).collect::<Option<_>>();
        servers
            .map(Self)
            .ok_or(Wrong("servers are IP addresses, each with a port or without, such as 10.0.0.2"))
    }
}

impl FromStr for Paths {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let paths: Vec<PathBuf> = text.split(',').map(|path| PathBuf::from(path.trim())).collect();
        if paths.iter().any(|path| path.as_os_str().is_empty()) {
            return Err(Wrong("it is the path of a file, or several with commas between them"));
        }
        Ok(Self(paths))
    }
}

impl FromStr for ProducerPlaces {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        text.parse().map(Self).map_err(|_no_place| {
            Wrong(
                "a place of producers is a URL that theirs begin with (https://h.example/users/), or a host with a port \
                 or without (10.0.0.5:7070, *.example.com)",
            )
        })
    }
}

impl FromStr for AccessLog {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "off" => Ok(Self::Off),
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            path if path.contains(['/', '.']) => Ok(Self::File(path.into())),
            _ => Err(Wrong("it is off, stdout, stderr or the path of a file")),
        }
    }
}

impl FromStr for LambdaAnswers {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "buffered" => Ok(Self(ResponseMode::Buffered)),
            "streamed" => Ok(Self(ResponseMode::Streamed)),
            _ => Err(Wrong("it is buffered or streamed")),
        }
    }
}

impl FromStr for StoreKind {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "local" => Ok(Self::Local),
            "memory" => Ok(Self::Memory),
            "dynamodb" => Ok(Self::Dynamodb),
            _ => Err(Wrong("a store is local, memory or dynamodb")),
        }
    }
}

impl FromStr for AccessIdType {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text {
            "access_key" => Ok(Self::AccessKey),
            "aws_iam" => Ok(Self::AwsIam),
            _ => Err(Wrong("the administrator logs in by access_key or aws_iam")),
        }
    }
}

impl FromStr for Texts {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let texts: Vec<String> = text.split(',').map(|text| text.trim().to_owned()).collect();
        let empty = texts.iter().any(String::is_empty);
        if empty { Err(Wrong("it is a text, or several with commas between them")) } else { Ok(Self(texts)) }
    }
}

impl FromStr for Json {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        Ok(Self(SecretValue::from(text)))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = serde_json::Value::deserialize(deserializer)?;
        let text = match &value {
            serde_json::Value::String(text) => SecretValue::from(text.as_str()),
            other => SecretValue::new(other.to_string()),
        };
        gateward_seal::wipe(&mut value);
        Ok(Self(text))
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

/// A value that can be read from text.
trait Setting: FromStr<Err = Wrong> {
    /// Whether the file may have a table for it, which is as good as a list of `name=value`.
    const IS_TABLE: bool = false;
}

impl Setting for LimitChanges {
    const IS_TABLE: bool = true;
}

impl Setting for LeaseLimits {
    const IS_TABLE: bool = true;
}

macro_rules! settings {
    ($($value:ty)*) => {$(
        impl Setting for $value {}
    )*};
}

settings!(Addresses TrafficAddresses DnsServers Paths ProducerPlaces AccessLog StoreKind AccessIdType Texts Threads LambdaAnswers DrainSeconds LogFilter);

macro_rules! read_from_the_file {
    ($($value:ty)*) => {$(
        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Written(PhantomData))
            }
        }
    )*};
}

read_from_the_file!(
    Addresses TrafficAddresses DnsServers Paths ProducerPlaces AccessLog LimitChanges LeaseLimits StoreKind AccessIdType Texts Threads LambdaAnswers DrainSeconds LogFilter
);

/// A value as the file has it: text, a whole number, or a list of texts, which is as good as one with commas.
struct Written<T>(PhantomData<T>);

impl<'de, T: Setting> Visitor<'de> for Written<T> {
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

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        if !T::IS_TABLE {
            return Err(de::Error::invalid_type(de::Unexpected::Map, &self));
        }
        let mut texts = Vec::<String>::new();
        while let Some((name, value)) = map.next_entry::<String, Scalar>()? {
            texts.push(format!("{name}={}", value.0));
        }
        self.visit_str(&texts.join(","))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut texts = Vec::<String>::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        self.visit_str(&texts.join(","))
    }
}

/// A value of a table.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            serde_json::Value::Number(number) => Ok(Self(number.to_string())),
            serde_json::Value::Null => Ok(Self("none".to_owned())),
            _ => Err(de::Error::custom("a value in this table is a number, or none")),
        }
    }
}

/// One of the two would count, and nobody could tell which.
pub(super) const TWICE: Wrong = Wrong("a name stands there twice; keep one");

const DNS_PORT: u16 = 53;
