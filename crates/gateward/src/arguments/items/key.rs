//! `create-dfc-key`: a name for a customer fragment.

use clap::Args;
use serde_json::Value;

use super::{Body, Common, OneCall};

/// `create-dfc-key`.
#[derive(Clone, Debug, Args)]
pub struct CreateKey {
    /// The name of the key, with its folders
    #[arg(short, long)]
    name: String,
    /// How it seals; AES256GCM is the only way
    #[arg(short, long, value_parser = ["AES256GCM"], default_value = "AES256GCM", hide_possible_values = true)]
    alg: String,
    /// The customer fragment that it stands for
    #[arg(short = 'f', long, value_name = "ID")]
    customer_frg_id: String,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// A tag; may be repeated
    #[arg(short, long)]
    tag: Vec<String>,
    #[command(flatten)]
    common: Common,
}

impl OneCall for CreateKey {
    fn operation(&self) -> &'static str {
        "create-dfc-key"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .with("alg", self.alg.as_str())
            .with("customer-frg-id", self.customer_frg_id.as_str())
            .maybe("description", self.description.as_deref())
            .list("tag", &self.tag)
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The key {} was created.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}
