//! Resources in files: APISIX's standalone form, and for vaults also decK's.
//!
//! Whoever keeps the configuration in files gives the paths, and the files own every kind of resource that they can
//! hold: what stands of those in the store is not served, and the APIs do not write them. All files together are one
//! configuration, which is taken whole or refused whole, with every error named by file, line and column; what was
//! taken before keeps serving.
//!
//! ```text
//! text ─► node (values with their places) ─► variables ─► document (kinds, ids) ─► validation ─► Declared
//! ```

mod document;
mod hidden;
mod node;
mod overlay;
mod variables;
mod watch;
mod wrong;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateward_model::Vault;
use gateward_model::apisix::Kind;
use serde_json::Value;

use document::{Document, Draft};
pub use node::Place;
pub(crate) use overlay::Overlay;
pub use watch::Following;
pub use wrong::{Refused, Wrong};

use crate::validation::{self, Resource};

/// The files that hold the resources.
#[derive(Clone)]
pub struct Files {
    paths: Vec<PathBuf>,
    environment: Arc<BTreeMap<String, String>>,
}

/// What the files hold, checked.
#[derive(Clone, Default, PartialEq)]
pub struct Declared {
    /// The routing resources, each with its kind and its id.
    pub resources: Vec<(Kind, String, Value)>,
    /// The vaults, if a file says which there are.
    pub vaults: Option<Vec<Vault>>,
}

impl Files {
    /// The files at `paths`, whose variables are those of `environment`.
    pub fn new(paths: Vec<PathBuf>, environment: Arc<BTreeMap<String, String>>) -> Self {
        Self { paths, environment }
    }

    /// Where they are.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads and checks all of them. Waits for the disk.
    pub fn read(&self) -> Result<Declared, Refused> {
        let mut documents = Vec::new();
        let mut wrong = Vec::new();
        for path in &self.paths {
            let text = std::fs::read_to_string(path).map_err(|error| (Place::START, unreadable(&error)));
            let read = text.map_err(|error| vec![error]).and_then(|text| {
                let is_json = path.extension().is_some_and(|extension| extension == "json");
                Document::read(&text, is_json, &self.environment)
            });
            match read {
                Ok(document) => documents.push((path.as_path(), document)),
                Err(errors) => wrong.extend(errors.into_iter().map(|error| Wrong::at(path, error))),
            }
        }
        // What is missing in one file may stand in another, so that without it everything would seem to be wrong.
        if !wrong.is_empty() {
            return Err(Refused::sorted(wrong));
        }
        declare(documents)
    }
}

impl Declared {
    /// How many there are of `kind`.
    pub fn count(&self, kind: Kind) -> usize {
        self.resources.iter().filter(|(one, _, _)| *one == kind).count()
    }
}

/// Puts the documents together, and checks that they go together.
fn declare(documents: Vec<(&Path, Document)>) -> Result<Declared, Refused> {
    let mut wrong = Vec::new();
    let (mut vaults, mut vaults_of) = (None, None);
    let mut drafts: Vec<(&Path, Draft)> = Vec::new();
    for (path, document) in documents {
        if let Some((place, here)) = document.vaults {
            if let Some(first) = vaults_of.replace(path) {
                let problem =
                    format!("there are vaults in {} already; keep them in one file", first.display());
                wrong.push(Wrong::at(path, (place, problem)));
            }
            vaults = Some(here);
        }
        drafts.extend(document.drafts.into_iter().map(|draft| (path, draft)));
    }
    let drafts = each_once(drafts, &mut wrong);
    let jsons: Vec<Value> = drafts.iter().map(|(_, draft)| draft.node.to_json()).collect();
    let resources: Vec<Resource<'_>> = drafts
        .iter()
        .zip(&jsons)
        .map(|((_, draft), json)| Resource { kind: draft.kind, id: &draft.id, json })
        .collect();
    let prefixes =
        vaults.as_ref().map(|vaults: &Vec<Vault>| vaults.iter().map(|vault| vault.prefix.as_str()).collect());
    for (at, fault) in validation::check_all(&resources, prefixes.as_ref()) {
        let (path, draft) = &drafts[at];
        let invalid = fault.into_invalid();
        let place = document::place_of(&draft.node, &invalid);
        let problem = format!("{} {:?}: {invalid}", draft.kind.singular(), draft.id);
        wrong.push(Wrong::at(path, (place, problem)));
    }
    if !wrong.is_empty() {
        return Err(Refused::sorted(wrong));
    }
    let resources = drafts.into_iter().zip(jsons).map(|((_, draft), json)| (draft.kind, draft.id, json));
    Ok(Declared { resources: resources.collect(), vaults })
}

/// The first of those that have one id; the others are told.
fn each_once<'p>(drafts: Vec<(&'p Path, Draft)>, wrong: &mut Vec<Wrong>) -> Vec<(&'p Path, Draft)> {
    let mut standing: HashMap<(Kind, String), (&Path, Place)> = HashMap::with_capacity(drafts.len());
    let mut once = Vec::with_capacity(drafts.len());
    for (path, draft) in drafts {
        match standing.entry((draft.kind, draft.id.clone())) {
            Entry::Vacant(free) => {
                free.insert((path, draft.place));
                once.push((path, draft));
            }
            Entry::Occupied(taken) => {
                let (first, at) = taken.get();
                let problem = format!(
                    "{} {:?}: there is another one with this id, in line {} of {}",
                    draft.kind.singular(),
                    draft.id,
                    at.line,
                    first.display()
                );
                wrong.push(Wrong::at(path, (draft.place, problem)));
            }
        }
    }
    once
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::InvalidData => "this is no UTF-8 text".to_owned(),
        _ => format!("it cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests;
