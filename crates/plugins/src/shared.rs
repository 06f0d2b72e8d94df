//! What the plugins of a process share: counters, metrics, exporters.
//!
//! It outlives every configuration. A plugin asks for it when it is built, by a type of its own, and keeps it; on the
//! way of a request nobody looks anything up here.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use gateward_aws::Chain;
use gateward_clock::Clock;
use gateward_net::Client;
use tokio::runtime::Handle;

use crate::Confidential;

/// What the plugins of a process share.
pub struct Shared {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The control runtime, for what must go on when no request does.
    pub runtime: Handle,
    /// Whom AWS takes this process for, where a plugin's settings name nobody.
    pub aws: Arc<Chain>,
    /// How exporters call their collectors, where they may.
    pub client: Option<Client>,
    /// What this machine is called.
    pub host_name: Box<str>,
    /// What must not be written down.
    pub confidential: Arc<Confidential>,
    by_type: Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

/// What a [`Shared`] is made of; see there.
pub struct SharedParts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The control runtime.
    pub runtime: Handle,
    /// Whom AWS takes this process for.
    pub aws: Arc<Chain>,
    /// How exporters call.
    pub client: Option<Client>,
    /// What this machine is called.
    pub host_name: Box<str>,
    /// What must not be written down.
    pub confidential: Arc<Confidential>,
}

impl Shared {
    /// Nothing yet, nobody to call, and no AWS credentials but those that settings name.
    pub fn new(clock: Arc<dyn Clock>, runtime: Handle) -> Arc<Self> {
        let aws = Chain::without_sources(Arc::clone(&clock), runtime.clone());
        let (host_name, confidential) = (Box::default(), Arc::default());
        Self::of(SharedParts { clock, runtime, aws, client: None, host_name, confidential })
    }

    /// Nothing yet.
    pub fn of(parts: SharedParts) -> Arc<Self> {
        let SharedParts { clock, runtime, aws, client, host_name, confidential } = parts;
        Arc::new(Self { clock, runtime, aws, client, host_name, confidential, by_type: Mutex::default() })
    }

    /// The one `T` of this process; `make` makes it when it is first asked for.
    pub fn get_or<T: Any + Send + Sync>(&self, make: impl FnOnce(&Self) -> T) -> Arc<T> {
        let known = self.by_type().get(&TypeId::of::<T>()).cloned();
        let kept = known.unwrap_or_else(|| {
            let made: Arc<dyn Any + Send + Sync> = Arc::new(make(self));
            Arc::clone(self.by_type().entry(TypeId::of::<T>()).or_insert(made))
        });
        match kept.downcast() {
            Ok(kept) => kept,
            Err(_) => unreachable!("what is kept by a type is of that type"),
        }
    }

    fn by_type(&self) -> std::sync::MutexGuard<'_, HashMap<TypeId, Arc<dyn Any + Send + Sync>>> {
        self.by_type.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shared")
    }
}
