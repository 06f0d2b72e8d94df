//! Files of resources: whatever stands there, it is taken or refused with at least one error, and the same is said when
//! it is read again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use gateward_proxy::declarative::Files;

static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("gateward-fuzz-{}.yaml", std::process::id())));

pub(crate) fn run(input: &[u8]) {
    std::fs::write(&*FILE, input).expect("the temporary directory can be written to");
    let environment = Arc::new(BTreeMap::from([("NAME".to_owned(), "value".to_owned())]));
    let read = || Files::new(vec![FILE.clone()], Arc::clone(&environment)).read();
    match (read(), read()) {
        (Err(refused), Err(again)) => {
            assert!(!refused.errors().is_empty());
            assert_eq!(refused.to_string(), again.to_string());
        }
        (Ok(declared), Ok(again)) => assert!(declared == again),
        _ => panic!("what is taken once is taken twice"),
    }
}
