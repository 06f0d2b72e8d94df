//! Each service that hands out credentials, as it is when all is well, and what it is asked.

use gateward_testkit::{CredentialServices, TokenRequest};
use tempfile::TempDir;

use crate::world::{EXPIRES, UNTIL_REFRESH, World};

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_task_of_ecs_shows_the_token_of_its_environment() {
    let services = CredentialServices::start(EXPIRES);
    services.set(|manners| manners.container_token = Some("canary-task".to_owned()));
    let uri = format!("{}/container", services.url());
    let world = World::new(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-task"),
    ]);
    let credentials = world.get().await.unwrap();
    assert_eq!(credentials.access_key, "ASIA1");
    assert!(services.secrets().iter().any(|secret| secret == credentials.secret_key.expose()));
    assert!(credentials.session_token.is_some());

    let stranger = World::new(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri)]);
    let expected = "container: it answers with status 401 (AccessDenied)";
    assert!(stranger.error().await.ends_with(expected), "{}", stranger.error().await);
}

#[tokio::test]
async fn a_pod_shows_the_token_of_its_file_as_it_is_at_the_time() {
    let services = CredentialServices::start(EXPIRES);
    services.set(|manners| manners.container_token = Some("canary-one".to_owned()));
    let folder = TempDir::new().unwrap();
    let token = file(&folder, "token", "canary-one\n");
    let uri = format!("{}/container", services.url());
    let world = World::new(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &token),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this one"),
    ]);
    assert_eq!(world.key().await, "ASIA1");
    services.set(|manners| {
        manners.container_token = Some("canary-two".to_owned());
        manners.expires = "2023-11-15T05:00:00Z".to_owned();
    });
    file(&folder, "token", "canary-two");
    world.later(UNTIL_REFRESH);
    world.becomes(Some("ASIA2")).await;
    assert_eq!(services.handed_out(), 2);
}

#[tokio::test]
async fn a_containers_address_without_tls_must_stay_on_the_machine() {
    for (uri, why) in [
        ("http://169.254.169.254/x", "without TLS must name"),
        ("http://credentials.example/x", "without TLS must name"),
        ("ftp://127.0.0.1/x", "must be an absolute http or https address"),
        ("/x", "must be an absolute http or https address"),
    ] {
        let world = World::new(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri)]);
        assert!(world.error().await.contains(why), "{uri}: {}", world.error().await);
    }
    let world = World::new(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "evil.example/x")]);
    assert!(world.error().await.contains("must be a path"), "{}", world.error().await);
}

#[tokio::test]
async fn an_instance_is_asked_for_a_token_for_its_role_and_for_the_roles_credentials() {
    let services = CredentialServices::start(EXPIRES);
    let world = World::new(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &services.url())]);
    assert_eq!(world.key().await, "ASIA1");
    let asked: Vec<String> = services.asked().iter().map(|asked| asked.what.clone()).collect();
    assert_eq!(
        asked,
        [
            "PUT /latest/api/token",
            "GET /latest/meta-data/iam/security-credentials/",
            "GET /latest/meta-data/iam/security-credentials/the-role",
        ]
    );
}

#[tokio::test]
async fn version_one_is_asked_where_tokens_are_refused_or_lost() {
    for lack in [
        TokenRequest::Refused(403),
        TokenRequest::Refused(404),
        TokenRequest::Refused(405),
        TokenRequest::Lost,
    ] {
        let services = CredentialServices::start(EXPIRES);
        services.set(|manners| {
            manners.token_request = lack;
            manners.answers_without_token = true;
        });
        let world = World::new(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &services.url())]);
        assert_eq!(world.key().await, "ASIA1", "{lack:?}");
        assert!(services.asked()[1].header("x-aws-ec2-metadata-token").is_none());
    }
}

#[tokio::test]
async fn version_one_is_never_asked_where_it_is_forbidden() {
    let folder = TempDir::new().unwrap();
    let config = file(&folder, "config", "[default]\nec2_metadata_v1_disabled = true\n");
    for forbidden in [
        ("AWS_EC2_METADATA_V1_DISABLED", "true"),
        ("AWS_EC2_METADATA_V1_DISABLED", "1"),
        ("AWS_CONFIG_FILE", &config),
    ] {
        for lack in [TokenRequest::Refused(403), TokenRequest::Lost] {
            let services = CredentialServices::start(EXPIRES);
            services.set(|manners| {
                manners.token_request = lack;
                manners.answers_without_token = true;
            });
            let world = World::new(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &services.url()), forbidden]);
            let error = world.error().await;
            assert!(error.contains("instance metadata: it gives no token"), "{error}");
            assert!(error.ends_with("its version 1 is forbidden"), "{error}");
            assert!(services.asked().iter().all(|asked| asked.what.starts_with("PUT ")));
            assert_eq!(services.handed_out(), 0);
        }
    }
}

#[tokio::test]
async fn a_refusal_that_says_nothing_of_versions_is_none_to_go_on_after() {
    let services = CredentialServices::start(EXPIRES);
    services.set(|manners| {
        manners.token_request = TokenRequest::Refused(400);
        manners.answers_without_token = true;
    });
    let world = World::new(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &services.url())]);
    assert!(world.error().await.ends_with("it gives no token (status 400)"));
}

#[tokio::test]
async fn a_machine_whose_metadata_are_forbidden_is_not_asked() {
    let services = CredentialServices::start(EXPIRES);
    let world = World::new(&[
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &services.url()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]);
    let error = world.error().await;
    assert!(error.ends_with("instance metadata: AWS_EC2_METADATA_DISABLED forbids it"), "{error}");
    assert!(services.asked().is_empty());
    let allowed = World::new(&[
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &services.url()),
        ("AWS_EC2_METADATA_DISABLED", "false"),
    ]);
    assert_eq!(allowed.key().await, "ASIA1");
}

#[tokio::test]
async fn a_service_accounts_token_is_exchanged_for_a_session_as_it_is_at_the_time() {
    let services = CredentialServices::start(EXPIRES);
    let folder = TempDir::new().unwrap();
    let token = file(&folder, "token", "canary-web-identity\n");
    let world = World::new(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod"),
        ("AWS_ROLE_SESSION_NAME", "orders"),
        ("AWS_ENDPOINT_URL_STS", &services.url()),
        ("AWS_REGION", "eu-west-1"),
    ]);
    assert_eq!(world.key().await, "ASIA1");
    let asked = services.asked().remove(0);
    for part in [
        "Action=AssumeRoleWithWebIdentity",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fpod",
        "RoleSessionName=orders",
    ] {
        assert!(asked.body.split('&').any(|found| found == part), "{}", asked.body);
    }
    assert_eq!(asked.header("authorization"), None, "there is nothing yet to sign with");

    services.set(|manners| {
        manners.web_identity_token = "canary-another".to_owned();
        manners.expires = "2023-11-15T05:00:00Z".to_owned();
    });
    file(&folder, "token", "canary-another");
    world.current();
    world.later(UNTIL_REFRESH);
    world.becomes(Some("ASIA2")).await;
}

#[tokio::test]
async fn a_web_identity_that_lacks_something_says_what() {
    let services = CredentialServices::start(EXPIRES);
    let folder = TempDir::new().unwrap();
    let (empty, wrong) = (file(&folder, "empty", "\n"), file(&folder, "wrong", "canary-wrong"));
    let absent = folder.path().join("absent").to_str().unwrap().to_owned();
    let arn = ("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod");
    let sts = services.url();
    for (path, arn, why) in [
        (&empty, arn, "the web identity token file is empty"),
        (&absent, arn, "the web identity token file cannot be read: No such file or directory (os error 2)"),
        (&wrong, arn, "STS refuses it (InvalidIdentityToken, status 400)"),
        (
            &wrong,
            ("AWS_ROLE_ARN", ""),
            "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not; set both",
        ),
    ] {
        let token = ("AWS_WEB_IDENTITY_TOKEN_FILE", path.as_str());
        let world = World::new(&[token, arn, ("AWS_ENDPOINT_URL_STS", &sts)]);
        assert!(world.error().await.ends_with(&format!("web identity: {why}")), "{}", world.error().await);
    }
}

#[tokio::test]
async fn what_is_no_ordinary_file_is_not_waited_for() {
    let world = World::new(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/dev/zero"),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod"),
    ]);
    assert!(world.error().await.ends_with("cannot be read: it is not an ordinary file"));
}

#[tokio::test]
async fn the_machine_says_in_which_region_it_is_and_is_asked_until_it_has() {
    let services = CredentialServices::start(EXPIRES);
    let asked = || services.asked().iter().filter(|asked| asked.what.ends_with("/placement/region")).count();
    let world = World::new(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &services.url())]);
    services.set(|manners| manners.region = None);
    assert_eq!(world.chain.machine_region().await, None);
    services.set(|manners| manners.region = Some("evil.example/".to_owned()));
    world.later(59);
    assert_eq!((world.chain.machine_region().await, asked()), (None, 1), "it was asked just now");
    world.later(1);
    assert_eq!((world.chain.machine_region().await, asked()), (None, 2), "that is no region");
    services.set(|manners| manners.region = Some("eu-north-1\n".to_owned()));
    world.later(60);
    for _ in 0..3 {
        assert_eq!(world.chain.machine_region().await.as_deref(), Some("eu-north-1"));
        world.later(60);
    }
    assert_eq!((asked(), services.handed_out()), (3, 0));
    assert_eq!(world.chain.region(), None, "whoever cannot wait does not ask");
    let endpoint = services.url();
    let forbidden = World::new(&[
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]);
    assert_eq!((forbidden.chain.machine_region().await, asked()), (None, 3));
}
