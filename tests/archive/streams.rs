//! Streams: databases with the same id have a stream each, and none gets into another's.

use dbvc::audit::{ChainId, Partition, stream};
use dbvc::database::Place as DatabasePlace;
use dbvc::script::EngineKind;
use futures_util::future::join_all;

use crate::harness::{Place, Test, a_database, chain, expect_all, of, whole_chain_in};

pub fn tests() -> Vec<Test> {
    archive_tests![Each:
        the_first_stream_has_the_partition_named_like_the_database,
        a_second_database_with_the_same_id_gets_a_partition_of_its_own,
        a_stream_that_no_record_names_is_found_by_its_oldest_event,
        a_recorded_place_follows_its_database,
        two_databases_that_begin_at_once_never_share_a_partition,
    ]
}

fn on(server: &str) -> DatabasePlace {
    DatabasePlace {
        engine: EngineKind::SqlServer,
        server: server.to_owned(),
        database: "shop".to_owned(),
    }
}

fn named(id: &str) -> ChainId {
    ChainId::of_first_event(id)
}

async fn the_first_stream_has_the_partition_named_like_the_database(place: &Place) {
    let (archive, shop) = (place.archive.as_ref(), a_database());
    assert_eq!(archive.streams(&shop).await.unwrap(), []);
    let stream = stream::claim(archive, &shop, &named("a"), &on("one"), None)
        .await
        .unwrap();
    assert_eq!(stream.partition, Partition::main(&shop));
    assert_eq!(stream.place, Some(on("one")));
    // Saying so again changes nothing.
    let again = stream::claim(archive, &shop, &named("a"), &on("one"), None).await;
    assert_eq!(again.unwrap(), stream);
    assert_eq!(archive.streams(&shop).await.unwrap(), [stream]);
    // A record is no copy of a migration.
    assert_eq!(archive.migrations(&of(&shop)).await.unwrap(), []);
}

async fn a_second_database_with_the_same_id_gets_a_partition_of_its_own(place: &Place) {
    let (archive, shop) = (place.archive.as_ref(), a_database());
    let first = chain(&shop, 3);
    let second = chain(&shop, 5);
    let claimed = async |events: &[dbvc::audit::Event], server: &str| {
        let chain = named(&events[0].id);
        stream::claim(archive, &shop, &chain, &on(server), None)
            .await
            .unwrap()
            .partition
    };
    let one = claimed(&first, "one").await;
    let two = claimed(&second, "two").await;
    assert!(one.is_main() && !two.is_main());
    expect_all(&archive.add_events(&one, &first).await, 3);
    expect_all(&archive.add_events(&two, &second).await, 5);
    assert_eq!(whole_chain_in(archive, &one).await, first);
    assert_eq!(whole_chain_in(archive, &two).await, second);
    let newest = stream::newest(archive, &two).await.unwrap();
    assert_eq!(newest.as_ref(), second.last());
    // Where each stands is known.
    let streams = archive.streams(&shop).await.unwrap();
    let at = |server: &str| {
        let found = streams
            .iter()
            .find(|stream| archive.is_stream_of(stream, &on(server)));
        found.map(|stream| stream.partition.clone())
    };
    assert_eq!(at("ONE"), Some(one), "names of servers have no case");
    assert_eq!(at("two"), Some(two));
    assert_eq!(at("three"), None);
}

async fn a_stream_that_no_record_names_is_found_by_its_oldest_event(place: &Place) {
    let (archive, shop) = (place.archive.as_ref(), a_database());
    let events = chain(&shop, 4);
    expect_all(&archive.add_events(&of(&shop), &events).await, 4);
    let streams = archive.streams(&shop).await.unwrap();
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0].chain, named(&events[0].id));
    assert_eq!(streams[0].place, None);
    // Another database does not get in.
    let other = stream::claim(archive, &shop, &named("other"), &on("two"), None).await;
    assert!(!other.unwrap().partition.is_main());
    // Its own database is recorded where it is.
    let own = stream::claim(archive, &shop, &named(&events[0].id), &on("one"), None).await;
    assert!(own.unwrap().partition.is_main());
    assert_eq!(archive.streams(&shop).await.unwrap().len(), 2);
}

async fn a_recorded_place_follows_its_database(place: &Place) {
    let (archive, shop) = (place.archive.as_ref(), a_database());
    for server in ["one", "two"] {
        let stream = stream::claim(archive, &shop, &named("a"), &on(server), None).await;
        assert_eq!(stream.unwrap().place, Some(on(server)));
    }
    let streams = archive.streams(&shop).await.unwrap();
    assert_eq!(streams.len(), 1);
    assert_eq!(streams[0].place, Some(on("two")));
}

async fn two_databases_that_begin_at_once_never_share_a_partition(place: &Place) {
    let shop = a_database();
    let instances: Vec<_> = (0..4).map(|_| place.another_instance()).collect();
    let claims = instances.iter().enumerate().map(|(number, archive)| {
        let shop = &shop;
        async move {
            let chain = named(&format!("chain-{number}"));
            let server = format!("server-{number}");
            stream::claim(archive.as_ref(), shop, &chain, &on(&server), None)
                .await
                .unwrap()
                .partition
        }
    });
    let mut partitions: Vec<String> = join_all(claims)
        .await
        .into_iter()
        .map(|partition| partition.key().to_owned())
        .collect();
    partitions.sort();
    partitions.dedup();
    assert_eq!(partitions.len(), 4);
    assert!(partitions.contains(&shop.to_string()));
}
