//! Snapshots: read as they were added, and gone when they have expired.

use dbvc::audit::{ArchivedSnapshot, SnapshotHeader};
use dbvc::script::{Checksum, DatabaseId, EngineKind};
use dbvc::time::Timestamp;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Place, Test, a_database, moment, of};

pub fn tests() -> Vec<Test> {
    archive_tests![Each:
        a_snapshot_is_read_as_it_was_added,
        a_snapshot_that_is_there_already_stays,
        headers_are_listed_oldest_first,
        what_has_expired_is_not_there_any_more,
        a_snapshot_of_twelve_megabytes_is_read_back,
        two_instances_may_add_the_same_snapshot_at_once,
    ]
}

/// A snapshot that stays, with this content.
pub fn snapshot(database: &DatabaseId, minutes: u32, parts: &[&str]) -> ArchivedSnapshot {
    let text = parts.concat();
    ArchivedSnapshot {
        header: SnapshotHeader {
            snapshot_id: uuid::Uuid::new_v4().to_string(),
            database_id: database.clone(),
            kind: "baseline".to_owned(),
            captured_at: moment(minutes),
            captured_by: "developer@lpa.com".to_owned(),
            schema_hash: "sha256:schema".to_owned(),
            content_hash: Checksum::of_text(&text).to_string(),
            run_id: None,
            engine: EngineKind::Sqlite,
            object_counts: json!({"tables": 3, "views": 0}),
            size_bytes: text.len() as u64,
            part_count: parts.len() as u64,
            covers: 7,
            expires_at: None,
        },
        parts: parts.iter().map(|part| (*part).to_owned()).collect(),
    }
}

/// The same until so many seconds from now.
pub fn expiring(mut snapshot: ArchivedSnapshot, seconds: u32) -> ArchivedSnapshot {
    snapshot.header.kind = "scheduled".to_owned();
    snapshot.header.expires_at = Some(Timestamp::now().plus_seconds(seconds));
    snapshot
}

async fn read(place: &Place, snapshot: &ArchivedSnapshot) -> Option<ArchivedSnapshot> {
    let header = &snapshot.header;
    let partition = of(&header.database_id);
    let read = place.archive.snapshot(&partition, &header.snapshot_id);
    read.await.unwrap()
}

async fn a_snapshot_is_read_as_it_was_added(place: &Place) {
    let shop = a_database();
    let all: String = ('\u{0}'..='\u{ff}').chain("€😀\u{2028}".chars()).collect();
    let added = snapshot(&shop, 1, &["{\"tables\":", &all, "", "the end"]);
    place
        .archive
        .add_snapshot(&of(&shop), &added)
        .await
        .unwrap();
    assert_eq!(read(place, &added).await, Some(added.clone()));
    let other = of(&a_database());
    let elsewhere = place.archive.snapshot(&other, &added.header.snapshot_id);
    assert_eq!(elsewhere.await.unwrap(), None);
}

async fn a_snapshot_that_is_there_already_stays(place: &Place) {
    let shop = a_database();
    let added = snapshot(&shop, 1, &["first"]);
    place
        .archive
        .add_snapshot(&of(&shop), &added)
        .await
        .unwrap();
    let mut other = snapshot(&shop, 2, &["second"]);
    other
        .header
        .snapshot_id
        .clone_from(&added.header.snapshot_id);
    place
        .archive
        .add_snapshot(&of(&shop), &other)
        .await
        .unwrap();
    assert_eq!(read(place, &added).await, Some(added));
}

async fn headers_are_listed_oldest_first(place: &Place) {
    let shop = a_database();
    let mut expected = Vec::new();
    for minutes in [3, 1, 2] {
        let added = snapshot(&shop, minutes, &["the same content"]);
        place
            .archive
            .add_snapshot(&of(&shop), &added)
            .await
            .unwrap();
        expected.push(added.header);
    }
    expected.sort_by_key(|header| header.captured_at);
    assert_eq!(
        place.archive.snapshot_headers(&of(&shop)).await.unwrap(),
        expected
    );
}

async fn what_has_expired_is_not_there_any_more(place: &Place) {
    let shop = a_database();
    let stays = snapshot(&shop, 1, &["a schema"]);
    let lasts = expiring(snapshot(&shop, 2, &["a schema"]), 3600);
    let mut gone = expiring(snapshot(&shop, 3, &["a schema"]), 0);
    gone.header.expires_at = Some(moment(0));
    for added in [&lasts, &gone, &stays] {
        place.archive.add_snapshot(&of(&shop), added).await.unwrap();
    }
    assert_eq!(read(place, &lasts).await, Some(lasts.clone()));
    assert_eq!(read(place, &stays).await, Some(stays.clone()));
    assert_eq!(read(place, &gone).await, None);
    let headers = place.archive.snapshot_headers(&of(&shop)).await.unwrap();
    assert_eq!(headers, [stays.header, lasts.header]);
}

async fn a_snapshot_of_twelve_megabytes_is_read_back(place: &Place) {
    let shop = a_database();
    let part: Vec<String> = (0..12)
        .map(|number| format!("{number:06}\"").repeat(1_000_000 / 7))
        .collect();
    let parts: Vec<&str> = part.iter().map(String::as_str).collect();
    let added = snapshot(&shop, 1, &parts);
    place
        .archive
        .add_snapshot(&of(&shop), &added)
        .await
        .unwrap();
    // One part as a whole would not fit into a document.
    let in_one = snapshot(&shop, 2, &[&added.parts.concat()]);
    place
        .archive
        .add_snapshot(&of(&shop), &in_one)
        .await
        .unwrap();
    for added in [added, in_one] {
        let found = read(place, &added).await.unwrap();
        assert_eq!(found.header, added.header);
        assert!(found.parts.concat() == added.parts.concat());
    }
}

async fn two_instances_may_add_the_same_snapshot_at_once(place: &Place) {
    let shop = a_database();
    let main = of(&shop);
    let same = snapshot(&shop, 1, &["one", "two"]);
    let short = expiring(snapshot(&shop, 2, &["one", "two"]), 60);
    let instances: Vec<_> = (0..4).map(|_| place.another_instance()).collect();
    let added = instances.iter().enumerate().map(|(number, archive)| {
        archive.add_snapshot(&main, if number % 2 == 0 { &same } else { &short })
    });
    for added in join_all(added).await {
        added.unwrap();
    }
    assert_eq!(read(place, &same).await, Some(same.clone()));
    assert_eq!(read(place, &short).await, Some(short.clone()));
}
