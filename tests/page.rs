//! GET dbvc: the page for people, the data that it asks for, and the index of the API. What a reader does with the page
//! in a browser, `scripts/check-page` tries.

mod support;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dbvc::audit::EventType;
use dbvc::functions::HTTP_FUNCTIONS;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use support::dbvc::{Dbvc, HOME, ME, each, expect_problem, list, with};
use support::host::keys::function_key;
use support::host::{Answer, Host, Mode, Place};

/// As a browser asks for a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
const HTML: &str = "text/html; charset=utf-8";
const VIEWS: [&str; 6] = ["drift", "health", "history", "migration", "runs", "status"];

async fn get(host: &Host, path: &str, accept: &str) -> Answer {
    let request = host.request("GET", path);
    request.header("accept", accept).send().await
}

async fn page(host: &Host) -> Answer {
    get(host, "/api/dbvc", BROWSER).await.expect_status(200)
}

/// What stands between the only two such tags.
#[track_caller]
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let parts: Vec<&str> = text.split(begin).collect();
    assert_eq!(parts.len(), 2, "{begin}");
    parts[1].split(end).next().unwrap()
}

/// The sources that a directive of the page's policy allows.
#[track_caller]
fn allowed(policy: &str, directive: &str) -> Vec<String> {
    let mut found = policy.split(';').map(str::trim).filter_map(|part| {
        let (name, sources) = part.split_once(' ').unwrap_or((part, ""));
        (name == directive).then(|| sources.split(' ').map(str::to_owned).collect())
    });
    found
        .next()
        .unwrap_or_else(|| panic!("no {directive} in {policy}"))
}

/// How a policy names a text in a document (<https://www.w3.org/TR/CSP3/#match-element-to-source-list>).
fn hash_of(text: &str) -> String {
    let digest = Sha256::digest(text);
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest))
}

#[tokio::test]
async fn a_browser_gets_the_page_and_may_do_nothing_else_with_it() {
    for mode in [Mode::Forwarding, Mode::Payload] {
        let dbvc = Dbvc::start_with(|builder| builder.mode(mode)).await;
        let page = page(&dbvc.host).await;
        assert_eq!(page.header("content-type").as_deref(), Some(HTML));
        assert_eq!(page.header("vary").as_deref(), Some("Accept"));
        assert_eq!(page.header("cache-control").as_deref(), Some("no-store"));
        assert_eq!(
            page.header("x-content-type-options").as_deref(),
            Some("nosniff")
        );
        assert_eq!(
            page.header("referrer-policy").as_deref(),
            Some("no-referrer")
        );
        let policy = page.header("content-security-policy").unwrap();
        for (directive, sources) in [
            ("default-src", "'none'"),
            ("connect-src", "'self'"),
            ("img-src", "data:"),
            ("base-uri", "'none'"),
            ("form-action", "'none'"),
            ("frame-ancestors", "'none'"),
            ("require-trusted-types-for", "'script'"),
            ("trusted-types", "report"),
        ] {
            assert_eq!(allowed(&policy, directive), [sources], "{directive}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(
            page.text()
                .starts_with("<!DOCTYPE html>\n<html lang=\"en\">"),
            "{mode:?}"
        );
    }
}

#[tokio::test]
async fn the_policy_allows_the_style_and_the_script_of_the_page_and_of_a_report() {
    let dbvc = Dbvc::start().await;
    let page = page(&dbvc.host).await;
    let policy = page.header("content-security-policy").unwrap();
    let html = page.text();
    let script = between(&html, "<script type=\"module\">", "</script>");
    let report = get(
        &dbvc.host,
        &format!("/api/dbvc?view=drift&databaseId={HOME}"),
        "text/html",
    )
    .await
    .expect_status(200);
    assert_eq!(report.header("content-type").as_deref(), Some(HTML));
    let report = report.text();
    assert_eq!(
        allowed(&policy, "script-src"),
        [
            hash_of(script),
            hash_of(between(&report, "<script>", "</script>")),
        ]
    );
    assert_eq!(
        allowed(&policy, "style-src"),
        [
            hash_of(between(&html, "<style>", "</style>")),
            hash_of(between(&report, "<style>", "</style>")),
        ]
    );
}

#[tokio::test]
async fn the_page_is_the_same_whatever_the_databases_hold_and_asks_for_nothing_from_elsewhere() {
    let dbvc = Dbvc::start().await;
    let before = page(&dbvc.host).await.text();
    let hostile = "<img src=x onerror=alert(1)>";
    let more = json!({ "author": hostile, "description": hostile });
    let file = dbvc.file("V1__hostile");
    dbvc.create(&file, "SELECT 1;", more)
        .await
        .expect_status(201);
    dbvc.run().await;
    assert_eq!(page(&dbvc.host).await.text(), before);
    for outside in ["src=", "@import", "url(", "//cdn", "innerHTML", "onclick="] {
        assert!(!before.contains(outside), "{outside}");
    }
    let addresses: BTreeSet<&str> = before
        .match_indices("http")
        .map(|(at, _)| before[at..].split(['\'', '"', '`']).next().unwrap())
        .filter(|found| found.starts_with("http:") || found.starts_with("https:"))
        .collect();
    // The name of a language, not an address.
    assert_eq!(addresses, BTreeSet::from(["http://www.w3.org/2000/svg"]));
}

#[tokio::test]
async fn the_page_lets_choose_among_all_types_of_events() {
    let dbvc = Dbvc::start().await;
    let html = page(&dbvc.host).await.text();
    let choice = between(&html, "<select id=\"history-type\">", "</select>");
    let offered: Vec<&str> = choice
        .split("<option>")
        .skip(1)
        .map(|option| option.split('<').next().unwrap())
        .collect();
    let types: Vec<&str> = EventType::ALL
        .iter()
        .map(|event_type| event_type.as_str())
        .collect();
    assert_eq!(offered, types);
}

#[tokio::test]
async fn a_program_gets_an_index_that_has_every_function() {
    let dbvc = Dbvc::start().await;
    let plain = dbvc.host.get("/api/dbvc").await.expect_status(200);
    for accept in [
        "*/*",
        "application/json",
        "application/json, text/html;q=0.9",
    ] {
        let index = get(&dbvc.host, "/api/dbvc/", accept)
            .await
            .expect_status(200);
        assert_eq!(index.body, plain.body, "{accept}");
        assert_eq!(index.header("vary").as_deref(), Some("Accept"));
    }
    let index = plain.body;
    assert_eq!(index["name"], "dbvc");
    assert_eq!(index["environment"], "dev");
    assert_eq!(index["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(index["views"], json!(VIEWS));
    let expected: Vec<Value> = HTTP_FUNCTIONS
        .iter()
        .map(|function| {
            let methods: Vec<&str> = function.methods().map(|one| one.as_str()).collect();
            let types: Vec<&str> = function.offers.iter().map(|one| one.essence()).collect();
            let path = format!("/api/{}", function.route);
            json!({ "name": function.name, "methods": methods, "path": path, "types": types })
        })
        .collect();
    assert_eq!(index["functions"], json!(expected));
}

#[tokio::test]
async fn a_view_answers_what_its_function_answers() {
    let dbvc = Dbvc::start().await;
    dbvc.register_with_down(
        "V1__orders",
        "CREATE TABLE orders (id INTEGER);",
        "DROP TABLE orders;",
    )
    .await;
    dbvc.run().await;
    dbvc.register("V2__later", "SELECT 1;").await;
    let run = dbvc.host.get("/api/dbvc/runs").await.body["runs"][0]["runId"]
        .as_str()
        .unwrap()
        .to_owned();
    for (view, path) in [
        (
            format!("drift&databaseId={HOME}"),
            format!("drift?databaseId={HOME}"),
        ),
        (
            format!("history&databaseId={HOME}&type=registered&limit=1"),
            format!("history?databaseId={HOME}&type=registered&limit=1"),
        ),
        (
            format!("migration&databaseId={HOME}&migrationId=V1__orders"),
            format!("databases/{HOME}/migrations/V1__orders"),
        ),
        ("runs&limit=1".to_owned(), "runs?limit=1".to_owned()),
        (format!("runs&runId={run}"), format!("runs/{run}")),
        (
            "status&detailed=true".to_owned(),
            "migrations/status?detailed=true".to_owned(),
        ),
    ] {
        let seen = dbvc
            .host
            .get(&format!("/api/dbvc?view={view}"))
            .await
            .expect_status(200);
        let asked = dbvc.host.get(&format!("/api/dbvc/{path}")).await;
        assert_eq!(seen.body, asked.body, "{view}");
    }
    let health = dbvc.host.get("/api/dbvc?view=health").await;
    let latency = json!({ "checks": null });
    assert_eq!(
        with(health.expect_status(200).body, latency.clone()),
        with(dbvc.host.get("/api/dbvc/health").await.body, latency)
    );
    dbvc.host.expect_silent_stderr();
}

#[tokio::test]
async fn what_a_view_does_not_know_is_refused() {
    let dbvc = Dbvc::start().await;
    for (query, fields) in [
        ("detailed=true", &["detailed"][..]),
        ("view=", &["view"]),
        ("view=databases", &["view"]),
        ("View=status", &["View"]),
        ("view=status&view=status", &["view"]),
        ("view=%FF", &["view"]),
        ("view=status&detailled=true", &["detailled"]),
        ("view=status&detailed=yes", &["detailed"]),
        ("view=runs&limit=0", &["limit"]),
        ("view=runs&runId=", &["runId"]),
        ("view=runs&runId=a&limit=1", &["limit"]),
        ("view=runs&runId=a&runId=b", &["runId", "runId"]),
        ("view=health&databaseId=a", &["databaseId"]),
        ("view=history", &["databaseId"]),
        ("view=migration&databaseId=a", &["migrationId"]),
        ("view=migration", &["databaseId", "migrationId"]),
        (
            "view=migration&databaseId=a&migrationId=b&executor=c",
            &["executor"],
        ),
    ] {
        // The host would join what comes twice.
        let direct = dbvc.host.direct();
        let answer = direct.get(&format!("/api/dbvc?{query}")).await;
        let problem = expect_problem(&answer, 400, "invalid-request");
        assert_eq!(each(&problem["errors"], "field"), fields, "{query}");
    }
    let unknown = dbvc.host.get("/api/dbvc?view=snapshots").await;
    let message = list(&unknown.body["errors"])[0]["message"].clone();
    assert_eq!(message, format!("must be one of {}", VIEWS.join(", ")));
}

#[tokio::test]
async fn a_view_passes_on_why_its_function_refuses() {
    let dbvc = Dbvc::start().await;
    for (view, code) in [
        ("drift&databaseId=nowhere", "unknown-database"),
        ("runs&runId=nowhere", "unknown-run"),
        (
            "migration&databaseId=lpa-bloom-sql-dev&migrationId=V9__nowhere",
            "unknown-migration",
        ),
    ] {
        let answer = dbvc.host.get(&format!("/api/dbvc?view={view}")).await;
        let problem = expect_problem(&answer, 404, code);
        assert_eq!(problem["instance"], "/api/dbvc");
    }
}

#[tokio::test]
async fn each_view_has_the_types_of_its_function() {
    let dbvc = Dbvc::start().await;
    // A browser that opens the address of a view by itself takes JSON, too.
    let opened = get(&dbvc.host, "/api/dbvc?view=status", BROWSER).await;
    assert_eq!(opened.expect_status(200).body["environment"], "dev");
    let answer = get(&dbvc.host, "/api/dbvc?view=status", "text/html").await;
    expect_problem(&answer, 406, "not-acceptable");
    let answer = get(&dbvc.host, "/api/dbvc", "image/png").await;
    expect_problem(&answer, 406, "not-acceptable");
}

#[tokio::test]
async fn the_page_and_its_views_only_read() {
    let dbvc = Dbvc::start().await;
    page(&dbvc.host).await;
    for view in VIEWS {
        let path = format!("/api/dbvc?view={view}&databaseId={HOME}&migrationId=V1__x");
        dbvc.host.get(&path).await;
    }
    assert!(
        !dbvc.file_of(HOME).exists(),
        "looking at a database made its file"
    );
    for method in ["HEAD", "POST", "PUT", "DELETE"] {
        let answer = dbvc.host.direct().request(method, "/api/dbvc").send().await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow").as_deref(), Some("GET"), "{method}");
    }
}

#[tokio::test]
async fn the_key_of_the_page_opens_its_views_and_no_other_function() {
    let dbvc = Dbvc::start_with(|builder| {
        builder
            .place(Place::Premium)
            .setting("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    })
    .await;
    let with_key = |path: &str| dbvc.host.request("GET", path).key(&function_key("dbvc"));
    for path in ["/api/dbvc", "/api/dbvc?view=status", "/api/dbvc?view=runs"] {
        dbvc.host.get(path).await.expect_status(401);
        with_key(path).send().await.expect_status(200);
    }
    let in_address = format!("/api/dbvc?code={}", function_key("dbvc"));
    let page = get(&dbvc.host, &in_address, BROWSER).await;
    assert!(
        !page
            .expect_status(200)
            .text()
            .contains(&function_key("dbvc"))
    );
    for path in ["/api/dbvc/migrations/status", "/api/dbvc/runs"] {
        with_key(path).send().await.expect_status(401);
    }
    let body = json!({ "databaseId": HOME, "environment": "dev", "executor": ME });
    let run = dbvc.host.request("POST", "/api/dbvc/migrations/run");
    let answer = run.json(&body).key(&function_key("dbvc")).send().await;
    answer.expect_status(401);
}
