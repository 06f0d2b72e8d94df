//! The gateway's own static secrets as a vault.

use std::sync::Arc;

use gateward_clock::ManualClock;
use gateward_items::{Format, ItemState, NewStaticSecret, StaticSecrets, Tree};
use gateward_model::ItemName;
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{MemoryStore, Store};
use gateward_testkit::Canary;
use gateward_vaults::{MissKind, Reference};
use serde_json::json;
use tokio::sync::mpsc;

use crate::world::{START, World, refused};

struct Own {
    tree: Tree,
    secrets: Arc<StaticSecrets>,
    world: World,
}

fn own() -> Own {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let tree = Tree::new(store);
    let sealer = Arc::new(Sealer::new(RootKey::generate()));
    let clock = Arc::new(ManualClock::at(START));
    let secrets = Arc::new(StaticSecrets::new(tree.clone(), sealer, clock));
    let world = World::with_own(
        &[],
        gateward_vaults::Own { secrets: Some(Arc::clone(&secrets)), ..Default::default() },
    );
    Own { tree, secrets, world }
}

fn name(text: &str) -> ItemName {
    ItemName::parse(text).unwrap()
}

impl Own {
    async fn put(&self, text: &str, value: &str) {
        let new = NewStaticSecret {
            name: name(text),
            value: SecretValue::from(value),
            format: Format::Text,
            description: None,
            tags: Vec::new(),
            delete_protection: false,
            protection: None,
            max_versions: None,
        };
        self.secrets.create(new).await.unwrap();
    }

    async fn update(&self, text: &str, value: &str) {
        self.secrets.update(&name(text), &SecretValue::from(value), None, true, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_static_secret_is_found_by_its_name_its_field_and_its_version() {
    let own = own();
    let canary = Canary::new("own");
    own.put("/databases/orders", &json!({"password": canary.text(), "port": 5432}).to_string()).await;
    own.put("/databases/plain", "one").await;
    own.update("/databases/plain", "two").await;
    own.world.has(&[("team", "gateward", json!({"prefix": "/databases/"}))]);
    for (reference, value) in [
        ("gateward/databases/orders/password", canary.text()),
        ("gateward/%2Fdatabases%2Forders/password", canary.text()),
        ("gateward/databases/orders/port", "5432"),
        ("gateward/databases/plain", "two"),
        ("gateward/databases/plain#2", "one"),
        ("team/orders/password", canary.text()),
        ("team/plain", "two"),
    ] {
        assert_eq!(own.world.get(reference).await.as_deref(), Ok(value), "{reference}");
    }
    for reference in ["gateward/databases/nowhere/x", "gateward/databases/orders#2", "team/databases/plain"] {
        assert_eq!(own.world.kind(reference).await, Err(MissKind::NotFound), "{reference}");
    }
    own.tree.update(&name("/databases/plain"), |record| record.state = ItemState::Disabled).await.unwrap();
    own.world.has(&[("other", "gateward", json!({}))]);
    assert_eq!(own.world.kind("other/databases/plain/").await, Err(MissKind::Denied));
    own.world.kept_to_itself([&canary]);
}

#[tokio::test]
async fn a_new_value_is_in_force_without_a_ttl() {
    let own = own();
    own.put("/key", "one").await;
    let (told, mut values) = mpsc::unbounded_channel();
    let reference = Reference::parse("{vault://gateward/key}").unwrap().unwrap();
    let changed = move |values: Option<&[SecretValue]>| {
        told.send(values.map(|values| values[0].expose().to_owned())).unwrap();
    };
    let _binding = own.world.resolver.bind(vec![reference], Box::new(changed));
    assert_eq!(values.recv().await.unwrap().as_deref(), Some("one"));
    own.update("/key", "two").await;
    assert_eq!(values.recv().await.unwrap().as_deref(), Some("two"));
}

#[tokio::test]
async fn outside_of_a_gateway_there_are_no_static_secrets() {
    let world = World::new(&[]);
    let unresolved = world.get("gateward/key").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Misconfigured);
    assert!(unresolved.problem.contains("--gateway-url"), "{unresolved}");
}

#[test]
fn a_prefix_is_a_folder() {
    assert!(refused("gateward", &json!({"prefix": "/a//b"})).contains("config.prefix"));
    assert!(refused("gateward", &json!({"folder": "/a"})).contains("unknown field"));
}
