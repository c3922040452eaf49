//! Scripts out of a difference, run on the server that they are for.

use dbvc::schema::{Compared, Dialect, Proposal, Purpose, Schema, diff, proposal};
use dbvc::script::{Syntax, split};

use crate::support::drift_script::in_full;
use crate::support::stage::Engine;
use crate::{SHOP, Scratch, on_a_server};

/// Beside the shop, so that its objects stay as they are.
const NOTES: &[&str] = &[
    "CREATE TABLE dbo.notes (id INT NOT NULL CONSTRAINT notes_key PRIMARY KEY, line INT NULL, about NVARCHAR(50) NULL, \
     customer INT NULL, CONSTRAINT notes_positive CHECK (line > 0))",
    "CREATE INDEX notes_by_about ON dbo.notes (about, line DESC)",
    "CREATE VIEW dbo.lines AS SELECT id FROM dbo.notes",
];

/// Each is done by hand, taken back by a script, and done again by another one.
const CHANGES: &[&[&str]] = &[
    &[
        "CREATE SCHEMA web",
        "CREATE TABLE web.pages (id INT NOT NULL, text NVARCHAR(MAX) NULL, size AS (id * 2), \
       CONSTRAINT pages_key PRIMARY KEY (id), CONSTRAINT pages_size CHECK (id < 100))",
        "CREATE VIEW web.sizes AS SELECT size FROM web.pages",
    ],
    &["ALTER TABLE dbo.notes ADD pinned BIT NULL"],
    &["ALTER TABLE dbo.notes DROP COLUMN customer"],
    &["ALTER TABLE dbo.notes ALTER COLUMN about NVARCHAR(80)"],
    &["ALTER TABLE dbo.notes ALTER COLUMN line BIGINT"],
    &["ALTER TABLE dbo.notes DROP CONSTRAINT notes_positive"],
    &[
        "ALTER TABLE dbo.notes DROP CONSTRAINT notes_positive",
        "ALTER TABLE dbo.notes ADD CONSTRAINT notes_positive CHECK (line > 1)",
    ],
    &[
        "ALTER TABLE dbo.notes DROP CONSTRAINT notes_key",
        "ALTER TABLE dbo.notes ADD CONSTRAINT notes_id UNIQUE (id)",
    ],
    &[
        "ALTER TABLE dbo.notes ADD CONSTRAINT notes_customer FOREIGN KEY (customer) REFERENCES dbo.customers (id) ON DELETE SET NULL",
    ],
    &[
        "DROP INDEX notes_by_about ON dbo.notes",
        "CREATE INDEX notes_by_about ON dbo.notes (about) INCLUDE (line)",
    ],
    &["DROP INDEX notes_by_about ON dbo.notes"],
    &[
        "DROP VIEW dbo.lines",
        "CREATE VIEW dbo.lines AS SELECT line, id FROM dbo.notes -- more",
    ],
    &["DROP VIEW dbo.lines"],
    // On a table that loses no column: Babelfish would take the trigger with it.
    &[
        "DROP TRIGGER sales.orders_stamp",
        "CREATE TRIGGER sales.orders_stamp ON sales.orders AFTER UPDATE AS SET NOCOUNT ON",
    ],
    &["DROP TRIGGER sales.orders_stamp"],
    &[
        "CREATE PROCEDURE dbo.greet AS SELECT 'it''s'",
        "ALTER PROCEDURE sales.count_orders @customer INT AS SELECT 1",
    ],
    &[
        "CREATE FUNCTION dbo.triple_of (@n INT) RETURNS INT AS BEGIN RETURN dbo.double_of(@n) + @n END",
    ],
    &["CREATE TYPE dbo.percentage FROM DECIMAL(5, 2)"],
    &[
        "DROP TYPE sales.lines",
        "CREATE TYPE sales.lines AS TABLE (number INT NOT NULL PRIMARY KEY, text NVARCHAR(60) NULL)",
    ],
    &[
        "EXEC sp_addextendedproperty N'MS_Description', N'what one remembers', N'SCHEMA', N'dbo', N'TABLE', N'notes'",
    ],
];

/// What Babelfish refuses, or does not show in its catalog.
const SQL_SERVER_CHANGES: &[&[&str]] = &[
    &["ALTER TABLE dbo.notes ADD CONSTRAINT notes_about DEFAULT N'none' FOR about"],
    &["ALTER TABLE dbo.notes ALTER COLUMN about NVARCHAR(50) NOT NULL"],
    &["CREATE SEQUENCE dbo.numbers START WITH 5 INCREMENT BY 3 NO CACHE"],
    &["CREATE SYNONYM dbo.people FOR dbo.customers"],
    &[
        "CREATE ROLE reader",
        "GRANT SELECT ON sales.orders TO reader",
        "DENY SELECT ON dbo.notes (about) TO reader",
    ],
    &["ALTER TABLE dbo.notes NOCHECK CONSTRAINT notes_positive"],
    &["DISABLE TRIGGER sales.orders_stamp ON sales.orders"],
    &["CREATE UNIQUE INDEX notes_unique ON dbo.notes (line) WHERE line > 10"],
];

fn write(from: &Schema, to: &Schema, purpose: Purpose) -> Proposal {
    let compared = Compared {
        database: "shop",
        from: "one",
        to: "the other",
    };
    proposal(from, to, Dialect::TransactSql, purpose, compared)
}

/// Babelfish refuses CREATE OR ALTER, so that there a module is dropped and made; and NULL in ALTER COLUMN.
fn for_engine(engine: Engine, batch: &str) -> Vec<String> {
    let code: Vec<&str> = batch
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect();
    let mut code = code.join("\n");
    if engine == Engine::Babelfish && code.contains(" ALTER COLUMN ") {
        code = code.replace(" NULL;", ";");
    }
    let Some(rest) = code
        .trim()
        .strip_prefix("CREATE OR ALTER ")
        .filter(|_| engine == Engine::Babelfish)
    else {
        return vec![code];
    };
    let mut words = rest.split([' ', '(']);
    let (kind, name) = (words.next().expect("a kind"), words.next().expect("a name"));
    vec![
        format!("DROP {kind} IF EXISTS {name}"),
        format!("CREATE {rest}"),
    ]
}

/// Whether a script can run where its change is there. On Babelfish no index is found by its name, so that it would be made
/// a second time.
fn asks_first(engine: Engine, script: &str) -> bool {
    engine != Engine::Babelfish || !script.contains("CREATE INDEX")
}

async fn run(scratch: &mut Scratch, script: &str) {
    let split = split(script, Syntax::TransactSql).expect("a script splits");
    for batch in &split.batches {
        for batch in for_engine(scratch.engine, batch.text) {
            scratch.by_hand(&[&batch]).await;
        }
    }
}

pub async fn what_was_done_by_hand_is_taken_back_and_adopted_by_scripts() {
    on_a_server(|mut scratch| async move {
        scratch.by_hand(SHOP).await;
        scratch.by_hand(NOTES).await;
        let changes = match scratch.engine {
            Engine::Babelfish => CHANGES.to_vec(),
            _ => [CHANGES, SQL_SERVER_CHANGES].concat(),
        };
        let before = scratch.schema().await;
        for by_hand in changes {
            scratch.by_hand(by_hand).await;
            let after = scratch.schema().await;
            assert_ne!(diff(&before, &after), [], "{by_hand:?}");

            let revert = in_full(&write(&before, &after, Purpose::Revert).text);
            run(&mut scratch, &revert).await;
            assert_eq!(
                diff(&before, &scratch.schema().await),
                [],
                "{by_hand:?}: {revert}"
            );
            if asks_first(scratch.engine, &revert) {
                run(&mut scratch, &revert).await;
            }
            assert_eq!(
                diff(&before, &scratch.schema().await),
                [],
                "twice {by_hand:?}: {revert}"
            );

            let adopt = in_full(&write(&before, &after, Purpose::Adopt).text);
            run(&mut scratch, &adopt).await;
            assert_eq!(
                diff(&after, &scratch.schema().await),
                [],
                "{by_hand:?}: {adopt}"
            );
            if asks_first(scratch.engine, &adopt) {
                run(&mut scratch, &adopt).await;
            }
            assert_eq!(
                diff(&after, &scratch.schema().await),
                [],
                "twice {by_hand:?}: {adopt}"
            );

            run(&mut scratch, &revert).await;
            assert_eq!(
                diff(&before, &scratch.schema().await),
                [],
                "again {by_hand:?}: {revert}"
            );
        }
    })
    .await;
}
