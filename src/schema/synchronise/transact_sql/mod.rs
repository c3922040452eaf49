//! The script in T-SQL, in the order in which its objects stand on each other.
//!
//! Everything that holds on to something else goes first, then tables change, then what holds on to them is made. What is
//! dropped for good, and what others may hold on to, goes last.

use std::collections::BTreeSet;

use super::order::names_in;
use super::text::Script;
use super::things::{Differences, Thing};
use crate::schema::model::{Module, ObjectKind, Schema, Securable, Table};
use constraint::Constraint;
use table::{Alteration, MadeAgain};

mod access;
mod catalog;
mod column;
mod constraint;
mod module;
mod name;
mod standing;
mod table;

/// Writes the steps from one schema to the other.
pub(super) fn write(
    script: &mut Script,
    before: &Schema,
    after: &Schema,
    differences: &Differences<'_>,
) {
    let writer = Writer {
        before,
        after,
        differences,
        gone: differences
            .went
            .iter()
            .filter_map(|thing| object_name(*thing))
            .collect(),
        unwritten: differences
            .came
            .iter()
            .filter_map(|thing| match thing {
                Thing::Table(table) if !table::is_written(table) => Some(table.name.as_str()),
                _ => None,
            })
            .collect(),
    };
    writer.write(script);
}

/// The tables, views and other objects that others can be part of.
fn object_name(thing: Thing<'_>) -> Option<&str> {
    match thing {
        Thing::Table(table) => Some(&table.name),
        Thing::Module(_, module) => Some(&module.name),
        Thing::Sequence(sequence) => Some(&sequence.name),
        Thing::Synonym(synonym) => Some(&synonym.name),
        _ => None,
    }
}

struct Writer<'a> {
    before: &'a Schema,
    after: &'a Schema,
    differences: &'a Differences<'a>,
    /// What goes, and takes with it what is part of it.
    gone: BTreeSet<&'a str>,
    /// Tables that are not written, nor what is part of them.
    unwritten: BTreeSet<&'a str>,
}

impl<'a> Writer<'a> {
    fn write(&self, script: &mut Script) {
        self.note_schema_bound(script);
        self.drop_triggers(script);
        self.drop_modules(script);
        self.drop_constraints(script);
        self.drop_synonyms(script);
        self.revoke(script);
        self.make_foundations(script);
        let early = self.make_early_functions(script);
        let mut made_again = MadeAgain::default();
        self.tables(script, &mut made_again);
        self.make_constraints(script);
        self.make_modules(script, &early);
        self.access(script, &made_again);
        self.drop_what_others_stood_on(script);
        self.explain_others(script);
    }

    fn changed_modules(&self) -> impl Iterator<Item = (ObjectKind, &'a Module, &'a Module)> {
        self.differences
            .changed
            .iter()
            .filter_map(|pair| match *pair {
                (Thing::Module(kind, old), Thing::Module(_, new)) => Some((kind, old, new)),
                _ => None,
            })
    }

    /// Views and functions that keep the server from altering a table: that is for people to see.
    fn note_schema_bound(&self, script: &mut Script) {
        let altered = self
            .differences
            .changed
            .iter()
            .filter_map(|pair| match pair {
                (Thing::Table(_), Thing::Table(table)) => {
                    Some(name::own_name(&table.name).to_lowercase())
                }
                _ => None,
            });
        let altered: BTreeSet<String> = altered.collect();
        for module in self.before.views.iter().chain(&self.before.functions) {
            if module::is_schema_bound(module) && !names_in(&module.text).is_disjoint(&altered) {
                script.note(format!(
                    "{} is bound to a table that changes (SCHEMABINDING). Should the server refuse the change, drop it before and \
                     make it again after.",
                    module.name
                ));
            }
        }
    }

    fn drop_triggers(&self, script: &mut Script) {
        for thing in &self.differences.went {
            if let Thing::Trigger(trigger) = thing
                && !self.gone.contains(trigger.table.as_str())
            {
                module::drop_trigger(script, trigger);
            }
        }
    }

    fn drop_modules(&self, script: &mut Script) {
        let went = self
            .differences
            .went
            .iter()
            .filter_map(|thing| match thing {
                Thing::Module(kind, module) => Some((*kind, *module)),
                _ => None,
            });
        module::drop_all(script, &went.collect::<Vec<_>>());
        for (kind, old, new) in self.changed_modules() {
            if module::is_other_sort(kind, old, new) {
                module::drop_other_sort(script, old);
            }
        }
    }

    /// Foreign keys first, since they stand on other keys.
    fn drop_constraints(&self, script: &mut Script) {
        let rank = |constraint: &Thing<'_>| match constraint {
            Thing::ForeignKey(..) => 0,
            Thing::Check(..) => 1,
            Thing::Index(..) => 2,
            Thing::Unique(..) => 3,
            _ => 4,
        };
        let went = self.differences.went.iter().map(|thing| (*thing, None));
        let changed = self
            .differences
            .changed
            .iter()
            .map(|(old, new)| (*old, Some(*new)));
        let mut all: Vec<_> = went
            .chain(changed)
            .filter(|(thing, _)| {
                thing
                    .owner()
                    .is_some_and(|owner| !self.gone.contains(owner))
            })
            .collect();
        all.sort_by_key(|(thing, _)| rank(thing));
        for (old, new) in all {
            if let Some(constraint) = Constraint::of(old) {
                script.run(constraint.drop(new.and_then(Constraint::of)));
            }
        }
    }

    fn drop_synonyms(&self, script: &mut Script) {
        for thing in &self.differences.went {
            if let Thing::Synonym(synonym) = thing {
                standing::drop_synonym(script, synonym, None);
            }
        }
        for pair in &self.differences.changed {
            if let (Thing::Synonym(old), Thing::Synonym(new)) = pair {
                standing::drop_synonym(script, old, Some(new));
            }
        }
    }

    fn is_of_gone(&self, securable: &Securable) -> bool {
        securable
            .object()
            .is_some_and(|object| self.gone.contains(object))
    }

    fn revoke(&self, script: &mut Script) {
        for thing in &self.differences.went {
            match thing {
                Thing::Permission(granted)
                    if !self.is_of_gone(&granted.on) && self.is_there(&granted.on) =>
                {
                    access::revoke(script, granted);
                }
                Thing::Note(note) if !self.is_of_gone(&note.on) && self.is_there(&note.on) => {
                    access::drop_note(script, note, self.after);
                }
                _ => {}
            }
        }
        for pair in &self.differences.changed {
            if let (Thing::Permission(old), Thing::Permission(_)) = pair {
                access::revoke(script, old);
            }
        }
        for thing in &self.differences.went {
            if let Thing::Member(role, member) = thing {
                access::drop_member(script, role, member);
            }
        }
    }

    /// Whether what is granted or noted on is still there after the script.
    fn is_there(&self, securable: &Securable) -> bool {
        match securable {
            Securable::Schema(name) => self
                .after
                .schemas
                .iter()
                .any(|namespace| namespace.name == *name),
            Securable::Type(name) => self
                .after
                .types
                .iter()
                .any(|user_type| user_type.name == *name),
            Securable::Column(owner, column) => self.after.tables.iter().all(|table| {
                table.name != *owner || table.columns.iter().any(|other| other.name == *column)
            }),
            _ => true,
        }
    }

    fn make_foundations(&self, script: &mut Script) {
        for thing in &self.differences.came {
            if let Thing::Role(role) = thing {
                access::create_role(script, role);
            }
        }
        for thing in &self.differences.came {
            match thing {
                Thing::Namespace(namespace) => standing::create_namespace(script, namespace),
                Thing::Type(user_type) => {
                    standing::create_type(script, user_type, self.differences)
                }
                Thing::Sequence(sequence) => standing::create_sequence(script, sequence),
                _ => {}
            }
        }
        for pair in &self.differences.changed {
            match pair {
                (Thing::Role(_), Thing::Role(role)) => access::change_role(script, role),
                (Thing::Namespace(_), Thing::Namespace(namespace)) => {
                    standing::change_namespace(script, namespace);
                }
                (Thing::Type(_), Thing::Type(user_type)) => {
                    standing::change_type(script, user_type, self.before, self.differences);
                }
                (Thing::Sequence(old), Thing::Sequence(new)) => {
                    standing::change_sequence(script, old, new)
                }
                _ => {}
            }
        }
    }

    /// The modules that come or change.
    fn new_modules(&self) -> Vec<(ObjectKind, &'a Module)> {
        let came = self
            .differences
            .came
            .iter()
            .filter_map(|thing| match thing {
                Thing::Module(kind, module) => Some((*kind, *module)),
                _ => None,
            });
        came.chain(self.changed_modules().map(|(kind, _, new)| (kind, new)))
            .collect()
    }

    /// Functions that defaults, checks and computed columns call; and the functions that those call.
    fn make_early_functions(&self, script: &mut Script) -> BTreeSet<&'a str> {
        let functions: Vec<(ObjectKind, &Module)> = self
            .new_modules()
            .into_iter()
            .filter(|(kind, _)| *kind == ObjectKind::Function)
            .collect();
        let mut names = BTreeSet::new();
        for table in &self.after.tables {
            let columns = table.columns.iter().flat_map(|column| {
                let generated = column
                    .generated
                    .as_ref()
                    .map(|generated| &generated.expression);
                column.default.iter().chain(generated)
            });
            let checks = table.checks.iter().map(|check| &check.expression);
            for expression in columns.chain(checks) {
                names.extend(names_in(expression));
            }
        }
        let mut early: BTreeSet<&str> = BTreeSet::new();
        loop {
            let called = functions.iter().find(|(_, function)| {
                !early.contains(function.name.as_str())
                    && names.contains(&name::own_name(&function.name).to_lowercase())
            });
            let Some((_, function)) = called else {
                break;
            };
            early.insert(&function.name);
            names.extend(names_in(&function.text));
        }
        let called: Vec<(ObjectKind, &Module)> = functions
            .into_iter()
            .filter(|(_, function)| early.contains(function.name.as_str()))
            .collect();
        module::make_all(script, &called);
        early
    }

    fn tables(&self, script: &mut Script, made_again: &mut MadeAgain) {
        for thing in &self.differences.came {
            if let Thing::Table(table) = thing {
                table::create(script, table, self.differences);
            }
        }
        for pair in &self.differences.changed {
            if let (Thing::Table(before), Thing::Table(after)) = pair {
                let alteration = Alteration {
                    before,
                    after,
                    differences: self.differences,
                };
                alteration.write(script, made_again);
            }
        }
    }

    /// Keys first, since foreign keys stand on them. Indexes of views follow when the views are there.
    fn make_constraints(&self, script: &mut Script) {
        let rank = |constraint: &Thing<'_>| match constraint {
            Thing::PrimaryKey(..) => 0,
            Thing::Unique(..) => 1,
            Thing::Index(..) => 2,
            Thing::Check(..) => 3,
            _ => 4,
        };
        let is_view = |owner: &str| self.after.views.iter().any(|view| view.name == owner);
        let came = self.differences.came.iter().copied();
        let changed = self.differences.changed.iter().map(|(_, new)| *new);
        let mut all: Vec<Thing<'_>> = came
            .chain(changed)
            .filter(|thing| {
                let owner = thing.owner();
                owner.is_some_and(|owner| !self.unwritten.contains(owner) && !is_view(owner))
            })
            .collect();
        all.sort_by_key(rank);
        for thing in all {
            make(script, thing);
        }
    }

    fn make_modules(&self, script: &mut Script, early: &BTreeSet<&str>) {
        for thing in &self.differences.came {
            if let Thing::Synonym(synonym) = thing {
                standing::create_synonym(script, synonym);
            }
        }
        for pair in &self.differences.changed {
            if let (Thing::Synonym(_), Thing::Synonym(synonym)) = pair {
                standing::create_synonym(script, synonym);
            }
        }
        let mut modules = self.new_modules();
        modules.retain(|(_, module)| !early.contains(module.name.as_str()));
        module::note_circles(script, &modules);
        module::make_all(script, &modules);
        // Of a view that comes or changes they are made with it.
        let is_made: BTreeSet<&str> = modules
            .iter()
            .map(|(_, module)| module.name.as_str())
            .collect();
        let came = self.differences.came.iter().copied();
        let changed = self.differences.changed.iter().map(|(_, new)| *new);
        for thing in came.chain(changed) {
            if let Thing::Index(owner, _) = thing
                && self.after.views.iter().any(|view| view.name == owner)
                && !is_made.contains(owner)
            {
                make(script, thing);
            }
        }
        for thing in &self.differences.came {
            if let Thing::Trigger(trigger) = thing
                && !self.unwritten.contains(trigger.table.as_str())
            {
                module::make_trigger(script, None, trigger);
            }
        }
        for pair in &self.differences.changed {
            if let (Thing::Trigger(old), Thing::Trigger(new)) = pair {
                module::make_trigger(script, Some(old), new);
            }
        }
    }

    /// Members, permissions and notes: those that come, and those of objects that were made again.
    fn access(&self, script: &mut Script, made_again: &MadeAgain) {
        let mut again = made_again.0.clone();
        for (old, new) in &self.differences.changed {
            match (old, new) {
                (Thing::Module(kind, old), Thing::Module(_, new))
                    if module::is_other_sort(*kind, old, new) =>
                {
                    again.insert(new.name.clone());
                }
                (Thing::Type(_), Thing::Type(user_type)) => {
                    again.insert(format!("type {}", user_type.name));
                }
                (Thing::Synonym(_), Thing::Synonym(synonym)) => {
                    again.insert(synonym.name.clone());
                }
                _ => again.extend(Constraint::of(*new).and_then(Constraint::securable)),
            }
        }
        for thing in &self.differences.came {
            if let Thing::Member(role, member) = thing {
                access::add_member(script, role, member);
            }
        }
        let came = self.differences.came.iter().copied();
        let changed = self.differences.changed.iter().map(|(_, new)| *new);
        let kept = self
            .differences
            .kept
            .iter()
            .copied()
            .filter(|thing| match thing {
                Thing::Permission(granted) => again.contains(&granted.on.words()),
                Thing::Note(note) => again.contains(&note.on.words()),
                _ => false,
            });
        for thing in came.chain(changed).chain(kept) {
            let on = match thing {
                Thing::Permission(granted) => &granted.on,
                Thing::Note(note) => &note.on,
                _ => continue,
            };
            if on
                .object()
                .is_some_and(|object| self.unwritten.contains(object))
            {
                continue;
            }
            match thing {
                Thing::Permission(granted) => access::grant(script, granted),
                Thing::Note(note) => access::write_note(script, note, self.after),
                _ => {}
            }
        }
    }

    fn drop_what_others_stood_on(&self, script: &mut Script) {
        for (table, holders) in self.tables_in_dropping_order() {
            table::drop(script, table, &holders);
        }
        for thing in &self.differences.went {
            if let Thing::Sequence(sequence) = thing {
                standing::drop_sequence(script, sequence);
            }
        }
        for thing in &self.differences.went {
            if let Thing::Type(user_type) = thing {
                standing::drop_type(script, user_type, self.before);
            }
        }
        for thing in &self.differences.went {
            if let Thing::Namespace(namespace) = thing {
                standing::drop_namespace(script, namespace, self.before);
            }
        }
        for thing in &self.differences.went {
            if let Thing::Role(role) = thing {
                access::drop_role(script, role);
            }
        }
    }

    /// Tables that go, those first that refer to others; where that is a circle, with the keys that hold a table.
    fn tables_in_dropping_order(&self) -> Vec<(&'a Table, Vec<Constraint<'a>>)> {
        let mut rest: Vec<&Table> = self
            .differences
            .went
            .iter()
            .filter_map(|thing| match thing {
                Thing::Table(table) => Some(*table),
                _ => None,
            })
            .collect();
        let mut order = Vec::new();
        while !rest.is_empty() {
            let refers = |table: &Table, to: &Table| {
                table.name != to.name
                    && table
                        .foreign_keys
                        .iter()
                        .any(|key| key.referenced_table == to.name)
            };
            let free = rest
                .iter()
                .position(|table| !rest.iter().any(|other| refers(other, table)));
            let table = rest.remove(free.unwrap_or(0));
            let keys = rest.iter().flat_map(|other| {
                let keys = other.foreign_keys.iter().map(|key| (*other, key));
                keys.filter(|(_, key)| key.referenced_table == table.name)
            });
            let holders =
                keys.filter_map(|(other, key)| Constraint::of(Thing::ForeignKey(other, key)));
            order.push((table, holders.collect()));
        }
        order
    }

    fn explain_others(&self, script: &mut Script) {
        let all = self.differences.came.iter().map(|thing| (thing, "is new"));
        let all = all.chain(
            self.differences
                .went
                .iter()
                .map(|thing| (thing, "is to go")),
        );
        let changed = self
            .differences
            .changed
            .iter()
            .map(|(_, new)| (new, "has changed"));
        for (thing, what) in all.chain(changed) {
            if let Thing::Other(other) = thing {
                script.explain(format!(
                    "{} ({}) {what}; dbvc knows such objects by name only. Bring it about by hand.",
                    other.name, other.type_description
                ));
            }
        }
    }
}

fn make(script: &mut Script, thing: Thing<'_>) {
    match Constraint::of(thing).map(Constraint::make) {
        Some(Ok(batch)) => script.run(batch),
        Some(Err(why)) => script.explain(why),
        None => {}
    }
}
