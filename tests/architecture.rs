//! The house: imports run one way only, and what a folder may know is held to by a test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of `src`, from the top down. A folder may import from those below it and from itself.
const LAYERS: [&[&str]; 8] = [
    &["main", "command_line"],
    &["functions"],
    &["settings"],
    &["engine"],
    &["alert"],
    &["audit"],
    &["registry"],
    &["database"],
];

/// Pure: no I/O, and they know nobody but each other's data.
const PURE: [&str; 2] = ["schema", "script"];

/// May be imported by all; they know nobody.
const BASE: [&str; 2] = ["time", "crash_points"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with the folder, or file, of `src` that it belongs to.
fn files() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let inner = path.strip_prefix(&root).unwrap();
            let part = inner.components().next().unwrap().as_os_str();
            let part = part.to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (part, path, text)
        })
        .collect()
}

/// The folders that a file names by `crate::…`, its own tests included.
fn imports(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| {
            line.match_indices("crate::")
                .map(move |(at, found)| &line[at + found.len()..])
        })
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn imports_run_downwards_only() {
    let rank: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(rank, names)| names.iter().map(move |name| (*name, rank)))
        .collect();
    let mut wrong = Vec::new();
    for (part, path, text) in files() {
        if part == "lib" {
            continue;
        }
        for imported in imports(&text) {
            let allowed = imported == part
                || BASE.contains(&imported.as_str())
                || match rank.get(part.as_str()) {
                    Some(own) => {
                        PURE.contains(&imported.as_str())
                            || rank.get(imported.as_str()).is_some_and(|other| other > own)
                    }
                    None => false,
                };
            if !allowed {
                wrong.push(format!("{} imports crate::{imported}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn drivers_stay_in_their_folders() {
    let mut wrong = Vec::new();
    for (part, path, text) in files() {
        let tests_begin = text.find("[cfg(test)]").unwrap_or(text.len());
        let product = &text[..tests_begin];
        let azure: &[&str] = &["database", "registry", "audit"];
        let drivers: [(&str, &[&str]); 9] = [
            ("rusqlite::", &["database"]),
            ("tiberius::", &["database"]),
            ("azure_core::", azure),
            ("azure_data_cosmos::", azure),
            ("azure_data_cosmos_driver::", azure),
            ("azure_identity::", azure),
            ("reqwest::", &["alert"]),
            ("warp::", &["functions"]),
            ("clap::", &["command_line"]),
        ];
        for (driver, home) in drivers {
            if product.contains(driver) && !home.contains(&part.as_str()) {
                wrong.push(format!("{} uses {driver}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_pure_does_no_io() {
    let mut wrong = Vec::new();
    for (part, path, text) in files() {
        let tests_begin = text.find("[cfg(test)]").unwrap_or(text.len());
        for io in ["std::fs", "std::net", "std::env", "tokio::", "std::process"] {
            if PURE.contains(&part.as_str()) && text[..tests_begin].contains(io) {
                wrong.push(format!("{} uses {io}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_in_its_first_line_why_it_exists() {
    let wrong: Vec<String> = files()
        .into_iter()
        .filter(|(_, _, text)| !text.starts_with("//! "))
        .map(|(_, path, _)| path.display().to_string())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
