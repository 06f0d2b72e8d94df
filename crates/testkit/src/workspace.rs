//! Where things are: the workspace, its Python environment, its examples.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace.
pub fn root() -> PathBuf {
    let testkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    testkit.ancestors().nth(2).expect("testkit is two folders below the root").to_owned()
}

/// The program `name` of the Python environment for tests: `GATEWARD_TEST_VENV`, or what `make peers` made.
pub fn python_program(name: &str) -> PathBuf {
    let venv = setting("GATEWARD_TEST_VENV").map_or_else(|| root().join("target/test-venv"), PathBuf::from);
    let program = venv.join("bin").join(name);
    assert!(program.exists(), "{} is not there; run `make peers` first", program.display());
    program
}

/// The program `name` of the Node packages for tests that `make peers` has fetched, if this machine can have them.
pub fn node_program(name: &str) -> Option<PathBuf> {
    let program = root().join("target/test-node/node_modules/.bin").join(name);
    program.exists().then_some(program)
}

/// A script that stands for another system, kept in `crates/testkit/peers`.
pub fn peer(script: &str) -> PathBuf {
    root().join("crates/testkit/peers").join(script)
}

/// The example `name` of any crate of the workspace, built if it is not up to date.
pub fn example(name: &str) -> PathBuf {
    // A test run of the whole workspace has built it already; asking cargo would wait for its lock.
    fresh_example(name).unwrap_or_else(|| built_example(name))
}

/// The program, if it is there and newer than every source file that cargo noted beside it.
fn fresh_example(name: &str) -> Option<PathBuf> {
    let this_test = std::env::current_exe().ok()?;
    let program = this_test.ancestors().nth(2)?.join("examples").join(name);
    let built_at = program.metadata().and_then(|metadata| metadata.modified()).ok()?;
    let noted = std::fs::read_to_string(program.with_extension("d")).ok()?;
    let (_, sources) = noted.split_once(": ")?;
    let is_older = |source: &str| {
        let modified = Path::new(source).metadata().and_then(|metadata| metadata.modified());
        modified.is_ok_and(|modified| modified <= built_at)
    };
    sources.split_whitespace().all(is_older).then_some(program)
}

fn built_example(name: &str) -> PathBuf {
    let cargo = setting("CARGO").unwrap_or_else(|| "cargo".into());
    // The whole workspace, so that the dependencies have the features that the test run built them with.
    let output = Command::new(cargo)
        .args(["build", "--workspace", "--quiet", "--message-format=json", "--example", name])
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .expect("cargo can be started");
    let diagnosis = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the example {name} cannot be built: {diagnosis}");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the program that it built")
}

#[expect(
    clippy::disallowed_methods,
    reason = "test settings have no configuration to come from but the environment"
)]
fn setting(name: &str) -> Option<OsString> {
    std::env::var(name).ok().map(OsString::from)
}
