//! Scripts are split into batches as the listings in `tests/golden/batches` say.
//!
//! After a deliberate change, `UPDATE_GOLDEN=1 cargo test --test batches` writes the listings anew; read the diff.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use dbvc::script::{
    Directives, FileName, ScriptKind, Syntax, Variables, check_script, is_single_statement,
    needs_no_transaction, own_transaction_end, references, session_changes, split,
};
use proptest::prelude::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn syntax_of(path: &Path) -> Syntax {
    let name = path.file_name().unwrap().to_str().unwrap();
    Syntax::of_engine(FileName::engine_of(name).unwrap()).unwrap()
}

/// The batches with the numbers of their lines in the file, or the error.
fn listing(script: &str, syntax: Syntax) -> String {
    let split = match split(script, syntax) {
        Ok(split) => split,
        Err(error) => return format!("error: {error}\n"),
    };
    let mut listing = String::new();
    for batch in &split.batches {
        let (index, line, count) = (batch.index, batch.line, batch.count);
        writeln!(listing, "batch {index}, line {line}, count {count}").unwrap();
        let text = batch.text.replace("\r\n", "\n").replace('\r', "\n");
        for (in_batch, text) in (1..).zip(text.lines()) {
            writeln!(listing, "{:>5}|{text}", batch.file_line(in_batch)).unwrap();
        }
    }
    for note in &split.notes {
        let (kind, line, column) = (note.kind, note.line, note.column);
        writeln!(listing, "note: line {line}, column {column}: {kind:?}").unwrap();
    }
    listing
}

fn golden_scripts() -> Vec<PathBuf> {
    let folder = root().join("tests/golden/batches");
    let mut scripts: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 10, "the golden scripts are there");
    scripts
}

#[test]
fn every_golden_script_is_split_as_its_listing_says() {
    for path in golden_scripts() {
        let script = fs::read_to_string(&path).unwrap();
        let actual = listing(&script, syntax_of(&path));
        let expected_path = path.with_extension("sql.expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected_path, &actual).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap();
        assert_eq!(actual, expected, "{}", path.display());
    }
}

#[test]
fn line_ends_and_a_byte_order_mark_change_neither_batches_nor_lines() {
    for path in golden_scripts() {
        let script = fs::read_to_string(&path).unwrap();
        let syntax = syntax_of(&path);
        let expected = listing(&script, syntax);
        for variant in [
            script.replace('\n', "\r\n"),
            script.replace('\n', "\r"),
            format!("\u{feff}{script}"),
        ] {
            assert_eq!(listing(&variant, syntax), expected, "{}", path.display());
        }
    }
}

#[test]
fn every_line_of_a_batch_is_the_line_of_the_file_that_it_says() {
    for path in golden_scripts() {
        let script = fs::read_to_string(&path).unwrap();
        let file_lines: Vec<_> = script.lines().collect();
        let Ok(split) = split(&script, syntax_of(&path)) else {
            continue;
        };
        for batch in &split.batches {
            for (in_batch, text) in (1..).zip(batch.text.lines()) {
                let line = batch.file_line(in_batch) as usize;
                assert_eq!(text, file_lines[line - 1], "{} line {line}", path.display());
            }
        }
    }
}

/// Public sample scripts that may lie beside the project. They are not part of it.
#[test]
fn real_scripts_are_split_into_as_many_batches_as_they_have_separators() {
    for (name, syntax, batches) in [
        ("chinook_sqlserver.sql", Syntax::TransactSql, 37),
        ("northwind_sqlserver.sql", Syntax::TransactSql, 402),
        ("chinook_sqlite.sql", Syntax::Sqlite, 1),
    ] {
        let path = root().join("../shared/data").join(name);
        let Ok(bytes) = fs::read(&path) else {
            eprintln!("not tried, because it is missing: ../shared/data/{name}");
            continue;
        };
        let text = dbvc::script::decode(&bytes).unwrap().text;
        let split = split(&text, syntax).unwrap();
        assert_eq!(split.batches.len(), batches, "{name}");
        assert_eq!(split.notes, [], "{name}");
    }
}

/// Asks everything that can be asked about a script.
fn ask_everything(text: &str, syntax: Syntax) {
    let _ = (
        check_script(text, syntax, ScriptKind::Up, Vec::new()),
        Directives::of_script(text, syntax),
    );
    let _ = references(text, syntax).count();
    let _ = Variables::default().substitute(text, syntax);
    let split = split(text, syntax);
    if let Ok(split) = &split {
        let _ = own_transaction_end(&split.batches, syntax);
    }
    let batches = split.iter().flat_map(|split| &split.batches);
    for batch in batches.map(|batch| batch.text).chain([text]) {
        let _ = needs_no_transaction(batch, syntax);
        let _ = is_single_statement(batch, syntax);
        let _ = session_changes(batch);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_text_makes_a_question_panic(text in any::<String>()) {
        for syntax in [Syntax::TransactSql, Syntax::Sqlite] {
            ask_everything(&text, syntax);
        }
    }

    #[test]
    fn no_piece_of_a_script_makes_a_question_panic(cut in 0_usize..400, length in 0_usize..400, extra in "\\PC{0,3}") {
        for path in golden_scripts() {
            let script = fs::read_to_string(&path).unwrap();
            let piece: String = script.chars().skip(cut % script.len()).take(length).collect();
            ask_everything(&format!("{piece}{extra}{piece}"), syntax_of(&path));
        }
    }
}
