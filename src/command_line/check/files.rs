//! Finds the script files that `dbvc check` is asked about.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::script::FileName;

/// The folders of the files that are asked about, in the order in which they were met.
#[derive(Debug, Default)]
pub(super) struct ListedFolders {
    folders: Vec<ListedFolder>,
    /// Where each folder is in the list, by its real path: one may be met by several names, or go round in a circle.
    by_real_path: HashMap<PathBuf, usize>,
}

/// A folder with all its script files, since each is judged among the others.
#[derive(Debug)]
pub(super) struct ListedFolder {
    path: PathBuf,
    /// In the order of their names, which is also how one is found.
    files: Vec<ListedFile>,
    subfolders: Vec<OsString>,
    is_whole: bool,
}

/// A script file.
#[derive(Debug)]
pub(super) struct ListedFile {
    pub(super) path: PathBuf,
    /// Its name without the folder. What is not Unicode in it is replaced, and then refused as a wrong name.
    pub(super) name: String,
    /// Whether the file was asked about, rather than only its neighbour.
    pub(super) is_listed: bool,
}

/// A path that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub(super) struct FilesError {
    path: PathBuf,
    source: io::Error,
}

impl ListedFolders {
    /// Finds all script files in the folders and their subfolders, and the files that are named themselves. Subfolders
    /// whose names begin with a dot are left out: they belong to tools.
    ///
    /// # Errors
    ///
    /// When a path does not exist or cannot be read.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, FilesError> {
        let mut folders = Self::default();
        for path in paths {
            let metadata = fs::metadata(path).map_err(cannot_read(path))?;
            match path.file_name() {
                Some(name) if !metadata.is_dir() => folders.add_file(path, name)?,
                _ => folders.add_tree(path)?,
            }
        }
        Ok(folders)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &ListedFolder> {
        self.folders.iter()
    }

    fn add_file(&mut self, path: &Path, name: &OsStr) -> Result<(), FilesError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = self.folder(folder)?;
        match folder
            .files
            .binary_search_by(|file| file.path.file_name().cmp(&Some(name)))
        {
            Ok(index) => folder.files[index].is_listed = true,
            // It does not end as a script does, but somebody takes it for one.
            Err(index) => folder
                .files
                .insert(index, ListedFile::new(path.to_owned(), name, true)),
        }
        Ok(())
    }

    fn add_tree(&mut self, root: &Path) -> Result<(), FilesError> {
        let mut remaining = vec![root.to_owned()];
        while let Some(path) = remaining.pop() {
            let folder = self.folder(&path)?;
            if folder.is_whole {
                continue;
            }
            folder.is_whole = true;
            for file in &mut folder.files {
                file.is_listed = true;
            }
            // The last one is taken next.
            remaining.extend(folder.subfolders.iter().rev().map(|name| path.join(name)));
        }
        Ok(())
    }

    /// The folder, read when it is met for the first time.
    fn folder(&mut self, path: &Path) -> Result<&mut ListedFolder, FilesError> {
        let readable = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let real_path = fs::canonicalize(readable).map_err(cannot_read(readable))?;
        let index = match self.by_real_path.entry(real_path) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.folders.push(ListedFolder::read(path, readable)?);
                *new.insert(self.folders.len() - 1)
            }
        };
        Ok(&mut self.folders[index])
    }
}

impl ListedFolder {
    pub(super) fn files(&self) -> &[ListedFile] {
        &self.files
    }

    fn read(path: &Path, readable: &Path) -> Result<Self, FilesError> {
        let mut folder = Self {
            path: path.to_owned(),
            files: Vec::new(),
            subfolders: Vec::new(),
            is_whole: false,
        };
        for entry in fs::read_dir(readable).map_err(cannot_read(readable))? {
            let entry = entry.map_err(cannot_read(readable))?;
            folder.add(&entry)?;
        }
        folder
            .files
            .sort_by(|one, other| one.path.file_name().cmp(&other.path.file_name()));
        folder.subfolders.sort();
        Ok(folder)
    }

    fn add(&mut self, entry: &fs::DirEntry) -> Result<(), FilesError> {
        let name = entry.file_name();
        let file_type = entry.file_type().map_err(cannot_read(&entry.path()))?;
        // A link counts as what it leads to; one that leads nowhere is read as a file, and refused, if it is a script.
        let is_folder = file_type.is_dir() || (file_type.is_symlink() && entry.path().is_dir());
        if is_folder {
            if !name.as_encoded_bytes().starts_with(b".") {
                self.subfolders.push(name);
            }
        } else if FileName::engine_of(&name.to_string_lossy()).is_some() {
            let path = self.path.join(&name);
            self.files.push(ListedFile::new(path, &name, false));
        }
        Ok(())
    }
}

impl ListedFile {
    fn new(path: PathBuf, name: &OsStr, is_listed: bool) -> Self {
        let name = name.to_string_lossy().into_owned();
        Self {
            path,
            name,
            is_listed,
        }
    }

    pub(super) fn read(&self) -> Result<Vec<u8>, FilesError> {
        fs::read(&self.path).map_err(cannot_read(&self.path))
    }
}

fn cannot_read(path: &Path) -> impl FnOnce(io::Error) -> FilesError {
    let path = path.to_owned();
    move |source| FilesError { path, source }
}
