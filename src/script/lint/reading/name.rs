//! The names of tables and other objects in a script.

use crate::script::syntax::Syntax;

/// A name as it is written, such as `dbo.users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::script::lint) struct Name<'a> {
    /// Its parts without their quotes, at least one; one may be empty, as in `master..users`.
    pub(super) parts: Vec<&'a str>,
    /// Line and column of the file.
    pub(in crate::script::lint) place: (u32, u32),
}

impl<'a> Name<'a> {
    pub(in crate::script::lint) fn last(&self) -> &'a str {
        self.parts.last().copied().unwrap_or_default()
    }

    pub(in crate::script::lint) fn has_one_part(&self) -> bool {
        self.parts.len() == 1
    }

    /// Whether it is that of a temporary table or of a table variable of T-SQL.
    pub(in crate::script::lint) fn is_temporary(&self) -> bool {
        self.last().starts_with(['#', '@'])
    }

    /// What two names of one table have in common: case and a schema that goes without saying make no difference.
    pub(super) fn key(&self, syntax: Syntax) -> String {
        let default = match syntax {
            Syntax::TransactSql => "dbo",
            Syntax::Sqlite => "main",
        };
        let schema = self.parts.len().checked_sub(2).map(|at| self.parts[at]);
        let schema = schema
            .filter(|schema| !schema.is_empty())
            .unwrap_or(default);
        format!("{}.{}", schema.to_lowercase(), self.last().to_lowercase())
    }

    /// As people write it.
    pub(in crate::script::lint) fn shown(&self) -> String {
        self.parts.join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&str], syntax: Syntax) -> String {
        let name = Name {
            parts: parts.to_vec(),
            place: (1, 1),
        };
        name.key(syntax)
    }

    #[test]
    fn case_and_a_default_schema_make_no_difference() {
        for parts in [
            &["Users"][..],
            &["dbo", "users"],
            &["x", "DBO", "USERS"],
            &["x", "", "users"],
        ] {
            assert_eq!(key(parts, Syntax::TransactSql), "dbo.users");
        }
        assert_eq!(key(&["a", "users"], Syntax::TransactSql), "a.users");
        assert_eq!(
            key(&["users"], Syntax::Sqlite),
            key(&["main", "users"], Syntax::Sqlite)
        );
    }
}
