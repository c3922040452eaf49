//! Views, procedures, functions and triggers: made by their own texts.

use super::catalog;
use super::constraint::Constraint;
use super::name::{bracket, object_id, own_name, quoted, schema_of};
use crate::schema::lexer::{Token, code};
use crate::schema::model::{Module, ModuleSettings, ObjectKind, Trigger};
use crate::schema::synchronise::order::{Member, by_mentions};
use crate::schema::synchronise::text::Script;
use crate::schema::synchronise::things::Thing;

/// The word for a module in DROP.
fn word(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::View => "VIEW",
        ObjectKind::Procedure => "PROCEDURE",
        ObjectKind::Function => "FUNCTION",
        _ => "TRIGGER",
    }
}

/// Drops modules, those first that mention others.
pub(super) fn drop_all(script: &mut Script, modules: &[(ObjectKind, &Module)]) {
    for (kind, module) in in_order(modules).into_iter().rev() {
        script.run(format!(
            "DROP {} IF EXISTS {};",
            word(kind),
            quoted(&module.name)
        ));
    }
}

/// Makes or alters modules, those last that mention others.
pub(super) fn make_all(script: &mut Script, modules: &[(ObjectKind, &Module)]) {
    for (kind, module) in in_order(modules) {
        let what = format!("{} {}", kind.as_str(), module.name);
        make(script, &what, &module.name, &module.text, &module.settings);
        for index in &module.indexes {
            let index = Constraint::of(Thing::Index(&module.name, index));
            match index.map(Constraint::make) {
                Some(Ok(batch)) => script.run(batch),
                Some(Err(why)) => script.explain(why),
                None => {}
            }
        }
    }
}

fn in_order<'a>(modules: &[(ObjectKind, &'a Module)]) -> Vec<(ObjectKind, &'a Module)> {
    let (order, _) = mentions(modules);
    order.into_iter().map(|place| modules[place]).collect()
}

/// The places of modules in an order in which each comes behind those that it mentions, and of those where there is none.
fn mentions(modules: &[(ObjectKind, &Module)]) -> (Vec<usize>, Vec<usize>) {
    let names: Vec<String> = modules
        .iter()
        .map(|(_, module)| own_name(&module.name))
        .collect();
    let members: Vec<Member<'_>> = modules
        .iter()
        .zip(&names)
        .map(|((_, module), name)| Member {
            name,
            text: &module.text,
        })
        .collect();
    by_mentions(&members)
}

/// Says which modules mention each other in a circle, where no order is right.
pub(super) fn note_circles(script: &mut Script, modules: &[(ObjectKind, &Module)]) {
    let (_, circles) = mentions(modules);
    if let Some(one) = circles.first() {
        script.note(format!(
            "{} and others mention each other. Should the server refuse one because the other is missing, change the order.",
            modules[*one].1.name
        ));
    }
}

/// Whether CREATE OR ALTER refuses to turn the one into the other.
pub(super) fn is_other_sort(kind: ObjectKind, old: &Module, new: &Module) -> bool {
    kind == ObjectKind::Function && returns(&old.text) != returns(&new.text)
}

/// What a function returns: a value, a query, or a table that it fills.
fn returns(text: &str) -> Option<&'static str> {
    let tokens = code(text);
    let at = tokens.iter().position(|token| token.is_word("RETURNS"))?;
    let next = tokens.get(at + 1)?;
    Some(if next.is_word("TABLE") {
        "query"
    } else if next.text.starts_with('@') {
        "table"
    } else {
        "value"
    })
}

/// Makes or alters what a text makes. In a batch of its own, as the server demands; under the settings it was made with.
fn make(script: &mut Script, what: &str, name: &str, text: &str, settings: &ModuleSettings) {
    if text.trim().is_empty() {
        script.explain(format!(
            "The text of {what} cannot be read (it is encrypted, or no T-SQL); bring it by hand."
        ));
        return;
    }
    let Some(declaration) = Declaration::of(text) else {
        script.explain(format!(
            "The text of {what} does not begin as dbvc expects; bring it by hand."
        ));
        return;
    };
    let batches = with_settings(settings, vec![declaration.create_or_alter(text)]);
    if !declaration.name.eq_ignore_ascii_case(&own_name(name)) {
        script.hold(
            format!(
                "the text of {what} makes {}: it was renamed, and its text was not. Correct the name in the text, and decide what \
                 becomes of the old one.",
                declaration.name
            ),
            batches,
        );
    } else if declaration.has_schema || schema_of(name) == "dbo" {
        script.run_all(batches);
    } else {
        script.run_knowing(
            format!(
                "The text of {what} does not say its schema, so that it lands in the default schema of whoever runs it."
            ),
            batches,
        );
    }
}

/// Switches off what was off when the module was made, and on again after it.
fn with_settings(settings: &ModuleSettings, mut batches: Vec<String>) -> Vec<String> {
    for (off, name) in [
        (settings.ansi_nulls_off, "ANSI_NULLS"),
        (settings.quoted_identifier_off, "QUOTED_IDENTIFIER"),
    ] {
        if off {
            batches.insert(0, format!("SET {name} OFF;"));
            batches.push(format!("SET {name} ON;"));
        }
    }
    batches
}

/// How the text of a module begins: `CREATE PROCEDURE dbo.name`.
struct Declaration {
    /// The bytes of CREATE or ALTER, with OR ALTER.
    verb: std::ops::Range<usize>,
    name: String,
    has_schema: bool,
}

impl Declaration {
    fn of(text: &str) -> Option<Self> {
        let tokens = code(text);
        let mut rest = tokens.as_slice();
        let first = take(&mut rest, |token| {
            token.is_word("CREATE") || token.is_word("ALTER")
        })?;
        let mut end = first.end();
        if rest.first().is_some_and(|token| token.is_word("OR")) {
            end = rest.get(1)?.end();
            rest = &rest[2..];
        }
        const KINDS: [&str; 5] = ["VIEW", "PROC", "PROCEDURE", "FUNCTION", "TRIGGER"];
        take(&mut rest, |token| {
            KINDS.iter().any(|kind| token.is_word(kind))
        })?;
        let mut parts = vec![rest.first()?.name()];
        rest = &rest[1..];
        while rest.first().is_some_and(|token| token.is_symbol('.')) {
            parts.push(rest.get(1)?.name());
            rest = &rest[2..];
        }
        Some(Self {
            verb: first.start..end,
            has_schema: parts.len() > 1,
            name: parts.pop()?,
        })
    }

    /// The text with CREATE OR ALTER for its verb: right whether the module is there or not, and what is granted on it stays.
    fn create_or_alter(&self, text: &str) -> String {
        let (before, after) = (&text[..self.verb.start], &text[self.verb.end..]);
        let whole = format!("{before}CREATE OR ALTER{after}");
        let is_go = |line: &str| line.trim().eq_ignore_ascii_case("GO");
        if whole.lines().any(is_go) {
            // The text has a line that would end its batch.
            return format!("EXEC (N'{}');", whole.replace('\'', "''"));
        }
        whole.trim_end().to_owned()
    }
}

fn take<'a>(rest: &mut &[Token<'a>], wanted: impl Fn(&Token<'a>) -> bool) -> Option<Token<'a>> {
    let (first, behind) = rest.split_first()?;
    if !wanted(first) {
        return None;
    }
    *rest = behind;
    Some(*first)
}

/// Drops a trigger of this table, or of the database.
pub(super) fn drop_trigger(script: &mut Script, trigger: &Trigger) {
    let there = catalog::trigger(&trigger.table, &trigger.name).exists();
    let drop = if trigger.table.is_empty() {
        format!("DROP TRIGGER {} ON DATABASE;", bracket(&trigger.name))
    } else {
        format!("DROP TRIGGER {};", trigger_name(trigger))
    };
    script.run(format!("IF {there}\n    {drop}"));
}

/// A trigger has the schema of its table.
fn trigger_name(trigger: &Trigger) -> String {
    if trigger.table.is_empty() {
        return bracket(&trigger.name);
    }
    format!(
        "{}.{}",
        bracket(&schema_of(&trigger.table)),
        bracket(&trigger.name)
    )
}

/// Makes or alters a trigger, and switches it on or off where that is not as it was.
pub(super) fn make_trigger(script: &mut Script, old: Option<&Trigger>, trigger: &Trigger) {
    let same_text =
        old.is_some_and(|old| old.text == trigger.text && old.settings == trigger.settings);
    if !same_text {
        let full = if trigger.table.is_empty() {
            format!("dbo.{}", bracket(&trigger.name))
        } else {
            let name = bracket(&trigger.name);
            format!("{}.{name}", bracket(&schema_of(&trigger.table)))
        };
        let what = format!("trigger {}", trigger.name);
        make(script, &what, &full, &trigger.text, &trigger.settings);
    }
    if old.is_some_and(|old| old.disabled) == trigger.disabled {
        return;
    }
    let verb = if trigger.disabled {
        "DISABLE"
    } else {
        "ENABLE"
    };
    let on = if trigger.table.is_empty() {
        "DATABASE".to_owned()
    } else {
        quoted(&trigger.table)
    };
    script.run(format!("{verb} TRIGGER {} ON {on};", trigger_name(trigger)));
}

/// Whether a module holds fast to the tables that it mentions.
pub(super) fn is_schema_bound(module: &Module) -> bool {
    code(&module.text)
        .iter()
        .any(|token| token.is_word("SCHEMABINDING"))
}

/// Drops a function whose successor CREATE OR ALTER cannot make of it; as long as it is still the old one.
pub(super) fn drop_other_sort(script: &mut Script, old: &Module) {
    let types = match returns(&old.text) {
        Some("query") => "'IF'",
        Some("table") => "'TF'",
        _ => "'FN'",
    };
    script.run_knowing(
        format!("Function {} becomes one of another sort, so it goes first, and what is granted on it goes with it.", old.name),
        vec![format!(
            "IF EXISTS (SELECT 1 FROM sys.objects k WHERE k.object_id = {} AND k.type = {types})\n    DROP FUNCTION {};",
            object_id(&old.name),
            quoted(&old.name)
        )],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        Declaration::of(text).unwrap().create_or_alter(text)
    }

    #[test]
    fn only_the_verb_of_a_text_changes() {
        for (text, expected) in [
            (
                "CREATE VIEW v AS SELECT 1",
                "CREATE OR ALTER VIEW v AS SELECT 1",
            ),
            (
                "-- CREATE\r\ncreate  proc dbo.p AS\n  SELECT 'CREATE'",
                "-- CREATE\r\nCREATE OR ALTER  proc dbo.p AS\n  SELECT 'CREATE'",
            ),
            (
                "CREATE   OR /* x */ ALTER FUNCTION f() RETURNS INT AS BEGIN RETURN 1 END",
                "CREATE OR ALTER FUNCTION f() RETURNS INT AS BEGIN RETURN 1 END",
            ),
            (
                "ALTER TRIGGER t ON dbo.x AFTER INSERT AS RETURN",
                "CREATE OR ALTER TRIGGER t ON dbo.x AFTER INSERT AS RETURN",
            ),
        ] {
            assert_eq!(rewritten(text), expected);
        }
    }

    #[test]
    fn a_text_that_would_end_its_batch_is_put_into_a_string() {
        let text = "CREATE PROC p AS\n/*\nGO\n*/\nSELECT 'a'";
        assert_eq!(
            rewritten(text),
            "EXEC (N'CREATE OR ALTER PROC p AS\n/*\nGO\n*/\nSELECT ''a''');"
        );
    }

    #[test]
    fn the_name_in_a_text_is_found_with_and_without_its_schema() {
        let of = |text| {
            let found = Declaration::of(text).unwrap();
            (found.name, found.has_schema)
        };
        assert_eq!(
            of("CREATE VIEW [a b] AS SELECT 1"),
            ("a b".to_owned(), false)
        );
        assert_eq!(
            of("CREATE VIEW sales . \"v\" AS SELECT 1"),
            ("v".to_owned(), true)
        );
        assert!(Declaration::of("SELECT 1").is_none());
        assert!(Declaration::of("CREATE OR").is_none());
    }

    #[test]
    fn the_three_sorts_of_function_are_told_apart() {
        assert_eq!(returns("CREATE FUNCTION f() RETURNS INT AS"), Some("value"));
        assert_eq!(
            returns("CREATE FUNCTION f() RETURNS TABLE AS"),
            Some("query")
        );
        assert_eq!(
            returns("CREATE FUNCTION f() RETURNS @t TABLE (a INT) AS"),
            Some("table")
        );
    }
}
