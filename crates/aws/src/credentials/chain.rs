//! The sources of credentials that a machine has, in their order.
//!
//! The first source that somebody has set up decides. If it fails, nothing is asked of the next: a call in the name of
//! the machine, because the name that was meant could not be had, is worse than none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use gateward_clock::{Clock, Timestamp};
use gateward_net::Client;
use tokio::runtime::Handle;

use super::container::Container;
use super::environment::Environment;
use super::files::{Profiles, SharedFiles};
use super::instance::Instance;
use super::provider::Provider;
use super::role::{AssumedRole, Role, StsAccess};
use super::source::Source;
use super::variables::Variables;
use super::web_identity::WebIdentity;

/// The sources of this process. There is one chain, shared by all that call AWS.
pub struct Chain {
    provider: Arc<Provider>,
    /// The roles that are assumed, as long as somebody holds them.
    roles: Mutex<Vec<Assumed>>,
    /// Absent in a process that calls nobody.
    sts: Option<Arc<StsAccess>>,
    /// Absent in a process that calls nobody.
    instance: Option<Arc<Instance>>,
    /// What the machine said last of its region, and when.
    machine_region: tokio::sync::Mutex<Option<(Timestamp, Option<String>)>>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
}

/// What a [`Chain`] is made of.
pub struct ChainParts {
    /// The process's environment.
    pub environment: BTreeMap<String, String>,
    /// What calls STS.
    pub client: Client,
    /// What calls the metadata services of the container and of the machine, which no other client may.
    pub metadata_client: Client,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where calls run.
    pub runtime: Handle,
}

struct Assumed {
    base: Arc<Provider>,
    role: Role,
    provider: Weak<Provider>,
}

impl Chain {
    /// The sources that `parts` has.
    pub fn new(parts: ChainParts) -> Arc<Self> {
        let ChainParts { environment, client, metadata_client, clock, runtime } = parts;
        let variables = Variables::new(environment);
        let profiles = Profiles::new(variables.clone());
        let sts =
            Arc::new(StsAccess { client, variables: variables.clone(), profiles: Arc::clone(&profiles) });
        let environment: Arc<dyn Source> = Arc::new(Environment::of(&variables));
        let container: Arc<dyn Source> =
            Arc::new(Container { client: metadata_client.clone(), variables: variables.clone() });
        let machine = Arc::new(Instance {
            client: metadata_client,
            variables: variables.clone(),
            profiles: Arc::clone(&profiles),
        });
        let instance: Arc<dyn Source> = Arc::clone(&machine) as Arc<dyn Source>;
        // As the profile files call them.
        let named = [
            ("Environment", Arc::clone(&environment)),
            ("EcsContainer", Arc::clone(&container)),
            ("Ec2InstanceMetadata", Arc::clone(&instance)),
        ];
        let sources: Vec<Arc<dyn Source>> = vec![
            environment,
            Arc::new(SharedFiles::new(profiles, Arc::clone(&sts), named.into())),
            container,
            Arc::new(WebIdentity { sts: Arc::clone(&sts), variables }),
            instance,
        ];
        Self::of(sources, Some((sts, machine)), clock, runtime)
    }

    /// A chain without any source: its credentials are an error.
    pub fn without_sources(clock: Arc<dyn Clock>, runtime: Handle) -> Arc<Self> {
        Self::of(Vec::new(), None, clock, runtime)
    }

    fn of(
        sources: Vec<Arc<dyn Source>>,
        reached: Option<(Arc<StsAccess>, Arc<Instance>)>,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Arc<Self> {
        let (sts, instance) = reached.unzip();
        let machine_region = tokio::sync::Mutex::default();
        let provider = Provider::of(sources, Arc::clone(&clock), runtime.clone());
        Arc::new(Self { provider, roles: Mutex::default(), sts, instance, machine_region, clock, runtime })
    }

    /// What the sources have.
    pub fn provider(&self) -> Arc<Provider> {
        Arc::clone(&self.provider)
    }

    /// What `base` gets when it assumes `role`. Who asks for the same gets the same, so each role is assumed once.
    pub fn assuming(&self, base: &Arc<Provider>, role: Role) -> Arc<Provider> {
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        roles.retain(|assumed| assumed.provider.strong_count() > 0);
        let known = roles.iter().find(|assumed| assumed.role == role && assumed.base.is_same(base));
        if let Some(provider) = known.and_then(|assumed| assumed.provider.upgrade()) {
            return provider;
        }
        let source = AssumedRole::new(Arc::clone(base), role.clone(), self.sts.clone());
        let provider = Provider::of(vec![Arc::new(source)], Arc::clone(&self.clock), self.runtime.clone());
        roles.push(Assumed { base: Arc::clone(base), role, provider: Arc::downgrade(&provider) });
        provider
    }

    /// The region that this machine is set to: `AWS_REGION`, `AWS_DEFAULT_REGION`, else the profile's.
    pub fn region(&self) -> Option<String> {
        self.sts.as_ref()?.region()
    }

    /// What to say where no region is known: a profile that somebody has named and that is not there may be why.
    pub fn why_no_region(&self) -> String {
        let usual = "no region is set";
        match self.sts.as_ref().and_then(|sts| sts.profiles.trouble()) {
            Some(trouble) => format!("{usual}, and {trouble}"),
            None => usual.to_owned(),
        }
    }

    /// The region that this machine is in, as its metadata service says: the last resort of whoever knows no other. It is
    /// asked until it has answered, at most once a minute; to be called on the control runtime.
    pub async fn machine_region(&self) -> Option<String> {
        let instance = self.instance.as_ref()?;
        let mut known = self.machine_region.lock().await;
        let now = self.clock.now();
        match &*known {
            Some((_, Some(region))) => return Some(region.clone()),
            Some((asked, None)) if now.saturating_since(*asked) < ASK_MACHINE_AGAIN => return None,
            _ => {}
        }
        let region = instance.region().await;
        if let Err(missing) = &region {
            tracing::debug!(?missing, "this machine does not say in which region it is");
        }
        let region = region.ok();
        *known = Some((now, region.clone()));
        region
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Chain").field(&self.provider).finish()
    }
}

/// After what time a machine is asked again that has not named its region.
const ASK_MACHINE_AGAIN: Duration = Duration::from_secs(60);
