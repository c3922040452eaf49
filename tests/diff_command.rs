//! `dbvc diff`: two exported snapshots compared as a person does it, dev against prod.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use support::dbvc::Dbvc;
use support::team::text;

/// Runs the command in a folder, with nothing in its environment.
fn diff(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dbvc"))
        .arg("diff")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .output()
        .expect("the command runs")
}

/// What it wrote, provided that it ended so.
#[track_caller]
fn written(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert_eq!(errors, "");
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Its only line, provided that nothing could be compared.
#[track_caller]
fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let line = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(line.lines().count(), 1, "{line}");
    line.trim_end().to_owned()
}

/// Captures a snapshot and exports it into a file.
async fn export(dbvc: &Dbvc, folder: &Path, name: &str) -> PathBuf {
    let header = dbvc.snapshot("manual").await;
    let path = format!(
        "/api/dbvc/snapshots?snapshotId={}",
        text(&header["snapshotId"])
    );
    let answer = dbvc.host.get(&path).await.expect_status(200);
    let file = folder.join(name);
    fs::write(&file, answer.text()).expect("a file");
    file
}

/// Dev is two migrations ahead of prod; their exports, in a folder.
async fn dev_and_prod() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let dev = Dbvc::start_in("dev", |builder| builder).await;
    let prod = Dbvc::start_in("prod", |builder| builder).await;
    for dbvc in [&dev, &prod] {
        dbvc.register(
            "V1__orders",
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, net TEXT);",
        )
        .await;
        dbvc.run().await;
    }
    export(&dev, folder.path(), "dev-before.json").await;
    dev.register(
        "V2__more",
        "ALTER TABLE orders ADD COLUMN tax TEXT; CREATE TABLE notes (id INTEGER);",
    )
    .await;
    dev.run().await;
    export(&dev, folder.path(), "dev.json").await;
    export(&prod, folder.path(), "prod.json").await;
    folder
}

#[tokio::test]
async fn dev_is_compared_with_prod_in_every_format() {
    let folder = dev_and_prod().await;
    let folder = folder.path();
    let told = written(&diff(folder, &["prod.json", "dev.json"]), 1);
    let lines: Vec<&str> = told.lines().collect();
    assert!(
        lines[0].starts_with("from prod.json: lpa-bloom-sql-prod, manual snapshot of 20"),
        "{told}"
    );
    assert!(
        lines[1].starts_with("to   dev.json: lpa-bloom-sql-dev, "),
        "{told}"
    );
    for line in [
        "+ table notes",
        "~ table orders",
        "    + column tax: TEXT NULL",
    ] {
        assert!(lines.contains(&line), "{told}");
    }
    assert_eq!(
        lines.last(),
        Some(&"2 differences: 1 added, 0 removed, 1 changed")
    );
    // The other way round what was added is removed.
    let back = written(&diff(folder, &["dev.json", "prod.json"]), 1);
    assert!(back.contains("\n- table notes\n"), "{back}");

    let json = written(
        &diff(folder, &["prod.json", "dev.json", "--format", "json"]),
        1,
    );
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["detected"], true);
    assert_eq!(json["from"]["databaseId"], "lpa-bloom-sql-prod");
    assert_eq!(json["to"]["file"], "dev.json");
    assert_eq!(json["changes"][0]["name"], "notes");

    let markdown = diff(folder, &["prod.json", "dev.json", "--format", "markdown"]);
    let markdown = written(&markdown, 1);
    assert!(
        markdown.starts_with('#') && markdown.contains("notes"),
        "{markdown}"
    );

    let html = diff(
        folder,
        &[
            "prod.json",
            "dev.json",
            "--format",
            "html",
            "--output",
            "report.html",
        ],
    );
    assert_eq!(written(&html, 1), "");
    let page = fs::read_to_string(folder.join("report.html")).expect("the report");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("notes"));
}

#[tokio::test]
async fn equal_schemas_end_with_zero_wherever_they_come_from() {
    let folder = dev_and_prod().await;
    let folder = folder.path();
    let told = written(&diff(folder, &["dev-before.json", "prod.json"]), 0);
    assert!(told.ends_with("The schemas are the same.\n"), "{told}");
    let json = diff(folder, &["prod.json", "prod.json", "--format", "json"]);
    let json: Value = serde_json::from_str(&written(&json, 0)).expect("JSON");
    assert_eq!(
        (&json["detected"], &json["changes"]),
        (&json!(false), &json!([]))
    );

    // The schema alone will do, and so does what Windows PowerShell makes of a redirected answer.
    let whole = fs::read_to_string(folder.join("prod.json")).expect("the export");
    let whole: Value = serde_json::from_str(&whole).expect("JSON");
    fs::write(folder.join("bare.json"), whole["schema"].to_string()).expect("a file");
    let told = written(&diff(folder, &["bare.json", "prod.json"]), 0);
    assert!(
        told.starts_with("from bare.json\nto   prod.json: "),
        "{told}"
    );
    let utf_16: Vec<u8> = format!("\u{feff}{whole}")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    fs::write(folder.join("redirected.json"), utf_16).expect("a file");
    written(&diff(folder, &["redirected.json", "prod.json"]), 0);
}

#[test]
fn what_cannot_be_compared_is_named_with_its_file_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
    write("good.json", r#"{"formatVersion":1}"#);
    for (name, content, words) in [
        ("no.json", "<html>", "no.json: is not JSON: "),
        (
            "other.json",
            r#"{"name":"x"}"#,
            "other.json: is no snapshot; ",
        ),
        ("text.json", r#""x""#, "text.json: is no snapshot; "),
        (
            "odd.json",
            r#"{"schema":{"tables":[]}}"#,
            "odd.json: is no snapshot; ",
        ),
        (
            "list.json",
            r#"{"snapshots":[],"continuation":null}"#,
            "list.json: is a list of snapshots; export one",
        ),
        (
            "header.json",
            r#"{"snapshotId":"x","databaseId":"shop"}"#,
            "header.json: is a snapshot without its schema; ",
        ),
        (
            "problem.json",
            r#"{"status":404,"code":"unknown-snapshot","title":"x"}"#,
            "problem.json: holds an error that dbvc answered (unknown-snapshot)",
        ),
        (
            "newer.json",
            r#"{"schema":{"formatVersion":99,"tables":7}}"#,
            "newer.json: the schema was written in format 99 by a newer dbvc",
        ),
        (
            "broken.json",
            r#"{"schema":{"formatVersion":1,"tables":7}}"#,
            "broken.json: holds a schema that cannot be read: ",
        ),
    ] {
        write(name, content);
        for arguments in [[name, "good.json"], ["good.json", name]] {
            let line = error(&diff(folder, &arguments));
            assert!(line.starts_with(&format!("dbvc diff: {words}")), "{line}");
        }
    }
    assert!(error(&diff(folder, &["newer.json", "good.json"])).ends_with("update dbvc"));
    let line = error(&diff(folder, &["absent.json", "good.json"]));
    assert!(
        line.starts_with("dbvc diff: absent.json: cannot be read: "),
        "{line}"
    );
    let line = error(&diff(
        folder,
        &["good.json", "good.json", "--output", "no/where.html"],
    ));
    assert!(
        line.starts_with("dbvc diff: cannot write no/where.html: "),
        "{line}"
    );
}

#[test]
fn snapshots_of_different_engines_are_not_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, engine) in [("a.json", "sqlite"), ("b.json", "sql-server")] {
        let exported = json!({ "engine": engine, "schema": { "formatVersion": 1 } });
        fs::write(folder.path().join(name), exported.to_string()).expect("a file");
    }
    assert_eq!(
        error(&diff(folder.path(), &["a.json", "b.json"])),
        "dbvc diff: a.json is of a sqlite database and b.json of a sql-server one: schemas of different engines cannot be \
         compared"
    );
}

#[test]
fn usage_says_how_it_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let help = written(&diff(folder.path(), &["--help"]), 0);
    for words in [
        "Ends with 0 when the schemas are the same",
        "FROM.json",
        "--output",
    ] {
        assert!(help.contains(words), "{help}");
    }
    let alone = diff(folder.path(), &["a.json"]);
    assert_eq!(alone.status.code(), Some(2));
}
