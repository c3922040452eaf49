//! Where a test of the engine plays: on SQLite, or on the T-SQL server that the environment names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::scene::{HOME, Scene};
use super::server::{Login, Server};
use super::team::Team;

/// The engine behind dbvc. Where engines differ, a test says so by these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    /// T-SQL, as Babelfish for PostgreSQL understands it.
    Babelfish,
    SqlServer,
}

/// Where one test plays. What was made for it on a server goes when the stage does, which must be after the processes of
/// the test: it outlives the test's runtime.
pub struct Stage {
    server: Option<&'static Server>,
    /// Names of databases on the server.
    made: Mutex<Vec<String>>,
    /// Names of logins there.
    logins: Mutex<Vec<String>>,
}

impl Stage {
    pub fn sqlite() -> Self {
        Self {
            server: None,
            made: Mutex::default(),
            logins: Mutex::default(),
        }
    }

    /// On the server of the environment, which must name one.
    pub fn t_sql() -> Self {
        Self {
            server: Some(runtime().block_on(Server::of_environment())),
            made: Mutex::default(),
            logins: Mutex::default(),
        }
    }

    pub fn engine(&self) -> Engine {
        self.server.map_or(Engine::Sqlite, Server::engine)
    }

    /// A statement that no transaction can hold, and that changes nothing a test looks at.
    pub fn statement_without_transaction(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "VACUUM;",
            // Its words are what counts: this server would run it in a transaction.
            Engine::Babelfish => "DROP DATABASE IF EXISTS dbvc_conf_absent;",
            Engine::SqlServer => "ALTER DATABASE CURRENT SET AUTO_UPDATE_STATISTICS ON;",
        }
    }

    /// A home database that nobody has used.
    pub async fn scene(&self) -> Scene {
        self.scene_with(&[]).await
    }

    /// A login that may do nothing yet; only on a server.
    pub async fn login(&self) -> Login {
        let server = self.server.expect("the stage is on a server");
        let login = server.make_login().await;
        let mut logins = self.logins.lock().expect("nobody panics here");
        logins.push(login.name.clone());
        login
    }

    /// A scene with a team on it.
    pub async fn team(&self) -> (Scene, Team) {
        let scene = self.scene().await;
        let team = scene.team().await;
        (scene, team)
    }

    /// The home database and others, by their ids.
    pub async fn scene_with(&self, databases: &[&str]) -> Scene {
        let Some(server) = self.server else {
            return Scene::embedded();
        };
        let seat = seat().await;
        let ids: BTreeSet<&str> = databases.iter().copied().chain([HOME]).collect();
        let mut names = BTreeMap::new();
        for id in ids {
            let name = server.make_database().await;
            let mut made = self.made.lock().expect("nobody panics here");
            made.push(name.clone());
            names.insert(id.to_owned(), name);
        }
        Scene::on_server(server, seat, names)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Some(server) = self.server else {
            return;
        };
        let made = std::mem::take(&mut *self.made.lock().expect("nobody panics here"));
        let logins = std::mem::take(&mut *self.logins.lock().expect("nobody panics here"));
        let problems = runtime().block_on(async {
            let mut problems = Vec::new();
            for name in made {
                if let Err(error) = server.drop_database(&name).await {
                    problems.push(format!("{name} stays: {error}"));
                }
            }
            for name in logins {
                if let Err(error) = server.drop_login(&name).await {
                    problems.push(format!("{name} stays: {error}"));
                }
            }
            problems
        });
        if std::thread::panicking() {
            for problem in problems {
                eprintln!("{problem}");
            }
        } else {
            assert!(problems.is_empty(), "{problems:#?}");
        }
    }
}

/// A place on the server for one scene. There is one for each processor: every scene has several processes, and a
/// session of each takes Babelfish a second of a processor's time.
async fn seat() -> OwnedSemaphorePermit {
    static SEATS: OnceLock<Arc<Semaphore>> = OnceLock::new();
    let seats = SEATS.get_or_init(|| {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Arc::new(Semaphore::new(processors))
    });
    Arc::clone(seats)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed")
}

/// What a test runs on, as `tokio::test` would give it.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made")
}
