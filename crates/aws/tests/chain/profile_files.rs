//! The shared profile files.

use std::path::PathBuf;

use gateward_testkit::{CredentialServices, Moto};
use tempfile::TempDir;

use crate::world::{EXPIRES, World};

/// A home directory with both files in it.
struct Home(TempDir);

impl Home {
    fn new(credentials: &str, config: &str) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        let home = Self(folder);
        home.write("credentials", credentials);
        home.write("config", config);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(".aws").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn world(&self, more: &[(&str, &str)]) -> World {
        let usual = [("HOME", self.0.path().to_str().unwrap()), ("AWS_EC2_METADATA_DISABLED", "true")];
        World::new(&[&usual[..], more].concat())
    }
}

fn keys(heading: &str, key: &str) -> String {
    format!("[{heading}]\naws_access_key_id = {key}\naws_secret_access_key = canary-{key}\n")
}

#[tokio::test]
async fn the_profile_is_the_default_one_or_the_one_that_is_named() {
    let home = Home::new(
        &(keys("default", "AKIAONE") + &keys("other", "AKIATWO") + "aws_session_token = t\n"),
        &(keys("default", "AKIACONFIG") + &keys("profile third", "AKIATHREE") + &keys("fourth", "AKIAFOUR")),
    );
    assert_eq!(home.world(&[]).key().await, "AKIAONE", "the credentials file comes before the other");
    let other = home.world(&[("AWS_PROFILE", "other")]).get().await.unwrap();
    assert_eq!((other.access_key.as_str(), other.session_token.clone()), ("AKIATWO", Some("t".into())));
    assert_eq!(home.world(&[("AWS_PROFILE", "third")]).key().await, "AKIATHREE");
    let fourth = home.world(&[("AWS_PROFILE", "fourth")]).error().await;
    assert!(fourth.ends_with("profile files: there is no profile \"fourth\""), "{fourth}");
}

#[tokio::test]
async fn keys_are_taken_from_one_file_and_not_put_together_from_two() {
    let home = Home::new(
        &keys("default", "AKIAONE"),
        &(keys("default", "AKIATWO") + "aws_session_token = of-the-other\n"),
    );
    let credentials = home.world(&[]).get().await.unwrap();
    assert_eq!((credentials.access_key.as_str(), credentials.session_token.clone()), ("AKIAONE", None));
}

#[tokio::test]
async fn files_elsewhere_are_read_where_the_environment_says() {
    let home = Home::new(&keys("default", "AKIAHOME"), "");
    let elsewhere = Home::new(&keys("default", "AKIAELSE"), "");
    let path = elsewhere.path("credentials").to_str().unwrap().to_owned();
    assert_eq!(home.world(&[("AWS_SHARED_CREDENTIALS_FILE", &path)]).key().await, "AKIAELSE");
    home.write("more", &keys("default", "AKIATILDE"));
    assert_eq!(home.world(&[("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/more")]).key().await, "AKIATILDE");
    let error = home.world(&[("AWS_SHARED_CREDENTIALS_FILE", "/no/such/file")]).error().await;
    assert!(
        error.contains("profile files: AWS_SHARED_CREDENTIALS_FILE cannot be read: No such file"),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_is_changed_counts_within_seconds() {
    let home = Home::new(&keys("default", "AKIAONE"), "");
    let world = home.world(&[]);
    assert_eq!(world.key().await, "AKIAONE");
    home.write("credentials", &keys("default", "AKIATWO"));
    assert_eq!(world.current().as_deref(), Some("AKIAONE"));
    world.later(5);
    world.becomes(Some("AKIATWO")).await;
}

#[tokio::test]
async fn a_profile_that_is_gone_for_a_moment_is_being_written() {
    let services = CredentialServices::start(EXPIRES);
    let home = Home::new(&keys("default", "AKIAONE"), "");
    let container = format!("{}/container", services.url());
    let world = home.world(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container)]);
    assert_eq!(world.key().await, "AKIAONE");
    home.write("credentials", "");
    for _ in 0..5 {
        world.later(10);
        world.current();
        world.settle().await;
        assert_eq!(world.current().as_deref(), Some("AKIAONE"));
    }
    assert_eq!(services.handed_out(), 0, "nobody acts in the container's name meanwhile");
    home.write("credentials", &keys("default", "AKIATWO"));
    world.later(60);
    world.becomes(Some("AKIATWO")).await;
    // For good.
    std::fs::remove_file(home.path("credentials")).unwrap();
    for _ in 0..4 {
        world.later(30);
        world.current();
        world.settle().await;
    }
    world.later(60);
    world.becomes(Some("ASIA1")).await;
}

#[tokio::test]
async fn what_a_profile_wants_and_cannot_have_is_said() {
    for (config, why) in [
        ("credential_process = /bin/x", "has credential_process, which is not supported"),
        ("sso_session = s\nsso_account_id = 1", "has sso_session, which is not supported"),
        ("sso_start_url = https://x.example", "has sso_start_url, which is not supported"),
        ("aws_access_key_id = AKIA", "has aws_access_key_id and no aws_secret_access_key"),
        ("aws_secret_access_key = canary", "has aws_secret_access_key and no aws_access_key_id"),
        ("role_arn = arn:aws:iam::1:role/r", "has role_arn, and neither source_profile, credential_source"),
        ("role_arn = canary", "has a role_arn that must be a role's"),
        (
            "role_arn = arn:aws:iam::1:role/r\nsource_profile = b\nmfa_serial = m",
            "has mfa_serial, and nobody",
        ),
        ("role_arn = arn:aws:iam::1:role/r\nsource_profile = absent", "there is no profile \"absent\""),
        ("role_arn = arn:aws:iam::1:role/r\nsource_profile = empty", "\"empty\" has no keys and no role_arn"),
        ("role_arn = arn:aws:iam::1:role/r\nsource_profile = loop", "source_profile leads back to it"),
        (
            "role_arn = arn:aws:iam::1:role/r\ncredential_source = Elsewhere",
            "has a credential_source that is none of Ec2InstanceMetadata, EcsContainer, Environment",
        ),
        (
            "role_arn = arn:aws:iam::1:role/r\ncredential_source = Environment\nsource_profile = b",
            "has both source_profile and credential_source; drop one",
        ),
        (
            "role_arn = arn:aws:iam::1:role/r\nsource_profile = b\nduration_seconds = canary",
            "has a duration_seconds that is no number",
        ),
    ] {
        let more = "\n[profile empty]\nregion = x\n[profile loop]\nrole_arn = arn:aws:iam::1:role/l\nsource_profile = default";
        let home = Home::new("", &format!("[default]\n{config}\n{more}\n{}", keys("profile b", "AKIAB")));
        let error = home.world(&[]).error().await;
        assert!(error.contains(why), "{config}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
    let home = Home::new("", "[default]\nregion = eu-west-1\n");
    assert!(
        home.world(&[]).error().await.contains("profile \"default\" has no keys and no role_arn; container")
    );
}

#[tokio::test]
async fn a_profiles_role_is_assumed_with_the_profile_or_source_that_it_names() {
    let moto = Moto::start();
    let (key, secret) = moto.create_access_key("gateway", &["sts:AssumeRole"]);
    let role = moto.create_role("worker", &["s3:*"]);
    let middle = moto.create_role("middle", &["sts:AssumeRole"]);
    moto.check_signatures();
    let keys = format!("aws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    let base = format!("[profile base]\n{keys}");
    let environment = [("AWS_ACCESS_KEY_ID", key.as_str()), ("AWS_SECRET_ACCESS_KEY", secret.as_str())];
    for config in [
        format!("[default]\nrole_arn = {role}\nsource_profile = base\nregion = eu-west-1\n{base}"),
        format!("[default]\nrole_arn = {role}\nsource_profile = default\n{keys}"),
        format!(
            "[default]\nrole_arn = {role}\nsource_profile = middle\n\
             [profile middle]\nrole_arn = {middle}\nsource_profile = base\n{base}"
        ),
    ] {
        let home = Home::new("", &config);
        let world = home.world(&[("AWS_ENDPOINT_URL_STS", moto.url())]);
        assert!(world.key().await.starts_with("ASIA"));
    }
    // A source is named, and the environment does not decide by itself as long as its keys lack.
    let home = Home::new("", &format!("[default]\nrole_arn = {role}\ncredential_source = Environment\n"));
    let error = home.world(&[("AWS_ENDPOINT_URL_STS", moto.url())]).error().await;
    assert!(error.contains("profile files: AWS_ACCESS_KEY_ID is not set"), "{error}");
    let by_environment = home.world(&[&environment[..], &[("AWS_ENDPOINT_URL_STS", moto.url())]].concat());
    assert_eq!(by_environment.key().await, key, "the environment comes before the files");
}
