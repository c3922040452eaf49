//! The inventory: the databases of the environment, and putting one into it.

use crate::audit::{self, Change, EventType};
use crate::database::SHORT_WAIT;
use crate::database::reference::ConnectionReference;
use crate::database::{Connection, DatabaseError, ask};
use crate::registry::inventory::{self, InventoryRow};
use crate::script::{DatabaseId, EngineKind};
use crate::time::Timestamp;

use super::Engine;
use super::access::{Managed, Writing};
use super::error::{EngineError, FieldError};
use super::request::{Caller, NewDatabase};
use super::view::{DatabaseType, DatabaseView};

/// Whether an engine's databases hold tables or containers.
pub(super) fn type_of(engine: EngineKind) -> DatabaseType {
    match engine {
        EngineKind::SqlServer | EngineKind::Sqlite => DatabaseType::Sql,
        EngineKind::Cosmos => DatabaseType::Cosmos,
    }
}

fn word(kind: DatabaseType) -> &'static str {
    match kind {
        DatabaseType::Sql => "sql",
        DatabaseType::Cosmos => "cosmos",
    }
}

fn view(row: InventoryRow) -> DatabaseView {
    DatabaseView {
        database_id: row.database_id,
        kind: type_of(row.engine),
        engine: row.engine,
        environment: row.environment,
        server_name: row.server_name,
        database_name: row.database_name,
        folder: row.folder,
        connection: row.connection,
    }
}

/// Whether a folder is the migrations folder or lies in it, on every machine.
fn is_plain_folder(folder: &str) -> bool {
    let plain = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && !segment.contains(['\\', ':', '\0'])
    };
    folder == "." || folder.split('/').all(plain)
}

/// Whether a host that may have a token is one of Cosmos DB; none for a cloud that only the settings know.
fn is_cosmos_host(host: &str) -> Option<bool> {
    if host.ends_with(".documents.azure.com") {
        Some(true)
    } else if host.ends_with(".database.windows.net") {
        Some(false)
    } else {
        None
    }
}

/// What is wrong with how a database that is not the home database is reached. `on_server`: whether the home database is on
/// a server, so that nothing is embedded.
fn connection_faults(new: &NewDatabase, on_server: bool) -> Vec<FieldError> {
    let Some(connection) = &new.connection else {
        return match new.engine {
            EngineKind::Sqlite if on_server => vec![FieldError::new(
                "engine",
                "must not be sqlite here: its file would be on the disk of one instance, and be lost with it",
            )],
            EngineKind::Sqlite => Vec::new(),
            EngineKind::SqlServer | EngineKind::Cosmos => vec![FieldError::new(
                "connection",
                format!(
                    "is required for {}: env:NAME, keyvault:URL or identity:SERVER/DATABASE",
                    new.engine
                ),
            )],
        };
    };
    let mut faults = Vec::new();
    match (new.engine, connection) {
        (EngineKind::Sqlite, _) => faults.push(FieldError::new(
            "connection",
            "must be absent for sqlite, which is embedded: its file is in the app's data folder",
        )),
        (engine, ConnectionReference::Identity { server, database }) => {
            let fits = is_cosmos_host(server).is_none_or(|is| is == (engine == EngineKind::Cosmos));
            if !fits {
                faults.push(FieldError::new(
                    "connection",
                    format!("names a host that is none for {engine}: {server}"),
                ));
            }
            let other = new.database_name.as_ref().filter(|name| *name != database);
            if engine == EngineKind::Cosmos && other.is_some() {
                faults.push(FieldError::new(
                    "databaseName",
                    format!("must be {database}, as in connection, or absent"),
                ));
            }
        }
        (EngineKind::Cosmos, _) if new.database_name.is_none() => faults.push(FieldError::new(
            "databaseName",
            "is required for cosmos: a connection string names the account, and not the database",
        )),
        (EngineKind::Cosmos | EngineKind::SqlServer, _) => {}
    }
    faults
}

/// What is wrong with a database for the inventory, apart from its environment. `home`: the row of the home database, when
/// it is the one. `on_server`: whether the home database is on a server.
fn faults(new: &NewDatabase, home: Option<&InventoryRow>, on_server: bool) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if new.kind != type_of(new.engine) {
        faults.push(FieldError::new(
            "type",
            format!(
                "must be {} for the engine {}",
                word(type_of(new.engine)),
                new.engine
            ),
        ));
    }
    if !is_plain_folder(&new.folder) {
        faults.push(FieldError::new(
            "folder",
            "must be a subfolder of the migrations folder, such as reporting or cosmos/orders, or .",
        ));
    }
    let connection = new.connection.as_ref().map(ToString::to_string);
    match home {
        Some(home) => {
            if new.engine != home.engine {
                faults.push(FieldError::new(
                    "engine",
                    format!(
                        "is {} for the home database; the app's settings decide that",
                        home.engine
                    ),
                ));
            }
            if connection != home.connection {
                faults.push(FieldError::new(
                    "connection",
                    "cannot be changed for the home database; the app's settings say how it is reached",
                ));
            }
        }
        None => faults.extend(connection_faults(new, on_server)),
    }
    faults
}

impl Engine {
    /// The databases of the environment, by id.
    ///
    /// # Errors
    ///
    /// When the home database cannot be reached.
    pub async fn databases(&self) -> Result<Vec<DatabaseView>, EngineError> {
        let rows = self.rows_of_environment().await?;
        Ok(rows.into_iter().map(view).collect())
    }

    /// One database of the environment.
    ///
    /// # Errors
    ///
    /// [`EngineError::UnknownDatabase`] and [`EngineError::WrongEnvironment`].
    pub async fn database(&self, id: &DatabaseId) -> Result<DatabaseView, EngineError> {
        Ok(view(self.row(id).await?))
    }

    /// Puts a database into the inventory, or changes it; says whether it is new. The file of an embedded one is made, with
    /// dbvc's own tables, so that it can be used at once.
    ///
    /// # Errors
    ///
    /// [`EngineError::WrongEnvironment`] also when the id is that of a database of another environment.
    pub async fn put_database(
        &self,
        caller: &Caller,
        new: NewDatabase,
    ) -> Result<(bool, DatabaseView), EngineError> {
        self.check_environment(&new.environment)?;
        let known = self.inventory().await?;
        let before = known.iter().find(|row| row.database_id == new.database_id);
        if let Some(before) = before {
            self.check_environment(&before.environment)?;
        }
        let home = self.home();
        let faults = faults(
            &new,
            before.filter(|row| row.database_id == *home.id()),
            self.options().home_connection.is_some(),
        );
        if !faults.is_empty() {
            return Err(EngineError::Invalid(faults));
        }
        let row = InventoryRow {
            database_id: new.database_id,
            kind: word(new.kind).to_owned(),
            engine: new.engine,
            environment: new.environment,
            server_name: new.server_name,
            database_name: new.database_name,
            folder: new.folder,
            connection: new.connection.map(|reference| reference.to_string()),
        };
        let is_new = self.write_row(caller, &home, &row).await?;
        if row.engine == EngineKind::Sqlite {
            // Also when nothing changed: should the file not have been made the first time, this makes it.
            let managed = self.reach(row.clone())?;
            self.open_for_writing(&managed).await?;
            self.deliver_soon(&managed);
        }
        Ok((is_new, view(row)))
    }

    async fn write_row(
        &self,
        caller: &Caller,
        home: &Managed,
        row: &InventoryRow,
    ) -> Result<bool, EngineError> {
        let Writing { mut connection, .. } = self.open_for_writing(home).await?;
        if let Err(error) = connection.begin(SHORT_WAIT).await {
            return Err(home.busy(connection.as_mut(), error).await);
        }
        let written = self
            .write_row_within(connection.as_mut(), caller, home, row)
            .await;
        let is_new = self.conclude(connection.as_mut(), home, written).await?;
        self.deliver_soon(home);
        Ok(is_new)
    }

    async fn write_row_within(
        &self,
        connection: &mut dyn Connection,
        caller: &Caller,
        home: &Managed,
        row: &InventoryRow,
    ) -> Result<bool, EngineError> {
        let read = async {
            let reply = ask(connection, inventory::all()).await?;
            let rows = reply.rows.iter().map(inventory::parse);
            Ok::<Vec<InventoryRow>, DatabaseError>(rows.collect::<Result<_, _>>()?)
        };
        let before = read
            .await
            .map_err(|error| home.problem(error))?
            .into_iter()
            .find(|known| known.database_id == row.database_id);
        let is_new = before.is_none();
        let mut change = Change::of(home.id());
        change.records = vec![if is_new {
            row.insert(Timestamp::now())
        } else {
            row.update(Timestamp::now())
        }];
        let data = serde_json::json!({
            "databaseId": row.database_id,
            "before": before.map(view),
            "after": view(row.clone()),
        });
        change.events = vec![self.draft(EventType::DatabaseChanged, caller, data)];
        audit::append(connection, change, None)
            .await
            .map_err(|error| home.append_problem(error))?;
        Ok(is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::Shop;

    fn new(id: &str, engine: EngineKind) -> NewDatabase {
        NewDatabase {
            database_id: DatabaseId::parse(id).unwrap(),
            kind: type_of(engine),
            engine,
            environment: "dev".to_owned(),
            server_name: None,
            database_name: None,
            folder: ".".to_owned(),
            connection: None,
        }
    }

    fn reference() -> ConnectionReference {
        ConnectionReference::parse("env:DBVC_CONN_X", &[]).unwrap()
    }

    async fn put(shop: &Shop, new: NewDatabase) -> Result<(bool, DatabaseView), EngineError> {
        let put = shop.engine.put_database(&Shop::caller(), new).await;
        shop.engine.settle().await;
        put
    }

    async fn wrong_fields(shop: &Shop, new: NewDatabase) -> Vec<String> {
        match put(shop, new).await {
            Err(EngineError::Invalid(fields)) => {
                fields.into_iter().map(|field| field.field).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    const CHANGES: &str = "SELECT COUNT(*) FROM audit_events WHERE type = 'database-changed'";

    #[tokio::test]
    async fn an_embedded_database_can_be_used_at_once() {
        let shop = Shop::new();
        let reporting = || NewDatabase {
            folder: "reporting/daily".to_owned(),
            ..new("reporting", EngineKind::Sqlite)
        };
        let (is_new, view) = put(&shop, reporting()).await.unwrap();
        assert!(is_new);
        assert_eq!(view.folder, "reporting/daily");
        assert!(shop.file("reporting.sqlite").exists());
        let ids: Vec<String> = shop
            .engine
            .databases()
            .await
            .unwrap()
            .into_iter()
            .map(|database| database.database_id.to_string())
            .collect();
        assert_eq!(ids, ["reporting", "shop"]);
        assert_eq!(shop.ask(CHANGES), "1");

        // The same again changes nothing; every PUT is an event all the same.
        assert_eq!(
            put(&shop, reporting()).await.unwrap(),
            (false, view.clone())
        );
        assert_eq!(shop.ask(CHANGES), "2");

        let (is_new, _) = put(&shop, new("reporting", EngineKind::Sqlite))
            .await
            .unwrap();
        assert!(!is_new);
        assert_eq!(shop.ask(CHANGES), "3");
        let data = "SELECT json_extract(data, '$.databaseId', '$.before.folder', '$.after.folder') \
                    FROM audit_events WHERE type = 'database-changed' ORDER BY sequence DESC LIMIT 1";
        assert_eq!(shop.ask(data), r#"["reporting","reporting/daily","."]"#);
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused_by_field() {
        let shop = Shop::new();
        let mismatch = NewDatabase {
            kind: DatabaseType::Cosmos,
            folder: "../elsewhere".to_owned(),
            connection: Some(reference()),
            ..new("a", EngineKind::Sqlite)
        };
        assert_eq!(
            wrong_fields(&shop, mismatch).await,
            ["type", "folder", "connection"]
        );
        let unreachable = new("a", EngineKind::SqlServer);
        assert_eq!(wrong_fields(&shop, unreachable).await, ["connection"]);
        let home = NewDatabase {
            connection: Some(reference()),
            ..new("shop", EngineKind::SqlServer)
        };
        assert_eq!(wrong_fields(&shop, home).await, ["engine", "connection"]);
        assert!(shop.is_empty());
    }

    #[test]
    fn a_cosmos_database_says_which_one_of_which_account() {
        let wrong = |reference: &str, name: Option<&str>, engine| {
            let new = NewDatabase {
                connection: Some(ConnectionReference::parse(reference, &[]).unwrap()),
                database_name: name.map(str::to_owned),
                ..new("a", engine)
            };
            let fields: Vec<String> = faults(&new, None, false)
                .into_iter()
                .map(|fault| fault.field)
                .collect();
            fields.join(", ")
        };
        let cosmos = EngineKind::Cosmos;
        let by_key = "env:DBVC_CONN_X";
        let by_identity = "identity:lpa.documents.azure.com/d";
        assert_eq!(wrong(by_key, Some("d"), cosmos), "");
        assert_eq!(wrong(by_key, None, cosmos), "databaseName");
        assert_eq!(wrong(by_key, None, EngineKind::SqlServer), "");
        assert_eq!(wrong(by_identity, None, cosmos), "");
        assert_eq!(wrong(by_identity, Some("d"), cosmos), "");
        assert_eq!(wrong(by_identity, Some("e"), cosmos), "databaseName");
        assert_eq!(
            wrong(by_identity, None, EngineKind::SqlServer),
            "connection"
        );
        let sql = "identity:lpa.database.windows.net/d";
        assert_eq!(wrong(sql, None, cosmos), "connection");
        assert_eq!(wrong(sql, Some("shown"), EngineKind::SqlServer), "");
        let nothing = faults(&new("a", cosmos), None, false);
        assert_eq!(nothing[0].field, "connection");
    }

    #[tokio::test]
    async fn without_a_key_no_container_is_changed() {
        let shop = Shop::new();
        let reference = "identity:lpa.documents.azure.com/d";
        let cosmos = NewDatabase {
            connection: Some(ConnectionReference::parse(reference, &[]).unwrap()),
            ..new("cosmos", EngineKind::Cosmos)
        };
        put(&shop, cosmos).await.unwrap();
        let database_id = DatabaseId::parse("cosmos").unwrap();
        let script = r#"{"operations": [{"operation": "deleteContainer", "container": "c"}]}"#;
        let migration = crate::engine::NewMigration {
            database_id: database_id.clone(),
            naming: crate::engine::Naming::File("V1__x.cosmos.json".parse().unwrap()),
            author: "developer@lpa.com".to_owned(),
            description: None,
            up_script: script.to_owned(),
            down_script: None,
            reregister: false,
        };
        shop.engine
            .create(&Shop::caller(), migration)
            .await
            .unwrap();
        let request = crate::engine::RunRequest {
            database_id: crate::engine::Target::One(database_id),
            environment: "dev".to_owned(),
            target: None,
            out_of_order: crate::engine::OutOfOrder::Error,
            baseline: None,
            // The first run would otherwise ask the account for its containers.
            allow_not_empty: true,
            dry_run: crate::engine::DryRun::No,
            migrations: Vec::new(),
        };
        let ran = shop
            .engine
            .run(&Shop::caller(), request, crate::engine::Wait::ToTheEnd)
            .await;
        // Said at once: there is no such account that could have been asked.
        assert_eq!(ran.unwrap_err().code(), "needs-key");
        shop.engine.settle().await;
        let refused =
            "SELECT COUNT(*) FROM audit_events WHERE type = 'refused' AND database_id = 'cosmos'";
        assert_eq!(shop.ask(refused), "1");
        let held = "SELECT COUNT(*) FROM migration_locks WHERE owner IS NOT NULL";
        assert_eq!(shop.ask(held), "0");
    }

    #[test]
    fn nothing_is_embedded_where_the_home_database_is_on_a_server() {
        let embedded = new("a", EngineKind::Sqlite);
        assert_eq!(faults(&embedded, None, false), []);
        assert_eq!(faults(&embedded, None, true)[0].field, "engine");
    }

    #[tokio::test]
    async fn the_home_database_is_there_from_the_first_and_keeps_how_it_is_reached() {
        let shop = Shop::new();
        let view = shop.engine.database(&Shop::id()).await.unwrap();
        assert_eq!(view.engine, EngineKind::Sqlite);
        assert!(shop.is_empty());
        let named = NewDatabase {
            server_name: Some("laptop".to_owned()),
            ..new("shop", EngineKind::Sqlite)
        };
        let (is_new, view) = put(&shop, named).await.unwrap();
        assert!(!is_new);
        assert_eq!(view.server_name.as_deref(), Some("laptop"));
    }

    #[tokio::test]
    async fn databases_of_another_environment_are_neither_listed_nor_touched() {
        let shop = Shop::new();
        put(&shop, new("a", EngineKind::Sqlite)).await.unwrap();
        shop.by_hand("UPDATE db_inventory SET environment = 'prod' WHERE database_id = 'a'");
        assert_eq!(shop.engine.databases().await.unwrap().len(), 1);
        let id = DatabaseId::parse("a").unwrap();
        let refused = shop.engine.database(&id).await;
        assert!(matches!(refused, Err(EngineError::WrongEnvironment { .. })));
        let refused = put(&shop, new("a", EngineKind::Sqlite)).await;
        assert!(matches!(refused, Err(EngineError::WrongEnvironment { .. })));
        let elsewhere = NewDatabase {
            environment: "prod".to_owned(),
            ..new("b", EngineKind::Sqlite)
        };
        let refused = put(&shop, elsewhere).await;
        assert!(matches!(refused, Err(EngineError::WrongEnvironment { .. })));
        let unknown = shop.engine.database(&DatabaseId::parse("c").unwrap()).await;
        assert!(matches!(unknown, Err(EngineError::UnknownDatabase(_))));
    }

    #[test]
    fn a_folder_lies_in_the_migrations_folder() {
        for good in [".", "a", "a/b", "v2.0"] {
            assert!(is_plain_folder(good), "{good}");
        }
        for bad in [
            "", "..", "../a", "a/..", "/a", "a//b", "a/", "./a", "a\\b", "C:", "C:/a",
        ] {
            assert!(!is_plain_folder(bad), "{bad}");
        }
    }
}
