use super::*;

#[test]
fn a_canary_is_found_in_every_form_and_place() {
    let canary = Canary::new("payload key!");
    assert!(canary.text().starts_with("canarypayloadkey"));
    for before in ["", "a", "ab", "abc"] {
        let text = format!("{before}{}and more", canary.text());
        let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        for haystack in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text), hex, text] {
            assert_eq!(canary.search([("log", haystack.as_bytes())]).len(), 1, "{haystack}");
        }
    }
}

#[test]
fn another_canary_is_not_found() {
    let (canary, other) = (Canary::new("a"), Canary::new("a"));
    assert_eq!(canary.search([("log", other.text().as_bytes()), ("empty", b"".as_slice())]), []);
}

#[test]
fn a_folder_is_searched_to_the_bottom() {
    let canary = Canary::new("a");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
    std::fs::write(folder.path().join("a/b/file"), format!("\0\u{1}{}", canary.text())).unwrap();
    std::fs::write(folder.path().join("clean"), "nothing").unwrap();
    let leaks = canary.search_dir(folder.path());
    assert_eq!(leaks.len(), 1);
    assert!(leaks[0].to_string().ends_with("a/b/file (in the clear)"));
}
