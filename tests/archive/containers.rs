//! Database and containers: made when the key is known, and told apart from those that are not as they must be.

use azure_data_cosmos::models::{ContainerProperties, TimeToLive};
use dbvc::audit::cosmos::CosmosArchive;
use dbvc::audit::{Archive, ArchiveError, ArchiveErrorKind, EventFilter};
use dbvc::database::cosmos::CosmosHandle;
use futures_util::future::join_all;

use crate::harness::{Place, Test, a_database, chain, expect_all, of, whole_chain};
use crate::snapshots::snapshot;
use crate::support::cosmos::Weather;

pub fn tests() -> Vec<Test> {
    archive_tests![Double:
        writing_makes_what_is_not_there_and_reading_does_not,
        two_instances_may_make_the_containers_at_once,
        without_the_key_the_error_says_what_to_make,
        a_container_with_another_partition_key_is_told,
        a_container_whose_time_to_live_is_wrong_is_told_until_it_is_right,
        a_container_that_was_removed_is_made_again,
        an_outage_is_told_and_over_when_it_is_over,
    ]
}

async fn writing_makes_what_is_not_there_and_reading_does_not(place: &Place) {
    let (archive, shop) = (&place.archive, a_database());
    archive.ping().await.unwrap();
    let filter = EventFilter::default();
    assert_eq!(archive.events(&of(&shop), &filter, 10).await.unwrap(), []);
    assert_eq!(archive.migrations(&of(&shop)).await.unwrap(), []);
    assert_eq!(place.account_in_memory().writes(), [""; 0]);
    expect_all(&archive.add_events(&of(&shop), &chain(&shop, 1)).await, 1);
    let added = snapshot(&shop, 1, &["the schema"]);
    archive.add_snapshot(&of(&shop), &added).await.unwrap();
    for (name, ttl) in [
        ("change-events", TimeToLive::Forever),
        ("schema-snapshots", TimeToLive::NoDefault),
    ] {
        let container = place.container(name).await;
        let properties: ContainerProperties =
            container.read(None).await.unwrap().into_model().unwrap();
        let paths: Vec<_> = properties.partition_key.paths().to_vec();
        assert_eq!(paths, ["/databaseId"]);
        assert_eq!(properties.default_ttl, ttl, "{name}");
    }
}

async fn two_instances_may_make_the_containers_at_once(place: &Place) {
    let shop = a_database();
    let main = of(&shop);
    let events = chain(&shop, 5);
    let instances: Vec<_> = (0..4).map(|_| place.another_instance()).collect();
    let added = join_all(
        instances
            .iter()
            .map(|archive| archive.add_events(&main, &events)),
    );
    for added in added.await {
        expect_all(&added, 5);
    }
    assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, events);
}

/// The archive of an app that has no key.
async fn without_key(place: &Place) -> CosmosArchive {
    let client = place.client().await;
    CosmosArchive::new(CosmosHandle::with_client(
        client,
        place.database_name(),
        false,
    ))
}

/// What an error says that is no reason to drop what waits.
#[track_caller]
fn words<T: std::fmt::Debug>(outcome: Result<T, ArchiveError>) -> String {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind, ArchiveErrorKind::Unavailable);
    error.to_string()
}

async fn without_the_key_the_error_says_what_to_make(place: &Place) {
    let archive = without_key(place).await;
    let shop = a_database();
    let events = chain(&shop, 2);
    let added = archive.add_events(&of(&shop), &events).await;
    assert_eq!(added.count, 0);
    let told = words::<()>(Err(added.stopped.unwrap()));
    for part in [
        place.database_name(),
        "change-events with partition key /databaseId",
        "schema-snapshots with partition key /databaseId and default time to live -1",
        "migrations with partition key /databaseId",
    ] {
        assert!(told.contains(part), "{part} is missing: {told}");
    }
    assert!(words(archive.ping().await).contains("no container change-events"));
    assert!(words(archive.migrations(&of(&shop)).await).contains("no container migrations"));
    assert_eq!(place.account_in_memory().writes(), [""; 0]);
    // Made by somebody who has the key, it is found at the next use.
    expect_all(&place.archive.add_events(&of(&shop), &events[..1]).await, 1);
    expect_all(&archive.add_events(&of(&shop), &events).await, 2);
    assert_eq!(whole_chain(&archive, &shop).await, events);
}

async fn make(place: &Place, properties: ContainerProperties) {
    let client = place.client().await;
    let _ = client.create_database(place.database_name(), None).await;
    let database = client.database_client(place.database_name().to_owned());
    database.create_container(properties, None).await.unwrap();
}

async fn a_container_with_another_partition_key_is_told(place: &Place) {
    make(
        place,
        ContainerProperties::new("change-events", "/id".into()),
    )
    .await;
    let added = place
        .archive
        .add_events(&of(&a_database()), &chain(&a_database(), 1))
        .await;
    let told = words::<()>(Err(added.stopped.unwrap()));
    assert!(
        told.contains("change-events is partitioned by /id"),
        "{told}"
    );
    assert!(words(place.archive.ping().await).contains("/id"));
}

async fn a_container_whose_time_to_live_is_wrong_is_told_until_it_is_right(place: &Place) {
    let snapshots = ContainerProperties::new("schema-snapshots", "/databaseId".into());
    make(place, snapshots.clone()).await;
    let events = ContainerProperties::new("change-events", "/databaseId".into());
    make(place, events.with_default_ttl(3600)).await;
    let shop = a_database();
    let added = snapshot(&shop, 1, &["the schema"]);
    let told = words(place.archive.add_snapshot(&of(&shop), &added).await);
    assert!(told.contains("has no time to live"), "{told}");
    let told = words(place.archive.chain(&of(&shop), 0, 1).await);
    assert!(told.contains("change-events drops its items"), "{told}");
    let right = snapshots.with_default_ttl(TimeToLive::NoDefault);
    let container = place.container("schema-snapshots").await;
    container.replace(right, None).await.unwrap();
    place
        .archive
        .add_snapshot(&of(&shop), &added)
        .await
        .unwrap();
}

async fn a_container_that_was_removed_is_made_again(place: &Place) {
    let shop = a_database();
    let events = chain(&shop, 2);
    expect_all(&place.archive.add_events(&of(&shop), &events).await, 2);
    place
        .container("change-events")
        .await
        .delete(None)
        .await
        .unwrap();
    // The first use finds that it is gone, the next one makes it.
    let _ = place.archive.add_events(&of(&shop), &events).await;
    expect_all(&place.archive.add_events(&of(&shop), &events).await, 2);
    assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, events);
}

async fn an_outage_is_told_and_over_when_it_is_over(place: &Place) {
    let account = place.account_in_memory();
    let shop = a_database();
    let events = chain(&shop, 2);
    for weather in [
        Weather::Down,
        Weather::Refusing(503),
        Weather::Refusing(429),
        Weather::Refusing(401),
        Weather::Refusing(403),
    ] {
        account.set_weather(weather);
        let fresh = place.another_instance();
        let told = words(fresh.ping().await);
        assert!(!told.contains("ZW11bGF0b3I"), "{told}");
        words(fresh.migrations(&of(&shop)).await);
        let added = fresh.add_events(&of(&shop), &events).await;
        assert_eq!(added.count, 0);
        words::<()>(Err(added.stopped.unwrap()));
        account.set_weather(Weather::Fine);
        expect_all(&fresh.add_events(&of(&shop), &events).await, 2);
        fresh.ping().await.unwrap();
    }
    assert_eq!(whole_chain(place.archive.as_ref(), &shop).await, events);
}
