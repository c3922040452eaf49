//! Databases with several dbvc processes on them, on any engine, and what must be true of them at any time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedSemaphorePermit};

use super::host::{Answer, Host, HostBuilder, TimerShape};
use super::proxy::Proxy;
use super::server::{self, Client, Login, Server};
use super::stage::Engine;
use super::team::Team;

/// The home database.
pub const HOME: &str = "lpa-bloom-sql-dev";

/// The versions that [`Scene::start_with_pending`] registers.
pub const PENDING: [usize; 3] = [2, 3, 4];

/// Longer than anything here takes, on a slow machine and a slow server too.
const LIMIT: Duration = Duration::from_secs(180);

/// The pause between two questions, at first and at most: a server is not to be kept busy with answering them.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(320)];

/// Asks until there is an answer; panics when none comes.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let [mut pause, longest] = PAUSES;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < LIMIT, "waited in vain for {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// A home database, perhaps others, with several dbvc processes on them.
pub struct Scene {
    folder: tempfile::TempDir,
    /// None on SQLite, where the databases are files in the folder.
    on_server: Option<OnServer>,
}

/// The databases of a scene on a T-SQL server.
struct OnServer {
    server: &'static Server,
    /// Their names there, by their ids in the inventory.
    names: BTreeMap<String, String>,
    /// Connections past dbvc, by id.
    outside: Mutex<BTreeMap<String, Client>>,
    _seat: OwnedSemaphorePermit,
}

impl OnServer {
    fn name_of(&self, database: &str) -> &str {
        self.names
            .get(database)
            .unwrap_or_else(|| panic!("the scene has no database {database}"))
    }

    /// A connection past dbvc that was used before, or a new one.
    async fn take(&self, database: &str) -> Client {
        match self.outside.lock().await.remove(database) {
            Some(client) => client,
            None => self.server.connect(self.name_of(database)).await,
        }
    }

    async fn give_back(&self, database: &str, client: Client) {
        self.outside
            .lock()
            .await
            .insert(database.to_owned(), client);
    }
}

impl Scene {
    /// On SQLite.
    pub fn embedded() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder can be made"),
            on_server: None,
        }
    }

    /// On a server, with the names there by their ids.
    pub fn on_server(
        server: &'static Server,
        seat: OwnedSemaphorePermit,
        names: BTreeMap<String, String>,
    ) -> Self {
        Self {
            on_server: Some(OnServer {
                server,
                names,
                outside: Mutex::default(),
                _seat: seat,
            }),
            ..Self::embedded()
        }
    }

    pub fn engine(&self) -> Engine {
        self.on_server
            .as_ref()
            .map_or(Engine::Sqlite, |on_server| on_server.server.engine())
    }

    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// After what time the lock of a dead process is free. On a server the heartbeat connects first, which takes a while.
    pub fn lease(&self) -> Duration {
        Duration::from_secs(match self.engine() {
            Engine::Sqlite => 1,
            Engine::Babelfish | Engine::SqlServer => 6,
        })
    }

    /// A process with the settings of the scene.
    pub fn host(&self) -> HostBuilder {
        let mut builder = Host::builder().data_dir(self.folder.path()).setting(
            "DBVC_LOCK_LEASE_SECONDS",
            self.lease().as_secs().to_string(),
        );
        if let Some(OnServer { server, names, .. }) = &self.on_server {
            for (id, name) in names {
                let variable = match id.as_str() {
                    HOME => "SQL_CONNECTION_STRING".to_owned(),
                    other => variable_of(other),
                };
                builder = builder.setting(&variable, server.connection_string(name));
            }
        }
        builder
    }

    /// The name that a database has on the server.
    pub fn name_on_server(&self, database: &str) -> &str {
        self.on_the_server().name_of(database)
    }

    /// The settings with which a machine of its own reaches one of the databases as its home database.
    pub fn settings_of(&self, database: &str) -> Vec<(String, String)> {
        match &self.on_server {
            None => {
                let folder = self.folder.path().join(database);
                let folder = folder.to_str().expect("a path of a test is text");
                vec![("DBVC_DATA_DIR".to_owned(), folder.to_owned())]
            }
            Some(on_server) => vec![(
                "SQL_CONNECTION_STRING".to_owned(),
                on_server
                    .server
                    .connection_string(on_server.name_of(database)),
            )],
        }
    }

    /// How the home database on a server is reached; none on SQLite.
    pub fn home_connection_string(&self) -> Option<String> {
        self.on_server
            .as_ref()
            .map(|on_server| on_server.server.connection_string(on_server.name_of(HOME)))
    }

    /// Where the server of the home database listens; there must be one.
    pub fn address(&self) -> String {
        self.on_the_server().server.address()
    }

    /// A process that reaches its home database by a line that can be cut.
    pub fn host_through(&self, proxy: &Proxy) -> HostBuilder {
        let OnServer { server, .. } = self.on_the_server();
        let database = self.on_the_server().name_of(HOME);
        self.host().setting(
            "SQL_CONNECTION_STRING",
            server.connection_string_through(proxy.port(), database),
        )
    }

    /// A process that signs in to its home database as somebody else.
    pub fn host_as(&self, login: &Login) -> HostBuilder {
        let OnServer { server, .. } = self.on_the_server();
        let database = self.on_the_server().name_of(HOME);
        self.host().setting(
            "SQL_CONNECTION_STRING",
            server.connection_string_of(login, database),
        )
    }

    fn on_the_server(&self) -> &OnServer {
        self.on_server
            .as_ref()
            .expect("the scene plays on a server")
    }

    /// A process that stops at a crash point: `name` or `name:n`.
    pub fn host_stopping_at(&self, point: &str) -> HostBuilder {
        self.other_host_stopping_at(point, "stopped")
    }

    /// The same when two processes are to stop: each has a file of its own.
    pub fn other_host_stopping_at(&self, point: &str, file: &str) -> HostBuilder {
        let file = self.folder.path().join(file);
        self.host().setting("DBVC_STOP_AT", point).setting(
            "DBVC_STOP_FILE",
            file.to_str().expect("a path of a test is text"),
        )
    }

    /// Waits until a process has come to its crash point.
    pub async fn stopped(&self) {
        self.other_stopped("stopped").await;
    }

    pub async fn other_stopped(&self, file: &str) {
        let file = self.folder.path().join(file);
        until("the process to stop", async || file.exists().then_some(())).await;
    }

    /// Has the system stop a process. On SQLite not just while its heartbeat writes: the file would be locked until it goes
    /// on, which is what no test here is about.
    pub fn stand_still(&self, process: &str) {
        let file = self.folder.path().join(format!("{HOME}.sqlite"));
        let is_free = || {
            let file = rusqlite::Connection::open(&file).expect("the file opens");
            file.execute_batch("BEGIN IMMEDIATE; ROLLBACK;").is_ok()
        };
        signal("-STOP", process);
        while self.on_server.is_none() && !is_free() {
            signal("-CONT", process);
            signal("-STOP", process);
        }
    }

    /// Lets the process go on that stopped.
    pub fn go_on(&self) {
        self.other_goes_on("stopped");
    }

    pub fn other_goes_on(&self, file: &str) {
        std::fs::remove_file(self.folder.path().join(file)).expect("a process has stopped");
    }

    /// The moment by the database's clock, as dbvc writes it.
    pub fn now(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
            Engine::Babelfish | Engine::SqlServer => "CAST(SYSUTCDATETIME() AS DATETIMEOFFSET(3))",
        }
    }

    /// Waits until the lease of a database's lock has passed, and that of the runs on record there.
    pub async fn lease_expired(&self, database: &str) {
        let now = self.now();
        let alive = format!(
            "SELECT 1 FROM migration_locks WHERE expires_at > {now} \
             UNION ALL SELECT 1 FROM migration_runs WHERE status = 'running' AND expires_at > {now}"
        );
        until("the lease to expire", async || {
            self.read(database, &alive).await.is_empty().then_some(())
        })
        .await;
    }

    /// The first column of a query, past dbvc, as texts.
    pub async fn read(&self, database: &str, query: &str) -> Vec<String> {
        let Some(on_server) = &self.on_server else {
            return self.read_file(&format!("{database}.sqlite"), query);
        };
        let mut client = on_server.take(database).await;
        let column = server::first_column(&mut client, query).await;
        on_server.give_back(database, client).await;
        column
    }

    fn read_file(&self, file: &str, query: &str) -> Vec<String> {
        let file =
            rusqlite::Connection::open(self.folder.path().join(file)).expect("the file opens");
        let mut prepared = file
            .prepare(query)
            .unwrap_or_else(|e| panic!("{query}: {e}"));
        let rows = prepared
            .query_map([], |row| row.get::<_, rusqlite::types::Value>(0))
            .expect("the query runs");
        rows.map(|value| match value.expect("a row") {
            rusqlite::types::Value::Text(text) => text,
            rusqlite::types::Value::Integer(number) => number.to_string(),
            other => format!("{other:?}"),
        })
        .collect()
    }

    /// Changes a database past dbvc.
    pub async fn write(&self, database: &str, statement: &str) {
        let Some(on_server) = &self.on_server else {
            let file = self.folder.path().join(format!("{database}.sqlite"));
            let file = rusqlite::Connection::open(file).expect("the file opens");
            file.execute_batch(statement)
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
            return;
        };
        let mut client = on_server.take(database).await;
        server::execute(&mut client, statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
        on_server.give_back(database, client).await;
    }

    /// The statement that makes the ledger, into which scripts write what they did: `INSERT INTO ledger VALUES ('…')`.
    pub fn ledger_table(&self) -> &'static str {
        match self.engine() {
            Engine::Sqlite => "CREATE TABLE ledger (entry TEXT NOT NULL);",
            Engine::Babelfish | Engine::SqlServer => {
                "CREATE TABLE ledger (id INT IDENTITY PRIMARY KEY, entry NVARCHAR(100) NOT NULL);"
            }
        }
    }

    /// What scripts wrote into the ledger, in order.
    pub async fn ledger(&self, database: &str) -> Vec<String> {
        let order = match self.engine() {
            Engine::Sqlite => "rowid",
            Engine::Babelfish | Engine::SqlServer => "id",
        };
        self.read(
            database,
            &format!("SELECT entry FROM ledger ORDER BY {order}"),
        )
        .await
    }

    /// Makes the ledger, as version 1.
    pub async fn make_ledger(&self, host: &Host, database: &str) {
        register(host, database, 1, self.ledger_table(), None).await;
        run(host, database).await.expect_status(200);
    }

    /// Puts another database of the scene into the inventory, with its ledger.
    pub async fn add_database(&self, host: &Host, database: &str) {
        let mut body = json!({"type": "sql", "engine": "sqlite", "environment": "dev"});
        if self.on_server.is_some() {
            body["engine"] = "sql-server".into();
            body["connection"] = format!("env:{}", variable_of(database)).into();
        }
        let answer = host
            .put(&format!("/api/dbvc/databases/{database}"), body)
            .await;
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
        self.make_ledger(host, database).await;
    }

    /// A team with a process of the scene.
    pub async fn team(&self) -> Team {
        self.team_with(self.host()).await
    }

    pub async fn team_with(&self, host: HostBuilder) -> Team {
        let suffix = match self.engine() {
            Engine::Sqlite => ".sqlite.sql",
            Engine::Babelfish | Engine::SqlServer => ".sql",
        };
        Team::of(host.start().await, "dev", suffix)
    }

    /// Whether the home database has such a table or view.
    pub async fn has(&self, name: &str) -> bool {
        let catalogue = match self.engine() {
            Engine::Sqlite => "sqlite_schema",
            Engine::Babelfish | Engine::SqlServer => "sys.objects",
        };
        let count = format!("SELECT COUNT(*) FROM {catalogue} WHERE name = '{name}'");
        self.read(HOME, &count).await == ["1"]
    }

    /// A process, and on each of the databases a ledger and the pending versions 2 to 4.
    pub async fn start_with_pending(&self, databases: &[&str]) -> Host {
        let host = self.host().start().await;
        self.make_ledger(&host, HOME).await;
        for database in databases {
            if *database != HOME {
                self.add_database(&host, database).await;
            }
            for version in PENDING {
                register_entry(&host, database, version).await;
            }
        }
        host
    }

    /// What was pending is applied, in order, and all is sound.
    pub async fn expect_all_applied_once(&self, host: &Host, databases: &[&str]) {
        for database in databases {
            assert_eq!(
                self.ledger(database).await,
                ["V2", "V3", "V4"],
                "{database}"
            );
            assert_eq!(states(host, database).await, ["applied"; 3], "{database}");
            self.expect_sound(host, database).await;
        }
    }

    /// Everything that must hold whatever happened: the trail has no gap and right hashes, the archive has each event
    /// once, nothing has failed in verifying, and no drift is claimed.
    pub async fn expect_sound(&self, host: &Host, database: &str) {
        self.expect_sound_with_records_in(host, database, database)
            .await;
    }

    /// The same of a database whose records are in another one.
    pub async fn expect_sound_with_records_in(&self, host: &Host, database: &str, registry: &str) {
        let events = trail(host, database).await;
        expect_whole_chain(&events);
        if self.on_server.is_none() {
            self.expect_all_archived(database, registry, events.len())
                .await;
        } else {
            // A server has no archive without an account: nothing of it lies on the machine that calls.
            assert!(!self.folder.path().join("_version-control.sqlite").exists());
        }
        let verified = host
            .post(
                "/api/dbvc/integrity/verify",
                json!({"databaseId": database, "environment": "dev", "executor": "checker@lpa.com"}),
            )
            .await
            .expect_status(200);
        assert_eq!(verified.body["healthy"], true, "{}", verified.text());
        expect_no_drift_claimed(host, database).await;
    }

    async fn expect_all_archived(&self, database: &str, registry: &str, events: usize) {
        until("all events to be in the archive", async || {
            let undelivered = format!(
                "SELECT COUNT(*) FROM audit_events WHERE delivered_at IS NULL AND database_id = '{database}'"
            );
            let waiting = self.read(registry, &undelivered).await;
            (waiting == ["0"]).then_some(())
        })
        .await;
        let archived = self.read_file(
            "_version-control.sqlite",
            &format!("SELECT sequence FROM \"change-events\" WHERE database_id = '{database}' ORDER BY sequence"),
        );
        let expected: Vec<String> = (1..=events).map(|number| number.to_string()).collect();
        assert_eq!(archived, expected, "the archive has each event once");
    }
}

/// All events of a database, oldest first.
pub async fn trail(host: &Host, database: &str) -> Vec<Value> {
    let path = format!("/api/dbvc/history?databaseId={database}&limit=1000");
    let answer = host.get(&path).await.expect_status(200);
    let mut events = answer.body["events"].as_array().expect("a list").clone();
    events.reverse();
    events
}

/// The types of a database's events about a migration, oldest first.
pub async fn story_of(host: &Host, database: &str, migration: &str) -> Vec<String> {
    let events = trail(host, database).await.into_iter();
    events
        .filter(|event| event["migrationId"] == migration)
        .map(|event| event["type"].as_str().expect("a type").to_owned())
        .collect()
}

/// How many events of a type a database has.
pub async fn count_of(host: &Host, database: &str, kind: &str) -> usize {
    let events = trail(host, database).await.into_iter();
    events.filter(|event| event["type"] == kind).count()
}

pub fn expect_whole_chain(events: &[Value]) {
    let mut previous = Value::Null;
    for (number, event) in (1..).zip(events) {
        assert_eq!(event["sequence"], number, "a gap before {event}");
        assert_eq!(event["previousHash"], previous, "{event}");
        let mut hashed = event.clone();
        hashed.as_object_mut().expect("an object").remove("hash");
        let text = serde_json_canonicalizer::to_vec(&hashed).expect("JSON");
        let hash = Sha256::digest(&text);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(event["hash"], format!("sha256:{hex}"), "{event}");
        previous = event["hash"].clone();
    }
}

pub async fn expect_no_drift_claimed(host: &Host, database: &str) {
    let drift = host
        .get(&format!("/api/dbvc/drift?databaseId={database}"))
        .await
        .expect_status(200);
    assert_ne!(drift.body["detected"], true, "{}", drift.text());
    if drift.body["detected"].is_null() {
        assert!(drift.body["reason"].is_string(), "{}", drift.text());
    }
}

pub fn run_of(database: &str) -> Value {
    json!({"databaseId": database, "environment": "dev", "executor": "runner@lpa.com"})
}

pub async fn run(host: &Host, database: &str) -> Answer {
    host.post(RUN, run_of(database)).await
}

/// Starts a run and does not wait for it.
pub async fn begin_run(host: &Host, database: &str) {
    let request = host
        .request("POST", "/api/dbvc/migrations/run")
        .json(&run_of(database));
    request.begin().await.hang_up();
}

/// Runs as soon as nobody holds the database any more.
pub async fn run_when_free(host: &Host, database: &str) -> Answer {
    when_free("the lock to be free", async || run(host, database).await).await
}

/// Asks again as long as the answer is 423, which must say who holds the lock and when to ask again.
pub async fn when_free(what: &str, mut ask: impl AsyncFnMut() -> Answer) -> Answer {
    until(what, async || {
        let answer = ask().await;
        if answer.status != 423 {
            return Some(answer);
        }
        expect_locked(answer);
        None
    })
    .await
}

#[track_caller]
pub fn expect_locked(answer: Answer) -> Answer {
    let answer = answer.expect_status(423);
    assert_eq!(answer.body["code"], "locked", "{}", answer.text());
    assert!(
        answer.body["lock"]["owner"].is_string(),
        "{}",
        answer.text()
    );
    assert!(answer.header("retry-after").is_some());
    answer
}

pub fn rollback_of(database: &str, migration: &str, cascade: bool) -> Value {
    json!({"databaseId": database, "environment": "dev", "executor": "runner@lpa.com",
        "migrationId": migration, "cascade": cascade})
}

/// Registers a script as version `n`: `V<n>__step`.
pub async fn register(host: &Host, database: &str, n: usize, up: &str, down: Option<&str>) {
    let mut body = json!({"name": "step", "version": n.to_string(), "databaseId": database,
        "author": "author@lpa.com", "upScript": up});
    if let Some(down) = down {
        body["downScript"] = down.into();
    }
    host.post("/api/dbvc/migrations", body)
        .await
        .expect_status(201);
}

/// Puts another script in place of version `n`.
pub async fn reregister(host: &Host, database: &str, n: usize, up: &str) {
    let body = json!({"name": "step", "version": n.to_string(), "databaseId": database,
        "author": "author@lpa.com", "upScript": up, "reregister": true});
    host.post("/api/dbvc/migrations", body)
        .await
        .expect_status(200);
}

/// Registers version `n`, which makes a table and writes `V<n>` into the ledger, in two batches.
pub async fn register_entry(host: &Host, database: &str, n: usize) {
    let up = format!("CREATE TABLE t{n} (id INTEGER);\nGO\nINSERT INTO ledger VALUES ('V{n}');\n");
    let down = format!("DROP TABLE t{n};\nGO\nINSERT INTO ledger VALUES ('-V{n}');\n");
    register(host, database, n, &up, Some(&down)).await;
}

/// The variable that holds the connection string of a database of the inventory.
fn variable_of(database: &str) -> String {
    format!("DBVC_CONN_{}", database.to_uppercase())
}

/// The states of the migrations of version 2 and later, in order.
pub async fn states(host: &Host, database: &str) -> Vec<String> {
    let path = format!("/api/dbvc/migrations/status?databaseId={database}&detailed=true");
    let answer = host.get(&path).await.expect_status(200);
    let list = answer.body["databases"][0]["migrations"]
        .as_array()
        .expect("a list")
        .clone();
    list.iter()
        .filter(|migration| {
            !["100", "1"].contains(&migration["version"].as_str().unwrap_or_default())
        })
        .map(|migration| migration["status"].as_str().expect("a state").to_owned())
        .collect()
}

/// What became of the migrations of one database of a run, in order.
pub fn outcomes(run: &Value, database: usize) -> Vec<(String, String)> {
    let list = run["databases"][database]["migrations"]
        .as_array()
        .expect("a list");
    list.iter()
        .map(|migration| {
            let text = |field: &str| migration[field].as_str().unwrap_or_default().to_owned();
            (text("migrationId"), text("status"))
        })
        .collect()
}

/// The process id of the instance that holds a database.
pub async fn process_of_holder(host: &Host, database: &str) -> String {
    let path = format!("/api/dbvc/migrations/status?databaseId={database}");
    let answer = host.get(&path).await.expect_status(200);
    let owner = answer.body["databases"][0]["lock"]["owner"]
        .as_str()
        .expect("a holder")
        .to_owned();
    owner.split('-').next().expect("an id").to_owned()
}

/// Sends a signal to a process of this test.
pub fn signal(signal: &str, process: &str) {
    let sent = std::process::Command::new("kill")
        .args([signal, process])
        .status();
    assert!(sent.expect("kill runs").success());
}

/// The newest run on a database.
pub async fn newest_run(host: &Host, database: &str) -> Value {
    let path = format!("/api/dbvc/runs?databaseId={database}&limit=1");
    host.get(&path).await.expect_status(200).body["runs"][0].clone()
}

pub async fn newest_run_id(host: &Host, database: &str) -> String {
    let run = newest_run(host, database).await;
    run["runId"].as_str().expect("an id").to_owned()
}

/// Asks for the end of a run.
pub async fn cancel(host: &Host, run_id: &str) -> Answer {
    host.post(&cancel_path(run_id), json!({})).await
}

pub fn cancel_path(run_id: &str) -> String {
    format!("/api/dbvc/runs/{run_id}/cancel")
}

/// Everything that can be read of a database and a run on it.
pub fn reads_of(database: &str, run_id: &str) -> [String; 10] {
    [
        "/api/dbvc/databases".to_owned(),
        format!("/api/dbvc/databases/{database}"),
        format!("/api/dbvc/databases/{database}/migrations/V2__step"),
        format!("/api/dbvc/drift?databaseId={database}"),
        "/api/dbvc/health".to_owned(),
        format!("/api/dbvc/history?databaseId={database}"),
        "/api/dbvc/migrations/status?detailed=true".to_owned(),
        "/api/dbvc/runs".to_owned(),
        format!("/api/dbvc/runs/{run_id}"),
        format!("/api/dbvc/snapshots?databaseId={database}"),
    ]
}

/// A run, once it has ended.
pub async fn ended_run(host: &Host, run_id: &str) -> Value {
    let path = format!("/api/dbvc/runs/{run_id}");
    until("the run to end", async || {
        let run = host.get(&path).await.expect_status(200).body;
        run["finishedAt"].is_string().then_some(run)
    })
    .await
}

/// Where a run is asked for.
pub const RUN: &str = "/api/dbvc/migrations/run";

/// Has a process look after the runs, as the timer does every minute.
pub async fn tick(host: &Host) {
    host.invoke_timer("dbvc-runs-timer", TimerShape::FirstRun)
        .await
        .expect_success();
}

/// Starts a run by a process that stops at a point, without waiting for it.
pub async fn begin_stopping_at(
    scene: &Scene,
    point: &str,
    path: &str,
    body: &Value,
) -> (Host, String) {
    let host = scene.host_stopping_at(point).start().await;
    let request = host.request("POST", path).json(body);
    let known: Vec<Value> = runs(&host).await;
    request.begin().await.hang_up();
    scene.stopped().await;
    let run = runs(&host)
        .await
        .into_iter()
        .find(|run| !known.contains(run));
    let run_id = run.expect("a run has begun")["runId"]
        .as_str()
        .expect("an id")
        .to_owned();
    (host, run_id)
}

pub async fn runs(host: &Host) -> Vec<Value> {
    let answer = host.get("/api/dbvc/runs").await.expect_status(200);
    answer.body["runs"].as_array().expect("a list").clone()
}

/// Has the timer of a process look after the runs until this one has ended.
pub async fn adopted(host: &Host, run_id: &str) -> Value {
    let path = format!("/api/dbvc/runs/{run_id}");
    until("the run to be adopted", async || {
        tick(host).await;
        let run = host.get(&path).await.expect_status(200).body;
        run["finishedAt"].is_string().then_some(run)
    })
    .await;
    // As the registry has it, not the memory of a process.
    host.kill().await;
    host.start_again().await;
    host.get(&path).await.expect_status(200).body
}

pub fn told(run: &Value, database: usize) -> Vec<String> {
    outcomes(run, database)
        .into_iter()
        .map(|(id, status)| format!("{} {status}", id.trim_end_matches("__step")))
        .collect()
}
