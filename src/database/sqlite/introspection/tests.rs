//! The reader against real SQLite databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::*;
use crate::schema::{Change, ChangeKind, Check, Detail, ObjectCounts, ObjectKind, diff};

fn database(sql: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

fn schema_of(sql: &str) -> Schema {
    read_schema(&database(sql)).unwrap()
}

fn table_of(sql: &str, name: &str) -> Table {
    schema_of(sql)
        .tables
        .into_iter()
        .find(|table| table.name == name)
        .unwrap()
}

/// What the diff finds after `sql` was run on a database with a little of everything.
fn changes_after(sql: &str) -> Vec<Change> {
    let connection = database(SHOP);
    let before = read_schema(&connection).unwrap();
    connection.execute_batch(sql).unwrap();
    diff(&before, &read_schema(&connection).unwrap())
}

fn found(changes: &[Change]) -> Vec<(ChangeKind, ObjectKind, &str)> {
    changes
        .iter()
        .map(|change| (change.change, change.kind, change.name.as_str()))
        .collect()
}

fn detail(property: &str, from: Option<&str>, to: Option<&str>) -> Detail {
    Detail {
        property: property.into(),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
        possible_rename: None,
    }
}

const SHOP: &str = "
    CREATE TABLE customers (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        email TEXT NOT NULL COLLATE NOCASE CONSTRAINT customers_email UNIQUE,
        name VARCHAR(100) DEFAULT 'nobody',
        since TEXT NOT NULL DEFAULT (datetime('now')),
        CONSTRAINT customers_name CHECK (length(name) > 0)
    );
    CREATE TABLE orders (
        customer_id INTEGER NOT NULL,
        number INTEGER NOT NULL CHECK (number > 0),
        net REAL,
        gross REAL GENERATED ALWAYS AS (net * 1.19) STORED,
        label TEXT AS ('no. ' || number),
        PRIMARY KEY (customer_id, number DESC),
        UNIQUE (number, net),
        CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
            ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX orders_by_net ON orders (net DESC, label COLLATE NOCASE) WHERE net IS NOT NULL;
    CREATE UNIQUE INDEX customers_by_name ON customers (lower(name), email);
    CREATE VIEW big_orders AS SELECT * FROM orders WHERE net > 1000;
    CREATE TRIGGER orders_stamp AFTER INSERT ON orders BEGIN
        UPDATE customers SET since = datetime('now') WHERE id = new.customer_id; -- seen
    END;
    CREATE TRIGGER big_orders_delete INSTEAD OF DELETE ON big_orders BEGIN
        DELETE FROM orders WHERE number = old.number;
    END;
";

#[test]
fn reads_columns_with_all_that_is_said_of_them() {
    let column = |name: &str, data_type: &str| Column {
        name: name.into(),
        data_type: data_type.into(),
        ..Column::default()
    };
    assert_eq!(
        table_of(SHOP, "customers").columns,
        vec![
            Column {
                nullable: true,
                identity: true,
                ..column("id", "INTEGER")
            },
            Column {
                collation: Some("NOCASE".into()),
                ..column("email", "TEXT")
            },
            Column {
                nullable: true,
                default: Some("'nobody'".into()),
                ..column("name", "VARCHAR(100)")
            },
            Column {
                default: Some("datetime('now')".into()),
                ..column("since", "TEXT")
            },
        ]
    );
    let generated = |expression: &str, stored| {
        Some(Generated {
            expression: expression.into(),
            stored,
        })
    };
    assert_eq!(
        table_of(SHOP, "orders").columns[2..],
        [
            Column {
                nullable: true,
                ..column("net", "REAL")
            },
            Column {
                nullable: true,
                generated: generated("net * 1.19", true),
                ..column("gross", "REAL")
            },
            Column {
                nullable: true,
                generated: generated("'no. ' || number", false),
                ..column("label", "TEXT")
            },
        ]
    );
}

#[test]
fn reads_keys_and_constraints_with_their_names() {
    let customers = table_of(SHOP, "customers");
    assert_eq!(
        customers.primary_key,
        Some(PrimaryKey {
            columns: vec![KeyColumn::ascending("id")],
            ..PrimaryKey::default()
        })
    );
    assert_eq!(
        customers.unique,
        vec![Unique {
            name: Some("customers_email".into()),
            columns: vec![KeyColumn::ascending("email")],
            ..Unique::default()
        }]
    );
    assert_eq!(
        customers.checks,
        vec![Check {
            name: Some("customers_name".into()),
            expression: "length(name) > 0".into(),
            ..Check::default()
        }]
    );

    let orders = table_of(SHOP, "orders");
    let descending = |column: &str| KeyColumn {
        descending: true,
        ..KeyColumn::ascending(column)
    };
    assert_eq!(
        orders.primary_key,
        Some(PrimaryKey {
            columns: vec![KeyColumn::ascending("customer_id"), descending("number")],
            ..PrimaryKey::default()
        })
    );
    assert_eq!(
        orders.unique,
        vec![Unique {
            columns: vec![KeyColumn::ascending("number"), KeyColumn::ascending("net")],
            ..Unique::default()
        }]
    );
    assert_eq!(
        orders.checks,
        vec![Check {
            expression: "number > 0".into(),
            ..Check::default()
        }]
    );
    assert_eq!(
        orders.foreign_keys,
        vec![ForeignKey {
            name: Some("orders_customer".into()),
            columns: vec!["customer_id".into()],
            referenced_table: "customers".into(),
            referenced_columns: vec!["id".into()],
            on_update: ReferentialAction::Cascade,
            on_delete: ReferentialAction::SetNull,
            deferred: true,
            ..ForeignKey::default()
        }]
    );
    assert_eq!(
        orders.options,
        TableOptions {
            without_rowid: true,
            strict: true,
            virtual_module: None,
            ..TableOptions::default()
        }
    );
}

#[test]
fn reads_indexes_with_order_collation_expressions_and_filter() {
    assert_eq!(
        table_of(SHOP, "orders").indexes,
        vec![Index {
            name: "orders_by_net".into(),
            unique: false,
            columns: vec![
                KeyColumn {
                    descending: true,
                    ..KeyColumn::ascending("net")
                },
                KeyColumn {
                    collation: Some("NOCASE".into()),
                    ..KeyColumn::ascending("label")
                },
            ],
            filter: Some("net IS NOT NULL".into()),
            ..Index::default()
        }]
    );
    assert_eq!(
        table_of(SHOP, "customers").indexes,
        vec![Index {
            name: "customers_by_name".into(),
            unique: true,
            columns: vec![
                KeyColumn {
                    term: KeyTerm::Expression("lower(name)".into()),
                    descending: false,
                    collation: None
                },
                // NOCASE, as the column has it.
                KeyColumn::ascending("email"),
            ],
            filter: None,
            ..Index::default()
        }]
    );
}

#[test]
fn reads_views_and_triggers_with_their_texts_and_counts_everything() {
    let schema = schema_of(SHOP);
    assert_eq!(
        schema.views[0].text,
        "CREATE VIEW big_orders AS SELECT * FROM orders WHERE net > 1000"
    );
    assert_eq!(schema.triggers[0].table, "big_orders");
    assert_eq!(schema.triggers[1].table, "orders");
    assert!(schema.triggers[1].text.contains("-- seen"));
    assert_eq!(
        schema.object_counts(),
        ObjectCounts {
            tables: 2,
            views: 1,
            indexes: 2,
            triggers: 2,
            constraints: 7,
            ..ObjectCounts::default()
        }
    );
}

#[test]
fn a_schema_read_twice_or_written_and_read_has_an_equal_hash() {
    let connection = database(SHOP);
    let (first, second) = (
        read_schema(&connection).unwrap(),
        read_schema(&connection).unwrap(),
    );
    assert_eq!(first, second);
    assert_eq!(first.hash(), second.hash());
    let stored: Schema = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    assert_eq!(stored, first);
}

#[test]
fn the_order_of_creation_and_the_way_of_writing_leave_no_trace() {
    let one =
        "CREATE TABLE a(x INT CHECK (x > 0), y DEFAULT (1)); CREATE TABLE b(x REFERENCES a(y));
               CREATE INDEX i ON a(x); CREATE VIEW v AS SELECT x FROM a; CREATE INDEX j ON a(y)";
    let other = "CREATE TABLE \"b\"(\"x\" REFERENCES A(Y)); CREATE TABLE a(y DEFAULT 1, [x] int, CHECK(\"x\">0));
                 CREATE INDEX j ON a(y); CREATE INDEX i ON a(x ASC); CREATE VIEW v AS -- all of it
                 SELECT  x FROM a;";
    assert_eq!(diff(&schema_of(one), &schema_of(other)), vec![]);
}

#[test]
fn each_kind_of_object_added_by_hand_is_found_and_nothing_else() {
    use ObjectKind::*;
    for (sql, kind, name) in [
        ("CREATE TABLE extra (a)", Table, "extra"),
        ("CREATE VIEW extra AS SELECT 1", View, "extra"),
        ("CREATE INDEX extra ON orders (net)", Index, "orders.extra"),
        (
            "CREATE TRIGGER extra AFTER DELETE ON orders BEGIN SELECT 1; END",
            Trigger,
            "orders.extra",
        ),
    ] {
        assert_eq!(
            found(&changes_after(sql)),
            vec![(ChangeKind::Added, kind, name)],
            "{sql}"
        );
    }
}

#[test]
fn each_kind_of_object_removed_by_hand_is_found_and_nothing_else() {
    use ObjectKind::*;
    for (sql, kind, name) in [
        ("DROP INDEX orders_by_net", Index, "orders.orders_by_net"),
        ("DROP TRIGGER orders_stamp", Trigger, "orders.orders_stamp"),
    ] {
        assert_eq!(
            found(&changes_after(sql)),
            vec![(ChangeKind::Removed, kind, name)],
            "{sql}"
        );
    }
    assert_eq!(
        found(&changes_after("DROP VIEW big_orders")),
        vec![
            (ChangeKind::Removed, View, "big_orders"),
            (ChangeKind::Removed, Trigger, "big_orders.big_orders_delete")
        ]
    );
    assert_eq!(
        found(&changes_after("DROP TABLE orders")),
        vec![
            (ChangeKind::Removed, Table, "orders"),
            (
                ChangeKind::Removed,
                PrimaryKey,
                "orders(customer_id, number DESC)"
            ),
            (ChangeKind::Removed, Unique, "orders(number, net)"),
            (ChangeKind::Removed, ForeignKey, "orders.orders_customer"),
            (ChangeKind::Removed, Check, "orders(number > 0)"),
            (ChangeKind::Removed, Index, "orders.orders_by_net"),
            (ChangeKind::Removed, Trigger, "orders.orders_stamp"),
        ]
    );
}

#[test]
fn each_kind_of_object_changed_by_hand_is_found_and_nothing_else() {
    use ObjectKind::*;
    for (sql, kind, name) in [
        (
            "DROP VIEW big_orders; CREATE VIEW big_orders AS SELECT 1",
            View,
            "big_orders",
        ),
        (
            "DROP INDEX orders_by_net; CREATE INDEX orders_by_net ON orders (net)",
            Index,
            "orders.orders_by_net",
        ),
        (
            "DROP TRIGGER orders_stamp; CREATE TRIGGER orders_stamp AFTER INSERT ON orders BEGIN SELECT 1; END",
            Trigger,
            "orders.orders_stamp",
        ),
    ] {
        let changes: Vec<Change> = changes_after(sql)
            .into_iter()
            .filter(|change| change.name != "big_orders.big_orders_delete")
            .collect();
        assert_eq!(
            found(&changes),
            vec![(ChangeKind::Changed, kind, name)],
            "{sql}"
        );
    }
}

/// A database can be edited in its catalog too, which is the one way to change a table in place.
#[test]
fn each_clause_of_a_table_changed_by_hand_is_found_and_nothing_else() {
    use ObjectKind::*;
    for (from, to, kind, name, expected) in [
        (
            "VARCHAR(100)",
            "TEXT",
            Table,
            "customers",
            detail("column name type", Some("VARCHAR(100)"), Some("TEXT")),
        ),
        (
            "'nobody'",
            "'x'",
            Table,
            "customers",
            detail("column name default", Some("'nobody'"), Some("'x'")),
        ),
        (
            "AUTOINCREMENT",
            "",
            Table,
            "customers",
            detail("column id identity", Some("yes"), None),
        ),
        (
            "net * 1.19",
            "net * 2",
            Table,
            "orders",
            detail(
                "column gross generated",
                Some("net * 1.19"),
                Some("net * 2"),
            ),
        ),
        (
            "STORED",
            "VIRTUAL",
            Table,
            "orders",
            detail("column gross stored", Some("yes"), None),
        ),
        (
            "WITHOUT ROWID, STRICT",
            "WITHOUT ROWID",
            Table,
            "orders",
            detail("strict", Some("yes"), None),
        ),
        (
            "length(name) > 0",
            "length(name) > 1",
            Check,
            "customers.customers_name",
            detail(
                "expression",
                Some("length(name) > 0"),
                Some("length(name) > 1"),
            ),
        ),
        (
            "number DESC",
            "number",
            PrimaryKey,
            "orders(customer_id, number)",
            detail(
                "columns",
                Some("customer_id, number DESC"),
                Some("customer_id, number"),
            ),
        ),
        (
            "DELETE SET NULL",
            "DELETE CASCADE",
            ForeignKey,
            "orders.orders_customer",
            detail("on delete", Some("SET NULL"), Some("CASCADE")),
        ),
        (
            "DEFERRABLE INITIALLY DEFERRED",
            "",
            ForeignKey,
            "orders.orders_customer",
            detail("deferred", Some("yes"), None),
        ),
        (
            "WHERE net IS NOT NULL",
            "",
            Index,
            "orders.orders_by_net",
            detail("filter", Some("net IS NOT NULL"), None),
        ),
        (
            "label COLLATE NOCASE)",
            "label)",
            Index,
            "orders.orders_by_net",
            detail(
                "columns",
                Some("net DESC, label COLLATE NOCASE"),
                Some("net DESC, label"),
            ),
        ),
    ] {
        assert!(SHOP.contains(from), "{from}");
        let changes = diff(&schema_of(SHOP), &schema_of(&SHOP.replace(from, to)));
        assert_eq!(
            found(&changes),
            vec![(ChangeKind::Changed, kind, name)],
            "{from}"
        );
        assert_eq!(changes[0].details, vec![expected], "{from}");
    }
}

#[test]
fn a_column_added_or_renamed_is_a_change_of_its_table() {
    let changes = changes_after(
        "ALTER TABLE customers ADD COLUMN phone TEXT NOT NULL DEFAULT '' CHECK (phone <> 'x')",
    );
    assert_eq!(
        found(&changes),
        vec![
            (ChangeKind::Changed, ObjectKind::Table, "customers"),
            (
                ChangeKind::Added,
                ObjectKind::Check,
                "customers(phone <> 'x')"
            ),
        ]
    );
    assert_eq!(
        changes[0].details,
        vec![detail(
            "column phone",
            None,
            Some("TEXT NOT NULL DEFAULT ''")
        )]
    );

    let changes = changes_after("ALTER TABLE customers RENAME COLUMN since TO \"joined on\"");
    assert_eq!(
        found(&changes),
        vec![
            (ChangeKind::Changed, ObjectKind::Table, "customers"),
            // It sets that column.
            (
                ChangeKind::Changed,
                ObjectKind::Trigger,
                "orders.orders_stamp"
            ),
        ]
    );
    assert_eq!(
        changes[0].details,
        vec![
            Detail {
                possible_rename: Some("since".into()),
                ..detail(
                    "column \"joined on\"",
                    None,
                    Some("TEXT NOT NULL DEFAULT datetime('now')")
                )
            },
            Detail {
                possible_rename: Some("joined on".into()),
                ..detail(
                    "column since",
                    Some("TEXT NOT NULL DEFAULT datetime('now')"),
                    None
                )
            },
        ]
    );
}

#[test]
fn a_rename_and_its_undoing_leave_no_trace_although_sqlite_rewrites_the_texts() {
    let changes = changes_after(
        "ALTER TABLE orders RENAME TO sales; ALTER TABLE sales RENAME TO orders;
         ALTER TABLE orders RENAME COLUMN net TO amount; ALTER TABLE orders RENAME COLUMN amount TO net;",
    );
    assert_eq!(changes, vec![]);
}

#[test]
fn renaming_a_table_changes_nothing_that_does_not_name_it() {
    let connection = database(SHOP);
    connection
        .execute_batch(
            "CREATE TABLE apart (a CHECK (a > 0)); CREATE VIEW apart_view AS SELECT a FROM apart;
             CREATE TRIGGER apart_trigger AFTER INSERT ON apart BEGIN SELECT 1; END;",
        )
        .unwrap();
    let before = read_schema(&connection).unwrap();
    connection
        .execute_batch("ALTER TABLE orders RENAME TO sales")
        .unwrap();
    let changes = diff(&before, &read_schema(&connection).unwrap());
    assert!(
        !changes
            .iter()
            .any(|change| change.name.starts_with("apart")),
        "{:?}",
        found(&changes)
    );
    assert!(
        !changes
            .iter()
            .any(|change| change.name.starts_with("customers")),
        "{:?}",
        found(&changes)
    );
}

#[test]
fn rebuilding_a_table_as_sqlite_advises_leaves_no_trace() {
    let changes = changes_after(
        "PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON;
         CREATE TABLE new_customers (
             id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL COLLATE nocase, name varchar(100) DEFAULT 'nobody',
             since TEXT NOT NULL DEFAULT (datetime('now')),
             CONSTRAINT customers_email UNIQUE (email), CONSTRAINT customers_name CHECK (length(name) > 0));
         DROP TABLE customers;
         ALTER TABLE new_customers RENAME TO customers;
         CREATE UNIQUE INDEX customers_by_name ON customers (lower(name), email);",
    );
    assert_eq!(changes, vec![]);
}

#[test]
fn reads_names_with_spaces_quotes_commas_and_unicode() {
    let sql = r#"
        CREATE TABLE "Bücher, ""neu"" (1)" ("a b" INT CHECK ("a b" > 0), [c,d] TEXT COLLATE NOCASE, `e"f` INT,
            '数' INT REFERENCES "Bücher, ""neu"" (1)" (`e"f`), CONSTRAINT "u, (x)" UNIQUE ("c,d", "a b"), UNIQUE ("e""f"));
        CREATE INDEX "i ""x"" (" ON "Bücher, ""neu"" (1)" ([a b], lower("c,d")) WHERE "a b" > 1;
        CREATE VIEW "v w" AS SELECT 1;
        CREATE TRIGGER "t ""u""" AFTER INSERT ON "Bücher, ""neu"" (1)" BEGIN SELECT 1; END;
    "#;
    let table = table_of(sql, "Bücher, \"neu\" (1)");
    let names: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names, ["a b", "c,d", "e\"f", "数"]);
    assert_eq!(table.columns[1].collation.as_deref(), Some("NOCASE"));
    assert_eq!(
        table.checks,
        vec![Check {
            expression: "\"a b\" > 0".into(),
            ..Check::default()
        }]
    );
    assert_eq!(table.unique[0].name, None);
    assert_eq!(table.unique[1].name.as_deref(), Some("u, (x)"));
    assert_eq!(
        table.foreign_keys[0].referenced_table,
        "Bücher, \"neu\" (1)"
    );
    assert_eq!(table.foreign_keys[0].referenced_columns, ["e\"f"]);
    assert_eq!(table.indexes[0].name, "i \"x\" (");
    assert_eq!(
        table.indexes[0].columns[1].term,
        KeyTerm::Expression("lower(\"c,d\")".into())
    );
    assert_eq!(table.indexes[0].filter.as_deref(), Some("\"a b\" > 1"));
    assert_eq!(schema_of(sql).triggers[0].name, "t \"u\"");
    assert_eq!(diff(&schema_of(sql), &schema_of(sql)), vec![]);
}

#[test]
fn a_foreign_key_that_names_no_columns_means_the_primary_key() {
    let with = |clause: &str| {
        schema_of(&format!(
            "CREATE TABLE p(a, b, PRIMARY KEY (b, a)); CREATE TABLE c(x, y, FOREIGN KEY (x, y) REFERENCES {clause})"
        ))
    };
    assert_eq!(diff(&with("p"), &with("P (B, a)")), vec![]);
    assert_eq!(
        with("p").tables[0].foreign_keys[0].referenced_columns,
        ["b", "a"]
    );
    assert_eq!(
        with("nowhere").tables[0].foreign_keys[0].referenced_table,
        "nowhere"
    );
    assert_eq!(
        with("nowhere").tables[0].foreign_keys[0].referenced_columns,
        Vec::<String>::new()
    );
}

#[test]
fn two_foreign_keys_on_the_same_columns_keep_their_own_names() {
    let keys = table_of(
        "CREATE TABLE p(a PRIMARY KEY); CREATE TABLE q(a PRIMARY KEY);
         CREATE TABLE c(x CONSTRAINT one REFERENCES p CONSTRAINT two REFERENCES q ON DELETE CASCADE)",
        "c",
    )
    .foreign_keys;
    let named: Vec<_> = keys
        .iter()
        .map(|key| (key.name.as_deref(), key.referenced_table.as_str()))
        .collect();
    assert_eq!(named, [(Some("one"), "p"), (Some("two"), "q")]);
}

#[test]
fn internal_temporary_and_shadow_tables_are_left_out() {
    let schema = schema_of(
        "CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO a DEFAULT VALUES; ANALYZE;
         CREATE TEMP TABLE scratch(x); CREATE TEMP VIEW scratch_view AS SELECT 1; CREATE TEMP TABLE a(y);
         CREATE TABLE sqliteish(x);
         CREATE VIRTUAL TABLE notes USING fts5(title, body, tokenize = 'porter')",
    );
    let names: Vec<&str> = schema
        .tables
        .iter()
        .map(|table| table.name.as_str())
        .collect();
    assert_eq!(names, ["a", "notes", "sqliteish"]);
    assert_eq!(schema.tables[0].columns[0].name, "id");
    assert_eq!(schema.views, vec![]);
    let notes = &schema.tables[1];
    assert_eq!(
        notes.options.virtual_module.as_deref(),
        Some("fts5(title, body, tokenize = 'porter')")
    );
    let columns: Vec<_> = notes
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.hidden))
        .collect();
    assert_eq!(
        columns,
        [
            ("title", false),
            ("body", false),
            ("notes", true),
            ("rank", true)
        ]
    );
}

#[test]
fn a_broken_view_or_a_missing_module_does_not_hide_the_rest() {
    let connection = database("CREATE TABLE a(x); CREATE VIEW v AS SELECT * FROM gone;");
    connection
        .execute_batch(
            "PRAGMA writable_schema = ON;
             INSERT INTO sqlite_schema VALUES ('table', 'm', 'm', 0, 'CREATE VIRTUAL TABLE m USING no_such_module(x)');
             PRAGMA writable_schema = RESET;",
        )
        .unwrap();
    let schema = read_schema(&connection).unwrap();
    assert_eq!(schema.views.len(), 1);
    assert_eq!(schema.tables.len(), 2);
    assert_eq!(schema.tables[0].columns.len(), 1);
    assert_eq!(
        schema.tables[1].options.virtual_module.as_deref(),
        Some("no_such_module(x)")
    );
}

#[test]
fn an_empty_database_has_an_empty_schema() {
    assert_eq!(schema_of(""), Schema::default());
}

#[test]
fn a_thousand_tables_take_as_many_queries_as_three() {
    /// SQLite asks the authorizer once for every SELECT that is prepared.
    fn selects(connection: &mut Connection) -> usize {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        connection
            .authorizer(Some(move |context: AuthContext<'_>| {
                if matches!(context.action, AuthAction::Select) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                Authorization::Allow
            }))
            .unwrap();
        read_schema(connection).unwrap();
        count.load(Ordering::Relaxed)
    }
    let tables = |count: usize| {
        let one = |number: usize| {
            format!(
                "CREATE TABLE t{number}(id INTEGER PRIMARY KEY, a TEXT NOT NULL UNIQUE CHECK (a <> ''), b REFERENCES t0);
                 CREATE INDEX i{number} ON t{number}(b);"
            )
        };
        database(&format!(
            "BEGIN;{}COMMIT;",
            (0..count).map(one).collect::<String>()
        ))
    };
    let mut many = tables(1_000);
    let start = Instant::now();
    let schema = read_schema(&many).unwrap();
    // Well under a second even in a debug build on a busy machine.
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        schema.object_counts(),
        ObjectCounts {
            tables: 1_000,
            indexes: 1_000,
            constraints: 4_000,
            ..ObjectCounts::default()
        }
    );
    assert_eq!(selects(&mut many), selects(&mut tables(3)));
    assert_eq!(selects(&mut many), 5);
}
