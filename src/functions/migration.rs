//! GET and DELETE of one migration: shows it with its scripts and attempts, or withdraws it.

use std::sync::Arc;

use crate::engine::{MigrationDetail, MigrationView};
use crate::script::{DatabaseId, MigrationId};

use super::answer::{Answer, ok};
use super::openapi::operation::{EXECUTOR, OF_A_DATABASE, OF_WRITING, Operation, of, success};
use super::problem::{Code, Problem, unknown_database, unknown_migration};
use super::request::{Call, Method};
use super::{App, HttpFunction, JSON_ONLY};

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-migration",
    route: "dbvc/databases/{databaseId}/migrations/{migrationId}",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[
        Operation {
            path: "dbvc/databases/{databaseId}/migrations/{migrationId}",
            id: "getMigration",
            summary: "One migration with its scripts and its executions",
            answers: &[success(200, "The migration.", of::<MigrationDetail>)],
            problems: &[OF_A_DATABASE, &[Code::UnknownMigration]],
            ..Operation::NOTHING
        },
        Operation {
            method: Method::Delete,
            path: "dbvc/databases/{databaseId}/migrations/{migrationId}",
            id: "withdrawMigration",
            summary: "Withdraw a migration that is pending or rolled back",
            description: "It stays in the trail.",
            query: &[EXECUTOR],
            answers: &[success(200, "It is withdrawn.", of::<MigrationView>)],
            problems: &[
                OF_A_DATABASE,
                OF_WRITING,
                &[
                    Code::UnknownMigration,
                    Code::Protected,
                    Code::HalfApplied,
                    Code::UnsupportedMediaType,
                ],
            ],
            ..Operation::NOTHING
        },
    ],
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
