//! The life of a gateway inside a Lambda function: it starts, and answers one event after the other.

use std::error::Error;
use std::sync::Arc;

use gateward_control::ControlDoor;
use gateward_proxy::host::lambda::{self, LambdaParts};
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use crate::arguments::ProcessArguments;
use crate::assembly::Assembly;
use crate::logging;
use crate::patience::Patience;
use crate::resource_files;
use crate::settings::{Mode, Settings, StoreKind};
use crate::surroundings::Surroundings;
use crate::telemetry::Telemetry;
use crate::terminal::with_causes;

/// Answers events until the Runtime API has no more. Why it could not start, the Runtime API is told too.
pub fn run(runtime_api: &str, surroundings: &Surroundings) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        match start(runtime_api, surroundings).await {
            Ok((assembly, parts)) => {
                let mut terminate = signal(SignalKind::terminate())?;
                let stop = async move {
                    terminate.recv().await;
                };
                lambda::serve(parts, stop).await?;
                assembly.close();
                Ok(())
            }
            Err(error) => {
                let told = with_causes(error.as_ref());
                if let Err(unheard) = lambda::report_init_error(runtime_api, &told).await {
                    tracing::error!(error = %unheard, "Lambda does not hear why the function cannot start");
                }
                Err(error)
            }
        }
    })
}

async fn start(
    runtime_api: &str,
    surroundings: &Surroundings,
) -> Result<(Assembly, LambdaParts), Box<dyn Error>> {
    let patience = Patience::of_a_function();
    let settings = Settings::decide(Mode::Lambda, &ProcessArguments::default(), surroundings)?;
    logging::start(&settings.log)?;
    let address = runtime_api.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let forbidden = address.parse().into_iter().collect();
    let following = resource_files::follow(&settings, surroundings)?;
    let telemetry = Telemetry::open(&settings)?;
    let assembly = Assembly::new(&settings, surroundings, forbidden, patience, following, &telemetry).await?;
    if settings.store != StoreKind::Dynamodb {
        tracing::warn!(
            "what this function is told to keep goes when Lambda ends it, and no other instance of it knows; only with \
             GATEWARD_STORE=dynamodb is it kept, and can credentials be issued"
        );
    }
    let door = ControlDoor::everything(assembly.control.clone(), Handle::current());
    let parts = LambdaParts {
        runtime_api: runtime_api.to_owned(),
        configuration: Arc::clone(&assembly.configuration),
        connector: Arc::clone(&assembly.connector),
        clock: Arc::clone(&assembly.clock),
        door: Some(Arc::new(door)),
        access_log: telemetry.access_log.map(|log| log as _),
        traffic: telemetry.traffic,
        errands: assembly.errands.clone(),
        response_mode: settings.response_mode,
    };
    Ok((assembly, parts))
}
