//! How the double starts the handler's process, what it gives it, and what it does when the process ends.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::host::{HostBuilder, Mode, Outcome, State, Stream, TimerShape};
use crate::temporary_app::TemporaryApp;

/// Not a test: the handler that the tests below start as a process, which is this very test program.
#[tokio::test]
#[ignore = "is a handler for other tests"]
async fn plays_the_handler() {
    let Ok(port) = std::env::var("FUNCTIONS_CUSTOMHANDLER_PORT") else {
        return;
    };
    let port: u16 = port.parse().expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .expect("the given port is free");
    println!("listening");
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        tokio::spawn(async move {
            // The double may close a connection at any time.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(play))
                .await;
        });
    }
}

async fn play(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    // Forwarded under /api/, posted as an envelope without it.
    let body = match path.trim_start_matches("/api").trim_start_matches('/') {
        "about" => json!({
            "environment": std::env::vars().collect::<BTreeMap<_, _>>(),
            "directory": std::env::current_dir().expect("a directory"),
            "arguments": std::env::args().collect::<Vec<_>>(),
        }),
        "hang" => {
            println!("hanging");
            std::future::pending().await
        }
        exit if exit.starts_with("exit/") => {
            let code = exit
                .trim_start_matches("exit/")
                .parse()
                .expect("an exit code");
            std::process::exit(code)
        }
        _ => json!({}),
    };
    let response = Response::builder().header("content-type", "application/json");
    Ok(response
        .body(Full::from(body.to_string()))
        .expect("a valid answer"))
}

fn played() -> (TemporaryApp, HostBuilder) {
    let app = TemporaryApp::new()
        .http("about", &["get"], "about")
        .http("hang", &["get"], "hang")
        .http("exit", &["get"], "exit/{code}")
        .timer("tick", "0 * * * * *");
    let this_program = std::env::current_exe().expect("a test knows its program");
    let builder = app.builder().executable(this_program).arguments(&[
        "process::plays_the_handler",
        "--exact",
        "--ignored",
        "--nocapture",
    ]);
    (app, builder)
}

/// A handler that is a few lines of shell.
#[cfg(unix)]
fn script(text: &str) -> (TemporaryApp, HostBuilder) {
    use std::os::unix::fs::PermissionsExt;
    let app = TemporaryApp::new().http("hello", &["get"], "hello");
    // /bin/sh reads the script: running a file that was only just written can fail as "text file busy" while another
    // test of this process is starting a program.
    let app = app.file("handler.sh", text);
    let path = app.path().join("handler.sh");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))
        .expect("permissions can be set");
    let builder = app
        .builder()
        .executable("/bin/sh")
        .arguments(&["handler.sh"]);
    (app, builder)
}

#[tokio::test]
async fn the_handler_gets_the_environment_of_core_tools_and_nothing_of_the_developers() {
    let (app, builder) = played();
    let host = builder.setting("DBVC_ENVIRONMENT", "dev").start().await;
    let about = host.get("/api/about").await.expect_status(200).body;

    let environment = &about["environment"];
    let port = host.direct().address().port().to_string();
    assert_eq!(environment["FUNCTIONS_CUSTOMHANDLER_PORT"], port);
    assert_eq!(environment["FUNCTIONS_HTTPWORKER_PORT"], port);
    let id = &environment["FUNCTIONS_CUSTOMHANDLER_WORKER_ID"];
    assert!(id.is_string());
    assert_eq!(&environment["FUNCTIONS_HTTPWORKER_ID"], id);
    assert_eq!(
        environment["FUNCTIONS_APP_ROOT_PATH"],
        app.path().to_str().unwrap()
    );
    assert_eq!(environment["AZURE_FUNCTIONS_ENVIRONMENT"], "Development");
    assert!(environment["WEBSITE_HOSTNAME"].is_string());
    assert_eq!(environment["FUNCTIONS_WORKER_RUNTIME"], "custom");
    assert_eq!(environment["DBVC_ENVIRONMENT"], "dev");
    assert!(
        environment.get("CARGO_MANIFEST_DIR").is_none(),
        "the environment was not cleaned"
    );
    assert!(environment.get("WEBSITE_INSTANCE_ID").is_none());

    let directory = app.path().canonicalize().unwrap();
    assert_eq!(about["directory"], directory.to_str().unwrap());
    let arguments: Vec<_> = about["arguments"]
        .as_array()
        .unwrap()
        .iter()
        .skip(1)
        .collect();
    assert_eq!(
        arguments,
        [
            "process::plays_the_handler",
            "--exact",
            "--ignored",
            "--nocapture"
        ]
    );
}

#[tokio::test]
async fn a_request_that_comes_before_the_handler_is_ready_waits_for_it() {
    let (_app, builder) = played();
    let host = builder.launch().await;
    assert_eq!(host.state(), State::Starting);
    host.get("/api/about").await.expect_status(200);
}

#[tokio::test]
async fn in_azure_the_environment_is_azures() {
    let (_app, builder) = played();
    let host = builder.cloud().start().await;
    let key = crate::support::host::keys::HOST_KEY;
    let about = host
        .request("GET", "/api/about")
        .key(key)
        .send()
        .await
        .expect_status(200)
        .body;
    assert!(about["environment"]["WEBSITE_INSTANCE_ID"].is_string());
    assert!(
        about["environment"]
            .get("AZURE_FUNCTIONS_ENVIRONMENT")
            .is_none()
    );
}

#[tokio::test]
async fn a_kill_breaks_the_request_under_way_and_the_handler_starts_again_on_its_port() {
    let (_app, builder) = played();
    let host = builder.start().await;
    let client = host.client().clone();
    let hanging = tokio::spawn(async move { client.get("/api/hang").await });
    host.wait_for_line("hanging").await;
    let id = |about: serde_json::Value| about["environment"]["FUNCTIONS_HTTPWORKER_ID"].clone();
    let before = id(host.get("/api/about").await.body);

    host.kill().await;
    hanging.await.unwrap().expect_status(500);
    assert_eq!(host.state(), State::Killed);
    host.get("/api/about").await.expect_status(503);
    let tick = host.invoke_timer("tick", TimerShape::Regular).await;
    assert!(tick.expect_failure().contains("killed by the test"));

    host.start_again().await;
    let after = id(host.get("/api/about").await.expect_status(200).body);
    assert_ne!(before, after, "each process has an id of its own");
    assert_eq!(host.starts(), 2);
    assert!(host.defects().is_empty(), "{:?}", host.defects());
}

#[tokio::test]
async fn two_hosts_run_side_by_side_on_one_data_folder() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let (_one_app, one) = played();
    let (_other_app, other) = played();
    let one = one.data_dir(data.path()).start().await;
    let other = other.data_dir(data.path()).start().await;
    let about = [
        one.get("/api/about").await.body,
        other.get("/api/about").await.body,
    ];
    let [one, other] = about.each_ref().map(|about| &about["environment"]);
    assert_eq!(one["DBVC_DATA_DIR"], data.path().to_str().unwrap());
    assert_eq!(one["DBVC_DATA_DIR"], other["DBVC_DATA_DIR"]);
    assert_ne!(
        one["FUNCTIONS_CUSTOMHANDLER_PORT"],
        other["FUNCTIONS_CUSTOMHANDLER_PORT"]
    );
}

#[test]
fn the_handler_ends_with_the_test_that_started_it() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (_app, builder) = played();
    let host = runtime.block_on(builder.start());
    let port = host.direct().address();
    drop(host);
    drop(runtime);
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect(port).is_ok() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the handler lives on"
        );
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_crash_is_followed_by_a_start_and_the_third_one_is_the_end() {
    let (_app, builder) = played();
    let host = builder.start().await;
    let port = host.direct().address().port().to_string();
    for crash in 1..=2 {
        host.get("/api/exit/3").await.expect_status(500);
        // The invocation waits until the handler is there again.
        host.wait_for_starts(crash + 1).await;
        let about = host.get("/api/about").await.expect_status(200).body;
        assert_eq!(about["environment"]["FUNCTIONS_CUSTOMHANDLER_PORT"], port);
    }
    host.get("/api/exit/3").await.expect_status(500);
    let reason = host.wait_stopped().await;
    assert!(
        reason.contains("Exceeded http worker restart retry count"),
        "{reason}"
    );
    assert!(reason.contains("exited with code 3"), "{reason}");
    assert_eq!(host.starts(), 3);
    host.get("/api/about").await.expect_status(503);
}

#[tokio::test]
async fn exit_code_200_asks_for_a_new_start_and_counts_as_no_error() {
    let (_app, builder) = played();
    let host = builder.start().await;
    for exit in 1..=4 {
        host.get("/api/exit/200").await.expect_status(500);
        host.wait_for_starts(exit + 1).await;
    }
    host.get("/api/about").await.expect_status(200);
    assert!(host.defects().is_empty(), "{:?}", host.defects());
}

#[tokio::test]
async fn exit_code_0_is_a_defect() {
    let (_app, builder) = played();
    let host = builder.start().await;
    host.get("/api/exit/0").await.expect_status(500);
    let reason = host.wait_stopped().await;
    assert!(reason.contains("exit code 0"), "{reason}");
    assert_eq!(host.defects(), [reason]);
    assert_eq!(host.starts(), 1);
}

#[tokio::test]
async fn a_call_beyond_function_timeout_costs_the_handler_its_life() {
    for mode in Mode::ALL {
        let (_app, builder) = played();
        let builder = builder.setting("AzureFunctionsJobHost__functionTimeout", "00:00:01");
        let host = builder.mode(mode).start().await;
        host.get("/api/hang").await.expect_status(500);
        host.wait_for_starts(2).await;
        assert!(
            host.defects()[0].contains("functionTimeout"),
            "{:?}",
            host.defects()
        );
        assert!(matches!(host.invocations()[0].outcome, Outcome::Failed(_)));
    }
}

#[tokio::test]
async fn a_handler_that_cannot_be_started_is_not_tried_again() {
    let (_app, builder) = played();
    let host = builder
        .executable("no-such-program-anywhere")
        .launch()
        .await;
    let reason = host.wait_stopped().await;
    assert!(reason.contains("cannot be started"), "{reason}");
    assert_eq!(host.starts(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_handler_that_fails_at_once_is_started_three_times_with_the_same_port() {
    let (_app, builder) =
        script("echo \"port $FUNCTIONS_CUSTOMHANDLER_PORT\"; echo 'no database' >&2; exit 7");
    let host = builder.launch().await;
    let reason = host.wait_stopped().await;
    assert!(
        reason.contains("code 7") && reason.ends_with("no database"),
        "{reason}"
    );
    let port = format!("port {}", host.direct().address().port());
    assert_eq!(host.stdout(), [port.as_str(); 3]);
    assert_eq!(host.stderr(), ["no database"; 3]);
    host.get("/api/hello").await.expect_status(503);
}

#[cfg(unix)]
#[tokio::test]
async fn a_handler_that_never_listens_is_given_up() {
    let (_app, builder) = script("exec sleep 600");
    let host = builder
        .ready_limit(Duration::from_millis(200))
        .launch()
        .await;
    let reason = host.wait_stopped().await;
    assert!(reason.contains("was not ready within"), "{reason}");
    assert_eq!(host.starts(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn stdout_is_information_and_stderr_is_an_error_unless_it_says_warn() {
    let (_app, builder) = script("echo hello; echo 'WARNING: old' >&2; echo broken >&2; exit 0");
    let host = builder.launch().await;
    host.wait_stopped().await;
    let levels: Vec<_> = host
        .lines()
        .iter()
        .map(|line| (line.level(), line.text.clone()))
        .collect();
    for expected in [
        ("Information", "hello"),
        ("Warning", "WARNING: old"),
        ("Error", "broken"),
    ] {
        assert!(
            levels.contains(&(expected.0, expected.1.to_owned())),
            "{levels:?}"
        );
    }
    let stdout = host
        .lines()
        .into_iter()
        .filter(|line| line.stream == Stream::Stdout);
    assert_eq!(stdout.count(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn arguments_are_joined_by_blanks_and_only_their_own_quotes_hold_them_together() {
    let (_app, builder) = script("for argument in \"$@\"; do echo \"[$argument]\"; done");
    let builder = builder.arguments(&["handler.sh", "a b", "\"c d\"", "%UNSET%", "%NAME%"]);
    let host = builder.setting("NAME", "value").launch().await;
    host.wait_stopped().await;
    assert_eq!(host.stdout(), ["[a]", "[b]", "[c d]", "[value]"]);
}
