//! Migration scripts as text: their names, batches, checksums, directives and lint. Pure: no I/O, knows nobody.

mod checksum;
mod database_id;
mod engine_kind;
mod migration_id;
mod migration_name;
mod text_form;
mod version;

pub use checksum::{Checksum, ChecksumError};
pub use database_id::{DatabaseId, DatabaseIdError};
pub use engine_kind::{EngineKind, EngineKindError};
pub use migration_id::{MigrationId, MigrationIdError};
pub use migration_name::{MigrationName, MigrationNameError};
pub use version::{Version, VersionError};
