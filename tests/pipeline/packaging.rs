//! The zip that is deployed.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::harness::{Job, script};
use crate::support::dbvc::HOME;
use crate::support::host::Host;

/// The package with the dbvc of this build, unpacked to a folder in which nothing can be written.
async fn unpacked(job: &Job) -> PathBuf {
    let package = script("package.sh").display().to_string();
    // A name with a blank, and from where the caller is.
    let words = [
        &*package,
        "--output",
        "out/db vc.zip",
        "--binary",
        env!("CARGO_BIN_EXE_dbvc"),
    ];
    let words = words.map(str::to_owned);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(job.path("."));
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let folder = job.path("app");
    let unzipped = Command::new("unzip")
        .arg("-q")
        .arg(job.path("out/db vc.zip"))
        .arg("-d")
        .arg(&folder)
        .status();
    assert!(unzipped.unwrap().success());
    for path in all(&folder).iter().chain([&folder]) {
        let mode = if path.is_dir() || path.ends_with("bin/dbvc") {
            0o555
        } else {
            0o444
        };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    folder
}

fn all(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all(&path));
        }
        found.push(path);
    }
    found
}

/// So that the folder can be removed.
fn let_go(folder: &Path) {
    for path in all(folder)
        .iter()
        .chain([&folder.to_owned()])
        .filter(|path| path.is_dir())
    {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn the_package_holds_the_app_and_nothing_else_and_runs_where_nothing_can_be_written() {
    let job = Job::new();
    let app = unpacked(&job).await;

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut expected: BTreeSet<String> = ["bin/dbvc".to_owned(), "host.json".to_owned()].into();
    for entry in std::fs::read_dir(root).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let function = format!("{name}/function.json");
        if root.join(&function).is_file() {
            assert_eq!(
                std::fs::read(root.join(&function)).unwrap(),
                std::fs::read(app.join(&function)).unwrap()
            );
            expected.insert(function);
        }
    }
    let files = all(&app).into_iter().filter(|path| path.is_file());
    let files: BTreeSet<String> = files
        .map(|path| {
            path.strip_prefix(&app)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(files, expected);
    assert_eq!(
        files.len() - 2,
        Host::builder()
            .data_dir(job.path("data"))
            .start()
            .await
            .app()
            .functions
            .len()
    );

    let listed = Command::new("unzip")
        .arg("-Z")
        .arg(job.path("out/db vc.zip"))
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let program = listed
        .lines()
        .find(|line| line.ends_with(" bin/dbvc"))
        .unwrap();
    assert!(
        program.starts_with("-rwxr-xr-x"),
        "the execute bit is lost: {program}"
    );

    let host = Host::builder()
        .root(&app)
        // Not that of this build: the one of host.json.
        .without_setting("AzureFunctionsJobHost__customHandler__description__defaultExecutablePath")
        .setting("DBVC_DRIFT_SCHEDULE", "0 0 */6 * * *")
        .setting("DBVC_RUNS_SCHEDULE", "0 * * * * *")
        .data_dir(job.path("data"))
        .start()
        .await;
    assert_eq!(
        host.get("/api/dbvc/health").await.expect_status(200).body["status"],
        "healthy"
    );
    let body = json!({ "databaseId": HOME, "environment": "dev", "executor": "developer@lpa.com" });
    host.post("/api/dbvc/migrations/run", body)
        .await
        .expect_status(200);
    host.expect_silent_stderr();
    drop(host);
    let_go(&app);
}

#[tokio::test]
async fn wrong_arguments_are_refused() {
    let job = Job::new();
    let package = script("package.sh").display().to_string();
    for words in [
        &["--output"][..],
        &["--what", "x"],
        &["--binary", "nowhere", "--output", "x.zip"],
    ] {
        let words: Vec<&str> = [&*package]
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        let outcome = job.run_with(&words, &[]).await.expect(2);
        assert_ne!(outcome.stderr, "");
    }
    assert!(!job.path("x.zip").exists());
}
