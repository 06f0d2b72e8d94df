//! What one signature costs: `cargo run --release -p gateward-aws --example signature`.

use std::io::Write;
use std::time::Instant;

use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Signer};
use gateward_clock::Timestamp;
use http::Request;

const ROUNDS: u32 = 200_000;

fn main() -> std::io::Result<()> {
    let credentials = Credentials {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token: None,
    };
    let signer = Signer::new("us-east-1", "lambda");
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let request = Request::post("/2015-03-31/functions/orders/invocations")
        .header("host", "lambda.us-east-1.amazonaws.com")
        .header("content-type", "application/json")
        .header("user-agent", "gateward")
        .body(());
    let (mut parts, ()) = request.map_err(std::io::Error::other)?.into_parts();

    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = now();
        for round in 0..ROUNDS {
            let time = Timestamp::from_secs(1_440_938_160 + u64::from(round % 60));
            signer
                .sign(&credentials, &mut parts, PayloadHash::Precomputed(hash), time)
                .map_err(std::io::Error::other)?;
        }
        best = best.min(started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
    }
    writeln!(std::io::stdout(), "{best:.2} µs a signature (best of 5 runs of {ROUNDS})")
}

#[expect(clippy::disallowed_methods, reason = "a measurement of real time is what this example is for")]
fn now() -> Instant {
    Instant::now()
}
