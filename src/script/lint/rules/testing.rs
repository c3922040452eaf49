//! What the tests of rules ask for.

use super::Rule;
use crate::script::batch::split;
use crate::script::finding::{Finding, Severity};
use crate::script::lint::ScriptKind;
use crate::script::lint::{AboutFile, KnownColumns, Neighbours, check_script, check_split};
use crate::script::syntax::Syntax;

pub(super) const T_SQL: Syntax = Syntax::TransactSql;
pub(super) const SQLITE: Syntax = Syntax::Sqlite;

/// Line and column of what a rule finds in an up script.
pub(super) fn found(rule: &Rule, script: &str, syntax: Syntax) -> Vec<(u32, u32)> {
    found_in(rule, script, syntax, ScriptKind::Up)
}

/// The same, for a script of another kind.
pub(super) fn found_in(
    rule: &Rule,
    script: &str,
    syntax: Syntax,
    kind: ScriptKind,
) -> Vec<(u32, u32)> {
    places(rule, check_script(script, syntax, kind, Vec::new()))
}

/// The same in T-SQL, behind earlier scripts.
pub(super) fn found_behind(rule: &Rule, earlier: &[&str], script: &str) -> Vec<(u32, u32)> {
    let mut known = KnownColumns::default();
    let mut check = |text: &str| {
        check_split(
            text,
            T_SQL,
            ScriptKind::Up,
            about_file(),
            &split(text, T_SQL),
            &mut known,
        )
    };
    for script in earlier {
        let _ = check(script);
    }
    places(rule, check(script).findings)
}

fn about_file() -> AboutFile {
    AboutFile {
        findings: Vec::new(),
        neighbours: Neighbours::Scripts,
    }
}

/// Severity, line and column of what a rule finds in an up script.
pub(super) fn severities(rule: &Rule, script: &str, syntax: Syntax) -> Vec<(Severity, u32, u32)> {
    let findings = check_script(script, syntax, ScriptKind::Up, Vec::new());
    let own = findings.iter().filter(|finding| finding.code == rule.code);
    own.map(|finding| (finding.severity, finding.line, finding.column))
        .collect()
}

fn places(rule: &Rule, findings: Vec<Finding>) -> Vec<(u32, u32)> {
    let own = findings.iter().filter(|finding| finding.code == rule.code);
    own.map(|finding| (finding.line, finding.column)).collect()
}
