//! Findings that a comment of the script allows.

use serde_json::Value;

use super::{folder, json_of};

/// Codes with their lines, of what is found and of what is allowed.
type Told = (Vec<(String, u64)>, Vec<(String, u64)>);

fn told(script: &str) -> Told {
    let folder = folder(&[
        ("V1__change_many_things.sql", script.as_bytes()),
        ("U1__change_many_things.sql", b"SELECT 1;"),
    ]);
    of_file(folder.path(), "V1__change_many_things.sql")
}

fn of_file(folder: &std::path::Path, name: &str) -> Told {
    let (report, _) = json_of(folder, &[name]);
    let list = |findings: &Value| {
        let findings = findings.as_array().unwrap().iter();
        let code = |finding: &Value| finding["code"].as_str().unwrap().to_owned();
        findings
            .map(|one| (code(one), one["line"].as_u64().unwrap()))
            .collect()
    };
    let file = &report["files"][0];
    (list(&file["findings"]), list(&file["allowed"]))
}

fn lines(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter()
        .map(|(code, line)| ((*code).to_owned(), *line))
        .collect()
}

fn assert_told(script: &str, found: &[(&str, u64)], allowed: &[(&str, u64)]) {
    assert_eq!(told(script), (lines(found), lines(allowed)), "{script}");
}

#[test]
fn a_comment_allows_the_finding_on_its_line() {
    assert_told(
        "TRUNCATE TABLE dbo.a;\nTRUNCATE TABLE dbo.b; -- dbvc: allow=truncate-table a cache\nTRUNCATE TABLE dbo.c;\n",
        &[("truncate-table", 1), ("truncate-table", 3)],
        &[("truncate-table", 2)],
    );
}

#[test]
fn a_comment_allows_one_finding_of_the_statement_below_it() {
    assert_told(
        "SELECT 1;\n--dbvc:allow=drop-table  moved\n-- another comment\n\nDROP TABLE IF EXISTS\n dbo.a;\nDROP TABLE IF EXISTS dbo.b;\n",
        &[("drop-table", 7)],
        &[("drop-table", 5)],
    );
    assert_told(
        "-- dbvc: allow=go-semicolon an old file\nSELECT 1\nGO;\n",
        &[("unused-allow", 1), ("go-semicolon", 3)],
        &[],
    );
    assert_told(
        "SELECT 1\n-- dbvc: allow=go-semicolon an old file\nGO;\n",
        &[],
        &[("go-semicolon", 3)],
    );
}

#[test]
fn a_comment_in_a_statement_reaches_to_its_end_and_behind_it_to_its_beginning() {
    let columns = "ALTER TABLE dbo.a ADD\n  b INT NOT NULL,\n  -- dbvc: allow=not-null-without-default it is empty\n  c INT NOT NULL,\n  d INT NOT NULL;\nSELECT 1;";
    assert_told(
        columns,
        &[
            ("not-null-without-default", 2),
            ("not-null-without-default", 5),
        ],
        &[("not-null-without-default", 4)],
    );
    assert_told(
        "SELECT 1;\nDELETE\n  FROM dbo.a; -- dbvc: allow=delete-without-where all of them\n",
        &[],
        &[("delete-without-where", 2)],
    );
    assert_told(
        "SELECT 1; -- dbvc: allow=delete-without-where all of them\nDELETE FROM dbo.a;\n",
        &[("unused-allow", 1), ("delete-without-where", 2)],
        &[],
    );
}

#[test]
fn what_is_said_once_about_a_script_is_allowed_anywhere_from_its_head() {
    assert_told(
        "-- dbvc: allow=one-part-name one schema\nSELECT 1;\nCREATE TABLE a (b INT);\nCREATE TABLE c (d INT);\n",
        &[],
        &[("one-part-name", 3)],
    );
}

#[test]
fn what_is_said_about_the_file_is_allowed_from_its_head_only() {
    let comment =
        "-- dbvc: allow=missing-down-script a load of data\n-- dbvc: allow=name-form it is old\n";
    for (script, found, allowed) in [
        (
            format!("{comment}SELECT 1;"),
            lines(&[]),
            lines(&[("name-form", 1), ("missing-down-script", 1)]),
        ),
        (
            format!("SELECT 1;\n{comment}"),
            lines(&[
                ("name-form", 1),
                ("missing-down-script", 1),
                ("unused-allow", 2),
                ("unused-allow", 3),
            ]),
            lines(&[]),
        ),
    ] {
        let folder = folder(&[("V1__a.sql", script.as_bytes())]);
        assert_eq!(
            of_file(folder.path(), "V1__a.sql"),
            (found, allowed),
            "{script}"
        );
    }
}

#[test]
fn a_wrong_comment_allows_nothing_and_is_told() {
    for comment in [
        "allow",
        "allow=",
        "allow drop-table why",
        "allow=drop-table",
        "allow=drop-tables why",
        "allow=unterminated-string why",
    ] {
        assert_told(
            &format!("SELECT 1;\nDROP TABLE IF EXISTS dbo.a; -- dbvc: {comment}\n"),
            &[("drop-table", 2), ("bad-allow", 2)],
            &[],
        );
    }
    assert_told(
        "-- dbvc: allowed=x why\nSELECT 1;",
        &[("unknown-directive", 1)],
        &[],
    );
}

#[test]
fn an_allow_that_allows_nothing_is_told() {
    assert_told(
        "-- dbvc: allow=drop-table why\nSELECT 1; -- DROP TABLE a",
        &[("unused-allow", 1)],
        &[],
    );
}

#[test]
fn what_is_allowed_does_not_count_and_is_told_with_its_reason() {
    let script = "DROP TABLE IF EXISTS dbo.a; -- dbvc: allow=drop-table \u{e9}: moved, by V2";
    let folder = folder(&[("R__a.sql", script.as_bytes())]);
    let (report, code) = json_of(folder.path(), &["."]);
    let allowed = &report["files"][0]["allowed"][0];
    assert_eq!(code, 0);
    assert_eq!(allowed["reason"], "\u{e9}: moved, by V2");
    assert_eq!(allowed["severity"], "warning");
    let output = super::check(folder.path(), &["."]);
    let text = super::text(&output);
    assert!(
        text.ends_with("0 errors, 0 warnings, 0 notes, 1 allowed\n"),
        "{text}"
    );
}

#[test]
fn an_allow_for_what_only_earlier_scripts_tell_is_called_unused_only_when_they_are_known() {
    let script = b"ALTER TABLE dbo.a ALTER COLUMN b INT; -- dbvc: allow=narrowed-type all fit";
    let folder = folder(&[
        ("V1__make_a_b.sql", b"CREATE TABLE dbo.a (b INT);"),
        ("U1__make_a_b.sql", b"SELECT 1;"),
        ("V2__change_a_b.sql", script),
        ("U2__change_a_b.sql", b"SELECT 1;"),
    ]);
    assert_eq!(
        of_file(folder.path(), "V2__change_a_b.sql"),
        (lines(&[]), lines(&[]))
    );
    let (report, _) = json_of(folder.path(), &["."]);
    let last = &report["files"][3]["findings"];
    assert_eq!(last[0]["code"], "unused-allow", "{last}");
}
