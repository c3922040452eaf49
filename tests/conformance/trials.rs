//! `dryRun: "execute"`: everything runs in one transaction, which is rolled back.

use serde_json::{Value, json};

use crate::harness::Test;
use crate::support::scene::HOME;
use crate::support::stage::Stage;
use crate::support::team::{detail, expect_problem, outcomes};

pub fn tests() -> Vec<Test> {
    on_each_engine![
        a_trial_runs_everything_and_leaves_nothing,
        a_trial_tells_the_failure_and_leaves_no_trace,
        a_trial_refuses_what_cannot_be_rolled_back,
        a_trial_refuses_what_would_end_its_transaction,
        a_trial_works_on_a_database_without_a_registry,
    ]
}

async fn a_trial_runs_everything_and_leaves_nothing(stage: &Stage) {
    let (scene, team) = stage.team().await;
    let team = team.allowing_not_empty();
    scene.write(HOME, scene.ledger_table()).await;
    team.register(
        "V1__a",
        "CREATE TABLE a (id INTEGER);\nGO\nINSERT INTO a VALUES (1), (2);\nINSERT INTO ledger VALUES ('V1');",
    )
    .await;
    team.register("V2__b", "INSERT INTO a SELECT id + 2 FROM a;")
        .await;
    let before = team.events().await.len();
    let answer = team
        .try_run(json!({ "dryRun": "execute" }))
        .await
        .expect_status(200);
    let run = &answer.body["databases"][0];
    assert_eq!(outcomes(run), ["V1__a planned", "V2__b planned"]);
    assert_eq!(run["migrations"][0]["batches"][1]["rowsAffected"], 3);
    assert_eq!(
        run["migrations"][1]["batches"][0]["rowsAffected"], 2,
        "a script sees what those before it did"
    );
    assert!(!scene.has("a").await);
    assert!(scene.ledger(HOME).await.is_empty());
    assert_eq!(team.events().await.len(), before);
    assert_eq!(team.states().await, ["V1__a pending", "V2__b pending"]);
    assert_eq!(team.status().await["lock"], Value::Null);
    // What was tried is run for good.
    assert_eq!(
        outcomes(&team.run().await),
        ["V1__a applied", "V2__b applied"]
    );
    assert_eq!(scene.ledger(HOME).await, ["V1"]);
}

async fn a_trial_tells_the_failure_and_leaves_no_trace(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register("V1__fine", "CREATE TABLE fine (id INTEGER);")
        .await;
    team.register(
        "V2__bad",
        "SELECT 1;\nINSERT INTO fine VALUES (1), (2);\nGO\nDROP TABLE missing;",
    )
    .await;
    team.register("V3__later", "SELECT 1;").await;
    let before = team.events().await.len();
    let answer = team.try_run(json!({ "dryRun": "execute" })).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    let run = &problem["run"]["databases"][0];
    assert_eq!(
        outcomes(run),
        ["V1__fine planned", "V2__bad failed", "V3__later skipped"]
    );
    assert_eq!(run["migrations"][1]["errors"][0]["line"], 4);
    assert!(!scene.has("fine").await);
    assert_eq!(team.events().await.len(), before);
    assert_eq!(
        team.states().await,
        ["V1__fine pending", "V2__bad pending", "V3__later pending"]
    );
    assert_eq!(team.status().await["lastRun"], Value::Null);
    assert_eq!(
        scene
            .read(HOME, "SELECT COUNT(*) FROM migration_runs")
            .await,
        ["0"]
    );
}

async fn a_trial_refuses_what_cannot_be_rolled_back(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register("V1__fine", "CREATE TABLE fine (id INTEGER);")
        .await;
    team.register("V2__by_words", stage.statement_without_transaction())
        .await;
    team.register("V3__by_its_author", "-- dbvc: transaction=off\nSELECT 1;")
        .await;
    let answer = team.try_run(json!({ "dryRun": "execute" })).await;
    let problem = expect_problem(&answer, 409, "not-transactional");
    for id in ["V2__by_words", "V3__by_its_author"] {
        assert!(detail(&problem).contains(id), "{id}: {problem:#}");
    }
    assert!(!scene.has("fine").await);
}

async fn a_trial_refuses_what_would_end_its_transaction(stage: &Stage) {
    let (scene, team) = stage.team().await;
    team.register("V1__fine", "CREATE TABLE fine (id INTEGER);")
        .await;
    team.register("V2__ends", "CREATE TABLE kept (id INTEGER);\nGO\nCOMMIT;")
        .await;
    let answer = team.try_run(json!({ "dryRun": "execute" })).await;
    let problem = expect_problem(&answer, 422, "migration-failed");
    let run = &problem["run"]["databases"][0];
    assert_eq!(outcomes(run), ["V1__fine planned", "V2__ends failed"]);
    assert_eq!(run["migrations"][1]["errors"][0]["line"], 3);
    assert!(!scene.has("fine").await && !scene.has("kept").await);
}

async fn a_trial_works_on_a_database_without_a_registry(stage: &Stage) {
    let (scene, team) = stage.team().await;
    let inline =
        json!([{ "fileName": team.file("V1__x"), "upScript": "CREATE TABLE t (id INTEGER);" }]);
    let body = json!({ "dryRun": "execute", "migrations": inline });
    let answer = team.try_run(body).await.expect_status(200);
    assert_eq!(outcomes(&answer.body["databases"][0]), ["V1__x planned"]);
    assert_eq!(team.states().await, Vec::<String>::new());
    assert!(team.events().await.is_empty());
    assert!(!scene.has("t").await && !scene.has("migration_registry").await);
}
