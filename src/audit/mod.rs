//! The trail: events, their hash chain, the outbox, and the archive that they are delivered to.

mod archive;
pub mod chain;
pub mod cosmos;
pub mod embedded;
mod event;
pub mod lineage;
mod outbox;
pub mod stream;
mod writer;

pub use archive::{
    Added, Archive, ArchiveError, ArchiveErrorKind, ArchivedMigration, ArchivedSnapshot,
    EventFilter, SnapshotHeader,
};
pub use event::{Event, EventDraft, EventType};
pub use outbox::{Delivery, DeliveryError, Looked, Refused, copy_of, deliver};
pub use stream::{ChainId, Partition, Stream};
pub use writer::{AppendError, Change, Head, append, from_row, to_row};
