//! How many durable commits a second the local store does, by how many callers ask at once.
//!
//! Each commit is what issuing a lease writes: a record of 512 bytes and an empty entry in the due index. Run with
//! `cargo run --release -p gateward-store --example group_commit [directory]`; without a directory, under the
//! system's temporary one, which may be on another disk than the one you care about.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_clock::{Clock, SystemClock};
use gateward_store::{Change, Key, LocalStore, Precondition, Store, Write};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let mut out = std::io::stdout();
    writeln!(out, "callers  commits/s  mean ms")?;
    for callers in [1_u32, 16, 256, 1024] {
        let directory = tempfile::tempdir_in(&parent)?;
        let commits = measure(directory.path(), callers).await?;
        let rate = f64::from(commits) / SPAN.as_secs_f64();
        writeln!(out, "{callers:>7}  {rate:>9.0}  {:>7.2}", f64::from(callers) / rate * 1000.0)?;
    }
    Ok(())
}

/// How many commits `callers` get done in [`SPAN`], each asking for the next when it has the answer to the last.
async fn measure(directory: &Path, callers: u32) -> Result<u32, Box<dyn std::error::Error>> {
    let store = LocalStore::open(directory)?;
    let until = SystemClock.now() + SPAN;
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut done = 0;
            while SystemClock.now() < until {
                store.commit(lease(caller, done)).await?;
                done += 1;
            }
            Ok::<u32, gateward_store::CommitError>(done)
        });
    }
    let mut commits = 0;
    while let Some(done) = tasks.join_next().await {
        commits += done??;
    }
    Ok(commits)
}

/// The writes that issue one lease.
fn lease(caller: u32, number: u32) -> Vec<Write> {
    // Scattered over the key space, as random ids are.
    let id = (u64::from(caller) << 32 | u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let record = Write {
        key: Key { partition: "leases".to_owned(), sort: format!("{id:016x}") },
        precondition: Precondition::Absent,
        change: Change::Put(Bytes::from_static(&[0x5a; 512])),
    };
    let due = Write {
        key: Key { partition: format!("due/{}", number / 1000), sort: format!("{id:016x}") },
        precondition: Precondition::Any,
        change: Change::Put(Bytes::new()),
    };
    vec![record, due]
}

/// How long each measurement takes.
const SPAN: Duration = Duration::from_secs(3);
