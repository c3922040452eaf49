//! The queries that read a schema: a fixed number, sent together.
//!
//! They ask catalog views that SQL Server has had since 2016 and Azure SQL Database has too, and no function: those do not keep
//! to a transaction's state of the database. Left out is what the server brought along (`is_ms_shipped`), and the schemas that
//! are the server's own. Views are joined only where the rows would be many more without, since what belongs together is found
//! again by its ids, at a cost that no server's plan can change.

use super::super::session::ResultSet;
use crate::schema::Part;

/// Without these there is no schema.
const CORE: [&str; 8] = [
    // As text, since the protocol has a type of its own for the answer.
    "SELECT CAST(DATABASEPROPERTYEX(DB_NAME(), 'Collation') AS NVARCHAR(128)) AS collation_name;\n",
    // Azure SQL Database shows views of its own in `sys`.
    "SELECT o.object_id, s.name AS schema_name, o.name, RTRIM(o.type) AS kind, o.type_desc, o.parent_object_id, t.is_disabled
    FROM sys.objects o
    JOIN sys.schemas s ON s.schema_id = o.schema_id
    LEFT JOIN sys.triggers t ON t.object_id = o.object_id
    WHERE o.is_ms_shipped = 0 AND s.name NOT IN (N'sys', N'INFORMATION_SCHEMA');\n",
    "SELECT m.object_id, m.definition, m.uses_ansi_nulls, m.uses_quoted_identifier FROM sys.sql_modules m;\n",
    "SELECT c.object_id, c.column_id, c.name, t.name AS type_name, t.is_user_defined, s.name AS type_schema,
        c.max_length, c.precision, c.scale, c.collation_name, c.is_nullable, c.is_identity, c.is_hidden, c.is_sparse,
        c.is_rowguidcol,
        CASE WHEN c.generated_always_type <> 0 THEN c.generated_always_type_desc END AS generated_always,
        CASE WHEN d.object_id IS NOT NULL THEN COALESCE(d.definition, N'') END AS default_definition,
        CASE WHEN c.is_computed = 1 THEN COALESCE(g.definition, N'') END AS computed_definition, g.is_persisted
    FROM sys.columns c
    JOIN (SELECT object_id FROM sys.objects WHERE is_ms_shipped = 0 AND type IN ('U', 'V')
        UNION ALL SELECT type_table_object_id FROM sys.table_types) o ON o.object_id = c.object_id
    LEFT JOIN sys.types t ON t.user_type_id = c.user_type_id
    LEFT JOIN sys.schemas s ON s.schema_id = t.schema_id
    LEFT JOIN sys.default_constraints d ON d.parent_object_id = c.object_id AND d.parent_column_id = c.column_id
    LEFT JOIN sys.computed_columns g ON g.object_id = c.object_id AND g.column_id = c.column_id
    ORDER BY c.object_id, c.column_id;\n",
    "SELECT i.object_id, i.index_id, i.name, i.type_desc, i.is_unique, i.is_primary_key, i.is_unique_constraint,
        i.is_disabled, i.ignore_dup_key, i.filter_definition, k.is_system_named
    FROM sys.indexes i
    JOIN (SELECT object_id FROM sys.objects WHERE is_ms_shipped = 0 AND type IN ('U', 'V')
        UNION ALL SELECT type_table_object_id FROM sys.table_types) o ON o.object_id = i.object_id
    LEFT JOIN sys.key_constraints k ON k.parent_object_id = i.object_id AND k.unique_index_id = i.index_id
    WHERE i.type <> 0 AND i.is_hypothetical = 0;\n",
    "SELECT m.object_id, m.index_id, m.column_id, m.key_ordinal, m.is_descending_key, m.is_included_column
    FROM sys.index_columns m
    ORDER BY m.object_id, m.index_id, m.key_ordinal, m.index_column_id;\n",
    "SELECT k.object_id, k.parent_object_id, k.name, k.is_system_named, k.is_disabled, k.is_not_trusted,
        k.referenced_object_id, k.delete_referential_action_desc, k.update_referential_action_desc, m.parent_column_id,
        m.referenced_column_id
    FROM sys.foreign_keys k
    JOIN sys.foreign_key_columns m ON m.constraint_object_id = k.object_id
    WHERE k.is_ms_shipped = 0
    ORDER BY k.object_id, m.constraint_column_id;\n",
    "SELECT c.parent_object_id, c.name, c.is_system_named, c.is_disabled, c.is_not_trusted, c.definition
    FROM sys.check_constraints c
    WHERE c.is_ms_shipped = 0;\n",
];

/// A part that a server may lack the view for.
pub(super) struct PartQuery {
    pub part: Part,
    /// The view of `sys` that it needs.
    pub view: &'static str,
    query: &'static str,
}

pub(super) const PARTS: [PartQuery; 12] = [
    PartQuery {
        part: Part::Schemas,
        view: "schemas",
        query: "SELECT s.schema_id, s.name, p.name AS owner
    FROM sys.schemas s LEFT JOIN sys.database_principals p ON p.principal_id = s.principal_id",
    },
    PartQuery {
        part: Part::Types,
        view: "types",
        query: "SELECT t.user_type_id, s.name AS schema_name, t.name, b.name AS type_name, t.max_length, t.precision, t.scale,
        t.is_nullable, t.is_assembly_type, v.type_table_object_id
    FROM sys.types t
    JOIN sys.schemas s ON s.schema_id = t.schema_id
    LEFT JOIN sys.types b ON b.user_type_id = t.system_type_id
    LEFT JOIN sys.table_types v ON v.user_type_id = t.user_type_id
    WHERE t.is_user_defined = 1",
    },
    PartQuery {
        part: Part::Sequences,
        view: "sequences",
        query: "SELECT q.object_id, t.name AS type_name, t.is_user_defined, s.name AS type_schema, t.max_length, q.precision,
        q.scale, CAST(q.start_value AS NVARCHAR(60)) AS start_value, CAST(q.increment AS NVARCHAR(60)) AS increment,
        CAST(q.minimum_value AS NVARCHAR(60)) AS minimum_value, CAST(q.maximum_value AS NVARCHAR(60)) AS maximum_value,
        q.is_cycling, q.is_cached, CAST(q.cache_size AS BIGINT) AS cache_size
    FROM sys.sequences q
    LEFT JOIN sys.types t ON t.user_type_id = q.user_type_id
    LEFT JOIN sys.schemas s ON s.schema_id = t.schema_id
    WHERE q.is_ms_shipped = 0",
    },
    PartQuery {
        part: Part::Synonyms,
        view: "synonyms",
        query: "SELECT y.object_id, y.base_object_name FROM sys.synonyms y WHERE y.is_ms_shipped = 0",
    },
    PartQuery {
        part: Part::Roles,
        view: "database_principals",
        query: "SELECT r.name, o.name AS owner
    FROM sys.database_principals r LEFT JOIN sys.database_principals o ON o.principal_id = r.owning_principal_id
    WHERE r.type = 'R' AND r.is_fixed_role = 0 AND r.name <> N'public'",
    },
    PartQuery {
        part: Part::Roles,
        view: "database_role_members",
        // Everybody's database has `dbo` among its owners.
        query: "SELECT r.name AS role_name, r.is_fixed_role, m.name AS member_name
    FROM sys.database_role_members b
    JOIN sys.database_principals r ON r.principal_id = b.role_principal_id
    JOIN sys.database_principals m ON m.principal_id = b.member_principal_id
    WHERE m.name <> N'dbo'",
    },
    PartQuery {
        part: Part::Permissions,
        view: "database_permissions",
        // CONNECT comes with every user, and what everybody may know of column keys with every database.
        query: "SELECT d.class, d.major_id, d.minor_id, d.permission_name, d.state_desc, g.name AS grantee
    FROM sys.database_permissions d
    JOIN sys.database_principals g ON g.principal_id = d.grantee_principal_id
    WHERE d.class IN (0, 1, 3, 6)
        AND NOT (d.class = 0 AND d.permission_name = N'CONNECT' AND d.state_desc = N'GRANT')
        AND NOT (d.class = 0 AND g.name = N'public' AND d.permission_name LIKE N'VIEW ANY COLUMN % KEY DEFINITION')",
    },
    PartQuery {
        part: Part::ExtendedProperties,
        view: "extended_properties",
        // Designers keep their drawings of views there.
        query: "SELECT e.class, e.major_id, e.minor_id, e.name, CAST(e.value AS NVARCHAR(4000)) AS value
    FROM sys.extended_properties e
    WHERE e.class IN (0, 1, 2, 3, 6, 7) AND e.name NOT LIKE N'MS[_]DiagramPane%'
        AND e.name <> N'microsoft_database_tools_support'",
    },
    PartQuery {
        part: Part::Identities,
        view: "identity_columns",
        query: "SELECT i.object_id, i.column_id, CAST(i.seed_value AS NVARCHAR(60)) AS seed_value,
        CAST(i.increment_value AS NVARCHAR(60)) AS increment_value
    FROM sys.identity_columns i",
    },
    PartQuery {
        part: Part::Masks,
        view: "masked_columns",
        query: "SELECT m.object_id, m.column_id, m.masking_function FROM sys.masked_columns m WHERE m.is_masked = 1",
    },
    PartQuery {
        part: Part::Storage,
        view: "tables",
        query: "SELECT t.object_id, t.temporal_type, t.history_table_id, t.is_memory_optimized, t.durability_desc
    FROM sys.tables t
    WHERE t.temporal_type <> 0 OR t.is_memory_optimized = 1",
    },
    PartQuery {
        part: Part::DatabaseTriggers,
        view: "triggers",
        query: "SELECT t.object_id, t.name, t.is_disabled FROM sys.triggers t WHERE t.parent_class = 0 AND t.is_ms_shipped = 0",
    },
];

impl PartQuery {
    /// Answers whatever the server has: without the view, that the view is missing.
    fn text(&self) -> String {
        let Self { view, query, .. } = self;
        format!(
            "IF EXISTS (SELECT 1 FROM sys.all_views WHERE name = N'{view}') {query} \
             ELSE SELECT N'sys.{view}' AS missing_view;\n"
        )
    }
}

/// All of them, in the order of [`Answers`].
pub(super) fn text() -> String {
    let parts: String = PARTS.iter().map(PartQuery::text).collect();
    CORE.concat() + &parts
}

/// What the server answered, one result set a query.
pub(super) struct Answers {
    pub core: [ResultSet; CORE.len()],
    pub parts: [ResultSet; PARTS.len()],
}

impl Answers {
    pub fn of(mut sets: Vec<ResultSet>) -> Result<Self, String> {
        let (answers, queries) = (sets.len(), CORE.len() + PARTS.len());
        let wrong = || format!("{answers} answers came to {queries} queries");
        if answers != queries {
            return Err(wrong());
        }
        let parts = sets.split_off(CORE.len());
        Ok(Self {
            core: sets.try_into().map_err(|_| wrong())?,
            parts: parts.try_into().map_err(|_| wrong())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each() -> Vec<String> {
        let core = CORE.iter().map(|query| (*query).to_owned());
        core.chain(PARTS.iter().map(PartQuery::text)).collect()
    }

    #[test]
    fn each_query_is_one_statement_of_t_sql() {
        for query in each() {
            let dialect = sqlparser::dialect::MsSqlDialect {};
            let parsed = sqlparser::parser::Parser::parse_sql(&dialect, &query);
            let statements = parsed.unwrap_or_else(|error| panic!("{error}: {query}"));
            assert_eq!(statements.len(), 1, "{query}");
        }
    }

    #[test]
    fn no_query_asks_a_function_that_does_not_keep_to_the_state_of_the_transaction() {
        for query in each() {
            for function in [
                "OBJECT_ID(",
                "OBJECT_NAME",
                "OBJECTPROPERTY",
                "SCHEMA_ID(",
                "SCHEMA_NAME(",
                "TYPE_NAME(",
                "COL_NAME",
                "INDEX_COL",
                "USER_NAME(",
            ] {
                assert!(!query.contains(function), "{function}: {query}");
            }
        }
    }

    #[test]
    fn each_part_asks_the_view_that_it_names() {
        for part in &PARTS {
            assert!(
                part.query.contains(&format!("sys.{}", part.view)),
                "{}",
                part.view
            );
        }
    }
}
