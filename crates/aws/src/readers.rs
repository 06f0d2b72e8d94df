//! What AWS's files and answers are read with, for whoever tries these readers with input of their own making.

use bytes::Bytes;
use gateward_seal::SecretValue;
use http::StatusCode;

use crate::credentials::profile_property;
use crate::sts::{self, Answer, Identity, Session, StsError};

/// The property called `name` of the first of `headings` that the profile file `text` has.
pub fn property(text: &str, headings: &[String], name: &str) -> Option<SecretValue> {
    profile_property(text, headings, name)
}

/// What an STS answer of status 200 with this body says of a session.
pub fn session(body: &[u8]) -> Result<Session, StsError> {
    sts::answer::session(&Answer(Bytes::copy_from_slice(body)))
}

/// What an STS answer of status 200 with this body says of an identity.
pub fn identity(body: &[u8]) -> Result<Identity, StsError> {
    sts::answer::identity(&Answer(Bytes::copy_from_slice(body)))
}

/// What an STS answer of another status says.
pub fn refusal(status: StatusCode, body: &[u8]) -> StsError {
    sts::answer::refusal(status, body)
}
