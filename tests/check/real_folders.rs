//! Folders of scripts as real repositories hold them: megabytes, every encoding and line end, separators of every kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{folder, json_of};

/// How often the piece of the generated script comes: half a megabyte in each of seven files.
const PIECES: u64 = 3_000;

/// How the generated script separates its pieces, with the repeat count.
const SEPARATORS: [(&str, u64); 6] = [
    ("GO", 1),
    ("go\t\t", 1),
    ("  \tGo \t", 1),
    ("GO 3", 3),
    ("GO\t2\t-- twice", 2),
    ("GO -- it's not open: /* '", 1),
];

/// A T-SQL script with LF line ends, and the line and repeat count of each of its batches.
fn generated() -> (String, Vec<Value>) {
    let mut script = String::from("/* made by hand,\n   /* once\nGO\n */ GO\n*/\n");
    let mut batches = Vec::new();
    let mut line = 1;
    let mut next = script.lines().count() as u64 + 1;
    for piece in 0..PIECES {
        let (separator, count) = SEPARATORS[piece as usize % SEPARATORS.len()];
        let text = format!(
            "INSERT INTO [dbo].[Währung]]s] ([Name], \"a\nGO\n\") VALUES\n\
             (N'Ångström''s {piece}\nGO\n', 1), -- it's a comment /* not open\n\
             (N'𝄞; -- no comment', 2) /* '\nGO\n/* nested */\nGO */\n;\n"
        );
        let written = format!("{text}{separator}\n");
        script.push_str(&written);
        batches.push(json!({ "index": piece + 1, "line": line, "count": count }));
        next += written.lines().count() as u64;
        line = next;
    }
    write!(script, "-- the end\n\n   COMMIT; SELECT '$(name)'\n").unwrap();
    batches.push(json!({ "index": PIECES + 1, "line": line, "count": 1 }));
    (script, batches)
}

fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let marked = format!("\u{feff}{text}");
    marked.encode_utf16().flat_map(to_bytes).collect()
}

/// A text in all the ways in which files hold it, with the names of those ways.
fn in_all_ways(text: &str) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let crlf = text.replace('\n', "\r\n");
    // In this order no CR comes to stand before the LF of an empty line.
    let mut ends = ["\n", "\r", "\r\n"].iter().cycle();
    let mixed: String = text
        .split_inclusive('\n')
        .flat_map(|line| match line.strip_suffix('\n') {
            Some(line) => [line, ends.next().unwrap()],
            None => [line, ""],
        })
        .collect();
    vec![
        ("lf", "utf-8", text.into()),
        ("marked", "utf-8-bom", format!("\u{feff}{crlf}").into()),
        ("crlf", "utf-8", crlf.clone().into()),
        ("cr", "utf-8", text.replace('\n', "\r").into()),
        ("mixed", "utf-8", mixed.into()),
        ("little", "utf-16le", utf_16(&crlf, u16::to_le_bytes)),
        ("big", "utf-16be", utf_16(text, u16::to_be_bytes)),
    ]
}

/// The reports of a script in all ways, by their names. The checks must have ended with 0.
fn check_in_all_ways(text: &str, suffix: &str) -> Vec<(&'static str, Value)> {
    let ways = in_all_ways(text);
    let names: Vec<_> = ways
        .iter()
        .map(|(way, ..)| format!("R__{way}{suffix}"))
        .collect();
    let files = names.iter().zip(&ways);
    let files: Vec<_> = files
        .map(|(name, (.., bytes))| (name.as_str(), bytes.as_slice()))
        .collect();
    let folder = folder(&files);
    let paths: Vec<_> = names.iter().map(String::as_str).collect();
    let (report, code) = json_of(folder.path(), &paths);
    assert_eq!(code, 0);
    let files = report["files"].as_array().unwrap();
    ways.into_iter()
        .map(|(way, encoding, _)| {
            let name = format!("R__{way}{suffix}");
            let file = files.iter().find(|file| file["path"] == name).unwrap();
            assert_eq!(file["encoding"], encoding, "{name}");
            (way, file.clone())
        })
        .collect()
}

/// The batches of a report without their hashes, since a line end within a batch is a part of its text.
fn batches(file: &Value) -> Vec<Value> {
    let mut batches = file["batches"].as_array().unwrap().clone();
    for batch in &mut batches {
        batch.as_object_mut().unwrap().remove("sha256").unwrap();
    }
    batches
}

/// Code, severity, line and column of each finding.
fn findings(file: &Value) -> Vec<(&str, &str, u64, u64)> {
    let findings = file["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| {
            (
                finding["code"].as_str().unwrap(),
                finding["severity"].as_str().unwrap(),
                finding["line"].as_u64().unwrap(),
                finding["column"].as_u64().unwrap(),
            )
        })
        .collect()
}

/// How often each code was found, in the order of the codes.
fn counts(file: &Value) -> Vec<(&str, usize)> {
    let mut counts = BTreeMap::new();
    for (code, ..) in findings(file) {
        *counts.entry(code).or_default() += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn megabytes_of_script_are_the_same_script_in_every_encoding_and_with_every_line_end() {
    let (script, expected) = generated();
    assert!(script.len() > 500_000, "{}", script.len());
    let last_line = script.lines().count() as u64;
    let started = std::time::Instant::now();
    let reports = check_in_all_ways(&script, ".sql");
    assert!(
        started.elapsed() < std::time::Duration::from_secs(60),
        "{:?}",
        started.elapsed()
    );
    for (way, file) in &reports {
        assert_eq!(batches(file), expected, "{way}");
        assert_eq!(
            findings(file),
            [
                ("transaction-control", "warning", last_line, 4),
                ("variables-off", "note", last_line, 20)
            ],
            "{way}"
        );
        assert_eq!(file["checksum"], reports[0].1["checksum"], "{way}");
    }
}

/// Public sample scripts that may lie beside the project. They are not part of it.
#[test]
fn real_scripts_are_judged_alike_in_every_encoding_and_with_every_line_end() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    for (name, suffix, count, found) in [
        (
            "chinook_sqlserver.sql",
            ".sql",
            37,
            vec![("no-transaction", 1), ("use-database", 1)],
        ),
        (
            "northwind_sqlserver.sql",
            ".sql",
            402,
            vec![("drop-table", 13), ("one-part-name", 1)],
        ),
        (
            "chinook_sqlite.sql",
            ".sqlite.sql",
            1,
            vec![("drop-table", 11)],
        ),
    ] {
        let Ok(bytes) = fs::read(data.join(name)) else {
            eprintln!("not tried, because it is missing: ../shared/data/{name}");
            continue;
        };
        let text = dbvc::script::decode(&bytes).unwrap().text;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let reports = check_in_all_ways(&text, suffix);
        for (way, file) in &reports {
            assert_eq!(
                file["batches"].as_array().unwrap().len(),
                count,
                "{name}, {way}"
            );
            assert_eq!(counts(file), found, "{name}, {way}");
            assert_eq!(findings(file), findings(&reports[0].1), "{name}, {way}");
            assert_eq!(batches(file), batches(&reports[0].1), "{name}, {way}");
            assert_eq!(file["checksum"], reports[0].1["checksum"], "{name}, {way}");
        }
    }
}
