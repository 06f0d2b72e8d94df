//! What the list lets through, and what it does not.

use proptest::prelude::*;

use super::*;

fn check(list: &str, url: &str) -> Result<(), NotAllowed> {
    list.parse::<AllowedProducers>().unwrap().check(&ProducerUrl::parse(url).unwrap())
}

fn permits(list: &str, url: &str) -> bool {
    check(list, url).is_ok()
}

#[test]
fn without_a_list_producers_stand_anywhere() {
    let url = ProducerUrl::parse("http://anywhere/x/..%2f").unwrap();
    assert_eq!(AllowedProducers::default().check(&url), Ok(()));
}

#[test]
fn a_host_is_taken_with_its_port_or_with_any() {
    let list = "producers.example.com, 10.0.0.5:7070,[::1]:80,*.lambda-url.eu-west-1.on.aws";
    for url in [
        "https://producers.example.com/any/path",
        "http://PRODUCERS.example.com:8443/",
        "http://10.0.0.5:7070/sync/create",
        "http://[::1]/x",
        "https://abc.lambda-url.eu-west-1.on.aws/sync/create",
    ] {
        assert!(permits(list, url), "{url}");
    }
    for url in [
        "https://producers.example.com.evil.example/",
        "https://evilproducers.example.com/",
        "http://10.0.0.5:7071/",
        "http://10.0.0.5/",
        "https://[::1]/x",
        "https://lambda-url.eu-west-1.on.aws/",
        "https://evillambda-url.eu-west-1.on.aws/",
    ] {
        assert!(!permits(list, url), "{url}");
    }
}

#[test]
fn a_url_is_taken_with_all_below_it() {
    let list = "https://h.example/users,https://h.example:8443/any/";
    for url in
        ["https://h.example/users", "https://h.example/users/sync/create?a=b", "https://h.example:8443/any/x"]
    {
        assert!(permits(list, url), "{url}");
    }
    for url in [
        "http://h.example/users",
        "https://h.example/users2",
        "https://h.example/users/../admin",
        "https://h.example/users/%2e%2e/admin",
        "https://h.example/users/..%2fadmin",
        "https://h.example:8443/any",
        "https://other.example/users",
    ] {
        assert!(!permits(list, url), "{url}");
    }
}

#[test]
fn what_is_no_place_is_refused() {
    for text in ["", "a,,b", "ftp://h/", "https://u@h/", "h/path", "*", "a*b", "https://h/?q"] {
        assert_eq!(text.parse::<AllowedProducers>(), Err(NoPlace), "{text}");
    }
}

#[test]
fn what_a_server_may_read_as_a_way_out_is_refused_and_the_sentence_says_what_to_write() {
    for path in [
        "..%2fadmin",
        "..%2Fadmin",
        "..%2F..%2Fadmin",
        "..;/admin",
        "..;a=b/admin",
        ".;/..;/admin",
        "..%3b/admin",
        "..%5cadmin",
        "..%5Cadmin",
        "a%2ejson",
        "a%2Ejson",
        "%252e%252e/admin",
        "..%252fadmin",
        "a%25",
        "..%20/admin",
        ".../admin",
        "..%00/admin",
        "..%c0%af",
        "%c0%ae%c0%ae/admin",
        "..%u002fadmin",
        "a%",
        "a%2",
    ] {
        let url = format!("https://h.example/users/{path}");
        assert_eq!(check("https://h.example/users/", &url), Err(NotAllowed::WayOut), "{path}");
        assert!(permits("h.example,https://h.example/users/", &url), "the whole host is on the list: {path}");
    }
    // What the URL's own reader resolves has left before anybody looks.
    for path in ["../admin", "%2e%2E/admin", "..\\admin", "a/..\\..\\admin"] {
        let found = check("https://h.example/users/", &format!("https://h.example/users/{path}"));
        assert_eq!(found, Err(NotAllowed::Elsewhere("https://h.example".to_owned())), "{path}");
    }
    for path in ["a;v=1/sync", "a.json", "..a", "%C3%A9t%C3%A9", "a%20b", "//x", ";", "v1.2/.well-known/x"] {
        assert!(permits("https://h.example/users/", &format!("https://h.example/users/{path}")), "{path}");
    }
    assert!(NotAllowed::WayOut.to_string().contains("producers_allow"));
}

/// How a server may read a path, one step of it.
#[derive(Clone, Copy, Debug)]
enum Reading {
    Decodes,
    TakesBackslashes,
    CutsParameters,
    TrimsParts,
}

impl Reading {
    fn of(self, path: &str) -> String {
        let each_part = |change: fn(&str) -> &str| path.split('/').map(change).collect::<Vec<_>>().join("/");
        match self {
            Self::Decodes => percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned(),
            Self::TakesBackslashes => path.replace('\\', "/"),
            Self::CutsParameters => each_part(|part| part.split(';').next().unwrap_or_default()),
            Self::TrimsParts => each_part(str::trim),
        }
    }
}

/// Whether `path` is below `/users/` once its dots are resolved.
fn is_below_users(path: &str) -> bool {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "" | "." => {}
            part => parts.push(part),
        }
    }
    parts.first() == Some(&"users")
}

/// Parent folders and ends of a part as they may be written, one after the other, with names between them.
fn path() -> impl Strategy<Value = String> {
    let dots =
        ["..", ".%2e", "%2E.", "..;", "..;a=b", "..%3b", "..%20", "%252e%252e", "%c0%ae%c0%ae", "a", "é"];
    let ends = ["/", "\\", "%2f", "%2F", "%5c", "%5C", "%252f", "%255C", ";/", ""];
    let part = (prop::sample::select(dots.to_vec()), prop::sample::select(ends.to_vec()));
    let part = part.prop_map(|(dots, end)| format!("{dots}{end}"));
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.concat())
}

/// What `path` is read as in up to `steps` steps, whichever they are.
fn readings(path: String, steps: usize) -> Vec<String> {
    use Reading::{CutsParameters, Decodes, TakesBackslashes, TrimsParts};
    let each = [Decodes, TakesBackslashes, CutsParameters, TrimsParts];
    let further = each.into_iter().filter(|_| steps > 0).flat_map(|each| readings(each.of(&path), steps - 1));
    let mut all: Vec<String> = further.collect();
    all.push(path);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_is_permitted_stays_below_however_it_is_read(path in path()) {
        let text = format!("https://h.example/users/{path}");
        let Ok(url) = ProducerUrl::parse(&text) else { return Ok(()) };
        if "https://h.example/users/".parse::<AllowedProducers>().unwrap().check(&url).is_ok() {
            for read in readings(url.url().path().to_owned(), 3) {
                prop_assert!(is_below_users(&read), "{text} is read as {read}");
            }
        }
    }

    #[test]
    fn a_path_of_plain_names_is_permitted(names in prop::collection::vec("[a-z0-9_~-][a-z0-9._~;=-]{0,6}", 0..5)) {
        let url = format!("https://h.example/users/{}", names.join("/"));
        prop_assert!(permits("https://h.example/users", &url), "{url}");
    }
}
