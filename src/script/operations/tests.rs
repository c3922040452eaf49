//! What is an operation, and what is told of one that is none.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn one(operation: &str) -> Operation {
    parse_operation(operation).unwrap_or_else(|faults| panic!("{operation}: {faults:?}"))
}

fn faults(operation: &str) -> Vec<String> {
    let faults = parse_operation(operation).expect_err(operation);
    faults.into_iter().map(|fault| fault.message).collect()
}

#[test]
fn a_script_lists_operations_with_their_lines_and_texts() {
    let text = "{\n \"comment\": \"why\",\n \"operations\": [\n  {\"operation\": \"deleteContainer\",\n   \"container\": \"a\"},\n  \
                {\"operation\": \"deleteItem\", \"container\": \"b\", \"id\": \"x\", \"partitionKey\": 1}\n ]\n}\n";
    let script = parse(text).unwrap();
    assert_eq!(script.variables, None);
    let placed: Vec<_> = script
        .operations
        .iter()
        .map(|placed| (placed.index, placed.line, placed.operation.container()))
        .collect();
    assert_eq!(placed, [(1, 4, "a"), (2, 6, "b")]);
    assert_eq!(
        script.operations[0].text,
        "{\"operation\": \"deleteContainer\",\n   \"container\": \"a\"}"
    );
    for placed in &script.operations {
        assert_eq!(one(placed.text), placed.operation);
    }
    let with_returns = text.replace('\n', "\r\n");
    let other = parse(&with_returns).unwrap();
    assert_eq!(other.operations[0].line, 4);
    assert_eq!(other.operations[0].sha256(), script.operations[0].sha256());
    assert_ne!(script.operations[0].sha256(), script.operations[1].sha256());
}

#[test]
fn every_operation_is_read() {
    let policy = json!({"automatic": true, "indexingMode": "consistent",
        "includedPaths": [{"path": "/*"}], "excludedPaths": [{"path": "/\"_etag\"/?"}],
        "compositeIndexes": [[{"path": "/a", "order": "ascending"}, {"path": "/b", "order": "descending"}]],
        "spatialIndexes": [{"path": "/place/*", "types": ["Point"]}],
        "vectorIndexes": [{"path": "/v", "type": "diskANN"}], "fullTextIndexes": [{"path": "/t"}]});
    let create = json!({"operation": "createContainer", "container": "c", "comment": "why",
        "partitionKey": ["/tenant", "/user/id"], "uniqueKeys": [["/email"], ["/a", "/b"]], "indexingPolicy": policy,
        "defaultTtl": 60, "throughput": {"autoscaleMax": 4000}});
    assert_eq!(
        one(&create.to_string()),
        Operation::CreateContainer(NewContainer {
            container: "c".to_owned(),
            partition_key: vec!["/tenant".to_owned(), "/user/id".to_owned()],
            unique_keys: vec![
                vec!["/email".to_owned()],
                vec!["/a".to_owned(), "/b".to_owned()]
            ],
            indexing_policy: Some(policy.clone()),
            default_ttl: DefaultTtl::Seconds(60),
            throughput: Some(Throughput::Autoscale(4000)),
        })
    );
    let smallest = r#"{"operation": "createContainer", "container": "c", "partitionKey": "/id"}"#;
    assert_eq!(
        one(smallest),
        Operation::CreateContainer(NewContainer {
            container: "c".to_owned(),
            partition_key: vec!["/id".to_owned()],
            unique_keys: Vec::new(),
            indexing_policy: None,
            default_ttl: DefaultTtl::Off,
            throughput: None,
        })
    );
    let container = "c".to_owned();
    for (fields, expected) in [
        (
            json!({"operation": "deleteContainer", "allowDataLoss": true}),
            Operation::DeleteContainer {
                container: container.clone(),
                allow_data_loss: true,
            },
        ),
        (
            json!({"operation": "replaceIndexingPolicy", "indexingPolicy": policy}),
            Operation::ReplaceIndexingPolicy {
                container: container.clone(),
                policy,
            },
        ),
        (
            json!({"operation": "setDefaultTtl", "defaultTtl": -1}),
            Operation::SetDefaultTtl {
                container: container.clone(),
                ttl: DefaultTtl::Never,
            },
        ),
        (
            json!({"operation": "setDefaultTtl", "defaultTtl": "off"}),
            Operation::SetDefaultTtl {
                container: container.clone(),
                ttl: DefaultTtl::Off,
            },
        ),
        (
            json!({"operation": "setThroughput", "throughput": {"manual": 400}}),
            Operation::SetThroughput {
                container: container.clone(),
                throughput: Throughput::Manual(400),
            },
        ),
        (
            json!({"operation": "upsertItem", "item": {"id": "x", "n": [1, null]}}),
            Operation::UpsertItem {
                container: container.clone(),
                id: "x".to_owned(),
                item: json!({"id": "x", "n": [1, null]}),
            },
        ),
        (
            json!({"operation": "deleteItem", "id": "x", "partitionKey": ["a", 1.5, null]}),
            Operation::DeleteItem {
                container: container.clone(),
                id: "x".to_owned(),
                partition_key: vec![json!("a"), json!(1.5), json!(null)],
            },
        ),
    ] {
        let mut fields = fields;
        fields["container"] = "c".into();
        let operation = one(&fields.to_string());
        let changes_items = fields["operation"].as_str().unwrap().ends_with("Item");
        assert_eq!(operation.needs_key(), !changes_items);
        assert_eq!(operation, expected);
    }
}

#[test]
fn a_policy_without_its_switches_is_on() {
    let of = |policy: serde_json::Value| {
        let text = json!({"operation": "replaceIndexingPolicy", "container": "c", "indexingPolicy": policy});
        match one(&text.to_string()) {
            Operation::ReplaceIndexingPolicy { policy, .. } => policy,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        of(json!({})),
        json!({"indexingMode": "consistent", "automatic": true})
    );
    assert_eq!(
        of(json!({"indexingMode": "none"})),
        json!({"indexingMode": "none", "automatic": false})
    );
}

#[test]
fn what_is_wrong_with_an_operation_says_what_would_be_right() {
    for (operation, words) in [
        (r#"[]"#, "an operation must be an object, not a list"),
        (r#"{"container": "c"}"#, "lacks the field operation"),
        (
            r#"{"operation": "dropContainer", "container": "c"}"#,
            "there are createContainer, deleteContainer",
        ),
        (
            r#"{"operation": "deleteContainer"}"#,
            "lacks the field container",
        ),
        (
            r#"{"operation": "deleteContainer", "container": "a/b"}"#,
            "without / ",
        ),
        (
            r#"{"operation": "deleteContainer", "container": ""}"#,
            "must be a name",
        ),
        (
            r#"{"operation": "deleteContainer", "container": "c", "allowDataloss": true}"#,
            "no field allowDataloss; it has operation, comment, container, allowDataLoss",
        ),
        (
            r#"{"operation": "deleteContainer", "container": "c", "allowDataLoss": "yes"}"#,
            "must be true or false, not a string",
        ),
        (
            r#"{"operation": "createContainer", "container": "c"}"#,
            "lacks the field partitionKey",
        ),
        (
            r#"{"operation": "createContainer", "container": "c", "partitionKey": "id"}"#,
            "such as /userId",
        ),
        (
            r#"{"operation": "createContainer", "container": "c", "partitionKey": ["/a", "/b", "/c", "/d"]}"#,
            "one to three paths, not 4",
        ),
        (
            r#"{"operation": "createContainer", "container": "c", "partitionKey": ["/a", "/a"]}"#,
            "/a twice",
        ),
        (
            r#"{"operation": "createContainer", "container": "c", "partitionKey": "/id", "uniqueKeys": ["/a"]}"#,
            "list of lists",
        ),
        (
            r#"{"operation": "createContainer", "container": "c", "partitionKey": "/id", "defaultTtl": 0}"#,
            "1 to 2147483647",
        ),
        (
            r#"{"operation": "createContainer", "container": "c", "partitionKey": "/id", "throughput": 400}"#,
            "throughput must be an object",
        ),
        (
            r#"{"operation": "createContainer", "container": "c", "partitionKey": "/id", "throughput": {}}"#,
            "{\"manual\": 400}",
        ),
        (
            r#"{"operation": "setThroughput", "container": "c", "throughput": {"manual": 450}}"#,
            "multiple of 100",
        ),
        (
            r#"{"operation": "setThroughput", "container": "c", "throughput": {"autoscaleMax": 400}}"#,
            "multiple of 1000",
        ),
        (
            r#"{"operation": "upsertItem", "container": "c", "item": {"n": 1}}"#,
            "lacks its id",
        ),
        (
            r#"{"operation": "upsertItem", "container": "c", "item": {"id": 1}}"#,
            "must be a string",
        ),
        (
            r#"{"operation": "deleteItem", "container": "c", "id": "x"}"#,
            "lacks the field partitionKey",
        ),
        (
            r#"{"operation": "deleteItem", "container": "c", "id": "x", "partitionKey": {}}"#,
            "or a list of up to three",
        ),
        (
            r#"{"operation": "replaceIndexingPolicy", "container": "c", "indexingPolicy": {"indexingMode": "lazy"}}"#,
            "one of consistent, none, not lazy",
        ),
        (
            r#"{"operation": "replaceIndexingPolicy", "container": "c", "indexingPolicy": {"automatic": false}}"#,
            "goes with indexingMode none",
        ),
        (
            r#"{"operation": "replaceIndexingPolicy", "container": "c", "indexingPolicy": {"includedPaths": [{"path": "/a/?"}]}}"#,
            "must have the path /*",
        ),
        (
            r#"{"operation": "replaceIndexingPolicy", "container": "c", "indexingPolicy": {"includedPaths": [{"path": "/a"}]}}"#,
            "end in /?",
        ),
        (
            r#"{"operation": "replaceIndexingPolicy", "container": "c", "indexingPolicy": {"compositeIndexes": [[{"path": "/a", "order": "ascending"}]]}}"#,
            "at least two",
        ),
        (
            r#"{"operation": "replaceIndexingPolicy", "container": "c", "indexingPolicy": {"includedPath": []}}"#,
            "no field includedPath",
        ),
    ] {
        let found = faults(operation);
        assert!(found[0].contains(words), "{operation}: {found:?}");
    }
    let large = json!({"operation": "upsertItem", "container": "c", "item": {"id": "x", "t": "x".repeat(3_000_000)}});
    assert!(faults(&large.to_string())[0].contains("2 MB"));
}

#[test]
fn all_faults_of_a_script_are_told_in_the_order_of_their_places() {
    let text = "{\"operations\": [\n  {\"operation\": \"nothing\"},\n  {\"operation\": \"deleteItem\", \"container\": 1}\n], \"x\": 1}";
    let found: Vec<_> = parse(text)
        .unwrap_err()
        .into_iter()
        .map(|fault| (fault.line, fault.column, fault.is_malformed))
        .collect();
    assert_eq!(
        found,
        [
            (2, 17, false),
            (3, 3, false),
            (3, 3, false),
            (3, 44, false),
            (4, 4, false)
        ]
    );
}

#[test]
fn what_is_no_script_says_what_one_is() {
    for (text, words) in [
        ("[]", "a script is an object: {\"operations\": ["),
        ("{}", "lacks the field operations"),
        ("{\"operations\": {}}", "a list of objects"),
        ("{\"operations\": []}", "at least one operation"),
        (
            "{\"operations\": [1]}",
            "an operation must be an object, not a number",
        ),
    ] {
        assert!(
            parse(text).unwrap_err()[0].message.contains(words),
            "{text}"
        );
    }
    assert!(parse("{").unwrap_err()[0].is_malformed);
}

proptest! {
    #[test]
    fn no_text_makes_parsing_panic(text in "(\\PC|[\\[\\]{}:,\"\\\\\r\n]){0,40}") {
        let _ = parse(&text);
        let _ = parse_operation(&text);
    }

    #[test]
    fn no_fields_make_parsing_panic(
        names in prop::collection::vec(prop::sample::select(vec!["operation", "container", "item", "id", "partitionKey",
            "indexingPolicy", "throughput", "defaultTtl", "uniqueKeys", "comment"]), 0..6),
        values in prop::collection::vec(prop::sample::select(vec!["1", "-1", "null", "[]", "{}", "\"\"", "\"/a\"", "[[]]",
            "[{}]", "{\"id\": \"x\"}", "{\"manual\": 400}", "\"createContainer\"", "\"deleteItem\"", "\"setThroughput\""]), 6),
    ) {
        let fields: Vec<_> = names.iter().zip(&values).map(|(name, value)| format!("\"{name}\": {value}")).collect();
        let text = format!("{{\"operations\": [{{{}}}]}}", fields.join(", "));
        if let Err(faults) = parse(&text) {
            prop_assert!(faults.is_sorted_by_key(|fault| (fault.line, fault.column)));
            prop_assert!(!faults.is_empty());
        }
    }
}
