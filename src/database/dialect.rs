//! What the registry's statements cannot say in one way for every engine.
//!
//! A statement is written once, in the subset that SQL Server and SQLite share, with parameters `@P1`, `@P2`, … and at
//! most these placeholders:
//!
//! | placeholder | meaning |
//! |---|---|
//! | `{now}` | the moment by the server's clock |
//! | `{now+@P3}` | the moment `@P3` seconds later, by the server's clock; a number may stand in its place |
//! | `{page @P2}` | at the end of an ordered SELECT: the first `@P2` rows only |
//! | `{hold}` | after a table's name: lock the rows read, or the place where they would be, until the transaction ends |
//! | `{own}` | before the name of one of dbvc's own tables: its schema and a dot, so that no other table of that name is found |
//! | `{own schema}` | the name of that schema, as a string |
//! | `{session}` | the server's number of the connection, NULL where there is no server |

use std::borrow::Cow;

use super::RegistrySchema;

/// The SQL that an engine speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect<'a> {
    /// SQL Server and Azure SQL Database, with dbvc's own tables in this schema.
    TransactSql(&'a RegistrySchema),
    /// SQLite.
    Sqlite,
}

impl Dialect<'_> {
    /// The statement with its placeholders filled in for this dialect.
    pub fn render(self, template: &'static str) -> Cow<'static, str> {
        if !template.contains('{') {
            return Cow::Borrowed(template);
        }
        let mut rendered = String::with_capacity(template.len() + 64);
        let mut rest = template;
        while let Some(start) = rest.find('{') {
            rendered.push_str(&rest[..start]);
            let Some(length) = rest[start..].find('}') else {
                break;
            };
            rendered.push_str(&self.placeholder(&rest[start + 1..start + length]));
            rest = &rest[start + length + 1..];
        }
        rendered.push_str(rest);
        Cow::Owned(rendered)
    }

    fn placeholder(self, name: &str) -> Cow<'static, str> {
        if name == "own" {
            return match self {
                Self::TransactSql(schema) => format!("[{schema}].").into(),
                Self::Sqlite => "main.".into(),
            };
        }
        if name == "own schema" {
            return match self {
                Self::TransactSql(schema) => format!("N'{schema}'").into(),
                Self::Sqlite => "'main'".into(),
            };
        }
        if name == "now" {
            return match self {
                Self::TransactSql(_) => "CAST(SYSUTCDATETIME() AS DATETIMEOFFSET(3))".into(),
                Self::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')".into(),
            };
        }
        if name == "hold" {
            return match self {
                Self::TransactSql(_) => "WITH (UPDLOCK, HOLDLOCK)".into(),
                // The write transaction that dbvc opens holds the whole file.
                Self::Sqlite => "".into(),
            };
        }
        if name == "session" {
            return match self {
                Self::TransactSql(_) => "CAST(@@SPID AS NVARCHAR(60))".into(),
                Self::Sqlite => "NULL".into(),
            };
        }
        if let Some(seconds) = name.strip_prefix("now+") {
            return match self {
                Self::TransactSql(_) => format!(
                    "DATEADD(SECOND, {seconds}, CAST(SYSUTCDATETIME() AS DATETIMEOFFSET(3)))"
                )
                .into(),
                Self::Sqlite => {
                    format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', {seconds} || ' seconds')").into()
                }
            };
        }
        if let Some(rows) = name.strip_prefix("page ") {
            return match self {
                Self::TransactSql(_) => format!("OFFSET 0 ROWS FETCH NEXT {rows} ROWS ONLY").into(),
                Self::Sqlite => format!("LIMIT {rows}").into(),
            };
        }
        // A placeholder nobody knows stays as it stands and is refused by the engine; a test renders every statement.
        format!("{{{name}}}").into()
    }
}

/// A registry statement: its text as written in the sources.
#[derive(Debug, Clone, Copy)]
pub struct Sql(pub &'static str);

impl Sql {
    /// The statement with its parameters, in the order of `@P1`, `@P2`, ….
    pub fn bind<const N: usize>(self, parameters: [super::Value; N]) -> Statement {
        Statement {
            template: self.0,
            parameters: parameters.into(),
        }
    }
}

/// A registry statement with its parameters, ready to be sent.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text with its placeholders.
    pub template: &'static str,
    /// The values of `@P1`, `@P2`, ….
    pub parameters: Vec<super::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_the_servers_clock_and_a_page() {
        let template =
            "SELECT a FROM t {hold} WHERE x < {now} AND y > {now+@P2} ORDER BY a {page @P1}";
        assert_eq!(
            Dialect::Sqlite.render(template),
            "SELECT a FROM t  WHERE x < strftime('%Y-%m-%dT%H:%M:%fZ', 'now') \
             AND y > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', @P2 || ' seconds') ORDER BY a LIMIT @P1"
        );
        assert_eq!(
            Dialect::TransactSql(&RegistrySchema::default()).render(template),
            "SELECT a FROM t WITH (UPDLOCK, HOLDLOCK) WHERE x < CAST(SYSUTCDATETIME() AS DATETIMEOFFSET(3)) \
             AND y > DATEADD(SECOND, @P2, CAST(SYSUTCDATETIME() AS DATETIMEOFFSET(3))) \
             ORDER BY a OFFSET 0 ROWS FETCH NEXT @P1 ROWS ONLY"
        );
    }

    #[test]
    fn qualifies_own_tables() {
        let template = "SELECT a FROM {own}t WHERE b = {own schema}";
        let schema = RegistrySchema::parse("dbvc").unwrap();
        assert_eq!(
            Dialect::TransactSql(&schema).render(template),
            "SELECT a FROM [dbvc].t WHERE b = N'dbvc'"
        );
        assert_eq!(
            Dialect::Sqlite.render(template),
            "SELECT a FROM main.t WHERE b = 'main'"
        );
    }
}
