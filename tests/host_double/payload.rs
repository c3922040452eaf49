//! The envelope that timers, and HTTP functions in payload mode, arrive in; and what the host makes of the answers.

use std::time::Duration;

use http_body_util::Full;
use hyper::Response;
use serde_json::{Value, json};

use crate::recorder::Recorder;
use crate::support::host::{Framing, HOST_VERSION, Host, Invocation, Mode, Outcome, TimerShape};
use crate::temporary_app::TemporaryApp;

async fn tick(status: u16, media: &'static str, body: &'static str) -> Invocation {
    let app = TemporaryApp::new().timer("tick", "0 * * * * *");
    let recorder = Recorder::answering(move |_| {
        let response = Response::builder()
            .status(status)
            .header("content-type", media);
        response.body(Full::from(body)).expect("a valid answer")
    })
    .await;
    let host = app.builder().attach(recorder.address).start().await;
    host.invoke_timer("tick", TimerShape::Regular).await
}

#[tokio::test]
async fn a_timer_is_posted_to_its_name_in_both_framings() {
    let app = TemporaryApp::new().timer("Tick-Tock", "0 * * * * *");
    let recorder = Recorder::answering_json("{}").await;
    let host = app.builder().attach(recorder.address).start().await;
    for framing in Framing::BOTH {
        host.invoke_timer_framed("Tick-Tock", TimerShape::Regular, framing)
            .await
            .expect_success();
    }

    let [chunked, measured] = &recorder.recorded()[..] else {
        panic!("two requests");
    };
    assert_eq!(chunked.lines("transfer-encoding"), ["chunked"]);
    assert!(chunked.lines("content-length").is_empty());
    assert_eq!(
        measured.lines("content-length"),
        [measured.body.len().to_string()]
    );
    assert!(measured.lines("transfer-encoding").is_empty());
    for (arrived, invocation) in [chunked, measured].into_iter().zip(host.invocations()) {
        assert_eq!(
            (arrived.method.as_str(), arrived.target.as_str()),
            ("POST", "/Tick-Tock")
        );
        assert_eq!(arrived.lines("host"), [recorder.address.to_string()]);
        assert_eq!(
            arrived.lines("content-type"),
            ["application/json; charset=utf-8"]
        );
        assert_eq!(
            arrived.lines("x-azure-functions-hostversion"),
            [HOST_VERSION]
        );
        assert_eq!(
            arrived.lines("x-azure-functions-invocationid"),
            [invocation.id.as_str()]
        );
        let sys = &arrived.json()["Metadata"]["sys"];
        assert_eq!(sys["MethodName"], "Tick-Tock");
        assert!(
            sys["UtcNow"].is_string() && sys["RandGuid"].is_string(),
            "{sys}"
        );
    }
}

#[tokio::test]
async fn azure_frames_chunked_and_core_tools_by_length() {
    let app = TemporaryApp::new().timer("tick", "0 * * * * *");
    let recorder = Recorder::answering_json("{}").await;
    let local = app.builder().attach(recorder.address).start().await;
    let cloud = app.builder().cloud().attach(recorder.address).start().await;
    local
        .invoke_timer("tick", TimerShape::Regular)
        .await
        .expect_success();
    cloud
        .invoke_timer("tick", TimerShape::Regular)
        .await
        .expect_success();
    let framings: Vec<_> = recorder
        .recorded()
        .iter()
        .map(|arrived| arrived.headers.contains_key("transfer-encoding"))
        .collect();
    assert_eq!(framings, [false, true]);
}

#[tokio::test]
async fn the_timers_shapes_are_those_of_the_host() {
    let app = TemporaryApp::new().timer("tick", "0 * * * * *");
    let recorder = Recorder::answering_json("{}").await;
    let host = app.builder().attach(recorder.address).start().await;
    for shape in TimerShape::ALL {
        host.invoke_timer("tick", shape).await.expect_success();
    }
    let timers: Vec<Value> = recorder
        .recorded()
        .iter()
        .map(|arrived| arrived.json()["Data"]["timer"].clone())
        .collect();
    let [regular, without, first, late] = &timers[..] else {
        panic!("four shapes");
    };
    for timer in &timers {
        assert_eq!(timer["Schedule"], json!({"AdjustForDST": true}));
    }
    assert!(
        regular["ScheduleStatus"]["Last"]
            .as_str()
            .unwrap()
            .ends_with("+00:00")
    );
    assert!(without.as_object().unwrap().contains_key("ScheduleStatus"));
    assert!(without["ScheduleStatus"].is_null());
    assert_eq!(first["ScheduleStatus"]["Last"], "0001-01-01T00:00:00");
    let past_due: Vec<_> = timers
        .iter()
        .map(|timer| timer["IsPastDue"] == true)
        .collect();
    assert_eq!(past_due, [false, false, false, true]);
    assert!(late["ScheduleStatus"].is_object());
}

#[tokio::test]
async fn an_object_of_json_is_a_success_and_only_then_are_its_logs_kept() {
    let answer = r#"{"Outputs": {}, "Logs": ["one", "two"], "ReturnValue": null, "Other": 1}"#;
    let invocation = tick(200, "application/json; charset=utf-8", answer)
        .await
        .expect_success();
    assert_eq!(invocation.logs, ["one", "two"]);
    tick(200, "application/json", "{}").await.expect_success();
    tick(
        201,
        "application/json",
        r#"{"outputs": null, "logs": null}"#,
    )
    .await
    .expect_success();

    let failed = tick(500, "application/json", answer).await;
    assert!(
        failed
            .expect_failure()
            .contains("does not indicate success")
    );
    assert!(failed.logs.is_empty());
}

#[tokio::test]
async fn other_answers_are_failures() {
    let failures = [
        (302, "application/json", "{}", "does not indicate success"),
        (200, "text/plain", "{}", "media type"),
        (200, "application/problem+json", "{}", "media type"),
        (200, "application/json", "{", "not JSON"),
        (200, "application/json", "[]", "not an object"),
        (200, "application/json", r#"{"Logs": "one"}"#, "Logs"),
        (200, "application/json", r#"{"Outputs": []}"#, "Outputs"),
    ];
    for (status, media, body, reason) in failures {
        let invocation = tick(status, media, body).await;
        let told = invocation.expect_failure();
        assert!(told.contains(reason), "{status} {media} {body}: {told}");
    }
}

#[tokio::test]
async fn an_answer_of_nothing_would_hang() {
    for (status, body) in [(200, ""), (204, ""), (200, "null")] {
        let invocation = tick(status, "application/json", body).await;
        assert!(
            matches!(invocation.outcome, Outcome::WouldHang(_)),
            "{status} {body}: {invocation:?}"
        );
    }
}

async fn payload_app(answer: &'static str, framing: Framing) -> (Recorder, Host) {
    let app = TemporaryApp::new().http("things", &["get", "post"], "things/{id?}");
    let recorder = Recorder::answering_json(answer).await;
    let builder = app.builder().mode(Mode::Payload).framing(framing);
    let host = builder.attach(recorder.address).start().await;
    (recorder, host)
}

#[tokio::test]
async fn an_http_call_is_packed_into_the_envelope() {
    for framing in Framing::BOTH {
        let (recorder, host) = payload_app("{}", framing).await;
        let request = host
            .request("POST", "/api/things/7?q=a+b&Q=c")
            .json(&json!({"n": 4, "o": {"x": 1}}));
        request
            .header("host", "db.example")
            .header("x-two", "1")
            .header("x-two", "2")
            .send()
            .await;

        let arrived = recorder.only();
        assert_eq!(arrived.target, "/things");
        assert_eq!(
            arrived.headers.contains_key("transfer-encoding"),
            framing == Framing::Chunked
        );
        let envelope = arrived.json();
        let request = &envelope["Data"]["req"];
        assert_eq!(request["Url"], "http://db.example/api/things/7?q=a+b&Q=c");
        assert_eq!(request["Method"], "POST");
        assert_eq!(request["Query"], json!({"q": "a b,c"}));
        assert_eq!(request["Params"], json!({"id": "7"}));
        assert_eq!(request["Headers"]["X-Two"], json!(["1", "2"]));
        assert_eq!(
            request["Headers"]["Content-Type"],
            json!(["application/json"])
        );
        assert_eq!(request["Identities"][0]["IsAuthenticated"], false);
        assert_eq!(request["Body"], r#"{"n":4,"o":{"x":1}}"#);
        let metadata = &envelope["Metadata"];
        assert_eq!(metadata["id"], r#""7""#);
        assert_eq!(metadata["n"], "4");
        assert_eq!(metadata["o"], json!({"x": 1}));
        assert_eq!(metadata["Query"], json!({"q": "a b,c"}));
        assert_eq!(metadata["sys"]["MethodName"], "things");
    }
}

#[tokio::test]
async fn a_binary_body_is_base64_and_an_empty_one_is_absent() {
    let (recorder, host) = payload_app("{}", Framing::ContentLength).await;
    for bytes in [&[0u8, 255, 16, 32][..], &[1, 2], &[1, 2, 3]] {
        let request = host.request("POST", "/api/things").body(bytes.to_vec());
        request
            .header("content-type", "application/octet-stream")
            .send()
            .await;
    }
    host.get("/api/things").await;
    let bodies: Vec<Value> = recorder
        .recorded()
        .iter()
        .map(|arrived| arrived.json()["Data"]["req"]["Body"].clone())
        .collect();
    assert_eq!(
        bodies,
        [json!("AP8QIA=="), json!("AQI="), json!("AQID"), Value::Null]
    );
}

#[tokio::test]
async fn the_http_output_becomes_the_answer() {
    let answer = r#"{"Outputs": {"res": {"statusCode": "201", "body": "{\"a\":1}",
        "headers": {"Content-Type": "application/problem+json", "Location": "/api/things/8"}}}}"#;
    let (_recorder, host) = payload_app(answer, Framing::Chunked).await;
    let got = host.get("/api/things").await.expect_status(201);
    assert_eq!(got.body, json!({"a": 1}));
    assert_eq!(got.header("location").as_deref(), Some("/api/things/8"));

    let (_recorder, host) = payload_app(
        r#"{"outputs": {"res": {"StatusCode": 409, "Body": {"b": 2}}}}"#,
        Framing::Chunked,
    )
    .await;
    assert_eq!(
        host.get("/api/things").await.expect_status(409).body,
        json!({"b": 2})
    );

    let (_recorder, host) = payload_app("{}", Framing::Chunked).await;
    host.get("/api/things").await.expect_status(200);
}

#[tokio::test]
async fn a_bad_http_output_is_500() {
    for (answer, reason) in [
        (r#"{"Outputs": {"res": "text"}}"#, "not an object"),
        (
            r#"{"Outputs": {"res": {"statusCode": "many"}}}"#,
            "statusCode",
        ),
        ("null", "would hang"),
    ] {
        let (_recorder, host) = payload_app(answer, Framing::Chunked).await;
        let got = host.get("/api/things").await.expect_status(500);
        assert!(got.text().contains(reason), "{answer}: {}", got.text());
        assert_ne!(host.invocations()[0].outcome, Outcome::Succeeded);
    }
}

#[tokio::test]
async fn an_http_function_with_a_further_binding_is_packed_even_when_forwarding_is_on() {
    let app = TemporaryApp::new().function(
        "mixed",
        &[
            json!({ "type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous" }),
            json!({ "type": "http", "direction": "out", "name": "res" }),
            json!({ "type": "queue", "direction": "out", "name": "message" }),
        ],
    );
    let recorder = Recorder::answering_json("{}").await;
    let host = app.builder().attach(recorder.address).start().await;
    host.get("/api/mixed").await.expect_status(200);
    assert_eq!(recorder.only().target, "/mixed");
}

#[tokio::test]
async fn an_attached_handler_is_pinged_again_and_again() {
    let app = TemporaryApp::new().timer("tick", "0 * * * * *");
    let recorder = Recorder::answering_json("{}").await;
    let builder = app.builder().ping_every(Duration::from_millis(1));
    let host = builder.attach(recorder.address).start().await;
    host.wait_for_pings(3).await;
}
