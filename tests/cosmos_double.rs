//! The double of a Cosmos DB account does over a socket what the suites that use it take for granted.

mod support;

use azure_data_cosmos::models::ContainerProperties;
use azure_data_cosmos::options::BinaryEncodingOptions;
use azure_data_cosmos::{
    AccountReference, CosmosClient, FeedScope, Query, RoutingStrategy, TransactionalBatch,
};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use support::cosmos::{CosmosDouble, Weather};

async fn client(double: &CosmosDouble) -> CosmosClient {
    let text = double.connection_string();
    let parsed: azure_data_cosmos_driver::models::ConnectionString = text.parse().unwrap();
    let account = AccountReference::with_authentication_key(
        parsed.account_endpoint().parse().unwrap(),
        parsed.account_key().clone(),
    );
    let pool = azure_data_cosmos::options::ConnectionPoolOptionsBuilder::new()
        .with_is_http2_allowed(false)
        .build()
        .unwrap();
    let runtime = azure_data_cosmos::CosmosRuntime::builder()
        .with_connection_pool(pool)
        .build()
        .await
        .unwrap();
    CosmosClient::builder()
        .with_runtime(runtime)
        .with_binary_encoding_options(BinaryEncodingOptions::new().with_enabled(false))
        .build(account, RoutingStrategy::PreferredRegions(vec![]))
        .await
        .unwrap()
}

#[tokio::test]
async fn databases_containers_and_items_are_kept_and_found() {
    let double = CosmosDouble::start().await;
    let client = client(&double).await;
    client.create_database("d", None).await.unwrap();
    let database = client.database_client("d");
    let properties = ContainerProperties::new("c", "/databaseId".into());
    database.create_container(properties, None).await.unwrap();
    let container = database.container_client("c", None).await.unwrap();
    let item = |id: &str, n: u32| json!({"id": id, "databaseId": "shop", "n": n});
    container
        .create_item("shop", "a", item("a", 1), None)
        .await
        .unwrap();
    let again = container.create_item("shop", "a", item("a", 1), None).await;
    assert!(again.unwrap_err().status().is_conflict());
    let batch = TransactionalBatch::new("shop")
        .create_item(item("b", 2))
        .unwrap()
        .create_item(item("a", 3))
        .unwrap();
    let response = container.execute_transactional_batch(batch, None).await;
    println!("{:?}", response.map(|r| (r.status(), r.into_model())));
    let query =
        Query::from("SELECT * FROM c WHERE c.databaseId = @d ORDER BY c.n DESC OFFSET 0 LIMIT 5")
            .with_parameter("@d", "shop")
            .unwrap();
    let found: Vec<Value> = container
        .query_items(query, FeedScope::partition("shop"), None)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    double.set_weather(Weather::Down);
    let begun = std::time::Instant::now();
    let read = container.read_item("shop", "a", None).await;
    println!("{:?} {:?}", begun.elapsed(), read.map(|_| ()));
    double.set_weather(Weather::Refusing(429));
    let begun = std::time::Instant::now();
    let read = container.read_item("shop", "a", None).await;
    println!(
        "{:?} {:?}",
        begun.elapsed(),
        read.map(|_| ()).map_err(|e| e.to_string())
    );
    double.set_weather(Weather::Fine);
    container.read_item("shop", "a", None).await.unwrap();
    let big = "x".repeat(2_100_000);
    let refused = container
        .create_item(
            "shop",
            "big",
            json!({"id":"big","databaseId":"shop","x":big}),
            None,
        )
        .await;
    println!("{:?}", refused.map(|_| ()).map_err(|e| e.to_string()));
    let fits = "\"".repeat(1_000_000);
    container
        .create_item(
            "shop",
            "fits",
            json!({"id":"fits","databaseId":"shop","x":fits}),
            None,
        )
        .await
        .unwrap();
    println!("{:?}", double.writes());
}
