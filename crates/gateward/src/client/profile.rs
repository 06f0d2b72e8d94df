//! Profiles: what `configure` keeps of who logs in, a file each, readable by its owner alone.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use gateward_access::AccessId;
use gateward_seal::{SecretValue, wipe};
use serde::Deserialize;
use serde_json::{Value, json};

use super::credentials::{Login, Proof};
use crate::arguments::Configure;
use crate::surroundings::Surroundings;

/// Why a profile cannot be kept or used. Never says what is in it.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not a name that a file could have.
    #[error(
        "the profile {0:?}: a profile's name is 1 to 64 letters, digits, ., - or _, and begins with none of the last three"
    )]
    Name(String),
    /// No home.
    #[error("profiles are kept in the home directory, and HOME is not set")]
    NoHome,
    /// There is none.
    #[error(
        "there is no profile {0:?}; `gateward configure --profile {0} --access-id … --access-key …` makes it"
    )]
    Missing(String),
    /// It cannot be read or written.
    #[error("the profile {} cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error("the profile {} can be read by others than its owner (mode {mode:04o}); remove it, and configure it again", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("the profile {} is not what `gateward configure` wrote; configure it again", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    access_id: AccessId,
    access_type: String,
    #[serde(default)]
    access_key: Option<SecretValue>,
}

/// Keeps what was said, in place of what the profile was before. The answer is what to print.
pub fn configure(said: &Configure, surroundings: &Surroundings) -> Result<String, ProfileError> {
    let path = path(&said.profile, surroundings)?;
    let failed = |source| ProfileError::File { path: path.clone(), source };
    let is_aws = said.access_type == "aws_iam";
    let mut json = json!({
        "access_id": said.access_id.as_str(),
        "access_type": if is_aws { "aws_iam" } else { "access_key" },
    });
    if let Some(key) = said.access_key.get().filter(|_| !is_aws) {
        json["access_key"] = key.expose().into();
    }
    let text = SecretValue::new(format!("{json:#}\n"));
    wipe(&mut json);
    write(&path, &text).map_err(failed)?;
    Ok(format!("The profile {} was configured.", said.profile))
}

/// What the profile called `name` logs in with; none if there is no such profile.
pub(super) fn read(name: &str, surroundings: &Surroundings) -> Result<Option<Login>, ProfileError> {
    let path = path(name, surroundings)?;
    let failed = |source| ProfileError::File { path: path.clone(), source };
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(ProfileError::Exposed { path, mode });
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(failed)?;
    let content = || ProfileError::Content { path: path.clone() };
    let mut json: Value = serde_json::from_slice(&text).map_err(|_| content())?;
    let kept = Kept::deserialize(&json);
    wipe(&mut json);
    let Kept { access_id, access_type, access_key } = kept.map_err(|_| content())?;
    let proof = match (access_type.as_str(), access_key) {
        ("aws_iam", None) => Proof::AwsIam,
        ("access_key", Some(key)) => Proof::AccessKey(key),
        _ => return Err(content()),
    };
    Ok(Some(Login { access_id: access_id.to_string(), proof }))
}

fn path(name: &str, surroundings: &Surroundings) -> Result<PathBuf, ProfileError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_name = (1..=64).contains(&name.len())
        && name.bytes().all(allowed)
        && name.as_bytes()[0].is_ascii_alphanumeric();
    if !is_name {
        return Err(ProfileError::Name(name.to_owned()));
    }
    let home = surroundings.variable("HOME").ok_or(ProfileError::NoHome)?;
    Ok(Path::new(home).join(".gateward/profiles").join(format!("{name}.json")))
}

/// Whole or not at all, and never readable by others in between.
fn write(path: &Path, text: &SecretValue) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let _ = std::fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(text.expose().as_bytes()).and_then(|()| file.sync_all());
    let renamed = written.and_then(|()| std::fs::rename(&draft, path));
    if renamed.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    renamed
}
