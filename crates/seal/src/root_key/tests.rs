//! A root key's file and its text.

use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;

use super::*;

#[test]
fn the_first_start_makes_a_key_and_the_next_one_finds_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data").join("root.key");
    let made = RootKey::from_file_or_create(&path).expect("a new key");
    assert_eq!(made.origin(), Origin::Generated);
    let found = RootKey::from_file_or_create(&path).expect("the same key");
    assert_eq!(found.origin(), Origin::File);
    assert_eq!(made.bytes(), found.bytes());
    assert_ne!(made.bytes(), &[0; 32]);
    let mode = std::fs::metadata(&path).expect("the file").mode() & 0o7777;
    assert_eq!(mode, 0o600);
    let names: Vec<_> = std::fs::read_dir(directory.path().join("data"))
        .expect("the directory")
        .map(|file| file.expect("a file").file_name())
        .collect();
    assert_eq!(names, ["root.key"], "a draft is left behind");
}

#[test]
fn a_file_that_others_can_read_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("root.key");
    RootKey::from_file_or_create(&path).expect("a new key");
    for mode in [0o640, 0o604, 0o644, 0o620] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a new mode");
        let message = RootKey::from_file_or_create(&path).expect_err("a refusal").to_string();
        assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        assert!(message.contains(&format!("{mode:04o}")), "{message}");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).expect("a new mode");
    RootKey::from_file_or_create(&path).expect("a file that its owner alone can read");
}

#[test]
fn a_file_that_holds_no_key_is_refused_and_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    for content in ["", "canary", &"ca".repeat(31), &"QUFB".repeat(12), &"QUFB".repeat(500)] {
        let path = directory.path().join("root.key");
        std::fs::write(&path, content).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
        let refusal = RootKey::from_file_or_create(&path).expect_err("a refusal");
        assert!(matches!(refusal, RootKeyError::Content { .. }), "{refusal}");
        assert!(!refusal.to_string().contains("canary"));
        assert_eq!(std::fs::read_to_string(&path).expect("the file"), content);
    }
}

#[test]
fn processes_that_start_together_agree_on_one_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("root.key");
    let start = Barrier::new(8);
    let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    *RootKey::from_file_or_create(&path).expect("a key").bytes()
                })
            })
            .collect();
        starts.into_iter().map(|start| start.join().expect("a key")).collect()
    });
    assert!(keys.iter().all(|key| key == &keys[0]));
}

#[test]
fn a_key_is_read_from_either_base64_and_from_hexadecimal() {
    let bytes: [u8; 32] = std::array::from_fn(|at| 0xf8 | u8::try_from(at).expect("a small number"));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let texts = [
        STANDARD.encode(bytes),
        STANDARD_NO_PAD.encode(bytes),
        URL_SAFE_NO_PAD.encode(bytes),
        hex.to_uppercase(),
        format!("  {hex}\n"),
    ];
    for text in texts {
        let key = RootKey::from_text(&text).expect("a key");
        assert_eq!((key.bytes(), key.origin()), (&bytes, Origin::Given));
    }
}

#[test]
fn a_text_that_is_no_key_is_refused_and_not_repeated() {
    for text in ["", "canary", &"zz".repeat(32), &"é".repeat(32), &"a".repeat(65), &STANDARD.encode([0; 31])]
    {
        let refusal = RootKey::from_text(text).expect_err("a refusal");
        assert!(text.is_empty() || !format!("{refusal} {refusal:?}").contains(text));
    }
}

#[test]
fn a_key_prints_as_stars() {
    assert_eq!(format!("{:?}", RootKey::generate()), "***");
}
