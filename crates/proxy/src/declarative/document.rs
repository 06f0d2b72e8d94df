//! One file: which resources stand in it, of which kind, by which id.

use std::collections::BTreeMap;

use gateward_model::apisix::{Kind, ResourceId};
use gateward_model::{Invalid, Vault};
use gateward_vaults::Resolver;
use serde_json::Value;

use super::node::{Content, Field, Node, Place};
use super::variables;

/// What stands in one file.
#[derive(Default)]
pub(super) struct Document {
    pub(super) drafts: Vec<Draft>,
    /// The vaults, and where their list begins.
    pub(super) vaults: Option<(Place, Vec<Vault>)>,
}

/// A resource, not yet checked.
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) id: String,
    /// Where it begins.
    pub(super) place: Place,
    pub(super) node: Node,
}

/// What is wrong, and where.
type Error = (Place, String);

impl Document {
    /// Reads the file's `text`. Tells all that is wrong with its outline; the resources themselves are not looked at.
    pub(super) fn read(
        text: &str,
        is_json: bool,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Vec<Error>> {
        check_end(text, is_json).map_err(|error| vec![error])?;
        let mut root = Node::parse(text).map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        variables::replace(&mut root, environment, &mut errors);
        check_quotes(&root, &mut errors);
        let mut document = Self::default();
        let is_deck = root.get("_format_version").is_some();
        match root.content {
            Content::Map(fields) => {
                for field in fields {
                    document.take(field, is_deck, &mut errors);
                }
            }
            // A file without a resource is a configuration without one.
            Content::Scalar(Value::Null) => {}
            Content::Scalar(_) | Content::List(_) => {
                errors.push((root.place, format!("a file is a map of kinds: {}", kinds())));
            }
        }
        if errors.is_empty() { Ok(document) } else { Err(errors) }
    }

    /// Takes what stands by one key of the file.
    fn take(&mut self, field: Field, is_deck: bool, errors: &mut Vec<Error>) {
        let place = field.place;
        let mut wrong = |problem: String| errors.push((place, problem));
        match field.name.as_str() {
            "credentials" => {
                wrong("credentials stand in their consumer, as its field `credentials`".to_owned());
            }
            "vaults" if is_deck => self.take_vaults(field, errors),
            "vaults" => {
                wrong("vaults are read in decK's form; write _format_version: \"3.0\" above".to_owned());
            }
            "plugins" => check_plugins(field, errors),
            "_format_version" => match &field.value.content {
                Content::Scalar(Value::String(version)) if FORMAT_VERSIONS.contains(&version.as_str()) => {}
                // Without the quotes it is a number, which is what most people write first.
                Content::Scalar(Value::Number(version))
                    if FORMAT_VERSIONS.contains(&version.to_string().as_str()) => {}
                _ => wrong(format!("_format_version: is one of {}", FORMAT_VERSIONS.join(", "))),
            },
            "_transform" | "_comment" | "_ignore" | "_info" if is_deck => {}
            "secrets" => wrong(
                "APISIX's secrets are not read; a vault takes their place, and a reference {vault://…} \
                 that of $secret://…"
                    .to_owned(),
            ),
            "stream_routes" | "protos" => {
                wrong(format!("{}: there are none here; Gateward serves HTTP", field.name));
            }
            name => match Kind::of(name) {
                Some(kind) => self.take_kind(kind, field, errors),
                None => wrong(format!("there is no kind of resources {name:?}; there are {}", kinds())),
            },
        }
    }

    fn take_kind(&mut self, kind: Kind, field: Field, errors: &mut Vec<Error>) {
        let Some(nodes) = list(field, errors) else { return };
        for (index, node) in nodes.into_iter().enumerate() {
            match kind {
                Kind::Consumers => self.take_consumer(node, errors),
                _ => match id_of(kind, index, &node) {
                    Ok(id) => self.drafts.push(Draft { kind, id, place: node.place, node }),
                    Err(error) => errors.push(error),
                },
            }
        }
    }

    /// A consumer with its credentials; or one of those alone, which APISIX names `jack/credentials/1`.
    fn take_consumer(&mut self, mut node: Node, errors: &mut Vec<Error>) {
        let place = node.place;
        let text = |node: &Node, field: &str| match node.get(field).map(|field| &field.value.content) {
            Some(Content::Scalar(Value::String(text))) => Some(text.clone()),
            Some(Content::Scalar(Value::Number(number))) => Some(number.to_string()),
            _ => None,
        };
        if let Some(id) = text(&node, "id")
            && let Some((consumer, credential)) = id.split_once("/credentials/")
        {
            let id = format!("{consumer}/{credential}");
            set_id(&mut node, credential);
            self.drafts.push(Draft { kind: Kind::Credentials, id, place, node });
            return;
        }
        let Some(username) = text(&node, "username") else {
            errors.push((place, "a consumer: username: is required".to_owned()));
            return;
        };
        let Content::Map(fields) = &mut node.content else { return };
        if let Some(position) = fields.iter().position(|field| field.name == "credentials") {
            let credentials = fields.remove(position);
            for (index, credential) in list(credentials, errors).unwrap_or_default().into_iter().enumerate() {
                match id_of(Kind::Credentials, index, &credential) {
                    Ok(id) => {
                        let id = format!("{username}/{id}");
                        let place = credential.place;
                        self.drafts.push(Draft { kind: Kind::Credentials, id, place, node: credential });
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
        self.drafts.push(Draft { kind: Kind::Consumers, id: username, place, node });
    }

    fn take_vaults(&mut self, field: Field, errors: &mut Vec<Error>) {
        let place = field.place;
        let Some(nodes) = list(field, errors) else { return };
        let mut vaults: Vec<Vault> = Vec::new();
        for node in nodes {
            match vault(&node) {
                Ok(vault) if vaults.iter().any(|other| other.prefix == vault.prefix) => {
                    errors.push((node.place, format!("there is another vault {:?} above", vault.prefix)));
                }
                Ok(vault) => vaults.push(vault),
                Err(invalid) => {
                    let problem = match invalid.field.as_str() {
                        "" => format!("a vault: {}", invalid.problem),
                        field => format!("a vault: {field}: {}", invalid.problem),
                    };
                    errors.push((place_of(&node, &invalid), problem));
                }
            }
        }
        // Together only when each is right by itself: what one refers to may be one that was refused.
        if errors.is_empty()
            && let Err((prefix, invalid)) = Resolver::check_vaults(&vaults)
        {
            errors.push((place, format!("the vault {prefix:?}: {invalid}")));
        }
        self.vaults = Some((place, vaults));
    }
}

/// Where the field stands that `invalid` is about.
pub(super) fn place_of(node: &Node, invalid: &Invalid) -> Place {
    let unknown = invalid.problem.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    match unknown {
        // The path may lead to the map that it stands in, or to the field itself.
        Some(name) if !invalid.field.ends_with(name) => node.place_of(&format!("{}.{name}", invalid.field)),
        _ => node.place_of(&invalid.field),
    }
}

/// Without quotes YAML takes the braces of a reference for a map.
fn check_quotes(node: &Node, errors: &mut Vec<Error>) {
    match &node.content {
        Content::Map(fields) if fields.iter().any(|field| field.name.starts_with("vault://")) => {
            errors.push((
                node.place,
                "a reference stands in quotes: \"{vault://the-vault/the-secret}\"".to_owned(),
            ));
        }
        Content::Map(fields) => fields.iter().for_each(|field| check_quotes(&field.value, errors)),
        Content::List(elements) => elements.iter().for_each(|element| check_quotes(element, errors)),
        Content::Scalar(_) => {}
    }
}

/// A file that is still being written is none. APISIX marks the end of one with a comment; JSON ends by itself, and
/// decK's files have no mark.
fn check_end(text: &str, is_json: bool) -> Result<(), Error> {
    let is_json = is_json || text.trim_start().starts_with('{');
    let is_deck = text.lines().any(|line| line.starts_with("_format_version"));
    let last = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).last();
    match last {
        Some((_, line)) if is_json || is_deck || line.trim_end().ends_with(END) => Ok(()),
        Some((number, _)) => {
            let place = Place { line: number as u64 + 1, column: 1 };
            Err((place, UNFINISHED.to_owned()))
        }
        None => Err((Place::START, UNFINISHED.to_owned())),
    }
}

/// The elements of a list; a list that was left empty has none.
fn list(field: Field, errors: &mut Vec<Error>) -> Option<Vec<Node>> {
    let nodes = match field.value.content {
        Content::List(nodes) => nodes,
        Content::Scalar(Value::Null) => Vec::new(),
        Content::Scalar(_) | Content::Map(_) => {
            errors.push((field.place, format!("{}: is a list", field.name)));
            return None;
        }
    };
    let before = errors.len();
    for node in &nodes {
        if !matches!(node.content, Content::Map(_)) {
            errors.push((node.place, format!("{}: each element is a map of fields", field.name)));
        }
    }
    (errors.len() == before).then_some(nodes)
}

/// The id of a resource; one that has none is called by its place in the list, as in APISIX.
fn id_of(kind: Kind, index: usize, node: &Node) -> Result<String, Error> {
    let Some(field) = node.get("id") else {
        return match kind {
            Kind::PluginMetadata => {
                Err((node.place, "plugin metadata: id: is required, and is the plugin's name".to_owned()))
            }
            // As many digits as keep the order of the list, which decides between routes of equal rank.
            _ => Ok(format!("arr_{:06}", index + 1)),
        };
    };
    let id = match &field.value.content {
        Content::Scalar(Value::String(id)) => ResourceId::parse(id),
        Content::Scalar(Value::Number(id)) => ResourceId::parse(&id.to_string()),
        _ => Err(Invalid::new("id", "an id is a text or a number")),
    };
    let id = id.map_err(|invalid| (field.place, format!("{}: id: {}", kind.singular(), invalid.problem)))?;
    Ok(id.as_str().to_owned())
}

fn set_id(node: &mut Node, id: &str) {
    if let Content::Map(fields) = &mut node.content
        && let Some(field) = fields.iter_mut().find(|field| field.name == "id")
    {
        field.value.content = Content::Scalar(Value::from(id));
    }
}

/// APISIX's list of the plugins that are switched on. Here all are, so that nothing is left but to see that it names
/// none that does not exist.
fn check_plugins(field: Field, errors: &mut Vec<Error>) {
    for node in list(field, errors).unwrap_or_default() {
        let name = node.get("name").map(|name| &name.value.content);
        let problem = match name {
            _ if node.get("stream").is_some_and(|stream| stream.value.to_json() == true) => {
                "plugins: this one is for streams, and Gateward serves HTTP".to_owned()
            }
            Some(Content::Scalar(Value::String(name))) if gateward_plugins::kind(name).is_some() => continue,
            Some(Content::Scalar(Value::String(name))) => format!("plugins: there is no plugin {name:?}"),
            _ => "plugins: is a list of names, each as `name: …`".to_owned(),
        };
        errors.push((node.place, problem));
    }
}

fn vault(node: &Node) -> Result<Vault, Invalid> {
    let mut json = node.to_json();
    let prefix = json["prefix"].as_str().unwrap_or_default().to_owned();
    for required in ["prefix", "name"] {
        if !json[required].is_string() {
            return Err(Invalid::new(required, "is required, and is a text"));
        }
    }
    // A file gives no id and no times; what asks for a vault by its id finds it by its prefix, too.
    for (field, usual) in [("id", Value::from(prefix)), ("created_at", 0.into()), ("updated_at", 0.into())] {
        if json[field].is_null() {
            json[field] = usual;
        }
    }
    if json["config"].is_null() {
        json["config"] = Value::Object(serde_json::Map::new());
    }
    let vault: Vault = gateward_model::parse(&json)?;
    Resolver::check_vault(&vault)?;
    Ok(vault)
}

fn kinds() -> String {
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Credentials).rev();
    kinds.map(Kind::plural).chain(["plugins", "vaults"]).collect::<Vec<_>>().join(", ")
}

const END: &str = "#END";

/// Also what tells a file that is being written from one that is wrong.
pub(super) const UNFINISHED: &str = "the file is not finished: its last line is to be #END, so that nobody reads it while it is being written";

const FORMAT_VERSIONS: [&str; 3] = ["1.1", "2.1", "3.0"];
