//! The files that hold the routing resources: followed by a gateway, checked by `gateward check`.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use gateward_clock::{Clock, SystemClock};
use gateward_model::apisix::{Kind, ResourceId, Ssl};
use gateward_proxy::certificates;
use gateward_proxy::declarative::{Declared, Files, Following, Refused, Wrong};
use serde_json::{Map, Value, json};
use tokio::runtime::Handle;

use crate::arguments::Check;
use crate::settings::{Mode, Settings};
use crate::surroundings::Surroundings;
use crate::terminal::Terminal;

/// Follows the files that the settings name, if they name any. What is wrong with them now stops the start.
pub fn follow(settings: &Settings, surroundings: &Surroundings) -> Result<Option<Following>, Box<dyn Error>> {
    if settings.resources.is_empty() {
        return Ok(None);
    }
    let files = files(settings.resources.clone(), surroundings);
    let following = match settings.mode {
        Mode::Lambda => Following::when_asked(files),
        Mode::Dev | Mode::Serve => Following::start(files, Arc::new(SystemClock), &Handle::current()),
    };
    match following {
        Ok(following) => Ok(Some(following)),
        Err(refused) => {
            let lines: Vec<String> = refused.errors().iter().map(ToString::to_string).collect();
            Err(format!("the resource files cannot be taken:\n{}", lines.join("\n")).into())
        }
    }
}

/// `gateward check`: says what a gateway would say to the files, all of it.
pub fn check(
    check: &Check,
    surroundings: &Surroundings,
    terminal: &mut Terminal<'_>,
) -> io::Result<ExitCode> {
    let result = files(check.files.clone(), surroundings).read();
    let code = if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if check.json {
        let answer = match result {
            Ok(declared) => {
                let warnings = warnings(&declared);
                json!({"ok": true, "counts": counts(&declared), "errors": [], "warnings": warnings})
            }
            Err(refused) => json!({"ok": false, "errors": errors(&refused)}),
        };
        terminal.result(&answer.to_string())?;
        return Ok(code);
    }
    match result {
        Ok(declared) => {
            for warning in warnings(&declared) {
                terminal.warning(&warning);
            }
            terminal.result(&summary(&declared))?;
        }
        Err(refused) => {
            for error in refused.errors() {
                terminal.message(&error.to_string());
            }
        }
    }
    Ok(code)
}

fn files(paths: Vec<PathBuf>, surroundings: &Surroundings) -> Files {
    Files::new(paths, Arc::new(surroundings.environment.clone()))
}

/// The routes that no request can reach. A gateway takes them all the same.
fn hidden(declared: &Declared) -> Vec<String> {
    declared.hidden().iter().map(ToString::to_string).collect()
}

fn errors(refused: &Refused) -> Vec<Value> {
    let error = |error: &Wrong| {
        json!({
            "file": error.file.display().to_string(), "line": error.place.line, "column": error.place.column,
            "problem": error.problem,
        })
    };
    refused.errors().iter().map(error).collect()
}

/// What a person should know though nothing is wrong.
fn warnings(declared: &Declared) -> Vec<String> {
    let now = SystemClock.now();
    let ssls = declared.resources.iter().filter(|(kind, _, _)| *kind == Kind::Ssls);
    let parsed = ssls.filter_map(|(_, id, json)| Ssl::parse(ResourceId::parse(id).ok()?, json).ok());
    let of = |ssl: Ssl| {
        let warnings = certificates::warnings(&ssl, now).into_iter();
        warnings.map(move |warning| format!("ssl {:?}: {warning}", ssl.id.as_str()))
    };
    hidden(declared).into_iter().chain(parsed.flat_map(of)).collect()
}

/// How many there are of each kind of which there is one.
fn counts(declared: &Declared) -> Map<String, Value> {
    let kinds = Kind::ALL.into_iter().rev().map(|kind| (kind.plural(), declared.count(kind)));
    let vaults = declared.vaults.as_ref().map_or(0, Vec::len);
    let counts = kinds.chain([("vaults", vaults)]).filter(|(_, count)| *count > 0);
    counts.map(|(kind, count)| (kind.to_owned(), count.into())).collect()
}

fn summary(declared: &Declared) -> String {
    let counts: Vec<String> =
        counts(declared).iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if counts.is_empty() {
        return "nothing is wrong, and nothing is in there".to_owned();
    }
    format!("nothing is wrong: {}", counts.join(", "))
}
