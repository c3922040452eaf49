//! The description of dbvc: reviewed, served as it is, and true of a real dbvc.

mod support;

#[path = "openapi/examples.rs"]
mod examples;
#[path = "openapi/requests.rs"]
mod requests;

use std::path::{Path, PathBuf};

use support::contract;
use support::dbvc::Dbvc;

/// The document as it was reviewed.
const SNAPSHOT: &str = "docs/openapi.json";
/// Set to anything it makes the tests write the snapshot, and examples that are no longer true, instead of comparing them.
const RENEW: &str = "DBVC_RENEW_OPENAPI";

fn is_renewing() -> bool {
    std::env::var_os(RENEW).is_some()
}

fn in_the_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_document_is_the_one_that_was_reviewed() {
    let path = in_the_repository(SNAPSHOT);
    let mut text = serde_json::to_string_pretty(dbvc::functions::document()).unwrap();
    text.push('\n');
    if is_renewing() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let reviewed = std::fs::read_to_string(&path).unwrap();
    let differs = text
        .lines()
        .zip(reviewed.lines())
        .position(|(now, reviewed)| now != reviewed);
    assert!(
        text == reviewed,
        "{SNAPSHOT} differs from line {}: if that is meant, run `{RENEW}=1 cargo test --test openapi` and review its change",
        differs.unwrap_or_default() + 1
    );
}

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let dbvc = Dbvc::start().await;
    let answer = dbvc
        .host
        .get("/api/dbvc/openapi.json")
        .await
        .expect_status(200);
    assert_eq!(&answer.body, contract::document());
}

#[test]
fn every_schema_that_is_referred_to_is_there() {
    let document = contract::document();
    let text = document.to_string();
    for reference in text.split(r##""$ref":"#"##).skip(1) {
        let pointer = reference.split('"').next().unwrap_or_default();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}
