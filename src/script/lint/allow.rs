//! Findings that a comment of the script allows: `-- dbvc: allow=CODE reason`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::reading::Extent;
use super::rules::{RULES, narrowed_type};
use super::{Rule, Scope};
use crate::script::directive::{AllowComment, allow_comments};
use crate::script::finding::{Finding, Severity};
use crate::script::syntax::Syntax;

/// See `docs/rules.md`.
pub(super) const BAD_ALLOW: Rule = Rule {
    code: "bad-allow",
    severity: Severity::Warning,
    scope: Scope::Place,
    title: "A comment that allows a finding is wrong",
    reason: "It allows nothing, although its author thinks so.",
    remedy: "Write -- dbvc: allow=CODE and behind it the reason, with a code that is no error.",
};

/// See `docs/rules.md`.
pub(super) const UNUSED_ALLOW: Rule = Rule {
    code: "unused-allow",
    severity: Severity::Note,
    scope: Scope::Place,
    title: "A comment allows what is not there",
    reason: "It would silence the next one who makes that mistake there.",
    remedy: "Remove it, or move it to the line of the finding or the line above its statement.",
};

/// What is known of a file beside its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AboutFile {
    /// What was found about it.
    pub findings: Vec<Finding>,
    /// What else is known.
    pub neighbours: Neighbours,
}

/// What is known of the other files of a folder. A comment that allows a finding which only they can give rise to is not
/// called unused as long as they are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// Nothing.
    Unknown,
    /// Their names.
    Names,
    /// Their names, and what the scripts before this one do.
    Scripts,
}

impl Neighbours {
    /// Whether all that a rule looks at is known.
    fn suffice_for(self, rule: &Rule) -> bool {
        let of_earlier_scripts = rule.code == narrowed_type::RULE.code;
        match self {
            Self::Unknown => rule.scope != Scope::File && !of_earlier_scripts,
            Self::Names => !of_earlier_scripts,
            Self::Scripts => true,
        }
    }
}

/// What a check says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What was found, in the order of the places.
    pub findings: Vec<Finding>,
    /// What was found and is allowed, in the order of the places.
    pub allowed: Vec<AllowedFinding>,
}

/// A finding that a comment of the script allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AllowedFinding {
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// Why it is allowed, in the words of the author.
    pub reason: String,
}

/// Takes out the findings, which are in the order of their places, that comments allow, and adds what is wrong with those
/// comments. Each allows one finding: that of the whole file or script, when it stands before the first statement; else the
/// first one of its line, or of the statement that it stands in or before. Without statements the script could not be split, and
/// what a comment was meant for cannot be told.
pub(super) fn settle(
    text: &str,
    syntax: Syntax,
    findings: Vec<Finding>,
    neighbours: Neighbours,
    statements: Option<&Vec<Extent>>,
) -> Checked {
    let mut by_code = ByCode::of(findings);
    let mut allowed = Vec::new();
    let mut wrong = Vec::new();
    for comment in allow_comments(text, syntax) {
        let (rule, reason) = match parse(comment.rest) {
            Ok(allow) => allow,
            Err(message) => {
                wrong.push(BAD_ALLOW.finding(message, comment.place));
                continue;
            }
        };
        match by_code.take(&comment, rule, statements) {
            Some((index, finding)) => {
                let reason = reason.to_owned();
                allowed.push((index, AllowedFinding { finding, reason }));
            }
            None if statements.is_none() || !neighbours.suffice_for(rule) => {}
            None => {
                let hint = match rule.scope {
                    Scope::File if !comment.is_in_head => {
                        ", since that is allowed before the first statement only"
                    }
                    _ => "",
                };
                let message = format!(
                    "there is no {} to allow here{hint}: remove or move the comment",
                    rule.code
                );
                wrong.push(UNUSED_ALLOW.finding(message, comment.place));
            }
        }
    }
    // Those of one place stay in the order in which they were found.
    allowed.sort_by_key(|(index, _)| *index);
    let allowed = allowed.into_iter().map(|(_, allowed)| allowed).collect();
    let mut findings: Vec<_> = by_code.0.into_values().flatten().collect();
    findings.sort_by_key(|(index, _)| *index);
    let findings = findings.into_iter().map(|(_, finding)| finding);
    let mut findings: Vec<_> = findings.chain(wrong).collect();
    findings.sort_by_key(|finding| (finding.line, finding.column));
    Checked { findings, allowed }
}

/// The rule and the reason that a comment names.
fn parse(rest: &str) -> Result<(&'static Rule, &str), String> {
    const FORM: &str = "write -- dbvc: allow=CODE and behind it the reason";
    let named = rest.trim_start().strip_prefix('=').map(str::trim);
    let named = named.filter(|named| !named.is_empty());
    let named = named.ok_or_else(|| format!("no code is named: {FORM}"))?;
    let (code, reason) = named.split_once(char::is_whitespace).unwrap_or((named, ""));
    let rule = RULES.iter().find(|rule| rule.code == code).ok_or_else(|| {
        let code: String = code.chars().take(80).collect();
        format!("dbvc has no rule '{code}': take the code from the finding")
    })?;
    if rule.severity == Severity::Error {
        return Err(format!(
            "{code} is an error, which cannot be allowed: correct it"
        ));
    }
    if reason.trim().is_empty() {
        return Err(format!("no reason is given: {FORM}"));
    }
    Ok((rule, reason.trim()))
}

/// Findings with their numbers by their codes, those of each in the order of their places.
struct ByCode(BTreeMap<&'static str, Vec<(usize, Finding)>>);

impl ByCode {
    fn of(findings: Vec<Finding>) -> Self {
        let mut by_code: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, finding) in findings.into_iter().enumerate() {
            let of_code = by_code.entry(finding.code).or_default();
            of_code.push((index, finding));
        }
        Self(by_code)
    }

    /// Takes out the finding that a comment allows.
    fn take(
        &mut self,
        comment: &AllowComment<'_>,
        rule: &Rule,
        statements: Option<&Vec<Extent>>,
    ) -> Option<(usize, Finding)> {
        let findings = self.0.get_mut(rule.code)?;
        let index = match rule.scope {
            Scope::File | Scope::Script if comment.is_in_head => 0,
            Scope::File => return None,
            Scope::Script | Scope::Place => {
                let line = comment.place.0;
                let on_line = ((line, 0), (line, u32::MAX));
                first_within(findings, on_line)
                    .or_else(|| first_within(findings, reach(comment, statements?)))?
            }
        };
        (index < findings.len()).then(|| findings.remove(index))
    }
}

fn first_within(findings: &[(usize, Finding)], (from, to): Extent) -> Option<usize> {
    let place = |(_, finding): &(usize, Finding)| (finding.line, finding.column);
    let index = findings.partition_point(|finding| place(finding) < from);
    findings
        .get(index)
        .is_some_and(|finding| place(finding) <= to)
        .then_some(index)
}

/// From where to where a comment reaches beyond its line: behind code over the statement that stands there, else to the end of
/// the statement that it stands in or before.
fn reach(comment: &AllowComment<'_>, statements: &[Extent]) -> Extent {
    let next = statements.partition_point(|(begin, _)| *begin < comment.place);
    let before = next.checked_sub(1).map(|index| statements[index]);
    if comment.is_behind_code {
        return (
            before.map_or(comment.place, |(begin, _)| begin),
            comment.place,
        );
    }
    let end = match before {
        Some((_, end)) if comment.place < end => Some(end),
        // Up to where the one behind it begins: what is behind the beginning of the last part counts too.
        _ => statements
            .get(next + 1)
            .map(|(begin, _)| *begin)
            .map(just_before),
    };
    (comment.place, end.unwrap_or((u32::MAX, u32::MAX)))
}

fn just_before((line, column): (u32, u32)) -> (u32, u32) {
    match column.checked_sub(1) {
        Some(0) | None => (line.saturating_sub(1), u32::MAX),
        Some(before) => (line, before),
    }
}
