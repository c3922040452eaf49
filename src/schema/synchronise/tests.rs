//! Scripts out of differences of every kind: their order, what is commented out, and that all of them are T-SQL.

use proptest::prelude::*;

use super::text::HELD;
use super::*;
use crate::schema::model::*;

const COMPARED: Compared<'static> = Compared {
    database: "shop",
    from: "snapshot 1 (sha256:1)",
    to: "the live schema (sha256:2)",
};

fn adopt(from: &Schema, to: &Schema) -> Proposal {
    proposal(from, to, Dialect::TransactSql, Purpose::Adopt, COMPARED)
}

fn adopt_on_sqlite(from: &Schema, to: &Schema) -> Proposal {
    proposal(from, to, Dialect::Sqlite, Purpose::Adopt, COMPARED)
}

fn column(name: &str, data_type: &str) -> Column {
    Column {
        name: name.into(),
        data_type: data_type.into(),
        nullable: true,
        ..Column::default()
    }
}

fn table(name: &str, columns: Vec<Column>) -> Table {
    Table {
        name: name.into(),
        columns,
        ..Table::default()
    }
}

fn schema(tables: Vec<Table>) -> Schema {
    Schema {
        tables,
        ..Schema::default()
    }
}

fn view(name: &str, text: &str) -> Module {
    Module {
        name: name.into(),
        text: text.into(),
        ..Module::default()
    }
}

fn orders() -> Table {
    Table {
        primary_key: Some(PrimaryKey {
            name: Some("orders_key".into()),
            columns: vec![KeyColumn::ascending("id")],
            kind: Some("CLUSTERED".into()),
            ..PrimaryKey::default()
        }),
        ..table(
            "dbo.orders",
            vec![
                Column {
                    nullable: false,
                    ..column("id", "int")
                },
                column("note", "nvarchar(20)"),
            ],
        )
    }
}

/// The lines that are no comment, each batch on its own.
fn running(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect();
    let batches = lines
        .split(|line| *line == "GO")
        .map(|batch| batch.join("\n").trim().to_owned());
    batches.filter(|batch| !batch.is_empty()).collect()
}

#[track_caller]
fn expect_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some(found) = rest.find(part) else {
            panic!("{part} is missing, or too early, in:\n{text}");
        };
        rest = &rest[found + part.len()..];
    }
}

#[test]
fn where_nothing_differs_there_is_nothing_to_do() {
    let one = schema(vec![orders()]);
    for dialect in [Dialect::TransactSql, Dialect::Sqlite] {
        let script = proposal(&one, &one, dialect, Purpose::Revert, COMPARED);
        assert_eq!((script.statements, script.commented_out), (0, 0));
        assert!(
            script.text.contains("There is nothing to do"),
            "{}",
            script.text
        );
        assert_eq!(running(&script.text), Vec::<String>::new());
    }
}

#[test]
fn the_head_says_what_the_script_is_and_where_it_comes_from() {
    let script = adopt(&Schema::default(), &schema(vec![orders()]));
    expect_in_order(
        &script.text,
        &[
            "-- A migration that records",
            "shop",
            "Read it",
            "From: snapshot 1 (sha256:1)",
            "To:   the live schema (sha256:2)",
        ],
    );
}

#[test]
fn a_table_comes_before_what_stands_on_it() {
    let mut lines = table("dbo.lines", vec![column("order_id", "int")]);
    lines.foreign_keys.push(ForeignKey {
        name: Some("lines_order".into()),
        columns: vec!["order_id".into()],
        referenced_table: "dbo.orders".into(),
        referenced_columns: vec!["id".into()],
        on_delete: ReferentialAction::Cascade,
        ..ForeignKey::default()
    });
    let to = Schema {
        schemas: vec![Namespace {
            name: "web".into(),
            owner: None,
        }],
        tables: vec![lines, orders()],
        views: vec![
            view(
                "dbo.first",
                "CREATE VIEW dbo.first AS SELECT * FROM dbo.second",
            ),
            view(
                "dbo.second",
                "CREATE VIEW dbo.second AS SELECT id FROM dbo.orders",
            ),
        ],
        triggers: vec![Trigger {
            name: "stamp".into(),
            table: "dbo.orders".into(),
            text: "CREATE TRIGGER dbo.stamp ON dbo.orders AFTER INSERT AS RETURN".into(),
            ..Trigger::default()
        }],
        ..Schema::default()
    };
    let there = adopt(&Schema::default(), &to);
    expect_in_order(
        &there.text,
        &[
            "IF SCHEMA_ID(N'web') IS NULL\n    EXEC (N'CREATE SCHEMA [web]');",
            "IF OBJECT_ID(N'[dbo].[lines]', N'U') IS NULL\n    CREATE TABLE [dbo].[lines] (\n        [order_id] int NULL\n    );",
            "CREATE TABLE [dbo].[orders]",
            "ADD CONSTRAINT [orders_key] PRIMARY KEY CLUSTERED ([id]);",
            "ADD CONSTRAINT [lines_order] FOREIGN KEY ([order_id]) REFERENCES [dbo].[orders] ([id]) ON DELETE CASCADE;",
            "CREATE OR ALTER VIEW dbo.second",
            "CREATE OR ALTER VIEW dbo.first",
            "CREATE OR ALTER TRIGGER dbo.stamp",
        ],
    );
    assert_eq!(there.commented_out, 0);
    let back = adopt(&to, &Schema::default());
    expect_in_order(
        &back.text,
        &[
            "DROP VIEW IF EXISTS [dbo].[first];",
            "DROP VIEW IF EXISTS [dbo].[second];",
            "-- DROP TABLE IF EXISTS [dbo].[lines];",
            "-- DROP TABLE IF EXISTS [dbo].[orders];",
            "DROP SCHEMA [web];",
        ],
    );
    assert_eq!(back.commented_out, 2);
    assert!(
        !back.text.contains("lines_order"),
        "a key goes with its table: {}",
        back.text
    );
}

#[test]
fn what_loses_data_is_commented_out_and_says_why() {
    let with = |columns: Vec<Column>| schema(vec![table("dbo.t", columns)]);
    let sequence = |start: &str| Schema {
        sequences: vec![Sequence {
            name: "dbo.numbers".into(),
            data_type: "bigint".into(),
            start: start.into(),
            increment: "1".into(),
            minimum: "1".into(),
            maximum: "9".into(),
            ..Sequence::default()
        }],
        ..Schema::default()
    };
    let required = Column {
        nullable: false,
        ..column("a", "int")
    };
    for (from, to, what, why) in [
        (
            with(vec![column("a", "int")]),
            Schema::default(),
            "DROP TABLE",
            "all rows",
        ),
        (
            with(vec![column("a", "int"), column("b", "int")]),
            with(vec![column("a", "int")]),
            "DROP COLUMN [b]",
            "the values",
        ),
        (
            with(vec![column("a", "int")]),
            with(vec![column("a", "smallint")]),
            "ALTER COLUMN [a] smallint NULL",
            "from int into smallint",
        ),
        (
            with(vec![column("a", "nvarchar(9)")]),
            with(vec![column("a", "nvarchar(8)")]),
            "ALTER COLUMN [a] nvarchar(8)",
            "cut off",
        ),
        (
            with(vec![column("a", "int")]),
            with(vec![required]),
            "ALTER COLUMN [a] int NOT NULL",
            "takes NULL no more",
        ),
        (sequence("1"), Schema::default(), "DROP SEQUENCE", "lost"),
        (
            sequence("1"),
            sequence("2"),
            "DROP SEQUENCE",
            "begins again",
        ),
    ] {
        let script = adopt(&from, &to);
        assert_eq!(
            (script.statements, script.commented_out),
            (0, 1),
            "{}",
            script.text
        );
        assert_eq!(
            running(&script.text),
            Vec::<String>::new(),
            "{}",
            script.text
        );
        let line = script
            .text
            .lines()
            .find(|line| line.contains(HELD))
            .unwrap();
        assert!(line.contains(why), "{line}");
        assert!(script.text.contains(what), "{}", script.text);
    }
}

#[test]
fn what_stands_on_a_column_goes_while_its_type_changes() {
    let with = |data_type: &str| {
        let mut one = orders();
        one.columns[1].data_type = data_type.into();
        one.columns[1].default = Some("(N'none')".into());
        one.columns.push(Column {
            generated: Some(Generated {
                expression: "(upper([note]))".into(),
                stored: true,
            }),
            ..column("loud", "nvarchar(20)")
        });
        one.indexes.push(Index {
            name: "by_note".into(),
            columns: vec![KeyColumn::ascending("loud")],
            included: vec!["note".into()],
            ..Index::default()
        });
        one.checks.push(Check {
            name: Some("said".into()),
            expression: "(len([note])>(0))".into(),
            ..Check::default()
        });
        Schema {
            extended_properties: vec![ExtendedProperty {
                on: Securable::Index("dbo.orders".into(), "by_note".into()),
                name: "why".into(),
                value: "it's fast".into(),
            }],
            ..schema(vec![one])
        }
    };
    let script = adopt(&with("nvarchar(20)"), &with("nvarchar(40)"));
    expect_in_order(
        &script.text,
        &[
            "DROP CONSTRAINT [said]",
            "DROP INDEX IF EXISTS [by_note]",
            "DROP COLUMN [loud]",
            "sys.default_constraints",
            "ALTER COLUMN [note] nvarchar(40) NULL;",
            "ADD DEFAULT (N'none') FOR [note];",
            "ADD [loud] AS (upper([note])) PERSISTED;",
            "CREATE INDEX [by_note] ON [dbo].[orders] ([loud]) INCLUDE ([note]);",
            "ADD CONSTRAINT [said] CHECK (len([note])>(0));",
            "EXEC sp_addextendedproperty N'why', N'it''s fast', N'SCHEMA', N'dbo', N'TABLE', N'orders', N'INDEX', N'by_note';",
        ],
    );
    assert!(script.text.contains("k.max_length = 80"), "{}", script.text);
    let back = adopt(&with("nvarchar(40)"), &with("nvarchar(20)"));
    let ran = running(&back.text).join("\n");
    assert!(
        !ran.contains("DROP"),
        "nothing goes when the column stays: {ran}"
    );
}

#[test]
fn a_constraint_without_a_name_is_found_by_what_it_is() {
    let mut with = orders();
    with.checks.push(Check {
        expression: "([id]>(0))".into(),
        ..Check::default()
    });
    let script = adopt(&schema(vec![with]), &schema(vec![orders()]));
    expect_in_order(
        &script.text,
        &[
            "DECLARE @drop nvarchar(max);",
            "SELECT @drop = N'ALTER TABLE [dbo].[orders] DROP CONSTRAINT ' + QUOTENAME(k.name) FROM sys.check_constraints k",
            "= N'([id]>(0))'",
            "IF @drop IS NOT NULL EXEC (@drop);",
        ],
    );
}

#[test]
fn permissions_and_members_are_given_and_taken() {
    let granted = |state| Schema {
        roles: vec![Role {
            name: "reader".into(),
            members: vec!["anna".into()],
            ..Role::default()
        }],
        permissions: vec![Permission {
            on: Securable::Column("dbo.orders".into(), "note".into()),
            permission: "SELECT".into(),
            grantee: "reader".into(),
            state,
        }],
        ..schema(vec![orders()])
    };
    let there = adopt(
        &schema(vec![orders()]),
        &granted(PermissionState::GrantWithGrantOption),
    );
    expect_in_order(
        &there.text,
        &[
            "CREATE ROLE [reader];",
            "ALTER ROLE [reader] ADD MEMBER [anna];",
            "GRANT SELECT ON OBJECT::[dbo].[orders] ([note]) TO [reader] WITH GRANT OPTION;",
        ],
    );
    let change = adopt(
        &granted(PermissionState::Grant),
        &granted(PermissionState::Deny),
    );
    expect_in_order(
        &change.text,
        &[
            "REVOKE SELECT ON OBJECT::[dbo].[orders] ([note]) FROM [reader];",
            "DENY SELECT ON",
        ],
    );
    let back = adopt(&granted(PermissionState::Grant), &schema(vec![orders()]));
    expect_in_order(
        &back.text,
        &[
            "REVOKE SELECT",
            "DROP MEMBER [anna];",
            "DROP ROLE [reader];",
        ],
    );
}

#[test]
fn what_cannot_be_written_is_explained_and_not_guessed() {
    let mut hidden = orders();
    hidden.columns[0].identity = true;
    let encrypted = Schema {
        procedures: vec![view("dbo.secret", "")],
        ..schema(vec![orders()])
    };
    let renamed = Schema {
        views: vec![view("dbo.new", "CREATE VIEW dbo.old AS SELECT 1 AS a")],
        ..schema(vec![orders()])
    };
    for (to, words) in [
        (schema(vec![hidden]), "No statement alters that"),
        (encrypted, "cannot be read"),
        (renamed, "it was renamed, and its text was not"),
    ] {
        let script = adopt(&schema(vec![orders()]), &to);
        assert!(script.text.contains(words), "{}", script.text);
        assert_eq!(script.statements, 0, "{}", script.text);
    }
}

#[test]
fn a_possible_rename_is_told_and_not_done() {
    let from = schema(vec![table("dbo.old", vec![column("a", "int")])]);
    let to = schema(vec![table("dbo.new", vec![column("a", "int")])]);
    let script = adopt(&from, &to);
    assert!(
        script.notes[0].contains("table dbo.old to dbo.new"),
        "{:?}",
        script.notes
    );
    expect_in_order(
        &script.text,
        &[
            "sp_rename",
            "CREATE TABLE [dbo].[new]",
            "-- DROP TABLE IF EXISTS [dbo].[old];",
        ],
    );
}

#[test]
fn sqlite_gets_what_its_statements_can_do() {
    let from = schema(vec![table("t", vec![column("a", "INTEGER")])]);
    let mut to = from.clone();
    to.tables[0].columns.push(Column {
        default: Some("'x'".into()),
        ..column("b", "TEXT")
    });
    to.tables[0].checks.push(Check {
        expression: "b <> ''".into(),
        ..Check::default()
    });
    to.views = vec![view("v", "CREATE VIEW v AS SELECT a FROM t")];
    let script = adopt_on_sqlite(&from, &to);
    expect_in_order(
        &script.text,
        &[
            "baseline",
            "ALTER TABLE \"t\" ADD COLUMN \"b\" TEXT DEFAULT 'x' CHECK (b <> '');",
            "CREATE VIEW IF NOT EXISTS v AS SELECT a FROM t;",
        ],
    );
    assert_eq!(script.commented_out, 0, "{}", script.text);
    let back = adopt_on_sqlite(&to, &from);
    expect_in_order(
        &back.text,
        &[
            "DROP VIEW IF EXISTS \"v\";",
            HELD,
            "-- ALTER TABLE \"t\" DROP COLUMN \"b\";",
        ],
    );
}

/// Few names and types, so that the same object is often on both sides and seldom the same.
fn some_schema() -> impl Strategy<Value = Schema> {
    let pick = |words: &[&str]| {
        prop::sample::select(
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    };
    let name = move || pick(&["a", "b", "it's", "x]y", "two\nlines", "GO"]);
    let data_type = move || {
        pick(&[
            "int",
            "bigint",
            "nvarchar(10)",
            "nvarchar(max)",
            "decimal(10,2)",
            "dbo.code",
        ])
    };
    let flag = any::<bool>;
    let some_column = (
        name(),
        data_type(),
        flag(),
        prop::option::of(pick(&["((0))", "(N'--x')"])),
        flag(),
    )
        .prop_map(|(name, data_type, nullable, default, computed)| Column {
            generated: computed.then(|| Generated {
                expression: "([a]+(1))".into(),
                stored: nullable,
            }),
            default: default.filter(|_| !computed),
            name,
            data_type,
            nullable,
            ..Column::default()
        });
    let key = move || {
        (name(), flag()).prop_map(|(name, descending)| KeyColumn {
            descending,
            ..KeyColumn::ascending(name)
        })
    };
    let some_table = (
        name(),
        prop::collection::vec(some_column, 1..4),
        prop::option::of((prop::option::of(name()), key())),
        prop::option::of((prop::option::of(name()), name(), name())),
        prop::option::of((prop::option::of(name()), flag())),
        prop::option::of((name(), key(), flag())),
    )
        .prop_map(|(name, mut columns, primary, foreign, check, index)| {
            columns.sort_by(|one: &Column, other| one.name.cmp(&other.name));
            columns.dedup_by(|one, other| one.name == other.name);
            Table {
                name: format!(
                    "dbo.{}",
                    if name.contains(']') {
                        "[x]]y]".to_owned()
                    } else {
                        name
                    }
                ),
                columns,
                primary_key: primary.map(|(name, column)| PrimaryKey {
                    name,
                    columns: vec![column],
                    ..PrimaryKey::default()
                }),
                foreign_keys: foreign
                    .map(|(name, column, target)| ForeignKey {
                        name,
                        columns: vec![column],
                        referenced_table: format!("dbo.{}", target.replace(']', "")),
                        referenced_columns: vec!["a".into()],
                        ..ForeignKey::default()
                    })
                    .into_iter()
                    .collect(),
                checks: check
                    .map(|(name, disabled)| Check {
                        disabled: disabled && name.is_some(),
                        name,
                        expression: "([a]<>N'it''s')".into(),
                        ..Check::default()
                    })
                    .into_iter()
                    .collect(),
                indexes: index
                    .map(|(name, column, unique)| Index {
                        name,
                        unique,
                        columns: vec![column],
                        filter: unique.then(|| "([a]>(0))".into()),
                        ..Index::default()
                    })
                    .into_iter()
                    .collect(),
                ..Table::default()
            }
        });
    (prop::collection::vec(some_table, 0..3), flag(), flag()).prop_map(
        |(mut tables, with_schema, with_type)| {
            tables.sort_by(|one: &Table, other| one.name.cmp(&other.name));
            tables.dedup_by(|one, other| one.name == other.name);
            Schema {
                schemas: with_schema
                    .then(|| Namespace {
                        name: "web".into(),
                        owner: None,
                    })
                    .into_iter()
                    .collect(),
                types: with_type
                    .then(|| UserType {
                        name: "dbo.code".into(),
                        base: Some("nvarchar(20)".into()),
                        ..UserType::default()
                    })
                    .into_iter()
                    .collect(),
                tables,
                ..Schema::default()
            }
        },
    )
}

/// T-SQL that the parser does not know: other names for types, computed columns, constraints that are not checked, defaults
/// on their own, and how a column gets another type.
const UNKNOWN_TO_THE_PARSER: [&str; 5] = [
    "CREATE TYPE",
    " AS ([a]",
    "NOCHECK",
    "ADD DEFAULT",
    "ALTER COLUMN",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_batch_is_t_sql_and_none_drops_rows(from in some_schema(), to in some_schema()) {
        let script = adopt(&from, &to);
        prop_assert_eq!(&adopt(&from, &to).text, &script.text);
        for text in running(&script.text) {
            prop_assert!(!text.contains("DROP TABLE"), "{}", text);
            let mut columns = from.tables.iter().flat_map(|table| &table.columns);
            let drops_computed = columns.any(|column| column.generated.is_some());
            prop_assert!(drops_computed || !text.contains("DROP COLUMN"), "{}", text);
            if UNKNOWN_TO_THE_PARSER.iter().any(|words| text.contains(words)) {
                continue;
            }
            let dialect = sqlparser::dialect::MsSqlDialect {};
            if let Err(error) = sqlparser::parser::Parser::parse_sql(&dialect, &text) {
                prop_assert!(false, "{}: {}", error, text);
            }
        }
        prop_assert_eq!(script.statements == 0 && script.commented_out == 0 && script.notes.is_empty(), diff(&from, &to).is_empty());
    }
}
