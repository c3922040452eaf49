//! The schemas of the values in requests, one for each reader in `values`; a test holds each against its reader.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use crate::engine::{AllDatabases, OutOfOrder};
use crate::functions::values::{DEFAULT_LIMIT, MAX_ENVIRONMENT, MAX_LIMIT, MAX_PERSON, MAX_TOKEN};
use crate::script::DatabaseId;

use super::operation::Field;

/// An object of these fields and no others. Null stands for an optional field that is missing.
pub fn object(generator: &mut SchemaGenerator, fields: &[Field]) -> Schema {
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    for field in fields {
        let mut schema = (field.schema)(generator);
        if field.is_required {
            required.push(field.name);
        } else {
            schema = or_null(schema);
        }
        schema.insert("description".to_owned(), field.description.into());
        properties.insert(field.name.to_owned(), schema.into());
    }
    json_schema!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn or_null(schema: Schema) -> Schema {
    json_schema!({ "anyOf": [schema, { "type": "null" }] })
}

/// Any string.
pub fn string(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string" })
}

/// A line of 1 to `LONGEST` characters.
pub fn line<const LONGEST: usize>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST,
        "pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
    })
}

/// Some lines for people, at most `LONGEST` characters.
pub fn prose<const LONGEST: usize>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": LONGEST,
        "pattern": r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$",
    })
}

/// Who calls, or who wrote something.
pub fn person(generator: &mut SchemaGenerator) -> Schema {
    line::<MAX_PERSON>(generator)
}

/// An environment.
pub fn environment(generator: &mut SchemaGenerator) -> Schema {
    line::<MAX_ENVIRONMENT>(generator)
}

/// A token that dbvc gave out.
pub fn token(generator: &mut SchemaGenerator) -> Schema {
    line::<MAX_TOKEN>(generator)
}

/// A script, verbatim.
pub fn script(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$" })
}

/// `true` or `false`.
pub fn flag(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "boolean" })
}

/// A database or `all`.
pub fn target(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<DatabaseId>();
    let all = generator.subschema_for::<AllDatabases>();
    json_schema!({ "anyOf": [one, all] })
}

/// A version: dotted numbers.
pub fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 97,
        "pattern": "^[0-9]{1,18}([._][0-9]{1,18}){0,15}$",
    })
}

/// The name of a migration, as one that comes from a file may be.
pub fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": "^[A-Za-z0-9]([A-Za-z0-9_ .-]{0,198}[A-Za-z0-9_.-])?$",
    })
}

/// The name of a file that applies a migration.
pub fn up_file_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": concat!(
            "^(V[0-9]{1,18}([._][0-9]{1,18}){0,15}|R)__",
            r"[A-Za-z0-9]([A-Za-z0-9_ .-]{0,198}[A-Za-z0-9_.-])?(\.sqlite\.sql|\.sql|\.cosmos\.json)$"
        ),
    })
}

/// What to do with pending versions below the newest applied one.
pub fn out_of_order(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<OutOfOrder>();
    schema.insert("default".to_owned(), Value::from("error"));
    schema
}

/// How many items a page may have.
pub fn limit(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT })
}

/// A moment by RFC 3339.
pub fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

#[cfg(test)]
mod tests {
    use schemars::generate::SchemaSettings;
    use serde_json::json;

    use super::super::operation::{SchemaOf, of};
    use super::*;
    use crate::functions::{migrations_create, values};
    use crate::script::{MigrationId, MigrationName, Version};

    type Reader = fn(Value) -> Result<(), String>;

    fn parsed<T>(value: Value) -> Result<(), String>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        values::parsed::<T>(value).map(drop)
    }

    /// Each schema with its reader.
    const KINDS: [(&str, SchemaOf, Reader); 15] = [
        ("string", string, |value| values::string(value).map(drop)),
        ("line", line::<5>, |value| values::line(5)(value).map(drop)),
        ("prose", prose::<5>, |value| {
            values::prose(5)(value).map(drop)
        }),
        ("person", person, |value| values::person(value).map(drop)),
        ("environment", environment, |value| {
            values::environment(value).map(drop)
        }),
        ("token", token, |value| values::token(value).map(drop)),
        ("script", script, |value| values::script(value).map(drop)),
        ("flag", flag, |value| values::flag(value).map(drop)),
        ("target", target, |value| values::target(value).map(drop)),
        ("dry run", of::<crate::engine::DryRun>, |value| {
            values::dry_run(value).map(drop)
        }),
        ("database", of::<DatabaseId>, parsed::<DatabaseId>),
        ("migration", of::<MigrationId>, parsed::<MigrationId>),
        ("version", version, parsed::<Version>),
        ("name", name, parsed::<MigrationName>),
        ("file name", up_file_name, |value| {
            migrations_create::up_file_name(value).map(drop)
        }),
    ];

    fn samples() -> Vec<Value> {
        let mut samples = vec![
            Value::Null,
            json!(true),
            json!(false),
            json!(0),
            json!(1.5),
            json!([]),
            json!({}),
            json!(["dev"]),
            json!({"a": 1}),
        ];
        let texts = [
            "",
            " ",
            "\t",
            "\n",
            "a",
            " a ",
            "a\nb",
            "a\tb",
            "a\u{0}b",
            "a\u{7f}",
            "a\u{85}b",
            "\u{3000}",
            "äöü",
            "🦀🦀🦀🦀🦀",
            "abcde",
            "abcdef",
            "all",
            "execute",
            "true",
            "error",
            "orders",
            "Orders",
            "-orders",
            "orders-",
            "o_o",
            "o.o",
            "1",
            "1.1",
            "1_1",
            "1..1",
            ".1",
            "1.",
            "v1",
            "0",
            "1.0.0",
            "20251127143000",
            "1234567890123456789",
            "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1",
            "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1",
            "add_users",
            "Add_users",
            "_a",
            "a b",
            "V1__x.sql",
            "V1__x.sqlite.sql",
            "V1_2__x.cosmos.json",
            "R__x.sql",
            "R1__x.sql",
            "U1__x.sql",
            "V__x.sql",
            "v1__x.sql",
            "V1__x.SQL",
            "V1__x .sql",
            "V1__x.y z.sql",
            "V1__.sql",
            "V1_x.sql",
            "V1__x",
            "V1__-x.sql",
            "V1__x\n.sql",
            "V1.2__a__b.sqlite.sql",
            "R__a-b.cosmos.json",
        ];
        samples.extend(texts.map(Value::from));
        for longest in [63, 64, 99, 100, 101, 200, 201, 300, 301, 1000, 1001] {
            samples.push("x".repeat(longest).into());
            samples.push("ä".repeat(longest).into());
            samples.push(format!("V1__{}.sql", "x".repeat(longest)).into());
        }
        samples
    }

    #[test]
    fn what_a_schema_allows_is_what_its_reader_takes() {
        for (kind, schema, reader) in KINDS {
            let mut generator = SchemaSettings::draft2020_12()
                .for_serialize()
                .into_generator();
            let mut schema = schema(&mut generator);
            schema.insert("$defs".to_owned(), generator.take_definitions(true).into());
            let validator = jsonschema::validator_for(schema.as_value()).unwrap();
            for sample in samples() {
                let read = reader(sample.clone());
                assert_eq!(
                    validator.is_valid(&sample),
                    read.is_ok(),
                    "{kind}: {sample} was read as {read:?}"
                );
            }
        }
    }
}
