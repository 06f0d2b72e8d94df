//! Whom we trust when a node is called over TLS, and who we say that we are.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::holds_reference;
use crate::Invalid;
use crate::apisix::ResourceId;

/// Whom we trust when a node is called over TLS, and who we say that we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Whether a node must show a certificate that we trust.
    pub verify: bool,
    /// Certificates (PEM) to trust in place of the usual ones.
    pub ca: Option<String>,
    /// The certificate that we show.
    pub client: Option<ClientCertificate>,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self { verify: true, ca: None, client: None }
    }
}

/// A certificate that we show to nodes.
#[derive(Clone, PartialEq, Eq)]
pub enum ClientCertificate {
    /// One that stands in the upstream itself.
    Own {
        /// The chain (PEM).
        certificate: String,
        /// Its key (PEM), or a reference to it.
        key: String,
    },
    /// An `ssl` resource of type `client`.
    Id(ResourceId),
}

/// Names no key.
impl fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own { .. } => formatter.write_str("Own(***)"),
            Self::Id(id) => formatter.debug_tuple("Id").field(id).finish(),
        }
    }
}

impl UpstreamTls {
    /// Whether any of it is a reference, and so not known yet.
    pub fn holds_reference(&self) -> bool {
        let client = match &self.client {
            Some(ClientCertificate::Own { certificate, key }) => {
                holds_reference(certificate) || holds_reference(key)
            }
            Some(ClientCertificate::Id(_)) | None => false,
        };
        client || self.ca.as_deref().is_some_and(holds_reference)
    }

    pub(super) fn check(fields: Fields) -> Result<Self, Invalid> {
        let client = match (fields.client_cert_id, fields.client_cert, fields.client_key) {
            (None, None, None) => None,
            (Some(id), None, None) => Some(ClientCertificate::Id(certificate_id(&id)?)),
            (None, Some(certificate), Some(key)) => Some(ClientCertificate::Own {
                certificate: text("client_cert", certificate)?,
                key: text("client_key", key)?,
            }),
            (None, Some(_), None) => {
                return Err(Invalid::new("tls.client_key", "is required where client_cert is given"));
            }
            (None, None, Some(_)) => {
                return Err(Invalid::new("tls.client_cert", "is required where client_key is given"));
            }
            (Some(_), ..) => {
                return Err(Invalid::new(
                    "tls.client_cert_id",
                    "give either client_cert_id, or client_cert and client_key",
                ));
            }
        };
        let ca = fields.ca.map(|ca| text("ca", ca)).transpose()?;
        let verify = fields.verify.unwrap_or(true);
        if ca.is_some() && !verify {
            return Err(Invalid::new("tls.ca", "means nothing where verify is false; drop one of the two"));
        }
        Ok(Self { verify, ca, client })
    }
}

fn text(field: &str, text: String) -> Result<String, Invalid> {
    if text.is_empty() || text.len() > LONGEST_PEM {
        return Err(Invalid::new(field, "is PEM text of at most 64 KiB, or a reference to one").within("tls"));
    }
    Ok(text)
}

fn certificate_id(json: &Value) -> Result<ResourceId, Invalid> {
    let text = match json {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => {
            number.as_u64().filter(|number| *number > 0).map(|number| number.to_string())
        }
        _ => None,
    };
    text.and_then(|text| ResourceId::parse(&text).ok())
        .ok_or_else(|| Invalid::new("tls.client_cert_id", "is the id of an ssl resource of type client"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    verify: Option<bool>,
    ca: Option<String>,
    client_cert: Option<String>,
    client_key: Option<String>,
    client_cert_id: Option<Value>,
}

const LONGEST_PEM: usize = 64 * 1024;
