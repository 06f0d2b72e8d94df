use gateward_net::TlsFacts;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use super::*;

/// A certificate of its own for `names`, and its key.
fn pair(names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn ssl(id: &str, fields: &Value) -> Arc<Ssl> {
    let (cert, key) = pair(&["a.example"]);
    let mut json = json!({"cert": cert, "key": key});
    json.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Arc::new(Ssl::parse(ResourceId::parse(id).unwrap(), &json).unwrap())
}

fn compiled(ssls: &[Arc<Ssl>], before: &Certificates) -> CompiledCertificates {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let connector = gateward_net::Connector::new(gateward_net::ConnectorSettings::default()).unwrap();
    let resolver = Resolver::new(gateward_vaults::ResolverParts {
        clock: Arc::new(gateward_clock::SystemClock),
        client: gateward_net::Client::new(Arc::new(connector)),
        environment: BTreeMap::new(),
        runtime: runtime.handle().clone(),
    });
    Certificates::compile(ssls, before, &resolver)
}

fn id_of<'c>(certificates: &'c Certificates, name: &str) -> Option<&'c str> {
    certificates.of(&lower(name)).map(|certificate| certificate.id().as_str())
}

#[test]
fn the_exact_name_wins_then_one_label_below_a_wildcard_then_any() {
    let ssls = [
        ssl("any", &json!({"sni": "*"})),
        ssl("below", &json!({"sni": "*.example.com"})),
        ssl("exact", &json!({"snis": ["a.example.com", "example.com"]})),
        ssl("off", &json!({"sni": "off.example.com", "status": 0})),
        ssl("later", &json!({"sni": "a.example.com"})),
    ];
    let certificates = compiled(&ssls, &Certificates::default()).certificates;
    for (name, expected) in [
        ("a.example.com", "exact"),
        ("A.Example.com.", "exact"),
        ("b.example.com", "below"),
        ("off.example.com", "below"),
        ("c.b.example.com", "any"),
        ("elsewhere", "any"),
    ] {
        assert_eq!(id_of(&certificates, name), Some(expected), "{name}");
    }
    let certificates = compiled(&ssls[1..], &Certificates::default()).certificates;
    assert_eq!(id_of(&certificates, "c.b.example.com"), None);
    assert_eq!(certificates.for_handshake(None, None).err(), Some(NoCertificate::Unknown));
    assert!(certificates.for_handshake(None, Some("a.example.com")).is_ok());
}

#[test]
fn a_certificate_that_does_not_change_keeps_its_sessions() {
    let ssls = [ssl("1", &json!({"sni": "a.example"})), ssl("2", &json!({"sni": "b.example"}))];
    let before = compiled(&ssls, &Certificates::default()).certificates;
    let changed = [Arc::clone(&ssls[0]), ssl("2", &json!({"sni": "b.example"}))];
    let after = compiled(&changed, &before).certificates;
    let config = |certificates: &Certificates, name| {
        Arc::clone(&certificates.for_handshake(Some(name), None).unwrap().config)
    };
    assert!(Arc::ptr_eq(&config(&before, "a.example"), &config(&after, "a.example")));
    assert!(!Arc::ptr_eq(&config(&before, "b.example"), &config(&after, "b.example")));
}

#[test]
fn a_key_that_belongs_to_another_certificate_is_refused_by_name() {
    let ((cert, key), (_, foreign)) = (pair(&["a.example"]), pair(&["a.example"]));
    let one = ssl("1", &json!({"sni": "a.example", "cert": cert, "key": foreign}));
    assert_eq!(check(&one).unwrap_err().field, "key");
    let more = json!({"sni": "a.example", "cert": cert, "key": key, "certs": [cert], "keys": [foreign]});
    assert_eq!(check(&ssl("1", &more)).unwrap_err().field, "keys[0]");
    // Also when something else is not there yet.
    let more = json!({"sni": "a.example", "cert": cert, "key": foreign, "certs": ["{vault://env/c}"], "keys": [key]});
    assert_eq!(check(&ssl("1", &more)).unwrap_err().field, "key");
}

#[test]
fn a_broken_certificate_is_named_and_takes_no_other_with_it() {
    let (_, foreign) = pair(&["a.example"]);
    let ssls = [ssl("1", &json!({"sni": "a.example", "key": foreign})), ssl("2", &json!({"sni": "*"}))];
    let compiled = compiled(&ssls, &Certificates::default());
    assert_eq!(compiled.broken.len(), 1);
    assert_eq!(compiled.broken[0].0.as_str(), "1");
    let unavailable = compiled.certificates.for_handshake(Some("a.example"), None).err();
    assert_eq!(unavailable, Some(NoCertificate::Unavailable), "its names do not fall to another one");
    assert!(compiled.certificates.for_handshake(Some("b.example"), None).is_ok());
    let again = self::compiled(&ssls, &compiled.certificates);
    assert_eq!(again.broken, compiled.broken, "it is named as long as it stands");
}

#[test]
fn a_certificate_waits_for_the_secrets_that_it_refers_to() {
    let ssls = [ssl("1", &json!({"sni": "a.example", "key": "{vault://env/no-such-key}"}))];
    let compiled = compiled(&ssls, &Certificates::default());
    assert_eq!((compiled.broken.len(), compiled.new.len()), (0, 1));
    let missing = compiled.certificates.for_handshake(Some("a.example"), None).err();
    assert_eq!(missing, Some(NoCertificate::Unavailable));
}

#[test]
fn a_host_that_asks_for_a_certificate_is_served_only_where_one_was_shown() {
    let (ca, _) = pair(&["ca"]);
    let (other_ca, _) = pair(&["ca"]);
    let skip = json!(["^/open/"]);
    let ssls = [
        ssl("plain", &json!({"sni": "plain.example"})),
        ssl("mutual", &json!({"sni": "mutual.example", "client": {"ca": ca}})),
        ssl("same", &json!({"sni": "same.example", "client": {"ca": ca}})),
        ssl("deeper", &json!({"sni": "deeper.example", "client": {"ca": ca, "depth": 2}})),
        ssl(
            "other",
            &json!({"sni": "other.example", "client": {"ca": other_ca, "skip_mtls_uri_regex": skip}}),
        ),
    ];
    let certificates = compiled(&ssls, &Certificates::default()).certificates;
    let end = "127.0.0.1:1".parse().unwrap();
    let conn = |sni: &str, shown: bool| {
        let served = certificates.for_handshake(Some(sni), None).unwrap();
        let vouched_by = served.demand.as_ref().filter(|_| shown).map(|demand| Arc::clone(&demand.trust));
        let facts = TlsFacts { sni: Some(sni.into()), version: "TLSv1.3", vouched_by, certificate: None };
        Conn { scheme: Scheme::Https, tls: Some(Arc::new(facts)), ..Conn::plain(end, end) }
    };
    let permits =
        |conn: &Conn, host, path| certificates.permits(conn, host, &RoutePath::new(path).unwrap()).is_ok();
    let mutual = conn("mutual.example", true);
    assert!(permits(&mutual, "mutual.example", "/"));
    assert!(permits(&mutual, "plain.example", "/"));
    assert!(permits(&mutual, "same.example", "/"), "the same authorities vouch for it");
    for host in ["deeper.example", "other.example"] {
        assert!(!permits(&mutual, host, "/"), "{host}");
    }
    for conn in [conn("plain.example", false), conn("other.example", false), Conn::plain(end, end)] {
        for host in ["mutual.example", "MUTUAL.example", "mutual.example."] {
            let failure = certificates.permits(&conn, host, &RoutePath::new("/").unwrap()).unwrap_err();
            assert_eq!(failure.status.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
        assert!(permits(&conn, "other.example", "/open/x"));
        assert!(permits(&conn, "other.example", "//%6fpen/x"), "as routes take it");
        assert!(!permits(&conn, "other.example", "/closed?/open/"));
    }
}

#[test]
fn a_wildcard_that_asks_for_a_certificate_guards_every_host_below_it() {
    let (ca, _) = pair(&["ca"]);
    let ssls = [
        ssl("any", &json!({"sni": "*"})),
        ssl("guarded", &json!({"sni": "*.a.example", "client": {"ca": ca}})),
        ssl("open", &json!({"sni": "*.open.a.example"})),
    ];
    let certificates = compiled(&ssls, &Certificates::default()).certificates;
    let end = "127.0.0.1:1".parse().unwrap();
    let permits =
        |host| certificates.permits(&Conn::plain(end, end), host, &RoutePath::new("/").unwrap()).is_ok();
    for host in ["x.a.example", "y.x.a.example", "z.y.X.a.example."] {
        assert!(!permits(host), "{host}");
    }
    for host in ["a.example", "x.open.a.example", "y.x.open.a.example", "ba.example"] {
        assert!(permits(host), "{host}");
    }
}
