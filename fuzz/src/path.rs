//! Normal forms of paths: whatever is taken has one, which is its own normal form, and every part of it has a place in
//! what was written. Paths of requests begin with a slash.

use gateward_vars::RoutePath;

pub(crate) fn run(input: &[u8]) {
    let Ok(raw) = std::str::from_utf8(input) else { return };
    if !raw.starts_with('/') {
        return;
    }
    let Ok(path) = RoutePath::new(raw) else { return };
    let normal = path.normal();
    assert!(!normal.windows(2).any(|pair| pair == b"//"), "slashes are merged");
    assert!(normal.split(|byte| *byte == b'/').all(|segment| segment != b"." && segment != b".."));
    if let Ok(text) = std::str::from_utf8(normal) {
        let again = RoutePath::new(text).expect("a normal form is a path");
        assert_eq!(again.normal(), normal, "a normal form is its own");
    }
    let mut last = 0;
    for taken in 0..=normal.len() {
        let at = path.raw_after(taken);
        assert!(last <= at && at <= raw.len(), "places only grow");
        last = at;
    }
    assert_eq!(path.raw_after(normal.len()), raw.len());
}
