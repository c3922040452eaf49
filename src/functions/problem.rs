//! Problem details (RFC 9457): every answer that says why something was not done.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use warp::http::StatusCode;

use crate::engine::{Door, EngineError, FieldError, LockHolder, NotEmpty, Run};
use crate::schema::{ObjectCounts, OtherTool};
use crate::script::DatabaseId;

use super::answer::Answer;

/// Seconds after which a caller may try a locked database again.
const RETRY_LOCKED: u32 = 5;
/// Seconds after which a caller may try a service again that was down.
const RETRY_UNAVAILABLE: u32 = 30;
/// How many wrong fields the text of a problem names; `errors` has them all.
const FIELDS_IN_DETAIL: usize = 5;

/// A status of a problem: it can hold nothing but a 4xx or a 5xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorStatus {
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 406
    NotAcceptable,
    /// 409
    Conflict,
    /// 413
    PayloadTooLarge,
    /// 415
    UnsupportedMediaType,
    /// 422
    UnprocessableContent,
    /// 423
    Locked,
    /// 428
    PreconditionRequired,
    /// 500
    Internal,
    /// 502
    BadGateway,
    /// 503
    ServiceUnavailable,
}

impl ErrorStatus {
    /// Seconds after which the same request may succeed, for what passes by itself.
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Self::Locked => Some(RETRY_LOCKED),
            Self::ServiceUnavailable => Some(RETRY_UNAVAILABLE),
            _ => None,
        }
    }
}

impl From<ErrorStatus> for StatusCode {
    fn from(status: ErrorStatus) -> Self {
        match status {
            ErrorStatus::BadRequest => Self::BAD_REQUEST,
            ErrorStatus::NotFound => Self::NOT_FOUND,
            ErrorStatus::MethodNotAllowed => Self::METHOD_NOT_ALLOWED,
            ErrorStatus::NotAcceptable => Self::NOT_ACCEPTABLE,
            ErrorStatus::Conflict => Self::CONFLICT,
            ErrorStatus::PayloadTooLarge => Self::PAYLOAD_TOO_LARGE,
            ErrorStatus::UnsupportedMediaType => Self::UNSUPPORTED_MEDIA_TYPE,
            ErrorStatus::UnprocessableContent => Self::UNPROCESSABLE_ENTITY,
            ErrorStatus::Locked => Self::LOCKED,
            ErrorStatus::PreconditionRequired => Self::PRECONDITION_REQUIRED,
            ErrorStatus::Internal => Self::INTERNAL_SERVER_ERROR,
            ErrorStatus::BadGateway => Self::BAD_GATEWAY,
            ErrorStatus::ServiceUnavailable => Self::SERVICE_UNAVAILABLE,
        }
    }
}

/// Declares the codes with what belongs to each, so that none can be without its status or its title.
macro_rules! codes {
    ($($variant:ident => $text:literal, $status:ident, $title:literal;)*) => {
        /// A code of the contract.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as the contract writes it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The code that the contract writes so.
            fn named(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }

            /// The status that the code is answered with.
            pub fn status(self) -> ErrorStatus {
                match self { $(Self::$variant => ErrorStatus::$status,)* }
            }

            /// The title, which never changes for a code.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    InvalidRequest => "invalid-request", BadRequest, "The request is not valid";
    WrongEnvironment => "wrong-environment", BadRequest, "Another environment";
    UnknownDatabase => "unknown-database", NotFound, "No such database";
    UnknownMigration => "unknown-migration", NotFound, "No such migration";
    UnknownRun => "unknown-run", NotFound, "No such run";
    UnknownSnapshot => "unknown-snapshot", NotFound, "No such snapshot";
    NotFound => "not-found", NotFound, "No such path";
    MethodNotAllowed => "method-not-allowed", MethodNotAllowed, "The path does not know the method";
    NotAcceptable => "not-acceptable", NotAcceptable, "No acceptable type";
    AlreadyRegistered => "already-registered", Conflict, "Already registered with another text";
    DuplicateVersion => "duplicate-version", Conflict, "The version is taken";
    ReservedVersion => "reserved-version", Conflict, "The version is reserved";
    ChecksumMismatch => "checksum-mismatch", Conflict, "A script was changed after it was applied";
    NotApplied => "not-applied", Conflict, "The migration is not applied";
    NotLatest => "not-latest", Conflict, "Not the newest applied migration";
    NoDownScript => "no-down-script", Conflict, "There is no down script";
    OutOfOrder => "out-of-order", Conflict, "A migration is out of order";
    MissingVariant => "missing-variant", Conflict, "There is no script for this engine";
    HalfApplied => "half-applied", Conflict, "A migration may be half applied";
    NotTransactional => "not-transactional", Conflict, "A script cannot run in a transaction";
    NeedsKey => "needs-key", Conflict, "Changing containers needs the account's key";
    Protected => "protected", Conflict, "The migration is protected";
    Drifted => "drifted", Conflict, "The database was changed by hand";
    DriftNotJudged => "drift-not-judged", Conflict, "Drift cannot be judged now";
    NotEmpty => "not-empty", Conflict, "The database is not empty";
    RegistryLost => "registry-lost", Conflict, "The registry was lost";
    TooLarge => "too-large", PayloadTooLarge, "The body is too large";
    UnsupportedMediaType => "unsupported-media-type", UnsupportedMediaType, "The body is not JSON";
    MigrationFailed => "migration-failed", UnprocessableContent, "A script failed";
    Locked => "locked", Locked, "Another run holds the database";
    ConfirmationRequired => "confirmation-required", PreconditionRequired, "Production asks for a confirmation";
    Internal => "internal-error", Internal, "Something went wrong inside dbvc";
    Misconfigured => "misconfigured", Internal, "A setting is missing or wrong";
    DatabaseRefused => "database-refused", BadGateway, "The database refused";
    Unavailable => "unavailable", ServiceUnavailable, "A service cannot be used at the moment";
    RegistryNewer => "registry-newer", ServiceUnavailable, "The registry was written by a newer dbvc";
}

impl JsonSchema for Code {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProblemCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let texts: Vec<&str> = Self::ALL.iter().map(|code| code.as_str()).collect();
        json_schema!({ "type": "string", "enum": texts })
    }
}

impl From<&EngineError> for Code {
    /// The engine knows the codes, the contract their statuses.
    fn from(error: &EngineError) -> Self {
        Self::named(error.code()).unwrap_or(Self::Internal)
    }
}

/// Why a request was not carried out, as callers see it.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    detail: String,
    more: Box<More>,
}

/// What only some problems carry.
#[derive(Debug, Default)]
struct More {
    errors: Vec<FieldError>,
    lock: Option<LockHolder>,
    run: Option<Run>,
    not_empty: Option<Box<NotEmpty>>,
    database: Option<Refusal>,
    setting: Option<&'static str>,
    allow: Option<String>,
    /// For the log, never for callers.
    cause: Option<String>,
}

/// Why a database refused a statement of dbvc.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
pub struct Refusal {
    /// The server's error number; null when it gave none.
    number: Option<i64>,
    /// What the server said, or what dbvc found in its catalog.
    message: String,
}

/// "There is already an object named … in the database."
const NAME_TAKEN: i64 = 2714;

/// Why a request was not carried out (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
#[serde(rename_all = "camelCase")]
pub struct Body<'a> {
    /// `urn:dbvc:problem:` and the code.
    #[serde(rename = "type")]
    #[schemars(regex(pattern = "^urn:dbvc:problem:[a-z-]+$"))]
    kind: String,
    /// What kind of problem it is; the same for every problem of the code.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What happened, and what to do next.
    detail: &'a str,
    /// The code, for programs.
    #[schemars(with = "Code")]
    code: &'static str,
    /// The path of the request.
    instance: &'a str,
    /// Every field of the request that is wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// Who holds the database, when that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<&'a LockHolder>,
    /// The run that the problem ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a Run>,
    /// Of `not-empty`: the objects that the database holds, without dbvc's own tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    object_counts: Option<&'a ObjectCounts>,
    /// Of `not-empty`: the history tables of other migration tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    other_tools: Option<&'a [OtherTool]>,
    /// Of `not-empty`: the ids under which dbvc already manages this database.
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_as: Option<&'a [DatabaseId]>,
    /// What the database refused, of `database-refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a Refusal>,
    /// The setting that is missing or wrong, of `misconfigured`.
    #[serde(skip_serializing_if = "Option::is_none")]
    setting: Option<&'a str>,
}

impl Problem {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            more: Box::default(),
        }
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What is behind the problem, for the log.
    pub fn cause(&self) -> Option<&str> {
        self.more.cause.as_deref()
    }

    /// The answer to a request for `instance`, its path without the query.
    pub fn into_answer(self, instance: &str) -> Answer {
        let status = StatusCode::from(self.code.status());
        let not_empty = self.more.not_empty.as_deref();
        let body = Body {
            kind: format!("urn:dbvc:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: status.as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            instance,
            errors: &self.more.errors,
            lock: self.more.lock.as_ref(),
            run: self.more.run.as_ref(),
            object_counts: not_empty.map(|found| &found.counts),
            other_tools: not_empty.map(|found| found.other_tools.as_slice()),
            managed_as: not_empty.map(|found| found.managed_as.as_slice()),
            database: self.more.database.as_ref(),
            setting: self.more.setting,
        };
        // Nothing in the body can fail to become JSON; were it otherwise, the status still says what happened.
        let text = serde_json::to_string(&body).unwrap_or_default();
        let mut answer = Answer::text(status, "application/problem+json", text);
        if let Some(allow) = self.more.allow {
            answer = answer.with_header("allow", allow);
        }
        if let Some(seconds) = self.code.status().retry_after() {
            answer = answer.with_header("retry-after", seconds.to_string());
        }
        answer
    }
}

/// A request that is wrong as a whole.
pub fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}

/// A request with wrong fields.
pub fn wrong_fields(errors: Vec<FieldError>) -> Problem {
    let mut named: Vec<String> = errors
        .iter()
        .take(FIELDS_IN_DETAIL)
        .map(|error| format!("{} {}", error.field, error.message))
        .collect();
    if errors.len() > FIELDS_IN_DETAIL {
        named.push(format!(
            "{} more in errors",
            errors.len() - FIELDS_IN_DETAIL
        ));
    }
    let mut problem = bad_request(format!("correct the request: {}", named.join("; ")));
    problem.more.errors = errors;
    problem
}

/// A path that no function has.
pub fn not_found() -> Problem {
    Problem::new(
        Code::NotFound,
        "there is nothing at this path; the functions of dbvc are under /api/dbvc",
    )
}

/// A database that cannot exist, because no id has this form.
pub fn unknown_database() -> Problem {
    Problem::new(
        Code::UnknownDatabase,
        "there is no such database in the inventory; GET databases lists them",
    )
}

/// A migration that cannot exist, because no id has this form.
pub fn unknown_migration() -> Problem {
    Problem::new(
        Code::UnknownMigration,
        "there is no such migration; GET migrations/status?detailed=true lists them",
    )
}

/// A run that cannot exist, because no id has this form.
pub fn unknown_run() -> Problem {
    Problem::new(
        Code::UnknownRun,
        "there is no such run; GET runs lists the latest",
    )
}

/// A path that exists, but not for the method; `allow` lists those that it knows.
pub fn method_not_allowed(allow: String) -> Problem {
    let mut problem = Problem::new(
        Code::MethodNotAllowed,
        format!("use one of the methods of this path: {allow}"),
    );
    problem.more.allow = Some(allow);
    problem
}

/// A caller that accepts none of the types on offer.
pub fn not_acceptable(offers: &str) -> Problem {
    Problem::new(
        Code::NotAcceptable,
        format!("send an Accept header that allows one of: {offers}"),
    )
}

/// A body above the limit.
pub fn too_large() -> Problem {
    Problem::new(
        Code::TooLarge,
        "the body is over 10 MiB; split the script into several migrations",
    )
}

/// A body in another form than JSON.
pub fn unsupported_media_type(detail: impl Into<String>) -> Problem {
    Problem::new(Code::UnsupportedMediaType, detail)
}

/// A defect of dbvc; `cause` is for the log only.
pub fn internal(cause: impl Into<String>) -> Problem {
    let mut problem = Problem::new(
        Code::Internal,
        "the reason is in the log under the x-request-id of this answer; try again, and report it if it stays",
    );
    problem.more.cause = Some(cause.into());
    problem
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let code = Code::from(&error);
        let detail = error.detail(Door::Http);
        match error {
            EngineError::Invalid(errors) => wrong_fields(errors),
            EngineError::InRun { problem, run } => {
                let mut problem = Self::from(*problem);
                problem.more.run = Some(*run);
                problem
            }
            other => {
                let mut problem = Self::new(code, detail);
                problem.more.cause = causes(&other);
                match other {
                    EngineError::Locked { holder, .. } => problem.more.lock = holder,
                    EngineError::MigrationFailed(run) => problem.more.run = Some(*run),
                    EngineError::NotEmpty(found) => problem.more.not_empty = Some(found),
                    EngineError::NamesTaken { taken, schema, .. } => {
                        let names: Vec<String> = taken.iter().map(ToString::to_string).collect();
                        problem.more.database = Some(Refusal {
                            number: schema.map(|_| NAME_TAKEN),
                            message: format!("these names are taken: {}", names.join(", ")),
                        });
                    }
                    EngineError::RegistryDamaged { missing, .. } => {
                        problem.more.database = Some(Refusal {
                            number: None,
                            message: missing.join("; "),
                        });
                    }
                    EngineError::DatabaseRefused {
                        number, message, ..
                    } => problem.more.database = Some(Refusal { number, message }),
                    EngineError::RegistryInSchema { .. } => {
                        problem.more.setting = Some("DBVC_SCHEMA");
                    }
                    _ => {}
                }
                problem
            }
        }
    }
}

/// What is behind an error, outermost first.
fn causes(error: &dyn std::error::Error) -> Option<String> {
    let mut texts = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        texts.push(cause.to_string());
        source = cause.source();
    }
    (!texts.is_empty()).then(|| texts.join(": "))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::database::{DatabaseError, RegistrySchema, TakenName};
    use crate::engine::LostRegistry;
    use crate::script::MigrationId;

    fn body(answer: &Answer) -> Value {
        serde_json::from_str(answer.body()).unwrap()
    }

    fn orders() -> DatabaseId {
        DatabaseId::parse("orders").unwrap()
    }

    #[test]
    fn a_problem_has_all_members_of_the_contract() {
        let answer = bad_request("send JSON").into_answer("/api/dbvc/migrations");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(
            body(&answer),
            serde_json::json!({
                "type": "urn:dbvc:problem:invalid-request", "title": "The request is not valid", "status": 400,
                "detail": "send JSON", "code": "invalid-request", "instance": "/api/dbvc/migrations",
            })
        );
    }

    #[test]
    fn every_wrong_field_is_listed() {
        let errors: Vec<FieldError> = (0..7)
            .map(|n| FieldError::new(format!("field{n}"), "is required"))
            .collect();
        let body = body(&wrong_fields(errors).into_answer("/"));
        assert_eq!(body["errors"].as_array().unwrap().len(), 7);
        assert_eq!(
            body["errors"][6],
            serde_json::json!({"field": "field6", "message": "is required"})
        );
        assert!(
            body["detail"]
                .as_str()
                .unwrap()
                .ends_with("2 more in errors")
        );
    }

    #[test]
    fn a_locked_database_names_the_holder_and_when_to_try_again() {
        let at: crate::time::Timestamp = "2025-11-27T14:30:00Z".parse().unwrap();
        let problem = Problem::from(EngineError::Locked {
            database: orders(),
            holder: Some(LockHolder {
                owner: "instance 1".to_owned(),
                acquired_at: at,
                expires_at: at.plus_seconds(30),
            }),
        });
        let answer = problem.into_answer("/");
        assert_eq!(answer.status(), StatusCode::LOCKED);
        assert!(answer.header("retry-after").is_some());
        assert_eq!(
            body(&answer)["lock"],
            serde_json::json!({
                "owner": "instance 1", "acquiredAt": "2025-11-27T14:30:00.000Z", "expiresAt": "2025-11-27T14:30:30.000Z",
            })
        );
    }

    #[test]
    fn the_words_of_a_driver_go_to_the_log_and_not_to_the_caller() {
        let problem = Problem::from(EngineError::Unavailable {
            database: orders(),
            source: Some(DatabaseError::Unavailable {
                phase: "opening it",
                message: "cannot open secret-place".to_owned(),
            }),
        });
        assert!(problem.cause().unwrap().contains("secret-place"));
        let answer = problem.into_answer("/");
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.header("retry-after").is_some());
        assert!(!answer.body().contains("secret-place"));
    }

    #[test]
    fn what_a_database_refused_is_told_with_the_servers_number_and_words() {
        let refused = |error: EngineError| {
            let answer = Problem::from(error).into_answer("/");
            assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
            // It does not pass by itself.
            assert_eq!(answer.header("retry-after"), None);
            body(&answer)
        };
        let body = refused(EngineError::DatabaseRefused {
            database: orders(),
            phase: "making its own tables",
            number: Some(262),
            message: "CREATE TABLE permission denied".to_owned(),
        });
        assert_eq!(
            body["database"],
            serde_json::json!({"number": 262, "message": "CREATE TABLE permission denied"})
        );
        assert_eq!(
            body["detail"],
            "orders refused a statement of dbvc while making its own tables: error 262, CREATE TABLE permission denied; \
             remove the cause, such as a missing permission, then try again"
        );
        let taken = |schema: Option<&str>| EngineError::NamesTaken {
            database: orders(),
            taken: vec![TakenName {
                name: "dbo.audit_events".to_owned(),
                kind: "table",
            }],
            schema: schema.map(|name| RegistrySchema::parse(name).unwrap()),
        };
        let body = refused(taken(Some("dbo")));
        assert_eq!(
            body["database"],
            serde_json::json!({"number": 2714, "message": "these names are taken: dbo.audit_events (table)"})
        );
        assert_eq!(
            body["detail"],
            "orders has objects with names that dbvc needs for its own tables: dbo.audit_events (table); set DBVC_SCHEMA \
             to another schema, for example dbvc"
        );
        let again = refused(taken(Some("DBVC")))["detail"].to_string();
        assert!(again.contains("for example dbvc_registry"), "{again}");
        let body = refused(taken(None));
        assert_eq!(body["database"]["number"], Value::Null);
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.ends_with("; rename them"), "{detail}");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let problem = Problem::from(EngineError::RegistryInSchema {
            database: orders(),
            found: "dbo".to_owned(),
            configured: RegistrySchema::parse("dbvc").unwrap(),
        });
        let answer = problem.into_answer("/");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body(&answer)["code"], "misconfigured");
        assert_eq!(body(&answer)["setting"], "DBVC_SCHEMA");
        assert_eq!(
            body(&answer)["detail"],
            "dbvc's own tables in orders are in the schema dbo, but DBVC_SCHEMA is dbvc; set DBVC_SCHEMA to dbo"
        );
    }

    #[test]
    fn a_wrong_method_is_told_those_that_are_right() {
        let answer = method_not_allowed("GET, PUT".to_owned()).into_answer("/");
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.header("allow"), Some("GET, PUT"));
    }

    #[test]
    fn codes_agree_with_those_that_the_engine_writes_into_runs() {
        let id = || MigrationId::parse("V1__x").unwrap();
        for error in [
            EngineError::Invalid(Vec::new()),
            EngineError::UnknownDatabase("x".to_owned()),
            EngineError::OwnMigration(id()),
            EngineError::ChecksumMismatch(vec![id()]),
            EngineError::HalfApplied(vec![id()]),
            EngineError::Drifted { changes: 1 },
            EngineError::DriftNotJudged("a run is at work".to_owned()),
            EngineError::ConfirmationRequired(id()),
            EngineError::RegistryLost(Box::new(LostRegistry {
                database: orders(),
                events: 7,
                last: None,
                is_place_recorded: true,
                has_applied: true,
                is_database_empty: false,
                found: None,
            })),
            EngineError::RegistryNewer {
                database: orders(),
                found: "100.9".to_owned(),
            },
            EngineError::NamesTaken {
                database: orders(),
                taken: Vec::new(),
                schema: None,
            },
            EngineError::RegistryInSchema {
                database: orders(),
                found: "dbvc".to_owned(),
                configured: RegistrySchema::default(),
            },
        ] {
            assert_eq!(Code::from(&error).as_str(), error.code());
        }
    }
}
