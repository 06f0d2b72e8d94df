//! What references cost: `cargo run --release -p gateward-vaults --example cold`.
//!
//! First the time until 10 000 references over 500 secrets have their values, asked for from nothing, against a double
//! of Secrets Manager on loopback that takes 10 ms for an answer; how many calls that took, and how many of them were
//! under way at once. Then the memory of what is kept: bytes that were allocated and not given back, a secret, beyond
//! the secret itself and the text of its reference; and a reference more that is bound to it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use gateward_aws::{Chain, ChainParts};
use gateward_clock::{Clock, SystemClock};
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_testkit::{Double, Reply};
use gateward_vaults::{Binding, Clouds, Reference, Resolver, ResolverParts};
use serde_json::json;
use tokio::runtime::{Builder, Handle, Runtime};

const REFERENCES: usize = 10_000;
const SECRETS: usize = 500;
const KEPT: usize = 4_000;
/// More turns than there are tasks that may not have ended yet.
const LEFT_OVER: usize = 20_000;
const ANSWER_TAKES: Duration = Duration::from_millis(10);
const SECRET: &str =
    r#"{"username": "the-user-of-the-database", "password": "correct horse battery staple"}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let (service, counts) = service();
    let runtime = Builder::new_current_thread().enable_all().build()?;

    let resolver = resolver(&runtime, &service)?;
    let references = references(0..SECRETS, REFERENCES)?;
    let started = now();
    let bound = bind(&runtime, &resolver, &references, 1);
    let taken = started.elapsed();
    let (calls, most) = (service.count("POST /"), counts.most.load(Ordering::SeqCst));
    writeln!(
        out,
        "{} references over {SECRETS} secrets: {:.0} ms, {calls} calls, at most {most} at once ({} ms each)",
        bound.len(),
        taken.as_secs_f64() * 1e3,
        ANSWER_TAKES.as_millis(),
    )?;
    if calls != SECRETS || most > 64 {
        return Err("a call a secret and at most 64 at once were promised".into());
    }

    // Connections and buffers are there by now; what comes is what is kept.
    let new = self::references(SECRETS..SECRETS + KEPT, KEPT)?;
    let mut kept = Vec::with_capacity(KEPT);
    let memory = measure(|| kept.extend(bind(&runtime, &resolver, &new, 200)));
    let each = memory.bytes_current / i64::try_from(KEPT)? - i64::try_from(SECRET.len())?;
    writeln!(out, "a secret that is kept: {each} bytes beyond its {} bytes", SECRET.len())?;

    let more = self::references(0..SECRETS, REFERENCES)?;
    let mut again = Vec::with_capacity(REFERENCES);
    let memory = measure(|| again.extend(bind(&runtime, &resolver, &more, 1)));
    writeln!(
        out,
        "a reference that is bound to one: {} bytes",
        memory.bytes_current / i64::try_from(REFERENCES)?
    )?;
    if each > 400 {
        return Err("at most 400 bytes a secret were promised".into());
    }
    Ok(())
}

/// `count` references to the fields of these secrets.
fn references(secrets: std::ops::Range<usize>, count: usize) -> Result<Vec<Reference>, Box<dyn Error>> {
    let mut references = Vec::with_capacity(count);
    for number in 0..count {
        let secret = secrets.start + number % secrets.len();
        let field = ["username", "password"][number / secrets.len() % 2];
        let text = format!("{{vault://aws/team/database-{secret}/{field}}}");
        references.push(Reference::parse(&text)?.ok_or("it is a reference")?);
    }
    Ok(references)
}

/// Binds to the references, so many at a time, and waits until all have their values.
fn bind(
    runtime: &Runtime,
    resolver: &Arc<Resolver>,
    references: &[Reference],
    at_a_time: usize,
) -> Vec<Binding> {
    runtime.block_on(async {
        let chunks = references.chunks(at_a_time);
        let bound: Vec<_> = chunks.map(|chunk| resolver.bind(chunk.to_vec(), Box::new(|_| {}))).collect();
        for binding in &bound {
            binding.asked().done().await;
        }
        // What is done when the last one was told is no memory that is kept.
        for _ in 0..LEFT_OVER {
            tokio::task::yield_now().await;
        }
        bound
    })
}

#[derive(Default)]
struct Counts {
    flying: AtomicUsize,
    most: AtomicUsize,
}

/// A double of Secrets Manager in which every name is a secret.
fn service() -> (Double, Arc<Counts>) {
    let counts = Arc::<Counts>::default();
    let counting = Arc::clone(&counts);
    let service = Double::start(move |_| {
        counting.most.fetch_max(counting.flying.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        pass(ANSWER_TAKES);
        counting.flying.fetch_sub(1, Ordering::SeqCst);
        Reply::json(
            200,
            &json!({"Name": "database", "SecretString": SECRET, "VersionStages": ["AWSCURRENT"]}),
        )
    });
    (service, counts)
}

fn resolver(runtime: &Runtime, service: &Double) -> Result<Arc<Resolver>, Box<dyn Error>> {
    let environment: BTreeMap<String, String> = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        ("AWS_REGION", "us-east-1"),
        ("GATEWARD_VAULT_AWS_ENDPOINT_URL", &service.url()),
        ("GATEWARD_VAULT_AWS_TTL", "3600"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let _entered = runtime.enter();
    let client = Client::new(Arc::new(Connector::new(ConnectorSettings::default())?));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let runtime = Handle::current();
    let aws = Chain::new(ChainParts {
        environment: environment.clone(),
        client: client.clone(),
        metadata_client: client.clone(),
        clock: Arc::clone(&clock),
        runtime: runtime.clone(),
    });
    let clouds = Clouds { aws, metadata_client: client.clone() };
    Ok(Resolver::with_clouds(ResolverParts { clock, client, environment, runtime }, clouds))
}

#[expect(clippy::disallowed_methods, reason = "this measures the system's own time")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a service on the other side of a network takes its time")]
fn pass(span: Duration) {
    std::thread::sleep(span);
}
