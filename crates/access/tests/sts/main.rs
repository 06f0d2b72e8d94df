//! Logging in with AWS IAM, judged by moto's STS with its authentication on: it knows its users, and computes each
//! signature again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on is a test that fails")]

mod forged;

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use forged::Forged;
use gateward_access::{
    AdminIdentity, AuthMethod, Authenticator, AwsBounds, Directory, Judge, LoginError, MethodKind, Token,
    Tokens, sign_cloud_id,
};
use gateward_aws::Credentials;
use gateward_clock::{Clock, SystemClock, Timestamp};
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{MemoryStore, Store};
use gateward_testkit::workspace::{peer, python_program};
use gateward_testkit::{Double, Moto, Reply};

/// AWS with one user, and the account and ARN that STS tells of that user.
struct Aws {
    moto: Moto,
    credentials: Credentials,
}

impl Aws {
    fn start() -> Self {
        let moto = Moto::start();
        let (access_key, secret) = moto.create_access_key("ann", &["sts:*"]);
        moto.check_signatures();
        let credentials = Credentials { access_key, secret_key: secret.as_str().into(), session_token: None };
        Self { moto, credentials }
    }

    fn url(&self) -> &str {
        self.moto.url()
    }
}

/// A gateway whose administrator is within `bounds`, asking the STS at `url`.
fn gateway(url: &str, store: &Arc<dyn Store>, bounds: AwsBounds) -> Authenticator {
    gateway_called(url, store, bounds, None)
}

fn gateway_called(
    url: &str,
    store: &Arc<dyn Store>,
    bounds: AwsBounds,
    server_id: Option<&str>,
) -> Authenticator {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let sealer = Arc::new(Sealer::new(RootKey::from_text(&"ab".repeat(32)).unwrap()));
    let client = Client::new(Arc::new(Connector::new(ConnectorSettings::default()).unwrap()));
    let judge = Judge::new(client, Some(url)).unwrap().for_server(server_id.map(str::to_owned));
    let admin = AdminIdentity::aws_iam(ADMIN.parse().unwrap(), bounds).unwrap();
    let tokens = Tokens::new(&sealer, Arc::clone(&clock), Duration::from_secs(60));
    let directory = Directory::new(Arc::clone(store), sealer, clock);
    Authenticator::new(admin, tokens).with_directory(directory).with_judge(judge)
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

fn arns(arn: &str) -> AwsBounds {
    AwsBounds { arns: vec![arn.to_owned()], ..AwsBounds::default() }
}

fn accounts(account: &str) -> AwsBounds {
    AwsBounds { accounts: vec![account.to_owned()], ..AwsBounds::default() }
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn signed(aws: &Aws) -> SecretValue {
    sign_cloud_id(&aws.credentials, None, None, now()).unwrap()
}

async fn log_in(gateway: &Authenticator, cloud_id: &SecretValue) -> Result<Token, LoginError> {
    gateway.login_with_aws(ADMIN, cloud_id).await
}

#[tokio::test]
async fn whoever_aws_knows_within_the_bounds_logs_in_and_nobody_else() {
    let aws = Aws::start();
    let within = [
        arns(ARN),
        arns("arn:aws:iam::123456789012:user/*"),
        accounts("123456789012"),
        AwsBounds { arns: vec![ARN.to_owned()], ..accounts("123456789012") },
    ];
    for bounds in within {
        let gateway = gateway(aws.url(), &memory(), bounds);
        let token = log_in(&gateway, &signed(&aws)).await.unwrap();
        let identity = gateway.verify(token.text.expose()).unwrap();
        assert_eq!(identity.access_id.as_str(), ADMIN);
        assert_eq!(identity.sub_claims["user_name"], ["ann"]);
        assert_eq!(identity.sub_claims["account_id"], ["123456789012"]);
    }
    let outside = [
        arns("arn:aws:iam::123456789012:user/annie"),
        arns("arn:aws:iam::123456789012:user/AN?"),
        arns("arn:aws:iam::999999999999:user/ann"),
        arns("arn:aws:sts::123456789012:assumed-role/ann/*"),
        accounts("999999999999"),
        AwsBounds { arns: vec![ARN.to_owned()], ..accounts("999999999999") },
        AwsBounds { user_names: vec!["bob".to_owned()], ..accounts("123456789012") },
    ];
    for bounds in outside {
        let gateway = gateway(aws.url(), &memory(), bounds.clone());
        assert_eq!(log_in(&gateway, &signed(&aws)).await, Err(LoginError::Wrong), "{bounds:?}");
    }
}

#[tokio::test]
async fn a_wrong_secret_an_unknown_key_and_another_access_id_are_refused() {
    let aws = Aws::start();
    let gateway = gateway(aws.url(), &memory(), arns(ARN));
    let wrong = Credentials { secret_key: "wrong".into(), ..aws.credentials.clone() };
    let unknown = Credentials { access_key: "AKIAUNKNOWN".to_owned(), ..aws.credentials.clone() };
    for credentials in [wrong, unknown] {
        let cloud_id = sign_cloud_id(&credentials, None, None, now()).unwrap();
        assert_eq!(log_in(&gateway, &cloud_id).await, Err(LoginError::Wrong));
    }
    for id in ["p-other", "", "p-ADMIN"] {
        assert_eq!(gateway.login_with_aws(id, &signed(&aws)).await, Err(LoginError::Wrong), "{id}");
    }
    // Nor does a cloud id pass for a key.
    assert_eq!(gateway.login(ADMIN, &signed(&aws)).await, Err(LoginError::Wrong));
    assert_eq!(gateway.login(ADMIN, &SecretValue::default()).await, Err(LoginError::Wrong));
    assert!(log_in(&gateway, &signed(&aws)).await.is_ok());
}

#[tokio::test]
async fn what_the_vendors_packages_make_logs_in() {
    let aws = Aws::start();
    let bounds = || arns(ARN);
    for style in ["python", "go", "js"] {
        let made = Command::new(python_program("python"))
            .arg(peer("cloud_id.py"))
            .args([style, &aws.credentials.access_key, aws.credentials.secret_key.expose()])
            .output()
            .unwrap();
        let cloud_id = SecretValue::from(String::from_utf8(made.stdout).unwrap().trim());
        assert!(log_in(&gateway(aws.url(), &memory(), bounds()), &cloud_id).await.is_ok(), "{style}");
    }
}

#[tokio::test]
async fn a_cloud_id_is_good_for_one_login_on_all_instances() {
    let aws = Aws::start();
    let store = memory();
    let (one, other) = (gateway(aws.url(), &store, arns(ARN)), gateway(aws.url(), &store, arns(ARN)));
    let cloud_id = signed(&aws);
    assert!(log_in(&one, &cloud_id).await.is_ok());
    assert_eq!(log_in(&one, &cloud_id).await, Err(LoginError::Wrong));
    assert_eq!(log_in(&other, &cloud_id).await, Err(LoginError::Wrong));
    // The same signature in another wrapping is the same.
    let rewrapped = Forged::of(&cloud_id).with_header("x", "y").cloud_id();
    assert_eq!(log_in(&other, &rewrapped).await, Err(LoginError::Wrong));
    // Another one of the same second is another login.
    assert!(log_in(&one, &signed(&aws)).await.is_ok());
    // Many at once: one gets in.
    let cloud_id = sign_cloud_id(&aws.credentials, Some("eu-west-1"), None, now()).unwrap();
    let (first, second, third) =
        tokio::join!(log_in(&one, &cloud_id), log_in(&other, &cloud_id), log_in(&one, &cloud_id));
    assert_eq!([first, second, third].iter().filter(|login| login.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_date_far_from_ours_is_refused_though_sts_would_take_it() {
    let aws = Aws::start();
    let gateway = gateway(aws.url(), &memory(), arns(ARN));
    let span = Duration::from_secs(6 * 60);
    for at in [Timestamp::from_millis(now().millis() - 360_000), now() + span] {
        let cloud_id = sign_cloud_id(&aws.credentials, None, None, at).unwrap();
        assert_eq!(log_in(&gateway, &cloud_id).await, Err(LoginError::Wrong), "{at:?}");
    }
    let near = Timestamp::from_millis(now().millis() - 240_000);
    let cloud_id = sign_cloud_id(&aws.credentials, None, None, near).unwrap();
    assert!(log_in(&gateway, &cloud_id).await.is_ok());
}

#[tokio::test]
async fn what_is_signed_for_something_else_is_refused_however_well_it_is_signed() {
    let aws = Aws::start();
    let gateway = gateway(aws.url(), &memory(), arns(ARN));
    let forged = || Forged::new(&aws.credentials, now());
    let cases = [
        ("GET", forged().method("GET")),
        ("body", forged().body("Action=GetSessionToken&Version=2011-06-15")),
        ("more in the body", forged().body("Action=GetCallerIdentity&Version=2011-06-15&X=1")),
        ("host", forged().host("sts.evil.example")),
        ("host of S3", forged().host("sts.s3.amazonaws.com")),
        ("service", forged().service("iam")),
        ("region", forged().region("eu-west-1")),
        ("path", forged().path("/x")),
        ("query", forged().path("/?Action=GetCallerIdentity")),
        ("plain HTTP", forged().scheme("http")),
    ];
    for (what, forged) in cases {
        assert_eq!(log_in(&gateway, &forged.signed()).await, Err(LoginError::Wrong), "{what}");
    }
    assert!(log_in(&gateway, &forged().signed()).await.is_ok());
}

#[tokio::test]
async fn what_was_added_after_signing_is_refused() {
    let aws = Aws::start();
    let gateway = gateway(aws.url(), &memory(), arns(ARN));
    for (name, value) in [
        ("X-Amz-Target", "AWSSecurityTokenServiceV20110615.GetSessionToken"),
        ("X-Amz-Security-Token", "token"),
        ("X-Amz-Expires", "900"),
        ("Host", "sts.eu-west-1.amazonaws.com"),
        ("Content-Type", "application/json"),
        ("Content-Length", "0"),
    ] {
        let added = Forged::of(&signed(&aws)).with_header(name, value).cloud_id();
        assert_eq!(log_in(&gateway, &added).await, Err(LoginError::Wrong), "{name}");
    }
}

#[tokio::test]
async fn a_cloud_id_for_another_verifier_is_none_where_a_server_id_is_set() {
    let aws = Aws::start();
    let gateway = gateway_called(aws.url(), &memory(), arns(ARN), Some("https://gw.example"));
    assert_eq!(log_in(&gateway, &signed(&aws)).await, Err(LoginError::Wrong));
    for (id, is_taken) in [("https://other.example", false), ("https://gw.example", true)] {
        let cloud_id = sign_cloud_id(&aws.credentials, None, Some(id), now()).unwrap();
        assert_eq!(log_in(&gateway, &cloud_id).await.is_ok(), is_taken, "{id}");
    }
    // Written over after signing, STS sees it.
    let cloud_id = sign_cloud_id(&aws.credentials, None, Some("https://other.example"), now()).unwrap();
    let forged = Forged::of(&cloud_id).with_header("x-gateward-server-id", "https://gw.example").cloud_id();
    assert_eq!(log_in(&gateway, &forged).await, Err(LoginError::Wrong));
}

#[tokio::test]
async fn an_sts_that_wants_fewer_calls_refuses_nobody() {
    let error = |code: &str| {
        format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>")
    };
    let credentials =
        Credentials { access_key: "AKID".to_owned(), secret_key: "x".into(), session_token: None };
    for (reply, outcome) in [
        (Reply::text(400, error("Throttling")), LoginError::Unavailable),
        (Reply::text(429, ""), LoginError::Unavailable),
        (Reply::text(503, error("ServiceUnavailable")), LoginError::Unavailable),
        (Reply::text(400, error("IncompleteSignature")), LoginError::Wrong),
        (Reply::text(403, error("InvalidClientTokenId")), LoginError::Wrong),
        (Reply::text(400, "Throttling"), LoginError::Wrong),
    ] {
        let said = format!("{reply:?}");
        let sts = Double::start(move |_| reply.clone());
        let gateway = gateway(&sts.url(), &memory(), arns(ARN));
        let cloud_id = sign_cloud_id(&credentials, None, None, now()).unwrap();
        assert_eq!(log_in(&gateway, &cloud_id).await, Err(outcome), "{said}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_stss_lets_nobody_in() {
    let answer = format!(
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{ARN}</Arn><UserId>AIDA</UserId>\
         <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    );
    let credentials =
        Credentials { access_key: "AKID".to_owned(), secret_key: "x".into(), session_token: None };
    let replies: [(Reply, bool); 6] = [
        (Reply::text(200, answer.clone()), true),
        (Reply::text(302, "").with_header("location", "http://127.0.0.1:1/"), false),
        (Reply::text(403, answer.clone()), false),
        (Reply::text(500, answer.clone()), false),
        (Reply::text(200, "<GetCallerIdentityResult></GetCallerIdentityResult>"), false),
        (Reply::text(200, r#"{"GetCallerIdentityResponse": {}}"#), false),
    ];
    for (reply, is_taken) in replies {
        let said = format!("{reply:?}");
        let sts = Double::start(move |_| reply.clone());
        let gateway = gateway(&sts.url(), &memory(), arns(ARN));
        let cloud_id = sign_cloud_id(&credentials, None, None, now()).unwrap();
        assert_eq!(log_in(&gateway, &cloud_id).await.is_ok(), is_taken, "{said}");
    }
}

#[tokio::test]
async fn a_method_of_aws_lets_in_whom_its_bounds_name_and_is_void_once_it_is_gone() {
    let aws = Aws::start();
    let gateway = gateway(aws.url(), &memory(), accounts("999999999999"));
    let method = |name: &str, kind| AuthMethod {
        name: name.to_owned(),
        access_id: format!("p-{name}").parse().unwrap(),
        kind,
        description: String::new(),
        access_expires: 0,
        created: 0,
        since: 0,
    };
    let of_user = |user: &str| MethodKind::AwsIam {
        bounds: AwsBounds { user_names: vec![user.to_owned()], ..accounts("123456789012") },
    };
    let methods = [
        method("ann", of_user("ann")),
        method("bob", of_user("bob")),
        method("key", MethodKind::api_key().0),
    ];
    let directory = gateway.directory().unwrap();
    directory
        .edit(|kept| {
            kept.methods = methods.to_vec();
            Ok(())
        })
        .await
        .unwrap();
    let token = gateway.login_with_aws("p-ann", &signed(&aws)).await.unwrap();
    for other in ["p-bob", "p-key", ADMIN] {
        assert_eq!(gateway.login_with_aws(other, &signed(&aws)).await, Err(LoginError::Wrong), "{other}");
    }
    assert!(gateway.verify(token.text.expose()).is_ok());
    directory
        .edit(|kept| {
            kept.methods.clear();
            Ok(())
        })
        .await
        .unwrap();
    assert!(gateway.verify(token.text.expose()).is_err());
    assert_eq!(gateway.login_with_aws("p-ann", &signed(&aws)).await, Err(LoginError::Wrong));
}

const ADMIN: &str = "p-admin";
const ARN: &str = "arn:aws:iam::123456789012:user/ann";
