//! The facts of what has a text: views, procedures, functions, triggers.

use super::tables::add_index;
use super::{Facts, Object, Value};
use crate::schema::model::{Module, ObjectKind, Part as Known, Trigger};
use crate::schema::normalise;

pub(in crate::schema) fn add_module(facts: &mut Facts<'_>, kind: ObjectKind, module: &Module) {
    Object::standing_alone(kind, &module.name)
        .with(
            "definition",
            Value::by(normalise::module_text, &module.text),
        )
        .with_settings(&module.settings)
        .add_to(facts);
    for index in &module.indexes {
        add_index(facts, &module.name, index);
    }
}

pub(in crate::schema) fn add_trigger(facts: &mut Facts<'_>, trigger: &Trigger) {
    let object = if !trigger.table.is_empty() {
        Object::named(ObjectKind::Trigger, &trigger.table, &trigger.name)
    } else if facts.knows(Known::DatabaseTriggers) {
        Object::standing_alone(ObjectKind::Trigger, &trigger.name)
    } else {
        return;
    };
    object
        .with(
            "definition",
            Value::by(normalise::module_text, &trigger.text),
        )
        .with_settings(&trigger.settings)
        .with_flag("disabled", trigger.disabled)
        .add_to(facts);
}
