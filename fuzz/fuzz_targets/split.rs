//! Splits arbitrary texts and asks everything that can be asked about a script. See `fuzz/README.md`.

#![no_main]

use std::ops::Range;

use dbvc::script::{
    Directives, ScriptKind, Split, Syntax, Variables, check_script, is_single_statement, needs_no_transaction,
    own_transaction_end, references, session_changes, split,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    for syntax in [Syntax::TransactSql, Syntax::Sqlite] {
        let split = split(text, syntax);
        if let Ok(split) = &split {
            expect_nothing_lost(text, split);
            expect_lines(text, split);
            let end = own_transaction_end(&split.batches, syntax);
            assert!(end.is_none_or(|end| word_at(text, end.line, end.column, end.statement)));
        }
        let batches = split.iter().flat_map(|split| &split.batches);
        for batch in batches.map(|batch| batch.text).chain([text]) {
            let _ = needs_no_transaction(batch, syntax);
            let _ = is_single_statement(batch, syntax);
            let _ = session_changes(batch);
        }
        let _ = (
            check_script(text, syntax, ScriptKind::Up, Vec::new()),
            Directives::of_script(text, syntax),
        );
        for reference in references(text, syntax) {
            assert_eq!(text[reference.range()], format!("$({})", reference.name));
        }
        let _ = Variables::default().substitute(text, syntax);
    }
});

/// Batches, separators and blanks make up the whole script, in order.
fn expect_nothing_lost(text: &str, split: &Split<'_>) {
    let batches = split.batches.iter().map(|batch| batch.range.clone());
    let separators = split
        .separators
        .iter()
        .map(|separator| separator.range.clone());
    let mut pieces: Vec<Range<usize>> = batches.chain(separators).collect();
    pieces.sort_by_key(|range| range.start);
    let mut end = 0;
    for range in pieces {
        expect_blank(&text[end..range.start]);
        end = range.end;
    }
    expect_blank(&text[end..]);
    for batch in &split.batches {
        assert_eq!(batch.text, &text[batch.range.clone()]);
    }
}

fn expect_blank(gap: &str) {
    assert_eq!(gap.trim_start_matches('\u{feff}').trim(), "", "lost");
}

/// Every line of a batch is the line of the file that it says.
fn expect_lines(text: &str, split: &Split<'_>) {
    let of_file = lines(text.strip_prefix('\u{feff}').unwrap_or(text));
    for batch in &split.batches {
        let mut of_batch = lines(batch.text);
        // Behind the last line end there is no line of the batch.
        of_batch.pop_if(|line| line.is_empty());
        for (in_batch, line) in (1..).zip(of_batch) {
            assert_eq!(of_file[batch.file_line(in_batch) as usize - 1], line);
        }
    }
}

fn word_at(text: &str, line: u32, column: u32, word: &str) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = lines(text);
    let behind = lines[line as usize - 1].chars().skip(column as usize - 1);
    let found: String = behind.take(word.len()).collect();
    found.eq_ignore_ascii_case(word)
}

fn lines(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.split('\n').map(str::to_owned).collect()
}
