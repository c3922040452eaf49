//! The scripts of a migrations folder for one database engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::script::{DecodeError, EngineKind, FileName, FileNameError, Prefix, Version, decode};

/// A script with its down script, as a folder holds them.
#[derive(Debug, Clone)]
pub(super) struct ScriptFile {
    /// The name of the up script's file.
    pub name: FileName,
    /// The up script.
    pub up: String,
    /// The down script.
    pub down: Option<String>,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("the folder {path} cannot be read: {source}")]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} cannot be read: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}: {source}")]
    Name {
        path: PathBuf,
        source: FileNameError,
    },
    #[error("{path}: {source}")]
    Text { path: PathBuf, source: DecodeError },
    #[error(
        "{folder}: version {version} has no script for {engine}; add V{version}__….{suffix} beside {other}",
        suffix = .engine.script_suffix().trim_start_matches('.')
    )]
    MissingVariant {
        folder: PathBuf,
        version: Version,
        engine: EngineKind,
        other: String,
    },
    #[error("{folder}: {first} and {second} have the same version")]
    DuplicateVersion {
        folder: PathBuf,
        first: String,
        second: String,
    },
    #[error("{folder}: {file} undoes a version that no V file of the folder has")]
    OrphanDownScript { folder: PathBuf, file: String },
}

/// Reads the scripts of a folder that are for an engine, in version order, repeatable ones last. Subfolders are other
/// databases'; dbvc's own versions are compiled into it and left out. A folder that is not there holds nothing.
pub(super) fn read(folder: &Path, engine: EngineKind) -> Result<Vec<ScriptFile>, FolderError> {
    let unreadable = |source| FolderError::Folder {
        path: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names: Vec<(FileName, String)> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let Some(text) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.is_dir() || FileName::engine_of(text).is_none() {
            continue;
        }
        let name = FileName::parse(text).map_err(|source| FolderError::Name {
            path: path.clone(),
            source,
        })?;
        if !name.version.as_ref().is_some_and(Version::is_reserved) {
            names.push((name, text.to_owned()));
        }
    }
    names.sort_by(|a, b| a.1.cmp(&b.1));
    let wanted = |prefix: Prefix| {
        names
            .iter()
            .filter(move |(name, _)| name.prefix == prefix && name.engine == engine)
    };
    let mut versioned: BTreeMap<&Version, (&FileName, &String)> = BTreeMap::new();
    for (name, file) in wanted(Prefix::Up) {
        if let Some(version) = &name.version
            && let Some((_, first)) = versioned.insert(version, (name, file))
        {
            return Err(FolderError::DuplicateVersion {
                folder: folder.to_owned(),
                first: first.clone(),
                second: file.clone(),
            });
        }
    }
    for (name, file) in &names {
        if name.prefix == Prefix::Up
            && let Some(version) = &name.version
            && !versioned.contains_key(version)
        {
            return Err(FolderError::MissingVariant {
                folder: folder.to_owned(),
                version: version.clone(),
                engine,
                other: file.clone(),
            });
        }
    }
    let mut downs: BTreeMap<&Version, String> = BTreeMap::new();
    for (name, file) in wanted(Prefix::Down) {
        let Some(version) = name
            .version
            .as_ref()
            .filter(|version| versioned.contains_key(version))
        else {
            return Err(FolderError::OrphanDownScript {
                folder: folder.to_owned(),
                file: file.clone(),
            });
        };
        downs.insert(version, text_of(&folder.join(file))?);
    }
    let mut scripts = Vec::new();
    for (version, (name, file)) in versioned {
        scripts.push(ScriptFile {
            name: name.clone(),
            up: text_of(&folder.join(file))?,
            down: downs.remove(version),
        });
    }
    for (name, file) in wanted(Prefix::Repeatable) {
        scripts.push(ScriptFile {
            name: name.clone(),
            up: text_of(&folder.join(file))?,
            down: None,
        });
    }
    Ok(scripts)
}

fn text_of(path: &Path) -> Result<String, FolderError> {
    let bytes = std::fs::read(path).map_err(|source| FolderError::File {
        path: path.to_owned(),
        source,
    })?;
    let decoded = decode(&bytes).map_err(|source| FolderError::Text {
        path: path.to_owned(),
        source,
    })?;
    Ok(decoded.text)
}
