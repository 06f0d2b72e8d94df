//! Credentials from the shared profile files.
//!
//! A profile is a section of one or two files: `~/.aws/credentials` and `~/.aws/config`. It holds keys, or says of which
//! role, assumed with which other profile or source, the credentials are. Keys are read again every few seconds while
//! they are in use, so that what is written into the file counts without a restart.

mod ini;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;

use super::Credentials;
use super::ask;
use super::file;
use super::role::{StsAccess, check_arn};
use super::source::{Loaded, Missing, Source};
use super::variables::Variables;
use super::web_identity::{SESSION_NAME, exchange};
use crate::sts::RoleRequest;
use ini::Section;

/// The property called `name` of the first of `headings` that `text`, which is a file's, has.
pub(crate) fn property(text: &str, headings: &[String], name: &str) -> Option<SecretValue> {
    ini::section(text, headings)?.get(name).map(SecretValue::from)
}

/// The two files, and which profile of them is ours.
pub(super) struct Profiles {
    variables: Variables,
}

/// One profile, from both files.
struct Profile {
    name: String,
    credentials: Section,
    config: Section,
}

impl Profiles {
    pub(super) fn new(variables: Variables) -> Arc<Self> {
        Arc::new(Self { variables })
    }

    /// A property of our profile; `None` also where the files cannot be read.
    pub(super) fn property(&self, name: &str) -> Option<String> {
        self.find(self.ours()).ok()?.get(name).map(str::to_owned)
    }

    /// Why our profile has no properties, where that is a mistake of whoever has named it.
    pub(super) fn trouble(&self) -> Option<String> {
        match self.find(self.ours()) {
            Err(Missing::Failed(why)) => Some(why),
            Ok(_) | Err(Missing::NotSet(_)) => None,
        }
    }

    /// Whether our profile sets a property that forbids something.
    pub(super) fn forbids(&self, name: &str) -> bool {
        self.property(name).is_some_and(|value| !value.eq_ignore_ascii_case("false"))
    }

    fn ours(&self) -> &str {
        self.variables.get("AWS_PROFILE").unwrap_or(DEFAULT)
    }

    /// The profile called `name`.
    fn find(&self, name: &str) -> Result<Profile, Missing> {
        let credentials = self.text("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")?;
        let config = self.text("AWS_CONFIG_FILE", "~/.aws/config")?;
        let mut headings = vec![format!("profile {name}")];
        if name == DEFAULT {
            headings.push(name.to_owned());
        }
        let in_credentials =
            credentials.as_ref().and_then(|text| ini::section(text.expose(), &[name.to_owned()]));
        let in_config = config.as_ref().and_then(|text| ini::section(text.expose(), &headings));
        if in_credentials.is_none() && in_config.is_none() {
            // That there is no default profile is usual; that one lacks which somebody has named is a mistake.
            let why = format!("there is no profile {name:?}");
            let is_named = name != DEFAULT || self.variables.get("AWS_PROFILE").is_some();
            return Err(if is_named { Missing::Failed(why) } else { Missing::NotSet(why) });
        }
        Ok(Profile {
            name: name.to_owned(),
            credentials: in_credentials.unwrap_or_default(),
            config: in_config.unwrap_or_default(),
        })
    }

    /// The text of the file that `variable` names, or of the usual one, which need not be there.
    fn text(&self, variable: &str, usual: &str) -> Result<Option<SecretValue>, Missing> {
        let named = self.variables.get(variable);
        if named.is_none() && self.variables.get("HOME").is_none() {
            return Ok(None);
        }
        let path: PathBuf = self.variables.path(named.unwrap_or(usual));
        match file::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => Ok(None),
            Err(error) => {
                let what = if named.is_some() { variable } else { usual };
                Err(Missing::failed(format!("{what} cannot be read: {error}")))
            }
        }
    }
}

impl Profile {
    fn get(&self, name: &str) -> Option<&str> {
        self.credentials.get(name).or_else(|| self.config.get(name))
    }

    /// The keys that stand in it. All are of one file: the token of one beside the keys of the other would spoil both.
    fn keys(&self) -> Result<Option<Credentials>, Missing> {
        let names = ["aws_access_key_id", "aws_secret_access_key"];
        let has_keys = |section: &Section| names.iter().any(|name| section.get(name).is_some());
        let section = if has_keys(&self.credentials) { &self.credentials } else { &self.config };
        let [key, secret] = names.map(|name| section.get(name));
        match (key, secret) {
            (Some(key), Some(secret)) => Ok(Some(Credentials {
                access_key: key.to_owned(),
                secret_key: secret.into(),
                session_token: section.get("aws_session_token").map(Into::into),
            })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.fails("aws_access_key_id and no aws_secret_access_key")),
            (None, Some(_)) => Err(self.fails("aws_secret_access_key and no aws_access_key_id")),
        }
    }

    /// Refuses what we do not do, where the profile has no other way to credentials.
    fn refuse_other_ways(&self) -> Result<(), Missing> {
        let Some(way) = UNSUPPORTED.iter().find(|name| self.get(name).is_some()) else {
            return Ok(());
        };
        Err(self.fails(&format!(
            "{way}, which is not supported (neither IAM Identity Center nor processes are); set keys, a role_arn, or \
             another AWS_PROFILE"
        )))
    }

    fn fails(&self, what: &str) -> Missing {
        Missing::failed(format!("the profile {:?} has {what}", self.name))
    }
}

/// Credentials of our profile.
pub(super) struct SharedFiles {
    profiles: Arc<Profiles>,
    sts: Arc<StsAccess>,
    /// The sources that a profile can name in `credential_source`.
    named: BTreeMap<&'static str, Arc<dyn Source>>,
    last: Mutex<Last>,
}

/// What there was when the files were last looked at.
#[derive(Clone, Copy)]
enum Last {
    Absent,
    Present,
    GoneSince(Timestamp),
}

impl SharedFiles {
    pub(super) fn new(
        profiles: Arc<Profiles>,
        sts: Arc<StsAccess>,
        named: BTreeMap<&'static str, Arc<dyn Source>>,
    ) -> Self {
        Self { profiles, sts, named, last: Mutex::new(Last::Absent) }
    }

    /// The credentials of the profile called `name`; `asking` are those that want them in order to assume a role.
    async fn of_profile(&self, name: &str, asking: &[String], now: Timestamp) -> Result<Loaded, Missing> {
        let profile = self.profiles.find(name)?;
        let names_itself = asking.last().is_some_and(|last| last == name);
        if let Some(arn) = profile.get("role_arn")
            && !names_itself
        {
            if asking.len() >= LONGEST_CHAIN || asking.iter().any(|known| known == name) {
                return Err(profile.fails("a role whose source_profile leads back to it, or too far"));
            }
            return self.of_role(&profile, arn, asking, now).await;
        }
        match profile.keys()? {
            Some(credentials) => Ok(Loaded { credentials, expires: None, look_again: Some(LOOK_AGAIN) }),
            None => {
                profile.refuse_other_ways()?;
                let why = format!("the profile {name:?} has no keys and no role_arn");
                Err(if asking.is_empty() { Missing::NotSet(why) } else { Missing::Failed(why) })
            }
        }
    }

    async fn of_role(
        &self,
        profile: &Profile,
        arn: &str,
        asking: &[String],
        now: Timestamp,
    ) -> Result<Loaded, Missing> {
        check_arn(arn).map_err(|invalid| profile.fails(&format!("a role_arn that {}", invalid.problem)))?;
        if profile.get("mfa_serial").is_some() {
            return Err(
                profile.fails("mfa_serial, and nobody here can type a code; use a role that wants none")
            );
        }
        let external_id = profile.get("external_id").map(SecretValue::from);
        let duration = profile.get("duration_seconds").map(|seconds| {
            let seconds =
                seconds.parse().map_err(|_| profile.fails("a duration_seconds that is no number"))?;
            Ok(Duration::from_secs(seconds))
        });
        let role = RoleRequest {
            arn,
            session_name: profile.get("role_session_name").unwrap_or(SESSION_NAME),
            external_id: external_id.as_ref(),
            duration: duration.transpose()?,
            tags: &[],
        };
        if let Some(path) = profile.get("web_identity_token_file") {
            return exchange(&self.sts, role, &self.profiles.variables.path(path), now).await;
        }
        let base = match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(_), Some(_)) => {
                return Err(profile.fails("both source_profile and credential_source; drop one"));
            }
            (Some(source), None) => {
                let asking = [asking, std::slice::from_ref(&profile.name)].concat();
                Box::pin(self.of_profile(source, &asking, now)).await?
            }
            (None, Some(source)) => match self.named.get(source) {
                Some(source) => source.load(now).await.map_err(|missing| match missing {
                    Missing::NotSet(why) | Missing::Failed(why) => Missing::Failed(why),
                })?,
                None => {
                    let names: Vec<&str> = self.named.keys().copied().collect();
                    let names = names.join(", ");
                    return Err(profile.fails(&format!("a credential_source that is none of {names}")));
                }
            },
            (None, None) => {
                let what =
                    "role_arn, and neither source_profile, credential_source nor web_identity_token_file";
                return Err(profile.fails(what));
            }
        };
        let sts = self.sts.open(None, profile.get("region"))?;
        let session = sts.assume_role(&base.credentials, role, now).await;
        let session = session.map_err(|error| Missing::failed(ask::why(&error)))?;
        Ok(Loaded { credentials: session.credentials, expires: Some(session.expires), look_again: None })
    }

    /// A profile that was there a moment ago is being written, and is no reason to act in another name.
    fn settled(&self, loaded: Result<Loaded, Missing>, now: Timestamp) -> Result<Loaded, Missing> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (loaded, seen) = match (loaded, *last) {
            (Ok(loaded), _) => (Ok(loaded), Last::Present),
            (Err(Missing::NotSet(why)), Last::Present) => (Err(Missing::Failed(why)), Last::GoneSince(now)),
            (Err(Missing::NotSet(why)), Last::GoneSince(since)) if now < since + GONE_AFTER => {
                (Err(Missing::Failed(why)), *last)
            }
            (Err(Missing::NotSet(why)), _) => (Err(Missing::NotSet(why)), Last::Absent),
            (Err(failed), last) => (Err(failed), last),
        };
        *last = seen;
        loaded
    }
}

#[async_trait]
impl Source for SharedFiles {
    fn name(&self) -> &str {
        "profile files"
    }

    async fn load(&self, now: Timestamp) -> Result<Loaded, Missing> {
        let loaded = self.of_profile(self.profiles.ours(), &[], now).await;
        self.settled(loaded, now)
    }
}

const DEFAULT: &str = "default";

/// How many profiles may be asked for one another's sake.
const LONGEST_CHAIN: usize = 8;

/// How soon a changed file counts.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// For how long a profile must be gone until the next source is asked.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// Ways to credentials that need a browser or another program.
const UNSUPPORTED: [&str; 6] = [
    "credential_process",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
    "sso_role_name",
    "login_session",
];
