//! Roles that are assumed with other credentials.

use std::sync::Arc;

use async_trait::async_trait;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_net::Client;
use gateward_seal::SecretValue;

use super::ask;
use super::files::Profiles;
use super::provider::Provider;
use super::source::{Loaded, Missing, Source};
use super::variables::Variables;
use crate::sts::{RoleRequest, Sts, StsPlace};
use crate::{check_endpoint, check_region};

/// A role, and how it is assumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its ARN, such as `arn:aws:iam::123456789012:role/gateway`.
    pub arn: String,
    /// What its sessions are called in CloudTrail.
    pub session_name: String,
    /// What the role's owner wants to hear, where the role is another company's.
    pub external_id: Option<SecretValue>,
    /// The URL of STS, in place of AWS's own.
    pub sts_endpoint: Option<String>,
    /// The region whose STS is asked; without one, the machine's.
    pub region: Option<String>,
}

impl Role {
    /// Checks what AWS would refuse. The fields of an error are this struct's.
    pub fn check(&self) -> Result<(), Invalid> {
        check_arn(&self.arn)?;
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if !(2..=64).contains(&self.session_name.len()) || !self.session_name.bytes().all(in_name) {
            let problem = "must be 2 to 64 letters, digits and _ + = , . @ -";
            return Err(Invalid::new("session_name", problem));
        }
        let in_id = |byte: u8| in_name(byte) || b":/".contains(&byte);
        let id = self.external_id.as_ref().map(SecretValue::expose);
        if id.is_some_and(|id| !(2..=1224).contains(&id.len()) || !id.bytes().all(in_id)) {
            let problem = "must be 2 to 1224 letters, digits and _ + = , . @ : / -";
            return Err(Invalid::new("external_id", problem));
        }
        if let Some(url) = &self.sts_endpoint {
            check_endpoint(url).map_err(|invalid| Invalid::new("sts_endpoint", invalid.problem))?;
        }
        self.region.as_deref().map_or(Ok(()), check_region)
    }
}

/// Checks that `arn` names a role.
pub(super) fn check_arn(arn: &str) -> Result<(), Invalid> {
    let mut parts = arn.splitn(6, ':');
    let is_role = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("iam")
        && parts.next() == Some("")
        && parts.next().is_some_and(|account| !account.is_empty())
        && parts.next().is_some_and(|name| name.starts_with("role/") && name.len() > "role/".len());
    if is_role && arn.len() <= 2048 {
        return Ok(());
    }
    Err(Invalid::new("arn", "must be a role's, such as arn:aws:iam::123456789012:role/NAME"))
}

/// How this process reaches STS.
pub(super) struct StsAccess {
    pub(super) client: Client,
    pub(super) variables: Variables,
    pub(super) profiles: Arc<Profiles>,
}

impl StsAccess {
    /// STS at `endpoint` or in `region`, where either is given, else where the environment and the profile say.
    pub(super) fn open(&self, endpoint: Option<&str>, region: Option<&str>) -> Result<Sts, Missing> {
        let set = |variable: &str, property: &str| {
            let from_variable = self.variables.get(variable).map(str::to_owned);
            from_variable.or_else(|| self.profiles.property(property))
        };
        let place = StsPlace {
            region: region.map(str::to_owned).or_else(|| self.region()),
            endpoint_url: endpoint
                .or_else(|| self.variables.get("AWS_ENDPOINT_URL_STS"))
                .or_else(|| self.variables.get("AWS_ENDPOINT_URL"))
                .map(str::to_owned),
            legacy: match set("AWS_STS_REGIONAL_ENDPOINTS", "sts_regional_endpoints").as_deref() {
                None => false,
                Some(value) if value.eq_ignore_ascii_case("regional") => false,
                Some(value) if value.eq_ignore_ascii_case("legacy") => true,
                Some(_) => {
                    return Err(Missing::failed("AWS_STS_REGIONAL_ENDPOINTS must be regional or legacy"));
                }
            },
        };
        Sts::new(self.client.clone(), &place).map_err(|invalid| Missing::failed(format!("STS: {invalid}")))
    }

    /// The region that this machine is set to.
    pub(super) fn region(&self) -> Option<String> {
        let variable = self.variables.get("AWS_REGION").or_else(|| self.variables.get("AWS_DEFAULT_REGION"));
        variable.map(str::to_owned).or_else(|| self.profiles.property("region"))
    }
}

/// A role that is assumed with what `base` has.
pub(super) struct AssumedRole {
    name: String,
    base: Arc<Provider>,
    role: Role,
    /// Absent in a process that calls nobody.
    sts: Option<Arc<StsAccess>>,
}

impl AssumedRole {
    pub(super) fn new(base: Arc<Provider>, role: Role, sts: Option<Arc<StsAccess>>) -> Self {
        Self { name: format!("the role {}", role.arn), base, role, sts }
    }
}

#[async_trait]
impl Source for AssumedRole {
    fn name(&self) -> &str {
        &self.name
    }

    async fn load(&self, now: Timestamp) -> Result<Loaded, Missing> {
        let Role { arn, session_name, external_id, sts_endpoint, region } = &self.role;
        self.role.check().map_err(|invalid| Missing::failed(invalid.to_string()))?;
        let base = self.base.get().await;
        let base = base.map_err(|error| Missing::failed(format!("what assumes it is missing: {error}")))?;
        let Some(sts) = &self.sts else {
            return Err(Missing::failed("this process does not call STS"));
        };
        let sts = sts.open(sts_endpoint.as_deref(), region.as_deref())?;
        let request =
            RoleRequest { arn, session_name, external_id: external_id.as_ref(), duration: None, tags: &[] };
        let session = sts.assume_role(&base, request, now).await;
        let session = session.map_err(|error| Missing::failed(ask::why(&error)))?;
        Ok(Loaded { credentials: session.credentials, expires: Some(session.expires), look_again: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_aws_would_refuse_is_refused_with_the_field() {
        let role = Role {
            arn: "arn:aws:iam::123456789012:role/path/name".to_owned(),
            session_name: "gateward".to_owned(),
            external_id: Some("partner:1/2".into()),
            sts_endpoint: Some("https://vpce.example.com".to_owned()),
            region: Some("eu-west-1".to_owned()),
        };
        assert_eq!(role.check(), Ok(()));
        let china = Role { arn: "arn:aws-cn:iam::1:role/r".to_owned(), ..role.clone() };
        assert_eq!(china.check(), Ok(()));
        for (field, wrong) in [
            ("arn", Role { arn: "arn:aws:iam::1:user/u".to_owned(), ..role.clone() }),
            ("arn", Role { arn: "arn:aws:iam::1:role/".to_owned(), ..role.clone() }),
            ("arn", Role { arn: "r".to_owned(), ..role.clone() }),
            ("session_name", Role { session_name: "a b".to_owned(), ..role.clone() }),
            ("session_name", Role { session_name: "a".to_owned(), ..role.clone() }),
            ("external_id", Role { external_id: Some("canary canary".into()), ..role.clone() }),
            ("sts_endpoint", Role { sts_endpoint: Some("sts.example".to_owned()), ..role.clone() }),
            ("region", Role { region: Some("evil.example/".to_owned()), ..role.clone() }),
        ] {
            let invalid = wrong.check().unwrap_err();
            assert_eq!(invalid.field, field);
            assert!(!invalid.problem.contains("canary") && !format!("{wrong:?}").contains("canary"));
        }
    }
}
