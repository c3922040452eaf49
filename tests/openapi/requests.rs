//! Whether what is described of requests is what is read of them.

use serde_json::{Map, Value, json};

use crate::support::contract;
use crate::support::dbvc::Dbvc;

/// Every operation with its method and a path for it.
fn operations() -> Vec<(String, String, &'static Value)> {
    let paths = contract::document()["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let path = path
                .replace("{databaseId}", "lpa-bloom-sql-dev")
                .replace("{migrationId}", "V1__none")
                .replace("{runId}", "none");
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        })
        .collect()
}

fn body_of(operation: &Value) -> Option<&Value> {
    operation.pointer("/requestBody/content/application~1json/schema")
}

/// The names of the wrong fields with what is said of each.
fn wrong_fields(problem: &Value) -> Vec<(String, String)> {
    let errors = problem["errors"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    errors
        .map(|error| (text(&error["field"]), text(&error["message"])))
        .collect()
}

fn names(list: &Value) -> Vec<String> {
    let names = list.as_array().into_iter().flatten();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn exactly_the_required_fields_of_a_body_are_missed() {
    let dbvc = Dbvc::start().await;
    for (method, path, operation) in operations() {
        let Some(schema) = body_of(operation) else {
            continue;
        };
        let request = dbvc.host.request(&method, &path).json(&json!({}));
        let answer = request.send().await.expect_status(400);
        let missed: Vec<String> = wrong_fields(&answer.body)
            .into_iter()
            .map(|(name, message)| {
                assert_eq!(message, "is required", "{name} of {path}");
                name
            })
            .collect();
        let required = names(&schema["required"]);
        let alternatives: Vec<String> = schema["anyOf"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|each| names(&each["required"]))
            .collect();
        for name in &required {
            assert!(missed.contains(name), "{name} of {method} {path}");
        }
        for name in &missed {
            assert!(
                required.contains(name) || alternatives.contains(name),
                "{name} of {method} {path} is required"
            );
        }
    }
}

#[tokio::test]
async fn every_described_field_of_a_body_is_known_and_no_value_of_another_kind_is_taken() {
    let dbvc = Dbvc::start().await;
    for (method, path, operation) in operations() {
        let Some(schema) = body_of(operation) else {
            continue;
        };
        let described = schema["properties"].as_object().unwrap();
        // A list of lists is what no field takes.
        let all: Map<String, Value> = described
            .keys()
            .map(|name| (name.clone(), json!([[]])))
            .collect();
        let request = dbvc.host.request(&method, &path).json(&all.into());
        let answer = request.send().await.expect_status(400);
        let wrong = wrong_fields(&answer.body);
        for name in described.keys() {
            let said: Vec<&str> = wrong
                .iter()
                .filter(|(field, _)| field.split(['[', '.']).next() == Some(name))
                .map(|(_, message)| message.as_str())
                .collect();
            assert!(!said.is_empty(), "{name} of {method} {path} is not wrong");
            assert!(
                said.iter().all(|message| !message.contains("is not known")),
                "{name} of {method} {path}: {said:?}"
            );
        }
    }
}

#[tokio::test]
async fn exactly_the_described_parameters_of_a_query_are_known_and_missed() {
    let dbvc = Dbvc::start().await;
    for (method, path, operation) in operations() {
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none);
        let in_query = |parameter: &&Value| parameter["in"] == "query";
        for parameter in parameters.iter().filter(in_query) {
            let name = parameter["name"].as_str().unwrap();
            // The others belong to functions that a view shows, and are tried there.
            if path == "/api/dbvc" && name != "view" {
                continue;
            }
            // A control character is what no parameter takes.
            let target = format!("{path}?{name}=%01");
            let request = dbvc.host.request(&method, &target).json(&json!({}));
            let answer = request.send().await.expect_status(400);
            let wrong = wrong_fields(&answer.body);
            let said = wrong.iter().find(|(field, _)| field == name);
            assert!(
                said.is_some_and(|(_, message)| !message.contains("is not known")),
                "{method} {target}: {said:?}"
            );
        }
        let required: Vec<&Value> = parameters
            .iter()
            .filter(in_query)
            .filter(|parameter| parameter["required"] == true)
            .map(|parameter| &parameter["name"])
            .collect();
        let target = format!("{path}?no-such-parameter=1");
        let request = dbvc.host.request(&method, &target).json(&json!({}));
        let answer = request.send().await.expect_status(400);
        let wrong = wrong_fields(&answer.body);
        assert!(
            wrong.iter().any(|(field, _)| field == "no-such-parameter"),
            "{method} {path}"
        );
        if body_of(operation).is_none() {
            let missed: Vec<&String> = wrong
                .iter()
                .map(|(field, _)| field)
                .filter(|field| *field != "no-such-parameter")
                .collect();
            assert_eq!(missed, required, "{method} {path}");
        }
    }
}
