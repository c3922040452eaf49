//! What `dbvc diff` says in a terminal.

use crate::schema::{ChangeKind, Detail, Report};

/// The longest value that is shown; a longer one, and one of several lines, is for the other formats.
const ONE_LINE: usize = 100;

/// The differences, one line an object and one a property, and their number at the end.
pub(super) fn text(report: &Report) -> String {
    let mut lines = vec![
        format!("from {}", report.from_label),
        format!("to   {}", report.to_label),
        String::new(),
    ];
    for change in &report.changes {
        let sign = match change.change {
            ChangeKind::Added => '+',
            ChangeKind::Removed => '-',
            ChangeKind::Changed => '~',
        };
        let kind = change.kind.as_str().replace('-', " ");
        let perhaps = perhaps(
            change.possible_rename.as_deref(),
            change.change == ChangeKind::Added,
        );
        lines.push(format!("{sign} {kind} {}{perhaps}", change.name));
        lines.extend(
            change
                .details
                .iter()
                .map(|detail| format!("    {}", of_detail(detail))),
        );
    }
    lines.push(total(report));
    lines.iter().map(|line| visible(line) + "\n").collect()
}

fn of_detail(detail: &Detail) -> String {
    let property = &detail.property;
    let rename = detail.possible_rename.as_deref();
    match (&detail.from, &detail.to) {
        (from, to) if [from, to].into_iter().flatten().any(|value| is_long(value)) => {
            format!("{property}: {}", of_long(from.is_some(), to.is_some()))
        }
        (None, Some(to)) => format!("+ {property}: {to}{}", perhaps(rename, true)),
        (Some(from), None) => format!("- {property}: {from}{}", perhaps(rename, false)),
        (Some(from), Some(to)) => format!("{property}: {from} -> {to}"),
        (None, None) => property.clone(),
    }
}

/// What something may have been, or may have become.
fn perhaps(rename: Option<&str>, came: bool) -> String {
    match rename {
        Some(other) if came => format!(" (perhaps renamed from {other})"),
        Some(other) => format!(" (perhaps renamed to {other})"),
        None => String::new(),
    }
}

fn of_long(before: bool, after: bool) -> &'static str {
    match (before, after) {
        (true, true) => "differs; --format markdown shows how",
        (true, false) => "was removed; --format markdown shows it",
        (false, _) => "was added; --format markdown shows it",
    }
}

fn is_long(value: &str) -> bool {
    value.trim().contains('\n') || value.chars().nth(ONE_LINE).is_some()
}

fn total(report: &Report) -> String {
    let count = |kind: ChangeKind| {
        let changes = report.changes.iter();
        changes.filter(|change| change.change == kind).count()
    };
    match report.changes.len() {
        0 => "The schemas are the same.".to_owned(),
        all => format!(
            "\n{all} {}: {} added, {} removed, {} changed",
            if all == 1 {
                "difference"
            } else {
                "differences"
            },
            count(ChangeKind::Added),
            count(ChangeKind::Removed),
            count(ChangeKind::Changed),
        ),
    }
}

/// A line as a terminal may have it: what a name holds must not steer it.
fn visible(line: &str) -> String {
    let (breaks, line) = match line.strip_prefix('\n') {
        Some(line) => ("\n", line),
        None => ("", line),
    };
    let shown = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    breaks.chars().chain(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Change, ObjectKind};

    fn detail(property: &str, from: Option<&str>, to: Option<&str>) -> Detail {
        Detail {
            property: property.to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            possible_rename: None,
        }
    }

    fn report(changes: Vec<Change>) -> Report {
        Report {
            database_id: "shop".to_owned(),
            from_label: "a.json".to_owned(),
            to_label: "b.json".to_owned(),
            detected: Some(!changes.is_empty()),
            reason: None,
            changes,
        }
    }

    #[test]
    fn each_object_has_a_sign_and_its_properties_below_it() {
        let change = |change, kind, name: &str, details| Change {
            change,
            kind,
            name: name.to_owned(),
            details,
            possible_rename: (name == "sales").then(|| "orders".to_owned()),
        };
        let changes = vec![
            change(
                ChangeKind::Changed,
                ObjectKind::Table,
                "orders",
                vec![
                    detail("column net type", Some("INTEGER"), Some("TEXT")),
                    detail("column tax", None, Some("TEXT NULL")),
                    detail("column old", Some("TEXT NULL"), None),
                ],
            ),
            change(
                ChangeKind::Removed,
                ObjectKind::ForeignKey,
                "orders.customer",
                Vec::new(),
            ),
            change(ChangeKind::Added, ObjectKind::Sequence, "sales", Vec::new()),
            change(
                ChangeKind::Changed,
                ObjectKind::View,
                "\u{1b}[2Jbig",
                vec![detail("definition", Some("a\nb"), Some("a\nc"))],
            ),
        ];
        assert_eq!(
            text(&report(changes)),
            "from a.json\nto   b.json\n\n\
             ~ table orders\n    column net type: INTEGER -> TEXT\n    + column tax: TEXT NULL\n    - column old: TEXT NULL\n\
             - foreign key orders.customer\n\
             + sequence sales (perhaps renamed from orders)\n\
             ~ view  [2Jbig\n    definition: differs; --format markdown shows how\n\
             \n4 differences: 1 added, 1 removed, 2 changed\n"
        );
    }

    #[test]
    fn no_difference_is_said_in_words() {
        assert_eq!(
            text(&report(Vec::new())),
            "from a.json\nto   b.json\n\nThe schemas are the same.\n"
        );
    }
}
