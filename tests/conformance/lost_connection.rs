//! A connection that is lost at any moment: what became of the script is found out on another one, and told right.

use serde_json::json;

use crate::harness::Test;
use crate::support::host::{Answer, Host};
use crate::support::proxy::{BATCH, CALL, Cut, Place, Proxy, TRANSACTION};
use crate::support::scene::*;
use crate::support::stage::Stage;

pub fn tests() -> Vec<Test> {
    on_t_sql![
        lost_before_commit_nothing_remains_and_the_run_says_so,
        lost_within_commit_nothing_remains_and_the_run_says_so,
        lost_after_commit_the_run_finds_out_and_goes_on,
        lost_while_a_batch_runs_nothing_remains_and_the_run_says_so,
        lost_while_the_records_are_written_nothing_remains_and_the_run_says_so,
        lost_while_a_rollback_commits_the_run_finds_out,
        lost_while_the_plan_is_closed_the_run_is_told_as_it_ended,
        lost_for_good_the_next_run_finds_out_that_the_script_was_committed,
        lost_for_good_the_next_run_finds_out_that_the_script_was_not_committed,
        a_script_without_a_transaction_that_was_cut_off_is_for_a_person_to_decide,
        a_script_costs_no_more_round_trips_than_promised,
        a_warm_run_that_finds_nothing_to_do_costs_three_round_trips,
    ]
}

/// Words that stand in the script of version 2 and in nothing else.
const MARK: &str = "VALUES ('V2')";

/// A scene with a ledger and versions 2 and 3 pending, a line that can be cut, a process behind it and one beside it.
struct Line {
    scene: Scene,
    proxy: Proxy,
    /// Reaches the server by a line of its own.
    keeper: Host,
    /// Reaches the server by the line that is cut.
    runner: Host,
}

impl Line {
    async fn with_two_pending(stage: &Stage) -> Self {
        let scene = stage.scene().await;
        let keeper = scene.host().start().await;
        scene.make_ledger(&keeper, HOME).await;
        register_entry(&keeper, HOME, 2).await;
        register_entry(&keeper, HOME, 3).await;
        let proxy = Proxy::to(scene.address()).await;
        let runner = scene.host_through(&proxy).start().await;
        Self {
            scene,
            proxy,
            keeper,
            runner,
        }
    }

    fn cut_at(&self, at: u8, how: Cut) {
        self.proxy.cut_at(Place {
            words: MARK,
            at,
            how,
            for_good: false,
        });
    }

    /// The script of version 2 was cut short, the run says so, and the next one runs it.
    async fn expect_nothing_remained(self, answer: Answer) {
        let answer = answer.expect_status(503);
        assert_eq!(answer.body["code"], "unavailable", "{}", answer.text());
        assert!(self.proxy.was_cut());
        let database = &answer.body["run"]["databases"][0];
        assert_eq!(
            outcomes(&answer.body["run"], 0),
            [
                ("V2__step".to_owned(), "interrupted".to_owned()),
                ("V3__step".to_owned(), "skipped".to_owned())
            ],
            "{}",
            answer.text()
        );
        assert_eq!(
            database["problem"]["code"],
            "unavailable",
            "{}",
            answer.text()
        );
        assert!(self.scene.ledger(HOME).await.is_empty());
        assert_eq!(states(&self.keeper, HOME).await, ["pending", "pending"]);

        run(&self.keeper, HOME).await.expect_status(200);
        assert_eq!(self.scene.ledger(HOME).await, ["V2", "V3"]);
        assert_eq!(
            story_of(&self.keeper, HOME, "V2__step").await,
            [
                "registered",
                "started",
                "interrupted",
                "started",
                "completed"
            ]
        );
        self.scene.expect_sound(&self.keeper, HOME).await;
    }

    /// Both scripts are applied once, and the run that lost its connection says so.
    async fn expect_both_applied(self, answer: Answer) {
        let answer = answer.expect_status(200);
        assert!(self.proxy.was_cut());
        assert_eq!(answer.body["status"], "succeeded", "{}", answer.text());
        assert_eq!(
            outcomes(&answer.body, 0),
            [
                ("V2__step".to_owned(), "applied".to_owned()),
                ("V3__step".to_owned(), "applied".to_owned())
            ]
        );
        assert_eq!(self.scene.ledger(HOME).await, ["V2", "V3"]);
        let told = newest_run(&self.keeper, HOME).await;
        assert_eq!(told["status"], "succeeded", "{told}");
        let again = run(&self.keeper, HOME).await.expect_status(200);
        assert_eq!(again.body["status"], "nothing-to-do");
        for version in ["V2__step", "V3__step"] {
            assert_eq!(
                story_of(&self.keeper, HOME, version).await,
                ["registered", "started", "completed"]
            );
        }
        self.scene.expect_sound(&self.keeper, HOME).await;
    }
}

async fn lost_before_commit_nothing_remains_and_the_run_says_so(stage: &Stage) {
    let line = Line::with_two_pending(stage).await;
    line.cut_at(TRANSACTION, Cut::Before);
    let answer = run(&line.runner, HOME).await;
    line.expect_nothing_remained(answer).await;
}

async fn lost_within_commit_nothing_remains_and_the_run_says_so(stage: &Stage) {
    let line = Line::with_two_pending(stage).await;
    line.cut_at(TRANSACTION, Cut::Within);
    let answer = run(&line.runner, HOME).await;
    line.expect_nothing_remained(answer).await;
}

async fn lost_after_commit_the_run_finds_out_and_goes_on(stage: &Stage) {
    let line = Line::with_two_pending(stage).await;
    line.cut_at(TRANSACTION, Cut::BeforeAnswer);
    let answer = run(&line.runner, HOME).await;
    line.expect_both_applied(answer).await;
}

async fn lost_while_a_batch_runs_nothing_remains_and_the_run_says_so(stage: &Stage) {
    let line = Line::with_two_pending(stage).await;
    line.cut_at(BATCH, Cut::BeforeAnswer);
    let answer = run(&line.runner, HOME).await;
    let migration = answer.body["run"]["databases"][0]["migrations"][0].clone();
    assert_eq!(migration["errors"][0]["batch"], 2, "{migration}");
    line.expect_nothing_remained(answer).await;
}

async fn lost_while_the_records_are_written_nothing_remains_and_the_run_says_so(stage: &Stage) {
    let line = Line::with_two_pending(stage).await;
    line.cut_at(CALL, Cut::BeforeAnswer);
    let answer = run(&line.runner, HOME).await;
    line.expect_nothing_remained(answer).await;
}

async fn lost_while_a_rollback_commits_the_run_finds_out(stage: &Stage) {
    let line = Line::with_two_pending(stage).await;
    run(&line.keeper, HOME).await.expect_status(200);
    line.proxy.cut_at(Place {
        words: "VALUES ('-V3')",
        at: TRANSACTION,
        how: Cut::BeforeAnswer,
        for_good: false,
    });
    let answer = line
        .runner
        .post(
            "/api/dbvc/migrations/rollback",
            rollback_of(HOME, "V2__step", true),
        )
        .await
        .expect_status(200);
    assert!(line.proxy.was_cut());
    assert_eq!(
        outcomes(&answer.body, 0),
        [
            ("V3__step".to_owned(), "rolled-back".to_owned()),
            ("V2__step".to_owned(), "rolled-back".to_owned())
        ]
    );
    assert_eq!(line.scene.ledger(HOME).await, ["V2", "V3", "-V3", "-V2"]);
    line.scene.expect_sound(&line.keeper, HOME).await;
}

async fn lost_while_the_plan_is_closed_the_run_is_told_as_it_ended(stage: &Stage) {
    for how in [Cut::Before, Cut::BeforeAnswer] {
        let line = Line::with_two_pending(stage).await;
        line.proxy.cut_at(Place {
            words: "INSERT INTO [dbo].schema_snapshots",
            at: TRANSACTION,
            how,
            for_good: false,
        });
        let answer = run(&line.runner, HOME).await;
        assert!(
            answer.body["databases"][0]["snapshotId"].is_string(),
            "{}",
            answer.text()
        );
        line.expect_both_applied(answer).await;
    }
}

/// Cuts the line for good at the commit of version 2; the run cannot find out. Then another one does.
async fn lost_for_good(stage: &Stage, how: Cut, story: &[&str]) {
    let line = Line::with_two_pending(stage).await;
    line.proxy.cut_at(Place {
        words: MARK,
        at: TRANSACTION,
        how,
        for_good: true,
    });
    begin_run(&line.runner, HOME).await;
    line.proxy.cut().await;
    run_when_free(&line.keeper, HOME).await.expect_status(200);
    assert_eq!(line.scene.ledger(HOME).await, ["V2", "V3"]);
    assert_eq!(story_of(&line.keeper, HOME, "V2__step").await, story);
    line.runner.kill().await;
    line.scene.expect_sound(&line.keeper, HOME).await;
}

async fn lost_for_good_the_next_run_finds_out_that_the_script_was_committed(stage: &Stage) {
    lost_for_good(
        stage,
        Cut::BeforeAnswer,
        &["registered", "started", "completed"],
    )
    .await;
}

async fn lost_for_good_the_next_run_finds_out_that_the_script_was_not_committed(stage: &Stage) {
    lost_for_good(
        stage,
        Cut::Before,
        &["registered", "interrupted", "started", "completed"],
    )
    .await;
}

async fn a_script_without_a_transaction_that_was_cut_off_is_for_a_person_to_decide(stage: &Stage) {
    let line = Line::with_two_pending(stage).await;
    let script = "-- dbvc: transaction=off\nINSERT INTO ledger VALUES ('a');\nGO\nINSERT INTO ledger VALUES ('V2');";
    reregister(&line.keeper, HOME, 2, script).await;
    line.cut_at(BATCH, Cut::BeforeAnswer);
    let answer = run(&line.runner, HOME).await.expect_status(422);
    assert!(line.proxy.was_cut());
    let migration = &answer.body["run"]["databases"][0]["migrations"][0];
    assert_eq!(migration["status"], "failed", "{migration}");
    assert_eq!(
        states(&line.keeper, HOME).await,
        ["half-applied", "pending"]
    );
    let refused = run(&line.keeper, HOME).await.expect_status(409);
    assert_eq!(refused.body["code"], "half-applied");
    let body = json!({"databaseId": HOME, "environment": "dev", "executor": "checker@lpa.com",
        "resolve": {"executionId": migration["executionId"], "as": "applied"}});
    line.keeper
        .post("/api/dbvc/integrity/verify", body)
        .await
        .expect_status(200);
    run(&line.keeper, HOME).await.expect_status(200);
    assert_eq!(line.scene.ledger(HOME).await, ["a", "V2", "V3"]);
    line.scene.expect_sound(&line.keeper, HOME).await;
}

/// The promise of the design: begin, the batch, the records with the look at the transaction, commit; two for each further
/// batch.
async fn a_script_costs_no_more_round_trips_than_promised(stage: &Stage) {
    let line = Line::with_two_pending(stage).await;
    run(&line.runner, HOME).await.expect_status(200);
    let sent = line.proxy.sent();
    let place_of = |words: &str| {
        sent.iter()
            .position(|sent| sent.kind == BATCH && sent.text.contains(words))
            .expect("the batch was sent")
    };
    let (first, second) = (place_of("VALUES ('V2')"), place_of("VALUES ('V3')"));
    assert_eq!(sent[first].connection, sent[second].connection);
    let between: Vec<(u8, &str)> = sent[first..=second]
        .iter()
        .filter(|sent| sent.connection == line_of(&line, first))
        .map(|sent| (sent.kind, sent.text.as_str()))
        .collect();
    let kinds: Vec<u8> = between.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [BATCH, CALL, TRANSACTION, BATCH, BATCH, BATCH, BATCH],
        "the last batch, its records, commit; begin, a batch, a look, a batch: {between:?}"
    );
    assert!(between[1].1.contains("migration_execution_history"));
    assert!(between[3].1.contains("BEGIN TRANSACTION"));
    assert!(between[4].1.contains("CREATE TABLE t3"));
}

fn line_of(line: &Line, place: usize) -> usize {
    line.proxy.sent()[place].connection
}

/// A warm process asks for the inventory and for the state, and writes that there was nothing to do.
async fn a_warm_run_that_finds_nothing_to_do_costs_three_round_trips(stage: &Stage) {
    let line = Line::with_two_pending(stage).await;
    run(&line.runner, HOME).await.expect_status(200);
    line.scene.expect_sound(&line.runner, HOME).await;
    run(&line.runner, HOME).await.expect_status(200);
    line.proxy.count_anew();
    let answer = run(&line.runner, HOME).await.expect_status(200);
    assert_eq!(answer.body["status"], "nothing-to-do");
    // A connection that lay unused for a while is asked first whether it is still there.
    let mut sent = line.proxy.sent();
    sent.retain(|sent| !sent.text.contains("AS alive"));
    assert_eq!(sent.len(), 3, "{sent:?}");
}
