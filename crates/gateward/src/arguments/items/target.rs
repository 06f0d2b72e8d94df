//! `target create web`, `update web`, `get`, `list` and `delete`.

use clap::Args;
use serde_json::Value;

use super::{Body, Common, OneCall};

/// `target create`.
#[derive(Clone, Debug, Args)]
pub struct CreateTarget {
    /// The kind of target; `web` is the only one
    #[arg(value_parser = ["web"], hide_possible_values = true)]
    kind: Option<String>,
    /// The name of the target, with its folders
    #[arg(short, long)]
    name: String,
    /// Called to rotate the secrets that have this target
    #[arg(long)]
    url: String,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// `target update`.
#[derive(Clone, Debug, Args)]
pub struct UpdateTarget {
    /// The kind of target; `web` is the only one
    #[arg(value_parser = ["web"], hide_possible_values = true)]
    kind: Option<String>,
    /// The target
    #[arg(short, long)]
    name: String,
    /// What it is called from now on
    #[arg(long, value_name = "NAME")]
    new_name: Option<String>,
    /// Called to rotate the secrets that have this target
    #[arg(long)]
    url: Option<String>,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// `target get`.
#[derive(Clone, Debug, Args)]
pub struct GetTarget {
    /// The target
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

/// `target list`.
#[derive(Clone, Debug, Args)]
pub struct ListTargets {
    /// Only with this in their names
    #[arg(long)]
    filter: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// `target delete`.
#[derive(Clone, Debug, Args)]
pub struct DeleteTarget {
    /// The target; no rotated secret may use it any more
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

impl OneCall for CreateTarget {
    fn operation(&self) -> &'static str {
        "target-create-web"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .with("url", self.url.as_str())
            .maybe("description", self.description.as_deref())
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The target {} was created.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for UpdateTarget {
    fn operation(&self) -> &'static str {
        "target-update-web"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .maybe("new-name", self.new_name.as_deref())
            .maybe("url", self.url.as_deref())
            .maybe("description", self.description.as_deref())
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The target {} was changed.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for GetTarget {
    fn operation(&self) -> &'static str {
        "target-get-details"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for ListTargets {
    fn operation(&self) -> &'static str {
        "target-list"
    }

    fn body(&self) -> Body {
        Body::default().maybe("filter", self.filter.as_deref())
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for DeleteTarget {
    fn operation(&self) -> &'static str {
        "target-delete"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The target {} was deleted.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}
