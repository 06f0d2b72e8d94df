//! How fast leases are: creations a second, a start with a million of them, how late they are revoked, and what an
//! outage of one producer costs it and the others.
//!
//! Run with `cargo run --release -p gateward-leases --example lease_speed [directory]`, some five minutes; without a
//! directory, under the system's temporary one, which may be on another disk than the one you care about. The
//! producer is in process and does nothing, the store is the local one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{Clock, SystemClock};
use gateward_leases::lease::Holder;
use gateward_leases::producer::{
    Capabilities, CreateError, Created, Order, Producer, Producers, RevokeAnswer, RevokeCallError,
};
use gateward_leases::{Catalog, Engine, EngineParts, EngineSettings, NewDynamicSecret, Wish};
use gateward_model::{CustomSettings, DynamicSecret, GoDuration, ItemName, ProducerSettings, ProducerUrl};
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{LocalStore, Store};
use serde_json::Map;
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["load", directory] => runtime.block_on(load(Path::new(directory))),
        ["ready", directory] => runtime.block_on(ready(Path::new(directory))),
        _ => {
            let parent = words.first().map_or_else(std::env::temp_dir, PathBuf::from);
            runtime.block_on(creations(&parent))?;
            runtime.block_on(due(&parent))?;
            runtime.block_on(outage(&parent))?;
            million(&parent)
        }
    }
}

/// A producer that makes nothing, and notes how late it is asked to unmake it.
#[derive(Default)]
struct Null {
    made: AtomicU64,
    down: AtomicBool,
    calls_while_down: AtomicU64,
    lateness: Mutex<Vec<u64>>,
}

#[derive(Clone)]
struct Nulls(Arc<Null>);

struct NullOf(Arc<Null>, u64);

impl Producers for Nulls {
    fn of(&self, secret: &DynamicSecret, _: SecretValue) -> Box<dyn Producer> {
        Box::new(NullOf(Arc::clone(&self.0), secret.id))
    }
}

#[async_trait]
impl Producer for NullOf {
    async fn create(&self, order: &Order) -> std::result::Result<Created, CreateError> {
        let number = self.0.made.fetch_add(1, Ordering::Relaxed);
        let due = (SystemClock.now() + order.ttl).millis();
        Ok(Created { id: format!("{due}-{number}"), response: Map::new() })
    }

    async fn dry_run(&self) -> std::result::Result<Capabilities, String> {
        Ok(Capabilities::default())
    }

    async fn revoke(&self, ids: &[String]) -> std::result::Result<RevokeAnswer, RevokeCallError> {
        if self.1 == BROKEN && self.0.down.load(Ordering::Relaxed) {
            self.0.calls_while_down.fetch_add(1, Ordering::Relaxed);
            return Err(RevokeCallError::transient("down"));
        }
        let now = SystemClock.now().millis();
        let due = ids.iter().filter_map(|id| id.split_once('-')?.0.parse::<u64>().ok());
        let late = due.map(|due| now.saturating_sub(due));
        if self.1 == ITEM {
            self.0.lateness.lock().map_err(|_| RevokeCallError::transient("poisoned"))?.extend(late);
        }
        Ok(RevokeAnswer { gone: ids.to_vec(), message: None })
    }
}

struct Rig {
    engine: Arc<Engine>,
    null: Arc<Null>,
}

async fn rig(directory: &Path) -> Result<Rig> {
    let store: Arc<dyn Store> = LocalStore::open(directory)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let key = RootKey::from_file_or_create(&directory.with_extension("key"))?;
    let catalog = Arc::new(Catalog::new(Arc::clone(&store), Arc::new(Sealer::new(key)), Arc::clone(&clock)));
    for id in [ITEM, BROKEN] {
        if !catalog.exists(&name(id)?).await? {
            catalog.create(&NewDynamicSecret::new(secret(id)?, SecretValue::from("payload"))).await?;
        }
    }
    let null = Arc::<Null>::default();
    let engine = Engine::new(EngineParts {
        store,
        catalog,
        producers: Arc::new(Nulls(Arc::clone(&null))),
        clock,
        runtime: tokio::runtime::Handle::current(),
        owner: "the only process of this store".to_owned(),
        settings: EngineSettings::default(),
    });
    engine.start();
    Ok(Rig { engine, null })
}

fn name(id: u64) -> Result<ItemName> {
    Ok(ItemName::parse(&format!("/item/{id}"))?)
}

fn secret(id: u64) -> Result<DynamicSecret> {
    Ok(DynamicSecret {
        id,
        name: name(id)?,
        producer: ProducerSettings::Custom(CustomSettings {
            create_sync_url: ProducerUrl::parse("http://127.0.0.1/sync/create")?,
            revoke_sync_url: ProducerUrl::parse("http://127.0.0.1/sync/revoke")?,
            rotate_sync_url: None,
        }),
        timeout_sec: 10,
        user_ttl: GoDuration::minutes(60),
        max_leases: None,
        capabilities: Capabilities::default(),
    })
}

async fn issue(engine: &Arc<Engine>, item: u64, ttl: Duration) -> std::result::Result<(), String> {
    let name = name(item).map_err(|error| error.to_string())?;
    let holder = Holder { access_id: "p-measure".to_owned(), sub_claims: std::collections::BTreeMap::new() };
    let wish = Wish { ttl: Some(ttl), ..Wish::default() };
    engine.issue(&name, holder, wish).await.map(|_| ()).map_err(|error| error.to_string())
}

/// Has `count` leases issued by `callers` at once; returns how many a second that is.
async fn issue_many(rig: &Rig, item: u64, callers: u64, count: u64, ttl: Duration) -> Result<f64> {
    let left = Arc::new(AtomicU64::new(count));
    let started = SystemClock.now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (engine, left) = (Arc::clone(&rig.engine), Arc::clone(&left));
        tasks.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                issue(&engine, item, ttl).await?;
            }
            Ok::<(), String>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(count as f64 / SystemClock.now().saturating_since(started).as_secs_f64())
}

async fn creations(parent: &Path) -> Result<()> {
    tell("durable creations a second (INTENT and ACTIVE, one commit each)")?;
    for callers in [1, 16, 256, 1024] {
        let directory = tempfile::tempdir_in(parent)?;
        let rig = rig(&directory.path().join("store")).await?;
        issue_many(&rig, ITEM, callers, callers, LONG).await?;
        let count = if callers == 1 { 2000 } else { 100_000_u64.min(callers * 1000) };
        let rate = issue_many(&rig, ITEM, callers, count, LONG).await?;
        tell(&format!("{callers:>7} callers: {rate:>7.0}"))?;
    }
    Ok(())
}

/// 10 000 leases fall due each second for ten seconds.
async fn due(parent: &Path) -> Result<()> {
    let directory = tempfile::tempdir_in(parent)?;
    let rig = rig(&directory.path().join("store")).await?;
    paced(&rig, ITEM, 100, 1000, Duration::from_secs(25)).await?;
    while lateness(&rig).len() < 100_000 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    told_lateness("10 000 due a second, for 10 s", lateness(&rig))
}

/// Issues `a_tick` leases every 10 ms, `ticks` times.
async fn paced(rig: &Rig, item: u64, a_tick: u64, ticks: u64, ttl: Duration) -> Result<()> {
    let mut tasks = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    for _ in 0..ticks {
        tick.tick().await;
        for _ in 0..a_tick {
            let engine = Arc::clone(&rig.engine);
            tasks.spawn(async move { issue(&engine, item, ttl).await });
        }
        while let Some(done) = tasks.try_join_next() {
            done??;
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// A producer is down when 100 000 of its leases fall due; another one's leases go on.
async fn outage(parent: &Path) -> Result<()> {
    let directory = tempfile::tempdir_in(parent)?;
    let rig = rig(&directory.path().join("store")).await?;
    let started = SystemClock.now();
    issue_many(&rig, BROKEN, 1024, 100_000, Duration::from_secs(20)).await?;
    rig.null.down.store(true, Ordering::Relaxed);
    tokio::time::sleep((started + Duration::from_secs(20)).saturating_since(SystemClock.now())).await;
    for minute in 1..=2 {
        let before = rig.null.calls_while_down.load(Ordering::Relaxed);
        paced(&rig, ITEM, 2, 6000, Duration::from_secs(1)).await?;
        let calls = rig.null.calls_while_down.load(Ordering::Relaxed) - before;
        tell(&format!("100 000 due at a producer that is down, minute {minute}: {calls} calls to it"))?;
    }
    told_lateness("  meanwhile 200 due a second at another", lateness(&rig))?;
    rig.null.down.store(false, Ordering::Relaxed);
    let started = SystemClock.now();
    while rig.engine.report(gateward_leases::Query::default()).await?.live > 1000 {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tell(&format!("  all of them revoked {:?} after it is back", SystemClock.now().saturating_since(started)))
}

/// A million live leases, then kill -9, then a start.
fn million(parent: &Path) -> Result<()> {
    let directory = tempfile::tempdir_in(parent)?;
    let store = directory.path().join("store");
    for what in ["load", "ready"] {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([what.as_ref(), store.as_os_str()]).status()?;
    }
    Ok(())
}

async fn load(directory: &Path) -> Result<()> {
    let rig = rig(directory).await?;
    let rate = issue_many(&rig, ITEM, 1024, MILLION, LONG).await?;
    tell(&format!("1 000 000 live leases, issued at {rate:.0} a second; then kill -9"))?;
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
    Ok(())
}

async fn ready(directory: &Path) -> Result<()> {
    let started = SystemClock.now();
    let rig = rig(directory).await?;
    let opened = SystemClock.now();
    issue(&rig.engine, ITEM, LONG).await?;
    let issued = SystemClock.now();
    tell(&format!(
        "  opened after {:?}, the first lease issued after {:?}",
        opened.saturating_since(started),
        issued.saturating_since(started)
    ))?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    tell(&format!("  resident memory after 5 s: {} MiB", resident_kib()? / 1024))?;
    let bytes = size(directory)?;
    tell(&format!("  on disk: {} MiB, {} bytes a lease", bytes >> 20, bytes / MILLION))
}

fn lateness(rig: &Rig) -> Vec<u64> {
    rig.null.lateness.lock().map(|lateness| lateness.clone()).unwrap_or_default()
}

fn told_lateness(what: &str, mut lateness: Vec<u64>) -> Result<()> {
    lateness.sort_unstable();
    let at = |share: f64| lateness.get((lateness.len() as f64 * share) as usize).copied().unwrap_or_default();
    tell(&format!(
        "{what}: revoked after p50 {} ms, p99 {} ms, at most {} ms",
        at(0.5),
        at(0.99),
        lateness.last().copied().unwrap_or_default()
    ))
}

fn resident_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn size(directory: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

fn tell(words: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{words}")?)
}

/// The secret whose producer works, and the one whose does not.
const ITEM: u64 = 7;
const BROKEN: u64 = 8;
const LONG: Duration = Duration::from_secs(3600);
const MILLION: u64 = 1_000_000;
