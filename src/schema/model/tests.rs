//! What a schema counts, leaves out and keeps on its way through JSON.

use super::*;

fn orders() -> Schema {
    Schema {
        tables: vec![
            Table {
                name: "orders".into(),
                columns: vec![Column {
                    name: "id".into(),
                    data_type: "INTEGER".into(),
                    ..Column::default()
                }],
                primary_key: Some(PrimaryKey {
                    columns: vec![KeyColumn::ascending("id")],
                    ..PrimaryKey::default()
                }),
                unique: vec![Unique {
                    columns: vec![KeyColumn::ascending("number")],
                    ..Unique::default()
                }],
                foreign_keys: vec![ForeignKey {
                    columns: vec!["customer".into()],
                    ..ForeignKey::default()
                }],
                checks: vec![Check {
                    expression: "id > 0".into(),
                    ..Check::default()
                }],
                indexes: vec![Index {
                    name: "orders_by_day".into(),
                    ..Index::default()
                }],
                ..Table::default()
            },
            Table {
                name: "customers".into(),
                ..Table::default()
            },
        ],
        triggers: vec![
            Trigger {
                name: "stamp".into(),
                table: "orders".into(),
                text: String::new(),
                ..Trigger::default()
            },
            Trigger {
                name: "greet".into(),
                table: "customers".into(),
                text: String::new(),
                ..Trigger::default()
            },
        ],
        views: vec![Module {
            name: "open_orders".into(),
            text: String::new(),
            ..Module::default()
        }],
        ..Schema::default()
    }
}

#[test]
fn counts_every_kind_of_constraint_and_no_column() {
    assert_eq!(
        orders().object_counts(),
        ObjectCounts {
            tables: 2,
            views: 1,
            indexes: 1,
            triggers: 2,
            constraints: 4,
            ..ObjectCounts::default()
        }
    );
}

#[test]
fn leaves_out_own_tables_with_their_triggers_and_nothing_else() {
    let rest = orders().without(&["orders", "no_such_table"], None);
    assert_eq!(
        rest.tables,
        vec![Table {
            name: "customers".into(),
            ..Table::default()
        }]
    );
    assert_eq!(rest.triggers.len(), 1);
    assert_eq!(rest.triggers[0].name, "greet");
    assert_eq!(rest.views, orders().views);
}

#[test]
fn on_sql_server_own_tables_stand_in_dbo() {
    let mut schema = Schema::default();
    for name in ["dbo.orders", "sales.orders", "dbo.orders_archive"] {
        schema.tables.push(Table {
            name: name.into(),
            ..Table::default()
        });
        schema.triggers.push(Trigger {
            name: format!("{name}_stamp"),
            table: name.into(),
            text: String::new(),
            ..Trigger::default()
        });
    }
    let rest = schema.without(&["orders"], Some("dbo"));
    let tables: Vec<&str> = rest
        .tables
        .iter()
        .map(|table| table.name.as_str())
        .collect();
    let triggers: Vec<&str> = rest
        .triggers
        .iter()
        .map(|trigger| trigger.table.as_str())
        .collect();
    assert_eq!(tables, ["sales.orders", "dbo.orders_archive"]);
    assert_eq!(triggers, tables);
}

#[test]
fn a_schema_of_its_own_is_left_out_with_own_tables_unless_something_else_is_in_it() {
    let mut schema = Schema::default();
    for name in ["DBVC", "sales"] {
        schema.schemas.push(Namespace {
            name: name.into(),
            ..Namespace::default()
        });
    }
    for name in ["DBVC.orders", "dbo.orders", "sales.orders"] {
        schema.tables.push(Table {
            name: name.into(),
            ..Table::default()
        });
    }
    let names = |schema: &Schema| -> Vec<String> {
        let tables = schema.tables.iter().map(|table| table.name.clone());
        let schemas = schema.schemas.iter().map(|found| found.name.clone());
        tables.chain(schemas).collect()
    };
    let rest = schema.without(&["orders"], Some("dbvc"));
    assert_eq!(names(&rest), ["dbo.orders", "sales.orders", "sales"]);

    schema.views.push(Module {
        name: "DBVC.report".into(),
        ..Module::default()
    });
    let rest = schema.without(&["orders"], Some("dbvc"));
    assert_eq!(
        names(&rest),
        ["dbo.orders", "sales.orders", "DBVC", "sales"]
    );
}

#[test]
fn survives_a_trip_through_json() {
    let text = serde_json::to_string(&orders()).unwrap();
    assert!(
        text.starts_with(r#"{"formatVersion":2,"tables":[{"name":"orders""#),
        "{text}"
    );
    assert!(
        text.contains(r#""primaryKey":{"columns":[{"column":"id"}]}"#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), orders());
}

#[test]
fn what_is_as_usual_is_left_out_of_the_json() {
    let module = Module {
        name: "v".into(),
        text: "…".into(),
        ..Module::default()
    };
    assert_eq!(
        serde_json::to_value(&module).unwrap(),
        serde_json::json!({"name": "v", "text": "…"})
    );
    let index = Index {
        name: "i".into(),
        ..Index::default()
    };
    assert_eq!(
        serde_json::to_value(&index).unwrap(),
        serde_json::json!({"name": "i", "unique": false, "columns": []})
    );
    let old = Module {
        settings: ModuleSettings {
            ansi_nulls_off: true,
            quoted_identifier_off: false,
        },
        ..module
    };
    let json = serde_json::json!({"name": "v", "text": "…", "ansiNullsOff": true});
    assert_eq!(serde_json::to_value(&old).unwrap(), json);
    assert_eq!(serde_json::from_value::<Module>(json).unwrap(), old);
}

#[test]
fn containers_are_written_only_where_there_are_some() {
    let text = serde_json::to_string(&Schema::default()).unwrap();
    assert!(!text.contains("containers"), "{text}");
    let counts = serde_json::to_string(&Schema::default().object_counts()).unwrap();
    assert!(!counts.contains("containers"), "{counts}");
    let cosmos = Schema {
        containers: vec![Container {
            name: "users".into(),
            partition_key: vec!["/id".into()],
            ..Container::default()
        }],
        ..Schema::default()
    };
    let text = serde_json::to_string(&cosmos).unwrap();
    assert!(
        text.ends_with(
            r#""containers":[{"name":"users","partitionKey":["/id"],"indexing":{"mode":"consistent","includedPaths":["/*"]}}]}"#
        ),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), cosmos);
    assert_eq!(cosmos.object_counts().containers, Some(1));
}

#[test]
fn reads_the_smallest_schema_and_fields_that_it_does_not_know() {
    let read: Schema = serde_json::from_str(r#"{"formatVersion":2,"queues":[]}"#).unwrap();
    assert_eq!(read, Schema::default());
}

#[test]
fn refuses_a_schema_of_a_newer_format_by_saying_so() {
    let error = serde_json::from_str::<Schema>(r#"{"formatVersion":3,"tables":{}}"#)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("written in format 3 by a newer dbvc"),
        "{error}"
    );
    assert!(error.contains("update dbvc"), "{error}");
}

#[test]
fn refuses_a_schema_without_its_format() {
    let error = serde_json::from_str::<Schema>("{}")
        .unwrap_err()
        .to_string();
    assert!(error.contains("formatVersion"), "{error}");
}

#[test]
fn a_newer_format_is_recognised_even_when_the_fields_were_sorted_by_name() {
    let value: serde_json::Value =
        serde_json::from_str(r#"{"tables":{},"formatVersion":9}"#).unwrap();
    let error = serde_json::from_value::<Schema>(value)
        .unwrap_err()
        .to_string();
    assert!(error.contains("format 9"), "{error}");
}

#[test]
fn a_referential_action_reads_what_it_writes() {
    use ReferentialAction::*;
    for action in [NoAction, Restrict, Cascade, SetNull, SetDefault] {
        assert_eq!(ReferentialAction::from_sql(action.as_sql()), Some(action));
    }
    assert_eq!(ReferentialAction::from_sql("SET_NULL"), Some(SetNull));
    assert_eq!(ReferentialAction::from_sql("EXPLODE"), None);
}
