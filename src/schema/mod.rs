//! Pure: the model of a schema, what counts as the same, the difference between two, and how it is shown.
//!
//! Nothing here does I/O or knows another module. `model` is what a reader fills and a snapshot stores; `normalise`
//! says which differences of writing mean nothing; `facts` takes a schema apart by those rules, and both the hash and
//! [`diff()`] compare nothing but facts, so equal hashes and an empty diff are one and the same thing. `synchronise`
//! writes a script out of such a difference, for people to read.

pub mod container;
pub mod diff;
mod facts;
pub mod lexer;
mod missing_objects;
pub mod model;
pub mod normalise;
mod other_tools;
pub mod page;
pub mod report;
pub mod synchronise;

pub use container::{Container, ContainerThroughput, IndexingPolicy};
pub use diff::{Change, ChangeKind, Detail, diff};
pub use missing_objects::MissingObjects;
pub use model::{
    Check, Column, ExtendedProperty, ForeignKey, FormatVersion, Generated, Index, KeyColumn,
    KeyTerm, Module, ModuleSettings, Namespace, NotRead, ObjectCounts, ObjectKind, OtherObject,
    Part, Permission, PermissionState, PrimaryKey, ReferentialAction, Role, Schema, Securable,
    Sequence, SequenceCache, Synonym, Table, TableOptions, Trigger, Unique, Unknown, UserType,
};
pub use other_tools::{OtherTool, other_tools};
pub use report::Report;
pub use synchronise::{Compared, Dialect, Proposal, Purpose, proposal};
