//! A drift report for people: what it says; how it is written stands in `markdown` and `html`.

mod html;
mod kinds;
mod lines;
mod markdown;
mod texts;
mod words;

pub use html::{SCRIPT, STYLE, content_security_policy, html};
pub use markdown::markdown;

use super::diff::{Change, ChangeKind, Detail};
use super::model::ObjectKind;

/// The finding about one database, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub database_id: String,
    /// What was compared, in words: `baseline of 2025-11-27 14:30 UTC`.
    pub from_label: String,
    /// With what: `live schema`.
    pub to_label: String,
    /// `None` when drift could not be judged; then `reason` says why.
    pub detected: Option<bool>,
    pub reason: Option<String>,
    pub changes: Vec<Change>,
}

impl Report {
    /// The finding in a few words.
    fn verdict(&self) -> &'static str {
        match self.detected {
            Some(true) => "Drift detected",
            Some(false) => "No drift",
            None => "Drift could not be judged",
        }
    }

    fn count(&self, kind: ChangeKind) -> usize {
        count(&self.changes, kind)
    }

    /// The changes of each kind of object; they come sorted by it.
    fn by_kind(&self) -> impl Iterator<Item = (ObjectKind, &[Change])> {
        self.changes
            .chunk_by(|one, next| one.kind == next.kind)
            .map(|changes| (changes[0].kind, changes))
    }
}

fn count(changes: &[Change], kind: ChangeKind) -> usize {
    changes
        .iter()
        .filter(|change| change.change == kind)
        .count()
}

/// In the order in which a report counts them.
const CHANGE_KINDS: [ChangeKind; 3] = [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Changed];

impl ChangeKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl Detail {
    /// Whether its values are too much for one line and are better shown as a text.
    fn is_long(&self) -> bool {
        const ONE_LINE: usize = 100;
        let long =
            |text: &String| text.trim().contains('\n') || text.chars().nth(ONE_LINE).is_some();
        self.from.as_ref().is_some_and(long) || self.to.as_ref().is_some_and(long)
    }

    /// A word for a property that only one side has, where that is not what became of the whole object.
    fn came_or_went(&self, change: &Change) -> Option<&'static str> {
        match (&self.from, &self.to) {
            (None, Some(_)) if change.change != ChangeKind::Added => Some("added"),
            (Some(_), None) if change.change != ChangeKind::Removed => Some("removed"),
            _ => None,
        }
    }

    /// Its values line by line.
    fn rows(&self) -> Vec<lines::Row<'_>> {
        let (from, to) = (self.from.as_deref(), self.to.as_deref());
        lines::compare(from.unwrap_or_default(), to.unwrap_or_default())
    }
}

/// What to say of an object or column that may be one that was renamed.
fn perhaps_renamed(came: bool) -> &'static str {
    if came {
        "perhaps renamed from"
    } else {
        "perhaps renamed to"
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Compares with the agreed text; `DBVC_BLESS=1` makes what is written now the agreed one.
    pub(super) fn golden(name: &str, written: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/reports")
            .join(name);
        if std::env::var_os("DBVC_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, written).unwrap();
        }
        let agreed = std::fs::read_to_string(&path)
            .unwrap()
            .replace("\r\n", "\n");
        assert!(
            agreed == written,
            "{name} is no longer as agreed; DBVC_BLESS=1 agrees to:\n{written}"
        );
    }

    fn change(
        change: ChangeKind,
        kind: ObjectKind,
        name: &str,
        details: &[(&str, Option<&str>, Option<&str>)],
    ) -> Change {
        let detail = |(property, from, to): &(&str, Option<&str>, Option<&str>)| Detail {
            property: (*property).to_owned(),
            from: from.map(str::to_owned),
            to: to.map(str::to_owned),
            possible_rename: None,
        };
        Change {
            change,
            kind,
            name: name.to_owned(),
            details: details.iter().map(detail).collect(),
            possible_rename: None,
        }
    }

    /// The same with the other one's name.
    fn perhaps_renamed(change: Change, other: &str) -> Change {
        Change {
            possible_rename: Some(other.into()),
            ..change
        }
    }

    pub(super) fn ordinary() -> Report {
        use ChangeKind::*;
        use ObjectKind::*;
        let view_before =
            "CREATE VIEW big_orders AS\nSELECT id, net\nFROM orders\nWHERE net > 1000";
        let view_after =
            "CREATE VIEW big_orders AS\nSELECT id, net, tax\nFROM orders\nWHERE net > 1000";
        let trigger = "CREATE TRIGGER orders_stamp AFTER INSERT ON orders BEGIN\n    UPDATE orders SET stamped = 1 WHERE id = new.id;\nEND";
        let function_before = "CREATE FUNCTION total (@order int)\nRETURNS money\nAS\nBEGIN\n    DECLARE @sum money;\n    SELECT @sum = SUM(net)\n    FROM lines\n    WHERE order_id = @order;\n    RETURN @sum;\nEND";
        let function_after = function_before.replace("SUM(net)", "SUM(net + tax)");
        let columns = [
            ("column id", Some("INTEGER NOT NULL"), None),
            ("column note", Some("TEXT NULL DEFAULT 'none'"), None),
        ];
        Report {
            database_id: "lpa-bloom-sql-dev".into(),
            from_label: "baseline of 2025-11-27 14:30 UTC".into(),
            to_label: "live schema".into(),
            detected: Some(true),
            reason: None,
            changes: vec![
                perhaps_renamed(change(Removed, Table, "audit", &columns), "audit_copy"),
                perhaps_renamed(
                    change(
                        Added,
                        Table,
                        "audit_copy",
                        &columns.map(|(property, text, _)| (property, None, text)),
                    ),
                    "audit",
                ),
                change(
                    Changed,
                    Table,
                    "orders",
                    &[
                        (
                            "column net type",
                            Some("NUMERIC(10, 2)"),
                            Some("NUMERIC(12, 2)"),
                        ),
                        ("column tax", None, Some("NUMERIC(12, 2) NULL")),
                        ("column legacy_code", Some("TEXT NULL"), None),
                    ],
                ),
                change(
                    Changed,
                    ForeignKey,
                    "orders.orders_customer",
                    &[("on delete", Some("NO ACTION"), Some("CASCADE"))],
                ),
                change(
                    Removed,
                    Index,
                    "orders.orders_by_day",
                    &[("columns", Some("day DESC, id"), None)],
                ),
                change(
                    Changed,
                    View,
                    "big_orders",
                    &[("definition", Some(view_before), Some(view_after))],
                ),
                change(
                    Removed,
                    Trigger,
                    "orders.orders_stamp",
                    &[("definition", Some(trigger), None)],
                ),
                change(
                    Changed,
                    Function,
                    "total",
                    &[("definition", Some(function_before), Some(&function_after))],
                ),
            ],
        }
    }

    pub(super) fn nothing() -> Report {
        Report {
            detected: Some(false),
            changes: vec![],
            ..ordinary()
        }
    }

    pub(super) fn unjudged() -> Report {
        let reason = "A run holds the database; ask again when it has ended.";
        Report {
            detected: None,
            reason: Some(reason.into()),
            ..nothing()
        }
    }

    /// Names and texts that try to be more than that.
    pub(super) fn nasty() -> Report {
        let text = "SELECT '```'\n```\n<script>alert(1)</script>\n</pre></details>";
        Report {
            database_id: "x`</code><script>alert(1)</script>".into(),
            from_label: "a | b\n\n# heading".into(),
            to_label: "[link](javascript:alert(1))".into(),
            detected: Some(true),
            reason: Some("**bold** <img src=x onerror=alert(1)> @someone #1".into()),
            changes: vec![
                change(
                    ChangeKind::Added,
                    ObjectKind::Table,
                    "a|b\\|c`d`\n| e | @someone",
                    &[("column `x|y`", None, Some("'\\' | <b>&amp;"))],
                ),
                change(
                    ChangeKind::Changed,
                    ObjectKind::View,
                    "<script>alert(1)</script>",
                    &[("definition", Some(text), Some("SELECT 1"))],
                ),
            ],
        }
    }
}
