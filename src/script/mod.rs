//! Migration scripts as text: their names, batches, checksums, directives and lint. Pure: no I/O, knows nobody.

mod batch;
mod checksum;
mod cursor;
mod database_id;
mod encoding;
mod engine_kind;
mod file_name;
mod migration_id;
mod migration_name;
mod syntax;
mod text_form;
mod version;

pub use batch::{
    Batch, Separator, Split, SplitError, SplitErrorKind, SplitNote, SplitNoteKind, split,
};
pub use checksum::{Checksum, ChecksumError};
pub use database_id::{DatabaseId, DatabaseIdError};
pub use encoding::{DecodeError, DecodeErrorKind, Decoded, Encoding, decode};
pub use engine_kind::{EngineKind, EngineKindError};
pub use file_name::{FileName, FileNameError, Prefix};
pub use migration_id::{MigrationId, MigrationIdError};
pub use migration_name::{MigrationName, MigrationNameError};
pub use syntax::Syntax;
pub use version::{Version, VersionError};
