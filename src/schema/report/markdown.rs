//! The report as Markdown for a comment on a pull request.

use std::fmt::Write;

use super::lines::{Line, Row, Stretch, stretches};
use super::{CHANGE_KINDS, Report, count, perhaps_renamed};
use crate::schema::diff::{Change, ChangeKind, Detail};

/// GitHub refuses a comment of more than 65 536 characters; what the caller puts around it fits into the rest.
const LIMIT: usize = 60_000;

/// So many details of one object stand in the table; a table with very many columns would fill the comment alone.
const DETAILS: usize = 20;

/// With more changes than this their counts by kind come first.
const MANY: usize = 20;

/// The report as GitHub-flavoured Markdown of at most 60 000 bytes.
///
/// What does not fit is counted at the end. Everything that comes from a database is shown as code and escaped, so that
/// no name can format, mention or add anything.
pub fn markdown(report: &Report) -> String {
    let mut text = format!(
        "### Schema drift: {}\n\n**{}**",
        code(&report.database_id),
        report.verdict()
    );
    if !report.changes.is_empty() {
        let counts = CHANGE_KINDS.map(|kind| format!("{} {}", report.count(kind), kind.as_str()));
        text += &format!(": {}", counts.join(", "));
    }
    text += ".";
    if let Some(reason) = &report.reason {
        text += &format!(" {}", escaped(reason));
    }
    text += &format!(
        "\n\nCompared: {} → {}\n",
        escaped(&report.from_label),
        escaped(&report.to_label)
    );
    if report.changes.len() > MANY {
        text += &counts(report);
    }
    if !report.changes.is_empty() {
        add_changes(&mut text, &report.changes);
    }
    text
}

fn counts(report: &Report) -> String {
    let mut table = "\n| Kind | Added | Removed | Changed |\n|---|--:|--:|--:|\n".to_owned();
    for (kind, changes) in report.by_kind() {
        let counts = CHANGE_KINDS.map(|change| count(changes, change).to_string());
        table += &format!("| {} | {} |\n", kind.heading(), counts.join(" | "));
    }
    table
}

fn add_changes(text: &mut String, changes: &[Change]) {
    *text += "\n| Change | Kind | Object | Details |\n|---|---|---|---|\n";
    let shown = add_while_they_fit(text, changes.iter().map(row));
    *text += "\n";
    let long = || {
        changes[..shown]
            .iter()
            .flat_map(|change| change.details.iter().map(move |detail| (change, detail)))
    };
    let texts: Vec<String> = long()
        .filter(|(_, detail)| detail.is_long())
        .map(|(change, detail)| section(change, detail))
        .collect();
    let (all, fitting) = (texts.len(), add_while_they_fit(text, texts.into_iter()));
    for (left_out, what) in [
        (changes.len() - shown, "more changes"),
        (all - fitting, "longer texts"),
    ] {
        if left_out > 0 {
            *text += &format!("{left_out} {what} did not fit here.\n");
        }
    }
}

/// Adds pieces up to the limit and says how many.
fn add_while_they_fit(text: &mut String, pieces: impl Iterator<Item = String>) -> usize {
    let mut count = 0;
    for piece in pieces {
        if text.len() + piece.len() > LIMIT - RESERVE {
            break;
        }
        *text += &piece;
        count += 1;
    }
    count
}

/// Room for saying what was left out.
const RESERVE: usize = 200;

fn row(change: &Change) -> String {
    let renamed = change
        .possible_rename
        .as_ref()
        .map(|other| rename(change.change == ChangeKind::Added, other));
    let cells = change
        .details
        .iter()
        .take(DETAILS)
        .map(|detail| cell(change, detail));
    let mut details: Vec<String> = renamed.into_iter().chain(cells).collect();
    if change.details.len() > DETAILS {
        details.push(format!("… and {} more", change.details.len() - DETAILS));
    }
    let (what, kind) = (change.change.as_str(), change.kind.words());
    format!(
        "| {what} | {kind} | {} | {} |\n",
        code(&shortened(&change.name)),
        details.join("<br>")
    )
}

fn cell(change: &Change, detail: &Detail) -> String {
    let property = escaped(&shortened(&detail.property));
    if detail.is_long() {
        return format!("{property}: see below");
    }
    let word = detail
        .came_or_went(change)
        .map(|word| format!("{word} "))
        .unwrap_or_default();
    let cell = match (&detail.from, &detail.to) {
        (None, Some(to)) => format!("{property}: {word}{}", code(to)),
        (Some(from), None) => format!("{property}: {word}{}", code(from)),
        (Some(from), Some(to)) => format!("{property}: {} → {}", code(from), code(to)),
        (None, None) => property,
    };
    match &detail.possible_rename {
        Some(other) => format!("{cell}, {}", rename(detail.to.is_some(), other)),
        None => cell,
    }
}

fn rename(came: bool, other: &str) -> String {
    format!("{} {}", perhaps_renamed(came), code(&shortened(other)))
}

/// A longer text, folded away until it is asked for.
fn section(change: &Change, detail: &Detail) -> String {
    let diff = unified(&detail.rows());
    let fence = fence_for(&diff);
    let (kind, name) = (change.kind.words(), code(&shortened(&change.name)));
    let property = escaped(&shortened(&detail.property));
    format!(
        "<details><summary>{kind} {name}: {property}</summary>\n\n{fence}diff\n{diff}{fence}\n\n</details>\n\n"
    )
}

/// The changed lines with those around them, each stretch under its place where lines are left out.
fn unified(rows: &[Row]) -> String {
    let stretches = stretches(rows);
    let is_whole = stretches.len() == 1;
    let mut diff = String::new();
    for stretch in stretches {
        if let Stretch::Shown(rows) = stretch {
            if !is_whole {
                diff += &place(rows);
            }
            add_rows(&mut diff, rows);
        }
    }
    if diff.is_empty() {
        diff += " The lines are the same; only line ends, or space at the beginning or the end, differ.\n";
    }
    diff
}

/// `@@ -12,7 +12,8 @@`: the first line and the number of lines on each side.
fn place(rows: &[Row]) -> String {
    let side = |numbers: Vec<usize>| {
        let first = numbers.first().copied().unwrap_or_default();
        format!("{first},{}", numbers.len())
    };
    let from = side(rows.iter().filter_map(|row| row.numbers().0).collect());
    let to = side(rows.iter().filter_map(|row| row.numbers().1).collect());
    format!("@@ -{from} +{to} @@\n")
}

/// Of changed lines that follow each other, first all that went and then all that came.
fn add_rows(diff: &mut String, rows: &[Row]) {
    let mut came: Vec<&Line> = Vec::new();
    for row in rows {
        match row {
            Row::Changed { from, to } => {
                if let Some(line) = from {
                    add_line(diff, '-', line.pieces.iter().map(|piece| piece.text));
                }
                came.extend(to);
            }
            Row::Kept { text, .. } => {
                add_all(diff, &mut came);
                add_line(diff, ' ', [*text]);
            }
        }
    }
    add_all(diff, &mut came);
}

fn add_all(diff: &mut String, came: &mut Vec<&Line>) {
    for line in came.drain(..) {
        add_line(diff, '+', line.pieces.iter().map(|piece| piece.text));
    }
}

fn add_line<'a>(diff: &mut String, sign: char, pieces: impl IntoIterator<Item = &'a str>) {
    diff.push(sign);
    diff.extend(pieces);
    diff.push('\n');
}

/// More backticks than the text has anywhere in a row, so that it cannot end its own block.
fn fence_for(text: &str) -> String {
    let longest = text
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    "`".repeat(longest.max(2) + 1)
}

/// A name of any length, short enough for a table.
fn shortened(text: &str) -> String {
    const LENGTH: usize = 120;
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

/// On one line, with a character reference for whatever could mean something to Markdown, HTML or GitHub.
///
/// Backslashes are no help here: within a table they would have to be counted.
fn escaped(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut escaped = String::with_capacity(text.len());
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        let between =
            |accepted: fn(char) -> bool| before.is_some_and(accepted) && next.is_some_and(accepted);
        let plain = match character {
            // Within a word it is only a letter, within a number only a sign.
            '_' => between(|neighbour| neighbour.is_ascii_alphanumeric()),
            ':' => between(|neighbour| neighbour.is_ascii_digit()),
            _ => {
                "(),.;=+-/%'?".contains(character)
                    || !(character.is_ascii_punctuation() || character.is_control())
            }
        };
        if plain {
            escaped.push(character);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "&#{};", u32::from(character));
        }
        before = Some(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::tests::{golden, nasty, nothing, ordinary, unjudged};
    use super::*;
    use crate::schema::{ChangeKind, ObjectKind};

    #[test]
    fn an_ordinary_report_reads_as_agreed() {
        golden("ordinary.md", &markdown(&ordinary()));
    }

    #[test]
    fn a_report_without_a_finding_reads_as_agreed() {
        golden("nothing.md", &markdown(&nothing()));
        golden("unjudged.md", &markdown(&unjudged()));
    }

    #[test]
    fn nothing_in_a_name_or_text_can_format_link_mention_or_break_the_table() {
        let text = markdown(&nasty());
        golden("nasty.md", &text);
        let (outside, _) = text.split_once("````diff").unwrap();
        assert!(!outside.contains("<script>"));
        assert!(!outside.contains("@someone"));
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
        assert!(
            rows.iter().all(|row| row.matches('|').count() == 5),
            "{rows:#?}"
        );
        assert!(text.contains("\n````diff\n"), "{text}");
    }

    #[test]
    fn a_report_of_any_length_fits_into_a_comment_and_says_what_is_missing() {
        let detail = |number: usize| Detail {
            property: format!("column c{number}"),
            from: None,
            to: Some("line\n".repeat(if number == 0 { 400 } else { 1 })),
            possible_rename: None,
        };
        let change = |number: usize| Change {
            change: ChangeKind::Added,
            kind: ObjectKind::Table,
            name: format!("{}{number}", "long_name_".repeat(30)),
            details: (0..50).map(detail).collect(),
            possible_rename: None,
        };
        let text = markdown(&Report {
            changes: (0..1_000).map(change).collect(),
            ..ordinary()
        });
        assert!(text.len() <= LIMIT, "{}", text.len());
        assert!(text.len() > LIMIT / 2);
        assert!(text.contains("… and 30 more"));
        assert!(text.contains(" more changes did not fit here."));
        assert!(
            text.ends_with(" longer texts did not fit here.\n"),
            "{}",
            &text[text.len() - 200..]
        );
    }
}
