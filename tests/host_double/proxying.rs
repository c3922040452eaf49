//! What a proxied request looks like: raw, streamed, with the host's headers in place of the client's.

use hyper::Response;
use serde_json::json;

use crate::recorder::Recorder;
use crate::support::host::handler::free_port;
use crate::support::host::{HOST_VERSION, Host, Mode, TimerShape};
use crate::temporary_app::TemporaryApp;

async fn echo() -> (Recorder, Host) {
    let app = TemporaryApp::new().http("things", &["get", "post"], "things/{id?}");
    let recorder = Recorder::answering_json(r#"{"hello":"world"}"#).await;
    let builder = app.builder().mode(Mode::Proxying);
    let host = builder.attach(recorder.address).start().await;
    (recorder, host)
}

#[tokio::test]
async fn path_and_query_pass_raw() {
    let (recorder, host) = echo().await;
    let target = "/api/things/a%28b?x=1&flag&x=2+3";
    host.get(target).await.expect_status(200);
    assert_eq!(recorder.only().target, target);
}

#[tokio::test]
async fn the_hosts_headers_replace_the_clients_own() {
    let (recorder, host) = echo().await;
    let request = host
        .request("GET", "/api/things")
        .header("host", "db.example");
    let request = request
        .header("X-Azure-Functions-InvocationId", "forged")
        .header("user-agent", "curl/8");
    request
        .header("x-forwarded-for", "1.2.3.4")
        .header("te", "trailers")
        .send()
        .await
        .expect_status(200);

    let arrived = recorder.only();
    let id = host.invocations()[0].id.clone();
    assert_eq!(arrived.lines("host"), [recorder.address.to_string()]);
    assert_eq!(arrived.lines("x-forwarded-host"), ["db.example"]);
    assert_eq!(arrived.lines("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(arrived.lines("x-forwarded-proto"), ["http"]);
    assert_eq!(
        arrived.lines("x-azure-functions-invocationid"),
        [id.as_str()]
    );
    assert_eq!(arrived.lines("x-ms-invocation-id"), [id.as_str()]);
    assert_eq!(
        arrived.lines("x-azure-functions-hostversion"),
        [HOST_VERSION]
    );
    assert_eq!(arrived.lines("user-agent"), ["curl/8"]);
    assert!(arrived.lines("te").is_empty());
    assert!(arrived.lines("connection").is_empty());
}

#[tokio::test]
async fn a_chunked_request_arrives_chunked_with_its_content_headers() {
    let (recorder, host) = echo().await;
    let request = host
        .request("POST", "/api/things")
        .json(&json!({"a": "some text"}));
    request
        .header("content-language", "en")
        .chunked()
        .send()
        .await
        .expect_status(200);
    let arrived = recorder.only();
    assert_eq!(arrived.json(), json!({"a": "some text"}));
    assert_eq!(arrived.lines("content-language"), ["en"]);
    assert!(arrived.lines("content-length").is_empty());
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_the_proxied_call() {
    let app = TemporaryApp::new().http("things", &["post"], "things");
    let recorder = Recorder::holding(|_| Response::default()).await;
    let builder = app.builder().mode(Mode::Proxying);
    let host = builder.attach(recorder.address).start().await;

    let begun = host
        .request("POST", "/api/things")
        .json(&json!({}))
        .begin()
        .await;
    recorder.arrival().await;
    begun.hang_up();
    recorder.loss().await;
}

#[tokio::test]
async fn a_timer_takes_the_payload_all_the_same() {
    let app = TemporaryApp::new().timer("tick", "0 * * * * *");
    let recorder = Recorder::answering_json("{}").await;
    let builder = app.builder().mode(Mode::Proxying);
    let host = builder.attach(recorder.address).start().await;
    host.invoke_timer("tick", TimerShape::Regular)
        .await
        .expect_success();
    assert_eq!(recorder.only().target, "/tick");
}

#[tokio::test]
async fn a_handler_that_cannot_be_reached_is_tried_again_before_the_call_fails() {
    let app = TemporaryApp::new().http("things", &["get"], "things");
    // Of the range that the double takes for handlers, so that no listener of another test gets it.
    let address = ([127, 0, 0, 1], free_port().await).into();
    let host = app
        .builder()
        .mode(Mode::Proxying)
        .attach(address)
        .start()
        .await;
    let began = std::time::Instant::now();
    host.get("/api/things").await.expect_status(500);
    assert!(
        began.elapsed() > std::time::Duration::from_secs(2),
        "there were no further tries"
    );
    assert!(
        host.invocations()[0]
            .expect_failure()
            .contains("cannot be reached")
    );
}
