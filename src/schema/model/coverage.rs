//! How much of a schema a snapshot knows: the format it was written in, and what the reader could not see.
//!
//! What one of two snapshots does not know of cannot have changed between them. Without this a newer dbvc, or a server that
//! lacks a view, would report every sequence as added.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The format in which a schema was written. A dbvc writes the newest that it knows, and reads those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(extend("minimum" = 1, "maximum" = FormatVersion::CURRENT.0))]
pub struct FormatVersion(u32);

impl FormatVersion {
    /// The format that this dbvc writes. It grows when more of a schema is read, so that the older one can be told from a
    /// schema that has nothing of it.
    pub const CURRENT: Self = Self(2);

    /// The number in `formatVersion`.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl Default for FormatVersion {
    fn default() -> Self {
        Self::CURRENT
    }
}

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = u32::deserialize(deserializer)?;
        let current = Self::CURRENT.0;
        if found == 0 {
            return Err(serde::de::Error::custom("schema format 0 does not exist"));
        }
        if found > current {
            return Err(serde::de::Error::custom(format!(
                "the schema was written in format {found} by a newer dbvc, this one reads up to {current}: update dbvc"
            )));
        }
        Ok(Self(found))
    }
}

/// A part of a schema that not every snapshot knows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    Schemas,
    Sequences,
    Types,
    Synonyms,
    /// Roles and their members.
    Roles,
    Permissions,
    ExtendedProperties,
    /// Seed and increment of an identity.
    Identities,
    /// Masks of columns.
    Masks,
    /// Of columns whether they are sparse or the row's GUID or made by the system; of tables how they are kept; of indexes
    /// whether duplicates are ignored.
    Storage,
    /// Whether a constraint is trusted.
    Trust,
    /// Triggers on the database.
    DatabaseTriggers,
    /// Objects of kinds that dbvc knows by name only.
    OtherObjects,
}

impl Part {
    /// What format 1 had nothing of.
    const SINCE_FORMAT_2: [Self; 13] = [
        Self::Schemas,
        Self::Sequences,
        Self::Types,
        Self::Synonyms,
        Self::Roles,
        Self::Permissions,
        Self::ExtendedProperties,
        Self::Identities,
        Self::Masks,
        Self::Storage,
        Self::Trust,
        Self::DatabaseTriggers,
        Self::OtherObjects,
    ];
}

/// A part of the schema that could not be read, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotRead {
    pub part: Part,
    pub reason: String,
}

/// Which parts are left aside when schemas are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown(BTreeSet<Part>);

impl Unknown {
    pub(in crate::schema) fn of(format: FormatVersion, not_read: &[NotRead]) -> Self {
        let older = (format.0 < 2).then_some(Part::SINCE_FORMAT_2);
        let parts = older.into_iter().flatten();
        Self(parts.chain(not_read.iter().map(|note| note.part)).collect())
    }

    /// What one of the two does not know.
    pub(in crate::schema) fn or(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(in crate::schema) fn knows(&self, part: Part) -> bool {
        !self.0.contains(&part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_format_knows_nothing_of_what_came_later() {
        let old: FormatVersion = serde_json::from_str("1").unwrap();
        let unknown = Unknown::of(old, &[]);
        assert!(
            Part::SINCE_FORMAT_2
                .iter()
                .all(|part| !unknown.knows(*part))
        );
        assert_eq!(serde_json::to_string(&old).unwrap(), "1");
        assert!(Unknown::of(FormatVersion::CURRENT, &[]).knows(Part::Sequences));
    }

    #[test]
    fn what_either_side_does_not_know_is_unknown() {
        let without = |part| {
            let reason = "a reason".to_owned();
            Unknown::of(FormatVersion::CURRENT, &[NotRead { part, reason }])
        };
        let both = without(Part::Masks).or(without(Part::Roles));
        assert!(!both.knows(Part::Masks) && !both.knows(Part::Roles) && both.knows(Part::Types));
    }
}
