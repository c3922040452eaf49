//! How the table of functions describes what each of them takes and answers.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::functions::problem::Code;
use crate::functions::request::Method;
use crate::script::{DatabaseId, MigrationId};

use super::kinds;

/// Makes a schema. It may put schemas of named types aside and refer to them.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of a type, as the type is serialised.
pub fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// One method of a function on one of the paths of its route.
#[derive(Debug)]
pub struct Operation {
    /// The method.
    pub method: Method,
    /// The function's route; where that ends with an optional parameter, one of the two paths that it stands for.
    pub path: &'static str,
    /// The name of the operation, by which generated clients call it.
    pub id: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// What else a caller must know.
    pub description: &'static str,
    /// The parameters of the query.
    pub query: &'static [Field],
    /// Whether it heeds `Prefer: respond-async`.
    pub may_respond_async: bool,
    /// The fields of the body; none where there is no body to send.
    pub body: &'static [Field],
    /// Fields of the body of which a request must have at least one; none where there is no such rule.
    pub at_least_one_of: &'static [&'static str],
    /// What it answers when it is no problem.
    pub answers: &'static [Success],
    /// The codes of its problems, besides those that every operation has.
    pub problems: &'static [&'static [Code]],
}

impl Operation {
    /// An operation that takes nothing; what it does take is added by struct update.
    pub const NOTHING: Self = Self {
        method: Method::Get,
        path: "",
        id: "",
        summary: "",
        description: "",
        query: &[],
        may_respond_async: false,
        body: &[],
        at_least_one_of: &[],
        answers: &[],
        problems: &[],
    };
}

/// A field of a body or a parameter of a query.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Whether a request without it is refused.
    pub is_required: bool,
    /// What it is.
    pub description: &'static str,
    /// What values it takes.
    pub schema: SchemaOf,
}

/// A field that a request must have.
pub const fn required(name: &'static str, description: &'static str, schema: SchemaOf) -> Field {
    Field {
        name,
        is_required: true,
        description,
        schema,
    }
}

/// A field that a request may have.
pub const fn optional(name: &'static str, description: &'static str, schema: SchemaOf) -> Field {
    Field {
        is_required: false,
        ..required(name, description, schema)
    }
}

/// The parameters of paths.
pub const PATH_PARAMETERS: &[Field] = &[
    required("databaseId", "The id of a database.", of::<DatabaseId>),
    required("migrationId", "The id of a migration.", of::<MigrationId>),
    required("runId", "The id of a run.", kinds::string),
];

/// That the caller prefers not to wait.
pub const PREFER: Field = optional(
    "prefer",
    "`respond-async` (RFC 7240) is answered by 202 as soon as the request is known to be valid.",
    kinds::string,
);

/// Who asks, for functions whose body does not say it.
pub const EXECUTOR: Field = optional("executor", "Who asks.", kinds::person);

/// What `limit` is.
pub const LIMIT: &str = "How many items there are at most.";

/// What `continuation` is.
pub const CONTINUATION: &str = "What the page before gave, to get the next one.";

/// An answer that is no problem.
#[derive(Debug)]
pub struct Success {
    /// Its status.
    pub status: u16,
    /// When it is given.
    pub description: &'static str,
    /// Its body as JSON; in every other type that the function offers it is a text.
    pub schema: SchemaOf,
    /// Its headers, besides those that every answer has.
    pub headers: &'static [Header],
}

/// An answer without headers of its own.
pub const fn success(status: u16, description: &'static str, schema: SchemaOf) -> Success {
    Success {
        status,
        description,
        schema,
        headers: &[],
    }
}

/// A header of an answer.
#[derive(Debug)]
pub struct Header {
    /// Its name in lower case.
    pub name: &'static str,
    /// What it says.
    pub description: &'static str,
    /// Whether such an answer always has it.
    pub is_required: bool,
}

/// What finds an answer again in the log.
pub const REQUEST_ID: Header = Header {
    name: "x-request-id",
    description: "The host's invocation id where there is one; the log has it too.",
    is_required: true,
};

/// When to try again.
pub const RETRY_AFTER: Header = Header {
    name: "retry-after",
    description: "The seconds after which another attempt may succeed.",
    is_required: true,
};

/// Where what was made, or what is going on, can be asked for.
pub const LOCATION: Header = Header {
    name: "location",
    description: "The path, without the host, at which it can be asked for.",
    is_required: true,
};

/// That a preference was heeded.
pub const PREFERENCE_APPLIED: Header = Header {
    name: "preference-applied",
    description: "`respond-async` when the request preferred that.",
    is_required: false,
};

/// On which headers of the request the answer depends.
pub const VARY: Header = Header {
    name: "vary",
    description: "`Accept`: the type of the body depends on it.",
    is_required: true,
};

/// What every function meets that looks at a database.
pub const OF_A_DATABASE: &[Code] = &[
    Code::WrongEnvironment,
    Code::UnknownDatabase,
    Code::Locked,
    Code::Misconfigured,
    Code::DatabaseRefused,
    Code::Unavailable,
    Code::RegistryNewer,
];

/// What every function meets that reads the inventory, or a list that all databases share.
pub const OF_THE_HOME_DATABASE: &[Code] = &[
    Code::Locked,
    Code::Misconfigured,
    Code::DatabaseRefused,
    Code::Unavailable,
    Code::RegistryNewer,
];

/// What every function meets that writes: the first write finds out that a registry was lost.
pub const OF_WRITING: &[Code] = &[Code::RegistryLost];
