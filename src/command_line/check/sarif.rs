//! What `dbvc check` says about files, in the format that code scanners share.
//!
//! Static Analysis Results Interchange Format 2.1.0,
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html>.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::report::{FileReport, Report};
use super::uri;
use crate::script::{Finding, RULES, Rule, Scope, Severity};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json";

/// How many bytes of a hash tell one line of a file from the others.
const FINGERPRINT_BYTES: usize = 8;

/// Writes one run, with all rules and a result for each finding, those that are allowed included.
pub(super) fn write(report: &Report, output: &mut impl Write) -> io::Result<()> {
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "dbvc",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": RULES.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": report.files.iter().flat_map(results).collect::<Vec<_>>(),
        }],
    });
    serde_json::to_writer_pretty(&mut *output, &log)?;
    writeln!(output)
}

fn descriptor(rule: &Rule) -> Value {
    json!({
        "id": rule.code,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.reason},
        "help": {
            "text": format!("{} {}", rule.reason, rule.remedy),
            "markdown": format!("{} **{}** ({})", rule.reason, rule.remedy, rule.section()),
        },
        "defaultConfiguration": {"level": level(rule.severity)},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The results of a file. When one of them is suppressed, the others must say that they are not (3.27.23).
fn results(file: &FileReport) -> Vec<Value> {
    let mut fingerprints = Fingerprints {
        file,
        seen: HashMap::new(),
    };
    let found = file
        .findings
        .iter()
        .map(|finding| (finding, json!([])))
        .collect::<Vec<_>>();
    let allowed = file.allowed.iter().map(|allowed| {
        let suppression = json!([{"kind": "inSource", "justification": allowed.reason}]);
        (&allowed.finding, suppression)
    });
    let mut all: Vec<_> = found.into_iter().chain(allowed).collect();
    all.sort_by_key(|(finding, _)| (finding.line, finding.column));
    all.into_iter()
        .map(|(finding, suppressions)| {
            let mut result = result(file, finding, fingerprints.next(finding));
            result["suppressions"] = suppressions;
            result
        })
        .collect()
}

fn result(file: &FileReport, finding: &Finding, fingerprint: String) -> Value {
    let text = match &finding.suggestion {
        Some(suggestion) => format!("{} [{suggestion}]", finding.message),
        None => finding.message.clone(),
    };
    json!({
        "ruleId": finding.code,
        "ruleIndex": RULES.iter().position(|rule| rule.code == finding.code),
        "level": level(finding.severity),
        "message": {"text": text},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri::of_path(&file.path)},
            "region": {"startLine": finding.line, "startColumn": finding.column},
        }}],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint},
    })
}

/// What tells the findings of a file apart when its lines move: the rule, the text of the line, and how many such there were
/// before. The name is the only one that GitHub looks at ("SARIF support for code scanning").
struct Fingerprints<'a> {
    file: &'a FileReport,
    seen: HashMap<String, usize>,
}

impl Fingerprints<'_> {
    fn next(&mut self, finding: &Finding) -> String {
        let is_of_file = RULES
            .iter()
            .any(|rule| rule.code == finding.code && rule.scope == Scope::File);
        let line = match self.file.lines.get(&finding.line) {
            Some(line) if !is_of_file => line.trim(),
            _ => "",
        };
        let digest = Sha256::digest(format!("{}\n{line}", finding.code).as_bytes());
        let digest = digest.iter().take(FINGERPRINT_BYTES);
        let hash: String = digest.map(|byte| format!("{byte:02x}")).collect();
        let seen = self.seen.entry(hash.clone()).or_default();
        *seen += 1;
        format!("{hash}:{seen}")
    }
}
