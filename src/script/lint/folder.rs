//! Checks the names of the script files in one folder, each by itself and against the others.

use std::collections::HashMap;

use super::rules::{missing_down_script, name_form};
use super::{Rule, Scope};
use crate::script::engine_kind::EngineKind;
use crate::script::file_name::{FileName, FileNameError, Prefix};
use crate::script::finding::{Finding, Severity};
use crate::script::version::Version;

/// The name of the one migration that may have a reserved version: dbvc's own first one.
const OWN_MIGRATION: &str = "V100__version_control_schema";

/// See `docs/rules.md`.
pub(super) const FILE_NAME: Rule = Rule {
    code: "file-name",
    severity: Severity::Error,
    scope: Scope::File,
    title: "A name is not that of a script",
    reason: "The name says what a script is for, and which one runs first.",
    remedy: "Name it V<version>__<name>, U<version>__<name> or R__<name>, with .sql, .sqlite.sql or .cosmos.json behind it.",
};

/// See `docs/rules.md`.
pub(super) const RESERVED_VERSION: Rule = Rule {
    code: "reserved-version",
    severity: Severity::Error,
    scope: Scope::File,
    title: "A version is one of dbvc's own",
    reason: "100 and 100.x are the versions of dbvc's own tables.",
    remedy: "Take another version.",
};

/// See `docs/rules.md`.
pub(super) const DUPLICATE_VERSION: Rule = Rule {
    code: "duplicate-version",
    severity: Severity::Error,
    scope: Scope::File,
    title: "Two scripts have one version",
    reason: "A version exists once for a database, and says which script runs first.",
    remedy: "Give each its own version.",
};

/// See `docs/rules.md`.
pub(super) const ORPHAN_DOWN_SCRIPT: Rule = Rule {
    code: "orphan-down-script",
    severity: Severity::Warning,
    scope: Scope::File,
    title: "A down script has no up script",
    reason: "Nothing ever runs it.",
    remedy: "Add the up script, or correct the version.",
};

/// See `docs/rules.md`.
pub(super) const DOWN_SCRIPT_NAME: Rule = Rule {
    code: "down-script-name",
    severity: Severity::Warning,
    scope: Scope::File,
    title: "A down script has another name than its up script",
    reason: "The two belong together, and one name shows it.",
    remedy: "Rename the down script.",
};

/// A file of a folder, by its name without the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckedFile<'a> {
    /// The name of the file.
    pub name: &'a str,
}

/// A finding about one of the files of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderFinding {
    /// The index of the file in what was checked, from 0.
    pub file: usize,
    /// What was found.
    pub finding: Finding,
}

/// Checks the names of all script files in one folder, which is to say all scripts for one database. The findings are in
/// the order of the files. Versions are judged per engine, since a migration may have a variant for each.
#[must_use]
pub fn check_folder(files: &[CheckedFile<'_>]) -> Vec<FolderFinding> {
    let names: Vec<_> = files
        .iter()
        .map(|file| FileName::parse(file.name))
        .collect();
    let by_version = Versions::of(&names);
    let mut findings = Vec::new();
    for (file, name) in names.iter().enumerate() {
        let found = match name {
            Err(error) => vec![file_name(files[file].name, error)],
            Ok(name) => versioned(file, name, files, &by_version),
        };
        findings.extend(
            found
                .into_iter()
                .map(|finding| FolderFinding { file, finding }),
        );
    }
    findings
}

/// What two scripts of one folder must not have in common.
type VersionKey<'a> = (EngineKind, Prefix, &'a Version);

/// The versioned files of a folder, in the order of the folder.
struct Versions<'a>(HashMap<VersionKey<'a>, Vec<(usize, &'a FileName)>>);

impl<'a> Versions<'a> {
    fn of(names: &'a [Result<FileName, FileNameError>]) -> Self {
        let mut by_version: HashMap<_, Vec<_>> = HashMap::new();
        for (file, name) in names.iter().enumerate() {
            let Ok(name) = name else { continue };
            let Some(version) = &name.version else {
                continue;
            };
            by_version
                .entry((name.engine, name.prefix, version))
                .or_default()
                .push((file, name));
        }
        Self(by_version)
    }

    fn files(
        &self,
        engine: EngineKind,
        prefix: Prefix,
        version: &'a Version,
    ) -> &[(usize, &'a FileName)] {
        self.0
            .get(&(engine, prefix, version))
            .map_or(&[], Vec::as_slice)
    }
}

fn file_name(written: &str, error: &FileNameError) -> Finding {
    let finding = FILE_NAME.of_file(error);
    match corrected_case(written) {
        Some(name) => finding.with_suggestion(name),
        None => finding,
    }
}

/// The name with its prefix and its end in the right case, when that is all that is wrong.
fn corrected_case(written: &str) -> Option<String> {
    let suffix = FileName::engine_of(written)?.script_suffix();
    let stem = written.get(..written.len() - suffix.len())?;
    let (prefix, rest) = stem.split_at_checked(1)?;
    let name = format!("{}{rest}{suffix}", prefix.to_ascii_uppercase());
    FileName::parse(&name).is_ok().then_some(name)
}

fn versioned<'a>(
    file: usize,
    name: &'a FileName,
    files: &[CheckedFile<'_>],
    versions: &Versions<'a>,
) -> Vec<Finding> {
    let Some(version) = &name.version else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let same = versions.files(name.engine, name.prefix, version);
    if let Some((other, _)) = same.iter().find(|(other, _)| *other != file) {
        let message = format!(
            "version {version} is also that of {}: give each its own version, since a version exists once for a database",
            files[*other].name
        );
        findings.push(DUPLICATE_VERSION.of_file(message));
    }
    if version.is_reserved() {
        let own = name.prefix == Prefix::Up && name.migration_id().as_str() == OWN_MIGRATION;
        if !own {
            let message = format!(
                "version {version} is reserved: 100 and 100.x are dbvc's own, take another one"
            );
            findings.push(RESERVED_VERSION.of_file(message));
        }
        return findings;
    }
    findings.extend(name_form::check(name));
    match name.prefix {
        Prefix::Up
            if versions
                .files(name.engine, Prefix::Down, version)
                .is_empty() =>
        {
            findings.push(missing_down_script::of_file(files[file].name));
        }
        Prefix::Down => findings.extend(down_script(name, version, files, versions)),
        Prefix::Up | Prefix::Repeatable => {}
    }
    findings
}

fn down_script<'a>(
    name: &FileName,
    version: &'a Version,
    files: &[CheckedFile<'_>],
    versions: &Versions<'a>,
) -> Option<Finding> {
    let up_scripts = versions.files(name.engine, Prefix::Up, version);
    let Some((up, _)) = up_scripts.first() else {
        let message = format!(
            "no script of this folder has the version {version} and ends in {}: add the up script, or correct the version",
            name.engine.script_suffix()
        );
        return Some(ORPHAN_DOWN_SCRIPT.of_file(message));
    };
    if up_scripts.iter().any(|(_, up)| up.name == name.name) {
        return None;
    }
    let expected = files[*up].name.replacen('V', "U", 1);
    let message = format!(
        "the up script of version {version} has another name: rename this one to {expected}"
    );
    Some(DOWN_SCRIPT_NAME.of_file(message).with_suggestion(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<FolderFinding> {
        let files: Vec<_> = names.iter().map(|&name| CheckedFile { name }).collect();
        let mut found = check_folder(&files);
        // The names here are as short as can be.
        found.retain(|found| found.finding.code != name_form::RULE.code);
        found
    }

    fn codes(names: &[&str]) -> Vec<(usize, &'static str)> {
        found(names)
            .iter()
            .map(|found| (found.file, found.finding.code))
            .collect()
    }

    #[test]
    fn a_folder_of_pairs_variants_and_repeatable_scripts_has_no_findings() {
        let names = [
            "R__views.sql",
            "R__views.sqlite.sql",
            "U1__a.sql",
            "U1__a.sqlite.sql",
            "U2.0__b.sql",
            "V1__a.sql",
            "V1__a.sqlite.sql",
            "V2__b.sql",
        ];
        assert_eq!(codes(&names), []);
    }

    #[test]
    fn a_wrong_name_is_an_error_and_says_the_form() {
        let findings = found(&["add_users.sql"]);
        assert_eq!(
            (findings[0].finding.code, findings[0].finding.severity),
            ("file-name", Severity::Error)
        );
        assert!(findings[0].finding.message.contains("V101__add_users.sql"));
        assert_eq!(findings[0].finding.suggestion, None);
    }

    #[test]
    fn a_name_in_the_wrong_case_is_corrected() {
        for (wrong, right) in [
            ("v1__a.SQL", "V1__a.sql"),
            ("V1__a.SQLite.sql", "V1__a.sqlite.sql"),
            ("u1__a.sql", "U1__a.sql"),
        ] {
            assert_eq!(
                found(&[wrong])[0].finding.suggestion.as_deref(),
                Some(right)
            );
        }
    }

    #[test]
    fn one_version_written_in_two_ways_is_a_duplicate() {
        let names = ["U1__a.sql", "V01.0__b.sql", "V1__a.sql"];
        assert_eq!(
            codes(&names),
            [(1, "duplicate-version"), (2, "duplicate-version")]
        );
        assert!(found(&names)[0].finding.message.contains("V1__a.sql"));
        assert_eq!(
            codes(&["U1__a.sql", "U1__b.sql", "V1__a.sql"]),
            [
                (0, "duplicate-version"),
                (1, "duplicate-version"),
                (1, "down-script-name")
            ]
        );
    }

    #[test]
    fn an_up_script_without_a_down_script_for_the_same_engine_is_a_warning() {
        let findings = found(&[
            "U1__a.sqlite.sql",
            "V1__a.cosmos.json",
            "V1__a.sql",
            "V1__a.sqlite.sql",
        ]);
        let missing: Vec<_> = findings
            .iter()
            .map(|found| {
                (
                    found.file,
                    found.finding.code,
                    found.finding.suggestion.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            missing,
            [
                (1, "missing-down-script", Some("U1__a.cosmos.json")),
                (2, "missing-down-script", Some("U1__a.sql")),
            ]
        );
        assert!(
            findings
                .iter()
                .all(|found| found.finding.severity == Severity::Warning)
        );
    }

    #[test]
    fn a_down_script_without_an_up_script_is_a_warning() {
        assert_eq!(codes(&["U1__a.sql"]), [(0, "orphan-down-script")]);
        assert_eq!(
            codes(&["U1__a.sqlite.sql", "V1__a.sql"]),
            [(0, "orphan-down-script"), (1, "missing-down-script")]
        );
    }

    #[test]
    fn a_down_script_bears_the_name_of_its_up_script() {
        let findings = found(&["U1.0__b.sql", "V1__a.sql"]);
        assert_eq!(
            (findings[0].file, findings[0].finding.code),
            (0, "down-script-name")
        );
        assert_eq!(findings[0].finding.suggestion.as_deref(), Some("U1__a.sql"));
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn versions_100_and_100_x_are_refused_save_for_dbvcs_own_migration() {
        assert_eq!(
            codes(&[
                "V100__version_control_schema.sql",
                "V100__version_control_schema.sqlite.sql"
            ]),
            []
        );
        for name in [
            "V100__mine.sql",
            "V100.1__x.sql",
            "V100_1__x.sql",
            "V100.0__version_control_schema.sql",
            "U100__version_control_schema.sql",
        ] {
            assert_eq!(codes(&[name]), [(0, "reserved-version")], "{name}");
        }
    }

    #[test]
    fn ten_thousand_migrations_are_checked_at_once() {
        let names: Vec<_> = (1_000..11_000)
            .flat_map(|version| [format!("U{version}__a.sql"), format!("V{version}__a.sql")])
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(codes(&names), []);
        let duplicates: Vec<_> = (0..10_000)
            .map(|number| format!("V1__a{number}.sql"))
            .collect();
        let duplicates: Vec<_> = duplicates.iter().map(String::as_str).collect();
        assert_eq!(codes(&duplicates).len(), 20_000);
    }
}
