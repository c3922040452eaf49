//! Keys: ignored under Core Tools, asked for in Azure, and passed on to the handler in both.

use crate::recorder::Recorder;
use crate::support::host::keys::{HOST_KEY, MASTER_KEY, function_key};
use crate::support::host::{Host, Place};
use crate::temporary_app::TemporaryApp;
use serde_json::json;

async fn app_at(place: Place) -> (Recorder, Host) {
    let app = TemporaryApp::new()
        .http("keyed", &["get"], "keyed")
        .http("other", &["get"], "other")
        .function(
            "open",
            &[
                json!({ "type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "anonymous" }),
                json!({ "type": "http", "direction": "out", "name": "res" }),
            ],
        )
        .function(
            "owner",
            &[
                json!({ "type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "admin" }),
                json!({ "type": "http", "direction": "out", "name": "res" }),
            ],
        );
    let recorder = Recorder::answering_json("{}").await;
    let host = app
        .builder()
        .place(place)
        .attach(recorder.address)
        .start()
        .await;
    (recorder, host)
}

async fn status(host: &Host, path: &str, key: &str) -> u16 {
    host.request("GET", path).key(key).send().await.status
}

#[tokio::test]
async fn core_tools_ask_for_no_key() {
    let (_recorder, host) = app_at(Place::CoreTools).await;
    for path in ["/api/keyed", "/api/owner", "/api/open"] {
        host.get(path).await.expect_status(200);
    }
}

#[tokio::test]
async fn azure_refuses_a_missing_or_wrong_key_without_calling_the_handler() {
    for place in [Place::Premium, Place::Flex] {
        let (recorder, host) = app_at(place).await;
        host.get("/api/keyed").await.expect_status(401);
        assert_eq!(status(&host, "/api/keyed", "wrong").await, 401);
        assert_eq!(
            status(&host, "/api/keyed", &function_key("other")).await,
            401
        );
        assert_eq!(status(&host, "/api/owner", HOST_KEY).await, 401);
        host.get("/api/nothing").await.expect_status(404);
        assert!(recorder.recorded().is_empty());
    }
}

#[tokio::test]
async fn each_key_opens_what_it_is_for() {
    let (_recorder, host) = app_at(Place::Premium).await;
    host.get("/api/open").await.expect_status(200);
    assert_eq!(
        status(&host, "/api/keyed", &function_key("keyed")).await,
        200
    );
    assert_eq!(status(&host, "/api/keyed", HOST_KEY).await, 200);
    assert_eq!(status(&host, "/api/keyed", MASTER_KEY).await, 200);
    assert_eq!(status(&host, "/api/owner", MASTER_KEY).await, 200);
}

#[tokio::test]
async fn the_key_reaches_the_handler_in_header_and_query() {
    let (recorder, host) = app_at(Place::Premium).await;
    host.get(&format!("/api/keyed?code={HOST_KEY}"))
        .await
        .expect_status(200);
    assert_eq!(
        recorder.only().target,
        format!("/api/keyed?code={HOST_KEY}")
    );
    assert_eq!(status(&host, "/api/keyed", HOST_KEY).await, 200);
    assert_eq!(recorder.recorded()[1].lines("x-functions-key"), [HOST_KEY]);
}
