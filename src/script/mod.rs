//! Migration scripts as text: their names, batches, checksums, directives and lint. Pure: no I/O, knows nobody.

mod batch;
mod checksum;
mod cursor;
mod database_id;
mod directive;
mod encoding;
mod engine_kind;
mod file_name;
mod finding;
mod lint;
mod migration_id;
mod migration_name;
pub mod operations;
mod rule;
mod statement;
mod syntax;
mod text_form;
mod variables;
mod version;

pub use batch::{
    Batch, Separator, Split, SplitError, SplitErrorKind, SplitNote, SplitNoteKind, split,
};
pub use checksum::{Checksum, ChecksumError};
pub use database_id::{DatabaseId, DatabaseIdError};
pub use directive::{DirectiveError, DirectiveErrorKind, Directives};
pub use encoding::{DecodeError, DecodeErrorKind, Decoded, Encoding, decode};
pub use engine_kind::{EngineKind, EngineKindError};
pub use file_name::{FileName, FileNameError, Prefix};
pub use finding::{Finding, Severity};
pub use lint::{
    AboutFile, AllowedFinding, Checked, CheckedFile, FolderFinding, KnownColumns, Neighbours,
    RULES, ScriptKind, check_decoding, check_folder, check_operations, check_script, check_split,
    missing_down_script,
};
pub use migration_id::{MigrationId, MigrationIdError};
pub use migration_name::{MigrationName, MigrationNameError};
pub use operations::{Operation, OperationFault, OperationScript, PlacedOperation};
pub use rule::{Rule, Scope};
pub use statement::{
    SessionChanges, TransactionEnd, is_single_statement, needs_no_transaction, own_transaction_end,
    session_changes,
};
pub use syntax::Syntax;
pub use variables::{
    Reference, UndefinedVariable, VariableError, Variables, json_references, references,
};
pub use version::{Version, VersionError};
