//! What `dbvc check` says about files, as data.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::files::{FilesError, ListedFile, ListedFolder, ListedFolders};
use crate::script::{
    AboutFile, AllowedFinding, Batch, Checked, CheckedFile, Checksum, Encoding, EngineKind,
    FileName, Finding, KnownColumns, Neighbours, PlacedOperation, Prefix, ScriptKind, Severity,
    Syntax, Version, check_decoding, check_folder, check_operations, check_split, decode,
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
    /// What comments of the script allow.
    pub(super) allowed: Vec<AllowedFinding>,
    /// The texts of the lines on which something was found.
    #[serde(skip)]
    pub(super) lines: HashMap<u32, String>,
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
            files.extend(reports(folder)?);
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

/// The reports of the files of a folder that were asked about, in the order of their names. They are read in the order of
/// their versions, so that what earlier ones did to columns is known.
fn reports(folder: &ListedFolder) -> Result<Vec<FileReport>, FilesError> {
    let mut findings = findings_by_name(folder);
    let mut order: Vec<_> = (0..folder.files().len()).collect();
    order.sort_by_cached_key(|&index| version(&folder.files()[index]));
    let neighbours = if folder.files().iter().all(|file| file.is_listed) {
        Neighbours::Scripts
    } else {
        Neighbours::Names
    };
    let mut known: HashMap<EngineKind, KnownColumns> = HashMap::new();
    let mut reports = Vec::new();
    for index in order {
        let file = &folder.files()[index];
        if file.is_listed {
            let about_file = AboutFile {
                findings: std::mem::take(&mut findings[index]),
                neighbours,
            };
            reports.push((index, FileReport::of_file(file, about_file, &mut known)?));
        }
    }
    reports.sort_by_key(|(index, _)| *index);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

/// The version of an up script. Others come first: what they do to columns is not counted.
fn version(file: &ListedFile) -> Option<Version> {
    let name = FileName::parse(&file.name).ok()?;
    name.version.filter(|_| name.prefix == Prefix::Up)
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
    fn of_file(
        file: &ListedFile,
        about_file: AboutFile,
        known: &mut HashMap<EngineKind, KnownColumns>,
    ) -> Result<Self, FilesError> {
        let bytes = file.read()?;
        let mut report = Self {
            path: file.path.display().to_string(),
            encoding: None,
            checksum: None,
            batches: Vec::new(),
            findings: Vec::new(),
            allowed: Vec::new(),
            lines: HashMap::new(),
        };
        match decode(&bytes) {
            Err(error) => {
                report.findings = about_file.findings;
                report.findings.push(check_decoding(&error));
            }
            Ok(decoded) => {
                report.add_text(&decoded.text, decoded.encoding, file, about_file, known);
                report.keep_lines(&decoded.text);
            }
        }
        report
            .findings
            .sort_by_key(|finding| (finding.line, finding.column));
        Ok(report)
    }

    fn keep_lines(&mut self, text: &str) {
        let allowed = self.allowed.iter().map(|allowed| &allowed.finding);
        let wanted: HashSet<_> = self
            .findings
            .iter()
            .chain(allowed)
            .map(|finding| finding.line)
            .collect();
        // A line end of two characters is one.
        let lines = text
            .split('\n')
            .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
        self.lines = (1..)
            .zip(lines)
            .filter(|(number, _)| wanted.contains(number))
            .map(|(number, line)| (number, line.to_owned()))
            .collect();
    }

    fn add_text(
        &mut self,
        text: &str,
        encoding: Encoding,
        file: &ListedFile,
        about_file: AboutFile,
        known: &mut HashMap<EngineKind, KnownColumns>,
    ) {
        self.encoding = Some(encoding.as_str());
        self.checksum = Some(Checksum::of_text(text));
        // A file with a wrong name is taken for T-SQL, so that its author learns all that is wrong at once.
        let engine = FileName::engine_of(&file.name).unwrap_or(EngineKind::SqlServer);
        let Some(syntax) = Syntax::of_engine(engine) else {
            if let Ok(script) = operations::parse(text) {
                self.batches = script
                    .operations
                    .iter()
                    .map(BatchReport::of_operation)
                    .collect();
            }
            self.findings = about_file.findings;
            self.findings.extend(check_operations(text));
            return;
        };
        let split = split(text, syntax);
        if let Ok(split) = &split {
            self.batches = split.batches.iter().map(BatchReport::of_batch).collect();
        }
        let kind = FileName::parse(&file.name)
            .map_or(ScriptKind::Up, |name| ScriptKind::from(name.prefix));
        // What down scripts and repeatable ones do to columns is not what later versions find.
        let mut passing = KnownColumns::default();
        let known = match version(file) {
            Some(_) => known.entry(engine).or_default(),
            None => &mut passing,
        };
        let Checked { findings, allowed } =
            check_split(text, syntax, kind, about_file, &split, known);
        self.findings = findings;
        self.allowed = allowed;
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
