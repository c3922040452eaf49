//! Where a test of the engine plays: on SQLite, or on the T-SQL server that the environment names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::scene::{HOME, Scene};
use super::server::Server;
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
}

impl Stage {
    pub fn sqlite() -> Self {
        Self {
            server: None,
            made: Mutex::default(),
        }
    }

    /// On the server of the environment, which must name one.
    pub fn t_sql() -> Self {
        Self {
            server: Some(runtime().block_on(Server::of_environment())),
            made: Mutex::default(),
        }
    }

    pub fn engine(&self) -> Engine {
        self.server.map_or(Engine::Sqlite, Server::engine)
    }

    /// A statement that no transaction can hold, and that changes nothing a test looks at.
    pub fn statement_without_transaction(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "VACUUM;",
            // It could be held by one, but is not a statement that T-SQL knows in transactions.
            Engine::Babelfish => "DROP DATABASE IF EXISTS dbvc_conf_absent;",
            Engine::SqlServer => "ALTER DATABASE CURRENT SET AUTO_UPDATE_STATISTICS ON;",
        }
    }

    /// A home database that nobody has used.
    pub async fn scene(&self) -> Scene {
        self.scene_with(&[]).await
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
        let dropped = runtime().block_on(async {
            for name in made {
                server
                    .drop_database(&name)
                    .await
                    .map_err(|error| format!("{name} stays: {error}"))?;
            }
            Ok::<(), String>(())
        });
        match dropped {
            Err(problem) if std::thread::panicking() => eprintln!("{problem}"),
            dropped => dropped.expect("the databases of a test can be dropped"),
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
