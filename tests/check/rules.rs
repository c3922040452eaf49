//! The rules, their page, and what needs a folder of scripts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use dbvc::script::{RULES, Scope};

use super::{check, codes, expected, folder, json_of, text};

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    fs::read_to_string(path).unwrap()
}

/// The sections of the page by their headings, each as one line.
fn sections(page: &str) -> BTreeMap<String, String> {
    let sections = page.split("\n## ").skip(1).map(|section| {
        let (code, text) = section.split_once('\n').unwrap();
        (
            code.to_owned(),
            text.split_whitespace().collect::<Vec<_>>().join(" "),
        )
    });
    sections.collect()
}

#[test]
fn the_page_has_a_section_for_each_rule_and_for_nothing_else() {
    let page = page();
    let sections = sections(&page);
    let headings: Vec<_> = sections.keys().map(String::as_str).collect();
    let known: Vec<_> = RULES.iter().map(|rule| rule.code).collect();
    assert_eq!(headings, known);
    for rule in RULES {
        let scope = match rule.scope {
            Scope::File => "about the whole file",
            Scope::Script => "once a script",
            Scope::Place => "at each place",
        };
        let title = format!("**{}** ({}, {scope}).", rule.title, rule.severity);
        let section = &sections[rule.code];
        let begins = format!("{title} {} {}", rule.reason, rule.remedy);
        assert!(section.starts_with(&begins), "{}: {section}", rule.code);
    }
}

/// A rule that no one put into the table would have no section, no help and no way to allow it.
#[test]
fn every_rule_is_in_the_table() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/script")];
    let mut written = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let source = fs::read_to_string(path).unwrap();
                written += source.matches(": Rule = Rule {").count();
            }
        }
    }
    assert_eq!(written, RULES.len());
}

#[test]
fn the_rules_that_found_something_are_explained_once() {
    let folder = folder(&[(
        "R__a.sql",
        b"TRUNCATE TABLE dbo.a;\nTRUNCATE TABLE dbo.b;\n",
    )]);
    let text = text(&check(folder.path(), &["."]));
    assert_eq!(
        text.matches("docs/rules.md#truncate-table").count(),
        1,
        "{text}"
    );
    assert!(
        text.contains("\ntruncate-table: TRUNCATE TABLE removes every row, fires no trigger"),
        "{text}"
    );
}

#[test]
fn types_are_compared_over_the_versions_of_a_folder_and_engine() {
    let folder = folder(&[
        ("V2__b.sql", b"ALTER TABLE dbo.a ALTER COLUMN b NVARCHAR(50);"),
        ("V10__c.sql", b"ALTER TABLE dbo.a ALTER COLUMN b NVARCHAR(60);\nGO\nALTER TABLE dbo.a ALTER COLUMN b NVARCHAR(55);"),
        ("V1__a.sql", b"CREATE TABLE dbo.a (b NVARCHAR(100));"),
        ("U1__a.sql", b"DROP TABLE IF EXISTS dbo.a;"),
        ("U2__b.sql", b"ALTER TABLE dbo.a ALTER COLUMN b NVARCHAR(100);"),
        ("U10__c.sql", b"ALTER TABLE dbo.a ALTER COLUMN b NVARCHAR(50);"),
    ]);
    let (report, _) = json_of(folder.path(), &["."]);
    assert_eq!(
        codes(&report),
        expected(&[
            ("./U10__c.sql", &[]),
            ("./U1__a.sql", &[]),
            ("./U2__b.sql", &[]),
            ("./V10__c.sql", &["narrowed-type"]),
            ("./V1__a.sql", &[]),
            ("./V2__b.sql", &["narrowed-type"]),
        ])
    );
    assert_eq!(report["files"][3]["findings"][1]["line"], 3);
}

#[test]
fn the_scripts_of_this_project_have_no_warnings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = text(&check(root, &["migrations"]));
    assert!(text.contains(": 0 errors, 0 warnings, "), "{text}");
}

#[test]
fn the_examples_have_no_findings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["sql-server", "sqlite", "cosmos"] {
        let folder = format!("examples/{folder}");
        let text = text(&check(root, &[&folder]));
        assert!(
            text.ends_with(": 0 errors, 0 warnings, 0 notes\n"),
            "{text}"
        );
        assert!(!text.starts_with("0 files"), "{text}");
    }
}
