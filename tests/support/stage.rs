//! Where a test of the engine plays: on SQLite, or on the T-SQL server that the environment names.

use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::scene::Scene;
use super::server::Server;

/// How many scenes play on the server at once: each has several processes there, and to connect takes Babelfish a
/// second of a processor's time.
const MOST_ON_SERVER: usize = 4;

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
    made: Made,
}

/// The databases made on a server so far.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<String>>>);

impl Stage {
    pub fn sqlite() -> Self {
        Self {
            server: None,
            made: Made::default(),
        }
    }

    /// On the server of the environment, which must name one.
    pub fn t_sql() -> Self {
        Self {
            server: Some(runtime().block_on(Server::of_environment())),
            made: Made::default(),
        }
    }

    pub fn engine(&self) -> Engine {
        self.server.map_or(Engine::Sqlite, Server::engine)
    }

    /// A home database that nobody has used.
    pub async fn scene(&self) -> Scene {
        self.scene_with(&[]).await
    }

    /// The same, and further databases for the inventory.
    pub async fn scene_with(&self, others: &[&str]) -> Scene {
        let Some(server) = self.server else {
            return Scene::embedded();
        };
        let seat = seat().await;
        let mut names = Vec::new();
        for _ in 0..=others.len() {
            let name = server.make_database().await;
            self.made
                .0
                .lock()
                .expect("nobody panics here")
                .push(name.clone());
            names.push(name);
        }
        Scene::on_server(server, seat, &names, others)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let Some(server) = self.server else {
            return;
        };
        let made = std::mem::take(&mut *self.made.0.lock().expect("nobody panics here"));
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

/// A place on the server for one scene.
async fn seat() -> OwnedSemaphorePermit {
    static SEATS: std::sync::OnceLock<Arc<Semaphore>> = std::sync::OnceLock::new();
    let seats = SEATS.get_or_init(|| Arc::new(Semaphore::new(MOST_ON_SERVER)));
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
