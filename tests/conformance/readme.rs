//! The README's commands, in its order and in one folder, as a newcomer runs them: embedded first, then on a server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::harness::Test;
use crate::support::host::handler::free_port;
use crate::support::scene::{HOME, until};
use crate::support::stage::{Engine, Stage};

/// Why the block that names a server is not run where there is none.
const NEEDS_SERVER: &str = "needs a SQL server";

/// How the README starts the binary.
const CARGO_RUN: &str = "cargo run --release --";

pub fn tests() -> Vec<Test> {
    on_each_engine![the_commands_of_the_readme_work_in_its_order]
}

/// A block of commands, and why it is not run everywhere.
struct Block {
    not_run: Option<String>,
    text: String,
}

fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut not_run = None;
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some(reason) = line.strip_prefix("<!-- not run: ") {
            not_run = Some(reason.trim_end_matches(" -->").to_owned());
        } else if line == "```sh" {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block {
                not_run: not_run.take(),
                text: text.join("\n"),
            });
        } else if !line.is_empty() {
            not_run = None;
        }
    }
    blocks
}

/// A folder with a copy of the repository's scripts.
struct Clone {
    folder: tempfile::TempDir,
    port: u16,
    connection_string: Option<String>,
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a file can be copied");
        }
    }
}

impl Clone {
    async fn of(repository: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        copy_folder(
            &repository.join("migrations"),
            &folder.path().join("migrations"),
        );
        Self {
            folder,
            port: free_port().await,
            connection_string: None,
        }
    }

    fn shell(&self, text: &str) -> Command {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_dbvc"));
        let beside = binary.parent().expect("a folder").to_owned();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command
            .args(["-euc", &text.replace(CARGO_RUN, "dbvc")])
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", format!("{}:{path}", beside.display()))
            .env("USER", "ada")
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", self.port.to_string())
            .kill_on_drop(true);
        if let Some(connection_string) = &self.connection_string {
            command.env("SQL_CONNECTION_STRING", connection_string);
        }
        command
    }

    async fn run(&self, text: &str) -> String {
        let text = text.replace("localhost:7071", &format!("127.0.0.1:{}", self.port));
        let output = self.shell(&text).output().await.expect("a shell runs");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}\n{out}{err}");
        out
    }

    async fn serve(&self, text: &str) -> Child {
        let served = self
            .shell(&format!("exec {}", text.replace(CARGO_RUN, "dbvc")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell runs");
        until("the server to answer", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port))
                .await
                .ok()
        })
        .await;
        served
    }
}

async fn the_commands_of_the_readme_work_in_its_order(stage: &Stage) {
    let scene = stage.scene().await;
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(repository.join("README.md")).expect("the README");
    let mut clone = Clone::of(repository).await;
    let mut server = None;
    let (mut migrated, mut called) = (0, 0);
    for block in blocks(&readme) {
        let mut text = block.text;
        match block.not_run.as_deref() {
            None => {}
            Some(NEEDS_SERVER) if scene.engine() != Engine::Sqlite => {
                let (_, connection_string) = scene.settings_of(HOME).remove(0);
                clone.connection_string = Some(connection_string);
                let commands = text.lines().filter(|line| !line.starts_with("export "));
                text = commands.collect::<Vec<_>>().join("\n");
            }
            Some(_) => continue,
        }
        if text.trim() == format!("{CARGO_RUN} serve") {
            server = Some(clone.serve(&text).await);
            continue;
        }
        let said = clone.run(&text).await;
        if text.contains("migrate") {
            migrated += 1;
            assert!(said.contains(" 0 failed"), "{said}");
        }
        if text.contains("curl") {
            called += 1;
            assert!(!said.contains("urn:dbvc:problem"), "{said}");
        }
    }
    assert!(server.is_some() && called > 0, "the README has changed");
    let expected = match scene.engine() {
        Engine::Sqlite => 1,
        Engine::Babelfish | Engine::SqlServer => 2,
    };
    assert_eq!(migrated, expected, "the README has changed");
    // What was registered and run by HTTP counts for the command as well.
    let again = tokio::time::timeout(Duration::from_secs(120), clone.run("dbvc migrate"));
    let again = again.await.expect("an end");
    assert!(again.contains("nothing to do"), "{again}");
    assert!(again.contains(" 0 failed"), "{again}");
}
