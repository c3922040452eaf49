//! A script and its record commit together: what a script does with transactions, and what it then comes to.

use serde_json::{Value, json};

use crate::harness::Test;
use crate::support::scene::{HOME, Scene};
use crate::support::stage::{Engine, Stage};
use crate::support::team::{Team, each, expect_problem, list, outcomes, text};

pub fn tests() -> Vec<Test> {
    let on_each_engine = on_each_engine![
        a_script_that_would_end_the_transaction_is_refused_before_anything_is_sent,
        a_statement_that_no_transaction_can_hold_is_known_by_its_words,
        a_script_runs_in_a_transaction_when_its_author_says_so,
        a_script_commits_statement_by_statement_when_its_author_says_so,
    ];
    let on_t_sql = on_t_sql![
        transactions_of_a_script_within_dbvcs_are_its_own_business,
        a_savepoint_of_a_script_is_its_own_business,
        a_transaction_ended_by_dynamic_sql_is_half_applied_until_a_person_says_what_is_true,
        a_transaction_rolled_back_by_dynamic_sql_is_half_applied_until_a_person_says_what_is_true,
        an_error_that_a_script_swallows_fails_it_and_nothing_remains,
        a_transaction_left_open_fails_the_script_and_nothing_remains,
    ];
    on_each_engine.into_iter().chain(on_t_sql).collect()
}

/// A team with an applied ledger, whose further scripts are versions 2 and up.
async fn team_with_a_ledger(stage: &Stage) -> (Scene, Team) {
    let (scene, team) = stage.team().await;
    team.register("V1__ledger", scene.ledger_table()).await;
    team.run().await;
    (scene, team)
}

/// Runs a script that must fail, of which nothing may remain, and withdraws it; its errors.
async fn fails(scene: &Scene, team: &Team, script: &str) -> Value {
    let id = team.register("V9__fails", script).await;
    let migration = team.run_badly().await["migrations"][0].clone();
    assert_eq!(migration["status"], "failed", "{script}: {migration:#}");
    assert!(scene.ledger(HOME).await.is_empty(), "{script}");
    assert_eq!(team.status().await["lock"], Value::Null);
    assert_eq!(team.migration(&id).await["status"], "failed", "{script}");
    team.withdraw(&id).await.expect_status(200);
    migration["errors"].clone()
}

async fn a_script_that_would_end_the_transaction_is_refused_before_anything_is_sent(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    for (line, batch, script) in [
        (
            2,
            1,
            "INSERT INTO ledger VALUES ('a');\nCOMMIT;\nINSERT INTO ledger VALUES ('b');",
        ),
        (2, 1, "INSERT INTO ledger VALUES ('a');\nROLLBACK;"),
        (
            2,
            1,
            "INSERT INTO ledger VALUES ('a');\n/* hidden */ COMMIT TRANSACTION;",
        ),
        (
            3,
            2,
            "INSERT INTO ledger VALUES ('a');\nGO\nROLLBACK TRANSACTION;",
        ),
        (
            5,
            2,
            "INSERT INTO ledger VALUES ('a');\nGO\n\nSELECT 1;\ncommit",
        ),
    ] {
        let errors = fails(&scene, &team, script).await;
        let error = &errors[0];
        assert_eq!(
            (&error["line"], &error["batch"]),
            (&json!(line), &json!(batch)),
            "{script:?}: {error}"
        );
        assert!(
            text(&error["message"]).contains("transaction=off"),
            "{script:?}: {error}"
        );
    }
}

async fn a_statement_that_no_transaction_can_hold_is_known_by_its_words(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    let script = format!(
        "INSERT INTO ledger VALUES ('a');\nGO\n{}\nGO\nINSERT INTO ledger VALUES ('b');",
        stage.statement_without_transaction()
    );
    team.register("V2__x", &script).await;
    assert_eq!(outcomes(&team.run().await), ["V2__x applied"]);
    assert_eq!(scene.ledger(HOME).await, ["a", "b"]);
    let execution = team.migration("V2__x").await["executions"][0].clone();
    assert_eq!(execution["transactional"], false, "{execution:#}");
}

async fn a_script_runs_in_a_transaction_when_its_author_says_so(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    let script = format!(
        "-- dbvc: transaction=on\nINSERT INTO ledger VALUES ('a');\nGO\n{}",
        stage.statement_without_transaction()
    );
    if stage.engine() == Engine::Babelfish {
        // It runs in transactions what SQL Server refuses there.
        team.register("V2__x", &script).await;
        team.run().await;
        let execution = team.migration("V2__x").await["executions"][0].clone();
        assert_eq!(execution["transactional"], true, "{execution:#}");
        assert_eq!(scene.ledger(HOME).await, ["a"]);
        return;
    }
    let errors = fails(&scene, &team, &script).await;
    assert_eq!(errors[0]["line"], 4, "{errors:#}");
    assert!(
        text(&errors[0]["message"]).contains("transaction=off"),
        "{errors:#}"
    );
}

async fn a_script_commits_statement_by_statement_when_its_author_says_so(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    team.register(
        "V2__x",
        "-- dbvc: transaction=off\nINSERT INTO ledger VALUES ('a');\nGO\nDROP TABLE missing;\nGO\nINSERT INTO ledger VALUES ('b');",
    )
    .await;
    let failed = team.run_badly().await;
    assert_eq!(failed["migrations"][0]["errors"][0]["line"], 4);
    assert_eq!(scene.ledger(HOME).await, ["a"]);
    assert_eq!(team.states().await, ["V1__ledger applied", "V2__x failed"]);
}

async fn transactions_of_a_script_within_dbvcs_are_its_own_business(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    team.register(
        "V2__in_a_batch",
        "BEGIN TRANSACTION;\nINSERT INTO ledger VALUES ('a');\nCOMMIT;\nINSERT INTO ledger VALUES ('b');",
    )
    .await;
    team.register(
        "V3__over_batches",
        "BEGIN TRAN\nINSERT INTO ledger VALUES ('c');\nGO\nINSERT INTO ledger VALUES ('d');\nGO\nCOMMIT TRAN",
    )
    .await;
    let run = team.run().await;
    assert_eq!(
        outcomes(&run),
        ["V2__in_a_batch applied", "V3__over_batches applied"]
    );
    assert_eq!(scene.ledger(HOME).await, ["a", "b", "c", "d"]);
    // What a script commits by itself is still dbvc's to roll back.
    team.register(
        "V4__fails_later",
        "BEGIN TRANSACTION;\nINSERT INTO ledger VALUES ('e');\nCOMMIT;\nGO\nDROP TABLE missing;",
    )
    .await;
    team.run_badly().await;
    assert_eq!(scene.ledger(HOME).await, ["a", "b", "c", "d"]);
}

async fn a_savepoint_of_a_script_is_its_own_business(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    team.register(
        "V2__x",
        "INSERT INTO ledger VALUES ('a');\nSAVE TRANSACTION here;\nINSERT INTO ledger VALUES ('b');\n\
         ROLLBACK TRANSACTION here;\nINSERT INTO ledger VALUES ('c');",
    )
    .await;
    team.run().await;
    assert_eq!(scene.ledger(HOME).await, ["a", "c"]);
}

/// Runs a script that ends dbvc's transaction where its words do not show it, and gives the execution that a person must
/// decide about. What follows it in the run is skipped, and the next run refuses.
async fn half_applied_by(team: &Team, script: &str) -> String {
    team.register("V2__x", script).await;
    team.register("V3__later", "INSERT INTO ledger VALUES ('later');")
        .await;
    let failed = team.run_badly().await;
    assert_eq!(outcomes(&failed), ["V2__x failed", "V3__later skipped"]);
    let errors = list(&failed["migrations"][0]["errors"]);
    let last = errors.last().expect("an error");
    assert!(
        text(&last["message"]).contains("ended dbvc's transaction itself"),
        "{errors:#?}"
    );
    assert_eq!(
        team.states().await,
        [
            "V1__ledger applied",
            "V2__x half-applied",
            "V3__later pending"
        ]
    );
    expect_problem(&team.try_run(json!({})).await, 409, "half-applied");
    assert_eq!(team.verify().await["healthy"], false);
    text(&team.migration("V2__x").await["executions"][0]["executionId"])
}

async fn resolve(team: &Team, execution: &str, word: &str) {
    let verified = team
        .verify_with(json!({ "resolve": { "executionId": execution, "as": word } }))
        .await;
    assert_eq!(verified["healthy"], true, "{verified:#}");
}

async fn a_transaction_ended_by_dynamic_sql_is_half_applied_until_a_person_says_what_is_true(
    stage: &Stage,
) {
    let (scene, team) = team_with_a_ledger(stage).await;
    let script =
        "INSERT INTO ledger VALUES ('a');\nEXEC ('COMMIT');\nINSERT INTO ledger VALUES ('b');";
    let execution = half_applied_by(&team, script).await;
    let kept = scene.ledger(HOME).await;
    resolve(&team, &execution, "applied").await;
    assert_eq!(outcomes(&team.run().await), ["V3__later applied"]);
    assert_eq!(
        scene.ledger(HOME).await,
        [kept, vec!["later".to_owned()]].concat(),
        "nothing is run again that is said to be applied"
    );
    assert_eq!(team.verify().await["healthy"], true);
}

async fn a_transaction_rolled_back_by_dynamic_sql_is_half_applied_until_a_person_says_what_is_true(
    stage: &Stage,
) {
    let (scene, team) = team_with_a_ledger(stage).await;
    let script = "INSERT INTO ledger VALUES ('a');\nEXEC ('ROLLBACK');\n";
    let execution = half_applied_by(&team, script).await;
    assert!(scene.ledger(HOME).await.is_empty());
    resolve(&team, &execution, "failed").await;
    team.reregister("V2__x", "INSERT INTO ledger VALUES ('mended');", json!({}))
        .await;
    assert_eq!(
        outcomes(&team.run().await),
        ["V2__x applied", "V3__later applied"]
    );
    assert_eq!(scene.ledger(HOME).await, ["mended", "later"]);
    assert_eq!(
        each(&team.migration("V2__x").await["executions"], "status"),
        ["applied", "failed"]
    );
}

async fn an_error_that_a_script_swallows_fails_it_and_nothing_remains(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    let swallow = "BEGIN TRY\n  INSERT INTO ledger VALUES ('a');\n  INSERT INTO ledger VALUES (NULL);\nEND TRY\n\
                   BEGIN CATCH\n  PRINT 'swallowed';\nEND CATCH";
    for script in [
        swallow.to_owned(),
        format!("{swallow}\nGO\nINSERT INTO ledger VALUES ('b');"),
        format!("INSERT INTO ledger VALUES ('before');\nGO\n{swallow}"),
    ] {
        let errors = fails(&scene, &team, &script).await;
        let last = list(&errors).last().expect("an error");
        // SQL Server says so at the end of the batch (error 3998), and Babelfish in the same words.
        assert!(
            text(&last["message"]).contains("Uncommittable transaction"),
            "{script}: {errors:#}"
        );
    }
    // With its own word that an error does not doom the transaction, a script may catch it.
    team.register("V2__x", &format!("SET XACT_ABORT OFF;\n{swallow}"))
        .await;
    team.run().await;
    assert_eq!(scene.ledger(HOME).await, ["a"]);
}

async fn a_transaction_left_open_fails_the_script_and_nothing_remains(stage: &Stage) {
    let (scene, team) = team_with_a_ledger(stage).await;
    for script in [
        "BEGIN TRANSACTION;\nINSERT INTO ledger VALUES ('a');",
        "BEGIN TRANSACTION;\nINSERT INTO ledger VALUES ('a');\nGO\nINSERT INTO ledger VALUES ('b');",
    ] {
        let errors = fails(&scene, &team, script).await;
        let last = list(&errors).last().expect("an error");
        assert!(
            text(&last["message"]).contains("add the missing COMMIT"),
            "{script}: {errors:#}"
        );
    }
}
