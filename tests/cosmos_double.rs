//! The double of a Cosmos DB account does over a socket what the suites that use it take for granted.

mod support;

use azure_data_cosmos::models::ContainerProperties;
use azure_data_cosmos::{ContainerClient, CosmosError, FeedScope, Query, TransactionalBatch};
use futures_util::TryStreamExt;
use serde_json::{Value, json};

use support::cosmos::{CosmosDouble, Fate, Weather, container_of};

async fn container(double: &CosmosDouble) -> ContainerClient {
    let client = double.client().await;
    client.create_database("d", None).await.unwrap();
    let database = client.database_client("d");
    let properties = ContainerProperties::new("c", "/databaseId".into());
    database.create_container(properties, None).await.unwrap();
    container_of(&client, "d", "c").await
}

fn item(id: &str, n: u32) -> Value {
    json!({"id": id, "databaseId": "shop", "n": n})
}

async fn create(container: &ContainerClient, item: Value) -> Result<(), CosmosError> {
    let id = item["id"].as_str().unwrap().to_owned();
    container.create_item("shop", &id, item, None).await?;
    Ok(())
}

async fn ids(container: &ContainerClient) -> Vec<String> {
    let query = Query::from("SELECT * FROM c WHERE c.n >= @n ORDER BY c.n DESC")
        .with_parameter("@n", 1)
        .unwrap();
    let found = container
        .query_items::<Value>(query, FeedScope::partition("shop"), None)
        .await
        .unwrap();
    found
        .map_ok(|item| item["id"].as_str().unwrap().to_owned())
        .try_collect()
        .await
        .unwrap()
}

fn code(outcome: Result<(), CosmosError>) -> u16 {
    u16::from(outcome.unwrap_err().status().status_code())
}

#[tokio::test]
async fn items_are_kept_and_found_whatever_the_size_of_a_page() {
    let double = CosmosDouble::start().await;
    let container = container(&double).await;
    for (id, n) in [("a", 1), ("b", 2), ("c", 3), ("zero", 0)] {
        create(&container, item(id, n)).await.unwrap();
    }
    assert_eq!(code(create(&container, item("a", 9)).await), 409);
    assert_eq!(ids(&container).await, ["c", "b", "a"]);
    double.set_page(1);
    assert_eq!(ids(&container).await, ["c", "b", "a"]);
    assert_eq!(double.writes()[..2], ["POST /dbs", "POST /dbs/d/colls"]);
    assert_eq!(double.writes().len(), 7);
}

#[tokio::test]
async fn a_batch_is_written_whole_or_not_at_all() {
    let double = CosmosDouble::start().await;
    let container = container(&double).await;
    create(&container, item("a", 1)).await.unwrap();
    for (second, codes) in [("a", [424, 409]), ("c", [201, 201])] {
        let batch = TransactionalBatch::new("shop")
            .create_item(item("b", 2))
            .unwrap()
            .create_item(item(second, 3))
            .unwrap();
        let response = container.execute_transactional_batch(batch, None).await;
        let response = response.unwrap().into_model().unwrap();
        let found: Vec<u16> = response
            .results()
            .iter()
            .map(|result| result.status_code())
            .collect();
        assert_eq!(found, codes);
    }
    assert_eq!(ids(&container).await, ["c", "b", "a"]);
}

#[tokio::test]
async fn an_item_has_at_most_two_megabytes() {
    let double = CosmosDouble::start().await;
    let container = container(&double).await;
    let large = |text: String| json!({"id": "large", "databaseId": "shop", "text": text});
    assert_eq!(
        code(create(&container, large("x".repeat(2_100_000))).await),
        413
    );
    // Its size is that of its JSON text, in which this is twice as long.
    assert_eq!(
        code(create(&container, large("\"".repeat(1_050_000))).await),
        413
    );
    create(&container, large("\"".repeat(1_000_000)))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_weather_and_the_fates_of_requests_are_the_tests_to_choose() {
    let double = CosmosDouble::start().await;
    let container = container(&double).await;
    create(&container, item("a", 1)).await.unwrap();
    for (weather, status) in [(Weather::Down, 503), (Weather::Refusing(429), 429)] {
        double.set_weather(weather);
        let read = container.read_item("shop", "a", None).await.map(|_| ());
        assert_eq!(code(read), status);
    }
    double.set_weather(Weather::Fine);
    container.read_item("shop", "a", None).await.unwrap();
    // Done, although nobody is told so: the driver tries again, and finds it there.
    double.set_fates([Fate::DoneUnanswered]);
    let told = create(&container, item("b", 2)).await;
    assert!(told.is_ok() || code(told) != 400);
    assert_eq!(ids(&container).await, ["b", "a"]);
    double.set_fates([Fate::Refused(403); 20]);
    assert_eq!(code(create(&container, item("c", 3)).await), 403);
    assert_eq!(ids(&container).await, ["b", "a"]);
}
