//! `dbvc check`, as a person or a pipeline runs it.

#[path = "check/allowing.rs"]
mod allowing;
#[path = "check/formats.rs"]
mod formats;
#[path = "check/real_folders.rs"]
mod real_folders;
#[path = "check/rules.rs"]
mod rules;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder of files with these contents; subfolders are made as their names need them.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Runs `dbvc check` in a folder, so that the paths in its output are short.
fn check(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dbvc"))
        .arg("check")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn exit_code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_of(folder: &Path, arguments: &[&str]) -> (Value, i32) {
    let output = check(folder, &[&["--format", "json"], arguments].concat());
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (value, exit_code(&output))
}

/// Path and codes of each file, but for the form of its name: here names are as short as can be.
fn codes(report: &Value) -> Vec<(String, Vec<String>)> {
    let string = |value: &Value| value.as_str().unwrap().replace('\\', "/");
    let files = report["files"].as_array().unwrap();
    files
        .iter()
        .map(|file| {
            let findings = file["findings"].as_array().unwrap();
            let codes = findings.iter().map(|finding| string(&finding["code"]));
            let codes = codes.filter(|code| code != "name-form");
            (string(&file["path"]), codes.collect())
        })
        .collect()
}

fn expected(files: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let owned = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    files
        .iter()
        .map(|(path, codes)| ((*path).to_owned(), owned(codes)))
        .collect()
}

#[test]
fn a_good_folder_ends_with_0_and_lists_every_batch() {
    let folder = folder(&[
        (
            "V101__add_user_list.sql",
            b"CREATE TABLE dbo.a (b INT);\nGO\n\nINSERT a VALUES (1);\nGO 3\n",
        ),
        ("U101__add_user_list.sql", b"DROP TABLE IF EXISTS dbo.a;\n"),
        ("readme.md", b"no script"),
    ]);
    let output = check(folder.path(), &["."]);
    assert_eq!(exit_code(&output), 0, "{output:?}");
    assert_eq!(
        text(&output).replace('\\', "/"),
        "./U101__add_user_list.sql: utf-8, 1 batch at line 1\n\
         ./V101__add_user_list.sql: utf-8, 2 batches at lines 1, 3 (3 times)\n\
         2 files, 3 batches: 0 errors, 0 warnings, 0 notes\n"
    );
    assert_eq!(output.stderr, b"");
}

#[test]
fn json_has_exactly_the_fields_that_are_promised() {
    let folder = folder(&[("V1__add_a_b.sql", b"\xef\xbb\xbf\r\nSELECT 1;\r\nGO;\r\n")]);
    let (report, code) = json_of(folder.path(), &["V1__add_a_b.sql"]);
    assert_eq!(code, 0, "warnings are no errors");
    let warning = |code: &str, line: u32, column: u32, suggestion: &str| json!({"code": code, "severity": "warning", "line": line, "column": column, "suggestion": suggestion});
    let mut report = report;
    for finding in report["files"][0]["findings"].as_array_mut().unwrap() {
        let message = finding.as_object_mut().unwrap().remove("message").unwrap();
        assert!(message.as_str().unwrap().len() > 20, "{message}");
    }
    assert_eq!(
        report,
        json!({"files": [{
            "path": "V1__add_a_b.sql",
            "encoding": "utf-8-bom",
            // SHA-256 of "\nSELECT 1;\nGO;\n" and of "SELECT 1;".
            "checksum": "sha256:8d2e3a08576da7ddd6655785bb6d76c65ef7bb195baf30941130deee6300a361",
            "batches": [{
                "index": 1, "line": 1, "count": 1,
                "sha256": "17db4fd369edb9244b9f91d9aeed145c3d04ad8ba6e95d06247f07a63527d11a",
            }],
            "findings": [
                warning("missing-down-script", 1, 1, "U1__add_a_b.sql"),
                warning("go-semicolon", 3, 3, "GO"),
            ],
            "allowed": [],
        }]})
    );
}

#[test]
fn a_file_with_a_wrong_name_is_an_error_and_its_batches_are_still_listed() {
    // In T-SQL the comment reaches to the second end, in SQLite to the first.
    let script = b"/* /* */\nGO\n*/\nGO\nSELECT 1;\n";
    let folder = folder(&[("add_users.sql", script), ("add_users.sqlite.sql", script)]);
    let (report, code) = json_of(folder.path(), &["."]);
    assert_eq!(code, 1);
    assert_eq!(
        codes(&report),
        expected(&[
            ("./add_users.sql", &["file-name"]),
            ("./add_users.sqlite.sql", &["file-name", "not-understood"])
        ])
    );
    let lines = |file: usize| -> Vec<_> {
        let batches = report["files"][file]["batches"].as_array().unwrap();
        batches
            .iter()
            .map(|batch| batch["line"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(lines(0), [1, 5]);
    assert_eq!(lines(1), [1, 3, 5]);
}

#[test]
fn every_kind_of_broken_text_is_an_error() {
    let folder = folder(&[
        ("R__comment.sql", b"/* SELECT 1;\n"),
        ("R__directive.sql", b"-- dbvc: transaction=no\nSELECT 1;\n"),
        ("R__empty.sql", b"\nGO\n"),
        ("R__go.sql", b"SELECT 1;\nGO now\n"),
        ("R__identifier.sql", b"SELECT [a;\n"),
        ("R__json.cosmos.json", b"[1,"),
        ("R__latin1.sql", b"SELECT '\xe9';\n"),
        ("R__string.sql", b"SELECT 'a;\n"),
    ]);
    let (report, code) = json_of(folder.path(), &["."]);
    assert_eq!(code, 1);
    assert_eq!(
        codes(&report),
        expected(&[
            ("./R__comment.sql", &["unterminated-comment"]),
            ("./R__directive.sql", &["unknown-directive"]),
            ("./R__empty.sql", &["empty-script"]),
            ("./R__go.sql", &["bad-go"]),
            ("./R__identifier.sql", &["unterminated-identifier"]),
            ("./R__json.cosmos.json", &["invalid-json"]),
            ("./R__latin1.sql", &["encoding"]),
            ("./R__string.sql", &["unterminated-string"]),
        ])
    );
    let latin1 = &report["files"][6];
    assert_eq!(
        (&latin1["encoding"], &latin1["checksum"]),
        (&Value::Null, &Value::Null)
    );
    for file in report["files"].as_array().unwrap() {
        assert_eq!(file["findings"][0]["severity"], "error", "{file}");
    }
}

#[test]
fn a_finding_for_people_says_file_place_severity_code_and_message() {
    let folder = folder(&[("R__a.sql", b"SELECT 1;\n  GO x\n")]);
    let output = check(folder.path(), &["R__a.sql"]);
    assert_eq!(exit_code(&output), 1);
    let text = text(&output);
    assert!(
        text.contains("\nR__a.sql:2:6 error bad-go: a GO line may only hold"),
        "{text}"
    );
    assert!(
        text.ends_with("\n1 file, 0 batches: 1 error, 0 warnings, 0 notes\n"),
        "{text}"
    );
}

#[test]
fn utf_16_is_read_as_its_byte_order_mark_says() {
    let units = "SELECT N'é';\r\nGO\r\n".encode_utf16();
    let little: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(units.clone().flat_map(u16::to_le_bytes))
        .collect();
    let big: Vec<u8> = [0xfe, 0xff]
        .into_iter()
        .chain(units.flat_map(u16::to_be_bytes))
        .collect();
    let folder = folder(&[
        ("R__big.sql", &big),
        ("R__little.sql", &little),
        ("R__plain.sql", "SELECT N'é';\nGO\n".as_bytes()),
    ]);
    let (report, code) = json_of(folder.path(), &["."]);
    assert_eq!(code, 0);
    let files = report["files"].as_array().unwrap();
    let encodings: Vec<_> = files
        .iter()
        .map(|file| file["encoding"].as_str().unwrap())
        .collect();
    assert_eq!(encodings, ["utf-16be", "utf-16le", "utf-8"]);
    for file in files {
        assert_eq!(
            file["checksum"], files[2]["checksum"],
            "the encoding is no part of the text"
        );
        assert_eq!(file["batches"], files[2]["batches"]);
    }
}

#[test]
fn versions_are_judged_by_folder_and_by_engine() {
    let folder = folder(&[
        ("V1__a.sql", b"SELECT 1;"),
        ("V1.0__b.sql", b"SELECT 1;"),
        ("V1__a.sqlite.sql", b"SELECT 1;"),
        ("U1__a.sql", b"SELECT 1;"),
        ("V100__version_control_schema.sql", b"SELECT 1;"),
        ("V100.1__mine.sql", b"SELECT 1;"),
        ("other/V1__c.sql", b"SELECT 1;"),
        ("other/U2__c.sql", b"SELECT 1;"),
        ("other/deeper/V1__c.sql", b"SELECT 1;"),
        (".tool/V1__c.sql", b"'"),
    ]);
    let (report, code) = json_of(folder.path(), &["."]);
    assert_eq!(code, 1);
    assert_eq!(
        codes(&report),
        expected(&[
            ("./U1__a.sql", &[]),
            ("./V1.0__b.sql", &["duplicate-version"]),
            ("./V100.1__mine.sql", &["reserved-version"]),
            ("./V100__version_control_schema.sql", &[]),
            ("./V1__a.sql", &["duplicate-version"]),
            ("./V1__a.sqlite.sql", &["missing-down-script"]),
            ("./other/U2__c.sql", &["orphan-down-script"]),
            ("./other/V1__c.sql", &["missing-down-script"]),
            ("./other/deeper/V1__c.sql", &["missing-down-script"]),
        ])
    );
}

#[test]
fn a_single_file_is_judged_among_its_neighbours_but_only_itself_is_listed() {
    let folder = folder(&[
        ("V1__a.sql", b"SELECT 1;"),
        ("U1__a.sql", b"'"),
        ("notes.txt", b"SELECT 1;"),
    ]);
    let (report, code) = json_of(folder.path(), &["V1__a.sql"]);
    assert_eq!((codes(&report), code), (expected(&[("V1__a.sql", &[])]), 0));
    let (report, code) = json_of(folder.path(), &["notes.txt"]);
    assert_eq!(
        (codes(&report), code),
        (expected(&[("notes.txt", &["file-name"])]), 1)
    );
}

#[test]
fn a_file_that_is_named_twice_is_listed_once() {
    let folder = folder(&[("a/R__a.sql", b"SELECT 1;"), ("a/R__b.sql", b"SELECT 1;")]);
    let (report, _) = json_of(folder.path(), &["a/R__b.sql", "a", "./a/R__b.sql", "."]);
    assert_eq!(
        codes(&report),
        expected(&[("a/R__a.sql", &[]), ("a/R__b.sql", &[])])
    );
}

#[test]
fn an_empty_folder_is_fine() {
    let folder = folder(&[]);
    assert_eq!(json_of(folder.path(), &["."]), (json!({"files": []}), 0));
}

#[test]
fn wrong_usage_ends_with_2_and_says_why() {
    let folder = folder(&[("R__a.sql", b"SELECT 1;")]);
    for arguments in [
        &[][..],
        &["missing"],
        &["R__a.sql", "missing.sql"],
        &["--format", "xml", "."],
        &["--what", "."],
    ] {
        let output = check(folder.path(), arguments);
        assert_eq!(exit_code(&output), 2, "{arguments:?}");
        assert_eq!(output.stdout, b"", "{arguments:?}");
    }
    let output = check(folder.path(), &["missing.sql"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with("dbvc check: cannot read missing.sql: "),
        "{error}"
    );
}

#[cfg(unix)]
#[test]
fn links_that_go_round_in_a_circle_are_followed_once() {
    let folder = folder(&[("a/R__a.sql", b"SELECT 1;")]);
    std::os::unix::fs::symlink(folder.path(), folder.path().join("a/up")).unwrap();
    let (report, code) = json_of(folder.path(), &["."]);
    assert_eq!(
        (codes(&report), code),
        (expected(&[("./a/R__a.sql", &[])]), 0)
    );
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_cannot_be_read() {
    let folder = folder(&[]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("R__a.sql")).unwrap();
    assert_eq!(exit_code(&check(folder.path(), &["."])), 2);
}

#[test]
fn ten_thousand_scripts_are_checked_in_seconds() {
    let folder = TempDir::new().unwrap();
    for version in 1_000..6_000 {
        for prefix in ["U", "V"] {
            let path = folder
                .path()
                .join(format!("{prefix}{version}__add_a_b.sql"));
            fs::write(path, "CREATE TABLE dbo.a (b INT);\nGO\nSELECT 1;\n").unwrap();
        }
    }
    let started = std::time::Instant::now();
    let output = check(folder.path(), &["."]);
    assert_eq!(exit_code(&output), 0);
    // So wide that only time in the square of the number reaches it, whatever else the machine does.
    assert!(text(&output).ends_with("10000 files, 20000 batches: 0 errors, 0 warnings, 0 notes\n"));
    assert!(
        started.elapsed() < std::time::Duration::from_secs(120),
        "{:?}",
        started.elapsed()
    );
}
