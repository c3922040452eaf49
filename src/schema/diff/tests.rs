//! What counts as a difference, and what does not.

use super::*;
use crate::schema::container::{Container, ContainerThroughput};
use crate::schema::model::*;
use proptest::prelude::*;

fn column(name: &str, data_type: &str) -> Column {
    Column {
        name: name.into(),
        data_type: data_type.into(),
        nullable: true,
        ..Column::default()
    }
}

fn table(name: &str, columns: Vec<Column>) -> Table {
    Table {
        name: name.into(),
        columns,
        ..Table::default()
    }
}

fn schema(tables: Vec<Table>) -> Schema {
    Schema {
        tables,
        ..Schema::default()
    }
}

fn detail(property: &str, from: Option<&str>, to: Option<&str>) -> Detail {
    Detail {
        property: property.into(),
        from: from.map(str::to_owned),
        to: to.map(str::to_owned),
        possible_rename: None,
    }
}

fn names(changes: &[Change]) -> Vec<(ChangeKind, ObjectKind, &str)> {
    changes
        .iter()
        .map(|change| (change.change, change.kind, change.name.as_str()))
        .collect()
}

#[test]
fn a_schema_differs_from_itself_in_nothing() {
    let one = schema(vec![table("t", vec![column("a", "TEXT")])]);
    assert_eq!(diff(&one, &one), vec![]);
}

#[test]
fn columns_are_details_of_their_table() {
    let from = schema(vec![table(
        "t",
        vec![
            column("a", "TEXT"),
            column("b", "INT"),
            column("c d", "INT"),
        ],
    )]);
    let to = schema(vec![table(
        "t",
        vec![
            Column {
                nullable: false,
                ..column("a", "VARCHAR(10)")
            },
            column("c d", "TEXT"),
            Column {
                default: Some("0".into()),
                ..column("e", "INT")
            },
        ],
    )]);
    assert_eq!(
        diff(&from, &to),
        vec![Change {
            change: ChangeKind::Changed,
            kind: ObjectKind::Table,
            name: "t".into(),
            details: vec![
                detail("column a nullable", Some("yes"), Some("no")),
                detail("column a type", Some("TEXT"), Some("VARCHAR(10)")),
                detail("column \"c d\" type", Some("INT"), Some("TEXT")),
                detail("column e", None, Some("INT NULL DEFAULT 0")),
                detail("column b", Some("INT NULL"), None),
            ],
            possible_rename: None,
        }]
    );
}

#[test]
fn what_an_older_snapshot_could_not_know_is_no_difference() {
    let now = Schema {
        sequences: vec![Sequence {
            name: "dbo.numbers".into(),
            ..Sequence::default()
        }],
        permissions: vec![Permission {
            on: Securable::Object("t".into()),
            permission: "SELECT".into(),
            grantee: "reader".into(),
            state: PermissionState::Grant,
        }],
        ..schema(vec![Table {
            checks: vec![Check {
                name: Some("c".into()),
                untrusted: true,
                ..Check::default()
            }],
            ..table(
                "t",
                vec![Column {
                    identity: true,
                    identity_range: Some("1, 1".into()),
                    mask: Some("default()".into()),
                    ..column("id", "int")
                }],
            )
        }])
    };
    let then: Schema = serde_json::from_value(serde_json::json!({
        "formatVersion": 1,
        "tables": [{
            "name": "t",
            "columns": [{"name": "id", "type": "int", "nullable": true, "identity": true}],
            "checks": [{"name": "c", "expression": ""}]
        }]
    }))
    .unwrap();
    assert_eq!(diff(&then, &now), vec![]);
    assert_eq!(diff(&now, &then), vec![]);
    // What it did know is still compared.
    let mut other = then.clone();
    other.tables[0].columns[0].nullable = false;
    assert_eq!(diff(&other, &now).len(), 1);
    // And it is the format that makes the difference.
    assert_eq!(diff(&Schema::default(), &now).len(), 4);
}

#[test]
fn the_order_of_columns_is_no_difference() {
    let from = schema(vec![table(
        "t",
        vec![column("a", "TEXT"), column("b", "INT")],
    )]);
    let to = schema(vec![table(
        "t",
        vec![column("b", "INT"), column("a", "TEXT")],
    )]);
    assert_eq!(diff(&from, &to), vec![]);
    assert_eq!(from.hash(), to.hash());
}

#[test]
fn the_order_of_key_columns_is_a_difference() {
    let with_key = |columns: [&str; 2]| {
        let columns = columns.map(KeyColumn::ascending).to_vec();
        schema(vec![Table {
            primary_key: Some(PrimaryKey {
                columns,
                ..PrimaryKey::default()
            }),
            ..table("t", vec![column("a", ""), column("b", "")])
        }])
    };
    assert_eq!(
        diff(&with_key(["a", "b"]), &with_key(["b", "a"])),
        vec![Change {
            change: ChangeKind::Changed,
            kind: ObjectKind::PrimaryKey,
            name: "t(b, a)".into(),
            details: vec![detail("columns", Some("a, b"), Some("b, a"))],
            possible_rename: None,
        }]
    );
}

#[test]
fn what_belongs_to_a_table_comes_and_goes_as_a_change_of_its_own() {
    let full = Schema {
        tables: vec![Table {
            primary_key: Some(PrimaryKey {
                name: Some("t_pk".into()),
                columns: vec![KeyColumn::ascending("a")],
                ..PrimaryKey::default()
            }),
            unique: vec![Unique {
                columns: vec![KeyColumn::ascending("a"), KeyColumn::ascending("b")],
                ..Unique::default()
            }],
            foreign_keys: vec![ForeignKey {
                columns: vec!["b".into()],
                referenced_table: "u".into(),
                referenced_columns: vec!["id".into()],
                ..ForeignKey::default()
            }],
            checks: vec![Check {
                expression: "a  >  0".into(),
                ..Check::default()
            }],
            indexes: vec![Index {
                name: "i".into(),
                ..Index::default()
            }],
            ..table("t", vec![column("a", "INT")])
        }],
        triggers: vec![Trigger {
            name: "g".into(),
            table: "t".into(),
            text: "…".into(),
            ..Trigger::default()
        }],
        views: vec![Module {
            name: "v".into(),
            text: "…".into(),
            ..Module::default()
        }],
        procedures: vec![Module {
            name: "p".into(),
            text: "…".into(),
            ..Module::default()
        }],
        functions: vec![Module {
            name: "f".into(),
            text: "…".into(),
            ..Module::default()
        }],
        ..Schema::default()
    };
    let all = [
        (ObjectKind::Table, "t"),
        (ObjectKind::PrimaryKey, "t.t_pk"),
        (ObjectKind::Unique, "t(a, b)"),
        (ObjectKind::ForeignKey, "t(b)"),
        (ObjectKind::Check, "t(a  >  0)"),
        (ObjectKind::Index, "t.i"),
        (ObjectKind::View, "v"),
        (ObjectKind::Trigger, "t.g"),
        (ObjectKind::Procedure, "p"),
        (ObjectKind::Function, "f"),
    ];
    let expected = |change| {
        all.iter()
            .map(|(kind, name)| (change, *kind, *name))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&diff(&Schema::default(), &full)),
        expected(ChangeKind::Added)
    );
    assert_eq!(
        names(&diff(&full, &Schema::default())),
        expected(ChangeKind::Removed)
    );
}

#[test]
fn the_key_of_a_table_that_gets_a_name_is_changed_and_not_replaced() {
    let with_key = |name: Option<&str>| {
        let key = PrimaryKey {
            name: name.map(str::to_owned),
            columns: vec![KeyColumn::ascending("a")],
            ..PrimaryKey::default()
        };
        schema(vec![Table {
            primary_key: Some(key),
            ..table("t", vec![])
        }])
    };
    let changes = diff(&with_key(None), &with_key(Some("pk")));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].details, vec![detail("name", None, Some("pk"))]);
    assert_eq!(
        diff(&with_key(None), &with_key(Some("sqlite_autoindex_t_1"))),
        vec![]
    );
}

#[test]
fn the_order_of_included_columns_is_no_difference() {
    let including = |columns: &[&str]| {
        schema(vec![Table {
            indexes: vec![Index {
                name: "i".into(),
                columns: vec![KeyColumn::ascending("a")],
                included: columns.iter().map(|&name| name.to_owned()).collect(),
                ..Index::default()
            }],
            ..table("t", vec![])
        }])
    };
    let both = including(&["b", "c"]);
    assert_eq!(diff(&both, &including(&["c", "b"])), vec![]);
    let changes = diff(&both, &including(&["c"]));
    assert_eq!(
        changes[0].details,
        vec![detail("included", Some("b, c"), Some("c"))]
    );
    let changes = diff(&both, &including(&[]));
    assert_eq!(
        changes[0].details,
        vec![detail("included", Some("b, c"), None)]
    );
}

#[test]
fn another_kind_of_index_is_a_change_of_what_it_serves() {
    let kept = |kind: Option<&str>| {
        let kind = kind.map(str::to_owned);
        schema(vec![Table {
            primary_key: Some(PrimaryKey {
                kind: kind.clone(),
                ..PrimaryKey::default()
            }),
            unique: vec![Unique {
                kind: kind.clone(),
                ..Unique::default()
            }],
            indexes: vec![Index {
                kind,
                ..Index::default()
            }],
            ..table("t", vec![])
        }])
    };
    let changes = diff(&kept(None), &kept(Some("CLUSTERED")));
    let kinds: Vec<ObjectKind> = changes.iter().map(|change| change.kind).collect();
    assert_eq!(
        kinds,
        [
            ObjectKind::PrimaryKey,
            ObjectKind::Unique,
            ObjectKind::Index
        ]
    );
    for change in changes {
        assert_eq!(change.details, [detail("kind", None, Some("CLUSTERED"))]);
    }
}

#[test]
fn what_was_switched_off_is_changed() {
    let switched = |disabled| Schema {
        tables: vec![Table {
            primary_key: Some(PrimaryKey {
                disabled,
                ..PrimaryKey::default()
            }),
            unique: vec![Unique {
                disabled,
                ..Unique::default()
            }],
            foreign_keys: vec![ForeignKey {
                disabled,
                ..ForeignKey::default()
            }],
            checks: vec![Check {
                disabled,
                ..Check::default()
            }],
            indexes: vec![Index {
                disabled,
                ..Index::default()
            }],
            ..table("t", vec![])
        }],
        triggers: vec![Trigger {
            table: "t".into(),
            disabled,
            ..Trigger::default()
        }],
        ..Schema::default()
    };
    let changes = diff(&switched(false), &switched(true));
    assert_eq!(changes.len(), 6);
    for change in changes {
        assert_eq!(change.change, ChangeKind::Changed);
        assert_eq!(change.details, [detail("disabled", None, Some("yes"))]);
    }
}

#[test]
fn the_settings_kept_with_a_module_are_compared() {
    let under = |ansi_nulls_off, quoted_identifier_off| {
        let settings = ModuleSettings {
            ansi_nulls_off,
            quoted_identifier_off,
        };
        Schema {
            procedures: vec![Module {
                name: "p".into(),
                settings: settings.clone(),
                ..Module::default()
            }],
            triggers: vec![Trigger {
                name: "g".into(),
                settings,
                ..Trigger::default()
            }],
            ..Schema::default()
        }
    };
    let changes = diff(&under(false, true), &under(true, false));
    assert_eq!(changes.len(), 2);
    for change in changes {
        assert_eq!(
            change.details,
            [
                detail("ansi nulls off", None, Some("yes")),
                detail("quoted identifier off", Some("yes"), None)
            ]
        );
    }
}

#[test]
fn a_container_is_compared_by_its_settings() {
    let one = Container {
        name: "users".into(),
        partition_key: vec!["/id".into()],
        ..Container::default()
    };
    let mut other = one.clone();
    other.unique_keys = vec![vec!["/a".into(), "/b".into()], vec!["/c".into()]];
    other.indexing.excluded_paths = vec!["/big/*".into()];
    other.indexing.composite_indexes = vec![vec!["/a".into(), "/b DESC".into()]];
    other
        .indexing
        .other
        .insert("spatialIndexes".into(), "[]".into());
    other.default_ttl = Some(60);
    other.throughput = Some(ContainerThroughput::Manual(400));
    other
        .other
        .insert("analyticalStorageTtl".into(), "-1".into());
    let holding = |containers: Vec<Container>| Schema {
        containers,
        ..Schema::default()
    };
    let from = holding(vec![one]);
    let changes = diff(&from, &holding(vec![other.clone()]));
    assert_eq!(
        names(&changes),
        [(ChangeKind::Changed, ObjectKind::Container, "users")]
    );
    assert_eq!(
        changes[0].details,
        [
            detail("composite indexes", None, Some("(/a, /b DESC)")),
            detail("default ttl", None, Some("60 seconds")),
            detail("excluded paths", None, Some("/big/*")),
            detail("other indexes", None, Some("spatialIndexes: []")),
            detail("other settings", None, Some("analyticalStorageTtl: -1")),
            detail("throughput", None, Some("400 RU/s")),
            detail("unique keys", None, Some("(/a, /b), (/c)")),
        ]
    );
    other.default_ttl = Some(-1);
    other.throughput = Some(ContainerThroughput::AutoscaleMax(4000));
    let to = holding(vec![other]);
    let changes = diff(&from, &to);
    assert!(changes[0].details.contains(&detail(
        "default ttl",
        None,
        Some("on, without a default")
    )));
    assert!(changes[0].details.contains(&detail(
        "throughput",
        None,
        Some("autoscale up to 4000 RU/s")
    )));
    assert_ne!(from.hash(), to.hash());
    let gone = diff(&to, &Schema::default());
    assert_eq!(
        names(&gone),
        [(ChangeKind::Removed, ObjectKind::Container, "users")]
    );
}

#[test]
fn an_index_of_a_view_is_a_change_of_its_own() {
    let with_indexes = |indexes: Vec<Index>| Schema {
        views: vec![Module {
            name: "v".into(),
            indexes,
            ..Module::default()
        }],
        ..Schema::default()
    };
    let index = Index {
        name: "i".into(),
        ..Index::default()
    };
    let changes = diff(&with_indexes(vec![]), &with_indexes(vec![index]));
    assert_eq!(
        names(&changes),
        [(ChangeKind::Added, ObjectKind::Index, "v.i")]
    );
}

#[test]
fn two_constraints_of_one_name_are_told_apart() {
    let with_checks = |expressions: &[&str]| {
        let check = |text: &&str| Check {
            name: Some("c".into()),
            expression: (*text).into(),
            ..Check::default()
        };
        schema(vec![Table {
            checks: expressions.iter().map(check).collect(),
            ..table("t", vec![])
        }])
    };
    let changes = diff(
        &with_checks(&["a > 0", "b > 0"]),
        &with_checks(&["b > 0", "a > 1"]),
    );
    assert_eq!(
        names(&changes),
        vec![(ChangeKind::Changed, ObjectKind::Check, "t.c")]
    );
    assert_eq!(
        changes[0].details,
        vec![detail("expression", Some("a > 0"), Some("a > 1"))]
    );
    let changes = diff(&with_checks(&["a > 0", "b > 0"]), &with_checks(&["a > 0"]));
    assert_eq!(
        names(&changes),
        vec![(ChangeKind::Removed, ObjectKind::Check, "t.c")]
    );
}

#[test]
fn a_change_shows_the_text_as_it_was_written() {
    let with_view = |text: &str| Schema {
        views: vec![Module {
            name: "v".into(),
            text: text.into(),
            ..Module::default()
        }],
        ..Schema::default()
    };
    let changes = diff(
        &with_view("CREATE VIEW v AS\nSELECT 1"),
        &with_view("CREATE VIEW v AS\nSELECT 2 -- two"),
    );
    let from_and_to = (
        Some("CREATE VIEW v AS\nSELECT 1"),
        Some("CREATE VIEW v AS\nSELECT 2 -- two"),
    );
    assert_eq!(
        changes[0].details,
        vec![detail("definition", from_and_to.0, from_and_to.1)]
    );
    assert_eq!(
        diff(
            &with_view("CREATE VIEW v AS\nSELECT 1"),
            &with_view("CREATE  VIEW v AS SELECT 1;")
        ),
        vec![]
    );
}

#[test]
fn a_change_is_written_as_the_contract_says() {
    let change = Change {
        change: ChangeKind::Added,
        kind: ObjectKind::ForeignKey,
        name: "t(b)".into(),
        details: vec![detail("columns", None, Some("b"))],
        possible_rename: None,
    };
    assert_eq!(
        serde_json::to_value(&change).unwrap(),
        serde_json::json!({"change": "added", "kind": "foreign-key", "name": "t(b)",
            "details": [{"property": "columns", "from": null, "to": "b"}]})
    );
    for kind in [
        ObjectKind::Table,
        ObjectKind::PrimaryKey,
        ObjectKind::Function,
    ] {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
}

#[test]
fn ten_thousand_objects_are_compared() {
    let many = |data_type: &str| {
        let one = |number: usize| Table {
            primary_key: Some(PrimaryKey {
                columns: vec![KeyColumn::ascending("id")],
                ..PrimaryKey::default()
            }),
            indexes: vec![Index {
                name: format!("i{number}"),
                columns: vec![KeyColumn::ascending("a")],
                ..Index::default()
            }],
            ..table(
                &format!("t{number}"),
                vec![column("id", "INTEGER"), column("a", data_type)],
            )
        };
        schema((0..10_000).map(one).collect())
    };
    let (from, to) = (many("TEXT"), many("VARCHAR(10)"));
    let changes = diff(&from, &to);
    assert_eq!(changes.len(), 10_000);
}

#[test]
fn a_table_with_very_many_columns_is_compared() {
    let wide = |data_type: &str| {
        schema(vec![table(
            "t",
            (0..20_000)
                .map(|number| column(&format!("c{number}"), data_type))
                .collect(),
        )])
    };
    let (from, to) = (wide("TEXT"), wide("INT"));
    assert_eq!(diff(&from, &to)[0].details.len(), 20_000);
}

/// Few different names and texts, so that equal, nearly equal and differently written schemas all come up often.
fn some_schema() -> impl Strategy<Value = Schema> {
    let name = || {
        prop::sample::select(vec!["a", "b", "a b", "sqlite_autoindex_a_1"]).prop_map(str::to_owned)
    };
    let text = || {
        let texts = vec![
            "a > 0", "(a  > 0)", "\"a\">0", "A > 0", "'a' -- x", "'a'", "a /*", "",
        ];
        prop::sample::select(texts).prop_map(str::to_owned)
    };
    let maybe = |strategy: BoxedStrategy<String>| prop::option::of(strategy);
    let some_column = (name(), text(), any::<bool>(), maybe(text().boxed())).prop_map(
        |(name, kind, null, default)| Column {
            name,
            data_type: kind,
            nullable: null,
            default,
            ..Column::default()
        },
    );
    let check = (maybe(name().boxed()), text()).prop_map(|(name, expression)| Check {
        name,
        expression,
        ..Check::default()
    });
    let unique = (maybe(name().boxed()), name()).prop_map(|(name, column)| Unique {
        name,
        columns: vec![KeyColumn::ascending(column)],
        ..Unique::default()
    });
    let some_table = (
        name(),
        prop::collection::vec(some_column, 0..3),
        prop::collection::vec(check, 0..3),
        prop::collection::vec(unique, 0..2),
    )
        .prop_map(|(name, mut columns, checks, unique)| {
            // No engine has two columns of one name.
            columns.sort_by(|one: &Column, other| one.name.cmp(&other.name));
            columns.dedup_by(|one, other| one.name == other.name);
            Table {
                name,
                columns,
                checks,
                unique,
                ..Table::default()
            }
        });
    let view = (name(), text()).prop_map(|(name, text)| Module {
        name,
        text,
        ..Module::default()
    });
    (
        prop::collection::vec(some_table, 0..2),
        prop::collection::vec(view, 0..2),
    )
        .prop_map(|(tables, views)| Schema {
            tables,
            views,
            ..Schema::default()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_hashes_are_equal_exactly_when_the_diff_is_empty(from in some_schema(), to in some_schema()) {
        prop_assert_eq!(from.hash() == to.hash(), diff(&from, &to).is_empty());
        for change in diff(&from, &to) {
            // A change must say what it is.
            prop_assert!(change.change != ChangeKind::Changed || !change.details.is_empty());
        }
    }

    #[test]
    fn the_order_of_objects_leaves_no_trace(one in some_schema()) {
        let mut other = one.clone();
        other.tables.reverse();
        other.views.reverse();
        for table in &mut other.tables {
            table.columns.reverse();
            table.checks.reverse();
            table.unique.reverse();
        }
        prop_assert_eq!(one.clone().sorted().hash(), other.sorted().hash());
    }

    #[test]
    fn the_way_back_undoes_the_way_there(from in some_schema(), to in some_schema()) {
        prop_assert_eq!(diff(&from, &to).len(), diff(&to, &from).len());
    }
}
