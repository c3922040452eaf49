//! What a script leaves in its session keeps no record from being written, and does not reach the next script.

use serde_json::json;

use crate::harness::Test;
use crate::support::scene::{HOME, Scene};
use crate::support::stage::{Engine, Stage};
use crate::support::team::{Team, each, list, outcomes};

pub fn tests() -> Vec<Test> {
    let on_each_engine = on_each_engine![
        what_a_batch_makes_for_its_session_is_there_for_the_next_batch_only_of_its_script,
    ];
    let on_t_sql = on_t_sql![
        options_set_by_one_script_do_not_reach_the_next,
        a_script_that_ends_in_another_database_is_recorded_in_its_own,
        nothing_is_executed_behind_noexec_but_the_record_is_written,
        implicit_transactions_keep_no_record_from_being_written,
    ];
    on_each_engine.into_iter().chain(on_t_sql).collect()
}

async fn what_a_batch_makes_for_its_session_is_there_for_the_next_batch_only_of_its_script(
    stage: &Stage,
) {
    let (scene, team) = stage.team().await;
    team.register("V1__ledger", scene.ledger_table()).await;
    team.run().await;
    let (make, table) = match stage.engine() {
        Engine::Sqlite => ("CREATE TEMP TABLE scratch (entry TEXT);", "scratch"),
        Engine::Babelfish | Engine::SqlServer => {
            ("CREATE TABLE #scratch (entry NVARCHAR(10));", "#scratch")
        }
    };
    // On Babelfish a session that has checked a foreign key, as every record does, cannot check it any more when it has
    // made a temporary table: no script in dbvc's session may come before the second of these.
    for (version, transaction) in [(2, "on"), (3, "on"), (4, "off"), (5, "off")] {
        team.register(
            &format!("V{version}__x"),
            &format!(
                "-- dbvc: transaction={transaction}\n{make}\nGO\nINSERT INTO {table} VALUES ('{version}');\nGO\n\
                 INSERT INTO ledger SELECT entry FROM {table};"
            ),
        )
        .await;
    }
    let run = team.run().await;
    assert_eq!(each(&run["migrations"], "status"), ["applied"; 4]);
    assert_eq!(scene.ledger(HOME).await, ["2", "3", "4", "5"]);
    team.register("V6__looks", &format!("SELECT * FROM {table};"))
        .await;
    assert_eq!(outcomes(&team.run_badly().await), ["V6__looks failed"]);
}

/// A team with three rows to be counted, and a table for what scripts count.
async fn team_that_looks(stage: &Stage) -> (Scene, Team) {
    let (scene, team) = stage.team().await;
    team.register(
        "V1__tables",
        "CREATE TABLE three (n INT NOT NULL);\nGO\nINSERT INTO three VALUES (1), (2), (3);\nGO\n\
         CREATE TABLE seen (who NVARCHAR(60) NOT NULL, n INT NOT NULL);",
    )
    .await;
    (scene, team)
}

/// A script that notes three rows under a name when its session is as every script should find it.
fn look(who: &str) -> String {
    format!(
        "INSERT INTO \"seen\" SELECT '{who}' + COALESCE(' and' + NULL, ''), n FROM three \
         WHERE DATEPART(MONTH, CAST('01/02/2020' AS DATETIME)) = 1 AND DB_NAME() <> 'master' AND @@TRANCOUNT = 1;\n\
         DELETE FROM seen WHERE NULL = NULL;"
    )
}

/// The names under which three rows were noted.
async fn seen(scene: &Scene) -> Vec<String> {
    scene
        .read(
            HOME,
            "SELECT who FROM seen GROUP BY who HAVING COUNT(*) = 3 ORDER BY who",
        )
        .await
}

/// Every script is applied by one execution, and nothing is wrong with the records.
async fn expect_recorded_once(scene: &Scene, team: &Team) {
    let status = team.status().await;
    for migration in list(&status["migrations"]) {
        let id = migration["migrationId"].as_str().expect("an id");
        let found = team.migration(id).await;
        assert_eq!(each(&found["executions"], "status"), ["applied"], "{id}");
    }
    scene.expect_sound(&team.host, HOME).await;
}

async fn options_set_by_one_script_do_not_reach_the_next(stage: &Stage) {
    let isolation = match stage.engine() {
        // It knows no stricter level.
        Engine::Babelfish => "TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
        Engine::SqlServer => "TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        Engine::Sqlite => unreachable!("SQLite has no SET"),
    };
    let options = [
        "ANSI_NULLS OFF",
        "ANSI_PADDING OFF",
        "ANSI_WARNINGS OFF",
        "ARITHABORT OFF",
        "CONCAT_NULL_YIELDS_NULL OFF",
        "DATEFORMAT dmy",
        "LOCK_TIMEOUT 1",
        "NOCOUNT ON",
        "QUOTED_IDENTIFIER OFF",
        "ROWCOUNT 1",
        "TEXTSIZE 5",
        isolation,
        "XACT_ABORT OFF",
    ];
    let (scene, team) = team_that_looks(stage).await;
    for (version, option) in (2..).zip(options) {
        team.register(&format!("V{version}__set"), &format!("SET {option};"))
            .await;
        team.register(&format!("V{version}.1__look"), &look(option))
            .await;
    }
    let answer = team.try_run(json!({})).await;
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    assert_eq!(seen(&scene).await, options);
    expect_recorded_once(&scene, &team).await;
}

async fn a_script_that_ends_in_another_database_is_recorded_in_its_own(stage: &Stage) {
    let (scene, team) = team_that_looks(stage).await;
    team.register("V2__goes", "USE master;").await;
    team.register("V3__look", &look("after USE")).await;
    let run = team.run().await;
    assert_eq!(each(&run["migrations"], "status"), ["applied"; 3]);
    assert_eq!(seen(&scene).await, ["after USE"]);
    expect_recorded_once(&scene, &team).await;
}

async fn nothing_is_executed_behind_noexec_but_the_record_is_written(stage: &Stage) {
    let (scene, team) = team_that_looks(stage).await;
    team.register(
        "V2__noexec",
        "SET NOEXEC ON;\nGO\nINSERT INTO seen VALUES ('behind NOEXEC', 1), ('behind NOEXEC', 2), ('behind NOEXEC', 3);",
    )
    .await;
    team.register("V3__look", &look("the next script")).await;
    let run = team.run().await;
    assert_eq!(each(&run["migrations"], "status"), ["applied"; 3]);
    let expected = match stage.engine() {
        Engine::SqlServer => vec!["the next script"],
        // It takes no notice of NOEXEC.
        Engine::Babelfish => vec!["behind NOEXEC", "the next script"],
        Engine::Sqlite => unreachable!("SQLite has no NOEXEC"),
    };
    assert_eq!(seen(&scene).await, expected);
    expect_recorded_once(&scene, &team).await;
}

async fn implicit_transactions_keep_no_record_from_being_written(stage: &Stage) {
    let (scene, team) = team_that_looks(stage).await;
    team.register(
        "V2__implicit",
        "SET IMPLICIT_TRANSACTIONS ON;\nGO\nDELETE FROM three WHERE n > 3;\nGO\nSELECT * FROM three;",
    )
    .await;
    team.register("V3__look", &look("the next script")).await;
    let run = team.run().await;
    assert_eq!(each(&run["migrations"], "status"), ["applied"; 3]);
    assert_eq!(seen(&scene).await, ["the next script"]);
    expect_recorded_once(&scene, &team).await;
}
