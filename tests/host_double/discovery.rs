//! Which functions the double finds, and which request it gives to which.

use serde_json::json;

use crate::recorder::Recorder;
use crate::support::host::{App, Trigger};
use crate::temporary_app::TemporaryApp;

fn names(app: &App) -> Vec<&str> {
    app.functions
        .iter()
        .map(|function| function.name.as_str())
        .collect()
}

#[track_caller]
fn reason<'a>(app: &'a App, function: &str) -> &'a str {
    let error = app.errors.iter().find(|(name, _)| name == function);
    &error
        .unwrap_or_else(|| panic!("`{function}` should be in error: {app:#?}"))
        .1
}

#[test]
fn only_folders_directly_under_the_root_that_hold_a_function_json_are_functions() {
    let app = TemporaryApp::new()
        .http("hello", &["get"], "hello")
        .http("deeper/hidden", &["get"], "hidden")
        .file("docs/readme.md", "not a function");
    let app = app.indexed(&[]);
    assert_eq!(names(&app), ["hello"]);
    assert!(app.errors.is_empty(), "{:?}", app.errors);
}

#[test]
fn a_bad_name_puts_only_that_function_in_error() {
    let app = TemporaryApp::new()
        .http("hello", &["get"], "hello")
        .http("1st", &["get"], "first")
        .http("with space", &["get"], "space")
        .http("Host", &["get"], "own");
    let app = app.indexed(&[]);
    assert_eq!(names(&app), ["hello"]);
    for name in ["1st", "with space", "Host"] {
        assert!(reason(&app, name).contains("a function name is"), "{name}");
    }
}

#[test]
fn a_function_has_exactly_one_trigger() {
    let timer = json!({ "type": "timerTrigger", "name": "timer", "schedule": "0 * * * * *" });
    let output = json!({ "type": "http", "direction": "out", "name": "res" });
    let app = TemporaryApp::new()
        .function("none", std::slice::from_ref(&output))
        .function("two", &[timer.clone(), timer]);
    let app = app.indexed(&[]);
    assert!(reason(&app, "none").contains("exactly one trigger, not 0"));
    assert!(reason(&app, "two").contains("exactly one trigger, not 2"));
}

#[test]
fn a_schedule_is_resolved_from_the_settings_or_the_function_fails_to_index() {
    let app = TemporaryApp::new().timer("tick", "%TICK_SCHEDULE%");
    let without = app.indexed(&[]);
    assert!(reason(&without, "tick").contains("`%TICK_SCHEDULE%` does not resolve"));

    let with = app.indexed(&[("TICK_SCHEDULE", "0 */5 * * * *")]);
    let Trigger::Timer { schedule, .. } = &with.functions[0].trigger else {
        panic!("a timer: {with:#?}");
    };
    assert_eq!(schedule, "0 */5 * * * *");

    let wrong = app.indexed(&[("TICK_SCHEDULE", "often")]);
    assert!(reason(&wrong, "tick").contains("neither a cron expression nor a time span"));
}

#[test]
fn routes_may_not_take_what_is_the_hosts_own_nor_what_another_function_has() {
    let app = TemporaryApp::new()
        .http("a-first", &["get", "post"], "things/{id}")
        .http("b-second", &["POST"], "Things/{id}")
        .http("c-third", &["put"], "things/{id}")
        .http("d-fourth", &["get"], "administration");
    let app = app.indexed(&[]);
    assert_eq!(names(&app), ["a-first", "c-third"]);
    assert!(reason(&app, "b-second").contains("conflicts with that of `a-first`"));
    assert!(reason(&app, "d-fourth").contains("conflicts with one of the host's own"));
}

#[test]
fn the_environment_beats_host_json() {
    let app = TemporaryApp::new().http("hello", &["get"], "hello");
    let app = app.indexed(&[
        (
            "AzureFunctionsJobHost__customHandler__description__defaultExecutablePath",
            "other",
        ),
        (
            "azurefunctionsjobhost__customhandler__description__arguments",
            r#"["serve","--loud"]"#,
        ),
        (
            "AzureFunctionsJobHost__customHandler__enableForwardingHttpRequest",
            "false",
        ),
        ("AzureFunctionsJobHost__functionTimeout", "00:00:05"),
    ]);
    let text = app.text("customHandler:description:defaultExecutablePath");
    assert_eq!(text.as_deref(), Some("other"));
    assert_eq!(
        app.list("customHandler:description:arguments"),
        ["serve", "--loud"]
    );
    assert!(!app.flag("customHandler:enableForwardingHttpRequest"));
    assert_eq!(app.function_timeout().unwrap().unwrap().as_secs(), 5);
}

#[tokio::test]
async fn a_host_without_an_executable_or_without_functions_does_not_start() {
    let empty = TemporaryApp::new();
    let error = empty
        .builder()
        .try_launch()
        .await
        .err()
        .expect("no function");
    assert!(error.contains("no function was found"), "{error}");

    let without = TemporaryApp::new()
        .http("hello", &["get"], "hello")
        .host_json(&json!({ "version": "2.0", "customHandler": {} }));
    let builder = without.builder().without_setting(
        "AzureFunctionsJobHost__customHandler__description__defaultExecutablePath",
    );
    let error = builder.try_launch().await.err().expect("no executable");
    assert!(error.contains("defaultExecutablePath"), "{error}");
}

#[test]
fn a_disabled_function_and_one_that_the_allow_list_leaves_out_are_not_indexed() {
    let app = TemporaryApp::new()
        .http("one", &["get"], "one")
        .http("two", &["get"], "two")
        .http("three", &["get"], "three")
        .host_json(&json!({
            "version": "2.0",
            "functions": ["one", "two"],
            "customHandler": { "description": { "defaultExecutablePath": "handler" } },
        }));
    let app = app.indexed(&[("AzureWebJobs.two.Disabled", "true")]);
    assert_eq!(names(&app), ["one"]);
}

#[tokio::test]
async fn the_first_function_by_name_gets_the_request_and_nothing_ranks_a_literal_higher() {
    let app = TemporaryApp::new()
        .http("Zebra", &["get"], "animals/zebra")
        .http("any", &["get"], "animals/{name?}");
    let recorder = Recorder::answering_json("{}").await;
    let host = app.builder().attach(recorder.address).start().await;

    for path in ["/api/animals/zebra", "/API/Animals/ZEBRA/", "/api/animals"] {
        host.get(path).await.expect_status(200);
    }
    let functions: Vec<_> = host.invocations().into_iter().map(|i| i.function).collect();
    assert_eq!(functions, ["any", "any", "any"]);
}

#[tokio::test]
async fn what_no_function_takes_is_404_and_the_handler_is_not_called() {
    let app = TemporaryApp::new()
        .http("one", &["get"], "things/{id}")
        .timer("tick", "0 * * * * *");
    let recorder = Recorder::answering_json("{}").await;
    let host = app.builder().attach(recorder.address).start().await;

    host.post("/api/things/1", json!({}))
        .await
        .expect_status(404);
    for path in [
        "/api/things",
        "/api/things/1/more",
        "/things/1",
        "/tick",
        "/api/tick",
        "/api/things//",
    ] {
        host.get(path).await.expect_status(404);
    }
    assert!(recorder.recorded().is_empty(), "{:?}", recorder.recorded());
}

#[tokio::test]
async fn an_empty_prefix_and_a_catch_all_take_everything() {
    let app = TemporaryApp::new().http("all", &["get"], "{*path}").host_json(&json!({
        "version": "2.0",
        "extensions": { "http": { "routePrefix": "" } },
        "customHandler": { "description": { "defaultExecutablePath": "h" }, "enableForwardingHttpRequest": true },
    }));
    let recorder = Recorder::answering_json("{}").await;
    let host = app.builder().attach(recorder.address).start().await;
    host.get("/some/where").await.expect_status(200);
    assert_eq!(recorder.only().target, "/some/where");
}
