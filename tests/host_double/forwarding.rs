//! What a forwarded request has become when it reaches the handler, and its answer when it reaches the client.

use http_body_util::Full;
use hyper::Response;
use serde_json::json;

use crate::recorder::Recorder;
use crate::support::host::forwarding::{rebuilt_path, rebuilt_query};
use crate::support::host::{HOST_AGENT, HOST_VERSION, Host, Outcome};
use crate::temporary_app::TemporaryApp;

async fn echo() -> (Recorder, Host) {
    let app =
        TemporaryApp::new().http("things", &["get", "head", "post", "delete"], "things/{id?}");
    let recorder = Recorder::answering_json(r#"{"hello":"world"}"#).await;
    let host = app.builder().attach(recorder.address).start().await;
    (recorder, host)
}

#[tokio::test]
async fn method_path_body_and_host_header_arrive_as_the_client_sent_them() {
    let (recorder, host) = echo().await;
    let request = host
        .request("POST", "/api/Things/7/")
        .json(&json!({"a": 1}));
    let answer = request
        .header("host", "db.example:8080")
        .send()
        .await
        .expect_status(200);
    assert_eq!(answer.body, json!({"hello": "world"}));

    let arrived = recorder.only();
    assert_eq!(arrived.method, "POST");
    assert_eq!(arrived.target, "/api/Things/7/");
    assert_eq!(arrived.lines("host"), ["db.example:8080"]);
    assert_eq!(arrived.lines("content-type"), ["application/json"]);
    assert_eq!(arrived.lines("content-length"), ["7"]);
    assert_eq!(arrived.json(), json!({"a": 1}));
}

#[test]
fn the_query_is_rebuilt_from_a_parsed_map() {
    let rebuilt = [
        ("a=1&a=2", "a=1,2"),
        ("Name=x&b=1&name=y", "Name=x,y&b=1"),
        ("text=one+two%20three", "text=one%20two%20three"),
        ("flag", "flag="),
        (
            "since=2025-11-27T14:30:00Z",
            "since=2025-11-27T14%3A30%3A00Z",
        ),
        ("plus=%2B&and=%26", "plus=%2B&and=%26"),
        ("code=abc%3D%3D", "code=abc%3D%3D"),
        ("", ""),
    ];
    for (sent, arrives) in rebuilt {
        assert_eq!(rebuilt_query(sent), arrives, "{sent}");
    }
}

#[test]
fn the_path_is_decoded_and_encoded_again() {
    let rebuilt = [
        ("/api/things/7", "/api/things/7"),
        ("/api/a%20b/%C3%A9", "/api/a%20b/%C3%A9"),
        ("/api/R__a%28b%29", "/api/R__a(b)"),
        ("/api/cut%3Fhere", "/api/cut"),
        ("/api/cut%23here", "/api/cut"),
        ("/api/twice%2541", "/api/twice%41"),
        ("/api/slash%2Finside", "/api/slash%2Finside"),
        ("/api/lone%25sign", "/api/lone%25sign"),
        ("/api/one/../two/./three", "/api/two/three"),
    ];
    for (sent, arrives) in rebuilt {
        assert_eq!(rebuilt_path(sent), arrives, "{sent}");
    }
}

#[tokio::test]
async fn path_and_query_arrive_rebuilt() {
    let (recorder, host) = echo().await;
    host.get("/api/things/a%28b?x=1&flag&X=2+3")
        .await
        .expect_status(200);
    assert_eq!(recorder.only().target, "/api/things/a(b?x=1,2%203&flag=");
}

#[tokio::test]
async fn the_hosts_headers_are_added_beside_the_clients_own() {
    let (recorder, host) = echo().await;
    let request = host.request("GET", "/api/things");
    let request = request
        .header("X-Azure-Functions-InvocationId", "forged")
        .header("user-agent", "curl/8");
    request
        .header("x-functions-key", "secret")
        .send()
        .await
        .expect_status(200);

    let arrived = recorder.only();
    let id = &host.invocations()[0].id;
    assert_eq!(
        arrived.lines("x-azure-functions-invocationid"),
        [format!("forged, {id}")]
    );
    assert_eq!(
        arrived.lines("x-azure-functions-hostversion"),
        [HOST_VERSION]
    );
    assert_eq!(
        arrived.lines("user-agent"),
        [format!("curl/8 {HOST_AGENT}")]
    );
    assert_eq!(arrived.lines("x-functions-key"), ["secret"]);
    assert_eq!(arrived.lines("traceparent").len(), 1);
}

#[tokio::test]
async fn repeated_headers_keep_their_values_and_a_trace_of_the_client_stays() {
    let (recorder, host) = echo().await;
    let request = host
        .request("GET", "/api/things")
        .header("accept", "text/html")
        .header("accept", "text/markdown");
    request
        .header("traceparent", "00-1-2-01")
        .send()
        .await
        .expect_status(200);
    assert_eq!(
        recorder.only().lines("accept"),
        ["text/html, text/markdown"]
    );
    assert_eq!(recorder.only().lines("traceparent"), ["00-1-2-01"]);
}

#[tokio::test]
async fn content_headers_are_lost_but_for_type_and_length() {
    let (recorder, host) = echo().await;
    let lost = [
        "content-encoding",
        "content-disposition",
        "content-language",
        "content-range",
        "content-md5",
        "expires",
        "last-modified",
        "allow",
    ];
    let mut request = host
        .request("POST", "/api/things")
        .body("x")
        .header("content-type", "text/plain");
    for name in lost {
        request = request.header(name, "something");
    }
    request
        .header("x-other", "kept")
        .send()
        .await
        .expect_status(200);

    let arrived = recorder.only();
    for name in lost {
        assert!(arrived.lines(name).is_empty(), "{name} arrived");
    }
    assert_eq!(arrived.lines("content-type"), ["text/plain"]);
    assert_eq!(arrived.lines("x-other"), ["kept"]);
}

#[tokio::test]
async fn an_empty_post_arrives_with_length_zero_and_without_a_type() {
    let (recorder, host) = echo().await;
    let request = host
        .request("POST", "/api/things")
        .header("content-type", "application/json");
    request.send().await.expect_status(200);
    let arrived = recorder.only();
    assert_eq!(arrived.lines("content-length"), ["0"]);
    assert!(arrived.lines("content-type").is_empty());

    host.delete("/api/things/1").await.expect_status(200);
    let arrived = &recorder.recorded()[1];
    assert!(arrived.lines("content-length").is_empty(), "{arrived:?}");
}

#[tokio::test]
async fn a_chunked_request_is_500_and_the_handler_is_not_called() {
    let (recorder, host) = echo().await;
    let request = host.request("POST", "/api/things").json(&json!({"a": 1}));
    request.chunked().send().await.expect_status(500);
    assert!(recorder.recorded().is_empty());
    assert!(
        host.invocations()[0]
            .expect_failure()
            .contains("Transfer-Encoding")
    );
}

#[tokio::test]
async fn an_invalid_content_type_is_500_and_the_handler_is_not_called() {
    let (recorder, host) = echo().await;
    let request = host
        .request("POST", "/api/things")
        .body("x")
        .header("content-type", "nonsense");
    request.send().await.expect_status(500);
    assert!(recorder.recorded().is_empty());
}

#[tokio::test]
async fn an_error_answer_goes_out_unchanged_and_counts_as_a_success() {
    let app = TemporaryApp::new().http("things", &[], "things");
    let recorder = Recorder::answering(|_| {
        let response = Response::builder()
            .status(409)
            .header("content-type", "application/problem+json");
        let response = response
            .header("set-cookie", "a=1")
            .header("set-cookie", "b=2");
        response
            .body(Full::from(r#"{"code":"locked"}"#))
            .expect("a valid answer")
    })
    .await;
    let host = app.builder().attach(recorder.address).start().await;

    let answer = host.get("/api/things").await.expect_status(409);
    assert_eq!(answer.body["code"], "locked");
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("application/problem+json")
    );
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!(host.invocations()[0].outcome, Outcome::Succeeded);
}

#[tokio::test]
async fn head_and_redirects_pass() {
    let app = TemporaryApp::new().http("things", &["head", "get"], "things");
    let recorder = Recorder::answering(|_| {
        let response = Response::builder()
            .status(302)
            .header("location", "/elsewhere");
        response.body(Full::from("moved")).expect("a valid answer")
    })
    .await;
    let host = app.builder().attach(recorder.address).start().await;
    let answer = host
        .request("HEAD", "/api/things")
        .send()
        .await
        .expect_status(302);
    assert_eq!(answer.header("location").as_deref(), Some("/elsewhere"));
    assert!(answer.bytes.is_empty());
    assert_eq!(recorder.only().method, "HEAD");
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_end_the_forwarded_call() {
    let app = TemporaryApp::new().http("things", &["post"], "things");
    let recorder = Recorder::holding(|_| Response::default()).await;
    let host = app.builder().attach(recorder.address).start().await;

    let begun = host
        .request("POST", "/api/things")
        .json(&json!({}))
        .begin()
        .await;
    recorder.arrival().await;
    begun.hang_up();
    recorder.answer_one();
    let invocations = host.wait_for_invocations("things", 1).await;
    assert_eq!(invocations[0].outcome, Outcome::Succeeded);
}

#[tokio::test]
async fn a_body_that_breaks_off_never_reaches_the_handler() {
    let (recorder, host) = echo().await;
    let begun = host
        .request("POST", "/api/things")
        .json(&json!({"a": "long"}))
        .begin_with(3)
        .await;
    begun.hang_up();
    host.get("/api/things").await.expect_status(200);
    assert_eq!(recorder.only().method, "GET");
}
