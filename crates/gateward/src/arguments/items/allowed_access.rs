//! `gateway-create-allowed-access`, `-update-`, `-get-` and `-delete-`: who else may do what.

use clap::{ArgGroup, Args};
use serde_json::{Map, Value};

use super::{Body, Common, OneCall};

/// `gateway-create-allowed-access`.
#[derive(Clone, Debug, Args)]
pub struct CreateAllowedAccess {
    /// What the entry is called
    #[arg(short, long)]
    name: String,
    /// Whom it is about
    #[arg(long, value_name = "ID")]
    access_id: String,
    /// What they may, with commas between: admin, dynamic_secret, targets …
    #[arg(short, long, value_name = "NAMES")]
    permissions: String,
    /// What must be known of them, as group=a,b; may be repeated with other names, and each must hold
    #[arg(short, long, value_name = "NAME=VALUES", value_parser = sub_claim)]
    sub_claims: Vec<(String, String)>,
    /// Whether A is another letter than a there [default: true]
    #[arg(long, value_name = "true|false", hide_possible_values = true)]
    case_sensitive: Option<bool>,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// `gateway-update-allowed-access`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct UpdateAllowedAccess {
    /// The entry
    #[arg(short, long)]
    name: String,
    /// What the entry is called from now on
    #[arg(long, group = "change")]
    new_name: Option<String>,
    /// Whom it is about
    #[arg(long, value_name = "ID", group = "change")]
    access_id: Option<String>,
    /// What they may, with commas between, in place of what they might
    #[arg(short, long, value_name = "NAMES", group = "change")]
    permissions: Option<String>,
    /// What must be known of them, as group=a,b, in place of all that had to be; may be repeated with other names
    #[arg(short, long, value_name = "NAME=VALUES", value_parser = sub_claim, group = "change")]
    sub_claims: Vec<(String, String)>,
    /// Whether A is another letter than a there
    #[arg(long, value_name = "true|false", hide_possible_values = true, group = "change")]
    case_sensitive: Option<bool>,
    /// What it is, for people
    #[arg(long, group = "change")]
    description: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// `gateway-get-allowed-access`.
#[derive(Clone, Debug, Args)]
pub struct GetAllowedAccess {
    /// The entry
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

/// `gateway-delete-allowed-access`.
#[derive(Clone, Debug, Args)]
pub struct DeleteAllowedAccess {
    /// The entry
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

impl OneCall for CreateAllowedAccess {
    fn operation(&self) -> &'static str {
        "gateway-create-allowed-access"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .with("access-id", self.access_id.as_str())
            .with("permissions", self.permissions.as_str())
            .with("case-sensitive", self.case_sensitive.unwrap_or(true).to_string())
            .maybe("sub-claims", claims(&self.sub_claims))
            .maybe("description", self.description.as_deref())
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("{} may {} now.", self.access_id, self.permissions))
    }

    fn problem(&self) -> Option<String> {
        twice(&self.sub_claims)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for UpdateAllowedAccess {
    fn operation(&self) -> &'static str {
        "gateway-update-allowed-access"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .maybe("new-name", self.new_name.as_deref())
            .maybe("access-id", self.access_id.as_deref())
            .maybe("permissions", self.permissions.as_deref())
            .maybe("sub-claims", claims(&self.sub_claims))
            .maybe("case-sensitive", self.case_sensitive.map(|flag| flag.to_string()))
            .maybe("description", self.description.as_deref())
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The entry {} was changed.", self.new_name.as_ref().unwrap_or(&self.name)))
    }

    fn problem(&self) -> Option<String> {
        twice(&self.sub_claims)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for GetAllowedAccess {
    fn operation(&self) -> &'static str {
        "gateway-get-allowed-access"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn told(&self, _: &Value) -> Option<String> {
        None
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for DeleteAllowedAccess {
    fn operation(&self) -> &'static str {
        "gateway-delete-allowed-access"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The entry {} was deleted.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

/// Refuses a sub-claim that was said twice: of one the other would be lost, and with it what must be known.
fn twice(said: &[(String, String)]) -> Option<String> {
    let again = said
        .iter()
        .enumerate()
        .find(|(place, (name, _))| said[..*place].iter().any(|(before, _)| before == name));
    again.map(|(_, (name, _))| {
        format!("the sub-claim {name} is given twice; write {name}=a,b where either value will do")
    })
}

/// What must be known of somebody; none if nothing was said.
fn claims(said: &[(String, String)]) -> Option<Map<String, Value>> {
    let claims = said.iter().map(|(name, values)| (name.clone(), values.clone().into()));
    let claims: Map<String, Value> = claims.collect();
    (!claims.is_empty()).then_some(claims)
}

fn sub_claim(text: &str) -> Result<(String, String), String> {
    let (name, values) = text.split_once('=').ok_or("a sub-claim is written as name=value,value")?;
    Ok((name.to_owned(), values.to_owned()))
}
