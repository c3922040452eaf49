//! A machine on which somebody runs dbvc as a command: a folder of its own, with scripts and what dbvc keeps there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder in which commands run.
pub struct Machine {
    folder: tempfile::TempDir,
    settings: Vec<(String, String)>,
}

/// What a command said, and what it ended with.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.out.contains(text) || self.err.contains(text),
            "{text:?} is not in {}{}",
            self.out,
            self.err
        );
        self
    }
}

impl Machine {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        std::fs::create_dir(folder.path().join("migrations")).expect("a folder can be made");
        Self {
            folder,
            settings: Vec::new(),
        }
    }

    /// With these settings from now on, in place of those of the same names.
    pub fn set(&mut self, settings: impl IntoIterator<Item = (String, String)>) {
        for (name, value) in settings {
            self.settings.retain(|(known, _)| *known != name);
            self.settings.push((name, value));
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where dbvc keeps embedded databases and their archive.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join(".dbvc")
    }

    /// Writes a script under the name of its file.
    pub fn script(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join("migrations").join(name), text)
            .expect("a script can be written");
    }

    /// Runs a command of dbvc. It blocks: nothing else of the test may be needed for it.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_dbvc"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("USER", "ada")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .output()
            .expect("the command runs");
        Said::of(&output)
    }

    /// The same while what else the test has at work goes on.
    pub async fn run_beside(&self, arguments: &[&str]) -> Said {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dbvc"));
        let output = command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("USER", "ada")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .output()
            .await
            .expect("the command runs");
        Said::of(&output)
    }
}
