//! How fast leases are: creations a second, a start with a million of them, how late they are revoked, and what an
//! outage of one producer costs it and the others.
//!
//! Run with `cargo run --release -p gateward-leases --example lease_speed [--quick] [directory]`, some five minutes, or one;
//! without a directory, under the system's temporary one, which may be on another disk than the one you care about. The
//! producer is in process and does nothing, the store is the local one, memory is managed as in the gateway. What it measures
//! goes to stderr in words and to stdout as `name value`, for `bench/leases.py`.

use std::fmt::Display;
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
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The gateway's.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let size = if words.first().is_some_and(|word| word == "--quick") {
        words.remove(0);
        Size::QUICK
    } else {
        Size::WHOLE
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["load", directory, count] => runtime.block_on(load(Path::new(directory), count.parse()?)),
        ["ready", directory, count] => runtime.block_on(ready(Path::new(directory), count.parse()?)),
        _ => {
            let parent = words.first().map_or_else(std::env::temp_dir, PathBuf::from);
            runtime.block_on(creations(&parent, &size))?;
            runtime.block_on(due(&parent, &size))?;
            runtime.block_on(outage(&parent, &size))?;
            many(&parent, &size)
        }
    }
}

/// How much is measured.
struct Size {
    creations: u64,
    due_seconds: u64,
    outage: u64,
    outage_minutes: u64,
    many: u64,
}

impl Size {
    const WHOLE: Self =
        Self { creations: 100_000, due_seconds: 10, outage: 100_000, outage_minutes: 2, many: 1_000_000 };
    const QUICK: Self =
        Self { creations: 20_000, due_seconds: 2, outage: 10_000, outage_minutes: 1, many: 100_000 };
}

/// A producer that makes nothing, and notes how late it is asked to unmake it.
#[derive(Default)]
struct Null {
    made: AtomicU64,
    down: AtomicBool,
    calls_while_down: AtomicU64,
    lateness: Mutex<Vec<u64>>,
    /// How many it was asked to unmake.
    unmade: watch::Sender<usize>,
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
        self.0.unmade.send_modify(|unmade| *unmade += ids.len());
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

async fn creations(parent: &Path, size: &Size) -> Result<()> {
    tell("durable creations a second (INTENT and ACTIVE, one commit each)")?;
    for callers in [1, 16, 256, 1024] {
        let directory = tempfile::tempdir_in(parent)?;
        let rig = rig(&directory.path().join("store")).await?;
        issue_many(&rig, ITEM, callers, callers, LONG).await?;
        let count = if callers == 1 { 2000 } else { size.creations.min(callers * 1000) };
        let rate = issue_many(&rig, ITEM, callers, count, LONG).await?;
        tell(&format!("{callers:>7} callers: {rate:>7.0}"))?;
        figure(&format!("creations_{callers}"), format_args!("{rate:.0}"))?;
    }
    Ok(())
}

/// 10 000 leases fall due each second for some seconds.
async fn due(parent: &Path, size: &Size) -> Result<()> {
    let directory = tempfile::tempdir_in(parent)?;
    let rig = rig(&directory.path().join("store")).await?;
    // They live longer than it takes to issue them all, on a machine that has something else to do.
    paced(&rig, ITEM, 100, size.due_seconds * 100, Duration::from_secs(15 + size.due_seconds)).await?;
    let all = usize::try_from(size.due_seconds * 10_000)?;
    rig.null.unmade.subscribe().wait_for(|unmade| *unmade >= all).await?;
    told_lateness(&format!("10 000 due a second, for {} s", size.due_seconds), "due", lateness(&rig))
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

/// A producer is down when many of its leases fall due; another one's leases go on.
async fn outage(parent: &Path, size: &Size) -> Result<()> {
    let directory = tempfile::tempdir_in(parent)?;
    let rig = rig(&directory.path().join("store")).await?;
    let started = SystemClock.now();
    issue_many(&rig, BROKEN, 1024, size.outage, OUTAGE_AFTER).await?;
    rig.null.down.store(true, Ordering::Relaxed);
    // The outage begins when the first of them falls due.
    SystemClock.sleep_until(started + OUTAGE_AFTER).await;
    for minute in 1..=size.outage_minutes {
        let before = rig.null.calls_while_down.load(Ordering::Relaxed);
        paced(&rig, ITEM, 2, 6000, Duration::from_secs(1)).await?;
        let calls = rig.null.calls_while_down.load(Ordering::Relaxed) - before;
        tell(&format!(
            "{} due at a producer that is down, minute {minute}: {calls} calls to it",
            size.outage
        ))?;
        figure(&format!("outage_calls_{minute}"), calls)?;
    }
    told_lateness("  meanwhile 200 due a second at another", "outage_others", lateness(&rig))?;
    let unmade = *rig.null.unmade.borrow();
    let started = SystemClock.now();
    rig.null.down.store(false, Ordering::Relaxed);
    let all = unmade + usize::try_from(size.outage)?;
    rig.null.unmade.subscribe().wait_for(|unmade| *unmade >= all).await?;
    let took = SystemClock.now().saturating_since(started);
    tell(&format!("  all of them revoked {took:?} after it is back"))?;
    figure("outage_over", format_args!("{:.1}", took.as_secs_f64()))
}

/// Many live leases, then kill -9, then a start.
fn many(parent: &Path, size: &Size) -> Result<()> {
    let directory = tempfile::tempdir_in(parent)?;
    let store = directory.path().join("store");
    for what in ["load", "ready"] {
        let mut command = Command::new(std::env::current_exe()?);
        let status = command.args([what.as_ref(), store.as_os_str()]).arg(size.many.to_string()).status()?;
        if what == "ready" && !status.success() {
            return Err("the start after kill -9 has failed".into());
        }
    }
    Ok(())
}

async fn load(directory: &Path, count: u64) -> Result<()> {
    let rig = rig(directory).await?;
    let rate = issue_many(&rig, ITEM, 1024, count, LONG).await?;
    tell(&format!("{count} live leases, issued at {rate:.0} a second; then kill -9"))?;
    figure("many_rate", format_args!("{rate:.0}"))?;
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
    Ok(())
}

async fn ready(directory: &Path, count: u64) -> Result<()> {
    let started = SystemClock.now();
    let rig = rig(directory).await?;
    let opened = SystemClock.now().saturating_since(started);
    issue(&rig.engine, ITEM, LONG).await?;
    let issued = SystemClock.now().saturating_since(started);
    tell(&format!("  opened after {opened:?}, the first lease issued after {issued:?}"))?;
    figure("many_opened", format_args!("{:.0}", opened.as_secs_f64() * 1000.0))?;
    figure("many_ready", format_args!("{:.0}", issued.as_secs_f64() * 1000.0))?;
    // What it takes for good: by then the merges that the killed process had before it are done.
    SystemClock.sleep(SETTLED_AFTER).await;
    let (resident, peak) = (memory_kib("VmRSS:")? / 1024, memory_kib("VmHWM:")? / 1024);
    tell(&format!("  resident memory after {SETTLED_AFTER:?}: {resident} MiB; at most: {peak} MiB"))?;
    figure("many_resident", resident)?;
    figure("many_resident_peak", peak)?;
    let bytes = size(directory)?;
    tell(&format!("  on disk: {} MiB, {} bytes a lease", bytes >> 20, bytes / count))?;
    figure("many_bytes", bytes / count)?;
    let live = rig.engine.report(gateward_leases::Query::default()).await?.live;
    // Each caller was told of all its leases; at the kill each may have had one more under way.
    if !(count + 1..=count + 1 + 1024).contains(&live) {
        return Err(format!("{count} leases were issued, and {live} live").into());
    }
    tell(&format!("  leases that are there: {live}"))
}

fn lateness(rig: &Rig) -> Vec<u64> {
    rig.null.lateness.lock().map(|lateness| lateness.clone()).unwrap_or_default()
}

fn told_lateness(what: &str, name: &str, mut lateness: Vec<u64>) -> Result<()> {
    lateness.sort_unstable();
    let at = |share: f64| lateness.get((lateness.len() as f64 * share) as usize).copied().unwrap_or_default();
    let (half, most, last) = (at(0.5), at(0.99), lateness.last().copied().unwrap_or_default());
    tell(&format!("{what}: revoked after p50 {half} ms, p99 {most} ms, at most {last} ms"))?;
    figure(&format!("{name}_p50"), half)?;
    figure(&format!("{name}_p99"), most)?;
    figure(&format!("{name}_max"), last)
}

fn memory_kib(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel does not tell")?;
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
    Ok(writeln!(std::io::stderr(), "{words}")?)
}

fn figure(name: &str, value: impl Display) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{name} {value}")?)
}

/// The secret whose producer works, and the one whose does not.
const ITEM: u64 = 7;
const BROKEN: u64 = 8;
const LONG: Duration = Duration::from_secs(3600);
/// Longer than it takes to issue all that fall due in the outage.
const OUTAGE_AFTER: Duration = Duration::from_secs(20);
const SETTLED_AFTER: Duration = Duration::from_secs(5);
