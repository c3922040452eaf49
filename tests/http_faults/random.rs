//! Ten thousand bodies made by chance: none is answered by a 500, and none ends the process.

use serde_json::{Map, Value, json};

use crate::fault::host;
use crate::support::host::Mode;

const BODIES: usize = 10_000;

/// A generator with a fixed seed (xorshift64*), so that a failure comes again.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const NAMES: [&str; 30] = [
    "name",
    "databaseId",
    "author",
    "description",
    "upScript",
    "downScript",
    "version",
    "fileName",
    "reregister",
    "environment",
    "executor",
    "target",
    "outOfOrder",
    "baseline",
    "dryRun",
    "migrations",
    "migrationId",
    "reason",
    "cascade",
    "confirm",
    "type",
    "fix",
    "resolve",
    "executionId",
    "as",
    "engine",
    "folder",
    "connection",
    "serverName",
    "\u{0}odd\u{202e}",
];

const TEXTS: [&str; 30] = [
    "",
    " ",
    "a",
    "dev",
    "prod",
    "all",
    "lpa-bloom-sql-dev",
    "manual",
    "sql",
    "sqlite",
    "cosmos",
    "101",
    "1.1",
    "-1",
    "99999999999999999999",
    "20251127143000",
    "V101__x.sqlite.sql",
    "R__x.sql",
    "U1__x.sql",
    "execute",
    "allow",
    "applied",
    "env:SQL_X",
    "keyvault:https://x",
    "../..",
    "'; DROP TABLE x; --",
    "\u{0}",
    "\u{1f600}",
    "é\r\n\t",
    "%00%FF",
];

const PLACES: [(&str, &str); 12] = [
    ("POST", "/api/dbvc/migrations"),
    ("POST", "/api/dbvc/migrations/run"),
    ("POST", "/api/dbvc/migrations/rollback"),
    ("POST", "/api/dbvc/snapshots"),
    ("POST", "/api/dbvc/integrity/verify"),
    ("PUT", "/api/dbvc/databases/reporting"),
    ("POST", "/api/dbvc/runs/r1/cancel"),
    (
        "DELETE",
        "/api/dbvc/databases/lpa-bloom-sql-dev/migrations/V101__x",
    ),
    ("POST", "/dbvc-migrations-run"),
    ("POST", "/dbvc-migration"),
    ("POST", "/dbvc-snapshots"),
    ("POST", "/dbvc-databases-put"),
];

fn value(chance: &mut Chance, depth: usize) -> Value {
    match chance.below(if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => Value::Bool(chance.below(2) == 0),
        2 => json!(chance.next()),
        3 => json!(f64::from_bits(chance.next())),
        4 => json!("x".repeat(chance.below(5000))),
        5 | 6 => json!(chance.pick(&TEXTS)),
        7 => (0..chance.below(4))
            .map(|_| value(chance, depth - 1))
            .collect(),
        _ => object(chance, depth - 1),
    }
}

fn object(chance: &mut Chance, depth: usize) -> Value {
    let mut object = Map::new();
    for _ in 0..chance.below(9) {
        object.insert((*chance.pick(&NAMES)).to_owned(), value(chance, depth));
    }
    Value::Object(object)
}

/// An object of known names, more often right than by pure chance, inside an envelope where one belongs; in every third
/// body some bytes are changed, dropped or doubled.
fn body(chance: &mut Chance, path: &str) -> Vec<u8> {
    let inner = object(chance, 3);
    let whole = if path.starts_with("/api") {
        inner
    } else {
        let body = if chance.below(2) == 0 {
            inner
        } else {
            json!(inner.to_string())
        };
        let mut request =
            json!({"Method": chance.pick(&["POST", "GET", "PUT", "DELETE", ""]), "Body": body});
        for name in ["Url", "Query", "Headers", "Params"] {
            if chance.below(2) == 0 {
                request[name] = value(chance, 2);
            }
        }
        json!({"Data": {"req": request}, "Metadata": value(chance, 1)})
    };
    let mut bytes = whole.to_string().into_bytes();
    if chance.below(3) == 0 {
        for _ in 0..=chance.below(4) {
            let at = chance.below(bytes.len());
            match chance.below(3) {
                0 => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, bytes[at]),
            }
        }
    }
    bytes
}

#[tokio::test]
async fn random_bodies_are_never_answered_by_a_500() {
    let (host, _data) = host(Mode::Forwarding).await;
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    for number in 0..BODIES {
        let (method, path) = *chance.pick(&PLACES);
        let body = body(&mut chance, path);
        let content_type = *chance.pick(&[
            "application/json",
            "application/json",
            "application/json",
            "text/plain",
        ]);
        let request = host
            .direct()
            .request(method, path)
            .header("content-type", content_type);
        let answer = request.body(body.clone()).send().await;
        let shown = || {
            format!(
                "body {number}: {method} {path} {}: {}",
                String::from_utf8_lossy(&body),
                answer.text()
            )
        };
        assert!((200..500).contains(&answer.status), "{}", shown());
        let inner = &answer.body["Outputs"]["res"]["statusCode"];
        assert!(
            inner.is_null()
                || inner
                    .as_u64()
                    .is_some_and(|status| (200..500).contains(&status)),
            "{}",
            shown()
        );
        assert!(answer.header("x-request-id").is_some(), "{}", shown());
    }
    host.direct().get("/").await.expect_status(200);
    assert_eq!(host.starts(), 1);
    host.expect_silent_stderr();
}
