//! A Cosmos DB database under version control, as a team uses it: the real binary behind the double of the host, on an account
//! in memory.

mod support;

use std::sync::Arc;
use std::time::Duration;

use azure_data_cosmos::models::ContainerProperties;
use azure_data_cosmos::options::{BinaryEncodingOptions, ConnectionPoolOptionsBuilder};
use azure_data_cosmos::{
    AccountReference, CosmosClient, CosmosRuntime, DatabaseClient, RoutingStrategy,
};
use dbvc::database::cosmos::{CosmosDatabase, CosmosHandle};
use dbvc::database::sqlite::SqliteDatabase;
use dbvc::database::{
    Access, BatchText, Connection, Database, DatabaseError, SHORT_WAIT, ScriptEnd, ScriptMode,
    Unobserved,
};
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use support::cosmos::{CosmosDouble, Weather};
use support::host::{Answer, Host, HostBuilder};
use support::scene::*;
use support::team::expect_problem;

/// The Cosmos DB database in the inventory.
const COSMOS: &str = "lpa-dbvc-dev";

/// Its name in the account.
const NAME: &str = "lpa-dbvc";

/// An embedded home database and a Cosmos DB account.
struct Place {
    scene: Scene,
    double: CosmosDouble,
    database: DatabaseClient,
}

impl Place {
    async fn new() -> Self {
        let double = CosmosDouble::start().await;
        let client = client(&double).await;
        client.create_database(NAME, None).await.unwrap();
        let database = client.database_client(NAME);
        Self {
            scene: Scene::embedded(),
            double,
            database,
        }
    }

    fn with_account(&self, host: HostBuilder) -> HostBuilder {
        host.setting("DBVC_CONN_COSMOS", self.double.connection_string())
    }

    /// A process of the place.
    async fn host(&self) -> Host {
        self.with_account(self.scene.host()).start().await
    }

    /// A process with the database in its inventory.
    async fn start(&self) -> Host {
        let host = self.host().await;
        self.put(&host).await.expect_status(201);
        host
    }

    async fn put(&self, host: &Host) -> Answer {
        let body = json!({"type": "cosmos", "engine": "cosmos", "environment": "dev", "databaseName": NAME,
            "folder": "cosmos", "connection": "env:DBVC_CONN_COSMOS"});
        host.put(&format!("/api/dbvc/databases/{COSMOS}"), body)
            .await
    }

    /// Everything that must hold whatever happened. The records are in the home database.
    async fn expect_sound(&self, host: &Host) {
        self.scene
            .expect_sound_with_records_in(host, COSMOS, HOME)
            .await;
    }

    /// The description of a container; none when there is no such container.
    async fn container(&self, name: &str) -> Option<Value> {
        let query = azure_data_cosmos::Query::from("SELECT * FROM c WHERE c.id = @id")
            .with_parameter("@id", name)
            .unwrap();
        let found: Vec<ContainerProperties> = self
            .database
            .query_containers(query, None)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        found
            .first()
            .map(|properties| serde_json::to_value(properties).unwrap())
    }

    /// An item; none when there is no such item.
    async fn item(&self, container: &str, key: &'static str, id: &str) -> Option<Value> {
        let client = self
            .database
            .container_client(container.to_owned(), None)
            .await
            .unwrap();
        let read = client.read_item(key, id, None).await;
        read.ok().map(|answer| answer.into_model().unwrap())
    }

    /// Writes an item past dbvc.
    async fn write_item(&self, container: &str, key: &'static str, id: &str, item: Value) {
        let client = self
            .database
            .container_client(container.to_owned(), None)
            .await
            .unwrap();
        client.upsert_item(key, id, item, None).await.unwrap();
    }

    /// Changes a container past dbvc.
    async fn change(&self, container: &str, change: impl FnOnce(&mut Value)) {
        let client = self
            .database
            .container_client(container.to_owned(), None)
            .await
            .unwrap();
        let body = client.read(None).await.unwrap().into_body();
        let mut described: Value = serde_json::from_slice(&body.single().unwrap()).unwrap();
        change(&mut described);
        let properties = serde_json::from_value(described).unwrap();
        client.replace(properties, None).await.unwrap();
    }
}

async fn client(double: &CosmosDouble) -> CosmosClient {
    let text = double.connection_string();
    let parsed: azure_data_cosmos_driver::models::ConnectionString = text.parse().unwrap();
    let account = AccountReference::with_authentication_key(
        parsed.account_endpoint().parse().unwrap(),
        parsed.account_key().clone(),
    );
    let pool = ConnectionPoolOptionsBuilder::new()
        .with_is_http2_allowed(false)
        .build()
        .unwrap();
    let runtime = CosmosRuntime::builder()
        .with_connection_pool(pool)
        .build()
        .await
        .unwrap();
    CosmosClient::builder()
        .with_runtime(runtime)
        .with_binary_encoding_options(BinaryEncodingOptions::new().with_enabled(false))
        .build(account, RoutingStrategy::PreferredRegions(Vec::new()))
        .await
        .unwrap()
}

fn script(operations: &[Value]) -> String {
    serde_json::to_string_pretty(&json!({ "operations": operations })).unwrap()
}

fn create(container: &str) -> Value {
    json!({"operation": "createContainer", "container": container, "partitionKey": "/userId"})
}

fn delete(container: &str) -> Value {
    json!({"operation": "deleteContainer", "container": container})
}

fn upsert(container: &str, id: &str, n: u32) -> Value {
    json!({"operation": "upsertItem", "container": container, "item": {"id": id, "userId": "ada", "n": n}})
}

/// The one error of the one migration of a run that failed.
fn error_of(answer: &Answer) -> Value {
    let problem = expect_problem(answer, 422, "migration-failed");
    let migration = &problem["run"]["databases"][0]["migrations"][0];
    assert_eq!(migration["status"], "failed", "{migration}");
    assert_eq!(migration["errors"].as_array().unwrap().len(), 1);
    migration["errors"][0].clone()
}

async fn roll_back(host: &Host, migration: &str) -> Answer {
    let body = json!({"databaseId": COSMOS, "environment": "dev", "executor": "runner@lpa.com", "migrationId": migration});
    host.post("/api/dbvc/migrations/rollback", body).await
}

async fn verify(host: &Host) -> Value {
    let body = json!({"databaseId": COSMOS, "environment": "dev", "executor": "checker@lpa.com"});
    let answer = host.post("/api/dbvc/integrity/verify", body).await;
    answer.expect_status(200).body
}

async fn drift(host: &Host) -> Value {
    let path = format!("/api/dbvc/drift?databaseId={COSMOS}");
    host.get(&path).await.expect_status(200).body
}

#[tokio::test]
async fn containers_and_items_come_and_go_with_their_migrations() {
    let place = Place::new().await;
    let host = place.start().await;
    let up = "{\n  \"operations\": [\n    {\"operation\": \"createContainer\", \"container\": \"preferences\", \"partitionKey\": \"/userId\",\n     \
              \"uniqueKeys\": [[\"/email\"]], \"defaultTtl\": 3600, \"throughput\": {\"manual\": 400},\n     \
              \"indexingPolicy\": {\"includedPaths\": [{\"path\": \"/*\"}], \"excludedPaths\": [{\"path\": \"/blob/*\"}]}},\n    \
              {\"operation\": \"upsertItem\", \"container\": \"preferences\",\n     \"item\": {\"id\": \"default\", \"userId\": \"ada\", \"theme\": \"dark\"}}\n  ]\n}\n";
    let down = script(&[
        json!({"operation": "deleteContainer", "container": "preferences", "allowDataLoss": true}),
    ]);
    let body = json!({"fileName": "V1__create_preferences.cosmos.json", "databaseId": COSMOS, "author": "author@lpa.com",
        "upScript": up, "downScript": down});
    let created = host
        .post("/api/dbvc/migrations", body)
        .await
        .expect_status(201);
    assert_eq!(created.body["migrationId"], "V1__create_preferences");

    let ran = run(&host, COSMOS).await.expect_status(200);
    let database = &ran.body["databases"][0];
    assert_eq!(database["engine"], "cosmos");
    assert_eq!(database["toVersion"], "1");
    let batches = &database["migrations"][0]["batches"];
    assert_eq!(
        (&batches[0]["line"], &batches[1]["line"]),
        (&json!(3), &json!(6))
    );
    assert_eq!(batches[1]["rowsAffected"], 1);
    let made = place.container("preferences").await.unwrap();
    assert_eq!(made["defaultTtl"], 3600);
    assert_eq!(
        made["uniqueKeyPolicy"]["uniqueKeys"][0]["paths"],
        json!(["/email"])
    );
    assert_eq!(
        place.item("preferences", "ada", "default").await.unwrap()["theme"],
        "dark"
    );

    let status = host
        .get(&format!(
            "/api/dbvc/migrations/status?databaseId={COSMOS}&detailed=true"
        ))
        .await
        .expect_status(200);
    let listed = &status.body["databases"][0];
    assert_eq!(
        (&listed["type"], &listed["currentVersion"]),
        (&json!("cosmos"), &json!("1"))
    );
    assert_eq!(listed["counts"]["applied"], 1);
    // Dbvc's own versions are the home database's.
    assert_eq!(listed["migrations"].as_array().unwrap().len(), 1);
    assert_eq!(listed["drift"]["detected"], false);

    let snapshot = host
        .get(&format!("/api/dbvc/snapshots?databaseId={COSMOS}"))
        .await
        .expect_status(200);
    let header = &snapshot.body["snapshots"][0];
    assert_eq!(
        (
            &header["objectCounts"]["containers"],
            &header["objectCounts"]["tables"]
        ),
        (&json!(1), &json!(0))
    );
    let path = format!(
        "/api/dbvc/snapshots?snapshotId={}",
        header["snapshotId"].as_str().unwrap()
    );
    let snapshot = host.get(&path).await.expect_status(200);
    assert_eq!(
        snapshot.body["schema"]["containers"][0],
        json!({"name": "preferences", "partitionKey": ["/userId"], "uniqueKeys": [["/email"]],
            "indexing": {"mode": "consistent", "includedPaths": ["/*"], "excludedPaths": ["/blob/*"]},
            "defaultTtl": 3600, "throughput": {"manual": 400}})
    );

    assert_eq!(verify(&host).await["healthy"], true);
    place.expect_sound(&host).await;
    let nothing = run(&host, COSMOS).await.expect_status(200);
    assert_eq!(nothing.body["status"], "nothing-to-do");

    let undone = roll_back(&host, "V1__create_preferences")
        .await
        .expect_status(200);
    assert_eq!(
        undone.body["databases"][0]["migrations"][0]["status"],
        "rolled-back"
    );
    assert_eq!(place.container("preferences").await, None);
    place.expect_sound(&host).await;
    assert_eq!(
        story_of(&host, COSMOS, "V1__create_preferences").await,
        [
            "registered",
            "started",
            "completed",
            "started",
            "rolled-back"
        ]
    );
}

#[tokio::test]
async fn a_change_by_hand_is_drift() {
    let place = Place::new().await;
    let host = place.start().await;
    register(
        &host,
        COSMOS,
        1,
        &script(&[create("users"), create("orders")]),
        None,
    )
    .await;
    run(&host, COSMOS).await.expect_status(200);
    assert_eq!(drift(&host).await["detected"], false);

    place
        .change("users", |described| described["defaultTtl"] = 60.into())
        .await;
    let properties = ContainerProperties::new("extra", "/id".into());
    place
        .database
        .create_container(properties, None)
        .await
        .unwrap();
    let found = drift(&host).await;
    assert_eq!(found["detected"], true);
    let changes: Vec<(&Value, &Value, &Value)> = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (&change["change"], &change["kind"], &change["name"]))
        .collect();
    assert_eq!(
        changes,
        [
            (&json!("added"), &json!("container"), &json!("extra")),
            (&json!("changed"), &json!("container"), &json!("users"))
        ]
    );
    assert_eq!(
        found["changes"][1]["details"],
        json!([{"property": "default ttl", "from": null, "to": "60 seconds"}])
    );
    for (accept, words) in [("text/markdown", "container"), ("text/html", "60 seconds")] {
        let report = host
            .request("GET", &format!("/api/dbvc/drift?databaseId={COSMOS}"))
            .header("accept", accept)
            .send()
            .await;
        assert!(report.text().contains(words), "{}", report.text());
    }
    let path = format!("/api/dbvc/drift?databaseId={COSMOS}&script=adopt");
    let refused = expect_problem(&host.get(&path).await, 400, "invalid-request");
    assert_eq!(refused["errors"][0]["field"], "script", "{refused:#}");
    // The next run tells of it, and its snapshot shows what is.
    register(&host, COSMOS, 2, &script(&[upsert("users", "a", 1)]), None).await;
    let ran = run(&host, COSMOS).await.expect_status(200);
    assert_eq!(ran.body["databases"][0]["driftBefore"]["detected"], true);
    assert_eq!(count_of(&host, COSMOS, "drift-detected").await, 1);
    assert_eq!(drift(&host).await["detected"], false);
}

#[tokio::test]
async fn a_container_with_items_is_removed_only_when_that_is_said() {
    let place = Place::new().await;
    let host = place.start().await;
    register(
        &host,
        COSMOS,
        1,
        &script(&[create("empty"), create("full")]),
        None,
    )
    .await;
    run(&host, COSMOS).await.expect_status(200);
    place
        .write_item("full", "ada", "x", json!({"id": "x", "userId": "ada"}))
        .await;

    register(
        &host,
        COSMOS,
        2,
        &script(&[delete("empty"), delete("full")]),
        None,
    )
    .await;
    let failed = run(&host, COSMOS).await;
    let error = error_of(&failed);
    assert_eq!((&error["batch"], &error["line"]), (&json!(2), &json!(7)));
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("full holds items") && message.contains("allowDataLoss"),
        "{message}"
    );
    assert_eq!(place.container("empty").await, None);
    assert!(place.container("full").await.is_some());

    // Mended, it goes on behind what was done.
    let mended = [
        delete("empty"),
        json!({"operation": "deleteContainer", "container": "full", "allowDataLoss": true}),
    ];
    reregister(&host, COSMOS, 2, &script(&mended)).await;
    let ran = run(&host, COSMOS).await.expect_status(200);
    let batches = ran.body["databases"][0]["migrations"][0]["batches"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0]["index"], 2);
    assert_eq!(place.container("full").await, None);
    place.expect_sound(&host).await;
}

#[tokio::test]
async fn what_is_as_it_should_be_is_left_and_what_differs_is_named() {
    let place = Place::new().await;
    let host = place.start().await;
    let properties = ContainerProperties::new("users", "/userId".into());
    place
        .database
        .create_container(properties, None)
        .await
        .unwrap();
    let again = [
        create("users"),
        json!({"operation": "setDefaultTtl", "container": "users", "defaultTtl": "off"}),
        delete("nothing"),
        json!({"operation": "deleteItem", "container": "users", "id": "x", "partitionKey": "ada"}),
    ];
    register(&host, COSMOS, 1, &script(&again), None).await;
    let writes = place.double.writes().len();
    let mut first = run_of(COSMOS);
    first["allowNotEmpty"] = true.into();
    let ran = host
        .post("/api/dbvc/migrations/run", first)
        .await
        .expect_status(200);
    let batches = &ran.body["databases"][0]["migrations"][0]["batches"];
    let words: Vec<&str> = (0..4)
        .map(|index| batches[index]["messages"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        words,
        [
            "the container was there already, with these settings",
            "it was so already",
            "there was no such container",
            "there was no such item"
        ]
    );
    // To ask for the making and the removing is how it is found out.
    let methods: Vec<String> = place.double.writes()[writes..]
        .iter()
        .map(|write| write.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(methods, ["POST", "DELETE"]);

    let other = json!({"operation": "createContainer", "container": "users", "partitionKey": "/tenant", "defaultTtl": 60});
    register(&host, COSMOS, 2, &script(&[other]), None).await;
    let error = error_of(&run(&host, COSMOS).await);
    assert_eq!(error["number"], 409);
    assert_eq!(
        error["message"],
        "the container users is there already with other settings: default ttl is none and not 60 seconds; partition key is \
         /userId and not /tenant"
    );
}

#[tokio::test]
async fn the_first_run_on_a_database_with_containers_is_refused_and_the_archives_do_not_count() {
    let place = Place::new().await;
    let host = place.start().await;
    register(&host, COSMOS, 1, &script(&[create("users")]), None).await;
    let archive = ContainerProperties::new("change-events", "/databaseId".into());
    place
        .database
        .create_container(archive, None)
        .await
        .unwrap();
    let users = ContainerProperties::new("users", "/userId".into());
    place.database.create_container(users, None).await.unwrap();
    let writes = place.double.writes().len();
    let mut preview = run_of(COSMOS);
    preview["dryRun"] = true.into();
    for body in [run_of(COSMOS), preview] {
        let refused = host
            .post("/api/dbvc/migrations/run", body)
            .await
            .expect_status(409);
        assert_eq!(refused.body["code"], "not-empty");
        assert_eq!(refused.body["objectCounts"]["containers"], 1);
        assert_eq!(refused.body["managedAs"], json!([]));
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains("it holds 1 container;"), "{detail}");
    }
    assert_eq!(place.double.writes().len(), writes, "nothing was changed");
    let mut known = run_of(COSMOS);
    known["baseline"] = "1".into();
    host.post("/api/dbvc/migrations/run", known)
        .await
        .expect_status(200);
    register(&host, COSMOS, 2, &script(&[create("orders")]), None).await;
    run(&host, COSMOS).await.expect_status(200);
}

#[tokio::test]
async fn an_empty_database_beside_the_archive_is_not_asked_about() {
    let place = Place::new().await;
    let host = place.start().await;
    let archive = ContainerProperties::new("change-events", "/databaseId".into());
    place
        .database
        .create_container(archive, None)
        .await
        .unwrap();
    register(&host, COSMOS, 1, &script(&[create("users")]), None).await;
    run(&host, COSMOS).await.expect_status(200);
}

#[tokio::test]
async fn changing_one_setting_keeps_all_others() {
    let place = Place::new().await;
    let host = place.start().await;
    let made = json!({"operation": "createContainer", "container": "users", "partitionKey": ["/tenant", "/userId"],
        "uniqueKeys": [["/email"]], "defaultTtl": -1, "throughput": {"manual": 400}});
    register(&host, COSMOS, 1, &script(&[made, create("plain")]), None).await;
    run(&host, COSMOS).await.expect_status(200);
    // A setting that dbvc and its driver know nothing of.
    place
        .change("users", |described| {
            described["geospatialConfig"] = json!({"type": "Geometry"});
        })
        .await;
    let changes = [
        json!({"operation": "replaceIndexingPolicy", "container": "users", "indexingPolicy": {"includedPaths": [{"path": "/*"}],
            "excludedPaths": [{"path": "/blob/*"}],
            "compositeIndexes": [[{"path": "/a", "order": "ascending"}, {"path": "/b", "order": "descending"}]]}}),
        json!({"operation": "setDefaultTtl", "container": "users", "defaultTtl": 60}),
        json!({"operation": "setThroughput", "container": "users", "throughput": {"manual": 500}}),
        json!({"operation": "upsertItem", "container": "users",
            "item": {"id": "x", "tenant": "lpa", "userId": 7, "email": "ada@lpa.com"}}),
    ];
    register(&host, COSMOS, 2, &script(&changes), None).await;
    let ran = run(&host, COSMOS).await.expect_status(200);
    let snapshot = ran.body["databases"][0]["snapshotId"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/api/dbvc/snapshots?snapshotId={snapshot}");
    let snapshot = host.get(&path).await.expect_status(200);
    assert_eq!(
        snapshot.body["schema"]["containers"][1],
        json!({"name": "users", "partitionKey": ["/tenant", "/userId"], "uniqueKeys": [["/email"]],
            "indexing": {"mode": "consistent", "includedPaths": ["/*"], "excludedPaths": ["/blob/*"],
                "compositeIndexes": [["/a", "/b DESC"]]},
            "defaultTtl": 60, "throughput": {"manual": 500}, "other": {"geospatialConfig": "{\"type\":\"Geometry\"}"}})
    );

    // Nobody else's change is overwritten.
    let replaced = format!("PUT /dbs/{NAME}/colls/users");
    assert_eq!(place.double.guarded(), [replaced.clone(), replaced]);

    let gone = [
        json!({"operation": "deleteItem", "container": "users", "id": "x", "partitionKey": ["lpa", 7]}),
        json!({"operation": "deleteContainer", "container": "users"}),
        json!({"operation": "createContainer", "container": "users", "partitionKey": "/userId"}),
        upsert("users", "y", 1),
    ];
    register(&host, COSMOS, 3, &script(&gone), None).await;
    run(&host, COSMOS).await.expect_status(200);
    assert_eq!(place.item("users", "ada", "y").await.unwrap()["n"], 1);

    let none =
        json!({"operation": "setThroughput", "container": "plain", "throughput": {"manual": 400}});
    register(&host, COSMOS, 4, &script(&[none]), None).await;
    let error = error_of(&run(&host, COSMOS).await);
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("plain has no throughput of its own"),
        "{message}"
    );
}

#[tokio::test]
async fn the_words_of_the_service_are_those_of_the_error() {
    let place = Place::new().await;
    let host = place.start().await;
    register(
        &host,
        COSMOS,
        1,
        &script(&[create("a"), upsert("missing", "x", 1)]),
        None,
    )
    .await;
    let error = error_of(&run(&host, COSMOS).await);
    assert_eq!(
        (&error["number"], &error["batch"]),
        (&json!(404), &json!(2))
    );
    assert_eq!(error["message"], "there is no container missing");
    place.expect_sound(&host).await;

    let wrong = json!({"name": "step", "version": "2", "databaseId": COSMOS, "author": "author@lpa.com",
        "upScript": "{\"operations\": [\n  {\"operation\": \"createContainer\", \"container\": \"a\"}]}"});
    let refused = host.post("/api/dbvc/migrations", wrong).await;
    let problem = expect_problem(&refused, 400, "invalid-request");
    assert_eq!(
        problem["errors"][0]["message"],
        "line 2: an operation lacks the field partitionKey"
    );
}

#[tokio::test]
async fn variables_are_put_into_strings_and_do_not_come_back() {
    let place = Place::new().await;
    let host = place
        .with_account(place.scene.host())
        .setting("DBVC_VAR_OWNER", "hush-hush")
        .start()
        .await;
    place.put(&host).await.expect_status(201);
    let text = json!({"variables": true, "operations": [create("a"),
        {"operation": "upsertItem", "container": "a", "item": {"id": "x", "userId": "ada", "owner": "$(owner)"}},
        {"operation": "upsertItem", "container": "$(owner)", "item": {"id": "x"}}]});
    register(&host, COSMOS, 1, &text.to_string(), None).await;
    let failed = run(&host, COSMOS).await;
    assert_eq!(
        error_of(&failed)["message"],
        "there is no container $(owner)"
    );
    assert_eq!(
        place.item("a", "ada", "x").await.unwrap()["owner"],
        "hush-hush"
    );
    assert!(!failed.text().contains("hush-hush"));
}

#[tokio::test]
async fn a_preview_lists_the_operations_and_a_trial_is_refused() {
    let place = Place::new().await;
    let host = place.start().await;
    register(&host, COSMOS, 1, &script(&[create("a")]), None).await;
    let dry = async |mode: Value| {
        let mut body = run_of(COSMOS);
        body["dryRun"] = mode;
        host.post(RUN, body).await
    };
    let writes = place.double.writes().len();
    let planned = dry(json!(true)).await.expect_status(200);
    assert_eq!(
        outcomes(&planned.body, 0),
        [("V1__step".to_owned(), "planned".to_owned())]
    );
    expect_problem(&dry(json!("execute")).await, 409, "not-transactional");
    assert_eq!(place.double.writes().len(), writes);
    run(&host, COSMOS).await.expect_status(200);
    let nothing = dry(json!("execute")).await.expect_status(200);
    assert_eq!(nothing.body["status"], "nothing-to-do");
}

#[tokio::test]
async fn a_baseline_marks_what_is_there_already() {
    let place = Place::new().await;
    let host = place.start().await;
    register(&host, COSMOS, 1, &script(&[create("a")]), None).await;
    let mut body = run_of(COSMOS);
    body["baseline"] = "1".into();
    let ran = host.post(RUN, body).await.expect_status(200);
    assert_eq!(
        outcomes(&ran.body, 0),
        [("V1__step".to_owned(), "applied".to_owned())]
    );
    assert_eq!(place.container("a").await, None);
    place.expect_sound(&host).await;
}

/// A script with every operation, and what is to be afterwards.
fn every_operation() -> [Value; 7] {
    [
        json!({"operation": "createContainer", "container": "users", "partitionKey": "/userId", "throughput": {"manual": 400}}),
        json!({"operation": "replaceIndexingPolicy", "container": "users", "indexingPolicy": {"includedPaths": [{"path": "/*"}],
            "excludedPaths": [{"path": "/blob/*"}]}}),
        json!({"operation": "setDefaultTtl", "container": "users", "defaultTtl": 60}),
        json!({"operation": "setThroughput", "container": "users", "throughput": {"manual": 500}}),
        upsert("users", "x", 1),
        json!({"operation": "deleteItem", "container": "users", "id": "old", "partitionKey": "ada"}),
        json!({"operation": "deleteContainer", "container": "former", "allowDataLoss": true}),
    ]
}

#[tokio::test]
async fn killed_at_any_operation_a_run_goes_on_there() {
    for number in 1..=every_operation().len() {
        for point in ["batch-intended", "batch-sent"] {
            killed_at(&format!("{point}:{number}")).await;
        }
    }
}

async fn killed_at(point: &str) {
    let place = Place::new().await;
    let keeper = place.start().await;
    register(&keeper, COSMOS, 1, &script(&[create("former")]), None).await;
    run(&keeper, COSMOS).await.expect_status(200);
    register(&keeper, COSMOS, 2, &script(&every_operation()), None).await;
    let victim = place
        .with_account(place.scene.host_stopping_at(point))
        .start()
        .await;
    begin_run(&victim, COSMOS).await;
    place.scene.stopped().await;
    victim.kill().await;
    expect_no_drift_claimed(&keeper, COSMOS).await;

    let ran = run_when_free(&keeper, COSMOS).await.expect_status(200);
    assert_eq!(ran.body["status"], "succeeded", "{point}: {}", ran.text());
    let users = place.container("users").await.unwrap();
    assert_eq!(users["defaultTtl"], 60, "{point}");
    assert_eq!(
        users["indexingPolicy"]["excludedPaths"][0]["path"],
        "/blob/*"
    );
    assert_eq!(place.item("users", "ada", "x").await.unwrap()["n"], 1);
    assert_eq!(place.container("former").await, None);
    assert_eq!(
        story_of(&keeper, COSMOS, "V2__step").await,
        [
            "registered",
            "started",
            "interrupted",
            "started",
            "completed"
        ],
        "{point}"
    );
    place.expect_sound(&keeper).await;
    let again = run(&keeper, COSMOS).await.expect_status(200);
    assert_eq!(again.body["status"], "nothing-to-do", "{point}");
}

#[tokio::test]
async fn a_rollback_that_was_cut_off_goes_on_when_it_is_asked_for_again() {
    // Sent twice, the second operation would fail: the container is gone by then.
    let down = [
        upsert("users", "farewell", 1),
        json!({"operation": "deleteItem", "container": "users", "id": "farewell", "partitionKey": "ada"}),
        delete("users"),
        create("former"),
    ];
    for point in ["batch-intended:1", "batch-sent:3", "batch-intended:4"] {
        let place = Place::new().await;
        let keeper = place.start().await;
        register(
            &keeper,
            COSMOS,
            1,
            &script(&[create("users")]),
            Some(&script(&down)),
        )
        .await;
        run(&keeper, COSMOS).await.expect_status(200);
        let victim = place
            .with_account(place.scene.host_stopping_at(point))
            .start()
            .await;
        let request = victim
            .request("POST", "/api/dbvc/migrations/rollback")
            .json(&rollback_of(COSMOS, "V1__step", false));
        request.begin().await.hang_up();
        place.scene.stopped().await;
        victim.kill().await;

        let undone = when_free("the lock to be free", async || {
            roll_back(&keeper, "V1__step").await
        })
        .await
        .expect_status(200);
        assert_eq!(
            undone.body["status"],
            "succeeded",
            "{point}: {}",
            undone.text()
        );
        assert_eq!(place.container("users").await, None, "{point}");
        assert!(place.container("former").await.is_some(), "{point}");
        place.expect_sound(&keeper).await;
        let state = keeper
            .get(&format!("/api/dbvc/databases/{COSMOS}/migrations/V1__step"))
            .await
            .expect_status(200);
        assert_eq!(state.body["status"], "rolled-back", "{point}");
    }
}

#[tokio::test]
async fn an_account_that_goes_down_in_the_middle_of_a_run_fails_it_and_the_next_goes_on() {
    let place = Place::new().await;
    let host = place
        .with_account(place.scene.host_stopping_at("batch-intended:2"))
        .start()
        .await;
    place.put(&host).await.expect_status(201);
    let operations = [create("a"), upsert("a", "x", 1), upsert("a", "y", 1)];
    register(&host, COSMOS, 1, &script(&operations), None).await;
    let (failed, ()) = tokio::join!(run(&host, COSMOS), async {
        place.scene.stopped().await;
        place.double.set_weather(Weather::Down);
        place.scene.go_on();
    });
    let error = error_of(&failed);
    assert_eq!(error["batch"], 2, "{error}");
    let status = host
        .get(&format!(
            "/api/dbvc/migrations/status?databaseId={COSMOS}&detailed=true"
        ))
        .await
        .expect_status(200);
    let listed = &status.body["databases"][0];
    assert_eq!(listed["migrations"][0]["status"], "failed");
    assert!(listed["lock"].is_null());
    // The records can be looked at, and nothing is claimed of what cannot be seen.
    assert_eq!(verify(&host).await["healthy"], true);

    place.double.set_weather(Weather::Fine);
    let ran = run(&host, COSMOS).await.expect_status(200);
    let batches = ran.body["databases"][0]["migrations"][0]["batches"]
        .as_array()
        .unwrap()
        .clone();
    let numbers: Vec<&Value> = batches.iter().map(|batch| &batch["index"]).collect();
    assert_eq!(numbers, [2, 3]);
    assert!(place.item("a", "ada", "y").await.is_some());
    place.expect_sound(&host).await;
}

#[tokio::test]
async fn a_run_over_all_serves_both_kinds_of_database() {
    let place = Place::new().await;
    let host = place.start().await;
    register(&host, HOME, 1, "CREATE TABLE t (id INTEGER);", None).await;
    register(
        &host,
        COSMOS,
        1,
        &script(&[create("a"), upsert("a", "x", 1)]),
        None,
    )
    .await;
    let ran = run(&host, "all").await.expect_status(200);
    let engines: Vec<(&Value, &Value)> = ran.body["databases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|database| (&database["engine"], &database["status"]))
        .collect();
    assert_eq!(
        engines,
        [
            (&json!("sqlite"), &json!("succeeded")),
            (&json!("cosmos"), &json!("succeeded"))
        ]
    );
    place.scene.expect_sound(&host, HOME).await;
    place.expect_sound(&host).await;
}

/// Longer than dbvc waits for short writes, and than the lease, which nobody can renew meanwhile. It is the time itself that is
/// tried, and nothing shows from outside when a wait within SQLite has ended and begins anew.
const PATIENCE_IS_OVER: Duration = SHORT_WAIT.saturating_add(Duration::from_secs(2));

#[tokio::test]
async fn a_long_script_of_the_home_database_delays_a_run_on_cosmos_and_fails_nothing() {
    let place = Place::new().await;
    let host = place
        .with_account(place.scene.host_stopping_at("batch-sent:1"))
        .setting("DBVC_LOCK_TIMEOUT", "1")
        .start()
        .await;
    place.put(&host).await.expect_status(201);
    register(
        &host,
        COSMOS,
        1,
        &script(&[create("a"), upsert("a", "x", 1)]),
        None,
    )
    .await;
    let (ran, ()) = tokio::join!(run(&host, COSMOS), async {
        place.scene.stopped().await;
        // What the transaction of a script does: nobody else writes to the file.
        let file = place.scene.data_dir().join(format!("{HOME}.sqlite"));
        let script = rusqlite::Connection::open(file).unwrap();
        script.execute_batch("BEGIN IMMEDIATE").unwrap();
        place.scene.go_on();
        tokio::time::sleep(PATIENCE_IS_OVER).await;
        expect_locked(run(&host, COSMOS).await);
        script.execute_batch("COMMIT").unwrap();
    });
    let ran = ran.expect_status(200);
    assert_eq!(ran.body["status"], "succeeded", "{}", ran.text());
    place.expect_sound(&host).await;
    assert_eq!(count_of(&host, COSMOS, "lock-taken-over").await, 0);

    // The same while it only begins.
    register(&host, COSMOS, 2, &script(&[upsert("a", "y", 1)]), None).await;
    let file = place.scene.data_dir().join(format!("{HOME}.sqlite"));
    let other = rusqlite::Connection::open(file).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (ran, ()) = tokio::join!(run(&host, COSMOS), async {
        tokio::time::sleep(PATIENCE_IS_OVER).await;
        other.execute_batch("COMMIT").unwrap();
    });
    assert_eq!(ran.expect_status(200).body["status"], "succeeded");
}

#[tokio::test]
async fn a_run_is_cancelled_between_two_operations() {
    let place = Place::new().await;
    let host = place
        .with_account(place.scene.host_stopping_at("batch-sent:1"))
        .start()
        .await;
    place.put(&host).await.expect_status(201);
    register(&host, COSMOS, 1, &script(&[create("a"), create("b")]), None).await;
    let (ended, ()) = tokio::join!(run(&host, COSMOS), async {
        place.scene.stopped().await;
        let run_id = newest_run_id(&host, COSMOS).await;
        cancel(&host, &run_id).await.expect_status(202);
        place.scene.go_on();
    });
    assert_eq!(ended.body["status"], "cancelled", "{}", ended.text());
    assert!(place.container("a").await.is_some());
    assert_eq!(place.container("b").await, None);
    let ran = run(&host, COSMOS).await.expect_status(200);
    assert_eq!(ran.body["status"], "succeeded");
    assert!(place.container("b").await.is_some());
    place.expect_sound(&host).await;
}

#[tokio::test]
async fn a_container_that_somebody_made_anew_is_met_as_it_is_now() {
    let place = Place::new().await;
    let host = place.start().await;
    register(
        &host,
        COSMOS,
        1,
        &script(&[create("a"), upsert("a", "x", 1)]),
        None,
    )
    .await;
    run(&host, COSMOS).await.expect_status(200);
    let old = place.database.container_client("a", None).await.unwrap();
    old.delete(None).await.unwrap();
    // Past dbvc, and with another partition key.
    let anew = ContainerProperties::new("a", "/id".into());
    place.database.create_container(anew, None).await.unwrap();
    register(&host, COSMOS, 2, &script(&[upsert("a", "y", 2)]), None).await;
    run(&host, COSMOS).await.expect_status(200);
    let client = client(&place.double).await;
    let container = client
        .database_client(NAME)
        .container_client("a", None)
        .await
        .unwrap();
    let read = container.read_item("y", "y", None).await.unwrap();
    assert_eq!(read.into_model::<Value>().unwrap()["n"], 2);
}

#[tokio::test]
async fn a_database_that_the_account_does_not_have_is_named() {
    let place = Place::new().await;
    let host = place.host().await;
    let body = json!({"type": "cosmos", "engine": "cosmos", "environment": "dev", "databaseName": "elsewhere",
        "connection": "env:DBVC_CONN_COSMOS"});
    host.put(&format!("/api/dbvc/databases/{COSMOS}"), body)
        .await
        .expect_status(201);
    register(&host, COSMOS, 1, &script(&[create("a")]), None).await;
    let answer = run(&host, COSMOS).await;
    let problem = expect_problem(&answer, 503, "unavailable");
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("has no database elsewhere; make it"),
        "{detail}"
    );
    // Its records are where they always are.
    let status = host
        .get(&format!("/api/dbvc/migrations/status?databaseId={COSMOS}"))
        .await
        .expect_status(200);
    assert_eq!(status.body["databases"][0]["counts"]["pending"], 1);
}

/// The command line, with a folder of this repository as the migrations folder.
fn command(place: &Place, migrations: &str, arguments: &[&str]) -> (bool, String) {
    let migrations = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(migrations);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_dbvc"))
        .args(arguments)
        .current_dir(place.scene.data_dir())
        .env_clear()
        .env("USER", "ada")
        .env("DBVC_DATA_DIR", place.scene.data_dir())
        .env("DBVC_MIGRATIONS_DIR", migrations)
        .env("DBVC_CONN_COSMOS", place.double.connection_string())
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.success(), text)
}

// The account answers on another thread while a command is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_samples_are_sound_and_migrate_applies_them() {
    let place = Place::new().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/cosmos");
    let (well, told) = command(&place, "migrations", &["check", folder]);
    assert!(well, "{told}");
    assert!(
        told.contains("4 files, 6 batches: 0 errors, 0 warnings"),
        "{told}"
    );

    let host = place.start().await;
    let (well, told) = command(&place, "migrations", &["migrate"]);
    assert!(well, "{told}");
    assert_eq!(
        place
            .item("preferences", "default", "default")
            .await
            .unwrap()["theme"],
        "light"
    );
    for id in ["V2__add_default_preferences", "V1__create_preferences"] {
        roll_back(&host, id).await.expect_status(200);
    }
    assert_eq!(place.container("preferences").await, None);
    place.expect_sound(&host).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cosmos_examples_apply_and_their_down_scripts_keep_orders() {
    let place = Place::new().await;
    let host = place.start().await;
    let (well, told) = command(&place, "examples", &["migrate"]);
    assert!(well, "{told}");
    let defaults = place.item("orders", "defaults", "defaults").await.unwrap();
    assert_eq!(defaults["paymentDays"], 14);

    roll_back(&host, "V102__let_orders_expire")
        .await
        .expect_status(200);
    // The down script loses no orders; the item of the repeatable script is one.
    let refused = roll_back(&host, "V101__create_orders_container").await;
    assert_ne!(refused.status, 200);
    assert!(place.container("orders").await.is_some());
}

#[tokio::test]
async fn a_run_whose_process_died_is_taken_over_by_the_timer() {
    let up = [create("a"), upsert("a", "x", 1)];
    let down = [
        json!({"operation": "deleteItem", "container": "a", "id": "x", "partitionKey": "ada"}),
        delete("a"),
    ];
    let place = Place::new().await;
    let keeper = place.start().await;
    register(&keeper, COSMOS, 1, &script(&up), Some(&script(&down))).await;
    let requests = [
        (RUN, run_of(COSMOS), "batch-sent:1", "V1 applied"),
        (
            "/api/dbvc/migrations/rollback",
            rollback_of(COSMOS, "V1__step", false),
            "batch-sent:1",
            "V1 rolled-back",
        ),
    ];
    for (path, body, point, end) in requests {
        let host = place.scene.other_host_stopping_at(point, end);
        let victim = place.with_account(host).start().await;
        victim
            .request("POST", path)
            .json(&body)
            .begin()
            .await
            .hang_up();
        place.scene.other_stopped(end).await;
        let run_id = newest_run_id(&keeper, COSMOS).await;
        victim.kill().await;
        let run = adopted(&keeper, &run_id).await;
        assert_eq!(run["status"], "succeeded", "{run}");
        assert_eq!(told(&run, 0).last().map(String::as_str), Some(end), "{run}");
        place.expect_sound(&keeper).await;
    }
    assert_eq!(place.container("a").await, None);
}

/// What a script without variables comes to at the level of the database, with what it was told of its batches.
async fn performed(connection: &mut dyn Connection, operations: &[Value]) -> ScriptEnd {
    let batches: Vec<BatchText> = (1..)
        .zip(operations)
        .map(|(index, operation)| BatchText {
            index,
            line: index,
            count: 1,
            text: operation.to_string(),
        })
        .collect();
    let report = connection
        .run_batches(
            batches.into(),
            ScriptMode::WithoutTransaction,
            Arc::new(Unobserved),
        )
        .await;
    report.end
}

/// An identity cannot be had here, so that a client that is said to have no key stands for it.
#[tokio::test]
async fn without_a_key_items_are_changed_and_containers_are_not() {
    let place = Place::new().await;
    let properties = ContainerProperties::new("users", "/userId".into());
    place
        .database
        .create_container(properties, None)
        .await
        .unwrap();
    let home = SqliteDatabase::new(place.scene.data_dir().join("home.sqlite"), None);
    let handle = CosmosHandle::with_client(client(&place.double).await, NAME, false);
    let database = CosmosDatabase::new(handle.into(), Arc::new(home), None);
    assert!(!database.has_key());
    let mut connection = database.open(Access::Write).await.unwrap();
    let items = [
        upsert("users", "x", 1),
        upsert("users", "y", 1),
        json!({"operation": "deleteItem", "container": "users", "id": "y", "partitionKey": "ada"}),
    ];
    let end = performed(connection.as_mut(), &items).await;
    assert_eq!(end, ScriptEnd::Completed);
    assert!(place.item("users", "ada", "x").await.is_some());
    assert!(place.item("users", "ada", "y").await.is_none());
    let containers = [
        create("more"),
        delete("users"),
        json!({"operation": "setDefaultTtl", "container": "users", "defaultTtl": 60}),
        json!({"operation": "setThroughput", "container": "users", "throughput": {"manual": 400}}),
        json!({"operation": "replaceIndexingPolicy", "container": "users", "indexingPolicy": {}}),
    ];
    let writes = place.double.writes().len();
    for operation in containers {
        let end = performed(connection.as_mut(), &[operation]).await;
        assert!(
            matches!(&end, ScriptEnd::Failed { errors, left_nothing: true } if errors[0].message.contains("without the key")),
            "{end:?}"
        );
    }
    assert_eq!(place.double.writes().len(), writes);
    let schema = connection.read_schema().await.unwrap();
    assert_eq!(schema.containers.len(), 1);
    assert_eq!(schema.containers[0].throughput, None);
}

#[tokio::test]
async fn what_cannot_be_done_to_a_container_is_told_before_it_is_tried() {
    let place = Place::new().await;
    let home = SqliteDatabase::new(place.scene.data_dir().join("home.sqlite"), None);
    let handle = CosmosHandle::with_client(client(&place.double).await, NAME, true);
    let database = CosmosDatabase::new(handle.into(), Arc::new(home), None);
    let mut connection = database.open(Access::Write).await.unwrap();
    let made = json!({"operation": "createContainer", "container": "users", "partitionKey": "/userId",
        "throughput": {"manual": 400}});
    assert_eq!(
        performed(connection.as_mut(), &[made]).await,
        ScriptEnd::Completed
    );
    for (operation, words) in [
        (
            json!({"operation": "setThroughput", "container": "users", "throughput": {"autoscaleMax": 1000}}),
            "is 400 RU/s, and only the portal",
        ),
        (
            json!({"operation": "deleteItem", "container": "users", "id": "x", "partitionKey": ["a", "b"]}),
            "partitionKey must have 1 values",
        ),
        (
            json!({"operation": "upsertItem", "container": "users", "item": {"id": "x", "userId": {}}}),
            "must be a string, a number",
        ),
    ] {
        let end = performed(connection.as_mut(), &[operation]).await;
        assert!(
            matches!(&end, ScriptEnd::Failed { errors, left_nothing: true } if errors[0].message.contains(words)),
            "{end:?}"
        );
    }
}

/// Two sessions on an embedded home database, which has nothing but its file to keep them apart.
#[tokio::test]
async fn sessions_of_one_process_keep_each_other_off() {
    let place = Place::new().await;
    let home = SqliteDatabase::new(place.scene.data_dir().join("home.sqlite"), None);
    let handle = CosmosHandle::with_client(client(&place.double).await, NAME, true);
    let database = CosmosDatabase::new(handle.into(), Arc::new(home), None);
    let mut one = database.open(Access::Write).await.unwrap();
    let mut other = database.open(Access::Write).await.unwrap();
    one.exclude_others("a", Duration::ZERO).await.unwrap();
    one.exclude_others("a", Duration::ZERO).await.unwrap();
    other.exclude_others("b", Duration::ZERO).await.unwrap();
    let kept_off = other.exclude_others("a", Duration::ZERO).await;
    assert!(matches!(kept_off, Err(DatabaseError::Busy { .. })));
    one.admit_others("a").await.unwrap();
    other
        .exclude_others("a", Duration::from_secs(60))
        .await
        .unwrap();
    drop(other);
    one.exclude_others("a", Duration::from_secs(60))
        .await
        .unwrap();
}
