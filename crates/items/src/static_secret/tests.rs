use gateward_clock::{ManualClock, Timestamp};
use gateward_seal::RootKey;
use gateward_store::MemoryStore;

use super::*;
use crate::{ItemState, ListQuery};

struct World {
    tree: Tree,
    secrets: StaticSecrets,
    clock: ManualClock,
}

fn world() -> World {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
    let tree = Tree::new(store);
    let sealer = Arc::new(Sealer::new(RootKey::generate()));
    let secrets = StaticSecrets::new(tree.clone(), sealer, Arc::new(clock.clone()));
    World { tree, secrets, clock }
}

fn name(text: &str) -> ItemName {
    ItemName::parse(text).unwrap()
}

fn new(text: &str, value: &str) -> NewStaticSecret {
    NewStaticSecret {
        name: name(text),
        value: SecretValue::from(value),
        format: Format::Text,
        description: None,
        tags: Vec::new(),
        delete_protection: false,
        max_versions: None,
        protection: None,
    }
}

impl World {
    async fn value(&self, text: &str, which: Which) -> Result<String, String> {
        let value = self.secrets.value(&name(text), which).await;
        value.map(|value| value.expose().to_owned()).map_err(|error| error.to_string())
    }

    async fn update(&self, text: &str, value: &str, keep: bool) -> u64 {
        let value = SecretValue::from(value);
        self.secrets.update(&name(text), &value, None, keep, None).await.unwrap()
    }
}

#[tokio::test]
async fn a_new_value_is_a_new_version_and_the_one_before_stays() {
    let world = world();
    world.secrets.create(new("/a/b", "one")).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(world.update("/a/b", "two", true).await, 2);
    assert_eq!(world.value("/a/b", Which::Current).await.as_deref(), Ok("two"));
    assert_eq!(world.value("/a/b", Which::Previous).await.as_deref(), Ok("one"));
    assert_eq!(world.value("/a/b", Which::Number(1)).await.as_deref(), Ok("one"));
    let record = world.tree.get(&name("/a/b")).await.unwrap().item.record;
    assert_eq!((record.last_version(), record.modified - record.created), (2, 5000));
    assert_eq!(world.secrets.roll_back(&name("/a/b"), 1).await.unwrap(), 3);
    assert_eq!(world.value("/a/b", Which::Current).await.as_deref(), Ok("one"));
}

#[tokio::test]
async fn a_version_that_is_not_kept_cannot_be_read() {
    let world = world();
    world.secrets.create(NewStaticSecret { max_versions: Some(2), ..new("/a", "one") }).await.unwrap();
    world.update("/a", "two", true).await;
    world.update("/a", "three", true).await;
    let gone = world.value("/a", Which::Number(1)).await.unwrap_err();
    assert_eq!(gone, "item /a has no version 1; it has 2, 3");
    world.update("/a", "four", false).await;
    assert_eq!(world.value("/a", Which::Previous).await.as_deref(), Ok("two"));
    let partition =
        world.secrets.values.key(world.tree.get(&name("/a")).await.unwrap().item.record.id, 1).partition;
    let everything = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let values = world.tree.store().list(&partition, everything, 100).await.unwrap();
    assert_eq!(values.len(), 2, "values without a version are left in the store");
}

#[tokio::test]
async fn only_the_expected_version_is_replaced() {
    let world = world();
    world.secrets.create(new("/a", "one")).await.unwrap();
    let value = SecretValue::from("two");
    let late = world.secrets.update(&name("/a"), &value, None, true, Some(7)).await;
    assert!(matches!(late, Err(ItemError::Changed(_))));
    assert_eq!(world.secrets.update(&name("/a"), &value, None, true, Some(1)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_deleted_secret_is_gone_with_its_values_and_a_protected_one_stays() {
    let world = world();
    let item = world.secrets.create(new("/a", "one")).await.unwrap();
    world.update("/a", "two", true).await;
    world.secrets.delete(&name("/a"), Some(2)).await.unwrap();
    assert_eq!(world.value("/a", Which::Current).await.as_deref(), Ok("one"));
    assert!(world.secrets.delete(&name("/a"), Some(2)).await.is_err());
    let (value, expected) = (SecretValue::from("three"), Some(1));
    let next = world.secrets.update(&name("/a"), &value, None, true, expected).await.unwrap();
    assert_eq!(next, 3, "who saw the second version must not take another for it");
    world.secrets.delete(&name("/a"), None).await.unwrap();
    assert_eq!(world.value("/a", Which::Current).await.unwrap_err(), "item /a does not exist");
    assert_eq!(world.tree.store().get(&world.secrets.values.key(item.record.id, 1)).await.unwrap(), None);
    world.secrets.create(NewStaticSecret { delete_protection: true, ..new("/a", "one") }).await.unwrap();
    assert!(matches!(world.secrets.delete(&name("/a"), None).await, Err(ItemError::Protected(_))));
    assert!(matches!(world.secrets.create(new("/a", "x")).await, Err(ItemError::Exists(_))));
}

#[tokio::test]
async fn a_disabled_secret_gives_nothing() {
    let world = world();
    world.secrets.create(new("/a", "one")).await.unwrap();
    world.tree.update(&name("/a"), |record| record.state = ItemState::Disabled).await.unwrap();
    assert!(world.value("/a", Which::Current).await.unwrap_err().contains("disabled"));
}

#[tokio::test]
async fn what_is_wrong_is_refused_without_repeating_it() {
    let world = world();
    let long = "canary".repeat(30_000);
    for (value, format) in [
        ("", Format::Text),
        (long.as_str(), Format::Text),
        ("canary", Format::Json),
        ("[\"canary\"]", Format::KeyValue),
        ("{\"a\": 1, \"b\": \"canary\"}", Format::KeyValue),
    ] {
        let error = world.secrets.create(NewStaticSecret { format, ..new("/a", value) }).await.unwrap_err();
        assert!(matches!(error, ItemError::Invalid(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
    world
        .secrets
        .create(NewStaticSecret { format: Format::KeyValue, ..new("/a", "{\"a\":\"b\"}") })
        .await
        .unwrap();
    for max_versions in [0, MOST_VERSIONS + 1] {
        let new = NewStaticSecret { max_versions: Some(max_versions), ..new("/b", "x") };
        assert!(matches!(world.secrets.create(new).await, Err(ItemError::Invalid(_))));
    }
}

#[tokio::test]
async fn nothing_of_a_value_stands_unsealed_in_the_store() {
    let world = world();
    let item = world.secrets.create(new("/a", "canary")).await.unwrap();
    let sealed = world.tree.store().get(&world.secrets.values.key(item.record.id, 1)).await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&sealed.value).contains("canary"));
}

#[tokio::test]
async fn lists_have_folders_pages_and_filters() {
    let world = world();
    for text in ["/a/b/one", "/a/two", "/ab/three", "/z"] {
        let tags = if text == "/z" { vec!["last".to_owned()] } else { Vec::new() };
        world.secrets.create(NewStaticSecret { tags, ..new(text, "x") }).await.unwrap();
    }
    let list = |query: ListQuery, limit| {
        let tree = world.tree.clone();
        async move {
            let page = tree.list(&query, limit).await.unwrap();
            let names: Vec<String> = page.items.iter().map(|item| item.name.to_string()).collect();
            (names, page.folders.into_iter().collect::<Vec<_>>(), page.next)
        }
    };
    let (names, folders, next) = list(ListQuery::default(), 10).await;
    assert_eq!(names, ["/a/b/one", "/a/two", "/ab/three", "/z"]);
    assert_eq!(folders, ["/a", "/a/b", "/ab"]);
    assert_eq!(next, None);
    let in_a = ListQuery { folder: "/a/".to_owned(), ..ListQuery::default() };
    assert_eq!(list(in_a.clone(), 10).await.0, ["/a/b/one", "/a/two"]);
    let (names, folders, _) = list(ListQuery { only_folder: true, ..in_a }, 10).await;
    assert_eq!((names, folders), (vec!["/a/two".to_owned()], vec!["/a/b".to_owned()]));
    let (names, _, next) = list(ListQuery::default(), 2).await;
    assert_eq!((names.len(), next.as_deref()), (2, Some("/a/two")));
    let (names, _, next) = list(ListQuery { after: next, ..ListQuery::default() }, 2).await;
    assert_eq!((names, next), (vec!["/ab/three".to_owned(), "/z".to_owned()], None));
    let tagged = ListQuery { tag: Some("last".to_owned()), ..ListQuery::default() };
    assert_eq!(list(tagged, 10).await.0, ["/z"]);
    let filtered = ListQuery { filter: Some("TWO".to_owned()), ..ListQuery::default() };
    assert_eq!(list(filtered, 10).await.0, ["/a/two"]);
    let dynamic = ListQuery { kinds: vec![ItemKind::DynamicSecret], ..ListQuery::default() };
    assert!(list(dynamic, 10).await.0.is_empty());
}

#[tokio::test]
async fn a_change_is_told_by_the_items_name() {
    let world = world();
    let before = world.secrets.revision().await.unwrap();
    world.secrets.create(new("/a/b", "one")).await.unwrap();
    let (after, names) = world.secrets.changes(before).await.unwrap();
    assert_eq!(names, [name("/a/b")]);
    world.update("/a/b", "two", true).await;
    assert_eq!(world.secrets.changes(after).await.unwrap().1, [name("/a/b")]);
}
