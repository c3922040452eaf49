//! Reads the schema of a database on a server, in one request whatever the number of tables.
//!
//! The queries ask catalog views that SQL Server has had since 2016 and Azure SQL Database has too, and no function: those
//! do not keep to a transaction's state of the database. Where the catalog gives no definition, because the module is
//! encrypted or the user may not see it, the object is kept with an empty text. Left out is what the server brought along
//! (`is_ms_shipped`), and the schemas that are the server's own.

mod assembly;
mod data_type;

use std::time::Duration;

use super::super::DatabaseError;
use super::session::{Session, translate};
use crate::schema::Schema;

/// How long the server may take over all queries together. Catalogs of tens of thousands of objects take seconds.
const PATIENCE: Duration = Duration::from_secs(120);

const PHASE: &str = "reading the schema";

/// Each gives one result set; [`assembly`] takes them in this order. Views are joined only where the rows would be many more
/// without, since what belongs together is found again by its ids, at a cost that no server's plan can change.
const QUERIES: [&str; 8] = [
    // As text, since the protocol has a type of its own for the answer.
    "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS NVARCHAR(128)) AS collation_name;\n",
    // Azure SQL Database shows views of its own in `sys`.
    "SELECT o.object_id, s.name AS schema_name, o.name, RTRIM(o.type) AS kind, o.parent_object_id, t.is_disabled
    FROM sys.objects o
    JOIN sys.schemas s ON s.schema_id = o.schema_id
    LEFT JOIN sys.triggers t ON t.object_id = o.object_id
    WHERE o.is_ms_shipped = 0 AND s.name NOT IN (N'sys', N'INFORMATION_SCHEMA')
        AND o.type IN ('U', 'V', 'P', 'PC', 'FN', 'IF', 'TF', 'FS', 'FT', 'AF', 'TR', 'TA');\n",
    "SELECT m.object_id, m.definition, m.uses_ansi_nulls, m.uses_quoted_identifier FROM sys.sql_modules m;\n",
    "SELECT c.object_id, c.column_id, c.name, t.name AS type_name, t.is_user_defined, s.name AS type_schema,
        c.max_length, c.precision, c.scale, c.collation_name, c.is_nullable, c.is_identity, c.is_hidden,
        CASE WHEN d.object_id IS NOT NULL THEN COALESCE(d.definition, N'') END AS default_definition,
        CASE WHEN c.is_computed = 1 THEN COALESCE(g.definition, N'') END AS computed_definition, g.is_persisted
    FROM sys.columns c
    JOIN sys.objects o ON o.object_id = c.object_id
    LEFT JOIN sys.types t ON t.user_type_id = c.user_type_id
    LEFT JOIN sys.schemas s ON s.schema_id = t.schema_id
    LEFT JOIN sys.default_constraints d ON d.parent_object_id = c.object_id AND d.parent_column_id = c.column_id
    LEFT JOIN sys.computed_columns g ON g.object_id = c.object_id AND g.column_id = c.column_id
    WHERE o.is_ms_shipped = 0 AND o.type IN ('U', 'V')
    ORDER BY c.object_id, c.column_id;\n",
    "SELECT i.object_id, i.index_id, i.name, i.type_desc, i.is_unique, i.is_primary_key, i.is_unique_constraint,
        i.is_disabled, i.filter_definition, k.is_system_named
    FROM sys.indexes i
    JOIN sys.objects o ON o.object_id = i.object_id
    LEFT JOIN sys.key_constraints k ON k.parent_object_id = i.object_id AND k.unique_index_id = i.index_id
    WHERE o.is_ms_shipped = 0 AND o.type IN ('U', 'V') AND i.type <> 0 AND i.is_hypothetical = 0;\n",
    "SELECT m.object_id, m.index_id, m.column_id, m.key_ordinal, m.is_descending_key, m.is_included_column
    FROM sys.index_columns m
    ORDER BY m.object_id, m.index_id, m.key_ordinal, m.index_column_id;\n",
    "SELECT k.object_id, k.parent_object_id, k.name, k.is_system_named, k.is_disabled, k.referenced_object_id,
        k.delete_referential_action_desc, k.update_referential_action_desc, m.parent_column_id, m.referenced_column_id
    FROM sys.foreign_keys k
    JOIN sys.foreign_key_columns m ON m.constraint_object_id = k.object_id
    WHERE k.is_ms_shipped = 0
    ORDER BY k.object_id, m.constraint_column_id;\n",
    "SELECT c.parent_object_id, c.name, c.is_system_named, c.is_disabled, c.definition
    FROM sys.check_constraints c
    WHERE c.is_ms_shipped = 0;\n",
];

/// One state of the database for all queries, without holding anybody up.
const ONE_STATE: (&str, &str) = (
    "SET TRANSACTION ISOLATION LEVEL SNAPSHOT;\nBEGIN TRANSACTION;\n",
    "COMMIT TRANSACTION;\nSET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n",
);

/// What puts the session back when a query failed within [`ONE_STATE`].
const RESTORE: &str =
    "IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION;\nSET TRANSACTION ISOLATION LEVEL READ COMMITTED;\n";

/// The schema of the session's database, dbvc's own tables included. Objects are in canonical order.
///
/// `one_state`: in a transaction of its own that sees one state of the database. Not within another one.
///
/// # Errors
///
/// Those of the server.
pub(super) async fn read_schema(
    session: &mut Session,
    one_state: bool,
) -> Result<Schema, DatabaseError> {
    let (before, after) = if one_state { ONE_STATE } else { ("", "") };
    let text = format!("{before}{}{after}", QUERIES.concat());
    let answer = match session.language(&text, PATIENCE).await {
        Ok(answer) => answer,
        Err(error) => {
            if one_state && session.language(RESTORE, PATIENCE).await.is_err() {
                session.break_off();
            }
            return Err(translate(&error, PHASE));
        }
    };
    let answers = answer
        .try_into()
        .map_err(|answer: Vec<_>| DatabaseError::Refused {
            phase: PHASE,
            message: format!("{} answers came to {} queries", answer.len(), QUERIES.len()),
        })?;
    Ok(assembly::assemble(&answers)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reply, Tokens, client_of};
    use super::*;

    async fn session(replies: &[Tokens]) -> Session {
        let replies: Vec<Reply> = replies.iter().cloned().map(Reply::Say).collect();
        Session::of_client(client_of(&replies).await)
    }

    fn refusal() -> Tokens {
        const FAILED: u16 = 0x02;
        Tokens::default().error(1222, "a lock").done(FAILED, 0)
    }

    fn nothing() -> Tokens {
        Tokens::default().done(0, 0)
    }

    #[tokio::test]
    async fn a_session_that_is_put_back_after_an_error_goes_on() {
        let mut session = session(&[refusal(), nothing()]).await;
        let read = read_schema(&mut session, true).await;
        assert!(matches!(read, Err(DatabaseError::Busy { phase: PHASE })));
        assert!(session.is_usable());
    }

    #[tokio::test]
    async fn a_session_that_cannot_be_put_back_is_given_up() {
        let mut session = session(&[refusal(), refusal()]).await;
        let read = read_schema(&mut session, true).await;
        assert!(matches!(read, Err(DatabaseError::Busy { phase: PHASE })));
        assert!(!session.is_usable());
    }

    #[tokio::test]
    async fn within_the_callers_transaction_nothing_is_put_back() {
        let mut session = session(&[refusal(), refusal()]).await;
        let read = read_schema(&mut session, false).await;
        assert!(matches!(read, Err(DatabaseError::Busy { phase: PHASE })));
        assert!(session.is_usable());
    }

    #[tokio::test]
    async fn too_few_answers_are_no_schema() {
        let mut session = session(&[nothing()]).await;
        let error = read_schema(&mut session, false).await.unwrap_err();
        assert!(
            error.to_string().contains("0 answers came to 8 queries"),
            "{error}"
        );
    }

    #[test]
    fn each_query_is_one_statement_of_t_sql() {
        for query in QUERIES {
            let dialect = sqlparser::dialect::MsSqlDialect {};
            let parsed = sqlparser::parser::Parser::parse_sql(&dialect, query);
            let statements = parsed.unwrap_or_else(|error| panic!("{error}: {query}"));
            assert_eq!(statements.len(), 1, "{query}");
        }
    }

    #[test]
    fn no_query_asks_a_function_that_does_not_keep_to_the_state_of_the_transaction() {
        for query in QUERIES {
            for function in [
                "OBJECT_",
                "OBJECTPROPERTY",
                "SCHEMA_",
                "TYPE_",
                "COL_",
                "INDEX_",
            ] {
                assert!(!query.contains(function), "{function}: {query}");
            }
        }
    }
}
