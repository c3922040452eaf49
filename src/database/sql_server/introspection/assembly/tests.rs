//! Rows as SQL Server's catalog gives them, put together.

use std::sync::Arc;

use super::super::super::session::ResultSet;
use super::super::queries::PARTS;
use super::*;
use crate::database::Value;
use crate::schema::{
    Namespace, NotRead, ObjectCounts, Part, Permission, PermissionState, Role, Securable, Sequence,
    SequenceCache, Synonym, TableOptions, UserType, diff,
};

/// What the catalog answers, query by query.
#[derive(Clone, Default)]
struct Catalog {
    objects: ResultSet,
    modules: ResultSet,
    columns: ResultSet,
    indexes: ResultSet,
    members: ResultSet,
    foreign_keys: ResultSet,
    checks: ResultSet,
    /// Of the parts, by view.
    parts: Vec<(&'static str, ResultSet)>,
}

impl Catalog {
    fn answers(&self) -> Answers {
        let database = row([("collation_name", "SQL_Latin1_General_CP1_CI_AS".into())]);
        let part = |view: &str| {
            let found = self.parts.iter().find(|(of, _)| *of == view);
            found.map(|(_, rows)| rows.clone()).unwrap_or_default()
        };
        let known = |view: &str| PARTS.iter().any(|part| part.view == view);
        assert!(self.parts.iter().all(|(view, _)| known(view)));
        Answers {
            core: [
                vec![database],
                self.objects.clone(),
                self.modules.clone(),
                self.columns.clone(),
                self.indexes.clone(),
                self.members.clone(),
                self.foreign_keys.clone(),
                self.checks.clone(),
            ],
            parts: PARTS.each_ref().map(|query| part(query.view)),
        }
    }

    fn schema(&self) -> Schema {
        assemble(&self.answers()).unwrap()
    }

    fn table(&self, name: &str) -> Table {
        let tables = self.schema().tables;
        let found = tables.into_iter().find(|table| table.name == name);
        found.unwrap_or_else(|| panic!("no table {name}"))
    }
}

type Named = (&'static str, Value);

fn row(values: impl IntoIterator<Item = Named>) -> Row {
    let (names, values): (Vec<String>, Vec<Value>) = values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .unzip();
    Row::new(Arc::from(names), values)
}

/// A row in which these values, of several for a column the last, take the places of the usual ones.
fn row_but<const N: usize>(but: &[Named], usual: [Named; N]) -> Row {
    for (name, _) in but {
        assert!(usual.iter().any(|(known, _)| known == name), "{name}");
    }
    row(usual.map(|(name, value)| {
        let other = but.iter().rfind(|(known, _)| *known == name);
        (name, other.map_or(value, |(_, value)| value.clone()))
    }))
}

fn object(id: i64, kind: &str, name: &str, but: &[Named]) -> Row {
    let usual = [
        ("object_id", id.into()),
        ("schema_name", "dbo".into()),
        ("name", name.into()),
        ("kind", kind.into()),
        ("type_desc", "A_KIND".into()),
        ("parent_object_id", 0_i64.into()),
        ("is_disabled", Value::Null),
    ];
    row_but(but, usual)
}

fn module(id: i64, text: &str, but: &[Named]) -> Row {
    let usual = [
        ("object_id", id.into()),
        ("definition", text.into()),
        ("uses_ansi_nulls", true.into()),
        ("uses_quoted_identifier", true.into()),
    ];
    row_but(but, usual)
}

fn column(table: i64, id: i64, name: &str, but: &[Named]) -> Row {
    let usual = [
        ("object_id", table.into()),
        ("column_id", id.into()),
        ("name", name.into()),
        ("type_name", "int".into()),
        ("is_user_defined", false.into()),
        ("type_schema", "sys".into()),
        ("max_length", 4_i64.into()),
        ("precision", 10_i64.into()),
        ("scale", 0_i64.into()),
        ("collation_name", Value::Null),
        ("is_nullable", false.into()),
        ("is_identity", false.into()),
        ("is_hidden", false.into()),
        ("is_sparse", false.into()),
        ("is_rowguidcol", false.into()),
        ("generated_always", Value::Null),
        ("default_definition", Value::Null),
        ("computed_definition", Value::Null),
        ("is_persisted", Value::Null),
    ];
    row_but(but, usual)
}

fn index(table: i64, id: i64, but: &[Named]) -> Row {
    let usual = [
        ("object_id", table.into()),
        ("index_id", id.into()),
        ("name", format!("i{id}").into()),
        ("type_desc", "NONCLUSTERED".into()),
        ("is_unique", false.into()),
        ("is_primary_key", false.into()),
        ("is_unique_constraint", false.into()),
        ("is_disabled", false.into()),
        ("ignore_dup_key", false.into()),
        ("filter_definition", Value::Null),
        ("is_system_named", Value::Null),
    ];
    row_but(but, usual)
}

fn member(table: i64, index: i64, column: i64, place: i64, but: &[Named]) -> Row {
    let usual = [
        ("object_id", table.into()),
        ("index_id", index.into()),
        ("column_id", column.into()),
        ("key_ordinal", place.into()),
        ("is_descending_key", false.into()),
        ("is_included_column", false.into()),
    ];
    row_but(but, usual)
}

fn pair(key: i64, columns: (i64, i64), but: &[Named]) -> Row {
    let usual = [
        ("object_id", key.into()),
        ("parent_object_id", ORDERS.into()),
        ("name", format!("fk{key}").into()),
        ("is_system_named", false.into()),
        ("is_disabled", false.into()),
        ("is_not_trusted", false.into()),
        ("referenced_object_id", CUSTOMERS.into()),
        ("delete_referential_action_desc", "NO_ACTION".into()),
        ("update_referential_action_desc", "NO_ACTION".into()),
        ("parent_column_id", columns.0.into()),
        ("referenced_column_id", columns.1.into()),
    ];
    row_but(but, usual)
}

fn check(table: i64, name: &str, text: &str, but: &[Named]) -> Row {
    let usual = [
        ("parent_object_id", table.into()),
        ("name", name.into()),
        ("is_system_named", false.into()),
        ("is_disabled", false.into()),
        ("is_not_trusted", false.into()),
        ("definition", text.into()),
    ];
    row_but(but, usual)
}

const CUSTOMERS: i64 = 11;
const ORDERS: i64 = 12;

/// Two tables with a few columns.
fn shop() -> Catalog {
    Catalog {
        objects: vec![
            object(ORDERS, "U", "orders", &[("schema_name", "sales".into())]),
            object(CUSTOMERS, "U", "customers", &[]),
        ],
        columns: vec![
            column(CUSTOMERS, 1, "id", &[]),
            column(CUSTOMERS, 2, "country", &[]),
            column(ORDERS, 1, "id", &[]),
            column(ORDERS, 2, "customer", &[]),
            column(ORDERS, 3, "country", &[]),
            column(ORDERS, 4, "total", &[]),
        ],
        ..Catalog::default()
    }
}

fn descending(column: &str) -> KeyColumn {
    KeyColumn {
        descending: true,
        ..KeyColumn::ascending(column)
    }
}

#[test]
fn an_empty_database_is_an_empty_schema() {
    assert_eq!(Catalog::default().schema(), Schema::default());
}

#[test]
fn objects_are_named_with_their_schema_whatever_the_order_of_the_rows() {
    let schema = shop().schema();
    let names: Vec<&str> = schema
        .tables
        .iter()
        .map(|table| table.name.as_str())
        .collect();
    assert_eq!(names, ["dbo.customers", "sales.orders"]);
    let mut reversed = shop();
    reversed.objects.reverse();
    assert_eq!(reversed.schema(), schema);
}

#[test]
fn a_column_has_all_that_is_said_of_it() {
    let text = ("type_name", Value::from("nvarchar"));
    let catalog = Catalog {
        objects: vec![object(1, "U", "t", &[])],
        columns: vec![
            column(1, 1, "id", &[("is_identity", true.into())]),
            column(
                1,
                2,
                "name",
                &[
                    text.clone(),
                    ("max_length", 200_i64.into()),
                    ("is_nullable", true.into()),
                    ("collation_name", "Latin1_General_BIN2".into()),
                ],
            ),
            column(
                1,
                3,
                "note",
                &[
                    text,
                    ("max_length", (-1_i64).into()),
                    ("collation_name", "SQL_Latin1_General_CP1_CI_AS".into()),
                    ("default_definition", "(N'none')".into()),
                ],
            ),
            column(
                1,
                4,
                "email",
                &[
                    ("type_name", "Email".into()),
                    ("is_user_defined", true.into()),
                    ("type_schema", "sales".into()),
                ],
            ),
            column(
                1,
                5,
                "twice",
                &[
                    ("computed_definition", "([id]*(2))".into()),
                    ("is_persisted", true.into()),
                ],
            ),
            column(
                1,
                6,
                "thrice",
                &[
                    ("computed_definition", "([id]*(3))".into()),
                    ("is_persisted", false.into()),
                ],
            ),
            column(1, 7, "valid_to", &[("is_hidden", true.into())]),
        ],
        ..Catalog::default()
    };
    let plain = |name: &str, data_type: &str| Column {
        name: name.into(),
        data_type: data_type.into(),
        ..Column::default()
    };
    let generated = |expression: &str, stored| {
        Some(Generated {
            expression: expression.into(),
            stored,
        })
    };
    assert_eq!(
        catalog.table("dbo.t").columns,
        [
            Column {
                identity: true,
                ..plain("id", "int")
            },
            Column {
                nullable: true,
                collation: Some("Latin1_General_BIN2".into()),
                ..plain("name", "nvarchar(100)")
            },
            Column {
                default: Some("(N'none')".into()),
                ..plain("note", "nvarchar(max)")
            },
            plain("email", "sales.Email"),
            Column {
                generated: generated("([id]*(2))", true),
                ..plain("twice", "int")
            },
            Column {
                generated: generated("([id]*(3))", false),
                ..plain("thrice", "int")
            },
            Column {
                hidden: true,
                ..plain("valid_to", "int")
            },
        ]
    );
}

#[test]
fn keys_and_indexes_come_to_their_places() {
    let descends = [("is_descending_key", true.into())];
    let included = [("is_included_column", true.into())];
    let mut catalog = shop();
    catalog.indexes = vec![
        index(
            ORDERS,
            1,
            &[
                ("type_desc", "CLUSTERED".into()),
                ("is_unique", true.into()),
                ("is_primary_key", true.into()),
                ("is_system_named", false.into()),
            ],
        ),
        index(
            ORDERS,
            2,
            &[
                ("is_unique", true.into()),
                ("is_unique_constraint", true.into()),
                ("is_system_named", true.into()),
            ],
        ),
        index(
            ORDERS,
            3,
            &[
                ("is_unique", true.into()),
                ("filter_definition", "([total]>(0))".into()),
            ],
        ),
    ];
    catalog.members = vec![
        member(ORDERS, 1, 3, 1, &[]),
        member(ORDERS, 1, 1, 2, &descends),
        member(ORDERS, 2, 2, 1, &[]),
        member(ORDERS, 3, 1, 0, &included),
        member(ORDERS, 3, 2, 0, &included),
        member(ORDERS, 3, 4, 1, &descends),
        member(ORDERS, 3, 3, 2, &[]),
    ];
    let orders = catalog.table("sales.orders");
    assert_eq!(
        orders.primary_key,
        Some(PrimaryKey {
            name: Some("i1".into()),
            columns: vec![KeyColumn::ascending("country"), descending("id")],
            kind: Some("CLUSTERED".into()),
            disabled: false,
        })
    );
    assert_eq!(
        orders.unique,
        [Unique {
            columns: vec![KeyColumn::ascending("customer")],
            ..Unique::default()
        }]
    );
    assert_eq!(
        orders.indexes,
        [Index {
            name: "i3".into(),
            unique: true,
            columns: vec![descending("total"), KeyColumn::ascending("country")],
            included: vec!["id".into(), "customer".into()],
            kind: None,
            filter: Some("([total]>(0))".into()),
            disabled: false,
            ignores_duplicates: false,
        }]
    );
    assert_eq!(catalog.table("dbo.customers").indexes, []);
}

#[test]
fn the_column_by_which_an_index_is_partitioned_is_no_member_of_it() {
    let mut catalog = shop();
    catalog.indexes = vec![index(ORDERS, 1, &[])];
    catalog.members = vec![member(ORDERS, 1, 3, 0, &[]), member(ORDERS, 1, 1, 1, &[])];
    let index = &catalog.table("sales.orders").indexes[0];
    assert_eq!(index.columns, [KeyColumn::ascending("id")]);
    assert_eq!(index.included, Vec::<String>::new());
}

#[test]
fn a_columnstore_of_the_whole_table_does_not_name_its_columns() {
    let columnstore = |kind: &str| {
        let included = [("is_included_column", true.into())];
        let mut catalog = shop();
        catalog.indexes = vec![index(ORDERS, 1, &[("type_desc", kind.into())])];
        catalog.members = vec![
            member(ORDERS, 1, 1, 0, &included),
            member(ORDERS, 1, 4, 0, &included),
        ];
        catalog.table("sales.orders").indexes.remove(0)
    };
    let whole = columnstore("CLUSTERED COLUMNSTORE");
    assert_eq!(whole.included, Vec::<String>::new());
    assert_eq!(whole.kind.as_deref(), Some("CLUSTERED COLUMNSTORE"));
    let partial = columnstore("NONCLUSTERED COLUMNSTORE");
    assert_eq!(partial.included, ["id", "total"]);
    assert_eq!(partial.columns, []);
}

#[test]
fn an_index_of_a_view_belongs_to_the_view() {
    let mut catalog = shop();
    catalog.objects.push(object(20, "V", "totals", &[]));
    catalog.modules.push(module(20, "CREATE VIEW …", &[]));
    catalog.columns.push(column(20, 1, "sum", &[]));
    catalog.indexes = vec![index(20, 1, &[("type_desc", "CLUSTERED".into())])];
    catalog.members = vec![member(20, 1, 1, 1, &[])];
    let schema = catalog.schema();
    assert_eq!(
        schema.views,
        [Module {
            name: "dbo.totals".into(),
            text: "CREATE VIEW …".into(),
            indexes: vec![Index {
                name: "i1".into(),
                columns: vec![KeyColumn::ascending("sum")],
                kind: Some("CLUSTERED".into()),
                ..Index::default()
            }],
            ..Module::default()
        }]
    );
    assert_eq!(schema.object_counts().indexes, 1);
}

#[test]
fn foreign_keys_name_pairs_of_columns_in_order() {
    let mut catalog = shop();
    let cascading = [
        ("delete_referential_action_desc", "CASCADE".into()),
        ("update_referential_action_desc", "SET_NULL".into()),
    ];
    catalog.foreign_keys = vec![
        pair(31, (3, 2), &cascading),
        pair(31, (2, 1), &cascading),
        pair(32, (2, 1), &[("is_system_named", true.into())]),
    ];
    let key = |name: Option<&str>, columns: &[&str], referenced: &[&str]| ForeignKey {
        name: name.map(str::to_owned),
        columns: columns.iter().map(|&name| name.to_owned()).collect(),
        referenced_table: "dbo.customers".into(),
        referenced_columns: referenced.iter().map(|&name| name.to_owned()).collect(),
        ..ForeignKey::default()
    };
    assert_eq!(
        catalog.table("sales.orders").foreign_keys,
        [
            key(None, &["customer"], &["id"]),
            ForeignKey {
                on_delete: ReferentialAction::Cascade,
                on_update: ReferentialAction::SetNull,
                ..key(Some("fk31"), &["country", "customer"], &["country", "id"])
            },
        ]
    );
}

#[test]
fn a_name_that_the_server_made_up_is_no_name() {
    let mut catalog = shop();
    catalog.checks = vec![
        check(ORDERS, "orders_total", "([total]>(0))", &[]),
        check(
            ORDERS,
            "CK__orders__total__1A2B",
            "([total]<(9))",
            &[("is_system_named", true.into())],
        ),
    ];
    let checks = catalog.table("sales.orders").checks;
    let names: Vec<Option<&str>> = checks.iter().map(|check| check.name.as_deref()).collect();
    assert_eq!(names, [None, Some("orders_total")]);

    let mut again = catalog.clone();
    again.checks[1] = check(
        ORDERS,
        "CK__orders__total__3C4D",
        "([total]<(9))",
        &[("is_system_named", true.into())],
    );
    assert_eq!(diff(&catalog.schema(), &again.schema()), []);
}

#[test]
fn every_kind_of_module_is_put_with_its_like() {
    let mut catalog = shop();
    let kinds = ["V", "P", "PC", "FN", "IF", "TF", "FS", "FT", "AF"];
    for (id, kind) in (50..).zip(kinds) {
        catalog.objects.push(object(id, kind, kind, &[]));
    }
    let on = |table: i64| [("parent_object_id", table.into())];
    catalog.objects.extend([
        object(70, "TR", "stamp", &on(ORDERS)),
        object(71, "TA", "assembled", &on(50)),
    ]);
    let schema = catalog.schema();
    assert_eq!(
        schema.object_counts(),
        ObjectCounts {
            tables: 2,
            views: 1,
            procedures: 2,
            functions: 6,
            triggers: 2,
            ..ObjectCounts::default()
        }
    );
    let triggers: Vec<(&str, &str)> = schema
        .triggers
        .iter()
        .map(|trigger| (trigger.table.as_str(), trigger.name.as_str()))
        .collect();
    assert_eq!(
        triggers,
        [("dbo.V", "assembled"), ("sales.orders", "stamp")]
    );
}

#[test]
fn a_module_without_a_readable_definition_is_kept_with_an_empty_text() {
    let mut catalog = shop();
    catalog.objects.extend([
        object(60, "P", "secret", &[]),
        object(61, "FS", "assembled", &[]),
    ]);
    catalog.modules = vec![module(60, "", &[("definition", Value::Null)])];
    let schema = catalog.schema();
    let of = |name: &str| Module {
        name: name.into(),
        ..Module::default()
    };
    assert_eq!(schema.procedures, [of("dbo.secret")]);
    assert_eq!(schema.functions, [of("dbo.assembled")]);
}

#[test]
fn the_settings_kept_with_a_module_are_read() {
    let mut catalog = shop();
    catalog.objects.extend([
        object(60, "P", "old", &[]),
        object(61, "TR", "stamp", &[("parent_object_id", ORDERS.into())]),
    ]);
    let quoted_identifier_off = ("uses_quoted_identifier", Value::from(false));
    let ansi_nulls_off = ("uses_ansi_nulls", Value::from(false));
    catalog.modules = vec![
        module(60, "", &[quoted_identifier_off.clone(), ansi_nulls_off]),
        module(61, "", &[quoted_identifier_off]),
    ];
    let schema = catalog.schema();
    let settings = |ansi_nulls_off, quoted_identifier_off| ModuleSettings {
        ansi_nulls_off,
        quoted_identifier_off,
    };
    assert_eq!(schema.procedures[0].settings, settings(true, true));
    assert_eq!(schema.triggers[0].settings, settings(false, true));
}

#[test]
fn what_was_switched_off_is_known() {
    let off = ("is_disabled", Value::from(true));
    let only_off = std::slice::from_ref(&off);
    let with_off = |what: &'static str| [(what, Value::from(true)), off.clone()];
    let mut catalog = shop();
    catalog.indexes = vec![
        index(ORDERS, 1, &with_off("is_primary_key")),
        index(ORDERS, 2, &with_off("is_unique_constraint")),
        index(ORDERS, 3, only_off),
    ];
    catalog.foreign_keys = vec![pair(31, (2, 1), only_off)];
    catalog.checks = vec![check(ORDERS, "c", "([total]>(0))", only_off)];
    let on_orders = [("parent_object_id", ORDERS.into()), off.clone()];
    catalog.objects.push(object(70, "TR", "stamp", &on_orders));
    let orders = catalog.table("sales.orders");
    assert!(orders.primary_key.unwrap().disabled);
    assert!(orders.unique[0].disabled);
    assert!(orders.indexes[0].disabled);
    assert!(orders.foreign_keys[0].disabled);
    assert!(orders.checks[0].disabled);
    assert!(catalog.schema().triggers[0].disabled);
}

#[test]
fn what_came_between_two_queries_is_left_out() {
    let mut catalog = shop();
    let before = catalog.schema();
    catalog.columns.push(column(99, 1, "id", &[]));
    catalog.modules.push(module(98, "CREATE VIEW …", &[]));
    catalog.indexes.push(index(99, 1, &[]));
    catalog.members.push(member(99, 1, 1, 1, &[]));
    catalog.checks.push(check(99, "c", "([id]>(0))", &[]));
    catalog
        .foreign_keys
        .push(pair(31, (1, 1), &[("parent_object_id", 99_i64.into())]));
    assert_eq!(catalog.schema(), before);
}

#[test]
fn an_answer_without_a_column_is_refused_by_its_name() {
    let mut catalog = shop();
    catalog.checks = vec![row([("parent_object_id", ORDERS.into())])];
    let error = assemble(&catalog.answers()).unwrap_err().to_string();
    assert!(error.contains("is_system_named"), "{error}");
}

/// One name for the ids of everything that stands alone.
const MAIN: i64 = 31;

#[test]
fn what_belongs_to_no_table_is_read() {
    let catalog = Catalog {
        objects: vec![
            object(MAIN, "SO", "numbers", &[]),
            object(MAIN + 1, "SN", "people", &[]),
            object(
                MAIN + 2,
                "SQ",
                "inbox",
                &[("type_desc", "SERVICE_QUEUE".into())],
            ),
        ],
        parts: vec![
            (
                "schemas",
                vec![
                    row([
                        ("schema_id", 5_i64.into()),
                        ("name", "sales".into()),
                        ("owner", "dbo".into()),
                    ]),
                    row([
                        ("schema_id", 6_i64.into()),
                        ("name", "web".into()),
                        ("owner", "app".into()),
                    ]),
                ],
            ),
            (
                "sequences",
                vec![row([
                    ("object_id", MAIN.into()),
                    ("type_name", "bigint".into()),
                    ("is_user_defined", false.into()),
                    ("type_schema", "sys".into()),
                    ("max_length", 8_i64.into()),
                    ("precision", 19_i64.into()),
                    ("scale", 0_i64.into()),
                    ("start_value", "1".into()),
                    ("increment", "5".into()),
                    ("minimum_value", "-9223372036854775808".into()),
                    ("maximum_value", "9223372036854775807".into()),
                    ("is_cycling", true.into()),
                    ("is_cached", true.into()),
                    ("cache_size", 50_i64.into()),
                ])],
            ),
            (
                "synonyms",
                vec![row([
                    ("object_id", (MAIN + 1).into()),
                    ("base_object_name", "[dbo].[customers]".into()),
                ])],
            ),
        ],
        ..Catalog::default()
    };
    let schema = catalog.schema();
    let namespace = |name: &str, owner: Option<&str>| Namespace {
        name: name.into(),
        owner: owner.map(str::to_owned),
    };
    assert_eq!(
        schema.schemas,
        [namespace("sales", None), namespace("web", Some("app"))]
    );
    assert_eq!(
        schema.sequences,
        [Sequence {
            name: "dbo.numbers".into(),
            data_type: "bigint".into(),
            start: "1".into(),
            increment: "5".into(),
            minimum: "-9223372036854775808".into(),
            maximum: "9223372036854775807".into(),
            cycles: true,
            cache: SequenceCache::Numbers(50),
        }]
    );
    assert_eq!(
        schema.synonyms,
        [Synonym {
            name: "dbo.people".into(),
            target: "[dbo].[customers]".into(),
        }]
    );
    assert_eq!(
        schema.other_objects,
        [OtherObject {
            name: "dbo.inbox".into(),
            type_description: "SERVICE_QUEUE".into(),
        }]
    );
}

#[test]
fn a_type_is_another_name_or_a_table_with_its_columns_and_constraints() {
    let user_type = |id: i64, name: &str, table: Value| {
        row([
            ("user_type_id", id.into()),
            ("schema_name", "dbo".into()),
            ("name", name.into()),
            (
                "type_name",
                if table == Value::Null {
                    "nvarchar".into()
                } else {
                    Value::Null
                },
            ),
            ("max_length", 40_i64.into()),
            ("precision", 0_i64.into()),
            ("scale", 0_i64.into()),
            ("is_nullable", true.into()),
            ("is_assembly_type", false.into()),
            ("type_table_object_id", table),
        ])
    };
    const LINES: i64 = 77;
    let catalog = Catalog {
        columns: vec![column(LINES, 1, "number", &[])],
        indexes: vec![index(
            LINES,
            1,
            &[
                ("is_primary_key", true.into()),
                ("is_system_named", true.into()),
                ("type_desc", "CLUSTERED".into()),
            ],
        )],
        members: vec![member(LINES, 1, 1, 1, &[])],
        checks: vec![check(
            LINES,
            "CK__1",
            "([number]>(0))",
            &[("is_system_named", true.into())],
        )],
        parts: vec![(
            "types",
            vec![
                user_type(257, "Code", Value::Null),
                user_type(258, "Lines", LINES.into()),
            ],
        )],
        ..Catalog::default()
    };
    let schema = catalog.schema();
    assert!(schema.tables.is_empty());
    let [code, lines] = schema.types.as_slice() else {
        panic!("{:?}", schema.types)
    };
    assert_eq!(
        *code,
        UserType {
            name: "dbo.Code".into(),
            base: Some("nvarchar(20)".into()),
            nullable: true,
            table: None,
        }
    );
    let table = lines.table.as_ref().unwrap();
    assert_eq!((table.columns.len(), table.checks.len()), (1, 1));
    assert_eq!(table.primary_key.as_ref().unwrap().name, None);
}

#[test]
fn roles_permissions_and_notes_name_what_they_are_about() {
    let on = |class: i64, major: i64, minor: i64, named: [Named; 3]| {
        let place = [
            ("class", class.into()),
            ("major_id", major.into()),
            ("minor_id", minor.into()),
        ];
        row(place.into_iter().chain(named))
    };
    let granted = |class, major, minor, permission: &str, state: &str| {
        on(
            class,
            major,
            minor,
            [
                ("permission_name", permission.into()),
                ("state_desc", state.into()),
                ("grantee", "reader".into()),
            ],
        )
    };
    let note = |class, major, minor, value: &str| {
        let unused = ("unused", Value::Null);
        on(
            class,
            major,
            minor,
            [
                ("name", "MS_Description".into()),
                ("value", value.into()),
                unused,
            ],
        )
    };
    let catalog = Catalog {
        indexes: vec![index(ORDERS, 3, &[("name", "by_total".into())])],
        parts: vec![
            (
                "schemas",
                [(5_i64, "sales"), (1, "dbo")]
                    .map(|(id, name)| {
                        row([
                            ("schema_id", id.into()),
                            ("name", name.into()),
                            ("owner", Value::Null),
                        ])
                    })
                    .to_vec(),
            ),
            (
                "database_principals",
                vec![row([("name", "reader".into()), ("owner", "dbo".into())])],
            ),
            (
                "database_role_members",
                [
                    ("reader", false, "ann"),
                    ("db_datareader", true, "reader"),
                    ("reader", false, "app"),
                ]
                .map(|(role, fixed, member)| {
                    row([
                        ("role_name", role.into()),
                        ("is_fixed_role", fixed.into()),
                        ("member_name", member.into()),
                    ])
                })
                .to_vec(),
            ),
            (
                "database_permissions",
                vec![
                    granted(1, ORDERS, 0, "SELECT", "GRANT"),
                    granted(1, ORDERS, 4, "UPDATE", "DENY"),
                    granted(3, 5, 0, "EXECUTE", "GRANT_WITH_GRANT_OPTION"),
                    granted(3, 1, 0, "EXECUTE", "GRANT"),
                    granted(0, 0, 0, "VIEW DEFINITION", "GRANT"),
                    // Something of the server's own.
                    granted(1, -103, 0, "SELECT", "GRANT"),
                ],
            ),
            (
                "extended_properties",
                vec![note(7, ORDERS, 3, "the report"), note(1, ORDERS, 4, "net")],
            ),
        ],
        ..shop()
    };
    let schema = catalog.schema();
    let role = |name: &str, fixed, members: &[&str]| Role {
        name: name.into(),
        fixed,
        owner: None,
        members: members.iter().map(|member| (*member).to_owned()).collect(),
    };
    let names: Vec<&str> = schema.schemas.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["sales"], "what every database has is not listed");
    assert_eq!(
        schema.roles,
        [
            role("db_datareader", true, &["reader"]),
            role("reader", false, &["ann", "app"])
        ]
    );
    let granted = |on, permission: &str, state| Permission {
        on,
        permission: permission.into(),
        grantee: "reader".into(),
        state,
    };
    assert_eq!(
        schema.permissions,
        [
            granted(
                Securable::Database,
                "VIEW DEFINITION",
                PermissionState::Grant
            ),
            granted(
                Securable::Schema("dbo".into()),
                "EXECUTE",
                PermissionState::Grant
            ),
            granted(
                Securable::Schema("sales".into()),
                "EXECUTE",
                PermissionState::GrantWithGrantOption
            ),
            granted(
                Securable::Object("sales.orders".into()),
                "SELECT",
                PermissionState::Grant
            ),
            granted(
                Securable::Column("sales.orders".into(), "total".into()),
                "UPDATE",
                PermissionState::Deny
            ),
        ]
    );
    let notes: Vec<(String, &str)> = schema
        .extended_properties
        .iter()
        .map(|note| (note.on.words(), note.value.as_str()))
        .collect();
    assert_eq!(
        notes,
        [
            ("sales.orders.total".to_owned(), "net"),
            ("index sales.orders.by_total".to_owned(), "the report"),
        ]
    );
}

#[test]
fn details_of_tables_and_columns_come_to_their_places() {
    let catalog = Catalog {
        parts: vec![
            (
                "identity_columns",
                vec![row([
                    ("object_id", ORDERS.into()),
                    ("column_id", 1_i64.into()),
                    ("seed_value", "100".into()),
                    ("increment_value", "10".into()),
                ])],
            ),
            (
                "masked_columns",
                vec![row([
                    ("object_id", ORDERS.into()),
                    ("column_id", 4_i64.into()),
                    ("masking_function", "default()".into()),
                ])],
            ),
            (
                "tables",
                vec![row([
                    ("object_id", ORDERS.into()),
                    ("temporal_type", 2_i64.into()),
                    ("history_table_id", CUSTOMERS.into()),
                    ("is_memory_optimized", true.into()),
                    ("durability_desc", "SCHEMA_ONLY".into()),
                ])],
            ),
        ],
        ..shop()
    };
    let orders = catalog.table("sales.orders");
    assert_eq!(orders.columns[0].identity_range.as_deref(), Some("100, 10"));
    assert_eq!(orders.columns[3].mask.as_deref(), Some("default()"));
    assert_eq!(
        orders.options,
        TableOptions {
            history_table: Some("dbo.customers".into()),
            memory_optimized: Some("SCHEMA_ONLY".into()),
            ..TableOptions::default()
        }
    );
}

#[test]
fn a_constraint_that_is_switched_off_is_not_called_untrusted_as_well() {
    let not_trusted = ("is_not_trusted", Value::from(true));
    let catalog = Catalog {
        checks: vec![
            check(ORDERS, "a", "(1=1)", std::slice::from_ref(&not_trusted)),
            check(
                ORDERS,
                "b",
                "(2=2)",
                &[not_trusted, ("is_disabled", true.into())],
            ),
        ],
        ..shop()
    };
    let checks = catalog.table("sales.orders").checks;
    assert_eq!(
        checks
            .iter()
            .map(|check| (check.untrusted, check.disabled))
            .collect::<Vec<_>>(),
        [(true, false), (false, true)]
    );
}

#[test]
fn a_trigger_on_the_database_stands_on_no_table() {
    let catalog = Catalog {
        modules: vec![module(91, "CREATE TRIGGER guard ON DATABASE …", &[])],
        parts: vec![(
            "triggers",
            vec![row([
                ("object_id", 91_i64.into()),
                ("name", "guard".into()),
                ("is_disabled", false.into()),
            ])],
        )],
        ..shop()
    };
    let schema = catalog.schema();
    let changes = diff(&shop().schema(), &schema);
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].name, "guard");
    assert_eq!(
        schema.triggers[0].text,
        "CREATE TRIGGER guard ON DATABASE …"
    );
}

#[test]
fn what_the_server_has_no_view_for_is_noted_and_not_compared() {
    let missing = row([("missing_view", "sys.synonyms".into())]);
    let catalog = Catalog {
        parts: vec![("synonyms", vec![missing])],
        ..shop()
    };
    let without = catalog.schema();
    assert_eq!(
        without.not_read,
        [NotRead {
            part: Part::Synonyms,
            reason: "the server has no view sys.synonyms".into(),
        }]
    );
    let mut with = shop().schema();
    with.synonyms.push(Synonym {
        name: "dbo.s".into(),
        target: "t".into(),
    });
    assert_eq!(diff(&without, &with), []);
    assert_eq!(diff(&with, &without), []);
}
