//! The commands for items of every kind.

use clap::{ArgGroup, Args};
use serde_json::Value;

use super::{Body, Common, OneCall};

/// `list-items`.
#[derive(Clone, Debug, Args)]
pub struct ListItems {
    /// Only of this kind: static-secret, dynamic-secret, rotated-secret or target; may be repeated [default: all but
    /// targets]
    #[arg(short, long, value_name = "KIND", value_delimiter = ',')]
    r#type: Vec<String>,
    /// Only in this folder and below
    #[arg(long)]
    path: Option<String>,
    /// Only in the folder itself
    #[arg(long)]
    current_folder: bool,
    /// Only with this in their names
    #[arg(long)]
    filter: Option<String>,
    /// Only with this tag
    #[arg(long)]
    tag: Option<String>,
    /// enabled lists all, disabled a page of a thousand
    #[arg(long, value_name = "HOW", value_parser = ["enabled", "disabled"], default_value = "enabled", hide_possible_values = true)]
    auto_pagination: String,
    /// Where the page begins: what the one before had as next_page
    #[arg(long, value_name = "TOKEN")]
    pagination_token: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// `describe-item`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub struct DescribeItem {
    /// The item
    #[arg(short, long, group = "which")]
    name: Option<String>,
    /// The item, by its number
    #[arg(short = 'i', long, value_name = "NUMBER", group = "which")]
    item_id: Option<u64>,
    /// The item, by what is shown as display_id
    #[arg(short, long, value_name = "ID", group = "which")]
    display_id: Option<String>,
    /// Its versions too
    #[arg(long)]
    show_versions: bool,
    #[command(flatten)]
    common: Common,
}

/// `delete-item`.
#[derive(Clone, Debug, Args)]
pub struct DeleteItem {
    /// The item
    #[arg(short, long)]
    name: String,
    /// Only this version; -1 is the item with all of them
    #[arg(long, value_name = "NUMBER", default_value_t = -1, allow_hyphen_values = true)]
    version: i64,
    /// It is always at once.
    #[arg(long, hide = true)]
    delete_immediately: bool,
    /// It is always at once.
    #[arg(long, value_name = "DAYS", hide = true, allow_hyphen_values = true)]
    delete_in_days: Option<i64>,
    #[command(flatten)]
    common: Common,
}

/// `update-item`.
#[derive(Clone, Debug, Args)]
pub struct UpdateItem {
    /// The item
    #[arg(short, long)]
    name: String,
    /// What it is called from now on
    #[arg(long, value_name = "NAME")]
    new_name: Option<String>,
    /// What it is, for people
    #[arg(long)]
    description: Option<String>,
    /// A tag that comes; may be repeated
    #[arg(long, value_name = "TAG")]
    add_tag: Vec<String>,
    /// A tag that goes; may be repeated
    #[arg(long, value_name = "TAG")]
    rm_tag: Vec<String>,
    /// Whether deletion is refused
    #[arg(long, alias = "delete_protection", value_name = "true|false", hide_possible_values = true)]
    delete_protection: Option<bool>,
    /// How many versions are kept, from 1 to 20
    #[arg(long, value_name = "NUMBER")]
    max_versions: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// `set-item-state`.
#[derive(Clone, Debug, Args)]
pub struct SetItemState {
    /// The item
    #[arg(short, long)]
    name: String,
    /// Enabled or Disabled; a disabled item gives no values
    #[arg(short = 's', long, value_name = "STATE", value_parser = ["Enabled", "Disabled"], ignore_case = true, hide_possible_values = true)]
    desired_state: String,
    #[command(flatten)]
    common: Common,
}

/// `get-tags`.
#[derive(Clone, Debug, Args)]
pub struct GetTags {
    /// The item
    #[arg(short, long)]
    name: String,
    #[command(flatten)]
    common: Common,
}

/// `move-objects`.
#[derive(Clone, Debug, Args)]
pub struct MoveObjects {
    /// An item or a folder
    #[arg(short, long, value_name = "NAME")]
    source: String,
    /// What it is called from now on; with a / at the end, the folder that it moves into
    #[arg(short, long, value_name = "NAME")]
    target: String,
    #[command(flatten)]
    common: Common,
}

impl OneCall for ListItems {
    fn operation(&self) -> &'static str {
        "list-items"
    }

    fn body(&self) -> Body {
        Body::default()
            .list("type", &self.r#type)
            .maybe("path", self.path.as_deref())
            .with("current-folder", self.current_folder)
            .maybe("filter", self.filter.as_deref())
            .maybe("tag", self.tag.as_deref())
            .with("auto-pagination", self.auto_pagination.as_str())
            .maybe("pagination-token", self.pagination_token.as_deref())
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for DescribeItem {
    fn operation(&self) -> &'static str {
        "describe-item"
    }

    fn body(&self) -> Body {
        Body::default()
            .maybe("name", self.name.as_deref())
            .maybe("item-id", self.item_id)
            .maybe("display-id", self.display_id.as_deref())
            .with("show-versions", self.show_versions)
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for DeleteItem {
    fn operation(&self) -> &'static str {
        "delete-item"
    }

    fn body(&self) -> Body {
        Body::about(&self.name).with("version", self.version)
    }

    fn told(&self, answer: &Value) -> Option<String> {
        // Which one 0 has meant, and whether the item went with its only version, the gateway knows.
        Some(match answer["version_deleted"].as_i64().unwrap_or(self.version) {
            -1 if self.version != -1 => format!("The item {} was deleted with its only version.", self.name),
            -1 => format!("The item {} was deleted.", self.name),
            version => format!("Version {version} of the item {} was deleted.", self.name),
        })
    }

    fn common(&self) -> &Common {
        &self.common
    }

    /// The leases of a dynamic secret are revoked first.
    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(300)
    }
}

impl OneCall for UpdateItem {
    fn operation(&self) -> &'static str {
        "update-item"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
            .maybe("new-name", self.new_name.as_deref())
            .with("description", self.description.as_deref().unwrap_or("default_metadata"))
            .list("add-tag", &self.add_tag)
            .list("rm-tag", &self.rm_tag)
            .maybe("delete_protection", self.delete_protection.map(|on| on.to_string()))
            .maybe("max-versions", self.max_versions.map(|versions| versions.to_string()))
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The item {} was changed.", self.name))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for SetItemState {
    fn operation(&self) -> &'static str {
        "set-item-state"
    }

    fn body(&self) -> Body {
        Body::about(&self.name).with("desired-state", self.desired_state.as_str())
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(format!("The item {} is {} now.", self.name, self.desired_state.to_lowercase()))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for GetTags {
    fn operation(&self) -> &'static str {
        "get-tags"
    }

    fn body(&self) -> Body {
        Body::about(&self.name)
    }

    fn told(&self, answer: &Value) -> Option<String> {
        let tags: Vec<_> = answer.as_array()?.iter().filter_map(Value::as_str).collect();
        Some(tags.join("\n"))
    }

    fn common(&self) -> &Common {
        &self.common
    }
}

impl OneCall for MoveObjects {
    fn operation(&self) -> &'static str {
        "move-objects"
    }

    fn body(&self) -> Body {
        Body::default()
            .with("source", self.source.as_str())
            .with("target", self.target.as_str())
            .with("objects-type", "item")
    }

    fn told(&self, _: &Value) -> Option<String> {
        Some(match self.target.ends_with('/') {
            true => format!("{} is in {} now.", self.source, self.target),
            false => format!("{} is {} now.", self.source, self.target),
        })
    }

    fn common(&self) -> &Common {
        &self.common
    }
}
