//! A script that makes one schema of another, proposed for people to read before it runs.
//!
//! Only what [`diff`](super::diff()) finds is touched: both pair objects off by the same facts. The two schemas are a snapshot
//! and a later state; `adopt` goes from the one to the other, `revert` goes back. Every statement asks first whether it is
//! still needed, so that a script can run where its change is there already, and run again after it failed halfway. What
//! would lose data, or may, is commented out and says why. Given the same schemas the text is the same, to the byte.

use std::collections::BTreeSet;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::diff::{ChangeKind, diff};
use super::model::{ObjectKind, Schema};
use text::Script;
use things::Differences;

mod order;
mod sqlite;
mod text;
mod things;
mod transact_sql;

/// What a script is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// A migration that records what was changed by hand.
    Adopt,
    /// The way back to the snapshot.
    Revert,
}

impl Purpose {
    /// The word for it in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adopt => "adopt",
            Self::Revert => "revert",
        }
    }
}

impl FromStr for Purpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Adopt, Self::Revert]
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
            .ok_or_else(|| "it must be adopt or revert".to_owned())
    }
}

/// The language of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQL Server 2016 with its first service pack or later, and Azure SQL Database.
    TransactSql,
    /// SQLite.
    Sqlite,
}

/// What the head of a script says of where it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// The database that it is for.
    pub database: &'a str,
    /// The older state in words, with its hash.
    pub from: &'a str,
    /// The newer state in words, with its hash.
    pub to: &'a str,
}

/// A script that somebody may want to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The script.
    pub text: String,
    /// How many steps run as it stands.
    pub statements: usize,
    /// How many steps are commented out, each with the reason.
    pub commented_out: usize,
    /// What it cannot do, or what should be looked at; the script says the same where it matters.
    pub notes: Vec<String>,
}

/// The script that adopts the difference between two schemas, or takes it back.
pub fn proposal(
    from: &Schema,
    to: &Schema,
    dialect: Dialect,
    purpose: Purpose,
    compared: Compared<'_>,
) -> Proposal {
    let (before, after) = match purpose {
        Purpose::Adopt => (from, to),
        Purpose::Revert => (to, from),
    };
    let mut script = Script::default();
    suggest_renames(&mut script, before, after);
    let differences = Differences::between(before, after);
    match dialect {
        Dialect::TransactSql => transact_sql::write(&mut script, before, after, &differences),
        Dialect::Sqlite => sqlite::write(&mut script, before, after, &differences),
    }
    script.finish(&head(dialect, purpose, compared), dialect)
}

fn head(dialect: Dialect, purpose: Purpose, compared: Compared<'_>) -> Vec<String> {
    let Compared { database, from, to } = compared;
    let mut lines = vec![
        format!(
            "{} for database {database}, proposed by dbvc. Read it before you run it.",
            match purpose {
                Purpose::Adopt => "A migration that records what was changed by hand",
                Purpose::Revert => "The way back from what was changed by hand",
            }
        ),
        format!("From: {from}"),
        format!("To:   {to}"),
    ];
    lines.push(match purpose {
        Purpose::Adopt => {
            "Register it as the up script of a migration. Where its changes are there already it changes nothing.".to_owned()
        }
        Purpose::Revert => {
            "It goes from the second state back to the first. Run it by hand; dbvc then finds no drift.".to_owned()
        }
    });
    if dialect == Dialect::TransactSql {
        lines.push("Needs SQL Server 2016 SP1 or later, or Azure SQL Database.".to_owned());
    }
    lines
}

/// Names each pair that may be one renamed object; the script treats the two as what the schemas say, one gone and one new.
fn suggest_renames(script: &mut Script, before: &Schema, after: &Schema) {
    let mut told = BTreeSet::new();
    for change in diff(before, after) {
        let of_columns = change.details.iter().filter(|detail| detail.to.is_none());
        for (column, new) in of_columns.filter_map(|detail| {
            let column = detail.property.strip_prefix("column ")?;
            Some((column, detail.possible_rename.as_ref()?))
        }) {
            told.insert(format!("column {column} of {} to {new}", change.name));
        }
        let alone = !matches!(
            change.kind,
            ObjectKind::PrimaryKey
                | ObjectKind::Unique
                | ObjectKind::ForeignKey
                | ObjectKind::Check
                | ObjectKind::Permission
                | ObjectKind::ExtendedProperty
        );
        if let (ChangeKind::Removed, true, Some(new)) =
            (change.change, alone, change.possible_rename)
        {
            told.insert(format!("{} {} to {new}", change.kind.as_str(), change.name));
        }
    }
    for pair in told {
        script.note(format!(
            "Perhaps somebody renamed {pair}. If so, rename it here too (sp_rename on SQL Server, ALTER TABLE … RENAME on \
             SQLite) instead of what this script does to the two."
        ));
    }
}

#[cfg(test)]
mod tests;
