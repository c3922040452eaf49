//! Each test once on each archive: `embedded::…`, `cosmos::…` and `account::…`, the last ignored as long as none is named.

use std::pin::Pin;
use std::sync::Arc;

use azure_data_cosmos::{ContainerClient, CosmosClient};
use dbvc::audit::cosmos::CosmosArchive;
use dbvc::audit::embedded::EmbeddedArchive;
use dbvc::audit::{Added, Archive, Event, EventDraft, EventType, Partition};
use dbvc::database::cosmos::{CosmosAccount, CosmosClients};
use dbvc::script::DatabaseId;
use libtest_mimic::{Arguments, Completion, Trial};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::cosmos::{CosmosDouble, client_of, container_of, documents_of};

/// Names the account that the tests are run on as well.
const VARIABLE: &str = "DBVC_TEST_COSMOS_CONNECTION_STRING";

/// Its database; removed at the end.
const DATABASE: &str = "dbvc-archive-tests";

/// A test on an archive.
pub type Body = for<'a> fn(&'a Place) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Which archives have what a test tests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// Every one.
    Each,
    /// Those in Cosmos DB.
    Cosmos,
    /// The account in memory, which can be made to fail.
    Double,
}

/// A test, and where it plays.
pub struct Test {
    /// Path and name, as the compiler knows them.
    pub name: &'static str,
    pub body: Body,
    pub on: On,
}

/// The tests of a module, by their names.
macro_rules! archive_tests {
    ($on:ident: $($name:ident),* $(,)?) => {
        vec![$($crate::harness::Test {
            name: concat!(module_path!(), "::", stringify!($name)),
            body: |place| Box::pin($name(place)),
            on: $crate::harness::On::$on,
        }),*]
    };
}

/// Where a test plays.
pub struct Place {
    pub archive: Arc<dyn Archive>,
    /// What it is kept in, as long as the test lasts.
    _folder: Option<TempDir>,
    cosmos: Option<Cosmos>,
}

struct Cosmos {
    connection_string: String,
    database: String,
    double: Option<CosmosDouble>,
}

fn archive_of(connection_string: &str, database: &str) -> Arc<dyn Archive> {
    let account = CosmosAccount::with_key(connection_string).expect("an account");
    let handle = CosmosClients::default().database(account, database);
    Arc::new(CosmosArchive::new(handle))
}

impl Place {
    fn embedded() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            archive: Arc::new(EmbeddedArchive::in_folder(folder.path())),
            _folder: Some(folder),
            cosmos: None,
        }
    }

    async fn double() -> Self {
        let double = CosmosDouble::start().await;
        let connection_string = double.connection_string();
        Self {
            archive: archive_of(&connection_string, DATABASE),
            _folder: None,
            cosmos: Some(Cosmos {
                connection_string,
                database: DATABASE.to_owned(),
                double: Some(double),
            }),
        }
    }

    fn account(connection_string: &str) -> Self {
        Self {
            archive: archive_of(connection_string, DATABASE),
            _folder: None,
            cosmos: Some(Cosmos {
                connection_string: connection_string.to_owned(),
                database: DATABASE.to_owned(),
                double: None,
            }),
        }
    }

    fn cosmos(&self) -> &Cosmos {
        self.cosmos.as_ref().expect("this test plays in Cosmos DB")
    }

    /// The same archive as another instance sees it.
    pub fn another_instance(&self) -> Arc<dyn Archive> {
        match &self.cosmos {
            None => Arc::clone(&self.archive),
            Some(cosmos) => archive_of(&cosmos.connection_string, &cosmos.database),
        }
    }

    /// The account in memory.
    pub fn account_in_memory(&self) -> &CosmosDouble {
        self.cosmos().double.as_ref().expect("an account in memory")
    }

    /// A client of the account, past the archive.
    pub async fn client(&self) -> CosmosClient {
        client_of(&self.cosmos().connection_string, Vec::new()).await
    }

    /// The name of the archive's database.
    pub fn database_name(&self) -> &str {
        &self.cosmos().database
    }

    /// A container of the archive, past the archive.
    pub async fn container(&self, name: &str) -> ContainerClient {
        container_of(&self.client().await, self.database_name(), name).await
    }

    /// The documents that a container has of a database, as they are stored.
    pub async fn documents(&self, container: &str, database: &DatabaseId) -> Vec<Value> {
        documents_of(&self.container(container).await, database.as_str()).await
    }
}

/// A database that no other test has.
pub fn a_database() -> DatabaseId {
    let id = format!("shop-{}", uuid::Uuid::new_v4().simple());
    DatabaseId::parse(&id).expect("an id")
}

/// A chain of so many events of different types and migrations, a minute apart.
pub fn chain(database: &DatabaseId, length: u64) -> Vec<Event> {
    chain_with(
        database,
        length,
        |number| json!({"number": number, "text": "Grüße\n\"€\"", "half": 0.5}),
    )
}

pub fn chain_with(database: &DatabaseId, length: u64, data: impl Fn(u64) -> Value) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for sequence in 1..=length {
        let kind = [
            EventType::Registered,
            EventType::Started,
            EventType::Completed,
        ][(sequence % 3) as usize];
        let draft = EventDraft {
            kind,
            migration_id: sequence.is_multiple_of(2).then(|| {
                format!("V{}__x", sequence % 4 + 1)
                    .parse()
                    .expect("a migration's id")
            }),
            run_id: Some("run".to_owned()),
            execution_id: None,
            at: moment(sequence as u32),
            executor: "developer@lpa.com".to_owned(),
            principal: None,
            environment: "dev".to_owned(),
            data: data(sequence),
        };
        let previous = events.last().map(|event| event.hash.clone());
        events.push(Event::seal(draft, database, sequence, previous));
    }
    events
}

/// So many minutes after a certain moment.
pub fn moment(minutes: u32) -> dbvc::time::Timestamp {
    let first: dbvc::time::Timestamp = "2025-11-27T14:30:00Z".parse().expect("a moment");
    first.plus_seconds(60 * minutes)
}

/// All of a list was added.
#[track_caller]
pub fn expect_all(added: &Added, count: usize) {
    assert_eq!(
        added,
        &Added {
            count,
            stopped: None
        }
    );
}

/// The partition named like a database.
pub fn of(database: &DatabaseId) -> Partition {
    Partition::main(database)
}

/// The events of a chain in the partition named like its database, each of which must be one.
pub async fn whole_chain(archive: &dyn Archive, database: &DatabaseId) -> Vec<Event> {
    whole_chain_in(archive, &of(database)).await
}

/// The events of a chain, each of which must be one.
pub async fn whole_chain_in(archive: &dyn Archive, partition: &Partition) -> Vec<Event> {
    let links = archive.chain(partition, 0, 10_000).await.expect("a chain");
    links
        .into_iter()
        .map(|link| link.event.expect("an event"))
        .collect()
}

fn play(place: impl Future<Output = Place>, body: Body) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let place = place.await;
        body(&place).await;
    });
}

/// Runs the tests as the command line asks.
pub fn run(tests: impl IntoIterator<Item = Vec<Test>>) -> ! {
    let arguments = Arguments::from_args();
    let account = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let mut trials = Vec::new();
    for test in tests.into_iter().flatten() {
        let name = test.name.trim_start_matches("archive::").to_owned();
        let body = test.body;
        if test.on == On::Each {
            trials.push(Trial::test(format!("embedded::{name}"), move || {
                play(async { Place::embedded() }, body);
                Ok(())
            }));
        }
        trials.push(Trial::test(format!("cosmos::{name}"), move || {
            play(Place::double(), body);
            Ok(())
        }));
        if test.on != On::Double {
            let account = account.clone();
            trials.push(Trial::ignorable_test(
                format!("account::{name}"),
                move || {
                    let Some(account) = &account else {
                        return Ok(Completion::ignored_with(format!("{VARIABLE} is not set")));
                    };
                    play(async { Place::account(account) }, body);
                    Ok(Completion::Completed)
                },
            ));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(account) = &account {
        remove_database(account);
    }
    conclusion.exit()
}

fn remove_database(account: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let client = client_of(account, Vec::new()).await;
        // It is not there when only tests ran that made nothing.
        let _ = client
            .database_client(DATABASE.to_owned())
            .delete(None)
            .await;
    });
}
