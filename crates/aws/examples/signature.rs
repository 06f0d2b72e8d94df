//! What one signature costs.
//!
//! Time on a processor and allocations: `cargo run --release -p gateward-aws --example signature`. User instructions, which repeat, with
//! valgrind installed: the same with `-- --instructions`. valgrind's processor has no instructions for SHA-256, so hashes look
//! dearer there than they are.

use std::error::Error;
use std::io::Write;
use std::process::Command;

use allocation_counter::measure;
use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, SignError, Signer};
use gateward_clock::Timestamp;
use http::Request;

const ROUNDS: u32 = 500_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => time_and_allocations(),
        ["--instructions"] => instructions(),
        ["--rounds", token, rounds] => Ok(Case::new(token == "token")?.run(rounds.parse()?)?),
        _ => Err("usage: signature [--instructions]".into()),
    }
}

fn time_and_allocations() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    for (name, with_token) in [("long-lived keys", false), ("a session token of 1 KiB", true)] {
        let mut case = Case::new(with_token)?;
        let mut best = f64::MAX;
        for _ in 0..5 {
            let before = seconds_on_processor()?;
            case.run(ROUNDS)?;
            best = best.min((seconds_on_processor()? - before) * 1e6 / f64::from(ROUNDS));
        }
        let taken = measure(|| {
            // It has succeeded many times by now.
            let _ = case.run(1);
        });
        let (count, bytes) = (taken.count_total, taken.bytes_total);
        writeln!(
            out,
            "{best:.2} µs a signature with {name} (best of 5 runs of {ROUNDS}), {count} allocations, {bytes} bytes"
        )?;
    }
    Ok(())
}

/// Runs this program under callgrind, for few rounds and for many: the difference is what the rounds cost.
fn instructions() -> Result<(), Box<dyn Error>> {
    for (name, token) in [("long-lived keys", "none"), ("a session token of 1 KiB", "token")] {
        let few = counted(token, 1_000)?;
        let many = counted(token, 3_000)?;
        let each = (many - few) / 2_000;
        writeln!(std::io::stdout(), "{each} user instructions a signature with {name}")?;
    }
    Ok(())
}

fn counted(token: &str, rounds: u32) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--rounds", token, &rounds.to_string()])
        .output()?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.ok_or_else(|| format!("valgrind counts nothing: {report}"))?;
    Ok(count.trim().parse()?)
}

/// A request, and who signs it.
struct Case {
    credentials: Credentials,
    signer: Signer,
    request: Request<()>,
}

impl Case {
    fn new(with_token: bool) -> Result<Self, http::Error> {
        let request = Request::post("/2015-03-31/functions/orders/invocations")
            .header("host", "lambda.us-east-1.amazonaws.com")
            .header("content-type", "application/json")
            .header("user-agent", "gateward")
            .body(())?;
        Ok(Self {
            credentials: Credentials {
                access_key: "AKIDEXAMPLE".to_owned(),
                secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
                session_token: with_token.then(|| "t".repeat(1024).as_str().into()),
            },
            signer: Signer::new("us-east-1", "lambda"),
            request,
        })
    }

    fn run(&mut self, rounds: u32) -> Result<(), SignError> {
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for round in 0..rounds {
            let time = Timestamp::from_secs(1_440_938_160 + u64::from(round % 60));
            self.signer.sign(&self.credentials, &mut self.request, PayloadHash::Precomputed(hash), time)?;
        }
        Ok(())
    }
}

/// How long this process has run in user space. On a machine that others use, the clock on the wall says little.
fn seconds_on_processor() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name, in brackets, may hold anything; the twelfth field after it is counted in hundredths of a second.
    let after_name = stat.rsplit_once(')').ok_or("the system's statistics cannot be read")?.1;
    let ticks: f64 = after_name.split_whitespace().nth(11).ok_or("there is no user time")?.parse()?;
    Ok(ticks / 100.0)
}
