//! The services of AWS that the gateway itself needs: where its table and the key of its root key are.

use std::sync::Arc;

use gateward_aws::dynamodb::DynamoDb;
use gateward_aws::events::EventBus;
use gateward_aws::kms::Kms;
use gateward_aws::sqs::Queue;
use gateward_aws::{Access, Chain};
use gateward_clock::Clock;
use gateward_model::Invalid;
use gateward_net::Client;

use crate::settings::Settings;
use crate::surroundings::Surroundings;

/// The services, each at its place.
pub struct AwsServices<'a> {
    settings: &'a Settings,
    surroundings: &'a Surroundings,
    client: &'a Client,
    chain: &'a Chain,
    clock: &'a Arc<dyn Clock>,
}

impl<'a> AwsServices<'a> {
    /// The services that `settings` name, called by `client`.
    pub fn new(
        settings: &'a Settings,
        surroundings: &'a Surroundings,
        client: &'a Client,
        chain: &'a Chain,
        clock: &'a Arc<dyn Clock>,
    ) -> Self {
        Self { settings, surroundings, client, chain, clock }
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> Result<DynamoDb, Invalid> {
        DynamoDb::new(&self.access("AWS_ENDPOINT_URL_DYNAMODB")?).map_err(in_our_words)
    }

    /// The key management service.
    pub fn kms(&self) -> Result<Kms, Invalid> {
        Kms::new(&self.access("AWS_ENDPOINT_URL_KMS")?).map_err(in_our_words)
    }

    /// The queue at `url`.
    pub fn queue(&self, url: &str) -> Result<Queue, Invalid> {
        let queue = self.access("AWS_ENDPOINT_URL_SQS").and_then(|access| Queue::new(&access, url));
        queue.map_err(|invalid| Invalid::new("revocation_queue", invalid.problem))
    }

    /// The event bus called `name`, which may be an ARN; then it is in that ARN's region.
    pub fn event_bus(&self, name: &str) -> Result<EventBus, Invalid> {
        let bus = || {
            let mut access = self.access("AWS_ENDPOINT_URL_EVENTBRIDGE")?;
            let parts: Vec<&str> = name.splitn(6, ':').collect();
            match parts[..] {
                ["arn", _, "events", region, _, bus]
                    if !region.is_empty() && bus.starts_with("event-bus/") =>
                {
                    region.clone_into(&mut access.region);
                }
                [name] if is_bus_name(name) => {}
                _ => return Err(Invalid::new("name", "it is the name of an event bus, or its ARN")),
            }
            EventBus::new(&access, name)
        };
        bus().map_err(|invalid| Invalid::new("events_bus", invalid.problem))
    }

    /// How a service is called whose endpoint AWS's own tools read from `variable`.
    fn access(&self, variable: &str) -> Result<Access, Invalid> {
        let region = self.settings.aws_region.clone().or_else(|| self.chain.region());
        let missing = || {
            let why = self.chain.why_no_region();
            Invalid::new("aws_region", format!("{why}; set it here, or AWS_REGION in the environment"))
        };
        Ok(Access {
            client: self.client.clone(),
            region: region.ok_or_else(missing)?,
            endpoint_url: self.endpoint_url(variable).map(str::to_owned),
            provider: self.chain.provider(),
            clock: Arc::clone(self.clock),
        })
    }

    /// Ours, else the one that AWS's own tools take for the service, or for all.
    pub fn endpoint_url(&self, variable: &str) -> Option<&str> {
        let ours = self.settings.aws_endpoint_url.as_deref();
        ours.or_else(|| self.surroundings.variable(variable))
            .or_else(|| self.surroundings.variable("AWS_ENDPOINT_URL"))
    }
}

fn is_bus_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed)
}

/// The fields as the settings call them.
fn in_our_words(invalid: Invalid) -> Invalid {
    Invalid::new(format!("aws_{}", invalid.field), invalid.problem)
}
