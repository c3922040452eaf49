//! Events: kept once, in order, and found again.

use dbvc::audit::{Event, EventFilter, EventType};
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{
    Place, Test, a_database, chain, chain_with, expect_all, moment, of, whole_chain,
};

pub fn tests() -> Vec<Test> {
    archive_tests![Each:
        nothing_is_in_an_archive_that_was_never_written_to,
        events_are_kept_as_they_are_and_found_newest_first,
        what_is_there_already_counts_as_added_and_stays,
        filters_and_limits_choose_what_is_read,
        a_chain_is_read_in_pieces,
        databases_do_not_mix,
        more_events_than_a_batch_holds_are_all_kept,
        two_instances_may_add_the_same_at_once,
    ]
}

fn newest_first(events: &[Event]) -> Vec<Event> {
    events.iter().rev().cloned().collect()
}

async fn nothing_is_in_an_archive_that_was_never_written_to(place: &Place) {
    let (archive, shop) = (&place.archive, a_database());
    archive.ping().await.unwrap();
    let filter = EventFilter::default();
    assert_eq!(archive.events(&of(&shop), &filter, 10).await.unwrap(), []);
    assert_eq!(archive.chain(&of(&shop), 0, 10).await.unwrap(), []);
    assert_eq!(archive.snapshot_headers(&of(&shop)).await.unwrap(), []);
    assert_eq!(archive.snapshot(&of(&shop), "none").await.unwrap(), None);
    assert_eq!(archive.migrations(&of(&shop)).await.unwrap(), []);
    expect_all(&archive.add_events(&of(&shop), &[]).await, 0);
    expect_all(&archive.put_migrations(&of(&shop), &[]).await, 0);
}

async fn events_are_kept_as_they_are_and_found_newest_first(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 12);
    expect_all(&place.archive.add_events(&of(&shop), &events[..5]).await, 5);
    expect_all(&place.archive.add_events(&of(&shop), &events[5..]).await, 7);
    place.archive.ping().await.unwrap();
    assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, events);
    let everything = EventFilter::default();
    let all = place
        .archive
        .events(&of(&shop), &everything, 100)
        .await
        .unwrap();
    assert_eq!(all, newest_first(&events));
}

async fn what_is_there_already_counts_as_added_and_stays(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 9);
    expect_all(&place.archive.add_events(&of(&shop), &events[..4]).await, 4);
    expect_all(&place.archive.add_events(&of(&shop), &events[..4]).await, 4);
    expect_all(
        &place.archive.add_events(&of(&shop), &events[2..7]).await,
        5,
    );
    expect_all(&place.archive.add_events(&of(&shop), &events[8..]).await, 1);
    // One that is missing in between is filled in.
    expect_all(&place.archive.add_events(&of(&shop), &events).await, 9);
    assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, events);
    // Another event of an id that is taken does not take its place.
    let mut other = events[3].clone();
    other.executor = "somebody else".to_owned();
    expect_all(&place.archive.add_events(&of(&shop), &[other]).await, 1);
    assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, events);
}

async fn filters_and_limits_choose_what_is_read(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 24);
    expect_all(&place.archive.add_events(&of(&shop), &events).await, 24);
    let of_one = EventFilter {
        migration_id: Some("V3__x".to_owned()),
        ..EventFilter::default()
    };
    let narrow = EventFilter {
        migration_id: Some("V3__x".to_owned()),
        kind: Some(EventType::Completed),
        since: Some(moment(4)),
        before: Some(20),
    };
    let of_a_type = EventFilter {
        kind: Some(EventType::Started),
        ..EventFilter::default()
    };
    let later = EventFilter {
        since: Some(moment(20)),
        ..EventFilter::default()
    };
    let older = EventFilter {
        before: Some(5),
        ..EventFilter::default()
    };
    for (filter, limit) in [
        (of_one, 100),
        (narrow, 100),
        (of_a_type.clone(), 100),
        (of_a_type, 3),
        (later, 100),
        (older, 2),
        (EventFilter::default(), 1),
    ] {
        let mut expected = newest_first(&events);
        expected.retain(|event| {
            let id = event.migration_id.as_ref().map(ToString::to_string);
            filter
                .migration_id
                .as_ref()
                .is_none_or(|wanted| id.as_ref() == Some(wanted))
                && filter.kind.is_none_or(|kind| event.kind == kind)
                && filter.since.is_none_or(|since| event.at >= since)
                && filter.before.is_none_or(|before| event.sequence < before)
        });
        expected.truncate(limit as usize);
        assert!(!expected.is_empty(), "{filter:?} finds something");
        let found = place
            .archive
            .events(&of(&shop), &filter, limit)
            .await
            .unwrap();
        assert_eq!(found, expected, "{filter:?} {limit}");
    }
}

async fn a_chain_is_read_in_pieces(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 11);
    expect_all(&place.archive.add_events(&of(&shop), &events).await, 11);
    let mut read = Vec::new();
    loop {
        let after = read.len() as u64;
        let piece = place.archive.chain(&of(&shop), after, 4).await.unwrap();
        assert!(piece.len() <= 4);
        if piece.is_empty() {
            break;
        }
        for link in piece {
            assert_eq!(link.sequence, link.event.as_ref().unwrap().sequence);
            read.push(link.event.unwrap());
        }
    }
    assert_eq!(read, events);
}

async fn databases_do_not_mix(place: &Place) {
    let (shop, orders) = (a_database(), a_database());
    let of_shop = chain(&shop, 3);
    let of_orders = chain(&orders, 5);
    expect_all(&place.archive.add_events(&of(&shop), &of_shop).await, 3);
    expect_all(&place.archive.add_events(&of(&orders), &of_orders).await, 5);
    assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, of_shop);
    assert_eq!(
        whole_chain(place.archive.as_ref(), &orders).await,
        of_orders
    );
}

async fn more_events_than_a_batch_holds_are_all_kept(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 250);
    expect_all(&place.archive.add_events(&of(&shop), &events).await, 250);
    assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, events);
    // As large as events get: forty of them are more than a batch may have.
    let large = a_database();
    let long = "\u{1}".repeat(10_000);
    let events = chain_with(
        &large,
        40,
        |number| json!({ "number": number, "texts": vec![&long[..1500]; 6] }),
    );
    expect_all(&place.archive.add_events(&of(&large), &events).await, 40);
    assert_eq!(whole_chain(place.archive.as_ref(), &large).await, events);
}

async fn two_instances_may_add_the_same_at_once(place: &Place) {
    let shop = a_database();
    let main = of(&shop);
    let events = chain(&shop, 60);
    let instances: Vec<_> = (0..3).map(|_| place.another_instance()).collect();
    let added = join_all(
        instances
            .iter()
            .map(|archive| archive.add_events(&main, &events)),
    )
    .await;
    for added in &added {
        expect_all(added, 60);
    }
    assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, events);
}
