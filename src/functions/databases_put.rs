//! PUT databases/{databaseId}: puts a database into the inventory.

use std::sync::Arc;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::database::reference::ConnectionReference;
use crate::engine::{Caller, DatabaseType, DatabaseView, NewDatabase};
use crate::script::{DatabaseId, EngineKind};

use super::answer::{Answer, created, ok};
use super::openapi::kinds;
use super::openapi::operation::{
    EXECUTOR, Field, OF_A_DATABASE, OF_WRITING, Operation, of, optional, required, success,
};
use super::problem::Problem;
use super::request::{Call, Method};
use super::values::{environment, line, parsed, string};
use super::{App, HttpFunction, JSON_ONLY};

/// The longest name of a server or database, in characters.
const MAX_NAME: usize = 200;
/// The longest name of a folder, in characters.
const MAX_FOLDER: usize = 200;
/// The longest reference to a connection, in characters.
const MAX_REFERENCE: usize = 500;
/// The folder of the scripts when the caller does not say: the migrations folder itself.
const DEFAULT_FOLDER: &str = ".";

const BODY: &[Field] = &[
    optional(
        "databaseId",
        "Must equal that of the path.",
        of::<DatabaseId>,
    ),
    required(
        "type",
        "Whether it holds tables or containers.",
        of::<DatabaseType>,
    ),
    required(
        "engine",
        "Its engine: `cosmos` for the type `cosmos`, another one for `sql`.",
        of::<EngineKind>,
    ),
    required(
        "environment",
        "The environment of this app.",
        kinds::environment,
    ),
    optional(
        "serverName",
        "The server, for people.",
        kinds::line::<MAX_NAME>,
    ),
    optional(
        "databaseName",
        "The database's name on the server; on Cosmos DB required beside a connection string.",
        kinds::line::<MAX_NAME>,
    ),
    optional(
        "folder",
        "The subfolder of the migrations folder that holds its scripts; `.` by default.",
        folder_schema,
    ),
    optional(
        "connection",
        "A reference to its connection string, never the string: `env:NAME`, `keyvault:URL` or \
         `identity:SERVER/DATABASE`; absent for the home database and for `sqlite`.",
        reference_schema,
    ),
];

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-databases-put",
    route: "dbvc/databases/{databaseId}",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[Operation {
        method: Method::Put,
        path: "dbvc/databases/{databaseId}",
        id: "putDatabase",
        summary: "Put a database into the inventory, or change it",
        description: "In the embedded mode the file of a `sqlite` database is made. The change is an event of the home \
                      database's trail.",
        query: &[EXECUTOR],
        body: BODY,
        answers: &[
            success(200, "It was there; it is now as sent.", of::<DatabaseView>),
            success(201, "It is new.", of::<DatabaseView>),
        ],
        problems: &[OF_A_DATABASE, OF_WRITING],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let (caller, new) = read(&call, &app.engine.options().allowed_hosts)?;
    let (is_new, database) = app.engine.put_database(&caller, new).await?;
    if is_new {
        created(&database)
    } else {
        ok(&database)
    }
}

fn read(call: &Call, allowed_hosts: &[String]) -> Result<(Caller, NewDatabase), Problem> {
    let (mut body, caller) = call.body_and_caller()?;
    let in_path = call.param("databaseId");
    let database_id = DatabaseId::parse(in_path)
        .map_err(|error| body.wrong("databaseId", format!("of the path is wrong: {error}")))
        .ok();
    if body
        .optional("databaseId", string)
        .is_some_and(|id| id != in_path)
    {
        body.wrong("databaseId", "must equal that of the path");
    }
    let kind = body.required("type", database_type);
    let engine = body.required("engine", parsed::<EngineKind>);
    let environment = body.required("environment", environment);
    let server_name = body.optional("serverName", line(MAX_NAME));
    let database_name = body.optional("databaseName", line(MAX_NAME));
    let folder = body.optional("folder", folder);
    let connection = body.optional("connection", |value| reference(value, allowed_hosts));
    if let (Some(kind), Some(engine)) = (kind, engine)
        && (kind == DatabaseType::Cosmos) != (engine == EngineKind::Cosmos)
    {
        body.wrong(
            "engine",
            "must be cosmos for the type cosmos, and sql-server or sqlite for the type sql",
        );
    }
    let (Some(database_id), Some(kind), Some(engine), Some(environment)) =
        (database_id, kind, engine, environment)
    else {
        return Err(body.refuse());
    };
    body.finish()?;
    let new = NewDatabase {
        database_id,
        kind,
        engine,
        environment,
        server_name,
        database_name,
        folder: folder.unwrap_or_else(|| DEFAULT_FOLDER.to_owned()),
        connection,
    };
    Ok((caller, new))
}

fn database_type(value: Value) -> Result<DatabaseType, String> {
    match value.as_str() {
        Some("sql") => Ok(DatabaseType::Sql),
        Some("cosmos") => Ok(DatabaseType::Cosmos),
        _ => Err("must be sql or cosmos".to_owned()),
    }
}

/// `.`, or a path that cannot leave the migrations folder on any machine.
fn folder(value: Value) -> Result<String, String> {
    let folder = line(MAX_FOLDER)(value)?;
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
    };
    if folder == DEFAULT_FOLDER || folder.split('/').all(is_plain) {
        Ok(folder)
    } else {
        Err("must be a subfolder of the migrations folder, such as reporting or cosmos/orders, or .".to_owned())
    }
}

fn folder_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": MAX_FOLDER,
        "pattern": r"^(\.|[A-Za-z0-9_-]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?(/[A-Za-z0-9_-]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?)*)$",
        "default": DEFAULT_FOLDER,
    })
}

/// Which hosts are allowed is a matter of the settings.
fn reference_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": MAX_REFERENCE,
        "pattern": concat!(
            "^(env:(SQL_|DBVC_CONN_)[A-Za-z0-9_]*",
            r"|keyvault:https://[A-Za-z0-9-]+\.vault\.azure\.net/secrets/[A-Za-z0-9-]+",
            r"|identity:[A-Za-z0-9.-]+/[^/;\x00-\x1f\x7f-\x9f]+)$"
        ),
    })
}

fn reference(value: Value, allowed_hosts: &[String]) -> Result<ConnectionReference, String> {
    let text = line(MAX_REFERENCE)(value)?;
    ConnectionReference::parse(&text, allowed_hosts).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_folder_cannot_leave_the_migrations_folder() {
        for good in [".", "reporting", "cosmos/orders", "v2.0", "_x"] {
            assert_eq!(folder(json!(good)), Ok(good.to_owned()));
        }
        for bad in [
            "", "..", "../x", "a/../b", "/etc", "a//b", "a/", "C:", "a\\b", "./a", ".git", "a b",
            "a.",
        ] {
            assert!(folder(json!(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_connection_string_is_refused_without_being_repeated() {
        let message = reference(json!("Server=tcp:x;Password=hush"), &[]).unwrap_err();
        assert!(!message.contains("hush"));
    }
}
