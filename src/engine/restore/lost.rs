//! What is known of a registry that is gone, and of the database in which it was.

use std::fmt;

use crate::schema::MissingObjects;
use crate::script::DatabaseId;
use crate::time::Timestamp;

/// How many missing objects a message names.
const NAMED: usize = 10;

/// A registry that is gone: what the archive has of it, and what of that the database still has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRegistry {
    /// The database.
    pub database: DatabaseId,
    /// How many events the archive has.
    pub events: u64,
    /// The newest of them: when, and by whom.
    pub last: Option<(Timestamp, String)>,
    /// Whether the archive records where the database of this trail stands. A dbvc of an earlier version did not.
    pub is_place_recorded: bool,
    /// Whether a migration was applied.
    pub has_applied: bool,
    /// Whether the database holds no object at all.
    pub is_database_empty: bool,
    /// How the database compares with the last snapshot; none when the archive has no snapshot that can be read.
    pub found: Option<FoundObjects>,
}

/// How a database compares with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundObjects {
    /// When the snapshot was captured.
    pub captured_at: Timestamp,
    /// Whether nothing ran after it.
    pub is_current: bool,
    /// Which of its objects the database lacks.
    pub missing: MissingObjects,
}

impl LostRegistry {
    /// Whether the database visibly lacks what the trail says was applied to it. What came after an old snapshot may have
    /// dropped some of its objects, but hardly all.
    pub fn lacks_objects(&self) -> bool {
        match &self.found {
            Some(found) => {
                found.missing.is_all() || (found.is_current && !found.missing.names.is_empty())
            }
            None => self.is_database_empty && self.has_applied,
        }
    }
}

impl fmt::Display for FoundObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MissingObjects { expected, names } = &self.missing;
        let captured_at = self.captured_at;
        match (expected, names.len()) {
            (0, _) => write!(f, "the last snapshot ({captured_at}) has no objects"),
            (1, 0) => write!(
                f,
                "the database has the one object of the last snapshot ({captured_at})"
            ),
            (expected, 0) => write!(
                f,
                "the database has all {expected} objects of the last snapshot ({captured_at})"
            ),
            (1, 1) => write!(
                f,
                "the database lacks the one object of the last snapshot ({captured_at}): {}",
                listed(names)
            ),
            (expected, count) if count == *expected => write!(
                f,
                "the database has none of the {expected} objects of the last snapshot ({captured_at})"
            ),
            (expected, count) => write!(
                f,
                "the database lacks {count} of the {expected} objects of the last snapshot ({captured_at}): {}",
                listed(names)
            ),
        }
    }
}

fn listed(names: &[String]) -> String {
    let mut listed: Vec<String> = names.iter().take(NAMED).cloned().collect();
    if names.len() > NAMED {
        listed.push(format!("{} more", names.len() - NAMED));
    }
    listed.join(", ")
}

impl fmt::Display for LostRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "dbvc's own tables are gone from {}. The archive has its trail of {} events",
            self.database, self.events
        )?;
        if let Some((at, by)) = &self.last {
            write!(f, ", the last one by {by} at {at}")?;
        }
        f.write_str(". ")?;
        if !self.is_place_recorded {
            f.write_str(
                "An earlier dbvc did not record where the database of that trail stands: if it is another one, let dbvc change \
                 something there first, or give this one an id of its own (DBVC_DATABASE_ID). ",
            )?;
        }
        let Some(found) = &self.found else {
            return f.write_str(if self.lacks_objects() {
                "The database holds no object at all, so it was recreated. Run `dbvc restore-registry --made-anew`, which takes \
                 every migration as pending"
            } else {
                "No snapshot shows whether this is still the same database. If it is, run `dbvc restore-registry`; if it was \
                 recreated, run `dbvc restore-registry --made-anew`"
            });
        };
        let text = found.to_string();
        let mut letters = text.chars();
        if let Some(first) = letters.next() {
            write!(f, "{}{}", first.to_uppercase(), letters.as_str())?;
        }
        if found.missing.is_all() {
            f.write_str(
                ", so it was recreated. Run `dbvc restore-registry --made-anew`, which takes every migration as pending",
            )
        } else if self.lacks_objects() {
            f.write_str(
                ". Put them back, or restore the database from a backup, then run `dbvc restore-registry`. If they were \
                 dropped on purpose, run `dbvc restore-registry --accept-missing`; if the database was recreated, \
                 `dbvc restore-registry --made-anew`",
            )
        } else {
            f.write_str(". Run `dbvc restore-registry`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(expected: usize, missing: &[&str], is_current: bool) -> LostRegistry {
        LostRegistry {
            database: DatabaseId::parse("shop").unwrap(),
            events: 57,
            last: None,
            is_place_recorded: true,
            has_applied: true,
            is_database_empty: false,
            found: Some(FoundObjects {
                captured_at: "2026-11-30T10:00:00Z".parse().unwrap(),
                is_current,
                missing: MissingObjects {
                    expected,
                    names: missing.iter().map(|name| (*name).to_owned()).collect(),
                },
            }),
        }
    }

    #[test]
    fn a_database_with_every_object_is_restored() {
        let lost = lost(2, &[], true);
        assert!(!lost.lacks_objects());
        let text = lost.to_string();
        assert!(text.ends_with("Run `dbvc restore-registry`"), "{text}");
        assert!(text.contains("has all 2 objects"), "{text}");
    }

    #[test]
    fn a_database_with_no_object_was_recreated() {
        let lost = lost(2, &["table a", "table b"], true);
        assert!(lost.lacks_objects());
        let text = lost.to_string();
        assert!(text.contains("has none of the 2 objects"), "{text}");
        assert!(
            text.contains("Run `dbvc restore-registry --made-anew`"),
            "{text}"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = lost(3, &["table a"], true).to_string();
        assert!(text.contains("lacks 1 of the 3 objects"), "{text}");
        assert!(text.contains("table a"), "{text}");
    }

    #[test]
    fn a_snapshot_that_is_out_of_date_proves_something_only_when_all_is_missing() {
        assert!(!lost(2, &["table a"], false).lacks_objects());
        assert!(lost(2, &["table a", "table b"], false).lacks_objects());
    }

    #[test]
    fn an_empty_database_without_a_snapshot_was_recreated() {
        let empty = LostRegistry {
            is_database_empty: true,
            found: None,
            ..lost(0, &[], true)
        };
        assert!(empty.lacks_objects());
        assert!(empty.to_string().contains("--made-anew"), "{empty}");
        let never_applied = LostRegistry {
            has_applied: false,
            ..empty
        };
        assert!(!never_applied.lacks_objects());
    }

    #[test]
    fn a_trail_without_a_place_says_that_it_may_be_anothers() {
        let lost = LostRegistry {
            is_place_recorded: false,
            ..lost(2, &[], true)
        };
        assert!(lost.to_string().contains("DBVC_DATABASE_ID"), "{lost}");
    }
}
