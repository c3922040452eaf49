//! What belongs to no table: schemas, types, sequences, synonyms.

use super::catalog::{self, key_columns};
use super::column::definition;
use super::name::{bracket, data_type, literal, own_name, quoted, schema_of};
use crate::schema::lexer::code;
use crate::schema::model::{Namespace, Schema, Sequence, SequenceCache, Synonym, UserType};
use crate::schema::normalise::in_parentheses;
use crate::schema::synchronise::order::mentions;
use crate::schema::synchronise::text::Script;
use crate::schema::synchronise::things::Differences;

pub(super) fn create_namespace(script: &mut Script, namespace: &Namespace) {
    let name = &namespace.name;
    let owner = namespace
        .owner
        .as_ref()
        .map(|owner| format!(" AUTHORIZATION {}", bracket(owner)));
    // It must be alone in its batch, so it gets one of its own.
    let create = format!(
        "CREATE SCHEMA {}{}",
        bracket(name),
        owner.unwrap_or_default()
    );
    script.run(format!(
        "IF SCHEMA_ID({}) IS NULL\n    EXEC ({});",
        literal(name),
        literal(&create)
    ));
}

pub(super) fn change_namespace(script: &mut Script, namespace: &Namespace) {
    let owner = namespace.owner.as_deref().unwrap_or("dbo");
    script.run(format!(
        "ALTER AUTHORIZATION ON SCHEMA::{} TO {};",
        bracket(&namespace.name),
        bracket(owner)
    ));
}

/// Drops a schema; only when somebody decides so, as long as there is something in it that only somebody can decide to drop.
pub(super) fn drop_namespace(script: &mut Script, namespace: &Namespace, before: &Schema) {
    let name = &namespace.name;
    let drop = format!(
        "IF SCHEMA_ID({}) IS NOT NULL\n    DROP SCHEMA {};",
        literal(name),
        bracket(name)
    );
    let is_in = |full: &String| schema_of(full) == *name;
    let tables = before.tables.iter().map(|table| &table.name);
    let sequences = before.sequences.iter().map(|sequence| &sequence.name);
    let types = before.types.iter().map(|user_type| &user_type.name);
    let others = before.other_objects.iter().map(|other| &other.name);
    if tables
        .chain(sequences)
        .chain(types)
        .chain(others)
        .any(is_in)
    {
        script.hold(
            format!(
                "schema {name} can only go when the tables, types and sequences in it have gone."
            ),
            vec![drop],
        );
    } else {
        script.run(drop);
    }
}

pub(super) fn create_type(
    script: &mut Script,
    user_type: &UserType,
    differences: &Differences<'_>,
) {
    if let Some(create) = type_text(script, user_type, differences) {
        script.run(format!(
            "IF TYPE_ID({}) IS NULL\n    {create}",
            literal(&quoted(&user_type.name))
        ));
    }
}

/// A type cannot be altered: it goes and comes, unless something uses it.
pub(super) fn change_type(
    script: &mut Script,
    user_type: &UserType,
    before: &Schema,
    differences: &Differences<'_>,
) {
    let Some(create) = type_text(script, user_type, differences) else {
        return;
    };
    let name = &user_type.name;
    let batches = vec![format!("DROP TYPE IF EXISTS {};", quoted(name)), create];
    if is_used(before, user_type) {
        script.hold(
            format!(
                "type {name} cannot be altered, and what uses it (columns, procedures, functions) must let go of it first. Change \
                 those to another type, then this one, then those back."
            ),
            batches,
        );
    } else {
        script.run_all(batches);
    }
}

pub(super) fn drop_type(script: &mut Script, user_type: &UserType, before: &Schema) {
    let name = &user_type.name;
    let drop = vec![format!("DROP TYPE IF EXISTS {};", quoted(name))];
    if is_used_by_columns(before, user_type) {
        script.hold(
            format!("type {name} can only go when no column has it any more."),
            drop,
        );
    } else {
        script.run_all(drop);
    }
}

fn is_used_by_columns(schema: &Schema, user_type: &UserType) -> bool {
    let mut columns = schema.tables.iter().flat_map(|table| &table.columns);
    columns.any(|column| column.data_type == user_type.name)
}

fn is_used(schema: &Schema, user_type: &UserType) -> bool {
    let name = own_name(&user_type.name);
    let mut modules = schema.procedures.iter().chain(&schema.functions);
    is_used_by_columns(schema, user_type) || modules.any(|module| mentions(&module.text, &name))
}

fn type_text(
    script: &mut Script,
    user_type: &UserType,
    differences: &Differences<'_>,
) -> Option<String> {
    let name = quoted(&user_type.name);
    if let Some(base) = &user_type.base {
        let null = if user_type.nullable {
            "NULL"
        } else {
            "NOT NULL"
        };
        return Some(format!("CREATE TYPE {name} FROM {base} {null};"));
    }
    let Some(table) = &user_type.table else {
        script.explain(format!(
            "Type {} comes from an assembly; bring it by hand.",
            user_type.name
        ));
        return None;
    };
    let mut lines: Vec<String> = table
        .columns
        .iter()
        .map(|column| definition(column, &differences.unknown))
        .collect();
    let kind = |kind: &Option<String>| kind.clone().unwrap_or_else(|| "NONCLUSTERED".to_owned());
    lines.extend(table.primary_key.as_ref().map(|key| {
        format!(
            "PRIMARY KEY {} ({})",
            kind(&key.kind),
            key_columns(&key.columns)
        )
    }));
    lines.extend(table.unique.iter().map(|unique| {
        format!(
            "UNIQUE {} ({})",
            kind(&unique.kind),
            key_columns(&unique.columns)
        )
    }));
    lines.extend(
        table
            .checks
            .iter()
            .map(|check| format!("CHECK {}", in_parentheses(&check.expression))),
    );
    lines.extend(table.indexes.iter().map(|index| {
        let unique = if index.unique { "UNIQUE " } else { "" };
        format!(
            "INDEX {} {unique}{} ({})",
            bracket(&index.name),
            kind(&index.kind),
            key_columns(&index.columns)
        )
    }));
    Some(format!(
        "CREATE TYPE {name} AS TABLE (\n    {}\n);",
        lines.join(",\n    ")
    ))
}

/// All of a sequence that ALTER takes too.
fn options(sequence: &Sequence) -> String {
    let cycle = if sequence.cycles { "CYCLE" } else { "NO CYCLE" };
    let cache = match sequence.cache {
        SequenceCache::ServersChoice => "CACHE".to_owned(),
        SequenceCache::None => "NO CACHE".to_owned(),
        SequenceCache::Numbers(count) => format!("CACHE {count}"),
    };
    format!(
        "INCREMENT BY {} MINVALUE {} MAXVALUE {} {cycle} {cache}",
        sequence.increment, sequence.minimum, sequence.maximum
    )
}

fn create_text(sequence: &Sequence) -> String {
    format!(
        "IF NOT {}\n    CREATE SEQUENCE {} AS {} START WITH {} {};",
        catalog::sequence(&sequence.name).exists(),
        quoted(&sequence.name),
        data_type(&sequence.data_type),
        sequence.start,
        options(sequence)
    )
}

pub(super) fn create_sequence(script: &mut Script, sequence: &Sequence) {
    script.run(create_text(sequence));
}

pub(super) fn change_sequence(script: &mut Script, old: &Sequence, new: &Sequence) {
    let name = &new.name;
    if old.data_type != new.data_type || old.start != new.start {
        script.hold(
            format!(
                "sequence {name} gets another type or start, for which it is made anew and begins again. Set START WITH to where it \
                 stands now."
            ),
            vec![format!("DROP SEQUENCE IF EXISTS {};", quoted(name)), create_text(new)],
        );
    } else {
        script.run(format!("ALTER SEQUENCE {} {};", quoted(name), options(new)));
    }
}

pub(super) fn drop_sequence(script: &mut Script, sequence: &Sequence) {
    let name = &sequence.name;
    script.hold(
        format!("where sequence {name} stands is lost with it; numbers could come twice if it is made again."),
        vec![format!("DROP SEQUENCE IF EXISTS {};", quoted(name))],
    );
}

pub(super) fn create_synonym(script: &mut Script, synonym: &Synonym) {
    let is_one_name = code(&synonym.target)
        .iter()
        .all(|token| !token.is_symbol(';'));
    if !is_one_name {
        script.explain(format!(
            "Synonym {} stands for something that dbvc cannot write.",
            synonym.name
        ));
        return;
    }
    script.run(format!(
        "IF NOT {}\n    CREATE SYNONYM {} FOR {};",
        catalog::synonym(&synonym.name, &synonym.target).exists(),
        quoted(&synonym.name),
        synonym.target
    ));
}

/// Drops a synonym unless it already stands for what it is to stand for.
pub(super) fn drop_synonym(script: &mut Script, old: &Synonym, new: Option<&Synonym>) {
    let there = catalog::synonym(&old.name, new.map_or("", |new| &new.target));
    let unless = new.map(|_| format!(" AND NOT {}", there.stands()));
    script.run(format!(
        "IF {}{}\n    DROP SYNONYM {};",
        there.exists(),
        unless.unwrap_or_default(),
        quoted(&old.name)
    ));
}
