//! PUT databases/{databaseId}: puts a database into the inventory.

use std::sync::Arc;

use serde_json::Value;

use crate::database::reference::ConnectionReference;
use crate::engine::{Caller, DatabaseType, NewDatabase};
use crate::script::{DatabaseId, EngineKind};

use super::answer::{Answer, created, ok};
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

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-databases-put",
    methods: &[Method::Put],
    route: "dbvc/databases/{databaseId}",
    offers: JSON_ONLY,
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
