//! How long schemas of 100, 1 000 and 10 000 tables take to be read and compared, each beside a floor of the same run: for
//! reading one pass over the catalog that only counts, for comparing the writing of the schema as JSON. Near-linear time shows
//! in times a table that do not grow with the size.
//!
//! `cargo bench --bench schema_speed`
//!
//! On SQLite always. With `DBVC_TEST_SQL_CONNECTION_STRING` also on that server, in a database that is made and dropped, with the number of requests counted on the line; `DBVC_BENCH_SERVER_TABLES` says with how many tables (default
//! `100,1000`), since making ten thousand tables takes a server much longer than reading them.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use dbvc::database::sql_server::{
    ConnectOptions, ConnectionString, Connectors, ScriptLimits, SqlServerDatabase,
};
use dbvc::database::sqlite::SqliteDatabase;
use dbvc::database::{Access, Connection, Database};
use dbvc::schema::{Schema, diff};

use support::proxy::Proxy;
use support::server::{self, Client, Server, VARIABLE};

/// How often each is timed, after one round that does not count.
const ROUNDS: usize = 5;

const SERVER_TABLES: &str = "DBVC_BENCH_SERVER_TABLES";

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn timed<T>(mut work: impl FnMut() -> T) -> f64 {
    let times = (0..=ROUNDS).map(|_| {
        let begun = Instant::now();
        black_box(work());
        begun.elapsed()
    });
    median(times.skip(1).collect())
}

/// A table with all that tables usually have, and now and then a view or a trigger.
fn statements(number: usize, integer: &str, text: &str) -> Vec<String> {
    let mut statements = vec![
        format!(
            "CREATE TABLE t{number} (id {integer} NOT NULL, code {text} NOT NULL, title {text} NULL, net DECIMAL(12, 2) NOT NULL DEFAULT 0, \
             parent {integer} NULL, made DATETIME NOT NULL, changed DATETIME NULL, state {integer} NOT NULL DEFAULT 1, \
             CONSTRAINT t{number}_key PRIMARY KEY (id), CONSTRAINT t{number}_code UNIQUE (code), \
             CONSTRAINT t{number}_net CHECK (net >= 0), \
             CONSTRAINT t{number}_parent FOREIGN KEY (parent) REFERENCES t{} (id))",
            number.saturating_sub(1),
        ),
        format!("CREATE INDEX t{number}_by_state ON t{number} (state, made DESC)"),
    ];
    if number.is_multiple_of(5) {
        statements.push(format!(
            "CREATE VIEW v{number} AS SELECT id, code, net FROM t{number} WHERE state = 1"
        ));
    }
    statements
}

/// The same schema with one table in ten changed, one in a hundred gone and as many new.
fn changed(schema: &Schema) -> Schema {
    let mut other = schema.clone();
    let mut number: u32 = 0;
    other.tables.retain_mut(|table| {
        number += 1;
        if number.is_multiple_of(10) {
            table.columns[1].data_type = "other".to_owned();
        }
        if number % 100 == 1 {
            table.name += "_renamed";
        }
        !number.is_multiple_of(100)
    });
    other
}

/// The times a table, slowest size to fastest.
fn spread(times: &[f64]) -> f64 {
    let slowest = times.iter().copied().fold(f64::MIN, f64::max);
    slowest / times.iter().copied().fold(f64::MAX, f64::min)
}

fn compare(tables: usize, schema: &Schema) -> f64 {
    let other = changed(schema);
    let floor = timed(|| serde_json::to_string(schema).map(|text| text.len()));
    let same = timed(|| diff(schema, schema).len());
    let differing = timed(|| diff(schema, &other).len());
    let hash = timed(|| schema.hash());
    println!(
        "{tables:>6} tables: as JSON {:.1} ms; diff with itself {:.1} ms, {:.1} x; with {} changes {:.1} ms, {:.1} x; hash {:.1} ms, {:.1} x",
        floor * 1e3,
        same * 1e3,
        same / floor,
        diff(schema, &other).len(),
        differing * 1e3,
        differing / floor,
        hash * 1e3,
        hash / floor,
    );
    differing / tables as f64
}

fn on_sqlite(runtime: &tokio::runtime::Runtime, tables: usize) -> (Schema, f64) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("speed.sqlite");
    let mut raw = rusqlite::Connection::open(&path).expect("a database can be made");
    let making = raw.transaction().expect("a transaction begins");
    for number in 0..tables {
        for statement in statements(number, "INTEGER", "TEXT") {
            making.execute_batch(&statement).expect(&statement);
        }
    }
    making.commit().expect("the tables are there");
    let floor = timed(|| {
        let count =
            "SELECT COUNT(*) FROM pragma_table_list l CROSS JOIN pragma_table_xinfo(l.name) c";
        let counted: i64 = raw.query_row(count, [], |row| row.get(0)).expect(count);
        counted
    });
    let database = SqliteDatabase::new(&path, None);
    let mut connection = runtime
        .block_on(database.open(Access::Read))
        .expect("the database opens");
    let reading = timed(|| read(runtime, connection.as_mut()));
    println!(
        "{tables:>6} tables: counting columns {:.1} ms; reading the schema {:.1} ms, {:.1} x",
        floor * 1e3,
        reading * 1e3,
        reading / floor,
    );
    (read(runtime, connection.as_mut()), reading / tables as f64)
}

fn read(runtime: &tokio::runtime::Runtime, connection: &mut dyn Connection) -> Schema {
    let schema = runtime.block_on(connection.read_schema());
    schema.expect("the schema can be read")
}

/// dbvc in a database of the server, by a line that counts.
async fn through(line: &Proxy, server: &Server, name: &str) -> Box<dyn Connection> {
    let text = server.connection_string_through(line.port(), name);
    let target = ConnectionString::parse(&text).expect("dbvc reads the connection string");
    let connector = Connectors::new(ConnectOptions::default()).to(target);
    let limits = ScriptLimits {
        batch: None,
        lock_wait: Duration::from_secs(10),
    };
    let database = SqlServerDatabase::new(connector, limits);
    let connection = database.open(Access::Read).await;
    connection.expect("dbvc connects")
}

async fn make(client: &mut Client, numbers: std::ops::Range<usize>) {
    for number in numbers {
        for statement in statements(number, "INT", "NVARCHAR(60)") {
            let made = server::execute(client, &statement).await;
            made.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }
}

fn on_a_server(runtime: &tokio::runtime::Runtime, sizes: &[usize]) {
    let server = runtime.block_on(Server::of_environment());
    let name = runtime.block_on(server.make_database());
    let mut client = runtime.block_on(server.connect(&name));
    let line = runtime.block_on(Proxy::to(server.address()));
    let mut connection = runtime.block_on(through(&line, server, &name));
    let (mut readings, mut made) = (Vec::new(), 0);
    for &tables in sizes {
        runtime.block_on(make(&mut client, made..tables));
        made = tables;
        read(runtime, connection.as_mut());
        line.count_anew();
        read(runtime, connection.as_mut());
        let requests = line.sent().len();
        let reading = timed(|| read(runtime, connection.as_mut()));
        println!(
            "{tables:>6} tables: requests {requests}; reading the schema {:.0} ms",
            reading * 1e3
        );
        readings.push(reading / tables as f64);
    }
    println!(
        "time a table, slowest size to fastest: reading {:.2}",
        spread(&readings)
    );
    drop((client, connection));
    let dropped = runtime.block_on(server.drop_database(&name));
    dropped.expect("the database goes");
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let (mut readings, mut diffs) = (Vec::new(), Vec::new());
    println!("SQLite");
    for tables in [100, 1_000, 10_000] {
        let (schema, reading) = on_sqlite(&runtime, tables);
        readings.push(reading);
        diffs.push(compare(tables, &schema));
    }
    println!(
        "time a table, slowest size to fastest: reading {:.2}, comparing {:.2}",
        spread(&readings),
        spread(&diffs)
    );
    if !Server::is_named() {
        println!("{VARIABLE} names no server: nothing is measured there");
        return;
    }
    let sizes = std::env::var(SERVER_TABLES).unwrap_or_else(|_| "100,1000".to_owned());
    let sizes: Vec<usize> = sizes
        .split(',')
        .map(|size| size.trim().parse().expect("numbers of tables"))
        .collect();
    println!("T-SQL");
    on_a_server(&runtime, &sizes);
}
