//! Bodies of administrators: what is JSON is taken as JSON is, and no error repeats what was sent.

use serde_json::Value;

pub(crate) fn run(input: &[u8]) {
    let read = gateward_model::from_admin(input);
    if let Ok(json) = serde_json::from_slice::<Value>(input) {
        assert_eq!(read.as_ref(), Ok(&json));
    }
    if let Err(error) = read {
        let rest = error.problem.trim_start_matches("it is not JSON").trim_start_matches("it ends too early");
        assert!(rest.starts_with(" at line "), "{error}");
    }
}
