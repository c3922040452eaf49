//! `$(name)` in scripts that ask for it: values come from the settings, and only the text without them is on record.

use serde_json::json;

use crate::harness::Test;
use crate::support::scene::{HOME, Scene};
use crate::support::stage::Stage;
use crate::support::team::{Team, outcomes, text};

pub fn tests() -> Vec<Test> {
    on_each_engine![
        a_script_that_asks_for_variables_is_sent_with_their_values,
        a_variable_without_a_value_fails_the_script_before_anything_is_sent,
        a_value_is_told_by_the_name_of_its_variable,
        what_is_on_record_does_not_depend_on_the_values,
    ]
}

/// A team with an applied ledger, whose dbvc has a value for `greeting`.
async fn team_with_a_greeting(stage: &Stage, greeting: &str) -> (Scene, Team) {
    let scene = stage.scene().await;
    let host = scene.host().setting("DBVC_VAR_greeting", greeting);
    let team = scene.team_with(host).await;
    team.register("V1__ledger", scene.ledger_table()).await;
    team.run().await;
    (scene, team)
}

async fn a_script_that_asks_for_variables_is_sent_with_their_values(stage: &Stage) {
    let (scene, team) = team_with_a_greeting(stage, "hello").await;
    team.register(
        "V2__asks",
        "-- dbvc: variables=on\nINSERT INTO ledger VALUES ('$(greeting)');\nGO 2\nINSERT INTO ledger VALUES ('$(GREETING)!');",
    )
    .await;
    team.register(
        "V3__does_not_ask",
        "INSERT INTO ledger VALUES ('$(greeting)');",
    )
    .await;
    team.run().await;
    assert_eq!(
        scene.ledger(HOME).await,
        ["hello", "hello", "hello!", "$(greeting)"]
    );
}

async fn a_variable_without_a_value_fails_the_script_before_anything_is_sent(stage: &Stage) {
    let (scene, team) = team_with_a_greeting(stage, "hello").await;
    team.register(
        "V2__asks",
        "-- dbvc: variables=on\n-- dbvc: transaction=off\nINSERT INTO ledger VALUES ('$(greeting)');\nGO\n\n\
         INSERT INTO ledger VALUES ('$(farewell)');",
    )
    .await;
    let failed = team.run_badly().await;
    let error = &failed["migrations"][0]["errors"][0];
    assert_eq!((&error["line"], &error["batch"]), (&json!(6), &json!(2)));
    assert!(
        text(&error["message"]).contains("DBVC_VAR_farewell"),
        "{error}"
    );
    assert!(scene.ledger(HOME).await.is_empty());
}

async fn a_value_is_told_by_the_name_of_its_variable(stage: &Stage) {
    let (_scene, team) = team_with_a_greeting(stage, "hushhush").await;
    team.register(
        "V2__fails",
        "-- dbvc: variables=on\nDROP TABLE $(greeting);",
    )
    .await;
    let failed = team.run_badly().await;
    let message = text(&failed["migrations"][0]["errors"][0]["message"]);
    assert!(message.contains("$(greeting)"), "{message}");
    let told = [
        failed.to_string(),
        team.migration("V2__fails").await.to_string(),
        format!("{:?}", team.events().await),
        team.host.stdout().join("\n"),
    ];
    for told in told {
        assert!(!told.contains("hushhush"), "{told}");
    }
}

async fn what_is_on_record_does_not_depend_on_the_values(stage: &Stage) {
    let (scene, team) = team_with_a_greeting(stage, "hello").await;
    let script = "-- dbvc: variables=on\nINSERT INTO ledger VALUES ('$(greeting)');";
    team.register("V2__asks", script).await;
    team.run().await;
    let migration = team.migration("V2__asks").await;
    assert_eq!(migration["upScript"], script);
    let other = scene
        .team_with(scene.host().setting("DBVC_VAR_greeting", "good day"))
        .await;
    assert_eq!(other.run().await["status"], "nothing-to-do");
    assert_eq!(other.verify().await["healthy"], true);
    other
        .register(
            "V3__asks",
            "-- dbvc: variables=on\nINSERT INTO ledger VALUES ('$(greeting)');",
        )
        .await;
    assert_eq!(outcomes(&other.run().await), ["V3__asks applied"]);
    assert_eq!(scene.ledger(HOME).await, ["hello", "good day"]);
}
