use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;

fn kept(access_id: &str) -> Kept {
    Kept {
        access_id: access_id.parse().unwrap(),
        access_key: "canary-key".into(),
        apisix_admin_key: "canary-apisix".into(),
    }
}

#[test]
fn it_is_written_for_its_owner_alone_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join(".gateward");
    let file = AdminFile::within(&folder);
    assert_eq!(file.read().unwrap(), None);
    assert_eq!(file.read_or_create(|| kept("p-1")).unwrap(), (kept("p-1"), true));
    assert_eq!(file.read_or_create(|| kept("p-2")).unwrap(), (kept("p-1"), false));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("admin.json")), 0o600);
    let names = fs::read_dir(&folder).unwrap().count();
    assert_eq!(names, 1, "a draft is left");
}

#[test]
fn whoever_comes_second_takes_what_the_first_made() {
    let directory = tempfile::tempdir().unwrap();
    let file = AdminFile::within(directory.path());
    let second = file.read_or_create(|| {
        file.read_or_create(|| kept("p-first")).unwrap();
        kept("p-second")
    });
    assert_eq!(second.unwrap(), (kept("p-first"), false));
}

#[test]
fn one_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = AdminFile::within(directory.path());
    file.read_or_create(|| kept("p-1")).unwrap();
    fs::set_permissions(directory.path().join("admin.json"), Permissions::from_mode(0o640)).unwrap();
    let error = file.read().unwrap_err();
    assert!(error.to_string().contains("mode 0640"), "{error}");
}

#[test]
fn what_is_wrong_in_it_is_told_without_what_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.json");
    for text in [
        "canary",
        "{\"access_id\": \"canary\", \"access_key\": \"canary\", \"apisix_admin_key\": \"a\"}",
        "{\"access_id\": \"p-1\"}",
        "{\"access_id\": \"p-1\", \"access_key\": [\"canary\"], \"apisix_admin_key\": \"a\"}",
    ] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let error = AdminFile::within(directory.path()).read().unwrap_err();
        assert!(error.to_string().contains("is not what `gateward dev` wrote"), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}
