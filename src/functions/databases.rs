//! GET databases: the inventory, or one database of it.

use std::sync::Arc;

use serde_json::json;

use crate::script::DatabaseId;

use super::answer::{Answer, ok};
use super::problem::{Problem, unknown_database};
use super::request::{Call, Method};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-databases",
    methods: &[Method::Get],
    route: "dbvc/databases/{databaseId?}",
    offers: JSON_ONLY,
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    call.no_query()?;
    match call.param("databaseId") {
        "" => ok(&json!({ "databases": app.engine.databases().await? })),
        id => {
            let id = DatabaseId::parse(id).map_err(|_| unknown_database())?;
            ok(&app.engine.database(&id).await?)
        }
    }
}
