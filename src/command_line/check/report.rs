//! What `dbvc check` says about files, as data.

use serde::Serialize;

use super::files::{FilesError, ListedFile, ListedFolder, ListedFolders};
use crate::script::{
    Batch, CheckedFile, Checksum, Encoding, EngineKind, FileName, Finding, PlacedOperation,
    Severity, Syntax, check_decoding, check_folder, check_operations, check_split, decode,
    operations, split,
};

/// What was found in all files. Its JSON is what `--format json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) files: Vec<FileReport>,
}

/// What was found in one file. Encoding and checksum are null, and there are no batches, when it is no text.
#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    pub(super) path: String,
    pub(super) encoding: Option<&'static str>,
    checksum: Option<Checksum>,
    pub(super) batches: Vec<BatchReport>,
    pub(super) findings: Vec<Finding>,
}

/// A batch of a file.
#[derive(Debug, Serialize)]
pub(super) struct BatchReport {
    index: u32,
    pub(super) line: u32,
    pub(super) count: u32,
    sha256: String,
}

impl Report {
    /// Reads and checks the files that were asked about.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub(super) fn of_folders(folders: &ListedFolders) -> Result<Self, FilesError> {
        let mut files = Vec::new();
        for folder in folders.iter() {
            let names = findings_by_name(folder);
            for (file, findings) in folder.files().iter().zip(names) {
                if file.is_listed {
                    files.push(FileReport::of_file(file, findings)?);
                }
            }
        }
        Ok(Self { files })
    }

    pub(super) fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    pub(super) fn count(&self, severity: Severity) -> usize {
        let findings = self.files.iter().flat_map(|file| &file.findings);
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    }
}

/// For each file of a folder, what its name and those of its neighbours give rise to.
fn findings_by_name(folder: &ListedFolder) -> Vec<Vec<Finding>> {
    let files: Vec<_> = folder
        .files()
        .iter()
        .map(|file| CheckedFile { name: &file.name })
        .collect();
    let mut findings = vec![Vec::new(); files.len()];
    for found in check_folder(&files) {
        findings[found.file].push(found.finding);
    }
    findings
}

impl FileReport {
    fn of_file(file: &ListedFile, mut findings: Vec<Finding>) -> Result<Self, FilesError> {
        let bytes = file.read()?;
        let mut report = Self {
            path: file.path.display().to_string(),
            encoding: None,
            checksum: None,
            batches: Vec::new(),
            findings: Vec::new(),
        };
        match decode(&bytes) {
            Err(error) => findings.push(check_decoding(&error)),
            Ok(decoded) => {
                // A file with a wrong name is taken for T-SQL, so that its author learns all that is wrong at once.
                let engine = FileName::engine_of(&file.name).unwrap_or(EngineKind::SqlServer);
                findings.extend(report.add_text(&decoded.text, decoded.encoding, engine));
            }
        }
        findings.sort_by_key(|finding| (finding.line, finding.column));
        report.findings = findings;
        Ok(report)
    }

    fn add_text(&mut self, text: &str, encoding: Encoding, engine: EngineKind) -> Vec<Finding> {
        self.encoding = Some(encoding.as_str());
        self.checksum = Some(Checksum::of_text(text));
        let Some(syntax) = Syntax::of_engine(engine) else {
            if let Ok(script) = operations::parse(text) {
                self.batches = script
                    .operations
                    .iter()
                    .map(BatchReport::of_operation)
                    .collect();
            }
            return check_operations(text);
        };
        let split = split(text, syntax);
        if let Ok(split) = &split {
            self.batches = split.batches.iter().map(BatchReport::of_batch).collect();
        }
        check_split(text, syntax, &split)
    }
}

impl BatchReport {
    fn of_operation(placed: &PlacedOperation<'_>) -> Self {
        Self {
            index: placed.index,
            line: placed.line,
            count: 1,
            sha256: placed.sha256(),
        }
    }

    fn of_batch(batch: &Batch<'_>) -> Self {
        Self {
            index: batch.index,
            line: batch.line,
            count: batch.count,
            sha256: batch.sha256(),
        }
    }
}
