//! GET databases: the inventory, or one database of it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::engine::DatabaseView;
use crate::script::DatabaseId;

use super::answer::{Answer, ok};
use super::openapi::operation::{OF_A_DATABASE, OF_THE_HOME_DATABASE, Operation, of, success};
use super::problem::{Problem, unknown_database};
use super::request::Call;
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-databases",
    route: "dbvc/databases/{databaseId?}",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[
        Operation {
            path: "dbvc/databases",
            id: "listDatabases",
            summary: "The databases of the environment",
            answers: &[success(200, "The inventory, by id.", of::<Databases>)],
            problems: &[OF_THE_HOME_DATABASE],
            ..Operation::NOTHING
        },
        Operation {
            path: "dbvc/databases/{databaseId}",
            id: "getDatabase",
            summary: "One database of the environment",
            answers: &[success(200, "The database.", of::<DatabaseView>)],
            problems: &[OF_A_DATABASE],
            ..Operation::NOTHING
        },
    ],
    handle: |app, call| Box::pin(handle(app, call)),
};

/// The inventory.
#[derive(Serialize, JsonSchema)]
struct Databases {
    /// The databases, by id.
    databases: Vec<DatabaseView>,
}

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    call.no_query()?;
    match call.param("databaseId") {
        "" => ok(&Databases {
            databases: app.engine.databases().await?,
        }),
        id => {
            let id = DatabaseId::parse(id).map_err(|_| unknown_database())?;
            ok(&app.engine.database(&id).await?)
        }
    }
}
