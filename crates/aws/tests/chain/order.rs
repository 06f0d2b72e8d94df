//! Which source decides where several are set up.

use gateward_testkit::{CredentialServices, Fault};
use tempfile::TempDir;

use crate::world::{EXPIRES, World};

#[tokio::test]
async fn the_sources_are_asked_in_the_order_of_the_documents() {
    let services = CredentialServices::start(EXPIRES);
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "canary-web-identity").unwrap();
    let credentials = folder.path().join("credentials");
    std::fs::write(&credentials, "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = s\n")
        .unwrap();
    let (url, container) = (services.url(), format!("{}/container", services.url()));
    let all: [&[(&str, &str)]; 5] = [
        &[("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "s")],
        &[("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap())],
        &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container)],
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod"),
            ("AWS_ENDPOINT_URL_STS", &url),
        ],
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)],
    ];
    let mut met = Vec::new();
    for first in 0..all.len() {
        let world = World::new(&all[first..].concat());
        let asked_before = services.asked().len();
        met.push(world.key().await);
        let asked = services.asked().split_off(asked_before);
        let asked: Vec<&str> = asked.iter().map(|asked| asked.what.as_str()).collect();
        match first {
            0 | 1 => assert!(asked.is_empty(), "{asked:?}"),
            2 => assert_eq!(asked, ["GET /container"]),
            3 => assert_eq!(asked, ["POST /"]),
            _ => assert_eq!(asked[0], "PUT /latest/api/token"),
        }
    }
    assert_eq!(met, ["AKIAENV", "AKIAFILE", "ASIA1", "ASIA2", "ASIA3"]);
}

#[tokio::test]
async fn a_source_that_fails_is_not_replaced_by_the_machine() {
    let services = CredentialServices::start(EXPIRES);
    services.fail(Fault::Status(500), 2);
    let container = format!("{}/container", services.url());
    let world = World::new(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &services.url()),
    ]);
    let error = world.error().await;
    assert!(error.ends_with("container: it answers with status 500 (no error named)"), "{error}");
    assert!(services.asked().iter().all(|asked| asked.what == "GET /container"));
}

#[tokio::test]
async fn where_nothing_is_set_up_the_error_says_what_could_be() {
    let world = World::new(&[("AWS_EC2_METADATA_DISABLED", "true")]);
    assert_eq!(
        world.error().await,
        "no AWS credentials: environment: AWS_ACCESS_KEY_ID is not set; profile files: there is no profile \
         \"default\"; container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set; web identity: \
         AWS_WEB_IDENTITY_TOKEN_FILE is not set; instance metadata: AWS_EC2_METADATA_DISABLED forbids it"
    );
}

#[tokio::test]
async fn the_region_comes_from_the_environment_or_the_profile() {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, "[default]\nregion = eu-west-1\n[profile other]\nregion = eu-west-2\n").unwrap();
    let file = ("AWS_CONFIG_FILE", config.to_str().unwrap());
    for (environment, region) in [
        (vec![file], Some("eu-west-1")),
        (vec![file, ("AWS_PROFILE", "other")], Some("eu-west-2")),
        (vec![file, ("AWS_DEFAULT_REGION", "us-east-2")], Some("us-east-2")),
        (vec![file, ("AWS_DEFAULT_REGION", "us-east-2"), ("AWS_REGION", "us-west-1")], Some("us-west-1")),
        (vec![], None),
    ] {
        assert_eq!(World::new(&environment).chain.region().as_deref(), region, "{environment:?}");
    }
    for (environment, why) in [
        (vec![], "no region is set"),
        (vec![file, ("AWS_PROFILE", "nope")], "no region is set, and there is no profile \"nope\""),
        (
            vec![("AWS_CONFIG_FILE", "/nope")],
            "no region is set, and AWS_CONFIG_FILE cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        let world = World::new(&environment);
        assert_eq!(world.chain.why_no_region(), why);
    }
}
