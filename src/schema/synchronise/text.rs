//! The text of a script on the way: steps in order, what is commented out, and what is only said.

use super::{Dialect, Proposal};

/// Begins the line above whatever is commented out.
pub(super) const HELD: &str = "COMMENTED OUT:";

/// The steps of a script.
#[derive(Default)]
pub(super) struct Script {
    notes: Vec<String>,
    steps: Vec<Step>,
}

struct Step {
    /// What is said above it.
    why: Option<String>,
    /// Sent one after the other. None when there is nothing to do but to read.
    batches: Vec<String>,
    held: bool,
}

impl Script {
    /// Something to know before reading on.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A step of one batch.
    pub fn run(&mut self, batch: impl Into<String>) {
        self.run_all(vec![batch.into()]);
    }

    /// A step of several batches.
    pub fn run_all(&mut self, batches: Vec<String>) {
        self.push(None, batches, false);
    }

    /// A step of several batches, with what is to be known of it.
    pub fn run_knowing(&mut self, why: impl Into<String>, batches: Vec<String>) {
        self.push(Some(why.into()), batches, false);
    }

    /// A step that does not run before somebody has decided so.
    pub fn hold(&mut self, why: impl Into<String>, batches: Vec<String>) {
        self.push(Some(why.into()), batches, true);
    }

    /// What no script can do.
    pub fn explain(&mut self, what: impl Into<String>) {
        let what = what.into();
        self.notes.push(what.clone());
        self.push(Some(what), Vec::new(), false);
    }

    fn push(&mut self, why: Option<String>, batches: Vec<String>, held: bool) {
        self.steps.push(Step { why, batches, held });
    }

    /// The whole script under its head.
    pub fn finish(self, head: &[String], dialect: Dialect) -> Proposal {
        let end = match dialect {
            Dialect::TransactSql => "\nGO\n",
            Dialect::Sqlite => "\n",
        };
        let held = self.steps.iter().filter(|step| step.held).count();
        let running = |step: &&Step| !step.held && !step.batches.is_empty();
        let statements = self.steps.iter().filter(running).count();
        let mut text = String::new();
        for line in head {
            text += &remark(line);
        }
        if held > 0 {
            text += &remark(&format!(
                "{held} of its steps would lose data, or could fail on the rows that are there. They are commented out; the line \
                 above each says why. To have one done, take the dashes off its lines."
            ));
        }
        if self.steps.is_empty() {
            text += &remark("There is nothing to do.");
        }
        for note in &self.notes {
            text += &remark(note);
        }
        for step in &self.steps {
            text.push('\n');
            if let Some(why) = &step.why {
                let mark = if step.held { HELD } else { "" };
                text += &remark(format!("{mark} {why}").trim());
            }
            let batches = step.batches.iter().map(|batch| format!("{batch}{end}"));
            let whole: String = batches.collect();
            text += &if step.held { commented(&whole) } else { whole };
        }
        Proposal {
            text,
            statements,
            commented_out: held,
            notes: self.notes,
        }
    }
}

/// Whether engines or editors may take the character for the end of a line, and so of a comment.
fn ends_line(character: char) -> bool {
    matches!(
        character,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// A comment of one line, whatever a name in it may hold.
fn remark(text: &str) -> String {
    let line: Vec<&str> = text.split(ends_line).collect();
    format!("-- {}\n", line.join(" "))
}

/// Every line of a text as a comment.
fn commented(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let lines = text.trim_end_matches('\n').split(ends_line);
    lines.map(|line| format!("-- {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_end_in_a_name_gets_out_of_a_comment() {
        for end in ["\n", "\r\n", "\r", "\u{2028}", "\u{85}"] {
            let text = format!("a{end}DROP TABLE b");
            for written in [remark(&text), commented(&text)] {
                let mut lines = written.split(ends_line).filter(|line| !line.is_empty());
                assert!(lines.all(|line| line.starts_with("-- ")), "{written:?}");
            }
        }
    }

    #[test]
    fn batches_end_where_the_dialect_wants_them_to() {
        let write = |dialect| {
            let mut script = Script::default();
            script.run("SELECT 1;");
            script.hold(
                "it is odd",
                vec!["SELECT 2;".to_owned(), "SELECT 3;".to_owned()],
            );
            script.finish(&["Head".to_owned()], dialect)
        };
        let text = write(Dialect::TransactSql).text;
        assert!(text.ends_with(
            "\nSELECT 1;\nGO\n\n-- COMMENTED OUT: it is odd\n-- SELECT 2;\n-- GO\n-- SELECT 3;\n-- GO\n"
        ), "{text}");
        let sqlite = write(Dialect::Sqlite);
        assert!(!sqlite.text.contains("GO"), "{}", sqlite.text);
        assert_eq!((sqlite.statements, sqlite.commented_out), (1, 1));
    }
}
