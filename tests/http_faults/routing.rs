//! Paths that no function has, and methods that a path does not know.

use std::collections::BTreeSet;

use dbvc::functions::{HTTP_FUNCTIONS, TIMER_FUNCTIONS};

use crate::fault::{all_answered_directly, fault, host};
use crate::support::host::{Mode, Trigger};

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    // The host answers these itself.
    all_answered_directly(&[
        fault("GET", "/api/dbvc/nothing").is(404, "not-found"),
        fault("GET", "/api").is(404, "not-found"),
        fault("POST", "/dbvc-nothing").is(404, "not-found"),
        fault("GET", "/dbvc/health").is(404, "not-found"),
        fault("GET", "/api/dbvc/runs/a/b/c").is(404, "not-found"),
        fault("POST", "/api/dbvc-drift-timer").is(404, "not-found"),
        fault("GET", "/favicon.ico").is(404, "not-found"),
    ])
    .await;
}

#[tokio::test]
async fn a_method_that_a_path_does_not_know_is_told_those_that_it_does() {
    all_answered_directly(&[
        fault("POST", "/api/dbvc/health").allows("GET"),
        fault("GET", "/api/dbvc/migrations").allows("POST"),
        fault("PATCH", "/api/dbvc/databases/a").allows("GET, PUT"),
        fault("OPTIONS", "/api/dbvc/snapshots").allows("GET, POST"),
        fault("PUT", "/API/DBVC/Databases/a/Migrations/b/").allows("DELETE, GET"),
        fault("get", "/api/dbvc/health").allows("GET"),
        fault("GET", "/dbvc-runs-timer").allows("POST"),
        fault("POST", "/").allows("GET"),
    ])
    .await;
}

#[tokio::test]
async fn the_router_knows_exactly_what_the_function_folders_declare() {
    let (host, _data) = host(Mode::Forwarding).await;
    let declared: BTreeSet<String> = host
        .app()
        .functions
        .iter()
        .map(|function| match &function.trigger {
            Trigger::Http {
                methods, template, ..
            } => {
                let methods: BTreeSet<String> = methods
                    .iter()
                    .map(|method| method.to_string().to_uppercase())
                    .collect();
                format!("{} {methods:?} {}", function.name, template.text())
            }
            Trigger::Timer { .. } => function.name.clone(),
        })
        .collect();
    let known: BTreeSet<String> = HTTP_FUNCTIONS
        .iter()
        .map(|function| {
            let methods: BTreeSet<String> = function
                .methods()
                .map(|method| method.as_str().to_owned())
                .collect();
            format!("{} {methods:?} api/{}", function.name, function.route)
        })
        .chain(TIMER_FUNCTIONS.iter().map(|timer| timer.name.to_owned()))
        .collect();
    assert_eq!(known, declared);
}

#[tokio::test]
async fn the_answer_carries_the_invocation_id_of_the_host() {
    for mode in Mode::ALL {
        let (host, _data) = host(mode).await;
        let answer = host.request("GET", "/api/dbvc/runs?limit=0").send().await;
        let id = answer.header("x-request-id").unwrap();
        assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
        let line = host.wait_for_line(&id).await;
        assert!(line.text.contains("dbvc-runs"), "{}", line.text);
    }
    let (host, _data) = host(Mode::Forwarding).await;
    let forged = host
        .request("GET", "/api/dbvc/runs?limit=0")
        .header("x-azure-functions-invocationid", "forged");
    assert_ne!(
        forged.send().await.header("x-request-id").as_deref(),
        Some("forged")
    );
}

#[tokio::test]
async fn keys_are_never_logged() {
    let (host, _data) = host(Mode::Forwarding).await;
    for path in [
        "/api/dbvc/runs?code=hush-1&limit=0",
        "/api/dbvc/nothing/hush-2?code=hush-3",
    ] {
        for client in [host.client(), host.direct()] {
            client
                .request("GET", path)
                .header("x-functions-key", "hush-4")
                .send()
                .await;
        }
    }
    host.direct()
        .request("POST", "/api/dbvc/migrations")
        .body("hush-5")
        .send()
        .await;
    host.wait_for_line("dbvc-migrations-create").await;
    for line in host.lines() {
        assert!(!line.text.contains("hush"), "{}", line.text);
    }
}
