//! What the pipeline writes on GitHub.

use http_body_util::Full;
use hyper::Response;
use serde_json::{Value, json};

use crate::harness::Job;
use crate::recorder::Recorder;

const TOKEN: &str = "token-of-a-job";

/// A GitHub that answers a list to GET, and else as it does when something was made.
async fn github(list: Value) -> Recorder {
    Recorder::answering(move |request| {
        let (status, body) = match request.method.as_str() {
            "GET" => (200, list.to_string()),
            "PATCH" => (200, json!({ "id": 5 }).to_string()),
            _ => (201, json!({ "id": 6, "number": 7 }).to_string()),
        };
        let response = Response::builder().status(status);
        response.body(Full::from(body)).expect("a valid answer")
    })
    .await
}

fn job(github: &Recorder) -> Job {
    Job::new()
        .with("GITHUB_API_URL", &format!("http://{}", github.address))
        .with("GITHUB_REPOSITORY", "lpa/bloom")
        .with("GITHUB_TOKEN", TOKEN)
}

#[tokio::test]
async fn what_the_check_finds_becomes_annotations_of_the_files() {
    let job = Job::new().with("GITHUB_ACTIONS", "true");
    job.write(
        "V1__add_users.sql",
        "CREATE TABLE dbo.users (id INT);\nGO x\n",
    );
    job.write("U1__add_users.sql", "DROP TABLE IF EXISTS dbo.users;\n");
    job.run("check.sh")
        .await
        .expect(1)
        .expect_says(&["::error file=migrations/V1__add_users.sql,line=2,col=4,title=bad-go"]);
}

#[tokio::test]
async fn a_preview_is_written_once_and_replaced_from_then_on() {
    let others = json!([
        { "id": 1, "body": "<!-- dbvc-preview -->\nmine, said a person", "user": { "type": "User" } },
        { "id": 2, "body": "something else", "user": { "type": "Bot" } },
    ]);
    let mut with_ours = others.clone();
    with_ours
        .as_array_mut()
        .unwrap()
        .push(json!({ "id": 3, "body": "<!-- dbvc-preview -->\nold", "user": { "type": "Bot" } }));
    for (comments, method, target) in [
        (others, "POST", "/repos/lpa/bloom/issues/12/comments"),
        (with_ours, "PATCH", "/repos/lpa/bloom/issues/comments/3"),
    ] {
        let github = github(comments).await;
        let job = job(&github).with("DBVC_PULL_REQUEST", "12");
        std::fs::write(job.path("preview.md"), "### What\n\n\"quotes\" $(id)\n").unwrap();
        job.run_with(&["comment.sh", "preview.md"], &[])
            .await
            .expect(0);
        let written = github.recorded().pop().unwrap();
        assert_eq!(
            (written.method.as_str(), written.target.as_str()),
            (method, target)
        );
        assert_eq!(
            written.json(),
            json!({ "body": "<!-- dbvc-preview -->\n### What\n\n\"quotes\" $(id)\n" })
        );
        assert_eq!(written.lines("authorization"), [format!("Bearer {TOKEN}")]);
    }
}

#[tokio::test]
async fn a_failure_in_production_opens_an_issue_with_the_errors() {
    let title = "Database migrations failed in prod";
    for (issues, target) in [
        (
            json!([{ "number": 3, "title": title, "pull_request": {} }]),
            "/repos/lpa/bloom/issues",
        ),
        (
            json!([{ "number": 4, "title": title }]),
            "/repos/lpa/bloom/issues/4/comments",
        ),
    ] {
        let github = github(issues).await;
        let job = job(&github)
            .with("DBVC_ENVIRONMENT", "prod")
            .with("GITHUB_RUN_ID", "99")
            .with("GITHUB_REF_NAME", "main");
        let error = "migrations/V2__bad.sql, line 4: Incorrect syntax near 'SELEC'. (error 102)";
        std::fs::write(
            job.path("report.txt"),
            format!("{error}\n```\n@everybody\n"),
        )
        .unwrap();
        job.run_with(&["report-failure.sh"], &[("DBVC_REPORT", "report.txt")])
            .await
            .expect(0);
        let written = github.recorded().pop().unwrap();
        assert_eq!(
            (written.method.as_str(), written.target.as_str()),
            ("POST", target)
        );
        let body = written.json();
        if target.ends_with("issues") {
            assert_eq!(body["title"], title);
        }
        let text = body["body"].as_str().unwrap();
        assert!(
            text.contains(&format!("````text\n{error}\n```\n@everybody\n````")),
            "{text}"
        );
        assert!(
            text.contains("https://github.com/lpa/bloom/actions/runs/99")
                && text.contains("`main`"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_issue_is_opened_also_when_no_script_could_say_anything() {
    let github = github(json!([])).await;
    let job = job(&github).with("DBVC_ENVIRONMENT", "prod");
    job.run_with(&["report-failure.sh"], &[("DBVC_REPORT", "nowhere.txt")])
        .await
        .expect(0);
    let text = github.recorded().pop().unwrap().json()["body"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        text.contains("No script of the pipeline told a problem"),
        "{text}"
    );
}

#[tokio::test]
async fn a_refusal_of_github_is_told_without_the_token() {
    let github = Recorder::answering(|_| {
        let body = json!({ "message": "Resource not accessible by integration" }).to_string();
        Response::builder()
            .status(403)
            .body(Full::from(body))
            .expect("a valid answer")
    })
    .await;
    let job = job(&github)
        .with("DBVC_ENVIRONMENT", "prod")
        .with("SHELLOPTS", "xtrace");
    let outcome = job
        .run_with(&["report-failure.sh"], &[("DBVC_REPORT", "nowhere.txt")])
        .await
        .expect(1);
    let outcome = outcome.expect_complains(&[
        "(403): Resource not accessible by integration",
        "Next: look at the permissions",
    ]);
    assert!(
        !outcome.stdout.contains(TOKEN) && !outcome.stderr.contains(TOKEN),
        "{outcome}"
    );
}
