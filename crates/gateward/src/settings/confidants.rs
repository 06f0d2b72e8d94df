//! Whom the deployment trusts, and with what: entries of allowed access, bounds of the administrator, customer fragments.

use gateward_access::{AllowedAccess, AwsBounds, NoEndpoint};
use gateward_seal::{Fragments, FragmentsError, SecretValue};

use super::values::{AccessIdType, Json, Texts};
use super::{Given, SettingsError};

/// Who else may do what. The administrator's login says whether somebody must.
pub(super) fn allowed(given: &Given) -> Result<Vec<AllowedAccess>, SettingsError> {
    let is_aws = given.admin_access_id_type == Some(AccessIdType::AwsIam);
    let bounds = [
        ("admin_bound_arns", given.admin_bound_arns.is_some()),
        ("admin_bound_aws_accounts", given.admin_bound_aws_accounts.is_some()),
    ];
    if let Some((key, _)) = bounds.into_iter().find(|(_, is_set)| *is_set && !is_aws) {
        return Err(SettingsError::BoundWithoutAwsIam(key));
    }
    if let Some(url) = &given.sts_endpoint_url {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        rest.filter(|rest| !rest.is_empty()).ok_or(SettingsError::StsEndpoint(NoEndpoint))?;
    }
    let printable = |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic());
    if given.aws_iam_server_id.as_ref().is_some_and(|id| !printable(id)) {
        return Err(SettingsError::ServerId);
    }
    let text = given.allowed_access_permissions.as_ref().map_or("", |Json(text)| text.expose());
    let allowed = AllowedAccess::parse_list(text).map_err(SettingsError::Allowed)?;
    if is_aws && allowed.is_empty() {
        return Err(SettingsError::NobodyAllowed);
    }
    Ok(allowed)
}

/// Who the administrator is to AWS.
pub(super) fn admin_bounds(given: &Given) -> AwsBounds {
    let texts = |given: &Option<Texts>| given.as_ref().map(|Texts(texts)| texts.clone()).unwrap_or_default();
    AwsBounds {
        arns: texts(&given.admin_bound_arns),
        accounts: texts(&given.admin_bound_aws_accounts),
        ..AwsBounds::default()
    }
}

/// The customer fragments.
pub(super) fn fragments(given: &Given) -> Result<Fragments, SettingsError> {
    let (place, text) = match (&given.customer_fragments, &given.customer_fragments_file) {
        (Some(_), Some(_)) => return Err(SettingsError::FragmentsTwice),
        (Some(Json(text)), None) => ("customer_fragments", text.clone()),
        (None, Some(path)) => {
            let read = std::fs::read_to_string(path).map(SecretValue::new);
            let failed = |source| SettingsError::FragmentsFile { path: path.clone(), source };
            ("customer_fragments_file", read.map_err(failed)?)
        }
        (None, None) => ("customer_fragments", SecretValue::default()),
    };
    let fragments =
        Fragments::parse(text.expose()).map_err(|error| SettingsError::Fragments(place, error))?;
    if let Some(id) = given.default_customer_fragment.as_ref().filter(|id| !fragments.contains(id)) {
        let error = FragmentsError::NoDefault(id.clone());
        return Err(SettingsError::Fragments("default_customer_fragment", error));
    }
    Ok(fragments)
}
