//! `kill -9` at every durable step, then a restart. The table in docs/leases.md is what this has seen.
//!
//! Each step is lived by a process of its own: this test program started again, with a store on disk, a producer whose
//! credentials are files, and a failpoint at which it kills itself. Then the next process starts on the same store, some
//! hours later by its clock, and goes on until nothing is left to do. So no lease ends by itself while the first lives,
//! however slow the machine is, and nothing is waited for in the second.

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{Clock, SystemClock, Timestamp};
use gateward_model::{DynamicSecret, GoDuration};
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{LocalStore, Store};
use serde_json::Map;

use super::world::{PLAIN, REMEMBERING, holder, name, secret};
use crate::engine::{Engine, EngineParts, EngineSettings, Settlement, Wish};
use crate::items::{Catalog, NewDynamicSecret};
use crate::lease::{Lease, LeaseState, Verdict};
use crate::producer::{
    Capabilities, CreateError, Created, Order, Producer, Producers, RevokeAnswer, RevokeCallError,
    RevokeFailure,
};

/// A step that is durable, or that a call has taken; how it is come by; and what of it people read.
const STEPS: [(&str, &str, &str); 16] = [
    ("intent", "issue", "INTENT is written, the producer is not called yet"),
    ("created", "issue", "the producer has made it, and its answer is not written"),
    ("withdrawn", "issue-refused", "the producer has refused, INTENT is taken back"),
    ("active", "issue", "ACTIVE is written, the caller has not heard of it"),
    ("unknown", "issue-lost", "the answer was lost, UNKNOWN is written"),
    ("asked-again", "issue-lost-remembering", "a producer that remembers has told what it made"),
    ("discarded", "issue-unusable", "the answer was unusable, REVOKING is written"),
    ("renewed", "renew", "a renewal is written, the caller has not heard of it"),
    ("wished", "revoke", "somebody wants it revoked, and that is written"),
    ("claimed", "revoke", "the revocation is claimed, the producer is not called yet"),
    ("revoke-answered", "revoke", "the producer has revoked it, and that is not written"),
    ("revoked", "revoke", "REVOKED is written"),
    ("let-go", "shared", "a lease has ended whose credential another holds"),
    ("retried", "revoke-fails", "the producer has failed, the next attempt is written"),
    ("parked", "revoke-refused", "the producer refuses for good, PARKED is written"),
    ("settled", "settle", "an operator has settled an UNKNOWN lease"),
];

/// How often a step is lived until it shows its own moment.
const LIVES: usize = 4;

#[test]
fn no_credential_is_lost_by_kill_minus_nine_at_any_durable_step() {
    if let Some((folder, scenario)) = told_to_live() {
        return live(&folder, &scenario);
    }
    let mut rows = vec![
        "| killed when | credentials then | seen after the restart | and in the end |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    let page =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/leases.md")).unwrap();
    std::thread::scope(|scope| {
        let page = &page;
        let lives: Vec<_> = STEPS
            .map(|(place, scenario, words)| {
                scope.spawn(move || {
                    let mut row = String::new();
                    // On a busy machine another task may have gone on before the process dies; that life then shows a
                    // later moment than its step's.
                    for _ in 0..LIVES {
                        let (alive, seen, end) = killed_at(place, scenario);
                        row = format!("| {words} (`{place}`) | {alive} | {seen} | {end} |");
                        if page.contains(&row) {
                            break;
                        }
                    }
                    row
                })
            })
            .into();
        rows.extend(lives.into_iter().map(|life| life.join().expect("a step that was lived")));
    });
    let seen = rows.join("\n");
    assert!(page.contains(&seen), "docs/leases.md is to have this table:\n\n{seen}\n");
}

/// What was alive when it was killed, how the lease stood when the next process had begun, and what came of it.
fn killed_at(place: &str, scenario: &str) -> (usize, String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("users")).unwrap();
    let run = |scenario: &str, failpoint: Option<&str>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--quiet", TEST]);
        command.env(LIVE, format!("{scenario} {}", folder.path().display()));
        command.envs(failpoint.map(|place| ("GATEWARD_FAILPOINT", place)));
        command.output().unwrap()
    };
    let first = run(scenario, Some(place));
    assert_eq!(first.status.signal(), Some(9), "{place}: {}", String::from_utf8_lossy(&first.stdout));
    let alive = users(folder.path()).len();
    let second = run("go-on", None);
    assert!(second.status.success(), "{place}: {}", String::from_utf8_lossy(&second.stdout));
    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    let left = fs::read_to_string(folder.path().join("left")).unwrap();
    let alive_in_the_end = users(folder.path()).len();
    let end = match (alive_in_the_end, left.as_str()) {
        (0, "nothing") => "nothing is left".to_owned(),
        (0, left) => format!("{left}, and nothing works"),
        (_, "nothing") => panic!("{place}: a credential works, and nobody knows"),
        (_, left) => format!("reported: {left}"),
    };
    (alive, seen, end)
}

/// One process: lives `scenario`, until it is killed or everything is done.
fn live(folder: &Path, scenario: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine = engine(folder, scenario).await;
        if scenario == "go-on" {
            fs::write(folder.join("seen"), told(&engine).await).unwrap();
            engine.start();
            for lease in leases(&engine).await {
                // It is tried again within the hour, or when somebody says so.
                if let LeaseState::Parked(_) = lease.state {
                    engine.revoke(lease.item_id, lease.id).await.unwrap();
                }
            }
            // Until nobody but people can do anything more.
            while let Some(due) = leases(&engine).await.iter().filter_map(Lease::due).min() {
                // No event tells of it: it is looked at again when the next step may have been taken, and now and then.
                let now = LATER.now();
                LATER.sleep_until(due.clamp(now, now + LOOK) + Duration::from_millis(50)).await;
            }
            fs::write(folder.join("left"), told(&engine).await).unwrap();
            return;
        }
        engine.start();
        let item = if scenario.ends_with("remembering") { REMEMBERING } else { PLAIN };
        let wish = Wish::default();
        let issued = engine.issue(&name(item), holder(1), wish.clone()).await;
        let verdict = Verdict { by: "p-operator".to_owned(), reason: "looked".to_owned() };
        match scenario {
            "renew" => {
                let _ = engine.renew(item, issued.unwrap().lease_id, wish.ttl).await;
            }
            "shared" => {
                let _ = engine.issue(&name(item), holder(1), wish).await;
                let _ = engine.revoke(item, issued.unwrap().lease_id).await;
            }
            "settle" => {
                let unknown = leases(&engine).await.remove(0);
                let credential = Settlement::Credential(users(folder).pop_first().unwrap());
                let _ = engine.settle(item, unknown.id, credential, verdict).await;
            }
            scenario if scenario.starts_with("revoke") => {
                let _ = engine.revoke(item, issued.unwrap().lease_id).await;
            }
            _ => {}
        }
        // What comes next is the timer's, or there is nothing more. The kill is the event; this is its deadline.
        let killed = std::future::pending::<()>();
        let _ = tokio::time::timeout(Duration::from_secs(120), killed).await;
        panic!("{scenario} has not come to its failpoint");
    });
}

async fn engine(folder: &Path, scenario: &str) -> Arc<Engine> {
    let store: Arc<dyn Store> = LocalStore::open(&folder.join("store")).unwrap();
    let key = RootKey::from_file_or_create(&folder.join("key")).unwrap();
    let clock: Arc<dyn Clock> = if scenario == "go-on" { Arc::new(LATER) } else { Arc::new(SystemClock) };
    let catalog = Catalog::new(Arc::clone(&store), Arc::new(Sealer::new(key)), Arc::clone(&clock));
    for id in [PLAIN, REMEMBERING] {
        if !catalog.exists(&name(id)).await.unwrap() {
            let secret = DynamicSecret { user_ttl: GoDuration::minutes(60), ..secret(id) };
            catalog.create(&NewDynamicSecret::new(secret, SecretValue::from("payload"))).await.unwrap();
        }
    }
    Engine::new(EngineParts {
        store,
        catalog: Arc::new(catalog),
        producers: Arc::new(Files { folder: folder.join("users"), scenario: scenario.to_owned() }),
        clock,
        runtime: tokio::runtime::Handle::current(),
        owner: "the only process".to_owned(),
        settings: EngineSettings::default(),
    })
}

async fn leases(engine: &Engine) -> Vec<Lease> {
    let mut leases = engine.leases(PLAIN).await.unwrap();
    leases.extend(engine.leases(REMEMBERING).await.unwrap());
    leases
}

/// How the leases stand, in the words of the documentation.
async fn told(engine: &Engine) -> String {
    let words: BTreeSet<_> = leases(engine)
        .await
        .iter()
        .map(|lease| match lease.state {
            LeaseState::Intent { .. } => "INTENT",
            LeaseState::Active { .. } => "ACTIVE",
            LeaseState::Revoking(_) => "REVOKING",
            LeaseState::Parked(_) => "PARKED",
            LeaseState::Unknown { .. } => "UNKNOWN",
            _ => "over",
        })
        .collect();
    match words.is_empty() {
        true => "nothing".to_owned(),
        false => words.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// The system's clock, some hours later. The time that a machine has run is later by as much, so that it is no jump.
#[derive(Clone, Copy)]
struct Later(Duration);

const LATER: Later = Later(Duration::from_secs(5 * 3600));

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }

    fn uptime(&self) -> Duration {
        SystemClock.uptime() + self.0
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        SystemClock.sleep_until(deadline - self.0)
    }

    fn pass(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        SystemClock.pass(span)
    }
}

/// A producer whose credentials are files.
#[derive(Clone)]
struct Files {
    folder: PathBuf,
    scenario: String,
}

impl Producers for Files {
    fn of(&self, _: &DynamicSecret, _: SecretValue) -> Box<dyn Producer> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Producer for Files {
    async fn create(&self, order: &Order) -> Result<Created, CreateError> {
        if self.scenario == "issue-refused" {
            return Err(CreateError::NotCreated("no".to_owned()));
        }
        let shared = self.scenario == "shared";
        let id = if shared { "team".to_owned() } else { order.lease_id.to_string() };
        let file = self.folder.join(&id);
        let is_new = !file.exists();
        fs::write(file, "").map_err(|error| CreateError::NotCreated(error.to_string()))?;
        let lost = is_new && self.scenario.starts_with("issue-lost") || self.scenario == "settle";
        if lost {
            return Err(CreateError::Lost { reason: "reset".to_owned(), timeout: false });
        }
        if self.scenario == "issue-unusable" {
            return Err(CreateError::Unusable { id, reason: "no object".to_owned() });
        }
        Ok(Created { id, response: Map::new() })
    }

    async fn dry_run(&self) -> Result<Capabilities, String> {
        Ok(Capabilities::default())
    }

    async fn revoke(&self, ids: &[String]) -> Result<RevokeAnswer, RevokeCallError> {
        match self.scenario.as_str() {
            "revoke-fails" => return Err(RevokeCallError::transient("503")),
            "revoke-refused" => {
                return Err(RevokeCallError { failure: RevokeFailure::Refused, words: "422".to_owned() });
            }
            _ => {}
        }
        for id in ids {
            let _ = fs::remove_file(self.folder.join(id));
        }
        Ok(RevokeAnswer { gone: ids.to_vec(), message: None })
    }
}

fn users(folder: &Path) -> BTreeSet<String> {
    let users = fs::read_dir(folder.join("users")).unwrap();
    users.map(|user| user.unwrap().file_name().into_string().unwrap()).collect()
}

#[expect(clippy::disallowed_methods, reason = "how a test tells the process that it starts what to do")]
fn told_to_live() -> Option<(PathBuf, String)> {
    let told = std::env::var(LIVE).ok()?;
    let (scenario, folder) = told.split_once(' ').unwrap();
    Some((folder.into(), scenario.to_owned()))
}

const LOOK: Duration = Duration::from_millis(200);
const TEST: &str = "engine::tests::kill_nine::no_credential_is_lost_by_kill_minus_nine_at_any_durable_step";
const LIVE: &str = "GATEWARD_KILL_NINE_LIVE";
