//! A whole sample database as one script: applied, captured, rolled back and applied again.

mod support;

use serde_json::{Value, json};

use support::dbvc::{Dbvc, outcomes};
use support::shape::expect_like;

/// Where the sample lies when it is there; it is not part of the project.
const SAMPLE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../shared/data/chinook_sqlite.sql"
);

/// A script with what is to be found in the database that it makes.
struct Sample {
    up: String,
    /// Its tables, those that refer to others first.
    tables: Vec<String>,
    indexes: usize,
    rows: usize,
}

#[tokio::test]
async fn a_whole_database_is_applied_rolled_back_and_applied_again() {
    let sample = match std::fs::read_to_string(SAMPLE) {
        Ok(up) => chinook(up),
        Err(error) => {
            println!(
                "{SAMPLE} cannot be read ({error}): a generated script of its size is tried instead"
            );
            generated()
        }
    };
    try_out(&sample).await;
}

#[tokio::test]
async fn a_generated_script_of_that_size_is_no_different() {
    try_out(&generated()).await;
}

/// The sample database of a shop for music.
fn chinook(up: String) -> Sample {
    let tables = [
        "PlaylistTrack",
        "InvoiceLine",
        "Invoice",
        "Customer",
        "Employee",
        "Track",
        "Album",
        "Artist",
        "Genre",
        "MediaType",
        "Playlist",
    ];
    Sample {
        up,
        tables: tables.map(str::to_owned).to_vec(),
        indexes: 11,
        rows: 15_607,
    }
}

/// Tables in a row, each of which refers to the one before, with many rows in statements of many lines.
fn generated() -> Sample {
    const TABLES: usize = 11;
    const STATEMENTS: usize = 30;
    const ROWS: usize = 40;
    let mut up = String::from("\u{feff}/* generated;\r\n   with a comment */\r\n");
    for table in 0..TABLES {
        let before = table.saturating_sub(1);
        up.push_str(&format!(
            "DROP TABLE IF EXISTS [t{table}];\r\nCREATE TABLE [t{table}]\r\n(\r\n    [id] INTEGER NOT NULL,\r\n    \
             [before] INTEGER,\r\n    [name] NVARCHAR(120),\r\n    CONSTRAINT [pk_t{table}] PRIMARY KEY ([id]),\r\n    \
             FOREIGN KEY ([before]) REFERENCES [t{before}] ([id])\r\n);\r\n\
             CREATE INDEX [i{table}] ON [t{table}] ([before]);\r\n"
        ));
        for statement in 0..STATEMENTS {
            let rows: Vec<String> = (0..ROWS)
                .map(|row| {
                    let id = statement * ROWS + row;
                    format!("    ({id}, {id}, N'Ångström''s; -- no comment {id}')")
                        .replace("N'", "'")
                })
                .collect();
            up.push_str(&format!(
                "INSERT INTO [t{table}] ([id], [before], [name]) VALUES\r\n{};\r\n",
                rows.join(",\r\n")
            ));
        }
    }
    Sample {
        up,
        tables: (0..TABLES).rev().map(|table| format!("t{table}")).collect(),
        indexes: TABLES,
        rows: TABLES * STATEMENTS * ROWS,
    }
}

async fn try_out(sample: &Sample) {
    assert!(
        sample.up.len() > 500_000,
        "a big script: {} bytes",
        sample.up.len()
    );
    let down: String = sample
        .tables
        .iter()
        .map(|table| format!("DROP TABLE [{table}];\n"))
        .collect();
    let dbvc = Dbvc::start().await;
    dbvc.register_with_down("V1__whole_database", &sample.up, &down)
        .await;

    let trial = dbvc.run_with(json!({ "dryRun": "execute" })).await;
    assert_eq!(
        trial["migrations"][0]["batches"][0]["rowsAffected"],
        sample.rows
    );
    assert!(!dbvc.has(&sample.tables[0]));

    let run = dbvc.run().await;
    assert_eq!(outcomes(&run), ["V1__whole_database applied"]);
    expect_like(
        &run["migrations"][0]["batches"],
        &json!([{ "index": 1, "line": 1, "count": 1, "rowsAffected": sample.rows, "messages": [] }]),
    );
    expect_everything(&dbvc, sample).await;

    let undone = dbvc
        .roll_back("V1__whole_database", json!({}))
        .await
        .expect_status(200);
    assert_eq!(undone.body["databases"][0]["toVersion"], Value::Null);
    let left = dbvc.snapshot("manual").await;
    expect_like(
        &left["objectCounts"],
        &json!({ "tables": 0, "views": 0, "indexes": 0, "procedures": 0, "functions": 0, "triggers": 0, "constraints": 0 }),
    );
    assert_eq!(dbvc.drift().await["detected"], false);

    assert_eq!(outcomes(&dbvc.run().await), ["V1__whole_database applied"]);
    expect_everything(&dbvc, sample).await;
    let migration = dbvc.migration("V1__whole_database").await;
    assert_eq!(
        migration["upScript"].as_str(),
        Some(sample.up.as_str()),
        "kept to the letter"
    );
    assert_eq!(dbvc.verify().await["healthy"], true);
    dbvc.host.expect_silent_stderr();
}

async fn expect_everything(dbvc: &Dbvc, sample: &Sample) {
    let snapshot = dbvc.snapshot("manual").await;
    expect_like(
        &snapshot["objectCounts"],
        &json!({
            "tables": sample.tables.len(), "views": 0, "indexes": sample.indexes, "procedures": 0, "functions": 0,
            "triggers": 0, "constraints": "<number>",
        }),
    );
    let counted: usize = sample
        .tables
        .iter()
        .map(|table| {
            let rows = dbvc.ask_by_hand(&format!("SELECT count(*) FROM [{table}]"));
            rows.parse::<usize>().unwrap()
        })
        .sum();
    assert_eq!(counted, sample.rows);
    assert_eq!(dbvc.drift().await["detected"], false);
}
