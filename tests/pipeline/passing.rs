//! When all is well.

use crate::harness::{Job, Pipeline};
use crate::support::dbvc::{HOME, each, list, text};

const COLOURS: &str = "CREATE TABLE colours (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n";

#[tokio::test]
async fn scripts_are_registered_run_captured_and_verified() {
    let pipeline = Pipeline::start().await;
    let Pipeline { dbvc, job } = &pipeline;
    job.write("V2__colours.sqlite.sql", COLOURS);
    job.write("U2__colours.sqlite.sql", "DROP TABLE colours;\n");
    job.write("V2__colours.sql", "CREATE TABLE colours (id INT);\n");
    job.write(
        "V10__more.sqlite.sql",
        "INSERT INTO colours VALUES (1, 'red');\n",
    );
    job.write(
        "R__names.sqlite.sql",
        "DROP VIEW IF EXISTS names; CREATE VIEW names AS SELECT name FROM colours;\n",
    );
    // dbvc's own, and what is no script.
    job.write("V100__version_control_schema.sqlite.sql", "oops;\n");
    job.write("README.md", "about these");

    let [register, run, snapshot, verify] = pipeline.pass().await.try_into().expect("four steps");
    register.expect(0).expect_says(&[
        "registered  V2__colours",
        "registered  V10__more",
        "registered  R__names",
        "new: 3",
    ]);
    run.expect(0).expect_says(&[
        "succeeded, version none -> 10, snapshot ",
        "applied  V2__colours",
        "applied  R__names",
    ]);
    snapshot.expect(0).expect_says(&["1 tables, 1 views"]);
    verify.expect(0).expect_says(&["0 failed"]);

    assert_eq!(
        dbvc.states().await,
        [
            "V2__colours applied",
            "V10__more applied",
            "R__names applied"
        ]
    );
    assert_eq!(
        dbvc.migration("V2__colours").await["downScript"],
        "DROP TABLE colours;\n"
    );
    let snapshots = dbvc
        .host
        .get(&format!("/api/dbvc/snapshots?databaseId={HOME}"))
        .await
        .expect_status(200)
        .body;
    assert_eq!(
        each(&snapshots["snapshots"], "type"),
        ["manual", "post-migration"]
    );
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn a_second_time_there_is_nothing_to_do() {
    let pipeline = Pipeline::start().await;
    pipeline.job.write("V1__colours.sqlite.sql", COLOURS);
    pipeline.pass().await;
    let events = pipeline.dbvc.events_of_type("registered").await.len();
    let [register, run, _, verify] = pipeline.pass().await.try_into().expect("four steps");
    register.expect(0).expect_says(&["new: 0"]);
    run.expect(0).expect_says(&["nothing-to-do, version 1"]);
    verify.expect(0);
    assert_eq!(
        pipeline.dbvc.events_of_type("registered").await.len(),
        events
    );
}

#[tokio::test]
async fn each_database_gets_the_scripts_of_its_own_folder() {
    let pipeline = Pipeline::start().await;
    let Pipeline { dbvc, job } = &pipeline;
    dbvc.add_database("books").await;
    std::fs::create_dir(job.path("migrations/books")).unwrap();
    job.write("V1__colours.sqlite.sql", COLOURS);
    job.write(
        "books/V7__books.sqlite.sql",
        "CREATE TABLE books (id INTEGER);\n",
    );
    for outcome in pipeline.pass().await {
        outcome.expect(0);
    }
    let status = dbvc
        .host
        .get("/api/dbvc/migrations/status")
        .await
        .expect_status(200)
        .body;
    let versions: Vec<_> = list(&status["databases"])
        .iter()
        .map(|database| {
            (
                text(&database["databaseId"]),
                text(&database["currentVersion"]),
            )
        })
        .collect();
    assert_eq!(
        versions,
        [
            ("books".to_owned(), "7".to_owned()),
            (HOME.to_owned(), "1".to_owned())
        ]
    );

    let one = job
        .run_with(&["run.sh"], &[("DBVC_DATABASES", "books")])
        .await
        .expect(0);
    assert!(
        one.stdout.contains("books (sqlite)") && !one.stdout.contains(HOME),
        "{one}"
    );
}

#[tokio::test]
async fn the_text_of_a_script_arrives_as_it_is() {
    let pipeline = Pipeline::start().await;
    let Pipeline { dbvc, job } = &pipeline;
    // Longer than what jq reads at once, so that a letter of two bytes lies across the border.
    let long = format!("x{}", "é".repeat(70_000));
    let texts: [(&str, String); 4] = [
        (
            "V1__windows",
            "\u{feff}SELECT 1;\r\nSELECT '\\n \"$HOME\" `id` $(id)';\r\n".to_owned(),
        ),
        (
            "V2__no_end",
            "-- no line end at the end\nSELECT 'it''s'".to_owned(),
        ),
        ("V3__long", format!("SELECT '{long}'; -- 🦀")),
        ("V4__blank_lines", "\n\n\t SELECT 4;\n\n\n".to_owned()),
    ];
    for (name, script) in &texts {
        job.write(&format!("{name}.sqlite.sql"), script);
    }
    // Little endian, with a byte order mark, as editors on Windows save it.
    let utf_16 = "\u{feff}SELECT 'Ä';\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes);
    job.write("V5__utf_16.sqlite.sql", utf_16.collect::<Vec<u8>>());
    job.run("register.sh").await.expect(0);

    for (name, script) in &texts {
        assert_eq!(dbvc.migration(name).await["upScript"], *script, "{name}");
    }
    assert_eq!(
        dbvc.migration("V5__utf_16").await["upScript"],
        "SELECT 'Ä';\r\n"
    );
    // And what dbvc says of the files is what the registry has.
    let checked = job
        .run_with(
            &[
                env!("CARGO_BIN_EXE_dbvc"),
                "check",
                "--format",
                "json",
                "migrations",
            ],
            &[],
        )
        .await
        .expect(0);
    let report: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(list(&report["files"]).len(), 5);
    for file in list(&report["files"]) {
        let path = text(&file["path"]);
        let id = path
            .trim_start_matches("migrations/")
            .trim_end_matches(".sqlite.sql");
        assert_eq!(
            dbvc.migration(id).await["checksum"],
            file["checksum"],
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_text_that_was_never_applied_is_registered_anew() {
    let pipeline = Pipeline::start().await;
    let Pipeline { dbvc, job } = &pipeline;
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABEL colours (id INTEGER);\n",
    );
    job.run("register.sh").await.expect(0);
    job.run("run.sh").await.expect(1);
    job.write("V1__colours.sqlite.sql", COLOURS);
    job.run("register.sh")
        .await
        .expect(0)
        .expect_says(&["registered anew  V1__colours"]);
    job.run("run.sh").await.expect(0);
    assert_eq!(dbvc.states().await, ["V1__colours applied"]);
    assert_eq!(dbvc.events_of_type("reregistered").await.len(), 1);
}

#[tokio::test]
async fn a_long_run_is_followed_to_its_end() {
    let pipeline = Pipeline::start().await;
    let long = "CREATE TABLE t AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000)\n\
                SELECT max(i) AS i FROM n;";
    pipeline.job.write("V1__long.sqlite.sql", long);
    pipeline.job.run("register.sh").await.expect(0);
    pipeline
        .job
        .run("run.sh")
        .await
        .expect(0)
        .expect_says(&["applied  V1__long"]);
    let invocations = pipeline.dbvc.host.invocations();
    let polls = invocations
        .iter()
        .filter(|invocation| invocation.function == "dbvc-runs")
        .count();
    assert!(polls > 0, "the run was not followed: {invocations:#?}");
}

#[tokio::test]
async fn a_run_waits_for_another_one() {
    let stops = tempfile::tempdir().unwrap();
    let stop = stops.path().join("stopped");
    let pipeline = Pipeline::start_with(|builder| {
        builder
            .setting("DBVC_STOP_AT", "planned")
            .setting("DBVC_STOP_FILE", stop.to_str().unwrap())
    })
    .await;
    let Pipeline { dbvc, job } = &pipeline;
    dbvc.register("V1__colours", COLOURS).await;
    crate::support::scene::begin_run(&dbvc.host, HOME).await;
    crate::support::scene::until("the other run to hold the database", async || {
        stop.exists().then_some(())
    })
    .await;

    let child = job.start(&["run.sh"], &[]);
    let (child, waiting) = crate::harness::line_with(child, "asking again in").await;
    assert!(
        waiting.contains("423 locked") && waiting.contains("5 s"),
        "{waiting}"
    );
    std::fs::remove_file(&stop).unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("nothing-to-do, version 1"));
}

#[tokio::test]
async fn a_branch_has_its_environment_and_its_pass() {
    let job = Job::new();
    for (branch, environment, pass) in [
        ("develop", "dev", "first"),
        ("staging", "dev", "second"),
        ("main", "prod", "first"),
    ] {
        let output = job.path(branch);
        let outcome = job
            .run_with(
                &["branch-environment.sh"],
                &[
                    ("GITHUB_REF_NAME", branch),
                    ("GITHUB_OUTPUT", output.to_str().unwrap()),
                ],
            )
            .await
            .expect(0);
        assert_eq!(
            outcome.stdout,
            format!("environment={environment}\npass={pass}\n")
        );
        assert_eq!(std::fs::read_to_string(output).unwrap(), outcome.stdout);
    }
    for branch in ["", "feature/x\nenvironment=prod", "mainly"] {
        let outcome = job
            .run_with(&["branch-environment.sh"], &[("GITHUB_REF_NAME", branch)])
            .await
            .expect(2);
        assert_eq!(outcome.stdout, "");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    }
}

#[tokio::test]
async fn a_sound_folder_passes_the_check_and_a_wrong_name_does_not() {
    let job = Job::new();
    job.write("V1__a.sql", "SELECT 1;\n");
    job.run("check.sh").await.expect(0);
    job.write("v2__b.sql", "SELECT 1;\n");
    job.run("check.sh")
        .await
        .expect(1)
        .expect_says(&["v2__b.sql"]);
}

#[tokio::test]
async fn the_smoke_test_wants_a_healthy_app_of_the_right_environment_and_version() {
    let pipeline = Pipeline::start().await;
    let job = &pipeline.job;
    job.run("smoke-test.sh")
        .await
        .expect(0)
        .expect_says(&["in dev (embedded): healthy"]);
    let version = [("DBVC_EXPECTED_VERSION", env!("CARGO_PKG_VERSION"))];
    job.run_with(&["smoke-test.sh"], &version).await.expect(0);
    let other = [
        ("DBVC_EXPECTED_VERSION", "99.0.0"),
        ("DBVC_PATIENCE_SECONDS", "0"),
    ];
    job.run_with(&["smoke-test.sh"], &other)
        .await
        .expect(1)
        .expect_complains(&["answers, not 99.0.0"]);
    job.run_with(&["smoke-test.sh"], &[("DBVC_ENVIRONMENT", "prod")])
        .await
        .expect(2)
        .expect_complains(&["of the environment dev, not prod"]);
    let nobody = [
        ("DBVC_BASE_URL", "http://127.0.0.1:1"),
        ("DBVC_PATIENCE_SECONDS", "0"),
    ];
    job.run_with(&["smoke-test.sh"], &nobody)
        .await
        .expect(1)
        .expect_complains(&["cannot be reached"]);
}
