//! Keeps the targets from rotting: each holds for its seeds, among which is every input that it once did not hold for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use gateward_fuzz::TARGETS;

#[test]
fn every_target_holds_for_its_seeds() {
    for (name, run) in TARGETS {
        let seeds = entries(&Path::new("seeds").join(name));
        assert!(seeds.len() >= 3, "{name} has too few seeds to begin with");
        for seed in seeds {
            let input = fs::read(&seed).expect("a seed is a file");
            let outcome = std::panic::catch_unwind(|| run(&input));
            assert!(outcome.is_ok(), "{name} does not hold for {}", seed.display());
        }
    }
}

#[test]
fn every_target_has_a_binary_and_a_folder_of_seeds_and_these_have_a_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    for folder in ["targets", "seeds"] {
        let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let there: BTreeSet<String> = entries(Path::new(folder)).iter().map(stem).collect();
        assert_eq!(there, targets, "{folder}");
    }
    let manifest = fs::read_to_string("Cargo.toml").expect("the manifest is there");
    for target in targets {
        assert!(
            manifest.contains(&format!("path = \"targets/{target}.rs\"")),
            "{target} is not in Cargo.toml"
        );
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    paths
}
