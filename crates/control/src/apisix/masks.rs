//! Secrets in a route's plugins can be written and not read.
//!
//! Where one stands, whoever reads sees `***`; and who sends `***` back there keeps what stands. A reference is no
//! secret, and is shown.

use serde_json::Value;

use super::Problem;

/// Hides the secrets in a resource that goes out.
pub(super) fn hide(json: &mut Value) {
    each_secret(json, |secret| {
        if !secret.as_str().is_some_and(is_reference) {
            *secret = Value::from(MASK);
        }
    });
}

/// Puts back what `***` stands for in a resource that comes in.
pub(super) fn restore(json: &mut Value, before: Option<&Value>) -> Result<(), Problem> {
    let mut standing = Vec::new();
    let mut masked = Vec::new();
    each_secret_path(json, |path, secret| {
        if secret.as_str() == Some(MASK) {
            standing.push(before.and_then(|before| before.pointer(path)).cloned());
            masked.push(path.to_owned());
        }
    });
    for (path, standing) in masked.iter().zip(standing) {
        let Some(standing) = standing else {
            let field = path.trim_start_matches('/').replace('/', ".");
            return Err(Problem::bad(format!(
                "property \"{field}\": {MASK} hides a secret; send the secret"
            )));
        };
        if let Some(secret) = json.pointer_mut(path) {
            *secret = standing;
        }
    }
    Ok(())
}

fn each_secret(json: &mut Value, mut visit: impl FnMut(&mut Value)) {
    let mut paths = Vec::new();
    each_secret_path(json, |path, _| paths.push(path.to_owned()));
    for path in paths {
        if let Some(secret) = json.pointer_mut(&path) {
            visit(secret);
        }
    }
}

fn each_secret_path(json: &Value, mut visit: impl FnMut(&str, &Value)) {
    let Some(plugins) = json.get("plugins").and_then(Value::as_object) else { return };
    for (name, configuration) in plugins {
        let Some(kind) = gateward_plugins::kind(name) else { continue };
        for pointer in kind.secrets {
            if let Some(secret) = configuration.pointer(pointer) {
                visit(&format!("/plugins/{name}{pointer}"), secret);
            }
        }
    }
}

fn is_reference(text: &str) -> bool {
    text.starts_with("{vault://") && text.ends_with('}')
}

const MASK: &str = "***";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(apikey: &str) -> Value {
        json!({"uri": "/a", "plugins": {"aws-lambda": {"authorization": {"apikey": apikey}}}})
    }

    #[test]
    fn a_secret_is_hidden_and_a_reference_is_not() {
        let mut secret = route("canary");
        hide(&mut secret);
        assert_eq!(secret, route(MASK));
        let mut reference = route("{vault://aws/a}");
        hide(&mut reference);
        assert_eq!(reference, route("{vault://aws/a}"));
    }

    #[test]
    fn what_was_read_can_be_written_back_without_losing_the_secret() {
        let mut read = route(MASK);
        assert!(restore(&mut read, Some(&route("canary"))).is_ok());
        assert_eq!(read, route("canary"));
        assert!(restore(&mut route(MASK), None).is_err());
        assert!(restore(&mut route(MASK), Some(&json!({"uri": "/a"}))).is_err());
    }
}
