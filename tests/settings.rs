//! Whether the real binary refuses to start with wrong settings, in one clear line and without telling secrets.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What of the test's own environment dbvc sees.
const INHERITED: [&str; 4] = ["PATH", "TMPDIR", "TEMP", "SystemRoot"];

fn serve_with(settings: &[(&str, &str)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_dbvc"))
        .env_clear()
        .envs(std::env::vars().filter(|(name, _)| INHERITED.contains(&name.as_str())))
        .envs(settings.iter().copied())
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("dbvc serves with {settings:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let written = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(
        written, 0,
        "dbvc wrote something before it refused {settings:?}"
    );
    child.wait_with_output().unwrap()
}

/// The one line on stderr of a dbvc that does not start.
fn refusal(settings: &[(&str, &str)]) -> String {
    let output = serve_with(settings);
    assert_eq!(output.status.code(), Some(1), "{settings:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{settings:?}");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[test]
fn a_wrong_setting_stops_the_start_by_name() {
    for (name, value) in [
        ("DBVC_ENVIRONMENT", "Not A Name"),
        ("DBVC_DATABASE_ID", "Orders DB"),
        ("DBVC_SCHEMA", "my schema"),
        ("DBVC_SCHEMA", "INFORMATION_schema"),
        ("DBVC_ON_DRIFT", "shrug"),
        ("DBVC_LOCK_LEASE_SECONDS", "4000"),
        ("DBVC_MAX_PARALLEL_DATABASES", "many"),
        ("DBVC_STATEMENT_TIMEOUT", "-1"),
        ("DBVC_LOCK_TIMEOUT", "soon"),
        ("DBVC_ALLOWED_HOSTS", "example.com"),
        ("DBVC_ALERT_WEBHOOK", "http://example.com/hook"),
        ("DBVC_LOG", "dbvc=loud"),
        ("FUNCTIONS_CUSTOMHANDLER_PORT", "seven"),
    ] {
        let line = refusal(&[(name, value)]);
        assert!(line.contains(name) && !line.contains(value), "{line}");
    }
}

#[test]
fn all_wrong_settings_stand_in_the_same_line() {
    let line = refusal(&[
        ("DBVC_ON_DRIFT", "shrug"),
        ("FUNCTIONS_CUSTOMHANDLER_PORT", ""),
    ]);
    assert!(
        line.contains("DBVC_ON_DRIFT") && line.contains("FUNCTIONS_CUSTOMHANDLER_PORT"),
        "{line}"
    );
}

#[test]
fn azure_without_its_services_is_refused() {
    for (sign, also) in [
        ("WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME"),
        ("WEBSITE_POD_NAME", "WEBSITE_SITE_NAME"),
        ("CONTAINER_NAME", "WEBSITE_SITE_NAME"),
    ] {
        let line = refusal(&[(sign, "x"), (also, "lpa"), ("DBVC_ENVIRONMENT", "prod")]);
        for name in ["SQL_CONNECTION_STRING", "DBVC_COSMOS_CONNECTION_STRING"] {
            assert!(line.contains(name), "{line}");
        }
    }
}

#[test]
fn azure_without_cosmos_alone_is_refused_as_well() {
    let sql = "Server=tcp:x.database.windows.net;Database=shop";
    let in_azure = [
        ("WEBSITE_INSTANCE_ID", "x"),
        ("DBVC_ENVIRONMENT", "prod"),
        ("SQL_CONNECTION_STRING", sql),
    ];
    let line = refusal(&in_azure);
    assert!(line.contains("DBVC_COSMOS_CONNECTION_STRING"), "{line}");
    assert!(!line.contains("SQL_CONNECTION_STRING is"), "{line}");
}

#[test]
fn two_cosmos_accounts_are_one_too_many_and_a_foreign_host_gets_no_token() {
    let line = refusal(&[
        (
            "DBVC_COSMOS_CONNECTION_STRING",
            "AccountEndpoint=https://x.documents.azure.com/;AccountKey=a2V5;",
        ),
        ("DBVC_COSMOS_ENDPOINT", "https://x.documents.azure.com/"),
    ]);
    assert!(
        line.contains("DBVC_COSMOS_ENDPOINT must not be set beside"),
        "{line}"
    );
    let line = refusal(&[("DBVC_COSMOS_ENDPOINT", "https://x.example.com/")]);
    assert!(
        line.contains("x.example.com may not have a token"),
        "{line}"
    );
}

#[test]
fn secrets_are_not_told() {
    for (name, value) in [
        (
            "SQL_CONNECTION_STRING",
            "Server=tcp:quiet.database.windows.net;User ID=sa;Password=hush",
        ),
        ("SQL_PASSWORD", "hush"),
        (
            "SQL_CONNECTION_STRING",
            "Server=quiet;Database=shop;User ID=sa;Password=hush;hush=",
        ),
        (
            "SQL_CONNECTION_STRING",
            "Server=quiet;Database=shop;Authentication=Active Directory Interactive;User ID=hush",
        ),
        ("DBVC_VAR_app_password", "hush\nGO"),
        ("DBVC_VAR_app.password", "hush"),
        (
            "DBVC_COSMOS_CONNECTION_STRING",
            "AccountEndpoint=quiet;AccountKey=hush",
        ),
        (
            "DBVC_COSMOS_CONNECTION_STRING",
            "AccountEndpoint=http://quiet;AccountKey=hush",
        ),
        (
            "SQL_CONNECTION_STRING",
            "@Microsoft.KeyVault(SecretUri=https://quiet.vault.azure.net/secrets/hush)",
        ),
        (
            "DBVC_CONN_ORDERS",
            "@Microsoft.KeyVault(VaultName=quiet;SecretName=hush)",
        ),
    ] {
        let line = refusal(&[(name, value)]);
        assert!(line.contains(name), "{line}");
        assert!(!line.contains("hush") && !line.contains("quiet"), "{line}");
    }
}

#[test]
fn half_an_address_is_no_address() {
    let line = refusal(&[("SQL_DATABASE", "shop"), ("SQL_USER", "ada")]);
    assert!(line.contains("SQL_SERVER is required"), "{line}");
    let line = refusal(&[("SQL_SERVER", "lpa\\sqlexpress"), ("SQL_DATABASE", "shop")]);
    assert!(
        line.contains("SQL_SERVER") && line.contains("give the port"),
        "{line}"
    );
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = refusal(&[("FUNCTIONS_CUSTOMHANDLER_PORT", &port)]);
    assert!(
        line.contains(&port) && line.to_lowercase().contains("in use"),
        "{line}"
    );
}
