//! What pipelines read: annotations of GitHub Actions and SARIF.

use serde_json::{Value, json};

use super::{check, exit_code, folder, text};

/// A folder with an error, warnings, notes and something that is allowed, and with a name that needs escapes.
fn mixed() -> tempfile::TempDir {
    folder(&[
        (
            "sub folder/V1__drop_old_users.sql",
            b"-- dbvc: allow=missing-down-script nobody rolls this back\n\
              DELETE FROM dbo.a;\nDROP TABLE IF EXISTS dbo.[50%, \xc3\xa9];\n\
              DROP TABLE IF EXISTS dbo.b; -- dbvc: allow=drop-table it is empty\n\
              DELETE FROM dbo.a;\nCREATE INDEX i ON dbo.c (d);\n",
        ),
        ("sub folder/R__broken, 1:2.sql", b"SELECT 'a\n"),
    ])
}

fn sarif(folder: &std::path::Path, arguments: &[&str]) -> (Value, i32) {
    let output = check(folder, &[&["--format", "sarif"], arguments].concat());
    let value = serde_json::from_slice(&output.stdout).unwrap();
    (value, exit_code(&output))
}

/// The pattern of a language in the schema has a bracket too many to be one; nothing here has a language.
fn validator() -> jsonschema::Validator {
    let mut schema: Value =
        serde_json::from_str(include_str!("../schemas/sarif-2.1.0.json")).unwrap();
    for definition in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][definition]["properties"]["language"];
        language.as_object_mut().unwrap().remove("pattern").unwrap();
    }
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

fn assert_is_sarif(log: &Value) {
    let errors: Vec<_> = validator()
        .iter_errors(log)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

fn results(log: &Value) -> &Vec<Value> {
    log["runs"][0]["results"].as_array().unwrap()
}

#[test]
fn each_finding_is_an_annotation_on_one_line_and_what_is_allowed_is_none() {
    let folder = mixed();
    let output = check(folder.path(), &["--format", "github", "."]);
    assert_eq!(exit_code(&output), 1);
    let text = text(&output).replace('\\', "/");
    let lines: Vec<_> = text.lines().collect();
    let heads: Vec<_> = lines
        .iter()
        .map(|line| line.rsplit_once("::").map_or(*line, |(head, _)| head))
        .collect();
    let file = "file=sub folder/V1__drop_old_users.sql";
    assert_eq!(
        heads,
        [
            "::error file=sub folder/R__broken%2C 1%3A2.sql,line=1,col=1,title=file-name%3A A name is not that of a script".to_owned(),
            "::error file=sub folder/R__broken%2C 1%3A2.sql,line=1,col=8,title=unterminated-string%3A A string is not closed".to_owned(),
            format!("::warning {file},line=2,col=1,title=delete-without-where%3A DELETE without WHERE"),
            format!("::warning {file},line=3,col=1,title=drop-table%3A A table is dropped"),
            format!("::warning {file},line=5,col=1,title=delete-without-where%3A DELETE without WHERE"),
            format!("::notice {file},line=6,col=1,title=index-without-online%3A An index is made without ONLINE"),
            "2 files, 1 batch: 2 errors, 3 warnings, 1 note, 2 allowed".to_owned(),
        ]
    );
    assert!(
        lines[3].contains("::dbo.50%25, é is dropped"),
        "{}",
        lines[3]
    );
}

#[test]
fn sarif_is_valid_by_the_schema_of_its_standard() {
    let folder = mixed();
    let (log, code) = sarif(folder.path(), &["."]);
    assert_eq!(code, 1);
    assert_is_sarif(&log);
    let empty = super::folder(&[]);
    let (log, code) = sarif(empty.path(), &["."]);
    assert_eq!((results(&log).len(), code), (0, 0));
    assert_is_sarif(&log);
}

#[test]
fn the_schema_refuses_what_is_no_sarif() {
    let folder = mixed();
    let (mut log, _) = sarif(folder.path(), &["."]);
    log["runs"][0]["results"][0]["level"] = json!("severe");
    assert!(!validator().is_valid(&log));
}

#[test]
fn a_result_says_rule_place_and_whether_it_is_suppressed() {
    let folder = mixed();
    let (log, _) = sarif(folder.path(), &["."]);
    let rules = log["runs"][0]["tool"]["driver"]["rules"]
        .as_array()
        .unwrap();
    let told: Vec<_> = results(&log)
        .iter()
        .map(|result| {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            let place = &result["locations"][0]["physicalLocation"];
            (
                result["ruleId"].as_str().unwrap(),
                result["level"].as_str().unwrap(),
                place["artifactLocation"]["uri"].as_str().unwrap(),
                place["region"]["startLine"].as_u64().unwrap(),
                result["suppressions"].clone(),
            )
        })
        .collect();
    let broken = "sub%20folder/R__broken%2C%201%3A2.sql";
    let dropping = "sub%20folder/V1__drop_old_users.sql";
    let suppressed = |reason: &str| json!([{"kind": "inSource", "justification": reason}]);
    assert_eq!(
        told,
        [
            ("file-name", "error", broken, 1, json!([])),
            ("unterminated-string", "error", broken, 1, json!([])),
            (
                "missing-down-script",
                "warning",
                dropping,
                1,
                suppressed("nobody rolls this back")
            ),
            ("delete-without-where", "warning", dropping, 2, json!([])),
            ("drop-table", "warning", dropping, 3, json!([])),
            (
                "drop-table",
                "warning",
                dropping,
                4,
                suppressed("it is empty")
            ),
            ("delete-without-where", "warning", dropping, 5, json!([])),
            ("index-without-online", "note", dropping, 6, json!([])),
        ]
    );
}

/// The fingerprints of the results of one rule.
fn fingerprints(log: &Value, rule: &str) -> Vec<String> {
    let of_rule = results(log)
        .iter()
        .filter(|result| result["ruleId"] == rule);
    of_rule
        .map(|result| {
            let fingerprints = &result["partialFingerprints"];
            fingerprints["primaryLocationLineHash"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn fingerprints_tell_findings_apart_and_stay_when_lines_move() {
    let script = "DELETE FROM dbo.a;\nDELETE FROM dbo.b;\n\tDELETE FROM dbo.a;\n";
    let moved = format!("-- a comment more\n\n{script}");
    let of = |script: &str| {
        let folder = folder(&[("R__a.sql", script.as_bytes())]);
        fingerprints(&sarif(folder.path(), &["."]).0, "delete-without-where")
    };
    let mut before = of(script);
    assert_eq!(before, of(&moved));
    before.sort();
    before.dedup();
    assert_eq!(before.len(), 3);
}
