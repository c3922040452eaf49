//! Bodies that are not the JSON they should be, and callers that accept nothing on offer.

use crate::fault::{Fault, all_answered, all_answered_directly, fault};

const RUN: &str = "/api/dbvc/migrations/run";

fn json_text(body: impl Into<Vec<u8>>) -> Fault {
    fault("POST", RUN)
        .header("content-type", "application/json")
        .body(body)
}

#[tokio::test]
async fn what_is_no_json_object_is_refused() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let texts = [
        "{",
        "[]",
        "1",
        "null",
        "\"{}\"",
        "{} {}",
        "{'a': 1}",
        "{\"a\": 1,}",
        "a=b",
        " ",
        "{\"a\": NaN}",
        "{\"a\": 1e999}",
        "{\"a\": \"\\ud800\"}",
        deep.as_str(),
    ];
    let faults: Vec<Fault> = texts
        .iter()
        .map(|text| json_text(*text).is(400, "invalid-request"))
        .collect();
    all_answered(&faults).await;
}

#[tokio::test]
async fn a_field_that_comes_twice_is_named() {
    all_answered(&[
        json_text(r#"{"executor": "a", "databaseId": "x", "executor": "b"}"#).names(&["executor"]),
        json_text(r#"{"executor": "a", "\u0065xecutor": "b"}"#).names(&["executor"]),
    ])
    .await;
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_refused() {
    // Only directly: a host that makes a text of them has repaired them before dbvc sees any.
    all_answered_directly(&[
        json_text(b"{\"executor\": \"\xff\xfe\"}".to_vec()).is(400, "invalid-request"),
        json_text(b"\xff\xfe{\0}\0".to_vec()).is(400, "invalid-request"),
        json_text(b"\xef\xbb\xbf{}".to_vec()).is(400, "invalid-request"),
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_says_that_it_is_no_json_is_refused() {
    let said = |content_type: &str| {
        let refused = fault("POST", RUN)
            .header("content-type", content_type)
            .body("{}");
        refused.is(415, "unsupported-media-type")
    };
    all_answered(&[
        said("text/plain"),
        said("application/x-www-form-urlencoded"),
        said("application/xml"),
        said("application/json; charset=utf-16"),
        said("application/octet-stream"),
    ])
    .await;
    all_answered_directly(&[
        said("json"),
        json_text("{}")
            .header("content-encoding", "gzip")
            .is(415, "unsupported-media-type"),
    ])
    .await;
}

#[tokio::test]
async fn json_under_its_other_names_and_without_a_name_is_read() {
    let read = |content_type: &str| {
        let sent = fault("POST", RUN)
            .header("content-type", content_type)
            .body("{\"typo\": 1}");
        sent.names(&["typo", "databaseId", "environment", "executor"])
    };
    all_answered(&[
        read("application/json"),
        read("application/json; charset=utf-8"),
        read("application/vnd.lpa+json"),
    ])
    .await;
    all_answered_directly(&[fault("POST", RUN).body("{\"typo\": 1}").names(&[
        "typo",
        "databaseId",
        "environment",
        "executor",
    ])])
    .await;
}

#[tokio::test]
async fn a_caller_that_accepts_nothing_on_offer_is_told_so() {
    let accepting = |method, path: &str, accept: &str| {
        fault(method, path)
            .header("accept", accept)
            .is(406, "not-acceptable")
    };
    all_answered(&[
        accepting("GET", "/api/dbvc/health", "text/html"),
        accepting("GET", "/api/dbvc/runs", "application/xml, text/*"),
        accepting("GET", "/api/dbvc/runs", "*/*;q=0"),
        accepting("GET", "/api/dbvc/runs", "application/json;q=0, */*"),
        accepting("GET", "/api/dbvc/drift?databaseId=a", "application/pdf"),
        accepting("POST", RUN, "text/markdown"),
    ])
    .await;
}
