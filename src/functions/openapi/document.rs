//! The document: made of the table of functions, the types of the answers, and examples.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{SchemaGenerator, json_schema};
use serde_json::{Value, json};
use warp::http::StatusCode;

use crate::functions::accept::MediaType;
use crate::functions::problem::{Body, Code, ErrorStatus};
use crate::functions::router::param_names;
use crate::functions::{HTTP_FUNCTIONS, HttpFunction};

use super::examples::Examples;
use super::kinds;
use super::operation::{
    Header, Operation, PATH_PARAMETERS, PREFER, REQUEST_ID, RETRY_AFTER, SchemaOf, Success, of,
};
use super::parts::{
    Components, Content, Document, HeaderObject, OperationObject, OrReference, Parameter,
    RequestBody, Response,
};

/// Where schemas of named types are.
const SCHEMAS: &str = "/components/schemas";
/// The type of a problem.
const PROBLEM: &str = "application/problem+json";

/// Headers that most answers have.
const SHARED_HEADERS: &[Header] = &[REQUEST_ID, RETRY_AFTER];

/// The codes of problems that every operation has.
const ALWAYS: &[Code] = &[
    Code::InvalidRequest,
    Code::NotAcceptable,
    Code::TooLarge,
    Code::Internal,
];

const DESCRIPTION: &str = "\
Database version control for Azure SQL Database and Cosmos DB. Times are RFC 3339 in UTC with milliseconds. Fields may be \
added to answers; unknown fields and query parameters of a request are refused, and null stands for an optional field that is \
missing. The query parameters `code` and `clientId` are always allowed: the host's keys travel there. Paths match without \
regard to case and with a trailing slash. A method that a path does not know is answered by 405 with `Allow`, and by the host \
itself with 404.";

/// Describes every function of the table.
pub fn build() -> Document {
    let mut writer = Writer::new();
    let mut paths: BTreeMap<String, BTreeMap<String, OperationObject>> = BTreeMap::new();
    for function in HTTP_FUNCTIONS {
        for operation in function.operations {
            paths
                .entry(format!("/api/{}", operation.path))
                .or_default()
                .insert(
                    operation.method.as_str().to_ascii_lowercase(),
                    writer.operation(function, operation),
                );
        }
    }
    let mut schemas = writer.generator.take_definitions(true);
    schemas.values_mut().for_each(unlink);
    Document {
        openapi: "3.1.1",
        info: json!({
            "title": "dbvc",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
        }),
        servers: json!([{ "url": "/" }]),
        security: json!([{ "functionKey": [] }, { "functionKeyInQuery": [] }]),
        paths,
        components: Components {
            security_schemes: json!({
                "functionKey": { "type": "apiKey", "in": "header", "name": "x-functions-key" },
                "functionKeyInQuery": { "type": "apiKey", "in": "query", "name": "code" },
            }),
            headers: SHARED_HEADERS
                .iter()
                .map(|shared| (shared.name, header(shared)))
                .collect(),
            responses: writer.responses,
            schemas,
        },
    }
}

/// What is gathered while operations are described.
struct Writer {
    generator: SchemaGenerator,
    examples: Examples,
    /// Problems by their codes; most operations share most of theirs.
    responses: BTreeMap<String, Response>,
}

impl Writer {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        let settings = settings.with(|settings| {
            settings.definitions_path = SCHEMAS.into();
            settings.meta_schema = None;
        });
        Self {
            generator: settings.into_generator(),
            examples: Examples::read(),
            responses: BTreeMap::new(),
        }
    }

    fn operation(
        &mut self,
        function: &HttpFunction,
        operation: &'static Operation,
    ) -> OperationObject {
        let request_body = (!operation.body.is_empty()).then(|| RequestBody {
            required: true,
            content: BTreeMap::from([(MediaType::Json.essence(), self.body(operation))]),
        });
        let mut responses = BTreeMap::new();
        let mut answers: BTreeMap<String, Response> = operation
            .answers
            .iter()
            .map(|success| {
                let answer = self.answer(function, operation, success);
                (success.status.to_string(), answer)
            })
            .collect();
        for (status, codes) in problems(operation) {
            let problem = self.problem(operation, status, &codes);
            let status = StatusCode::from(status).as_str().to_owned();
            // A status may be that of an answer as well as that of a problem; the type says which.
            let problem = match answers.remove(&status) {
                Some(answer) => OrReference::Itself(answer.or(problem)),
                None => self.shared(operation, &status, &codes, problem),
            };
            responses.insert(status, problem);
        }
        let answers = answers.into_iter();
        responses.extend(answers.map(|(status, answer)| (status, OrReference::Itself(answer))));
        OperationObject {
            operation_id: operation.id,
            summary: operation.summary,
            description: operation.description,
            parameters: self.parameters(operation),
            request_body,
            responses,
            security: (!function.needs_key).then(Vec::new),
        }
    }

    fn body(&mut self, operation: &Operation) -> Content {
        let mut schema = kinds::object(&mut self.generator, operation.body);
        if !operation.at_least_one_of.is_empty() {
            let each = operation.at_least_one_of.iter();
            let each: Vec<Value> = each.map(|name| json!({ "required": [name] })).collect();
            schema.insert("anyOf".to_owned(), each.into());
        }
        Content {
            schema,
            example: self.examples.request(operation),
        }
    }

    fn parameters(&mut self, operation: &'static Operation) -> Vec<Parameter> {
        let in_path = param_names(operation.path).filter_map(|name| {
            let field = PATH_PARAMETERS.iter().find(|field| field.name == name)?;
            Some(("path", field))
        });
        let in_query = operation.query.iter().map(|field| ("query", field));
        let in_header = operation.may_respond_async.then_some(("header", &PREFER));
        in_path
            .chain(in_query)
            .chain(in_header)
            .map(|(place, field)| Parameter {
                name: field.name,
                place,
                description: field.description,
                required: field.is_required,
                schema: (field.schema)(&mut self.generator),
                example: self.examples.parameter(operation, field.name),
            })
            .collect()
    }

    fn answer(
        &mut self,
        function: &HttpFunction,
        operation: &Operation,
        success: &Success,
    ) -> Response {
        let mut content = BTreeMap::new();
        for offer in function.offers {
            let schema: SchemaOf = match offer {
                MediaType::Json => success.schema,
                MediaType::Markdown | MediaType::Html | MediaType::Sql => kinds::string,
            };
            let status = success.status.to_string();
            let body = Content {
                schema: schema(&mut self.generator),
                example: self.examples.answer(operation, &status, offer.essence()),
            };
            content.insert(offer.essence(), body);
        }
        Response {
            description: success.description.to_owned(),
            headers: headers(success.headers.iter().chain([&REQUEST_ID])),
            content,
        }
    }

    fn problem(&mut self, operation: &Operation, status: ErrorStatus, codes: &[Code]) -> Response {
        let texts: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let described: Vec<String> = codes
            .iter()
            .map(|code| format!("`{}`: {}.", code.as_str(), code.title()))
            .collect();
        let mut schema = of::<Body<'_>>(&mut self.generator);
        schema.insert(
            "properties".to_owned(),
            json!({ "code": { "enum": texts } }),
        );
        let example = self
            .examples
            .answer(operation, StatusCode::from(status).as_str(), PROBLEM);
        let retry = status.retry_after().map(|_| &RETRY_AFTER);
        Response {
            description: described.join(" "),
            headers: headers(retry.into_iter().chain([&REQUEST_ID])),
            content: BTreeMap::from([(PROBLEM, Content { schema, example })]),
        }
    }

    /// A problem with an example stands in its operation, any other among the components.
    fn shared(
        &mut self,
        operation: &Operation,
        status: &str,
        codes: &[Code],
        problem: Response,
    ) -> OrReference<Response> {
        if self.examples.answer(operation, status, PROBLEM).is_some() {
            return OrReference::Itself(problem);
        }
        let texts: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let name = texts.join(".");
        let place = format!("#/components/responses/{name}");
        self.responses.insert(name, problem);
        OrReference::Reference { place }
    }
}

/// The codes of an operation by their statuses, in the order of the contract.
fn problems(operation: &Operation) -> Vec<(ErrorStatus, Vec<Code>)> {
    let has = |code: Code| {
        let by_itself = match code {
            Code::UnsupportedMediaType => !operation.body.is_empty(),
            Code::NotFound => operation.path.contains('{'),
            _ => ALWAYS.contains(&code),
        };
        by_itself || operation.problems.iter().any(|codes| codes.contains(&code))
    };
    let mut found: Vec<(ErrorStatus, Vec<Code>)> = Vec::new();
    for code in Code::ALL.iter().copied().filter(|code| has(*code)) {
        match found
            .iter_mut()
            .find(|(status, _)| *status == code.status())
        {
            Some((_, codes)) => codes.push(code),
            None => found.push((code.status(), vec![code])),
        }
    }
    found
}

fn headers<'a>(
    headers: impl Iterator<Item = &'a Header>,
) -> BTreeMap<&'static str, OrReference<HeaderObject>> {
    headers
        .map(|found| {
            let is_shared = SHARED_HEADERS
                .iter()
                .any(|shared| shared.name == found.name);
            let object = if is_shared {
                let place = format!("#/components/headers/{}", found.name);
                OrReference::Reference { place }
            } else {
                OrReference::Itself(header(found))
            };
            (found.name, object)
        })
        .collect()
}

fn header(header: &Header) -> HeaderObject {
    HeaderObject {
        description: header.description,
        required: header.is_required,
        schema: json_schema!({ "type": "string" }),
    }
}

/// Takes the links of rustdoc out of descriptions: they lead nowhere outside the source.
fn unlink(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if name == "description" => {
                        *text = text.replace("[`", "`").replace("`]", "`");
                    }
                    other => unlink(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unlink),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The paths that a route stands for.
    fn forms(route: &str) -> Vec<String> {
        match route.rsplit_once('/') {
            Some((before, last)) if last.ends_with("?}") => {
                vec![before.to_owned(), route.replace("?}", "}")]
            }
            _ => vec![route.to_owned()],
        }
    }

    #[test]
    fn every_method_of_every_form_of_a_route_is_described_once() {
        for function in HTTP_FUNCTIONS {
            let mut expected: Vec<String> = Vec::new();
            for form in forms(function.route) {
                for method in function.methods() {
                    expected.push(format!("{} {form}", method.as_str()));
                }
            }
            let mut described: Vec<String> = function
                .operations
                .iter()
                .map(|operation| format!("{} {}", operation.method.as_str(), operation.path))
                .collect();
            expected.sort();
            described.sort();
            assert_eq!(described, expected, "{}", function.name);
        }
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_and_says_what_it_does() {
        let mut ids = BTreeSet::new();
        for operation in HTTP_FUNCTIONS
            .iter()
            .flat_map(|function| function.operations)
        {
            assert!(ids.insert(operation.id), "{} comes twice", operation.id);
            assert!(
                !operation.id.is_empty() && !operation.summary.is_empty(),
                "{operation:?}"
            );
            assert!(!operation.answers.is_empty(), "{operation:?}");
        }
    }

    #[test]
    fn every_parameter_of_a_path_is_described() {
        for operation in HTTP_FUNCTIONS
            .iter()
            .flat_map(|function| function.operations)
        {
            for name in param_names(operation.path) {
                assert!(
                    PATH_PARAMETERS.iter().any(|field| field.name == name),
                    "{name} of {}",
                    operation.path
                );
            }
        }
    }

    #[test]
    fn a_status_of_an_answer_and_of_a_problem_has_the_types_of_both() {
        let document = serde_json::to_value(build()).unwrap();
        let unavailable = &document["paths"]["/api/dbvc"]["get"]["responses"]["503"];
        assert!(unavailable["content"]["application/json"].is_object());
        assert!(unavailable["content"][PROBLEM].is_object());
        // Health says nothing of when to ask again.
        assert!(unavailable["headers"]["retry-after"].is_null());
        let only_an_answer = &document["paths"]["/api/dbvc/health"]["get"]["responses"]["503"];
        assert!(only_an_answer["content"][PROBLEM].is_null());
    }

    #[test]
    fn every_code_is_one_of_some_operation_or_of_none_at_all() {
        let described: Vec<Code> = HTTP_FUNCTIONS
            .iter()
            .flat_map(|function| function.operations)
            .flat_map(problems)
            .flat_map(|(_, codes)| codes)
            .collect();
        for code in Code::ALL {
            // A path without the method is no operation.
            let is_of_none = *code == Code::MethodNotAllowed;
            assert_eq!(described.contains(code), !is_of_none, "{}", code.as_str());
        }
    }
}
