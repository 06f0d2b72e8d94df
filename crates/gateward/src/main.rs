//! The gateway: from the command line to the end of the process.

mod access_log;
mod arguments;
mod assembly;
mod aws_services;
mod chance;
mod client;
mod clouds;
mod errands;
mod function;
mod handover;
mod logging;
mod own_resolver;
mod patience;
mod resource_files;
mod root_key;
mod server;
mod settings;
mod status_events;
mod surroundings;
mod telemetry;
mod terminal;
mod vault_get;
mod welcome;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use arguments::{Command, GenCustomerFragment, ProcessArguments, Stop};
use gateward_seal::{Fragment, SecretValue, wipe};
use settings::{Mode, Settings};
use surroundings::Surroundings;
use terminal::Terminal;
use vault_get::VaultGetError;

/// The system's own keeps what ten thousand idle connections took, and has holes in it where they were.
#[cfg(all(target_os = "linux", feature = "jemalloc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let (mut results, mut messages) = (io::stdout(), io::stderr());
    let mut terminal = Terminal::new(&mut results, &mut messages);
    match run(&mut terminal) {
        Ok(code) => code,
        Err(error) => {
            terminal.error(error.as_ref());
            match error.downcast_ref::<VaultGetError>() {
                Some(error) if error.is_usage() => ExitCode::from(WRONG_USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(terminal: &mut Terminal<'_>) -> Result<ExitCode, Box<dyn Error>> {
    chance::seed_this_thread();
    let surroundings = Surroundings::of_this_process()?;
    let understood = match arguments::parse(std::env::args_os(), &surroundings) {
        Ok(understood) => understood,
        Err(stop) => return Ok(tell(terminal, &stop)?),
    };
    for warning in &understood.warnings {
        terminal.warning(warning);
    }
    match understood.command {
        Command::Dev(arguments) => host(Mode::Dev, &arguments, &surroundings, terminal),
        Command::Serve(arguments) => host(Mode::Serve, &arguments, &surroundings, terminal),
        Command::Lambda { runtime_api } => {
            function::run(&runtime_api, &surroundings)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(check) => Ok(resource_files::check(&check, &surroundings, terminal)?),
        Command::VaultGet(get) => {
            let value = one_runtime()?.block_on(vault_get::vault_get(&get, &surroundings))?;
            terminal.result(value.expose())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::VaultList(list) => {
            terminal.result(&one_runtime()?.block_on(vault_get::vault_list(&list, &surroundings))?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::VaultTest(test) => {
            let (text, is_ok) = one_runtime()?.block_on(vault_get::vault_test(&test, &surroundings))?;
            terminal.result(&text)?;
            Ok(if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Auth(auth) => {
            terminal.result(&one_runtime()?.block_on(client::auth(&auth, &surroundings))?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::GenCustomerFragment(said) => {
            terminal.result(gen_customer_fragment(&said).expose())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::GetCloudIdentity(get) => {
            let cloud_id = one_runtime()?.block_on(client::get_cloud_identity(&get, &surroundings))?;
            terminal.result(cloud_id.expose())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Configure(said) => {
            terminal.result(&client::configure(&said, &surroundings)?)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Ask(ask) => {
            let told = one_runtime()?.block_on(client::ask(&ask, &surroundings))?;
            terminal.result(&told.result)?;
            if let Some(note) = &told.note {
                terminal.message(note);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A new customer fragment, in the form that the gateway reads.
fn gen_customer_fragment(said: &GenCustomerFragment) -> SecretValue {
    let made = Fragment::generate(&said.name, &said.description);
    let mut json = serde_json::json!({"customer_fragments": [{
        "id": made.id(), "value": made.value_text().expose(), "description": made.description(), "name": made.name(),
    }]});
    let text = if said.json { json.to_string() } else { format!("{json:#}") };
    wipe(&mut json);
    SecretValue::new(text)
}

/// Runs the gateway until it is told to stop.
fn host(
    mode: Mode,
    arguments: &ProcessArguments,
    surroundings: &Surroundings,
    terminal: &mut Terminal<'_>,
) -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::decide(mode, arguments, surroundings)?;
    logging::start(&settings.log)?;
    server::run(&settings, surroundings, terminal)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what was asked about the usage, or what is wrong with it.
fn tell(terminal: &mut Terminal<'_>, stop: &Stop) -> io::Result<ExitCode> {
    if stop.is_result {
        terminal.result(&stop.text)?;
        return Ok(ExitCode::SUCCESS);
    }
    terminal.message(&stop.text);
    Ok(ExitCode::from(WRONG_USAGE))
}

/// A command asks one thing, so one thread is enough.
fn one_runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

const WRONG_USAGE: u8 = 2;
