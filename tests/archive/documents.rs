//! What stands in the containers: documents that people and other programs can read, each content once.

use dbvc::audit::EventFilter;
use serde_json::{Value, json};

use crate::harness::{Place, Test, a_database, chain, expect_all, of, whole_chain};
use crate::migrations::migration;
use crate::snapshots::{expiring, snapshot};
use crate::support::cosmos::as_written;

pub fn tests() -> Vec<Test> {
    let mut tests = archive_tests![Cosmos:
        the_document_of_an_event_is_the_event,
        a_document_that_is_no_event_any_more_is_a_link_without_one,
        a_snapshot_is_a_header_and_parts_that_are_named_by_their_content,
        a_part_lives_as_long_as_the_longest_living_header,
        what_two_instances_extend_at_once_lives_as_long_as_the_longer_one_says,
        parts_of_a_schema_that_nobody_changes_are_not_written_again,
        a_migration_is_a_document_and_long_scripts_are_parts,
    ];
    tests.extend(archive_tests![Double:
        pages_of_any_size_give_the_same,
    ]);
    tests
}

async fn the_document_of_an_event_is_the_event(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 3);
    expect_all(&place.archive.add_events(&of(&shop), &events).await, 3);
    let documents = place.documents("change-events", &shop).await;
    assert_eq!(documents.len(), 3);
    for (document, event) in documents.iter().zip(&events) {
        assert_eq!(as_written(document), json!(event));
        assert_eq!(document["databaseId"], shop.as_str());
    }
}

async fn a_document_that_is_no_event_any_more_is_a_link_without_one(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 6);
    expect_all(&place.archive.add_events(&of(&shop), &events).await, 6);
    let container = place.container("change-events").await;
    let change = async |number: usize, change: fn(&mut Value)| {
        let event = &events[number - 1];
        let mut document = json!(event);
        change(&mut document);
        container
            .replace_item(shop.as_str().to_owned(), &event.id, document, None)
            .await
            .unwrap();
    };
    change(2, |document| document["approvedBy"] = "nobody".into()).await;
    // It would be gone in an hour.
    change(3, |document| document["ttl"] = 3600.into()).await;
    change(4, |document| document["type"] = "no type".into()).await;
    change(5, |document| {
        document.as_object_mut().unwrap().remove("principal");
    })
    .await;
    let links = place.archive.chain(&of(&shop), 0, 100).await.unwrap();
    let readable: Vec<(u64, bool)> = links
        .iter()
        .map(|link| (link.sequence, link.event.is_some()))
        .collect();
    let expected = [
        (1, true),
        (2, false),
        (3, false),
        (4, false),
        (5, false),
        (6, true),
    ];
    assert_eq!(readable, expected);
    // Whoever reads the history gets what is left, and as many as asked for.
    let found = place
        .archive
        .events(&of(&shop), &EventFilter::default(), 2)
        .await;
    let numbers: Vec<u64> = found.unwrap().iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, [6, 1]);
}

async fn a_snapshot_is_a_header_and_parts_that_are_named_by_their_content(place: &Place) {
    let shop = a_database();
    let first = snapshot(&shop, 1, &["one", "two"]);
    place
        .archive
        .add_snapshot(&of(&shop), &first)
        .await
        .unwrap();
    let documents = place.documents("schema-snapshots", &shop).await;
    let [header, parts @ ..] = &documents[..] else {
        panic!("there is a header");
    };
    // Computed with another implementation of SHA-256.
    let one = "part-7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    let two = "part-3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";
    let mut expected = json!(first.header);
    expected["id"] = json!(first.header.snapshot_id);
    expected["kind"] = "snapshot".into();
    expected["parts"] = json!([one, two]);
    assert_eq!(as_written(header), expected);
    let part = |id: &str, content: &str| json!({"id": id, "kind": "part", "databaseId": shop, "keptUntil": null, "content": content});
    let found: Vec<Value> = parts.iter().map(as_written).collect();
    assert_eq!(found, [part(two, "two"), part(one, "one")]);
    // A later one of the same content brings a header only; one that differs in a part brings that part.
    let same = snapshot(&shop, 2, &["one", "two"]);
    place.archive.add_snapshot(&of(&shop), &same).await.unwrap();
    assert_eq!(place.documents("schema-snapshots", &shop).await.len(), 4);
    let similar = snapshot(&shop, 3, &["one", "three"]);
    place
        .archive
        .add_snapshot(&of(&shop), &similar)
        .await
        .unwrap();
    assert_eq!(place.documents("schema-snapshots", &shop).await.len(), 6);
}

/// Header documents and the one part of a database whose snapshots all have the same content.
async fn of_one_content(place: &Place, database: &dbvc::script::DatabaseId) -> (Vec<Value>, Value) {
    let documents = place.documents("schema-snapshots", database).await;
    let (parts, headers): (Vec<Value>, Vec<Value>) = documents
        .into_iter()
        .partition(|document| document["kind"] == "part");
    assert_eq!(parts.len(), 1);
    (headers, parts[0].clone())
}

async fn a_part_lives_as_long_as_the_longest_living_header(place: &Place) {
    const DAY: u32 = 24 * 3600;
    let shop = a_database();
    let add = async |life: Option<u32>| {
        let mut added = snapshot(&shop, 1, &["the schema"]);
        if let Some(seconds) = life {
            added = expiring(added, seconds);
        }
        place
            .archive
            .add_snapshot(&of(&shop), &added)
            .await
            .unwrap();
        let (headers, part) = of_one_content(place, &shop).await;
        let header = headers
            .into_iter()
            .find(|header| header["id"] == added.header.snapshot_id.as_str())
            .unwrap();
        (header["ttl"].as_u64(), part["ttl"].as_u64())
    };
    let near = |found: Option<u64>, days: u32| {
        let expected = u64::from(days * DAY);
        found.is_some_and(|found| expected.abs_diff(found) < 120)
    };
    let (header, part) = add(Some(DAY)).await;
    assert!(near(header, 1) && near(part, 8), "{header:?} {part:?}");
    // A longer life extends that of the part.
    let (header, part) = add(Some(90 * DAY)).await;
    assert!(near(header, 90) && near(part, 97), "{header:?} {part:?}");
    // A shorter one does not shorten it.
    let (header, part) = add(Some(30 * DAY)).await;
    assert!(near(header, 30) && near(part, 97), "{header:?} {part:?}");
    // For one that stays, it stays as well, whatever comes after.
    assert_eq!(add(None).await, (None, None));
    let (header, part) = add(Some(90 * DAY)).await;
    assert!(near(header, 90) && part.is_none(), "{header:?} {part:?}");
}

async fn what_two_instances_extend_at_once_lives_as_long_as_the_longer_one_says(place: &Place) {
    const DAY: u32 = 24 * 3600;
    for _ in 0..5 {
        let shop = a_database();
        let main = of(&shop);
        let short = expiring(snapshot(&shop, 1, &["the schema"]), DAY);
        place
            .archive
            .add_snapshot(&of(&shop), &short)
            .await
            .unwrap();
        let stays = snapshot(&shop, 2, &["the schema"]);
        let long = expiring(snapshot(&shop, 3, &["the schema"]), 90 * DAY);
        let instances = [place.another_instance(), place.another_instance()];
        let added = [&stays, &long].into_iter().zip(&instances);
        let added = added.map(|(snapshot, archive)| archive.add_snapshot(&main, snapshot));
        for added in futures_util::future::join_all(added).await {
            added.unwrap();
        }
        let (headers, part) = of_one_content(place, &shop).await;
        assert_eq!(headers.len(), 3);
        assert_eq!(part["keptUntil"], Value::Null);
        assert_eq!(part["ttl"], Value::Null);
    }
}

async fn parts_of_a_schema_that_nobody_changes_are_not_written_again(place: &Place) {
    const DAY: u32 = 24 * 3600;
    let shop = a_database();
    let mut versions = Vec::new();
    // As if one were taken every six hours for nine days.
    for hours in (0..9 * 24).step_by(6) {
        let added = expiring(
            snapshot(&shop, hours, &["the schema"]),
            90 * DAY + hours * 3600,
        );
        place
            .archive
            .add_snapshot(&of(&shop), &added)
            .await
            .unwrap();
        let (_, part) = of_one_content(place, &shop).await;
        versions.push(part["_etag"].as_str().unwrap().to_owned());
    }
    versions.dedup();
    assert_eq!(versions.len(), 2, "written once, and again after a week");
}

async fn a_migration_is_a_document_and_long_scripts_are_parts(place: &Place) {
    let shop = a_database();
    let short = migration(&shop, "V1__a", 1);
    expect_all(
        &place
            .archive
            .put_migrations(&of(&shop), std::slice::from_ref(&short))
            .await,
        1,
    );
    let documents = place.documents("migrations", &shop).await;
    let mut expected = json!(short);
    expected["id"] = "V1__a".into();
    expected["kind"] = "migration".into();
    assert_eq!(
        documents.iter().map(as_written).collect::<Vec<_>>(),
        [expected]
    );
    // 4 MB of script are three parts. Those of a former revision go.
    let parts = async || {
        let documents = place.documents("migrations", &shop).await;
        let parts = documents
            .iter()
            .filter(|document| document["kind"] == "part");
        parts
            .map(|part| part["revision"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    for revision in [2, 3] {
        let mut long = migration(&shop, "V1__a", revision);
        long.up_script = "SELECT 1;\n".repeat(400_000);
        expect_all(&place.archive.put_migrations(&of(&shop), &[long]).await, 1);
        assert_eq!(parts().await, [revision; 3]);
    }
    expect_all(
        &place
            .archive
            .put_migrations(&of(&shop), &[migration(&shop, "V1__a", 4)])
            .await,
        1,
    );
    assert_eq!(parts().await, [0; 0]);
}

async fn pages_of_any_size_give_the_same(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 23);
    expect_all(&place.archive.add_events(&of(&shop), &events).await, 23);
    let copies: Vec<_> = (10..19)
        .map(|number| migration(&shop, &format!("V{number}__x"), 1))
        .collect();
    expect_all(&place.archive.put_migrations(&of(&shop), &copies).await, 9);
    for minutes in 0..5 {
        let added = snapshot(&shop, minutes, &["the schema"]);
        place
            .archive
            .add_snapshot(&of(&shop), &added)
            .await
            .unwrap();
    }
    for page in [1, 2, 5, 100] {
        place.account_in_memory().set_page(page);
        assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, events);
        let newest = place
            .archive
            .events(&of(&shop), &EventFilter::default(), 20)
            .await
            .unwrap();
        assert!(newest.iter().eq(events.iter().rev().take(20)));
        assert_eq!(place.archive.migrations(&of(&shop)).await.unwrap(), copies);
        assert_eq!(
            place
                .archive
                .snapshot_headers(&of(&shop))
                .await
                .unwrap()
                .len(),
            5
        );
        expect_all(&place.archive.add_events(&of(&shop), &events).await, 23);
        expect_all(&place.archive.put_migrations(&of(&shop), &copies).await, 9);
    }
}
