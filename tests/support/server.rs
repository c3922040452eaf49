//! The T-SQL server that the environment names, past dbvc: databases of a test's own, statements, and rows as text.

use std::time::{Duration, Instant};

use tiberius::{ColumnData, Config};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OnceCell};
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::stage::Engine;

/// An ADO.NET connection string with `Database=master`, for a login that may create databases.
pub const VARIABLE: &str = "DBVC_TEST_SQL_CONNECTION_STRING";

/// What stands in the connection string in the place of a test's own database.
const MASTER: &str = "Database=master";

/// How long the server may take to see that those who used a database are gone.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection that is logged in.
pub type Client = tiberius::Client<Compat<TcpStream>>;

/// A login of a test's own.
#[derive(Clone)]
pub struct Login {
    pub name: String,
    password: String,
}

/// A T-SQL server on which tests may make databases.
pub struct Server {
    connection_string: String,
    engine: Engine,
    /// Databases are made and dropped one at a time, as Babelfish asks.
    changing: Mutex<()>,
}

impl Server {
    /// Whether the environment names a server.
    pub fn is_named() -> bool {
        std::env::var_os(VARIABLE).is_some()
    }

    /// The server that the environment names, asked once what it is.
    pub async fn of_environment() -> &'static Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        SERVER
            .get_or_init(|| async {
                let connection_string = std::env::var(VARIABLE)
                    .unwrap_or_else(|_| panic!("{VARIABLE} names no server"));
                assert!(
                    connection_string.matches(MASTER).count() == 1,
                    "{VARIABLE} holds {MASTER} once"
                );
                let mut server = Self {
                    connection_string,
                    engine: Engine::SqlServer,
                    changing: Mutex::new(()),
                };
                let mut client = server.connect("master").await;
                let version =
                    "SELECT COALESCE(CAST(SERVERPROPERTY('babelfishversion') AS NVARCHAR(60)), '')";
                if first_column(&mut client, version).await != [""] {
                    server.engine = Engine::Babelfish;
                }
                server
            })
            .await
    }

    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The connection string of one of its databases.
    pub fn connection_string(&self, database: &str) -> String {
        self.connection_string
            .replace(MASTER, &format!("Database={database}"))
    }

    /// The same for another login.
    pub fn connection_string_of(&self, login: &Login, database: &str) -> String {
        let text = self.connection_string(database);
        let kept = text.split(';').filter(|part| {
            let key = part.split('=').next().unwrap_or_default().trim();
            !["user id", "uid", "user", "password", "pwd"]
                .iter()
                .any(|other| key.eq_ignore_ascii_case(other))
        });
        let kept: Vec<&str> = kept.collect();
        format!(
            "User ID={};Password={};{}",
            login.name,
            login.password,
            kept.join(";")
        )
    }

    /// Where it listens: `host:port`.
    pub fn address(&self) -> String {
        Config::from_ado_string(&self.connection_string)
            .expect("tiberius reads the connection string")
            .get_addr()
    }

    /// The connection string of one of its databases by way of a port of this machine, unencrypted after the login.
    pub fn connection_string_through(&self, port: u16, database: &str) -> String {
        let text = self.connection_string(database);
        let kept = text.split(';').filter(|part| {
            let key = part.split('=').next().unwrap_or_default().trim();
            !["server", "data source", "encrypt"]
                .iter()
                .any(|other| key.eq_ignore_ascii_case(other))
        });
        let kept: Vec<&str> = kept.collect();
        format!(
            "Server=tcp:127.0.0.1,{port};Encrypt=false;{}",
            kept.join(";")
        )
    }

    /// Connects to one of its databases, past dbvc.
    pub async fn connect(&self, database: &str) -> Client {
        let text = self.connection_string(database);
        let config = Config::from_ado_string(&text).expect("tiberius reads the connection string");
        let line = TcpStream::connect(config.get_addr())
            .await
            .unwrap_or_else(|error| panic!("the server of {VARIABLE} cannot be reached: {error}"));
        line.set_nodelay(true).expect("a line can be set up");
        Client::connect(config, line.compat_write())
            .await
            .unwrap_or_else(|error| panic!("the server of {VARIABLE} lets nobody in: {error}"))
    }

    /// Makes a database with a name of its own, and gives the name.
    pub async fn make_database(&self) -> String {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("dbvc_conf_{}", &random[..12]);
        let _alone = self.changing.lock().await;
        let mut client = self.connect("master").await;
        execute(&mut client, &format!("CREATE DATABASE [{name}]"))
            .await
            .unwrap_or_else(|error| panic!("{name} cannot be made: {error}"));
        if self.engine == Engine::SqlServer {
            // As Azure SQL Database has them from the beginning.
            for option in ["READ_COMMITTED_SNAPSHOT", "ALLOW_SNAPSHOT_ISOLATION"] {
                let text = format!("ALTER DATABASE [{name}] SET {option} ON");
                execute(&mut client, &text)
                    .await
                    .unwrap_or_else(|error| panic!("{text}: {error}"));
            }
        }
        name
    }

    /// Makes a login that may do nothing yet.
    pub async fn make_login(&self) -> Login {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let login = Login {
            name: format!("dbvc_conf_{}", &random[..12]),
            password: format!("Aa1-{random}"),
        };
        let _alone = self.changing.lock().await;
        let mut client = self.connect("master").await;
        let text = format!(
            "CREATE LOGIN {} WITH PASSWORD = '{}'",
            login.name, login.password
        );
        execute(&mut client, &text)
            .await
            .unwrap_or_else(|error| panic!("{} cannot be made: {error}", login.name));
        login
    }

    /// Drops a login, after the databases in which it has a user.
    pub async fn drop_login(&self, name: &str) -> Result<(), tiberius::error::Error> {
        let _alone = self.changing.lock().await;
        let mut client = self.connect("master").await;
        execute(&mut client, &format!("DROP LOGIN {name}")).await
    }

    /// Drops a database as soon as nobody uses it any more.
    pub async fn drop_database(&self, name: &str) -> Result<(), tiberius::error::Error> {
        let _alone = self.changing.lock().await;
        let mut client = self.connect("master").await;
        let began = Instant::now();
        loop {
            let dropped = execute(&mut client, &format!("DROP DATABASE [{name}]")).await;
            match dropped {
                Err(error) if is_in_use(&error) && began.elapsed() < LIMIT => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                dropped => return dropped,
            }
        }
    }
}

fn is_in_use(error: &tiberius::error::Error) -> bool {
    let words = error.to_string();
    words.contains("in use") || words.contains("being accessed by other users")
}

/// Runs a text to its end.
pub async fn execute(client: &mut Client, text: &str) -> Result<(), tiberius::error::Error> {
    client.simple_query(text).await?.into_results().await?;
    Ok(())
}

/// The first column of the only result set, as texts.
pub async fn first_column(client: &mut Client, query: &str) -> Vec<String> {
    let answer = async { client.simple_query(query).await?.into_results().await };
    let sets = answer
        .await
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    let rows = sets.into_iter().next().unwrap_or_default();
    rows.into_iter()
        .map(|row| text_of(row.into_iter().next().expect("a column"), query))
        .collect()
}

fn text_of(value: ColumnData<'static>, query: &str) -> String {
    match value {
        ColumnData::String(text) => text.map_or("null".to_owned(), |text| text.into_owned()),
        ColumnData::Bit(bit) => bit.map_or("null".to_owned(), |bit| u8::from(bit).to_string()),
        ColumnData::U8(number) => number.map_or("null".to_owned(), |number| number.to_string()),
        ColumnData::I16(number) => number.map_or("null".to_owned(), |number| number.to_string()),
        ColumnData::I32(number) => number.map_or("null".to_owned(), |number| number.to_string()),
        ColumnData::I64(number) => number.map_or("null".to_owned(), |number| number.to_string()),
        other => panic!("{query} gives {other:?}, which has no text here; cast it"),
    }
}
