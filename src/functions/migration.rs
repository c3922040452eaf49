//! GET and DELETE of one migration: shows it with its scripts and attempts, or withdraws it.

use std::sync::Arc;

use crate::script::{DatabaseId, MigrationId};

use super::answer::{Answer, ok};
use super::problem::{Problem, unknown_database, unknown_migration};
use super::request::{Call, Method};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-migration",
    methods: &[Method::Get, Method::Delete],
    route: "dbvc/databases/{databaseId}/migrations/{migrationId}",
    offers: JSON_ONLY,
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let database = DatabaseId::parse(call.param("databaseId")).map_err(|_| unknown_database())?;
    let migration =
        MigrationId::parse(call.param("migrationId")).map_err(|_| unknown_migration())?;
    if call.method() == Method::Delete {
        let (body, caller) = call.body_and_caller()?;
        body.finish()?;
        ok(&app
            .engine
            .withdraw(&caller, &database, migration.as_str())
            .await?)
    } else {
        call.no_query()?;
        ok(&app.engine.migration(&database, migration.as_str()).await?)
    }
}
