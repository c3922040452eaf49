//! A folder of scripts, a dbvc, and the pipeline's scripts started as a job starts them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::dbvc::{Dbvc, ME};
use crate::support::host::HostBuilder;

/// What of the test's own environment a script sees.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LANG"];

/// A script of the repository.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(name)
}

/// Where a job works: a checkout with migrations in it.
pub struct Job {
    folder: TempDir,
    settings: BTreeMap<String, String>,
}

impl Job {
    /// With no address.
    pub fn new() -> Self {
        let job = Self {
            folder: tempfile::tempdir().expect("a folder can be made"),
            settings: BTreeMap::new(),
        };
        std::fs::create_dir(job.path("migrations")).expect("a folder can be made");
        job.with("DBVC_ENVIRONMENT", "dev")
            .with("DBVC_EXECUTOR", ME)
            .with("DBVC_BINARY", env!("CARGO_BIN_EXE_dbvc"))
    }

    /// With what a job has in its environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a script of the migrations folder.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path("migrations").join(name), text).expect("a file can be written");
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path("migrations").join(name)).expect("the file was there");
    }

    /// Runs one of `scripts/pipeline`.
    pub async fn run(&self, name: &str) -> Outcome {
        self.run_with(&[name], &[]).await
    }

    /// Runs one of `scripts/pipeline` with arguments; those that end in `.sh` are scripts of the pipeline too.
    pub async fn run_with(&self, words: &[&str], settings: &[(&str, &str)]) -> Outcome {
        let child = self.start(words, settings);
        let output = child.wait_with_output().await.expect("a script ends");
        Outcome {
            code: output.status.code().expect("a script ends by itself"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    pub fn start(&self, words: &[&str], settings: &[(&str, &str)]) -> Child {
        let mut words = words.iter().map(|word| {
            if word.ends_with(".sh") {
                script("pipeline").join(word).into_os_string()
            } else {
                word.into()
            }
        });
        Command::new(words.next().expect("a script"))
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| INHERITED.contains(&name.as_str())))
            .envs(&self.settings)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a script can be started")
    }
}

/// What a script wrote and how it ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Panics unless standard output has these texts.
    #[track_caller]
    pub fn expect_says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stdout.contains(text), "not said: {text}\n{self}");
        }
        self
    }

    /// Panics unless standard error has these texts.
    #[track_caller]
    pub fn expect_complains(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "not complained: {text}\n{self}");
        }
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            code,
            stdout,
            stderr,
        } = self;
        write!(
            formatter,
            "--- ended with {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )
    }
}

/// A job with an embedded dbvc that it reaches.
pub struct Pipeline {
    pub dbvc: Dbvc,
    pub job: Job,
}

impl Pipeline {
    pub async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    pub async fn start_with(set_up: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        let dbvc = Dbvc::start_with(set_up).await;
        let job = Job::new().with("DBVC_BASE_URL", &dbvc.host.url());
        Self { dbvc, job }
    }

    /// What the steps of a job do, up to the first that fails.
    pub async fn pass(&self) -> Vec<Outcome> {
        let mut done = Vec::new();
        for step in ["register.sh", "run.sh", "snapshot.sh", "verify.sh"] {
            let outcome = self.job.run(step).await;
            let failed = outcome.code != 0;
            done.push(outcome);
            if failed {
                break;
            }
        }
        done
    }
}

/// Reads what a script writes up to a line with this text; gives the line, and the script to be waited for.
pub async fn line_with(mut child: Child, text: &str) -> (Child, String) {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        let read = lines.read_line(&mut line).await.expect("text");
        assert!(read > 0, "the script ended without saying {text}");
    }
    child.stdout = Some(lines.into_inner());
    (child, line)
}
