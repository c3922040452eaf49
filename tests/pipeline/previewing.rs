//! What a pull request is told.

use crate::harness::{Job, Pipeline};

#[tokio::test]
async fn a_preview_registers_nothing_and_shows_what_is_new() {
    let pipeline = Pipeline::start().await;
    let Pipeline { dbvc, job } = &pipeline;
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    for outcome in pipeline.pass().await {
        outcome.expect(0);
    }
    job.write("V2__more.sqlite.sql", "CREATE TABLE more (id INTEGER);\n");
    let before = (dbvc.states().await, dbvc.events().await.len());
    for how in ["plan", "execute"] {
        let outcome = job
            .run_with(&["preview.sh"], &[("DBVC_PREVIEW", how)])
            .await
            .expect(0);
        let outcome = outcome.expect_says(&["From version 1 to 2.", "| `V2__more` | planned |"]);
        assert!(!outcome.stdout.contains("V1__colours"), "{outcome}");
    }
    assert_eq!((dbvc.states().await, dbvc.events().await.len()), before);
    assert!(!dbvc.has("more"));
}

#[tokio::test]
async fn a_preview_on_a_database_of_its_own_takes_no_key_and_shows_the_servers_error() {
    let job = Job::new();
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    let execute = [("DBVC_PREVIEW", "execute")];
    let words = ["throwaway.sh", "preview.sh"];
    let words = [
        words[0],
        &*crate::harness::script("pipeline")
            .join(words[1])
            .display()
            .to_string(),
    ];
    job.run_with(&words, &execute)
        .await
        .expect(0)
        .expect_says(&["| `V1__colours` | planned |"]);

    job.write(
        "V2__bad.sqlite.sql",
        "CREATE TABLE bad (id INTEGER);\nSELEC '```';\n",
    );
    let outcome = job.run_with(&words, &execute).await.expect(1);
    let outcome = outcome.expect_says(&[
        "| `V2__bad` | failed |",
        "migrations/V2__bad.sqlite.sql, line 2: near \"SELEC\": syntax error",
    ]);
    assert!(outcome.stdout.trim_end().ends_with("\n```"), "{outcome}");
    assert!(
        std::fs::read_dir(job.path(".")).unwrap().count() == 1,
        "something stayed"
    );
}

#[tokio::test]
async fn a_changed_script_shows_in_the_preview() {
    let pipeline = Pipeline::start().await;
    pipeline.job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    pipeline.pass().await;
    pipeline.job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id TEXT);\n",
    );
    pipeline
        .job
        .run("preview.sh")
        .await
        .expect(1)
        .expect_says(&["(409 checksum-mismatch)"]);
}

#[tokio::test]
async fn a_script_that_needs_no_transaction_is_planned_instead_of_tried() {
    let pipeline = Pipeline::start().await;
    pipeline.job.write(
        "V1__vacuum.sqlite.sql",
        "-- dbvc: transaction=off\nVACUUM;\n",
    );
    let outcome = pipeline
        .job
        .run_with(&["preview.sh"], &[("DBVC_PREVIEW", "execute")])
        .await
        .expect(0);
    outcome.expect_says(&[
        "planned, since one of the scripts cannot run in a transaction",
        "| `V1__vacuum` | planned |",
    ]);
}

#[tokio::test]
async fn a_fence_is_longer_than_what_it_holds() {
    let job = Job::new();
    let program = r#"include "sentences"; fenced"#;
    let library = crate::harness::script("pipeline").display().to_string();
    let text = job.path("text");
    std::fs::write(&text, "a\n````\n@everybody").unwrap();
    let words = [
        "jq",
        "-L",
        &library,
        "-r",
        "-R",
        "-s",
        program,
        text.to_str().unwrap(),
    ];
    let outcome = job.run_with(&words, &[]).await.expect(0);
    assert_eq!(outcome.stdout, "`````text\na\n````\n@everybody\n`````\n");
}
