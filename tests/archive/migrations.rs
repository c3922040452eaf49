//! Copies of migrations: the newest revision of each.

use dbvc::audit::ArchivedMigration;
use dbvc::script::DatabaseId;
use futures_util::future::join_all;

use crate::harness::{Place, Test, a_database, expect_all, moment, of};

pub fn tests() -> Vec<Test> {
    archive_tests![Each:
        a_copy_is_read_as_it_was_put,
        a_copy_gives_way_to_the_same_or_a_newer_revision_only,
        more_copies_than_a_batch_holds_are_all_kept,
        long_scripts_are_read_back_and_make_room_for_others,
        of_two_instances_the_newer_revision_wins,
    ]
}

pub fn migration(database: &DatabaseId, id: &str, revision: u64) -> ArchivedMigration {
    ArchivedMigration {
        migration_id: id.to_owned(),
        database_id: database.clone(),
        version: Some("1.10".to_owned()),
        name: "name".to_owned(),
        description: None,
        author: "developer@lpa.com".to_owned(),
        file_name: Some(format!("{id}.sql")),
        up_script: format!("-- {id} {revision}\nSELECT '€';\r\n"),
        up_checksum: "sha256:up".to_owned(),
        down_script: None,
        down_checksum: None,
        created_at: moment(1),
        withdrawn_at: revision.is_multiple_of(2).then(|| moment(2)),
        revision,
    }
}

async fn a_copy_is_read_as_it_was_put(place: &Place) {
    let (shop, other) = (a_database(), a_database());
    let mut expected = Vec::new();
    for id in [
        "R__view",
        "V1__a",
        "V1_1__With spaces.and dots ",
        "20251127_143000_x",
    ] {
        let mut copy = migration(&shop, id, 1);
        copy.down_script = (id != "V1__a").then(|| "DROP".to_owned());
        expected.push(copy);
    }
    expect_all(
        &place.archive.put_migrations(&of(&shop), &expected).await,
        4,
    );
    expect_all(
        &place.archive.put_migrations(&of(&shop), &expected).await,
        4,
    );
    expected.sort_by(|a, b| a.migration_id.cmp(&b.migration_id));
    assert_eq!(
        place.archive.migrations(&of(&shop)).await.unwrap(),
        expected
    );
    assert_eq!(place.archive.migrations(&of(&other)).await.unwrap(), []);
}

async fn a_copy_gives_way_to_the_same_or_a_newer_revision_only(place: &Place) {
    let shop = a_database();
    let put = async |revision: u64, author: &str| {
        let mut copy = migration(&shop, "V1__a", revision);
        copy.author = author.to_owned();
        expect_all(&place.archive.put_migrations(&of(&shop), &[copy]).await, 1);
        let copies = place.archive.migrations(&of(&shop)).await.unwrap();
        assert_eq!(copies.len(), 1);
        (copies[0].revision, copies[0].author.clone())
    };
    assert_eq!(put(2, "ada").await, (2, "ada".to_owned()));
    assert_eq!(put(1, "bob").await, (2, "ada".to_owned()));
    assert_eq!(put(2, "cyd").await, (2, "cyd".to_owned()));
    assert_eq!(put(10, "dan").await, (10, "dan".to_owned()));
    // A list in which some are older.
    let list = [
        migration(&shop, "V1__a", 3),
        migration(&shop, "V2__b", 1),
        migration(&shop, "V3__c", 1),
    ];
    expect_all(&place.archive.put_migrations(&of(&shop), &list).await, 3);
    let copies = place.archive.migrations(&of(&shop)).await.unwrap();
    let revisions: Vec<u64> = copies.iter().map(|copy| copy.revision).collect();
    assert_eq!(revisions, [10, 1, 1]);
}

async fn more_copies_than_a_batch_holds_are_all_kept(place: &Place) {
    let shop = a_database();
    let mut copies: Vec<_> = (0..230)
        .map(|number| migration(&shop, &format!("V{number:03}__x"), 1))
        .collect();
    expect_all(
        &place
            .archive
            .put_migrations(&of(&shop), &copies[..20])
            .await,
        20,
    );
    expect_all(
        &place.archive.put_migrations(&of(&shop), &copies).await,
        230,
    );
    // Large ones among the small.
    for number in [3, 4, 50, 229] {
        copies[number] = migration(&shop, &format!("V{number:03}__x"), 2);
        copies[number].up_script = "x".repeat(400_000 * number.min(5));
    }
    expect_all(
        &place.archive.put_migrations(&of(&shop), &copies).await,
        230,
    );
    assert!(place.archive.migrations(&of(&shop)).await.unwrap() == copies);
}

async fn long_scripts_are_read_back_and_make_room_for_others(place: &Place) {
    let shop = a_database();
    let mut long = migration(&shop, "V1__long", 1);
    // Twice as long as JSON text.
    long.up_script = "INSERT \"quotes\" \\ \n".repeat(8_000_000 / 19);
    long.down_script = Some("DELETE;\n".repeat(3_000_000 / 8));
    expect_all(
        &place
            .archive
            .put_migrations(&of(&shop), std::slice::from_ref(&long))
            .await,
        1,
    );
    assert!(place.archive.migrations(&of(&shop)).await.unwrap() == [long.clone()]);
    let mut longer = migration(&shop, "V1__long", 2);
    longer.up_script = format!("{}-- and more", long.up_script);
    longer.down_script.clone_from(&long.down_script);
    expect_all(
        &place
            .archive
            .put_migrations(&of(&shop), std::slice::from_ref(&longer))
            .await,
        1,
    );
    // The former revision comes late.
    expect_all(&place.archive.put_migrations(&of(&shop), &[long]).await, 1);
    assert!(place.archive.migrations(&of(&shop)).await.unwrap() == [longer]);
    let short = migration(&shop, "V1__long", 3);
    expect_all(
        &place
            .archive
            .put_migrations(&of(&shop), std::slice::from_ref(&short))
            .await,
        1,
    );
    assert!(place.archive.migrations(&of(&shop)).await.unwrap() == [short]);
}

async fn of_two_instances_the_newer_revision_wins(place: &Place) {
    let shop = a_database();
    let main = of(&shop);
    let revisions: Vec<Vec<_>> = (1..=4)
        .map(|revision| {
            let mut long = migration(&shop, "V1__long", revision);
            long.up_script = format!("{revision} ").repeat(700_000);
            vec![long, migration(&shop, "V2__b", revision)]
        })
        .collect();
    let instances: Vec<_> = revisions.iter().map(|_| place.another_instance()).collect();
    let put = instances
        .iter()
        .zip(&revisions)
        .map(|(archive, copies)| archive.put_migrations(&main, copies));
    for put in join_all(put).await {
        expect_all(&put, 2);
    }
    assert!(place.archive.migrations(&of(&shop)).await.unwrap() == revisions[3]);
}
