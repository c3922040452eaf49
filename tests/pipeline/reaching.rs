//! Where the app is, and the key that opens it.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Job, Pipeline};
use crate::support::host::keys::{HOST_KEY, function_key};
use crate::support::host::{Host, Place};

/// A host that asks for keys, in front of the same dbvc.
async fn guarded(pipeline: &Pipeline) -> Host {
    Host::builder()
        .place(Place::Flex)
        .attach(pipeline.dbvc.host.direct().address())
        .start()
        .await
}

#[tokio::test]
async fn the_key_opens_the_app_and_is_shown_nowhere() {
    let pipeline = Pipeline::start().await;
    let job = &pipeline.job;
    job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    let host = guarded(&pipeline).await;

    // Programs that write down what they are called with, as a list of processes would show it.
    let programs = job.path("programs");
    std::fs::create_dir(&programs).unwrap();
    let calls = job.path("calls");
    for name in ["curl", "jq"] {
        let text = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" >>'{}'\nPATH=\"${{PATH#*:}}\" exec {name} \"$@\"\n",
            calls.display()
        );
        let path = programs.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let settings = [
        ("DBVC_BASE_URL", host.url()),
        ("DBVC_FUNCTION_KEY", HOST_KEY.to_owned()),
        ("PATH", path),
        // bash -x, for the scripts and all that they start.
        ("SHELLOPTS", "xtrace".to_owned()),
    ];
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    for step in [
        "register.sh",
        "run.sh",
        "snapshot.sh",
        "verify.sh",
        "preview.sh",
    ] {
        let outcome = job.run_with(&[step], &settings).await.expect(0);
        assert!(
            outcome.stderr.contains("+ connect"),
            "it was not traced: {outcome}"
        );
        assert!(
            !outcome.stdout.contains(HOST_KEY) && !outcome.stderr.contains(HOST_KEY),
            "{outcome}"
        );
    }
    let called = std::fs::read_to_string(calls).unwrap();
    assert!(
        called.contains("programs/curl") && called.contains("programs/jq"),
        "{called}"
    );
    assert!(!called.contains(HOST_KEY), "{called}");
    assert!(pipeline.dbvc.has("colours"));
}

#[tokio::test]
async fn a_wrong_key_is_told_in_a_sentence() {
    let pipeline = Pipeline::start().await;
    let host = guarded(&pipeline).await;
    for key in ["", "wrong", &function_key("dbvc-health")] {
        let settings = [("DBVC_BASE_URL", &*host.url()), ("DBVC_FUNCTION_KEY", key)];
        let outcome = pipeline
            .job
            .run_with(&["run.sh"], &settings)
            .await
            .expect(2);
        let outcome = outcome.expect_complains(&[
            "refused the function key (401)",
            "Next: check DBVC_FUNCTION_KEY",
        ]);
        assert!(key.is_empty() || !outcome.stderr.contains(key), "{outcome}");
    }
}

#[tokio::test]
async fn a_wrong_address_is_told_in_a_sentence() {
    let pipeline = Pipeline::start().await;
    let url = pipeline.dbvc.host.url();
    let elsewhere = format!("{url}/elsewhere");
    for (address, code, sentence) in [
        (
            "http://127.0.0.1:1",
            1,
            "dbvc cannot be reached at http://127.0.0.1:1: ",
        ),
        (&*elsewhere, 2, "There is no dbvc at "),
        ("", 2, "DBVC_BASE_URL must be the address of the app"),
        (
            "ftp://example.com",
            2,
            "DBVC_BASE_URL must be the address of the app",
        ),
        ("https://example.com/?code=secret", 2, "without a key"),
        ("https://me:secret@example.com", 2, "without a key"),
    ] {
        let outcome = pipeline
            .job
            .run_with(&["run.sh"], &[("DBVC_BASE_URL", address)])
            .await
            .expect(code);
        let outcome = outcome.expect_complains(&[sentence, "Next: "]);
        assert!(!outcome.stderr.contains("secret"), "{outcome}");
    }
    // With what people paste.
    for tail in ["/", "/api", "/api/dbvc/"] {
        pipeline
            .job
            .run_with(&["run.sh"], &[("DBVC_BASE_URL", &format!("{url}{tail}"))])
            .await
            .expect(0);
    }
}

#[tokio::test]
async fn a_key_is_not_sent_without_encryption_nor_with_what_would_be_another_header() {
    let job = Job::new();
    for (address, key, sentence) in [
        (
            "http://example.com",
            "key",
            "is not sent to http://example.com without encryption",
        ),
        ("http://127.0.0.1.example.com", "key", "without encryption"),
        (
            "http://localhost:1",
            "key\nx-other: 1",
            "DBVC_FUNCTION_KEY holds what no key holds",
        ),
    ] {
        let settings = [("DBVC_BASE_URL", address), ("DBVC_FUNCTION_KEY", key)];
        job.run_with(&["run.sh"], &settings)
            .await
            .expect(2)
            .expect_complains(&[sentence]);
    }
}

#[tokio::test]
async fn another_environment_is_not_touched() {
    let pipeline = Pipeline::start().await;
    pipeline.job.write(
        "V1__colours.sqlite.sql",
        "CREATE TABLE colours (id INTEGER);\n",
    );
    for step in [
        "register.sh",
        "run.sh",
        "snapshot.sh",
        "verify.sh",
        "preview.sh",
        "second-pass.sh",
    ] {
        let outcome = pipeline
            .job
            .run_with(&[step], &[("DBVC_ENVIRONMENT", "prod")])
            .await
            .expect(2);
        outcome.expect_complains(&["has no database of the environment prod"]);
        let none = pipeline
            .job
            .run_with(&[step], &[("DBVC_ENVIRONMENT", "")])
            .await
            .expect(2);
        none.expect_complains(&["DBVC_ENVIRONMENT must be the environment"]);
    }
    let outcome = pipeline
        .job
        .run_with(&["run.sh"], &[("DBVC_DATABASES", "nowhere")])
        .await
        .expect(2);
    outcome.expect_complains(&["has no database nowhere of the environment dev"]);
}
