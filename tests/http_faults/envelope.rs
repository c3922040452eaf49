//! The host's envelope: both of its framings, what it may leave out, and what is none.

use serde_json::{Value, json};

use crate::fault::{expect_problem, host};
use crate::support::host::{Framing, Mode, TimerShape};

#[tokio::test]
async fn both_framings_of_the_envelope_are_read() {
    let (host, _data) = host(Mode::Payload).await;
    for is_chunked in [false, true] {
        let envelope =
            json!({"Data": {"req": {"Url": "http://x/api/dbvc/runs?limit=0", "Method": "GET"}}});
        let request = host.direct().request("POST", "/dbvc-runs").json(&envelope);
        let request = if is_chunked {
            request.chunked()
        } else {
            request
        };
        let answer = request.send().await.expect_status(200);
        assert_eq!(
            answer.header("content-type").as_deref(),
            Some("application/json")
        );
        let inner = &answer.body["Outputs"]["res"];
        assert_eq!(inner["statusCode"], 400, "{}", answer.text());
        assert_eq!(inner["headers"]["content-type"], "application/problem+json");
        assert_eq!(inner["body"]["errors"][0]["field"], "limit");
        assert_eq!(inner["body"]["instance"], "/api/dbvc/runs");
        assert_eq!(answer.body["Logs"], json!([]));
        assert_eq!(answer.body["ReturnValue"], Value::Null);
    }
}

#[tokio::test]
async fn timers_take_every_shape_and_framing() {
    let (host, _data) = host(Mode::Forwarding).await;
    for framing in Framing::BOTH {
        for shape in TimerShape::ALL {
            for timer in ["dbvc-drift-timer", "dbvc-runs-timer"] {
                host.invoke_timer_framed(timer, shape, framing)
                    .await
                    .expect_success();
            }
        }
    }
    assert_eq!(host.defects(), Vec::<String>::new());
    host.expect_silent_stderr();
}

#[tokio::test]
async fn a_timer_needs_nothing_of_its_envelope() {
    let (host, _data) = host(Mode::Forwarding).await;
    for body in ["", "{}", "no JSON", "[1"] {
        let answer = host
            .direct()
            .request("POST", "/dbvc-runs-timer")
            .body(body)
            .send()
            .await
            .expect_status(200);
        assert!(
            answer.body["Logs"].is_array() && answer.body["Outputs"].is_object(),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn what_is_no_envelope_is_refused_outside() {
    let (host, _data) = host(Mode::Forwarding).await;
    for body in ["", "[]", "{}", "{\"Data\":", r#"{"Data":{"req":"text"}}"#] {
        let answer = host
            .direct()
            .request("POST", "/dbvc-migrations-run")
            .body(body)
            .send()
            .await;
        expect_problem(
            &answer,
            400,
            "invalid-request",
            "/dbvc-migrations-run",
            body,
        );
    }
}

#[tokio::test]
async fn a_method_inside_that_the_function_does_not_know_is_refused_inside() {
    let (host, _data) = host(Mode::Forwarding).await;
    let envelope = json!({"Data": {"req": {"Method": "DELETE", "Params": {"databaseId": "a"}}}});
    let answer = host
        .direct()
        .post("/dbvc-databases", envelope)
        .await
        .expect_status(200);
    let inner = &answer.body["Outputs"]["res"];
    assert_eq!(inner["statusCode"], 405);
    assert_eq!(inner["headers"]["allow"], "GET");
}
