//! POST migrations: registers a migration.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::engine::{Caller, Creation, MigrationView, Naming, NewMigration};
use crate::script::{DatabaseId, FileName, MigrationId, MigrationName, Prefix, Version};

use super::answer::{Answer, created, ok};
use super::fields::Fields;
use super::openapi::kinds;
use super::openapi::operation::{
    Field, LOCATION, OF_A_DATABASE, OF_WRITING, Operation, Success, of, optional, required, success,
};
use super::problem::{Code, Problem};
use super::request::{Call, Method};
use super::values::{flag, parsed, person, prose, script, string};
use super::{App, HttpFunction, JSON_ONLY};

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 4000;
/// What stays as it is in a segment of a path: the unreserved characters of RFC 3986.
const ENCODED_IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const BODY: &[Field] = &[
    optional(
        "name",
        "Its name: `[a-z][a-z0-9_]{0,99}`; beside `fileName`, which gives it, it must say the same.",
        kinds::name,
    ),
    required("databaseId", "The database.", of::<DatabaseId>),
    required("author", "Who wrote it.", kinds::person),
    optional(
        "description",
        "What it is for.",
        kinds::prose::<MAX_DESCRIPTION>,
    ),
    required(
        "upScript",
        "The script that applies it, verbatim.",
        kinds::script,
    ),
    optional(
        "downScript",
        "The script that rolls it back, verbatim.",
        kinds::script,
    ),
    optional(
        "version",
        "Its version; without it and without `fileName` the UTC time.",
        kinds::version,
    ),
    optional(
        "fileName",
        "The name of its file, which gives version, name and engine.",
        kinds::up_file_name,
    ),
    optional(
        "reregister",
        "Whether the text of a registered migration is replaced.",
        kinds::flag,
    ),
];

pub(super) const FUNCTION: HttpFunction = HttpFunction {
    name: "dbvc-migrations-create",
    route: "dbvc/migrations",
    needs_key: true,
    offers: JSON_ONLY,
    operations: &[Operation {
        method: Method::Post,
        path: "dbvc/migrations",
        id: "createMigration",
        summary: "Register a migration",
        description: "Runs nothing. Sent again with the same content it changes nothing.",
        body: BODY,
        at_least_one_of: &["name", "fileName"],
        answers: &[
            success(
                200,
                "It was registered with the same content, or its text was replaced.",
                of::<MigrationView>,
            ),
            Success {
                headers: &[LOCATION],
                ..success(201, "It is registered.", of::<MigrationView>)
            },
        ],
        problems: &[
            OF_A_DATABASE,
            OF_WRITING,
            &[
                Code::AlreadyRegistered,
                Code::DuplicateVersion,
                Code::ReservedVersion,
                Code::ChecksumMismatch,
                Code::MissingVariant,
            ],
        ],
        ..Operation::NOTHING
    }],
    handle: |app, call| Box::pin(handle(app, call)),
};

async fn handle(app: Arc<App>, call: Call) -> Result<Answer, Problem> {
    let (caller, new) = read(&call)?;
    match app.engine.create(&caller, new).await? {
        (Creation::Created, migration) => Ok(created(&migration)?.with_header(
            "location",
            location(&migration.database_id, &migration.migration_id),
        )),
        (Creation::Unchanged | Creation::Reregistered, migration) => ok(&migration),
    }
}

fn location(database: &DatabaseId, migration: &MigrationId) -> String {
    let id = utf8_percent_encode(migration.as_str(), ENCODED_IN_SEGMENT);
    format!("/api/dbvc/databases/{database}/migrations/{id}")
}

/// The author is also the executor of the event: who registers a migration answers for it.
fn read(call: &Call) -> Result<(Caller, NewMigration), Problem> {
    let mut body = call.body()?;
    let naming = naming(&mut body);
    let database_id = body.required("databaseId", parsed::<DatabaseId>);
    let author = body.required("author", person);
    let description = body.optional("description", prose(MAX_DESCRIPTION));
    let up_script = body.required("upScript", script);
    let down_script = body.optional("downScript", script);
    let reregister = body.optional("reregister", flag).unwrap_or(false);
    let (Some(naming), Some(database_id), Some(author), Some(up_script)) =
        (naming, database_id, author, up_script)
    else {
        return Err(body.refuse());
    };
    body.finish()?;
    let caller = call.caller(author.clone());
    Ok((
        caller,
        NewMigration {
            database_id,
            naming,
            author,
            description,
            up_script,
            down_script,
            reregister,
        },
    ))
}

/// Version and name come from the name of a file, if there is one. What is given beside it must say the same: of two
/// answers to one question dbvc chooses none.
fn naming(body: &mut Fields) -> Option<Naming> {
    if !body.has("fileName") {
        // Null is as good as absent, here as for every optional field.
        let _: Option<String> = body.optional("fileName", string);
        let name = body.required("name", |value| {
            MigrationName::from_request(&string(value)?)
                .map_err(|error| format!("is wrong: {error}"))
        });
        let version = body.optional("version", parsed::<Version>);
        return Some(Naming::Given {
            name: name?,
            version,
        });
    }
    let file = body.optional("fileName", up_file_name);
    let name = body.optional("name", string);
    let version = body.optional("version", parsed::<Version>);
    let file = file?;
    if name.is_some_and(|name| name != file.name.as_str()) {
        body.wrong("name", "differs from the name in fileName; leave it out");
    }
    if version.is_some() && version != file.version {
        body.wrong(
            "version",
            "differs from the version in fileName; leave it out",
        );
    }
    Some(Naming::File(file))
}

/// The name of a file that applies a migration.
pub(super) fn up_file_name(value: Value) -> Result<FileName, String> {
    let file: FileName = parsed(value)?;
    if file.prefix == Prefix::Down {
        return Err(
            "names a down script; name the up script, and send the down script as downScript"
                .to_owned(),
        );
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(value: Value) -> Result<Naming, Problem> {
        let Value::Object(object) = value else {
            panic!("no object: {value}")
        };
        let mut body = Fields::new(object.into_iter().collect(), Vec::new());
        let naming = naming(&mut body);
        body.finish()?;
        Ok(naming.expect("a naming, as nothing is wrong"))
    }

    #[test]
    fn the_place_of_a_migration_is_a_path_whatever_its_name_holds() {
        let orders = DatabaseId::parse("orders").unwrap();
        let id = MigrationId::parse("R__refresh views?/#%é").unwrap();
        assert_eq!(
            location(&orders, &id),
            "/api/dbvc/databases/orders/migrations/R__refresh%20views%3F%2F%23%25%C3%A9"
        );
    }

    #[test]
    fn version_and_name_come_from_the_file_when_there_is_one() {
        let file = FileName::parse("V101__Add users.sql").unwrap();
        assert_eq!(
            named(json!({"fileName": "V101__Add users.sql"})).unwrap(),
            Naming::File(file.clone())
        );
        let same =
            json!({"fileName": "V101__Add users.sql", "name": "Add users", "version": "101.0"});
        assert_eq!(named(same).unwrap(), Naming::File(file));
    }

    #[test]
    fn what_contradicts_the_file_is_refused() {
        for wrong in [
            json!({"fileName": "V101__a.sql", "name": "b"}),
            json!({"fileName": "V101__a.sql", "version": "102"}),
            json!({"fileName": "R__a.sql", "version": "1"}),
            json!({"fileName": "U101__a.sql"}),
            json!({"fileName": "../V101__a.sql"}),
            json!({"fileName": 1}),
        ] {
            assert!(named(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_a_file_the_name_is_required_in_the_strict_form() {
        assert!(named(json!({"name": "add_users"})).is_ok());
        for wrong in [
            json!({}),
            json!({"name": "Add users"}),
            json!({"name": "a", "version": 101}),
            json!({"name": "a", "version": "1.x"}),
        ] {
            assert!(named(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
