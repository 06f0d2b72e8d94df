//! Each login with a real server that judges it. The identity provider of the jwt login is a double, and so is the
//! Kubernetes API that the server asks for the kubernetes login.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateward_clock::SystemClock;
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_testkit::{Canary, Double, OpenBao, Reply};
use gateward_vaults::{MissKind, Reference, Resolver, ResolverParts};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::hcv::{config, put};
use crate::world::{World, entity};

/// Mounts AppRole at `path`, with a role that may read, and gives the role's id.
pub(crate) fn approle(bao: &OpenBao, path: &str, more: &Value) -> String {
    bao.write_policy("reader", &[("secret/data/*", &["read"])]);
    bao.write(&format!("sys/auth/{path}"), &json!({"type": "approle"}));
    let mut role = json!({"token_policies": ["reader"]});
    for (name, value) in more.as_object().unwrap() {
        role[name] = value.clone();
    }
    bao.write(&format!("auth/{path}/role/gateway"), &role);
    let role_id = bao.read(&format!("auth/{path}/role/gateway/role-id"));
    role_id["data"]["role_id"].as_str().unwrap().to_owned()
}

/// A secret id of the role at `approle`.
pub(crate) fn secret_id(bao: &OpenBao) -> String {
    let made = bao.write("auth/approle/role/gateway/secret-id", &json!({}));
    made["data"]["secret_id"].as_str().unwrap().to_owned()
}

/// The same, wrapped.
fn wrapped_secret_id(bao: &OpenBao) -> String {
    let wrap = [("X-Vault-Wrap-TTL", "600s")];
    let made = bao.send("POST", "auth/approle/role/gateway/secret-id", &wrap, &json!({})).json();
    made["wrap_info"]["token"].as_str().unwrap().to_owned()
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
}

#[tokio::test]
async fn an_approle_logs_in_with_its_secret_id_from_the_setting_or_a_file() {
    let bao = OpenBao::start();
    put(&bao, "db", &json!({"p": "one"}));
    let role_id = approle(&bao, "approle", &json!({}));
    let other_id = approle(&bao, "team/apps", &json!({"bind_secret_id": true}));
    let made = bao.write("auth/team/apps/role/gateway/secret-id", &json!({}));
    let other_secret = made["data"]["secret_id"].as_str().unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("secret-id");
    let (good, wrong) = (secret_id(&bao), Canary::new("secretid"));
    write(&file, &format!("{good}\n"));
    let letter = folder.path().join("letter");
    write(&letter, &format!("two lines\n{}\n", wrong.text()));
    let config = |secret: Value, more: Value| {
        let mut all = config(&bao, &json!({"auth_method": "approle", "approle_role_id": role_id}));
        for one in [secret, more] {
            all.as_object_mut().unwrap().extend(one.as_object().unwrap().clone());
        }
        all
    };
    let world = World::new(&[]);
    world.has(&[
        ("set", "hcv", config(json!({"approle_secret_id": good}), json!({}))),
        ("in-file", "hcv", config(json!({"approle_secret_id_file": file}), json!({}))),
        (
            "elsewhere",
            "hcv",
            config(
                json!({"approle_secret_id": other_secret}),
                json!({"approle_auth_path": "team/apps/", "approle_role_id": other_id}),
            ),
        ),
        ("wrong", "hcv", config(json!({"approle_secret_id": wrong.text()}), json!({}))),
        ("letter", "hcv", config(json!({"approle_secret_id_file": letter}), json!({}))),
        ("no-file", "hcv", config(json!({"approle_secret_id_file": folder.path().join("x")}), json!({}))),
        ("none", "hcv", config(json!({}), json!({}))),
        (
            "no-login",
            "hcv",
            config(json!({"approle_secret_id": wrong.text()}), json!({"approle_auth_path": "absent"})),
        ),
    ]);
    for prefix in ["set", "in-file", "elsewhere"] {
        assert_eq!(world.get(&format!("{prefix}/db/p")).await.as_deref(), Ok("one"), "{prefix}");
    }
    for (prefix, kind, words) in [
        ("wrong", MissKind::Denied, "approle_role_id"),
        ("letter", MissKind::Misconfigured, "one line"),
        ("no-file", MissKind::Misconfigured, "approle_secret_id_file names cannot be read"),
        ("none", MissKind::Misconfigured, "approle_secret_id"),
        ("no-login", MissKind::Denied, "approle_auth_path"),
    ] {
        let unresolved = world.get(&format!("{prefix}/db/p")).await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{unresolved}");
        assert!(unresolved.problem.contains(words), "{unresolved}");
    }
    // What is in the file now is what counts.
    write(&letter, &secret_id(&bao));
    world.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(world.get("letter/db/p").await.as_deref(), Ok("one"));
    world.kept_to_itself([&wrong]);
    world.did_not_say(&good);
}

#[tokio::test]
async fn a_wrapped_secret_id_is_unwrapped_once_and_kept() {
    let bao = OpenBao::start();
    put(&bao, "db", &json!({"p": "one"}));
    let role_id = approle(&bao, "approle", &json!({"token_ttl": "100s"}));
    let (set, in_file) = (wrapped_secret_id(&bao), wrapped_secret_id(&bao));
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("wrapped");
    write(&file, &in_file);
    let base = json!({
        "auth_method": "approle", "approle_role_id": role_id, "approle_response_wrapping": true,
    });
    let with = |more: Value| {
        let mut all = config(&bao, &base);
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let world = World::new(&[]);
    world.has(&[
        ("set", "hcv", with(json!({ "approle_secret_id": set }))),
        ("in-file", "hcv", with(json!({ "approle_secret_id_file": file }))),
    ]);
    assert_eq!(world.get("set/db/p").await.as_deref(), Ok("one"));
    assert_eq!(world.get("in-file/db/p").await.as_deref(), Ok("one"));
    // An entity that was changed is opened anew and logs in again, with what was unwrapped before.
    world.has(&[("set", "hcv", with(json!({ "approle_secret_id": set, "ttl": 60 })))]);
    assert_eq!(world.get("set/db/p").await.as_deref(), Ok("one"));
    put(&bao, "other", &json!({"p": "two"}));
    assert_eq!(world.get("set/other/p").await.as_deref(), Ok("two"));

    // Elsewhere the token has been used up, which may be a theft.
    let elsewhere = World::new(&[]);
    elsewhere.has(&[
        ("used", "hcv", with(json!({ "approle_secret_id": set }))),
        ("plain", "hcv", with(json!({ "approle_secret_id": secret_id(&bao) }))),
        ("in-file", "hcv", with(json!({ "approle_secret_id_file": file }))),
    ]);
    for prefix in ["used", "plain", "in-file"] {
        let unresolved = elsewhere.get(&format!("{prefix}/db/p")).await.unwrap_err();
        assert_eq!(unresolved.kind, MissKind::Denied, "{unresolved}");
        assert!(unresolved.problem.contains("somebody else has the secret id"), "{unresolved}");
    }
    // A new token in the file is unwrapped.
    write(&file, &wrapped_secret_id(&bao));
    elsewhere.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(elsewhere.get("in-file/db/p").await.as_deref(), Ok("one"));
    for text in [&set, &in_file] {
        world.did_not_say(text);
        elsewhere.did_not_say(text);
    }
}

/// A key that signs tokens.
struct Signer(KeyPair);

impl Signer {
    fn new() -> Self {
        Self(KeyPair::generate().unwrap())
    }

    /// A JWT that says `claims`.
    fn sign(&self, claims: &Value) -> String {
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "ES256", "typ": "JWT"})), part(claims));
        let random = SystemRandom::new();
        let key = self.0.serialize_der();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random).unwrap();
        let signature = key.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A moment that no test will see (2100).
const FAR: u64 = 4_102_444_800;
/// One that is over (2023).
const PAST: u64 = 1_700_000_000;

#[tokio::test]
async fn a_jwt_of_an_identity_provider_logs_in() {
    let (bao, signer, client_secret) = (OpenBao::start(), Signer::new(), Canary::new("client"));
    put(&bao, "db", &json!({"p": "one"}));
    bao.write_policy("reader", &[("secret/data/*", &["read"])]);
    bao.write("sys/auth/jwt", &json!({"type": "jwt"}));
    bao.write("auth/jwt/config", &json!({"jwt_validation_pubkeys": [signer.0.public_key_pem()]}));
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault audience"],
        "token_policies": ["reader"], "token_ttl": "1h",
    });
    bao.write("auth/jwt/role/gateway", &role);
    let expected = format!(
        "grant_type=client_credentials&client_id=gate+way&client_secret={}&audience=vault&audience=audience",
        client_secret.text()
    );
    let jwt = signer.sign(&json!({"sub": "gateway", "aud": "vault audience", "iat": PAST, "exp": FAR}));
    let issued = jwt.clone();
    let provider = Double::start(move |asked| match asked.what.as_str() {
        "POST /token" if asked.body == expected => {
            let given = json!({"access_token": issued, "token_type": "Bearer", "expires_in": 3600});
            Reply::json(200, &given)
        }
        "POST /token" => Reply::json(401, &json!({"error": "invalid_client"})),
        _ => Reply::text(404, "no"),
    });
    let with = |more: Value| {
        let mut all = config(
            &bao,
            &json!({
                "auth_method": "jwt", "oauth2_role_name": "gateway", "oauth2_client_id": "gate way",
                "oauth2_token_endpoint": format!("{}/token", provider.url()),
                "oauth2_client_secret": client_secret.text(), "oauth2_audiences": "vault audience",
            }),
        );
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let world = World::new(&[]);
    world.has(&[
        ("jwt", "hcv", with(json!({}))),
        ("oauth", "hcv", with(json!({"auth_method": "oauth2"}))),
        ("wrong", "hcv", with(json!({"oauth2_client_id": "another"}))),
        ("no-role", "hcv", with(json!({"oauth2_role_name": "absent"}))),
        ("no-endpoint", "hcv", with(json!({"oauth2_token_endpoint": format!("{}/absent", provider.url())}))),
    ]);
    assert_eq!(world.get("jwt/db/p").await.as_deref(), Ok("one"));
    assert_eq!(world.get("oauth/db/p").await.as_deref(), Ok("one"));
    for (prefix, kind, words) in [
        ("wrong", MissKind::Denied, "oauth2_client_id"),
        ("no-role", MissKind::Denied, "oauth2_role_name"),
        ("no-endpoint", MissKind::Misconfigured, "oauth2_token_endpoint"),
    ] {
        let unresolved = world.get(&format!("{prefix}/db/p")).await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{unresolved}");
        assert!(unresolved.problem.contains(words), "{unresolved}");
    }
    world.kept_to_itself([&client_secret]);
    world.did_not_say(&jwt);
}

#[tokio::test]
async fn a_pods_service_account_logs_in() {
    let (bao, signer) = (OpenBao::start(), Signer::new());
    put(&bao, "db", &json!({"p": "one"}));
    bao.write_policy("reader", &[("secret/data/*", &["read"])]);
    let account = |name: &str| {
        let kubernetes = json!({"namespace": "edge", "serviceaccount": {"name": name, "uid": "u-1"}});
        signer.sign(&json!({
            "iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"], "exp": FAR,
            "iat": PAST, "nbf": PAST,
            "sub": format!("system:serviceaccount:edge:{name}"), "kubernetes.io": kubernetes,
        }))
    };
    let (gateway, stranger) = (account("gateway"), account("stranger"));
    // The API with which a cluster says whose token it is.
    let known = [gateway.clone(), stranger.clone()];
    let cluster_api = Double::start(move |asked| {
        let review: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let shown = review["spec"]["token"].as_str().unwrap_or_default();
        let name = ["gateway", "stranger"].into_iter().zip(&known).find(|(_, token)| *token == shown);
        let status = match name {
            Some((name, _)) => json!({
                "authenticated": true, "audiences": ["https://kubernetes.default.svc"],
                "user": {
                    "username": format!("system:serviceaccount:edge:{name}"), "uid": "u-1",
                    "groups": ["system:serviceaccounts", "system:serviceaccounts:edge"],
                },
            }),
            None => json!({"authenticated": false, "error": "no"}),
        };
        match asked.what.as_str() {
            "POST /apis/authentication.k8s.io/v1/tokenreviews" => {
                let kind = ("authentication.k8s.io/v1", "TokenReview");
                Reply::json(201, &json!({"apiVersion": kind.0, "kind": kind.1, "status": status}))
            }
            _ => Reply::text(404, "no"),
        }
    });
    bao.write("sys/auth/clusters/one", &json!({"type": "kubernetes"}));
    let cluster = json!({
        "kubernetes_host": cluster_api.url(), "disable_local_ca_jwt": true, "token_reviewer_jwt": gateway,
        // It must be there, and means nothing to an API over plain HTTP.
        "kubernetes_ca_cert": authority().pem(),
    });
    bao.write("auth/clusters/one/config", &cluster);
    let role = json!({
        "bound_service_account_names": ["gateway"], "bound_service_account_namespaces": ["edge"],
        "token_policies": ["reader"], "token_ttl": "1h",
    });
    bao.write("auth/clusters/one/role/edge", &role);
    let folder = tempfile::TempDir::new().unwrap();
    let with = |file: &str, token: &str| {
        let path = folder.path().join(file);
        write(&path, token);
        let more = json!({
            "auth_method": "kubernetes", "kube_role": "edge", "kube_auth_path": "clusters/one",
            "kube_api_token_file": path,
        });
        config(&bao, &more)
    };
    let world = World::new(&[]);
    let forged =
        Signer::new().sign(&json!({"sub": "system:serviceaccount:edge:gateway", "nbf": PAST, "exp": FAR}));
    world.has(&[
        ("pod", "hcv", with("gateway", &gateway)),
        ("stranger", "hcv", with("stranger", &stranger)),
        ("forger", "hcv", with("forger", &forged)),
        ("outside", "hcv", config(&bao, &json!({"auth_method": "kubernetes", "kube_role": "edge"}))),
    ]);
    assert_eq!(world.get("pod/db/p").await.as_deref(), Ok("one"));
    for prefix in ["stranger", "forger"] {
        let unresolved = world.get(&format!("{prefix}/db/p")).await.unwrap_err();
        assert_eq!(unresolved.kind, MissKind::Denied, "{unresolved}");
        assert!(unresolved.problem.contains("kube_role"), "{unresolved}");
    }
    let unresolved = world.get("outside/db/p").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Misconfigured, "{unresolved}");
    assert!(unresolved.problem.contains("kube_api_token_file"), "{unresolved}");
    for token in [&gateway, &stranger, &forged] {
        world.did_not_say(token);
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn a_client_certificate_logs_in_over_tls() {
    let ca = authority();
    let issue = |name: &str, usage: ExtendedKeyUsagePurpose| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.signed_by(&key, &ca).unwrap().pem(), key.serialize_pem())
    };
    let folder = tempfile::TempDir::new().unwrap();
    let (server, server_key) = issue("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth);
    let (certificate, key) = issue("gateway", ExtendedKeyUsagePurpose::ClientAuth);
    let (_, other_key) = issue("other", ExtendedKeyUsagePurpose::ClientAuth);
    let (certificate_file, key_file) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    write(&certificate_file, &server);
    write(&key_file, &server_key);
    let bao = OpenBao::start_with_tls(&certificate_file, &key_file);
    put(&bao, "db", &json!({"p": "one"}));
    bao.write_policy("reader", &[("secret/data/*", &["read"])]);
    bao.write("sys/auth/cert", &json!({"type": "cert"}));
    let role = json!({"certificate": ca.pem(), "token_policies": ["reader"], "token_ttl": "1h"});
    bao.write("auth/cert/certs/gateway", &role);

    let with = |more: Value| {
        let mut all = config(
            &bao,
            &json!({
                "protocol": "https", "port": bao.tls_port(), "auth_method": "cert",
                "cert_auth_cert": certificate, "cert_auth_cert_key": key, "cert_auth_role_name": "gateway",
            }),
        );
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let world = World::new(&[]);
    world.has(&[
        ("trusting", "hcv", with(json!({"ssl_verify": false}))),
        ("verifying", "hcv", with(json!({}))),
        ("any-role", "hcv", with(json!({"ssl_verify": false, "cert_auth_role_name": null}))),
        ("no-role", "hcv", with(json!({"ssl_verify": false, "cert_auth_role_name": "absent"}))),
        ("mismatch", "hcv", with(json!({"cert_auth_cert_key": other_key}))),
        ("plain", "hcv", with(json!({"protocol": "http", "port": bao.port()}))),
    ]);
    assert_eq!(world.get("trusting/db/p").await.as_deref(), Ok("one"));
    assert_eq!(world.get("any-role/db/p").await.as_deref(), Ok("one"));
    for (prefix, kind, words) in [
        ("verifying", MissKind::Unavailable, "tls.ca"),
        ("no-role", MissKind::Denied, "cert_auth_cert"),
        ("mismatch", MissKind::Misconfigured, "does not match its key"),
        ("plain", MissKind::Misconfigured, "needs https"),
    ] {
        let unresolved = world.get(&format!("{prefix}/db/p")).await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{unresolved}");
        assert!(unresolved.problem.contains(words), "{unresolved}");
    }
    let inner = key.lines().nth(1).unwrap();
    world.did_not_say(inner);

    // With the authority among those that the process trusts.
    let settings =
        ConnectorSettings { extra_ca: Some(ca.pem().into_bytes()), ..ConnectorSettings::default() };
    let client = Client::new(Arc::new(Connector::new(settings).unwrap()));
    let resolver = Resolver::new(ResolverParts {
        clock: Arc::new(SystemClock),
        client,
        environment: BTreeMap::new(),
        runtime: Handle::current(),
    });
    resolver.set_vaults(vec![entity("verifying", "hcv", &with(json!({})))]);
    let reference = Reference::parse("{vault://verifying/db/p}").unwrap().unwrap();
    assert_eq!(resolver.resolve(&reference).await.unwrap().expose(), "one");
}
