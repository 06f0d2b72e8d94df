//! Each service that hands out credentials, in every way out of order: what is held serves until it ends, the error says
//! who failed and how, nothing that was secret is said, and when the service is well again, so are we.

use std::time::Duration;

use gateward_testkit::{CredentialServices, Fault};
use tempfile::TempDir;

use crate::world::{EXPIRES, Log, UNTIL_REFRESH, World, eventually};

const SOURCES: [&str; 3] = ["container", "instance metadata", "web identity"];

/// A world whose credentials come from `source`, which `services` play.
fn world(source: &str, services: &CredentialServices, folder: &TempDir) -> World {
    let url = services.url();
    match source {
        "container" => World::new(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{url}/container"))]),
        "instance metadata" => World::new(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url)]),
        _ => {
            let path = folder.path().join("token");
            std::fs::write(&path, "canary-web-identity").unwrap();
            World::new(&[
                ("AWS_WEB_IDENTITY_TOKEN_FILE", path.to_str().unwrap()),
                ("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod"),
                ("AWS_ENDPOINT_URL_STS", &url),
            ])
        }
    }
}

#[tokio::test]
async fn a_source_that_fails_is_named_and_nothing_secret_is_said() {
    for source in SOURCES {
        for fault in [Fault::Status(500), Fault::Garbage, Fault::Cut] {
            let (services, folder) = (CredentialServices::start(EXPIRES), TempDir::new().unwrap());
            let world = world(source, &services, &folder);
            let log = Log::default();
            let collecting = log.collect();
            services.fail(fault, usize::MAX);
            let error = world.error().await;
            assert!(error.contains(&format!("; {source}: ")), "{fault:?}: {error}");
            // Before the pause is over nobody is asked again.
            let asked = services.asked().len();
            assert_eq!(world.error().await, error);
            assert_eq!(services.asked().len(), asked, "{source} {fault:?}");
            services.recover();
            world.later(2);
            assert_eq!(world.key().await, "ASIA1", "{source} {fault:?}");
            drop(collecting);
            let said = format!("{error}\n{:?}\n{:?}\n{}", world.get().await, world.provider, log.text());
            assert!(log.text().contains(source), "the failure is logged: {}", log.text());
            for secret in services.secrets().iter().chain([&"canary-web-identity".to_owned()]) {
                assert!(!said.contains(secret), "{source} {fault:?}: {secret} in {said}");
            }
        }
    }
}

#[tokio::test]
async fn a_source_that_fails_once_is_given_another_chance_at_once() {
    for source in SOURCES {
        for fault in [Fault::Status(500), Fault::Status(503)] {
            let (services, folder) = (CredentialServices::start(EXPIRES), TempDir::new().unwrap());
            let world = world(source, &services, &folder);
            services.fail(fault, 1);
            assert_eq!(world.key().await, "ASIA1", "{source} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_source_that_is_silent_costs_seconds_and_not_for_ever() {
    for source in SOURCES {
        let (services, folder) = (CredentialServices::start(EXPIRES), TempDir::new().unwrap());
        let world = world(source, &services, &folder);
        services.fail(Fault::Silence, usize::MAX);
        let error = tokio::time::timeout(Duration::from_secs(8), world.error()).await.unwrap();
        assert!(error.contains(&format!("; {source}: ")) || error.ends_with("in time"), "{error}");
    }
}

#[tokio::test]
async fn credentials_that_have_ended_are_none() {
    for source in SOURCES {
        let (services, folder) = (CredentialServices::start("2023-11-14T22:13:20Z"), TempDir::new().unwrap());
        let world = world(source, &services, &folder);
        let error = world.error().await;
        let why = format!("{source}: the credentials that it gave have ended at 2023-11-14T22:13:20Z");
        assert!(error.ends_with(&why), "{error}");
        assert_eq!(world.current(), None);
    }
}

#[tokio::test]
async fn an_outage_is_survived_by_the_old_set_until_it_really_ends() {
    for source in SOURCES {
        let (services, folder) = (CredentialServices::start(EXPIRES), TempDir::new().unwrap());
        let world = world(source, &services, &folder);
        assert_eq!(world.key().await, "ASIA1");
        services.fail(Fault::Status(503), usize::MAX);
        let asked = services.asked().len();
        world.later(UNTIL_REFRESH);
        // Up to the last seconds before its end.
        for _ in 0..22 {
            assert_eq!(world.current().as_deref(), Some("ASIA1"), "{source}");
            tokio::time::sleep(Duration::from_millis(10)).await;
            world.later(10);
        }
        eventually(|| services.asked().len() > asked, || format!("{source} to be asked")).await;
        world.later(20);
        assert_eq!(world.current(), None, "{source}: it has ended");
        assert!(world.error().await.contains(source));
        services.recover();
        services.set(|manners| manners.expires = "2023-11-15T05:00:00Z".to_owned());
        eventually(
            || {
                world.later(10);
                world.current().as_deref() == Some("ASIA2")
            },
            || format!("another set of {source}"),
        )
        .await;
    }
}
