//! Findings in words: each in a message of its own, many in one.

use super::finding::{Finding, FindingKind};

/// More findings at once than this are summed up in one message.
pub(super) const EACH_BY_ITSELF: usize = 3;

/// How many findings a summary lists.
const LISTED: usize = 10;

/// Longest line, in characters: what a caller calls itself, and a name, can be long.
const MAX_LINE: usize = 400;

/// A message, as plain text. No line holds a line break or another control character.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What happened, in one line.
    pub title: String,
    /// What else there is to say.
    pub lines: Vec<String>,
    /// What it tells of.
    pub findings: Vec<Finding>,
    /// How many findings before these were too old to be announced.
    pub left_out: usize,
}

impl Message {
    /// Title and lines as one text.
    pub fn text(&self) -> String {
        let mut text = self.title.clone();
        for line in &self.lines {
            text.push('\n');
            text.push_str(line);
        }
        text
    }
}

/// The messages that tell of these findings, in their order. `left_out`: how many before them were too old.
pub fn messages(findings: Vec<Finding>, left_out: usize) -> Vec<Message> {
    let mut messages: Vec<Message> = if findings.len() > EACH_BY_ITSELF {
        vec![summary(findings)]
    } else {
        findings.into_iter().map(single).collect()
    };
    if let Some(first) = messages.first_mut()
        && left_out > 0
    {
        first.left_out = left_out;
        first.lines.push(format!(
            "{left_out} more happened over a day ago and could not be announced; GET history has them"
        ));
    }
    messages
}

fn single(finding: Finding) -> Message {
    Message {
        title: one_line(&format!(
            "dbvc {}: {}",
            finding.environment,
            headline(&finding)
        )),
        lines: lines(&finding).iter().map(|line| one_line(line)).collect(),
        findings: vec![finding],
        left_out: 0,
    }
}

fn summary(findings: Vec<Finding>) -> Message {
    let mut databases: Vec<&str> = findings
        .iter()
        .map(|finding| finding.database_id.as_str())
        .collect();
    databases.sort_unstable();
    databases.dedup();
    let environment = findings
        .first()
        .map_or("", |finding| finding.environment.as_str());
    let title = format!(
        "dbvc {environment}: {} findings on {}",
        findings.len(),
        counted(databases.len(), "database")
    );
    let mut lines: Vec<String> = findings
        .iter()
        .take(LISTED)
        .map(|finding| one_line(&format!("- {}", headline(finding))))
        .collect();
    if findings.len() > LISTED {
        lines.push(format!("- and {} more", findings.len() - LISTED));
    }
    lines.push("GET history of each database has the details.".to_owned());
    Message {
        title: one_line(&title),
        lines,
        findings,
        left_out: 0,
    }
}

fn headline(finding: &Finding) -> String {
    let database = &finding.database_id;
    let migration = finding.migration_id.as_deref().unwrap_or("a migration");
    match (finding.kind, finding.is_rollback) {
        (FindingKind::Drift, _) => format!("drift on {database}"),
        (FindingKind::Failed, false) => format!("{migration} failed on {database}"),
        (FindingKind::Failed, true) => format!("rolling back {migration} failed on {database}"),
        (FindingKind::HalfApplied, false) => format!("{migration} is half applied on {database}"),
        (FindingKind::HalfApplied, true) => {
            format!("{migration} is half rolled back on {database}")
        }
        (FindingKind::Interrupted, false) => format!("{migration} was interrupted on {database}"),
        (FindingKind::Interrupted, true) => {
            format!("rolling back {migration} was interrupted on {database}")
        }
    }
}

fn lines(finding: &Finding) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some([added, removed, changed]) = finding.changes {
        let total = added + removed + changed;
        if total == 0 {
            lines.push("The schema differs; the changes could not be listed.".to_owned());
        } else {
            lines.push(format!(
                "Objects added: {added}, removed: {removed}, changed: {changed}"
            ));
        }
        let named = finding.names.len();
        if named > 0 {
            let more = match usize::try_from(total).unwrap_or(usize::MAX) {
                total if total > named => format!(", and {} more", total - named),
                _ => String::new(),
            };
            let names: Vec<String> = finding.names.iter().map(|name| clipped(name, 60)).collect();
            lines.push(format!("{}{more}", names.join(", ")));
        }
    }
    match finding.error {
        Some((number, Some(line))) => lines.push(format!("Error {number} in line {line}")),
        Some((number, None)) => lines.push(format!("Error {number}")),
        None => {}
    }
    lines.push(what_to_do(finding));
    let run = match &finding.run_id {
        Some(run) => format!(", run {run}"),
        None => String::new(),
    };
    lines.push(format!(
        "By {}, at {}{run}",
        clipped(&finding.executor, 100),
        finding.at
    ));
    lines
}

fn what_to_do(finding: &Finding) -> String {
    let database = &finding.database_id;
    match finding.kind {
        FindingKind::Drift => format!("GET drift?databaseId={database} shows what differs."),
        FindingKind::Failed => match &finding.run_id {
            Some(run) => format!("GET runs/{run} has the server's words."),
            None => "GET history has the server's words.".to_owned(),
        },
        FindingKind::HalfApplied => {
            "A person must look and say what is true: POST integrity/verify with resolve."
                .to_owned()
        }
        FindingKind::Interrupted => {
            "The next run goes on; one that was adopted has done so already.".to_owned()
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

fn one_line(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clipped(&text, MAX_LINE)
}

fn clipped(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::tests::{drift, failed};
    use super::*;

    fn text_of(finding: Finding) -> String {
        let messages = messages(vec![finding], 0);
        assert_eq!(messages.len(), 1);
        messages[0].text()
    }

    #[test]
    fn a_failure_says_what_where_and_what_to_do() {
        assert_eq!(
            text_of(failed()),
            "dbvc prod: V101__add_user_preferences failed on shop\n\
             Error 2627 in line 14\n\
             GET runs/r1 has the server's words.\n\
             By developer@lpa.com, at 2025-11-27T14:30:00.000Z, run r1"
        );
        let undone = Finding {
            is_rollback: true,
            kind: FindingKind::HalfApplied,
            error: None,
            ..failed()
        };
        assert!(text_of(undone).starts_with(
            "dbvc prod: V101__add_user_preferences is half rolled back on shop\nA person must look"
        ));
    }

    #[test]
    fn drift_names_the_first_objects_and_counts_all() {
        let names: Vec<String> = (1..=15).map(|n| format!("table dbo.t{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let text = text_of(drift(&names));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "dbvc prod: drift on shop");
        assert_eq!(lines[1], "Objects added: 0, removed: 0, changed: 15");
        assert!(lines[2].starts_with("table dbo.t1, ") && lines[2].ends_with(", and 5 more"));
        assert_eq!(lines[3], "GET drift?databaseId=shop shows what differs.");
    }

    #[test]
    fn a_name_makes_no_line_of_its_own_and_no_message_without_end() {
        let long = "x".repeat(5000);
        let text = text_of(drift(&["table a\nb\u{7}c", &long]));
        assert_eq!(text.lines().count(), 5);
        assert!(text.contains("table a b c"));
        assert!(text.chars().count() < 2000);
    }

    #[test]
    fn a_few_findings_are_told_one_by_one_and_many_in_one_message() {
        assert_eq!(messages(vec![failed(); 3], 0).len(), 3);
        let many = messages(vec![failed(); 12], 0);
        assert_eq!(many.len(), 1);
        assert_eq!(many[0].findings.len(), 12);
        let text = many[0].text();
        assert!(text.starts_with("dbvc prod: 12 findings on 1 database\n- V101"));
        assert!(text.contains("\n- and 2 more\n"));
    }

    #[test]
    fn what_came_too_late_is_at_least_counted() {
        let text = messages(vec![failed()], 4)[0].text();
        assert!(text.contains("\n4 more happened over a day ago"), "{text}");
        assert_eq!(messages(Vec::new(), 4), []);
    }
}
