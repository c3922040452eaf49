//! The extended tests of the second pass, on a database that is thrown away.

use crate::harness::{Job, Outcome, Pipeline, script};

async fn second_pass(job: &Job) -> Outcome {
    let pass = script("pipeline/second-pass.sh").display().to_string();
    job.run_with(&["throwaway.sh", &pass], &[]).await
}

#[tokio::test]
async fn everything_runs_is_rolled_back_runs_again_and_leaves_no_drift() {
    let job = Job::new();
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    job.write(
        "V2__index.sqlite.sql",
        "CREATE INDEX by_id ON colours (id);\n",
    );
    job.write("U2__index.sqlite.sql", "DROP INDEX by_id;\n");
    job.write("V3__more.sqlite.sql", "CREATE TABLE more (id INTEGER);\n");
    job.write("U3__more.sqlite.sql", "DROP TABLE more;\n");
    job.write(
        "R__names.sqlite.sql",
        "DROP VIEW IF EXISTS ids; CREATE VIEW ids AS SELECT id FROM colours;\n",
    );
    let outcome = second_pass(&job).await.expect(0);
    let outcome = outcome.expect_says(&[
        "applied  V1__colours",
        "rolled-back  V3__more",
        "rolled-back  V2__index",
        "rolled back: 2",
        "succeeded, version 1 -> 3",
        "--- the same schema both times, and no drift",
    ]);
    assert!(
        !outcome.stdout.contains("rolled-back  V1__colours"),
        "it has no down script: {outcome}"
    );
    assert_eq!(
        std::fs::read_dir(job.path(".")).unwrap().count(),
        1,
        "something stayed"
    );
}

#[tokio::test]
async fn a_down_script_that_leaves_something_fails_it() {
    let job = Job::new();
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\nCREATE TABLE IF NOT EXISTS extra (id INTEGER);\n",
    );
    job.write(
        "U1__colours.sqlite.sql",
        "DROP TABLE colours;\nALTER TABLE extra ADD COLUMN more TEXT;\n",
    );
    let outcome = second_pass(&job).await.expect(1);
    outcome.expect_complains(&[
        "is not the same after rolling back and applying again",
        "changed table extra",
    ]);
}

#[tokio::test]
async fn a_down_script_that_fails_fails_it_with_its_file_and_line() {
    let job = Job::new();
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    job.write("U1__colours.sqlite.sql", "\nDROP TABLE colors;\n");
    let outcome = second_pass(&job).await.expect(1);
    outcome.expect_complains(&["migrations/U1__colours.sqlite.sql, line 2: no such table: colors"]);
}

#[tokio::test]
async fn it_does_not_touch_a_database_that_is_in_use() {
    let pipeline = Pipeline::start().await;
    pipeline.job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    pipeline
        .job
        .write("U1__colours.sqlite.sql", "DROP TABLE colours;\n");
    pipeline.pass().await;
    let outcome = pipeline.job.run("second-pass.sh").await.expect(2);
    outcome.expect_complains(&["has migrations already"]);
    assert!(pipeline.dbvc.has("colours"));
}

#[tokio::test]
async fn a_dbvc_that_does_not_start_says_why() {
    let job = Job::new().with("DBVC_LOCK_LEASE_SECONDS", "never");
    let outcome = second_pass(&job).await.expect(1);
    outcome.expect_complains(&["dbvc does not start", "DBVC_LOCK_LEASE_SECONDS"]);
}
