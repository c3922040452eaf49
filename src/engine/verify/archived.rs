//! Where the checks find what is archived of a database.

use crate::audit::{Archive, Partition};

/// What is archived of a database.
#[derive(Debug, Clone, Copy)]
pub(super) enum Archived<'a> {
    /// It has no archive.
    Nowhere,
    /// The archive cannot be asked which part of it is this database's.
    Unreadable,
    /// The archive has nothing of it.
    Nothing,
    /// A part of the archive.
    At(&'a dyn Archive, &'a Partition),
}

impl Archived<'_> {
    pub fn whereabouts(self) -> Whereabouts {
        match self {
            Self::Nowhere => Whereabouts::NoArchive,
            Self::Nothing => Whereabouts::NothingYet,
            Self::At(archive, _) if archive.source() == "embedded" => Whereabouts::Embedded,
            Self::Unreadable | Self::At(..) => Whereabouts::Elsewhere,
        }
    }
}

/// The same in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// There is no archive.
    NoArchive,
    /// The archive has nothing of the database yet.
    NothingYet,
    /// In the file beside the embedded databases.
    Embedded,
    /// In Cosmos DB, or nobody could look.
    Elsewhere,
}
