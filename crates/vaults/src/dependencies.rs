//! Vaults whose settings refer to other vaults: which refer to which, and that none comes back to itself.

use std::collections::{BTreeMap, BTreeSet};

use gateward_model::{Invalid, Vault};
use serde_json::Value;

use crate::backend;
use crate::template::Template;

/// Which vaults each vault's settings refer to.
pub(crate) type Dependencies = BTreeMap<String, BTreeSet<String>>;

/// Refuses, with its prefix, a vault that refers to one that does not exist, and one that comes back to itself.
pub(crate) fn check(vaults: &[Vault]) -> Result<(), (String, Invalid)> {
    let of = dependencies(vaults);
    for vault in vaults {
        let wrong = |invalid: Invalid| (vault.prefix.clone(), invalid.within("config"));
        for (field, setting) in &vault.config {
            for named in named_in(setting).map_err(|problem| wrong(Invalid::new(field, problem)))? {
                if !of.contains_key(&named) && backend::kind(&named).is_none() {
                    let problem = format!("there is no vault {named:?}; make it first");
                    return Err(wrong(Invalid::new(field, problem)));
                }
            }
        }
        if let Some(circle) = circle(&vault.prefix, &of) {
            return Err((vault.prefix.clone(), circle));
        }
    }
    Ok(())
}

/// Which vaults the settings of each of `vaults` refer to, as far as the references in them can be read.
pub(crate) fn dependencies(vaults: &[Vault]) -> Dependencies {
    let named =
        |vault: &Vault| vault.config.values().flat_map(|value| named_in(value).unwrap_or_default()).collect();
    vaults.iter().map(|vault| (vault.prefix.clone(), named(vault))).collect()
}

/// What is wrong with `vault` if it needs itself before it can be opened.
pub(crate) fn circle(vault: &str, of: &Dependencies) -> Option<Invalid> {
    let mut trail = vec![vault.to_owned()];
    comes_back(vault, of, &mut trail, &mut BTreeSet::new()).then(|| {
        let problem = format!(
            "the vault needs itself before it can be opened: {}; keep one of these secrets elsewhere",
            trail.join(" refers to ")
        );
        Invalid::new("config", problem)
    })
}

/// Whether a way from the end of `trail` leads back to `start`; the trail is that way then.
fn comes_back(start: &str, of: &Dependencies, trail: &mut Vec<String>, seen: &mut BTreeSet<String>) -> bool {
    let Some(next) = trail.last().and_then(|last| of.get(last)) else { return false };
    for vault in next {
        trail.push(vault.clone());
        if vault == start || (seen.insert(vault.clone()) && comes_back(start, of, trail, seen)) {
            return true;
        }
        trail.pop();
    }
    false
}

/// The vaults that references in `setting` name.
fn named_in(setting: &Value) -> Result<Vec<String>, String> {
    let Value::String(text) = setting else { return Ok(Vec::new()) };
    let template = Template::parse(text).map_err(|error| error.problem().to_owned())?;
    let references = template.iter().flat_map(Template::references);
    Ok(references.map(|reference| reference.vault().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vault(prefix: &str, token: &str) -> Vault {
        serde_json::from_value(json!({
            "id": "1", "prefix": prefix, "name": "hcv", "config": {"token": token}, "created_at": 1, "updated_at": 1,
        }))
        .unwrap()
    }

    #[test]
    fn a_vault_may_refer_to_another_but_not_to_itself_by_any_way() {
        let good = [vault("one", "{vault://two/token}"), vault("two", "{vault://env/a}{vault://env/b}")];
        assert_eq!(check(&good), Ok(()));
        for (vaults, culprit, way) in [
            (vec![vault("one", "x {vault://one/token}")], "one", "one refers to one;"),
            (
                vec![
                    vault("aa", "{vault://one/token}"),
                    vault("one", "{vault://two/t}"),
                    vault("two", "{vault://one/t}"),
                ],
                "one",
                "one refers to two refers to one;",
            ),
        ] {
            let (prefix, invalid) = check(&vaults).unwrap_err();
            assert!(prefix == culprit && invalid.problem.contains(way), "{prefix}: {invalid}");
        }
    }

    #[test]
    fn a_vault_that_does_not_exist_and_a_reference_that_cannot_be_read_are_refused() {
        let (_, invalid) = check(&[vault("one", "{vault://two/token}")]).unwrap_err();
        assert_eq!(
            invalid.to_string(),
            "property \"config.token\": there is no vault \"two\"; make it first"
        );
        let (_, invalid) = check(&[vault("one", "{vault://env}")]).unwrap_err();
        assert!(invalid.to_string().contains("names no secret"), "{invalid}");
    }
}
