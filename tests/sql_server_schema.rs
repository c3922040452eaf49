//! The schema of a database on a T-SQL server: all of it is found, twice the same, and what was changed by hand is told.

#[path = "sql_server_schema/scripts.rs"]
mod scripts;
mod support;

use std::time::Duration;

use dbvc::database::sql_server::{
    ConnectOptions, ConnectionString, Connectors, ScriptLimits, SqlServerDatabase,
};
use dbvc::database::{Access, Connection, Database};
use dbvc::schema::{
    Change, ChangeKind, Check, Column, ForeignKey, Generated, Index, KeyColumn, Module,
    ModuleSettings, Namespace, ObjectCounts, ObjectKind, PrimaryKey, ReferentialAction, Schema,
    Table, Trigger, Unique, UserType, diff,
};

use libtest_mimic::{Arguments, Completion, Trial};

use support::server::{self, Client, Server, VARIABLE};
use support::stage::{Engine, runtime};

const BIG_ORDERS: &str =
    "CREATE VIEW sales.big_orders AS SELECT customer_id, number FROM sales.orders WHERE net > 1000";
const COUNT_ORDERS: &str = "CREATE PROCEDURE sales.count_orders @customer INT AS\n    -- all of them\n    \
    SELECT COUNT(*) FROM sales.orders WHERE customer_id = @customer";
const DOUBLE_OF: &str =
    "CREATE FUNCTION dbo.double_of (@n INT) RETURNS INT AS BEGIN RETURN @n * 2 END";
const ORDERS_OF: &str = "CREATE FUNCTION dbo.orders_of (@customer INT) RETURNS TABLE AS RETURN \
    (SELECT number FROM sales.orders WHERE customer_id = @customer)";
const ORDERS_STAMP: &str =
    "CREATE TRIGGER sales.orders_stamp ON sales.orders AFTER INSERT AS SET NOCOUNT ON";

/// A little of everything, in the T-SQL that all engines understand.
const SHOP: &[&str] = &[
    "CREATE SCHEMA sales",
    "CREATE TYPE sales.code FROM NVARCHAR(20) NOT NULL",
    "CREATE TYPE sales.lines AS TABLE (number INT NOT NULL PRIMARY KEY, text NVARCHAR(50) NULL)",
    "CREATE TABLE dbo.customers (
        id INT IDENTITY(1, 1) NOT NULL CONSTRAINT customers_key PRIMARY KEY,
        code sales.code NOT NULL,
        email NVARCHAR(200) COLLATE Latin1_General_BIN2 NOT NULL CONSTRAINT customers_email UNIQUE,
        note VARCHAR(MAX) NULL,
        since DATETIME2(3) NOT NULL DEFAULT GETDATE()
    )",
    "CREATE TABLE sales.orders (
        customer_id INT NOT NULL,
        number INT NOT NULL,
        net DECIMAL(10, 2) NOT NULL DEFAULT 0,
        twice AS (number * 2) PERSISTED,
        CONSTRAINT orders_key PRIMARY KEY NONCLUSTERED (customer_id, number),
        CONSTRAINT orders_number CHECK (number > 0),
        CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES dbo.customers (id)
            ON UPDATE CASCADE ON DELETE CASCADE
    )",
    "CREATE UNIQUE INDEX orders_by_net ON sales.orders (net DESC, number) INCLUDE (twice) WHERE number > 10",
    BIG_ORDERS,
    COUNT_ORDERS,
    DOUBLE_OF,
    ORDERS_OF,
    ORDERS_STAMP,
];

/// The schema that [`SHOP`] makes. Babelfish takes the name of every foreign key for one that it made up, does not keep
/// what is clustered nor the condition of an index, and has collations of its own.
fn shop(engine: Engine) -> Schema {
    let on_sql_server = |text: &str| (engine == Engine::SqlServer).then(|| text.to_owned());
    let (binary, number_is_positive, twice) = match engine {
        Engine::Babelfish => ("bbf_unicode_bin2", "(number > 0)", "(number * 2)"),
        _ => ("Latin1_General_BIN2", "([number]>(0))", "([number]*(2))"),
    };
    let column = |name: &str, data_type: &str| Column {
        name: name.into(),
        data_type: data_type.into(),
        ..Column::default()
    };
    let customers = Table {
        name: "dbo.customers".into(),
        columns: vec![
            Column {
                identity: true,
                identity_range: Some("1, 1".into()),
                ..column("id", "int")
            },
            column("code", "sales.code"),
            Column {
                collation: Some(binary.into()),
                ..column("email", "nvarchar(200)")
            },
            Column {
                nullable: true,
                ..column("note", "varchar(max)")
            },
            Column {
                default: Some("(getdate())".into()),
                ..column("since", "datetime2(3)")
            },
        ],
        primary_key: Some(PrimaryKey {
            name: Some("customers_key".into()),
            columns: vec![KeyColumn::ascending("id")],
            kind: on_sql_server("CLUSTERED"),
            ..PrimaryKey::default()
        }),
        unique: vec![Unique {
            name: Some("customers_email".into()),
            columns: vec![KeyColumn::ascending("email")],
            ..Unique::default()
        }],
        ..Table::default()
    };
    let orders = Table {
        name: "sales.orders".into(),
        columns: vec![
            column("customer_id", "int"),
            column("number", "int"),
            Column {
                default: Some("((0))".into()),
                ..column("net", "decimal(10,2)")
            },
            Column {
                nullable: true,
                generated: Some(Generated {
                    expression: twice.into(),
                    stored: true,
                }),
                ..column("twice", "int")
            },
        ],
        primary_key: Some(PrimaryKey {
            name: Some("orders_key".into()),
            columns: vec![
                KeyColumn::ascending("customer_id"),
                KeyColumn::ascending("number"),
            ],
            ..PrimaryKey::default()
        }),
        foreign_keys: vec![ForeignKey {
            name: on_sql_server("orders_customer"),
            columns: vec!["customer_id".into()],
            referenced_table: "dbo.customers".into(),
            referenced_columns: vec!["id".into()],
            on_update: ReferentialAction::Cascade,
            on_delete: ReferentialAction::Cascade,
            ..ForeignKey::default()
        }],
        checks: vec![Check {
            name: Some("orders_number".into()),
            expression: number_is_positive.into(),
            ..Check::default()
        }],
        indexes: vec![Index {
            name: "orders_by_net".into(),
            unique: true,
            columns: vec![
                KeyColumn {
                    descending: true,
                    ..KeyColumn::ascending("net")
                },
                KeyColumn::ascending("number"),
            ],
            included: vec!["twice".into()],
            filter: on_sql_server("([number]>(10))"),
            ..Index::default()
        }],
        ..Table::default()
    };
    let module = |name: &str, text: &str| Module {
        name: name.into(),
        text: text.into(),
        ..Module::default()
    };
    let lines = Table {
        name: "sales.lines".into(),
        columns: vec![
            column("number", "int"),
            Column {
                nullable: true,
                ..column("text", "nvarchar(50)")
            },
        ],
        primary_key: Some(PrimaryKey {
            columns: vec![KeyColumn::ascending("number")],
            kind: on_sql_server("CLUSTERED"),
            ..PrimaryKey::default()
        }),
        ..Table::default()
    };
    Schema {
        schemas: vec![Namespace {
            name: "sales".into(),
            owner: None,
        }],
        types: vec![
            UserType {
                name: "sales.code".into(),
                base: Some("nvarchar(20)".into()),
                ..UserType::default()
            },
            UserType {
                name: "sales.lines".into(),
                table: Some(Box::new(lines)),
                ..UserType::default()
            },
        ],
        tables: vec![customers, orders],
        views: vec![module("sales.big_orders", BIG_ORDERS)],
        procedures: vec![module("sales.count_orders", COUNT_ORDERS)],
        functions: vec![
            module("dbo.double_of", DOUBLE_OF),
            module("dbo.orders_of", ORDERS_OF),
        ],
        triggers: vec![Trigger {
            name: "orders_stamp".into(),
            table: "sales.orders".into(),
            text: ORDERS_STAMP.into(),
            ..Trigger::default()
        }],
        ..Schema::default()
    }
}

/// A database of a test's own.
struct Scratch {
    engine: Engine,
    past_dbvc: Client,
    connection: Box<dyn Connection>,
}

impl Scratch {
    async fn of(server: &Server, name: &str) -> Self {
        let text = server.connection_string(name);
        let target = ConnectionString::parse(&text).expect("dbvc reads the connection string");
        let connector = Connectors::new(ConnectOptions::default()).to(target);
        let limits = ScriptLimits {
            batch: None,
            lock_wait: Duration::from_secs(10),
        };
        let database = SqlServerDatabase::new(connector, limits);
        let connection = database.open(Access::Write).await;
        Self {
            engine: server.engine(),
            past_dbvc: server.connect(name).await,
            connection: connection.expect("dbvc connects"),
        }
    }

    async fn by_hand(&mut self, batches: &[&str]) {
        for batch in batches {
            server::execute(&mut self.past_dbvc, batch)
                .await
                .unwrap_or_else(|error| panic!("{batch}: {error}"));
        }
    }

    async fn schema(&mut self) -> Schema {
        let read = self.connection.read_schema().await;
        let mut schema = read.expect("the schema can be read");
        if self.engine == Engine::Babelfish {
            give_indexes_their_names_back(&mut schema);
        }
        schema
    }

    /// What differs after these batches were run by hand.
    async fn changes_after(&mut self, batches: &[&str]) -> Vec<Change> {
        let before = self.schema().await;
        self.by_hand(batches).await;
        diff(&before, &self.schema().await)
    }
}

/// Babelfish puts the name of the table and a hash behind the name of an index.
fn give_indexes_their_names_back(schema: &mut Schema) {
    const HASH: usize = 32;
    for table in &mut schema.tables {
        let (_, table_name) = table.name.split_once('.').expect("a name has its schema");
        for index in &mut table.indexes {
            index.name.truncate(index.name.len().saturating_sub(HASH));
            let given = index.name.strip_suffix(table_name);
            index.name = given.expect("the name of the table").to_owned();
        }
    }
}

/// Runs a test on a database of its own, and drops the database whatever became of the test.
async fn on_a_server<F>(test: impl FnOnce(Scratch) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = Server::of_environment().await;
    let name = server.make_database().await;
    let outcome = tokio::spawn(test(Scratch::of(server, &name).await)).await;
    let dropped = server.drop_database(&name).await;
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
    dropped.unwrap_or_else(|error| panic!("{name} stays: {error}"));
}

fn found(changes: &[Change]) -> Vec<(ChangeKind, ObjectKind, &str)> {
    changes
        .iter()
        .map(|change| (change.change, change.kind, change.name.as_str()))
        .collect()
}

/// A test that plays on the server that the environment names, and is shown as ignored where there is none, or none that has
/// what it is about.
macro_rules! trial {
    ($name:ident, $engines:expr) => {
        Trial::ignorable_test(concat!("t_sql::", stringify!($name)), || {
            if !Server::is_named() {
                return Ok(Completion::ignored_with(format!("{VARIABLE} is not set")));
            }
            let engine = runtime().block_on(Server::of_environment()).engine();
            if !$engines.contains(&engine) {
                let why = format!("{engine:?} has none of what it is about");
                return Ok(Completion::ignored_with(why));
            }
            runtime().block_on(t_sql::$name());
            Ok(Completion::Completed)
        })
    };
}

fn main() {
    const ALL: [Engine; 2] = [Engine::Babelfish, Engine::SqlServer];
    const SQL_SERVER: [Engine; 1] = [Engine::SqlServer];
    let mut arguments = Arguments::from_args();
    // One after the other: Babelfish's catalogue is one for all databases, and reading it fails while another database goes.
    arguments.test_threads.get_or_insert(1);
    let trials = vec![
        trial!(an_object_of_each_kind_is_found_with_all_its_properties, ALL),
        trial!(the_same_schema_has_the_same_hash_each_time, ALL),
        trial!(what_is_changed_by_hand_is_found_and_nothing_else, ALL),
        trial!(
            what_was_done_by_hand_is_taken_back_and_adopted_by_scripts,
            ALL
        ),
        trial!(
            what_only_sql_servers_catalog_shows_is_found_when_changed_by_hand,
            SQL_SERVER
        ),
        trial!(what_is_switched_off_and_on_by_hand_is_found, SQL_SERVER),
        trial!(what_only_sql_server_has_is_found_as_well, SQL_SERVER),
    ];
    libtest_mimic::run(&arguments, trials).exit()
}

mod t_sql {
    pub use super::scripts::what_was_done_by_hand_is_taken_back_and_adopted_by_scripts;
    use super::*;
    use dbvc::schema::ChangeKind::{Added, Changed, Removed};

    pub async fn an_object_of_each_kind_is_found_with_all_its_properties() {
        on_a_server(|mut scratch| async move {
            scratch.by_hand(SHOP).await;
            let schema = scratch.schema().await;
            assert_eq!(diff(&shop(scratch.engine), &schema), []);
            assert_eq!(
                schema.object_counts(),
                ObjectCounts {
                    tables: 2,
                    views: 1,
                    indexes: 1,
                    procedures: 1,
                    functions: 2,
                    triggers: 1,
                    constraints: 5,
                    types: Some(2),
                    ..ObjectCounts::default()
                }
            );
            let columns = |table: &Table| -> Vec<String> {
                let names = table.columns.iter().map(|column| column.name.clone());
                names.collect()
            };
            let as_made = shop(scratch.engine);
            assert_eq!(
                schema.tables.iter().map(columns).collect::<Vec<_>>(),
                as_made.tables.iter().map(columns).collect::<Vec<_>>(),
                "columns keep their order"
            );
        })
        .await;
    }

    pub async fn the_same_schema_has_the_same_hash_each_time() {
        on_a_server(|mut scratch| async move {
            scratch.by_hand(SHOP).await;
            let first = scratch.schema().await;
            assert_eq!(scratch.schema().await, first);
            scratch
                .connection
                .begin(Duration::from_secs(10))
                .await
                .expect("a transaction begins");
            let within = scratch.schema().await;
            scratch
                .connection
                .rollback()
                .await
                .expect("the transaction ends");
            assert_eq!(within.hash(), first.hash());
            assert_eq!(scratch.schema().await.hash(), first.hash());
        })
        .await;
    }

    pub async fn what_is_changed_by_hand_is_found_and_nothing_else() {
        on_a_server(|mut scratch| async move {
            scratch.by_hand(SHOP).await;
            for step in STEPS {
                let changes = scratch.changes_after(step.by_hand).await;
                let expected = match scratch.engine {
                    Engine::Babelfish => step.on_babelfish,
                    _ => step.on_sql_server,
                };
                assert_eq!(
                    found(&changes),
                    expected,
                    "{:?}: {changes:#?}",
                    step.by_hand
                );
            }
            assert_eq!(diff(&shop(scratch.engine), &scratch.schema().await), []);
        })
        .await;
    }

    type Expected = &'static [(ChangeKind, ObjectKind, &'static str)];

    /// Something done by hand, and what is to be found of it.
    struct Step {
        by_hand: &'static [&'static str],
        on_sql_server: Expected,
        on_babelfish: Expected,
    }

    const fn step(by_hand: &'static [&'static str], expected: Expected) -> Step {
        Step {
            by_hand,
            on_sql_server: expected,
            on_babelfish: expected,
        }
    }

    /// A foreign key, which on Babelfish has no name and is known by its columns.
    const fn foreign_key(
        by_hand: &'static [&'static str],
        on_sql_server: Expected,
        on_babelfish: Expected,
    ) -> Step {
        Step {
            by_hand,
            on_sql_server,
            on_babelfish,
        }
    }

    /// One object of each kind added, changed and removed.
    const STEPS: &[Step] = &[
        step(
            &[
                "CREATE TABLE dbo.notes (id INT NOT NULL, line INT NOT NULL, customer INT NULL, about NVARCHAR(50) NULL)",
            ],
            &[(Added, ObjectKind::Table, "dbo.notes")],
        ),
        step(
            &["ALTER TABLE dbo.notes ADD pinned BIT NULL"],
            &[(Changed, ObjectKind::Table, "dbo.notes")],
        ),
        step(
            &["ALTER TABLE dbo.notes ALTER COLUMN about NVARCHAR(80)"],
            &[(Changed, ObjectKind::Table, "dbo.notes")],
        ),
        step(
            &["ALTER TABLE dbo.notes ADD CONSTRAINT notes_about DEFAULT 'none' FOR about"],
            &[(Changed, ObjectKind::Table, "dbo.notes")],
        ),
        step(
            &["ALTER TABLE dbo.notes DROP COLUMN pinned"],
            &[(Changed, ObjectKind::Table, "dbo.notes")],
        ),
        step(
            &["ALTER TABLE dbo.notes ADD CONSTRAINT notes_key PRIMARY KEY (id)"],
            &[(Added, ObjectKind::PrimaryKey, "dbo.notes.notes_key")],
        ),
        step(
            &[
                "ALTER TABLE dbo.notes DROP CONSTRAINT notes_key",
                "ALTER TABLE dbo.notes ADD CONSTRAINT notes_key PRIMARY KEY (id, line)",
            ],
            &[(Changed, ObjectKind::PrimaryKey, "dbo.notes.notes_key")],
        ),
        step(
            &["ALTER TABLE dbo.notes DROP CONSTRAINT notes_key"],
            &[(Removed, ObjectKind::PrimaryKey, "dbo.notes.notes_key")],
        ),
        step(
            &["ALTER TABLE dbo.notes ADD CONSTRAINT notes_line UNIQUE (line)"],
            &[(Added, ObjectKind::Unique, "dbo.notes.notes_line")],
        ),
        step(
            &[
                "ALTER TABLE dbo.notes DROP CONSTRAINT notes_line",
                "ALTER TABLE dbo.notes ADD CONSTRAINT notes_line UNIQUE (line, id)",
            ],
            &[(Changed, ObjectKind::Unique, "dbo.notes.notes_line")],
        ),
        step(
            &["ALTER TABLE dbo.notes DROP CONSTRAINT notes_line"],
            &[(Removed, ObjectKind::Unique, "dbo.notes.notes_line")],
        ),
        foreign_key(
            &[
                "ALTER TABLE dbo.notes ADD CONSTRAINT notes_customer FOREIGN KEY (customer) REFERENCES dbo.customers (id)",
            ],
            &[(Added, ObjectKind::ForeignKey, "dbo.notes.notes_customer")],
            &[(Added, ObjectKind::ForeignKey, "dbo.notes(customer)")],
        ),
        foreign_key(
            &[
                "ALTER TABLE dbo.notes DROP CONSTRAINT notes_customer",
                "ALTER TABLE dbo.notes ADD CONSTRAINT notes_customer FOREIGN KEY (customer) REFERENCES dbo.customers (id) \
                 ON DELETE SET NULL",
            ],
            &[(Changed, ObjectKind::ForeignKey, "dbo.notes.notes_customer")],
            &[(Changed, ObjectKind::ForeignKey, "dbo.notes(customer)")],
        ),
        foreign_key(
            &["ALTER TABLE dbo.notes DROP CONSTRAINT notes_customer"],
            &[(Removed, ObjectKind::ForeignKey, "dbo.notes.notes_customer")],
            &[(Removed, ObjectKind::ForeignKey, "dbo.notes(customer)")],
        ),
        step(
            &["ALTER TABLE dbo.notes ADD CONSTRAINT notes_positive CHECK (line > 0)"],
            &[(Added, ObjectKind::Check, "dbo.notes.notes_positive")],
        ),
        step(
            &[
                "ALTER TABLE dbo.notes DROP CONSTRAINT notes_positive",
                "ALTER TABLE dbo.notes ADD CONSTRAINT notes_positive CHECK (line > 1)",
            ],
            &[(Changed, ObjectKind::Check, "dbo.notes.notes_positive")],
        ),
        step(
            &["ALTER TABLE dbo.notes DROP CONSTRAINT notes_positive"],
            &[(Removed, ObjectKind::Check, "dbo.notes.notes_positive")],
        ),
        step(
            &["CREATE INDEX notes_by_line ON dbo.notes (line)"],
            &[(Added, ObjectKind::Index, "dbo.notes.notes_by_line")],
        ),
        step(
            &[
                "DROP INDEX notes_by_line ON dbo.notes",
                "CREATE INDEX notes_by_line ON dbo.notes (line DESC) INCLUDE (customer)",
            ],
            &[(Changed, ObjectKind::Index, "dbo.notes.notes_by_line")],
        ),
        step(
            &["DROP INDEX notes_by_line ON dbo.notes"],
            &[(Removed, ObjectKind::Index, "dbo.notes.notes_by_line")],
        ),
        step(
            &["CREATE TRIGGER dbo.notes_stamp ON dbo.notes AFTER INSERT AS SET NOCOUNT ON"],
            &[(Added, ObjectKind::Trigger, "dbo.notes.notes_stamp")],
        ),
        step(
            &[
                "DROP TRIGGER dbo.notes_stamp",
                "CREATE TRIGGER dbo.notes_stamp ON dbo.notes AFTER UPDATE AS SET NOCOUNT ON",
            ],
            &[(Changed, ObjectKind::Trigger, "dbo.notes.notes_stamp")],
        ),
        step(
            &["DROP TRIGGER dbo.notes_stamp"],
            &[(Removed, ObjectKind::Trigger, "dbo.notes.notes_stamp")],
        ),
        step(
            &["CREATE VIEW dbo.lines AS SELECT line FROM dbo.notes"],
            &[(Added, ObjectKind::View, "dbo.lines")],
        ),
        step(
            &[
                "DROP VIEW dbo.lines",
                "CREATE VIEW dbo.lines AS SELECT line, id FROM dbo.notes",
            ],
            &[(Changed, ObjectKind::View, "dbo.lines")],
        ),
        step(
            &["DROP VIEW dbo.lines"],
            &[(Removed, ObjectKind::View, "dbo.lines")],
        ),
        step(
            &["CREATE PROCEDURE dbo.greet AS SELECT 'hello'"],
            &[(Added, ObjectKind::Procedure, "dbo.greet")],
        ),
        step(
            &["ALTER PROCEDURE dbo.greet AS SELECT 'good evening'"],
            &[(Changed, ObjectKind::Procedure, "dbo.greet")],
        ),
        step(
            &["DROP PROCEDURE dbo.greet"],
            &[(Removed, ObjectKind::Procedure, "dbo.greet")],
        ),
        step(
            &["CREATE FUNCTION dbo.one () RETURNS INT AS BEGIN RETURN 1 END"],
            &[(Added, ObjectKind::Function, "dbo.one")],
        ),
        step(
            &["ALTER FUNCTION dbo.one () RETURNS INT AS BEGIN RETURN 2 - 1 END"],
            &[(Changed, ObjectKind::Function, "dbo.one")],
        ),
        step(
            &["DROP FUNCTION dbo.one"],
            &[(Removed, ObjectKind::Function, "dbo.one")],
        ),
        step(
            &[
                "EXEC sp_addextendedproperty N'MS_Description', N'what one remembers', N'SCHEMA', N'dbo', N'TABLE', N'notes'",
            ],
            &[(
                Added,
                ObjectKind::ExtendedProperty,
                "MS_Description of dbo.notes",
            )],
        ),
        step(
            &[
                "EXEC sp_updateextendedproperty N'MS_Description', N'what one forgot', N'SCHEMA', N'dbo', N'TABLE', N'notes'",
            ],
            &[(
                Changed,
                ObjectKind::ExtendedProperty,
                "MS_Description of dbo.notes",
            )],
        ),
        step(
            &[
                "EXEC sp_dropextendedproperty N'MS_Description', N'SCHEMA', N'dbo', N'TABLE', N'notes'",
            ],
            &[(
                Removed,
                ObjectKind::ExtendedProperty,
                "MS_Description of dbo.notes",
            )],
        ),
        step(
            &["DROP TABLE dbo.notes"],
            &[(Removed, ObjectKind::Table, "dbo.notes")],
        ),
        step(
            &["CREATE SCHEMA web"],
            &[(Added, ObjectKind::Schema, "web")],
        ),
        step(
            &["DROP SCHEMA web"],
            &[(Removed, ObjectKind::Schema, "web")],
        ),
        step(
            &["CREATE TYPE dbo.percentage FROM DECIMAL(5, 2)"],
            &[(Added, ObjectKind::Type, "dbo.percentage")],
        ),
        step(
            &[
                "DROP TYPE dbo.percentage",
                "CREATE TYPE dbo.percentage FROM DECIMAL(6, 3)",
            ],
            &[(Changed, ObjectKind::Type, "dbo.percentage")],
        ),
        step(
            &["DROP TYPE dbo.percentage"],
            &[(Removed, ObjectKind::Type, "dbo.percentage")],
        ),
        step(
            &[
                "DROP TYPE sales.lines",
                "CREATE TYPE sales.lines AS TABLE (number INT NOT NULL PRIMARY KEY, text NVARCHAR(60) NULL)",
            ],
            &[(Changed, ObjectKind::Type, "sales.lines")],
        ),
        step(
            &[
                "DROP TYPE sales.lines",
                "CREATE TYPE sales.lines AS TABLE (number INT NOT NULL PRIMARY KEY, text NVARCHAR(50) NULL)",
            ],
            &[(Changed, ObjectKind::Type, "sales.lines")],
        ),
    ];

    /// Of what only SQL Server shows in its catalog.
    const SQL_SERVER_STEPS: &[Step] = &[
        step(
            &["CREATE SEQUENCE dbo.numbers START WITH 5"],
            &[(Added, ObjectKind::Sequence, "dbo.numbers")],
        ),
        // Where it stands is data.
        step(&["DECLARE @n BIGINT = NEXT VALUE FOR dbo.numbers"], &[]),
        step(
            &["ALTER SEQUENCE dbo.numbers INCREMENT BY 3 NO CACHE"],
            &[(Changed, ObjectKind::Sequence, "dbo.numbers")],
        ),
        step(
            &["DROP SEQUENCE dbo.numbers"],
            &[(Removed, ObjectKind::Sequence, "dbo.numbers")],
        ),
        step(
            &["CREATE SYNONYM dbo.people FOR dbo.customers"],
            &[(Added, ObjectKind::Synonym, "dbo.people")],
        ),
        step(
            &[
                "DROP SYNONYM dbo.people",
                "CREATE SYNONYM dbo.people FOR sales.orders",
            ],
            &[(Changed, ObjectKind::Synonym, "dbo.people")],
        ),
        step(
            &["DROP SYNONYM dbo.people"],
            &[(Removed, ObjectKind::Synonym, "dbo.people")],
        ),
        step(
            &["CREATE ROLE reader"],
            &[(Added, ObjectKind::Role, "reader")],
        ),
        step(
            &["ALTER AUTHORIZATION ON ROLE::reader TO guest"],
            &[(Changed, ObjectKind::Role, "reader")],
        ),
        step(
            &["ALTER ROLE db_datareader ADD MEMBER reader"],
            &[(Added, ObjectKind::RoleMember, "db_datareader.reader")],
        ),
        step(
            &["GRANT SELECT ON sales.orders TO reader"],
            &[(
                Added,
                ObjectKind::Permission,
                "SELECT to reader on sales.orders",
            )],
        ),
        step(
            &["DENY SELECT ON sales.orders TO reader"],
            &[(
                Changed,
                ObjectKind::Permission,
                "SELECT to reader on sales.orders",
            )],
        ),
        step(
            &["REVOKE SELECT ON sales.orders TO reader"],
            &[(
                Removed,
                ObjectKind::Permission,
                "SELECT to reader on sales.orders",
            )],
        ),
        step(
            &["GRANT EXECUTE ON SCHEMA::sales TO reader"],
            &[(
                Added,
                ObjectKind::Permission,
                "EXECUTE to reader on schema sales",
            )],
        ),
        step(
            &["REVOKE EXECUTE ON SCHEMA::sales TO reader"],
            &[(
                Removed,
                ObjectKind::Permission,
                "EXECUTE to reader on schema sales",
            )],
        ),
        step(
            &["GRANT EXECUTE ON SCHEMA::dbo TO reader"],
            &[(
                Added,
                ObjectKind::Permission,
                "EXECUTE to reader on schema dbo",
            )],
        ),
        step(
            &["REVOKE EXECUTE ON SCHEMA::dbo TO reader"],
            &[(
                Removed,
                ObjectKind::Permission,
                "EXECUTE to reader on schema dbo",
            )],
        ),
        step(
            &["ALTER ROLE db_datareader DROP MEMBER reader"],
            &[(Removed, ObjectKind::RoleMember, "db_datareader.reader")],
        ),
        step(
            &["DROP ROLE reader"],
            &[(Removed, ObjectKind::Role, "reader")],
        ),
        step(
            &["CREATE TRIGGER guard ON DATABASE FOR DROP_TABLE AS PRINT 'gone'"],
            &[(Added, ObjectKind::Trigger, "guard")],
        ),
        step(
            &["DISABLE TRIGGER guard ON DATABASE"],
            &[(Changed, ObjectKind::Trigger, "guard")],
        ),
        step(
            &["DROP TRIGGER guard ON DATABASE"],
            &[(Removed, ObjectKind::Trigger, "guard")],
        ),
        step(
            &[
                "ALTER TABLE dbo.customers ALTER COLUMN note ADD MASKED WITH (FUNCTION = 'default()')",
            ],
            &[(Changed, ObjectKind::Table, "dbo.customers")],
        ),
        step(
            &["ALTER TABLE dbo.customers ALTER COLUMN note DROP MASKED"],
            &[(Changed, ObjectKind::Table, "dbo.customers")],
        ),
        step(
            &["ALTER TABLE dbo.customers ADD extra INT SPARSE NULL"],
            &[(Changed, ObjectKind::Table, "dbo.customers")],
        ),
        step(
            &["ALTER TABLE dbo.customers DROP COLUMN extra"],
            &[(Changed, ObjectKind::Table, "dbo.customers")],
        ),
        step(
            &[
                "ALTER TABLE sales.orders NOCHECK CONSTRAINT orders_number",
                "ALTER TABLE sales.orders CHECK CONSTRAINT orders_number",
            ],
            &[(Changed, ObjectKind::Check, "sales.orders.orders_number")],
        ),
        step(
            &["ALTER TABLE sales.orders WITH CHECK CHECK CONSTRAINT orders_number"],
            &[(Changed, ObjectKind::Check, "sales.orders.orders_number")],
        ),
    ];

    pub async fn what_only_sql_servers_catalog_shows_is_found_when_changed_by_hand() {
        on_a_server(|mut scratch| async move {
            scratch.by_hand(SHOP).await;
            for step in SQL_SERVER_STEPS {
                let changes = scratch.changes_after(step.by_hand).await;
                assert_eq!(
                    found(&changes),
                    step.on_sql_server,
                    "{:?}: {changes:#?}",
                    step.by_hand
                );
            }
            assert_eq!(diff(&shop(scratch.engine), &scratch.schema().await), []);
        })
        .await;
    }

    pub async fn what_is_switched_off_and_on_by_hand_is_found() {
        on_a_server(|mut scratch| async move {
            scratch.by_hand(SHOP).await;
            let switched = [
                (
                    "ALTER TABLE sales.orders NOCHECK CONSTRAINT orders_customer",
                    (
                        Changed,
                        ObjectKind::ForeignKey,
                        "sales.orders.orders_customer",
                    ),
                ),
                (
                    "ALTER TABLE sales.orders NOCHECK CONSTRAINT orders_number",
                    (Changed, ObjectKind::Check, "sales.orders.orders_number"),
                ),
                (
                    "DISABLE TRIGGER sales.orders_stamp ON sales.orders",
                    (Changed, ObjectKind::Trigger, "sales.orders.orders_stamp"),
                ),
                (
                    "ALTER INDEX orders_by_net ON sales.orders DISABLE",
                    (Changed, ObjectKind::Index, "sales.orders.orders_by_net"),
                ),
                (
                    "ALTER INDEX customers_email ON dbo.customers DISABLE",
                    (Changed, ObjectKind::Unique, "dbo.customers.customers_email"),
                ),
            ];
            for (by_hand, expected) in switched {
                let changes = scratch.changes_after(&[by_hand]).await;
                assert_eq!(found(&changes), [expected], "{by_hand}");
                assert_eq!(changes[0].details.len(), 1);
                assert_eq!(changes[0].details[0].property, "disabled");
            }
            scratch
                .by_hand(&[
                    "ALTER TABLE sales.orders WITH CHECK CHECK CONSTRAINT ALL",
                    "ENABLE TRIGGER sales.orders_stamp ON sales.orders",
                    "ALTER INDEX ALL ON sales.orders REBUILD",
                    "ALTER INDEX ALL ON dbo.customers REBUILD",
                ])
                .await;
            assert_eq!(diff(&shop(scratch.engine), &scratch.schema().await), []);
        })
        .await;
    }

    pub async fn what_only_sql_server_has_is_found_as_well() {
        on_a_server(|mut scratch| async move {
            const TOTALS: &str = "CREATE VIEW dbo.totals WITH SCHEMABINDING AS \
                SELECT rate, COUNT_BIG(*) AS lines FROM dbo.rates GROUP BY rate";
            const QUOTED: &str = "CREATE PROCEDURE dbo.quoted AS SELECT \"text\"";
            scratch
                .by_hand(&[
                    "CREATE TABLE dbo.rates (
                        id INT NOT NULL PRIMARY KEY,
                        rate INT NOT NULL,
                        valid_from DATETIME2(0) GENERATED ALWAYS AS ROW START HIDDEN NOT NULL,
                        valid_to DATETIME2(0) GENERATED ALWAYS AS ROW END HIDDEN NOT NULL,
                        PERIOD FOR SYSTEM_TIME (valid_from, valid_to)
                    )",
                    "CREATE TABLE dbo.facts (day DATE NOT NULL, amount MONEY NOT NULL)",
                    "CREATE CLUSTERED COLUMNSTORE INDEX facts_store ON dbo.facts",
                    TOTALS,
                    "CREATE UNIQUE CLUSTERED INDEX totals_by_rate ON dbo.totals (rate)",
                    "CREATE PROCEDURE dbo.secret WITH ENCRYPTION AS SELECT 1 AS one",
                    "SET QUOTED_IDENTIFIER OFF",
                    QUOTED,
                    "SET QUOTED_IDENTIFIER ON",
                ])
                .await;
            let schema = scratch.schema().await;
            let table = |name: &str| {
                let table = schema.tables.iter().find(|table| table.name == name);
                table.unwrap_or_else(|| panic!("no table {name}"))
            };
            let hidden: Vec<bool> = table("dbo.rates")
                .columns
                .iter()
                .map(|column| column.hidden)
                .collect();
            assert_eq!(hidden, [false, false, true, true]);
            let key = table("dbo.rates").primary_key.as_ref();
            assert_eq!(key.and_then(|key| key.name.as_deref()), None);
            assert_eq!(
                table("dbo.facts").indexes,
                [Index {
                    name: "facts_store".into(),
                    kind: Some("CLUSTERED COLUMNSTORE".into()),
                    ..Index::default()
                }]
            );
            assert_eq!(
                schema.views,
                [Module {
                    name: "dbo.totals".into(),
                    text: TOTALS.into(),
                    indexes: vec![Index {
                        name: "totals_by_rate".into(),
                        unique: true,
                        columns: vec![KeyColumn::ascending("rate")],
                        kind: Some("CLUSTERED".into()),
                        ..Index::default()
                    }],
                    ..Module::default()
                }]
            );
            let quoted = Module {
                name: "dbo.quoted".into(),
                text: QUOTED.into(),
                settings: ModuleSettings {
                    quoted_identifier_off: true,
                    ..ModuleSettings::default()
                },
                ..Module::default()
            };
            let secret = Module {
                name: "dbo.secret".into(),
                ..Module::default()
            };
            assert_eq!(schema.procedures, [quoted, secret]);
        })
        .await;
    }
}
