//! When something is wrong with a script.

use crate::harness::Pipeline;
use crate::support::dbvc::HOME;

const GITHUB: [(&str, &str); 1] = [("GITHUB_ACTIONS", "true")];

#[tokio::test]
async fn a_bad_script_fails_with_the_servers_error_its_file_and_its_line() {
    let pipeline = Pipeline::start().await;
    let job = &pipeline.job;
    job.write("V1__good.sqlite.sql", "CREATE TABLE good (id INTEGER);\n");
    job.write(
        "V2__bad.sqlite.sql",
        "CREATE TABLE bad (id INTEGER);\n\nINSERT INTO bad VALUES (1);\nSELEC 1;\n",
    );
    job.write("V3__after.sqlite.sql", "CREATE TABLE after (id INTEGER);\n");
    let report = job.path("report.txt");
    let settings = [GITHUB[0], ("DBVC_REPORT", report.to_str().unwrap())];
    job.run_with(&["register.sh"], &settings).await.expect(0);
    let outcome = job.run_with(&["run.sh"], &settings).await.expect(1);
    let place = "migrations/V2__bad.sqlite.sql, line 4: near \"SELEC\": syntax error (error 1)";
    let outcome = outcome
        .expect_complains(&[place, "applied  V1__good", "skipped  V3__after", "Next: mend the script"])
        .expect_says(&["::error file=migrations/V2__bad.sqlite.sql,line=4::near \"SELEC\": syntax error (error 1)\n"]);
    assert_eq!(
        std::fs::read_to_string(&report).unwrap(),
        outcome.stderr,
        "the report has what was complained"
    );
    assert!(pipeline.dbvc.has("good") && !pipeline.dbvc.has("bad") && !pipeline.dbvc.has("after"));
}

#[tokio::test]
async fn a_long_run_that_fails_shows_the_error_too() {
    let pipeline = Pipeline::start().await;
    let job = &pipeline.job;
    let long = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000)\nSELECT max(i) FROM n;\nSELEC 2;\n";
    job.write("V1__long.sqlite.sql", long);
    job.run("register.sh").await.expect(0);
    job.run("run.sh")
        .await
        .expect(1)
        .expect_complains(&["migrations/V1__long.sqlite.sql, line 3: near \"SELEC\""]);
}

#[tokio::test]
async fn a_checksum_mismatch_stops_the_pipeline_before_anything_runs() {
    let pipeline = Pipeline::start().await;
    let Pipeline { dbvc, job } = &pipeline;
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    for outcome in pipeline.pass().await {
        outcome.expect(0);
    }
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER, name TEXT);\n",
    );
    job.write("V2__more.sqlite.sql", "CREATE TABLE more (id INTEGER);\n");
    let checksum = dbvc.migration("V1__colours").await["checksum"].clone();

    let steps = pipeline.pass().await;
    let [register] = steps.try_into().expect("it stops at the first step");
    register.expect(1).expect_complains(&[
        "migrations/V1__colours.sqlite.sql: A script was changed after it was applied (409 checksum-mismatch).",
        "Next: put back the text that was applied",
    ]);
    assert!(!dbvc.has("more"), "nothing runs");
    assert_eq!(
        dbvc.migration("V1__colours").await["checksum"],
        checksum,
        "nothing is registered anew"
    );
    assert!(dbvc.events_of_type("reregistered").await.is_empty());
    let annotated = job.run_with(&["register.sh"], &GITHUB).await.expect(1);
    annotated.expect_says(&[
        "::error file=migrations/V1__colours.sqlite.sql::A script was changed after it was applied",
    ]);
}

#[tokio::test]
async fn every_file_that_cannot_be_registered_is_told() {
    let pipeline = Pipeline::start().await;
    let job = &pipeline.job;
    job.write("V1__a.sqlite.sql", "SELECT 1;\n");
    job.write("V1.0__again.sqlite.sql", "SELECT 1;\n");
    job.write("V2__only_t_sql.sql", "SELECT 2;\n");
    job.write("U3__orphan.sqlite.sql", "SELECT 3;\n");
    job.write("add_users.sqlite.sql", "SELECT 4;\n");
    job.write("V5__open.sqlite.sql", "SELECT 'open;\n");
    job.write("V6__latin.sqlite.sql", b"SELECT '\xe4';\n");
    let outcome = job.run("register.sh").await;
    assert_eq!(
        outcome.code, 2,
        "a script that can never run is a wrong request: {outcome}"
    );
    outcome.expect_complains(&[
        "migrations/V1__a.sqlite.sql: it has the same version as V1.0__again.sqlite.sql",
        "migrations/V2__only_t_sql.sql: this version has no script for sqlite: write V2__only_t_sql.sqlite.sql too",
        "migrations/U3__orphan.sqlite.sql: it undoes a version that no V file of the folder has",
        "migrations/add_users.sqlite.sql: the name is not that of a script",
        "migrations/V5__open.sqlite.sql: The request is not valid (400 invalid-request).\n  upScript: line 1: ",
        "migrations/V6__latin.sqlite.sql: this is no text in UTF-8",
    ]);
    assert_eq!(
        pipeline.dbvc.states().await.len(),
        1,
        "one of the two with the same version"
    );
}

#[tokio::test]
async fn what_would_run_without_a_file_stops_the_pipeline() {
    let pipeline = Pipeline::start().await;
    let Pipeline { dbvc, job } = &pipeline;
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    job.run("register.sh").await.expect(0);
    job.remove("V1__colours.sqlite.sql");
    let outcome = job.run("register.sh").await.expect(1);
    outcome.expect_complains(&[
        "V1__colours is registered",
        &format!("DELETE /api/dbvc/databases/{HOME}/migrations/V1__colours"),
    ]);
    dbvc.withdraw("V1__colours").await;
    job.run("register.sh").await.expect(0);
}

#[tokio::test]
async fn a_version_that_is_a_time_is_found_by_its_file() {
    let pipeline = Pipeline::start().await;
    let job = &pipeline.job;
    job.write("V20251127143000__bad.sqlite.sql", "\n\nSELEC;\n");
    job.run("register.sh").await.expect(0);
    job.run("run.sh")
        .await
        .expect(1)
        .expect_complains(&["migrations/V20251127143000__bad.sqlite.sql, line 3: "]);
}

#[tokio::test]
async fn a_script_gives_the_runner_no_commands() {
    let pipeline = Pipeline::start().await;
    let job = &pipeline.job;
    // SQLite repeats the word that it does not understand, line ends within quotes included.
    job.write(
        "V1__bad.sqlite.sql",
        "SELECT * FROM \"\n::add-mask::a\n  ##[group]b\r::stop-commands::c\";\n",
    );
    job.run("register.sh").await.expect(0);
    for settings in [&[][..], &GITHUB] {
        let outcome = job.run_with(&["run.sh"], settings).await.expect(1);
        let outcome = outcome.expect_complains(&["add-mask", "stop-commands"]);
        let written = format!("{}\n{}", outcome.stdout, outcome.stderr);
        let commands: Vec<_> = written
            .split(['\n', '\r'])
            .map(str::trim_start)
            .filter(|line| line.starts_with("::") || line.starts_with("##["))
            .collect();
        assert!(
            commands
                .iter()
                .all(|line| line.starts_with("::error file=")),
            "{commands:#?}"
        );
        assert_eq!(commands.len(), settings.len(), "{outcome}");
    }
}

#[tokio::test]
async fn drift_fails_the_verification() {
    let pipeline = Pipeline::start().await;
    pipeline.job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    pipeline.pass().await;
    pipeline
        .dbvc
        .change_by_hand("CREATE TABLE by_hand (id INTEGER);");
    // A snapshot of the pipeline does not declare it right.
    pipeline.job.run("snapshot.sh").await.expect(0);
    let outcome = pipeline
        .job
        .run_with(&["verify.sh"], &GITHUB)
        .await
        .expect(1);
    outcome
        .expect_complains(&["1 failed", "fail  drift"])
        .expect_says(&[&format!("::error::{HOME}: ")]);
}

#[tokio::test]
async fn a_database_that_is_not_empty_stops_the_pipeline_before_anything_is_registered() {
    let pipeline = Pipeline::start().await;
    let Pipeline { dbvc, job } = &pipeline;
    rusqlite::Connection::open(dbvc.file_of(HOME))
        .expect("the file opens")
        .execute_batch("CREATE TABLE colours (id INTEGER); INSERT INTO colours VALUES (7);")
        .expect("it is empty");
    job.write(
        "V1__colours.sqlite.sql",
        "DROP TABLE IF EXISTS colours;\nCREATE TABLE colours (id INTEGER);\n",
    );
    job.write("V2__more.sqlite.sql", "CREATE TABLE more (id INTEGER);\n");
    for script in ["preview.sh", "register.sh", "run.sh"] {
        let outcome = job.run(script).await.expect(1);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        for words in [
            "409 not-empty",
            "it holds 1 table",
            "DBVC_BASELINE",
            "DBVC_ALLOW_NOT_EMPTY",
        ] {
            assert!(said.contains(words), "{script}, {words}: {outcome}");
        }
        // The words of the API, which nobody can type into a workflow.
        assert!(!said.contains("allowNotEmpty"), "{script}: {outcome}");
    }
    assert!(!dbvc.has("migration_registry"));

    let on_all = [("DBVC_BASELINE", "1")];
    let outcome = job.run_with(&["register.sh"], &on_all).await.expect(2);
    assert!(outcome.stderr.contains("DBVC_DATABASES"), "{outcome}");
    let named = [("DBVC_BASELINE", "1"), ("DBVC_DATABASES", HOME)];
    for script in ["preview.sh", "register.sh", "run.sh", "verify.sh"] {
        job.run_with(&[script], &named).await.expect(0);
    }
    assert_eq!(
        dbvc.states().await,
        ["V1__colours applied", "V2__more applied"]
    );
    assert_eq!(dbvc.ask_by_hand("SELECT id FROM colours"), "7");
    // From now on the pipeline needs no answer.
    for outcome in pipeline.pass().await {
        outcome.expect(0);
    }
}

#[tokio::test]
async fn allow_not_empty_lets_the_pipeline_run_all_scripts_on_what_is_there() {
    let pipeline = Pipeline::start().await;
    let Pipeline { dbvc, job } = &pipeline;
    rusqlite::Connection::open(dbvc.file_of(HOME))
        .expect("the file opens")
        .execute_batch("CREATE TABLE colours (id INTEGER);")
        .expect("it is empty");
    job.write("V1__more.sqlite.sql", "CREATE TABLE more (id INTEGER);\n");
    let wrong = [("DBVC_ALLOW_NOT_EMPTY", "yes")];
    job.run_with(&["run.sh"], &wrong).await.expect(2);
    let allowed = [("DBVC_ALLOW_NOT_EMPTY", "true")];
    for script in ["preview.sh", "register.sh", "run.sh", "verify.sh"] {
        job.run_with(&[script], &allowed).await.expect(0);
    }
    assert_eq!(dbvc.states().await, ["V1__more applied"]);
}
