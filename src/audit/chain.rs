//! Checking a chain of events: what was changed, removed, put elsewhere or cut off.

use super::event::Event;
use super::writer::Head;

/// A link as read from a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its number in the store.
    pub sequence: u64,
    /// The event; none when a field is not what dbvc can have written.
    pub event: Option<Event>,
}

/// The number up to which a page of a chain, read after the number `after`, is complete; none when it is the last page. Of the
/// number at a full page's end there may be another event that did not fit in, so that number is left to the next page.
pub fn complete_up_to(page: &[Link], after: u64, limit: u32) -> Option<u64> {
    if page.len() < limit as usize {
        return None;
    }
    let last = page.last()?.sequence;
    let before = last.saturating_sub(1);
    Some(if before > after { before } else { last })
}

/// What is wrong with a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChainFault {
    /// The event's content does not give its hash.
    Changed(u64),
    /// Events are missing, from the first number to the second.
    Missing(u64, u64),
    /// The event does not name the hash of the one before it.
    Unlinked(u64),
    /// The newest event is not the one that the head names: the end was cut off, or the head changed.
    Tail {
        /// The number of the newest event.
        newest: u64,
        /// The number that the head names.
        head: u64,
    },
}

impl std::fmt::Display for ChainFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed(sequence) => write!(f, "event {sequence} was changed"),
            Self::Missing(from, to) if from == to => write!(f, "event {from} was removed"),
            Self::Missing(from, to) => write!(f, "events {from} to {to} were removed"),
            Self::Unlinked(sequence) => {
                write!(
                    f,
                    "event {sequence} does not follow the one before it: the order was changed, or an event replaced"
                )
            }
            Self::Tail { newest, head } => write!(
                f,
                "the trail ends with event {newest}, but its head is event {head}: the end was cut off or the head changed"
            ),
        }
    }
}

/// Checks a chain piece by piece, oldest first.
#[derive(Debug, Default)]
pub struct ChainCheck {
    newest: Head,
    /// The newest link holds no event, so that its hash is not known; that has been told.
    newest_is_unreadable: bool,
    faults: Vec<ChainFault>,
}

impl ChainCheck {
    /// Looks at the next link.
    pub fn push(&mut self, link: &Link) {
        let expected = self.newest.sequence + 1;
        if link.sequence > expected {
            self.faults
                .push(ChainFault::Missing(expected, link.sequence - 1));
        }
        let linked =
            |event: &Event| event.previous_hash.as_deref().unwrap_or_default() == self.newest.hash;
        match &link.event {
            Some(event)
                if event.sequence == link.sequence && event.computed_hash() == event.hash =>
            {
                // After a gap the link cannot be right, and the gap has been told.
                let is_known = link.sequence <= expected && !self.newest_is_unreadable;
                if is_known && !linked(event) {
                    self.faults.push(ChainFault::Unlinked(link.sequence));
                }
            }
            _ => self.faults.push(ChainFault::Changed(link.sequence)),
        }
        self.newest_is_unreadable = link.event.is_none();
        self.newest = Head {
            sequence: link.sequence,
            hash: link
                .event
                .as_ref()
                .map(|event| event.hash.clone())
                .unwrap_or_default(),
        };
    }

    /// Everything that is wrong; `head` is what the store names as its newest event, when it names one.
    pub fn finish(mut self, head: Option<&Head>) -> Vec<ChainFault> {
        let is_newest = |head: &Head| {
            head.sequence == self.newest.sequence
                && (head.hash == self.newest.hash || self.newest_is_unreadable)
        };
        if let Some(head) = head
            && !is_newest(head)
        {
            self.faults.push(ChainFault::Tail {
                newest: self.newest.sequence,
                head: head.sequence,
            });
        }
        self.faults
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{EventDraft, EventType};
    use super::*;
    use crate::script::DatabaseId;

    fn chain(length: u64) -> Vec<Event> {
        let database = DatabaseId::parse("shop").unwrap();
        let mut events: Vec<Event> = Vec::new();
        for sequence in 1..=length {
            let draft = EventDraft {
                kind: EventType::Registered,
                migration_id: None,
                run_id: None,
                execution_id: None,
                at: "2025-11-27T14:30:00Z".parse().unwrap(),
                executor: format!("person {sequence}"),
                principal: None,
                environment: "dev".to_owned(),
                data: serde_json::json!({}),
            };
            let previous = events.last().map(|event| event.hash.clone());
            events.push(Event::seal(draft, &database, sequence, previous));
        }
        events
    }

    fn head(events: &[Event]) -> Head {
        events.last().map_or_else(Head::default, |event| Head {
            sequence: event.sequence,
            hash: event.hash.clone(),
        })
    }

    fn faults(events: &[Event], head: &Head) -> Vec<ChainFault> {
        let mut check = ChainCheck::default();
        for event in events {
            check.push(&Link {
                sequence: event.sequence,
                event: Some(event.clone()),
            });
        }
        check.finish(Some(head))
    }

    #[test]
    fn finds_nothing_in_a_whole_chain() {
        let events = chain(5);
        assert_eq!(faults(&events, &head(&events)), []);
        assert_eq!(faults(&[], &Head::default()), []);
    }

    #[test]
    fn finds_a_changed_event() {
        let mut events = chain(5);
        let head = head(&events);
        events[2].executor = "nobody".to_owned();
        assert_eq!(faults(&events, &head), [ChainFault::Changed(3)]);
    }

    #[test]
    fn finds_a_changed_event_whose_hash_was_computed_anew() {
        let mut events = chain(5);
        let head = head(&events);
        events[2].executor = "nobody".to_owned();
        events[2].hash = events[2].computed_hash();
        assert_eq!(faults(&events, &head), [ChainFault::Unlinked(4)]);
    }

    #[test]
    fn finds_a_removed_event() {
        let mut events = chain(5);
        let head = head(&events);
        events.remove(2);
        assert_eq!(faults(&events, &head), [ChainFault::Missing(3, 3)]);
        events.remove(0);
        assert_eq!(
            faults(&events, &head),
            [ChainFault::Missing(1, 1), ChainFault::Missing(3, 3)]
        );
    }

    #[test]
    fn finds_events_that_changed_places() {
        let mut events = chain(5);
        let head = head(&events);
        events[1].sequence = 3;
        events[2].sequence = 2;
        events.swap(1, 2);
        assert_eq!(
            faults(&events, &head),
            [
                ChainFault::Changed(2),
                ChainFault::Changed(3),
                ChainFault::Unlinked(4)
            ]
        );
    }

    #[test]
    fn an_event_that_cannot_be_read_is_told_once() {
        let events = chain(4);
        for unreadable in [2, 4] {
            let mut check = ChainCheck::default();
            for event in &events {
                check.push(&Link {
                    sequence: event.sequence,
                    event: (event.sequence != unreadable).then(|| event.clone()),
                });
            }
            assert_eq!(
                check.finish(Some(&head(&events))),
                [ChainFault::Changed(unreadable)]
            );
        }
    }

    #[test]
    fn finds_a_cut_tail() {
        let mut events = chain(5);
        let head = head(&events);
        events.truncate(3);
        assert_eq!(
            faults(&events, &head),
            [ChainFault::Tail { newest: 3, head: 5 }]
        );
    }
}
