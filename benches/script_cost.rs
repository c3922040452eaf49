//! What a run costs beside the bare scripts on SQLite: the same scripts, each in a transaction of its own, once sent by hand and
//! once run by dbvc, in turn, on the same disk. Prints the ratio of each pair and their median.
//!
//! `cargo bench --bench script_cost`

use std::path::Path;
use std::time::{Duration, Instant};

use dbvc::engine::{
    Caller, DryRun, Engine, EngineOptions, Naming, NewMigration, OutOfOrder, RunRequest, Target,
    Wait,
};
use dbvc::script::{DatabaseId, MigrationName, Version};

/// How often the pair is timed, after one round that does not count.
const PAIRS: usize = 9;

fn scripts(count: usize, rows: usize) -> Vec<String> {
    (0..count)
        .map(|number| {
            let mut script =
                format!("CREATE TABLE t{number} (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n");
            for row in 0..rows {
                script.push_str(&format!(
                    "INSERT INTO t{number} (name) VALUES ('row {row} of table {number}');\n"
                ));
            }
            script
        })
        .collect()
}

fn bare(folder: &Path, scripts: &[String]) -> Duration {
    let connection = rusqlite::Connection::open(folder.join("bare.sqlite")).unwrap();
    connection
        .pragma_update(None, "journal_mode", "wal")
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "full")
        .unwrap();
    let begun = Instant::now();
    for script in scripts {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        connection.execute_batch(script).unwrap();
        connection.execute_batch("COMMIT").unwrap();
    }
    begun.elapsed()
}

async fn with_dbvc(folder: &Path, scripts: &[String]) -> Duration {
    let home = DatabaseId::parse("bench").unwrap();
    let engine = Engine::open(EngineOptions::embedded("dev", home.clone(), folder));
    let caller = Caller {
        executor: "bench".to_owned(),
        principal: None,
    };
    let new = scripts
        .iter()
        .enumerate()
        .map(|(number, script)| NewMigration {
            database_id: home.clone(),
            naming: Naming::Given {
                name: MigrationName::from_request("bench").unwrap(),
                version: Some(Version::parse(&(1000 + number).to_string()).unwrap()),
            },
            author: "bench".to_owned(),
            description: None,
            up_script: script.clone(),
            down_script: None,
            reregister: false,
        })
        .collect();
    engine.create_all(&caller, &home, new).await.unwrap();
    engine.settle().await;
    let request = RunRequest {
        database_id: Target::One(home),
        environment: "dev".to_owned(),
        target: None,
        out_of_order: OutOfOrder::Error,
        baseline: None,
        allow_not_empty: false,
        dry_run: DryRun::No,
        migrations: Vec::new(),
    };
    let begun = Instant::now();
    engine.run(&caller, request, Wait::ToTheEnd).await.unwrap();
    let elapsed = begun.elapsed();
    engine.settle().await;
    elapsed
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (name, count, rows) in [
        ("200 scripts of 2 statements", 200, 1),
        ("50 scripts of 200 statements", 50, 199),
        ("1 script of 20 000 statements", 1, 19_999),
    ] {
        let scripts = scripts(count, rows);
        let mut ratios = Vec::new();
        for pair in 0..=PAIRS {
            let folder = tempfile::tempdir().unwrap();
            let floor = bare(folder.path(), &scripts);
            let dbvc = runtime.block_on(with_dbvc(folder.path(), &scripts));
            if pair > 0 {
                println!("{name}: bare {floor:?}, dbvc {dbvc:?}");
                ratios.push(dbvc.as_secs_f64() / floor.as_secs_f64());
            }
        }
        ratios.sort_by(f64::total_cmp);
        println!(
            "{name}: median {:.3} x the bare scripts (from {:.3} to {:.3})",
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1]
        );
    }
}
