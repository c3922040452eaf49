//! Who may do what, and what is noted about objects.

use super::name::{bracket, literal, own_name, quoted, schema_of};
use crate::schema::model::{
    ExtendedProperty, Module, Permission, PermissionState, Role, Schema, Securable, Table,
};
use crate::schema::synchronise::text::Script;

pub(super) fn create_role(script: &mut Script, role: &Role) {
    let owner = role
        .owner
        .as_ref()
        .map(|owner| format!(" AUTHORIZATION {}", bracket(owner)));
    script.run(format!(
        "IF DATABASE_PRINCIPAL_ID({}) IS NULL\n    CREATE ROLE {}{};",
        literal(&role.name),
        bracket(&role.name),
        owner.unwrap_or_default()
    ));
}

pub(super) fn change_role(script: &mut Script, role: &Role) {
    let owner = role.owner.as_deref().unwrap_or("dbo");
    script.run(format!(
        "ALTER AUTHORIZATION ON ROLE::{} TO {};",
        bracket(&role.name),
        bracket(owner)
    ));
}

pub(super) fn drop_role(script: &mut Script, role: &Role) {
    script.run(format!(
        "IF DATABASE_PRINCIPAL_ID({}) IS NOT NULL\n    DROP ROLE {};",
        literal(&role.name),
        bracket(&role.name)
    ));
}

/// Puts a member into a role.
pub(super) fn add_member(script: &mut Script, role: &Role, member: &str) {
    script.run(format!(
        "ALTER ROLE {} ADD MEMBER {};",
        bracket(&role.name),
        bracket(member)
    ));
}

/// Takes a member out of a role, if both are there.
pub(super) fn drop_member(script: &mut Script, role: &Role, member: &str) {
    script.run(format!(
        "IF EXISTS (SELECT 1 FROM sys.database_role_members k WHERE k.role_principal_id = DATABASE_PRINCIPAL_ID({}) \
         AND k.member_principal_id = DATABASE_PRINCIPAL_ID({}))\n    ALTER ROLE {} DROP MEMBER {};",
        literal(&role.name),
        literal(member),
        bracket(&role.name),
        bracket(member)
    ));
}

/// `ON OBJECT::…` and the column.
fn on(securable: &Securable) -> Option<String> {
    Some(match securable {
        Securable::Database => String::new(),
        Securable::Schema(name) => format!(" ON SCHEMA::{}", bracket(name)),
        Securable::Type(name) => format!(" ON TYPE::{}", quoted(name)),
        Securable::Object(name) => format!(" ON OBJECT::{}", quoted(name)),
        Securable::Column(owner, column) => {
            format!(" ON OBJECT::{} ({})", quoted(owner), bracket(column))
        }
        Securable::Parameter(..) | Securable::Index(..) => return None,
    })
}

pub(super) fn grant(script: &mut Script, granted: &Permission) {
    let Some(on) = on(&granted.on) else {
        return;
    };
    let (permission, grantee) = (&granted.permission, bracket(&granted.grantee));
    script.run(match granted.state {
        PermissionState::Grant => format!("GRANT {permission}{on} TO {grantee};"),
        PermissionState::GrantWithGrantOption => {
            format!("GRANT {permission}{on} TO {grantee} WITH GRANT OPTION;")
        }
        PermissionState::Deny => format!("DENY {permission}{on} TO {grantee};"),
        PermissionState::Revoke => format!("REVOKE {permission}{on} FROM {grantee};"),
    });
}

pub(super) fn revoke(script: &mut Script, granted: &Permission) {
    let Some(on) = on(&granted.on) else {
        return;
    };
    // What came with the right to pass it on goes with everything that was passed on.
    let cascade = if granted.state == PermissionState::GrantWithGrantOption {
        " CASCADE"
    } else {
        ""
    };
    // Who has gone has nothing to be taken.
    script.run(format!(
        "IF DATABASE_PRINCIPAL_ID({}) IS NOT NULL\n    REVOKE {}{on} FROM {}{cascade};",
        literal(&granted.grantee),
        granted.permission,
        bracket(&granted.grantee)
    ));
}

/// The levels by which the procedures of notes know an object: kind and name, outermost first.
fn levels(securable: &Securable, schema: &Schema) -> Option<Vec<(&'static str, String)>> {
    let level = |kind: &'static str, name: &str| (kind, name.to_owned());
    Some(match securable {
        Securable::Database => Vec::new(),
        Securable::Schema(name) => vec![level("SCHEMA", name)],
        Securable::Type(name) => {
            vec![
                level("SCHEMA", &schema_of(name)),
                level("TYPE", &own_name(name)),
            ]
        }
        Securable::Object(name) => object_levels(name, schema)?,
        Securable::Column(owner, column) => {
            let mut levels = object_levels(owner, schema)?;
            levels.push(level("COLUMN", column));
            levels
        }
        Securable::Index(owner, index) => {
            let mut levels = object_levels(owner, schema)?;
            levels.push(level("INDEX", index));
            levels
        }
        Securable::Parameter(..) => return None,
    })
}

fn object_levels(full: &str, schema: &Schema) -> Option<Vec<(&'static str, String)>> {
    let own = own_name(full);
    let outer = ("SCHEMA", schema_of(full));
    let modules = [
        ("VIEW", &schema.views),
        ("PROCEDURE", &schema.procedures),
        ("FUNCTION", &schema.functions),
    ];
    let is_module = |modules: &[Module]| modules.iter().any(|module| module.name == full);
    let kind = if schema.tables.iter().any(|table| table.name == full) {
        Some("TABLE")
    } else if schema
        .sequences
        .iter()
        .any(|sequence| sequence.name == full)
    {
        Some("SEQUENCE")
    } else if schema.synonyms.iter().any(|synonym| synonym.name == full) {
        Some("SYNONYM")
    } else {
        let found = modules.into_iter().find(|(_, modules)| is_module(modules));
        found.map(|(kind, _)| kind)
    };
    if let Some(kind) = kind {
        return Some(vec![outer, (kind, own)]);
    }
    // A trigger or a constraint stands below its table.
    let trigger = schema.triggers.iter().find(|trigger| {
        trigger.name == own && !trigger.table.is_empty() && schema_of(&trigger.table) == outer.1
    });
    if let Some(trigger) = trigger {
        return Some(vec![
            outer,
            ("TABLE", own_name(&trigger.table)),
            ("TRIGGER", own),
        ]);
    }
    let has_constraint = |table: &&Table| {
        let keys = table.primary_key.iter().filter_map(|key| key.name.as_ref());
        let unique = table
            .unique
            .iter()
            .filter_map(|unique| unique.name.as_ref());
        let foreign = table
            .foreign_keys
            .iter()
            .filter_map(|key| key.name.as_ref());
        let checks = table.checks.iter().filter_map(|check| check.name.as_ref());
        schema_of(&table.name) == outer.1
            && keys
                .chain(unique)
                .chain(foreign)
                .chain(checks)
                .any(|name| *name == own)
    };
    let table = schema.tables.iter().find(has_constraint)?;
    Some(vec![
        outer,
        ("TABLE", own_name(&table.name)),
        ("CONSTRAINT", own),
    ])
}

/// How the levels are handed to a procedure; those that are not there are left out, or NULL.
fn arguments(levels: &[(&'static str, String)], all: bool) -> String {
    let mut text = String::new();
    for (kind, name) in levels {
        text += &format!(", {}, {}", literal(kind), literal(name));
    }
    if all {
        text += &", NULL, NULL".repeat(3 - levels.len().min(3));
    }
    text
}

/// Writes a note, or rewrites it.
pub(super) fn write_note(script: &mut Script, note: &ExtendedProperty, schema: &Schema) {
    let Some(levels) = levels(&note.on, schema) else {
        script.explain(format!(
            "The note {} of {} has to be written by hand.",
            note.name,
            note.on.words()
        ));
        return;
    };
    let name = literal(&note.name);
    let value = literal(&note.value);
    let levels_given = arguments(&levels, false);
    script.run(format!(
        "IF EXISTS (SELECT 1 FROM sys.fn_listextendedproperty({name}{}))\n    \
         EXEC sp_updateextendedproperty {name}, {value}{levels_given};\nELSE\n    \
         EXEC sp_addextendedproperty {name}, {value}{levels_given};",
        arguments(&levels, true)
    ));
}

/// Takes a note off an object that stays.
pub(super) fn drop_note(script: &mut Script, note: &ExtendedProperty, schema: &Schema) {
    let Some(levels) = levels(&note.on, schema) else {
        return;
    };
    let name = literal(&note.name);
    script.run(format!(
        "IF EXISTS (SELECT 1 FROM sys.fn_listextendedproperty({name}{}))\n    EXEC sp_dropextendedproperty {name}{};",
        arguments(&levels, true),
        arguments(&levels, false)
    ));
}
