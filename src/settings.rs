//! Every environment variable that dbvc reads, read once at start; wrong values are refused there.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

use crate::alert::WebhookAddress;
use crate::database::RegistrySchema;
use crate::database::cosmos::CosmosAccount;
use crate::database::identity::{AppIdentity, IdentitySource};
use crate::database::secrets::ConnectionVariables;
use crate::database::sql_server::{ConnectionString, ConnectionStringError};
use crate::engine::{ArchivePlace, OnDrift};
use crate::script::{DatabaseId, Variables};

/// How an app setting begins that the platform should have replaced by a secret, and did not.
const UNRESOLVED_SECRET: &str = "@Microsoft.KeyVault(";

/// The parts of the home database's connection string, for whoever has no whole one.
const SQL_PARTS: [&str; 4] = ["SQL_SERVER", "SQL_DATABASE", "SQL_USER", "SQL_PASSWORD"];

/// How the variables begin that `env:` references may name.
const CONNECTION_PREFIXES: [&str; 2] = ["SQL_", "DBVC_CONN_"];

/// How the variables begin that scripts may use as `$(name)`.
const VARIABLE_PREFIX: &str = "DBVC_VAR_";

/// Settings that ask for Cosmos DB as the archive.
const COSMOS_SETTINGS: [&str; 2] = ["DBVC_COSMOS_CONNECTION_STRING", "DBVC_COSMOS_ENDPOINT"];

/// The database of trail, snapshots and copies, when no setting names one.
const COSMOS_DATABASE: &str = "version-control";

/// Longest name of a Cosmos DB database.
/// <https://learn.microsoft.com/azure/cosmos-db/concepts-limits>
const COSMOS_NAME_CHARS: usize = 255;

/// Any of these says that the process runs in Azure; Core Tools sets none of them (it does set `WEBSITE_HOSTNAME`).
const AZURE_SIGNS: [&str; 2] = ["WEBSITE_INSTANCE_ID", "WEBSITE_POD_NAME"];

/// Set on Linux Consumption, but a name that other container platforms use as well: it counts only beside a variable of the
/// App Service platform, so that a fresh machine with such a variable still has its embedded default.
const AZURE_CONTAINER_SIGN: &str = "CONTAINER_NAME";

/// Say which identity the process has; set by Azure's tools and platforms.
const IDENTITY_SETTINGS: [&str; 3] = [
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_FEDERATED_TOKEN_FILE",
];

/// The settings of the app. They show no secret.
#[derive(Debug)]
pub struct Settings {
    /// The environment that this app serves (`DBVC_ENVIRONMENT`). Defaults to `dev` outside Azure.
    pub environment: String,
    /// Whether the process runs in Azure, where the platform vouches for the headers that name the caller.
    pub in_azure: bool,
    /// The home database in the inventory (`DBVC_DATABASE_ID`). Defaults to `lpa-bloom-sql-<environment>`.
    pub database_id: DatabaseId,
    /// Where the home database is (`SQL_CONNECTION_STRING`, or else `SQL_SERVER`, `SQL_DATABASE`, `SQL_USER` and
    /// `SQL_PASSWORD`). Defaults to the embedded engine outside Azure.
    pub home_connection: Option<ConnectionString>,
    /// Where trail, snapshots and copies are kept (`DBVC_COSMOS_CONNECTION_STRING`, or `DBVC_COSMOS_ENDPOINT` with the app's
    /// identity; `DBVC_COSMOS_DATABASE`, default `version-control`). Defaults to an embedded archive outside Azure.
    pub archive: ArchivePlace,
    /// Days after which scheduled snapshots are dropped (`DBVC_SNAPSHOT_RETENTION_DAYS`, 1 to 3650). Defaults to 90.
    pub snapshot_retention_days: u32,
    /// What `env:` references may name (`SQL_…`, `DBVC_CONN_…`).
    pub connection_variables: ConnectionVariables,
    /// What scripts may use as `$(name)` (`DBVC_VAR_<name>`).
    pub script_variables: Variables,
    /// The identity of the process, by `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` and `AZURE_FEDERATED_TOKEN_FILE`.
    pub identity: AppIdentity,
    /// The schema of dbvc's own tables on SQL Server (`DBVC_SCHEMA`). Defaults to `dbo`.
    pub registry_schema: RegistrySchema,
    /// The folder of the embedded databases (`DBVC_DATA_DIR`). Defaults to `.dbvc`.
    pub data_dir: PathBuf,
    /// The folder of the team's scripts (`DBVC_MIGRATIONS_DIR`). Defaults to `migrations`.
    pub migrations_dir: PathBuf,
    /// What a run does when it finds drift first (`DBVC_ON_DRIFT`). Defaults to `warn`.
    pub on_drift: OnDrift,
    /// Seconds after which a dead owner's lock is free (`DBVC_LOCK_LEASE_SECONDS`, 1 to 3600). Defaults to 30.
    pub lock_lease_seconds: u32,
    /// Databases worked on at once in a run over all (`DBVC_MAX_PARALLEL_DATABASES`, 1 to 64). Defaults to 4.
    pub max_parallel_databases: usize,
    /// Seconds that a statement may take, 0 for any time (`DBVC_STATEMENT_TIMEOUT`, up to 86400). Defaults to 0.
    pub statement_timeout_seconds: u32,
    /// Seconds that a statement may wait for a lock, 0 for any time (`DBVC_LOCK_TIMEOUT`, up to 86400). Defaults to 30.
    pub lock_timeout_seconds: u32,
    /// Further host suffixes that may have a token of the app (`DBVC_ALLOWED_HOSTS`, separated by commas). Defaults to
    /// none.
    pub allowed_hosts: Vec<String>,
    /// Where drift and failures are announced (`DBVC_ALERT_WEBHOOK`). Defaults to nowhere.
    pub alert_webhook: Option<WebhookAddress>,
    /// What is logged (`DBVC_LOG`). Defaults to `info`.
    pub log: EnvFilter,
    /// The port on 127.0.0.1 (`FUNCTIONS_CUSTOMHANDLER_PORT`). Defaults to 7071.
    pub port: u16,
}

/// A setting that stops the start. The value is never repeated: it may be a secret in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {message}")]
pub struct SettingProblem {
    /// The name of the setting.
    pub setting: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// Everything that stops the start, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError(pub Vec<SettingProblem>);

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("wrong settings: ")?;
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                formatter.write_str("; ")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the settings from the variables of an environment, such as `std::env::vars_os()`. An empty value counts as
    /// none, because an app setting is more easily emptied than removed; only the port, which the host sets, must be
    /// right when it is there.
    ///
    /// # Errors
    ///
    /// All wrong and missing settings at once, by name.
    pub fn read(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(variables);
        reader.refuse_unresolved_secrets();
        let in_azure = reader.in_azure();
        reader.refuse_missing_connections(in_azure);

        let environment = reader.environment(in_azure);
        let database_id = reader.database_id(&environment);
        let home_connection = reader.home_connection();
        let allowed_hosts = reader.allowed_hosts();
        let archive = reader.archive(&allowed_hosts);
        let snapshot_retention_days = reader.number("DBVC_SNAPSHOT_RETENTION_DAYS", 1, 3650, 90);
        let connection_variables = reader.connection_variables();
        let script_variables = reader.script_variables();
        let identity = reader.identity(in_azure);
        let registry_schema = reader.registry_schema();
        let data_dir = PathBuf::from(reader.text("DBVC_DATA_DIR").unwrap_or(".dbvc"));
        let migrations_dir =
            PathBuf::from(reader.text("DBVC_MIGRATIONS_DIR").unwrap_or("migrations"));
        let on_drift = reader.on_drift();
        let lock_lease_seconds = reader.number("DBVC_LOCK_LEASE_SECONDS", 1, 3600, 30);
        let max_parallel_databases = reader.number("DBVC_MAX_PARALLEL_DATABASES", 1, 64, 4);
        let statement_timeout_seconds = reader.number("DBVC_STATEMENT_TIMEOUT", 0, 86_400, 0);
        let lock_timeout_seconds = reader.number("DBVC_LOCK_TIMEOUT", 0, 86_400, 30);
        let alert_webhook = reader.alert_webhook();
        let log = reader.log();
        let port = reader.port();

        match (database_id, reader.problems.is_empty()) {
            (Some(database_id), true) => Ok(Self {
                environment,
                in_azure,
                database_id,
                home_connection,
                archive,
                snapshot_retention_days,
                connection_variables,
                script_variables,
                identity,
                registry_schema,
                data_dir,
                migrations_dir,
                on_drift,
                lock_lease_seconds,
                max_parallel_databases,
                statement_timeout_seconds,
                lock_timeout_seconds,
                allowed_hosts,
                alert_webhook,
                log,
                port,
            }),
            _ => Err(SettingsError(reader.problems)),
        }
    }
}

/// The variables, and what was found wrong with them so far.
struct Reader {
    variables: BTreeMap<String, String>,
    problems: Vec<SettingProblem>,
}

impl Reader {
    fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut reader = Self {
            variables: BTreeMap::new(),
            problems: Vec::new(),
        };
        for (name, value) in variables {
            // A variable whose name is no text is none of dbvc's.
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => {
                    reader.variables.insert(name, value);
                }
                Err(_) if is_read(&name) => reader.wrong(&name, "is not valid UTF-8 text"),
                Err(_) => {}
            }
        }
        reader
    }

    fn wrong(&mut self, setting: &str, message: impl Into<String>) {
        self.problems.push(SettingProblem {
            setting: setting.to_owned(),
            message: message.into(),
        });
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Option<Result<T, T::Err>> {
        self.text(name).map(str::parse)
    }

    fn number<N>(&mut self, name: &str, least: N, most: N, default: N) -> N
    where
        N: FromStr + PartialOrd + Copy + fmt::Display,
    {
        match self.parsed::<N>(name) {
            None => default,
            Some(Ok(number)) if (least..=most).contains(&number) => number,
            Some(_) => {
                self.wrong(
                    name,
                    format!("must be a whole number from {least} to {most}"),
                );
                default
            }
        }
    }

    fn refuse_unresolved_secrets(&mut self) {
        let unresolved: Vec<String> = self
            .variables
            .iter()
            .filter(|(name, value)| is_read(name) && value.contains(UNRESOLVED_SECRET))
            .map(|(name, _)| name.clone())
            .collect();
        for name in unresolved {
            self.wrong(
                &name,
                "is a Key Vault reference that the platform did not resolve: check that the secret exists and that the \
                 app's identity may read it",
            );
            // One problem a setting: what the reference would have been is not known.
            self.variables.remove(&name);
        }
    }

    fn in_azure(&self) -> bool {
        let by_name = AZURE_SIGNS.iter().any(|sign| self.text(sign).is_some());
        let by_container = self.text(AZURE_CONTAINER_SIGN).is_some()
            && self
                .variables
                .keys()
                .any(|name| name.starts_with("WEBSITE_"));
        (by_name || by_container) && self.text("AZURE_FUNCTIONS_ENVIRONMENT") != Some("Development")
    }

    /// In Azure nothing may fall back to the embedded engine: what it wrote would be lost with the instance.
    fn refuse_missing_connections(&mut self, in_azure: bool) {
        if !in_azure || !self.problems.is_empty() {
            return;
        }
        let home_is_given = self.text("SQL_CONNECTION_STRING").is_some()
            || SQL_PARTS.iter().any(|name| self.text(name).is_some());
        if !home_is_given {
            self.wrong(
                "SQL_CONNECTION_STRING",
                "is required in Azure, or SQL_SERVER and SQL_DATABASE instead",
            );
        }
        if !COSMOS_SETTINGS.iter().any(|name| self.text(name).is_some()) {
            self.wrong(
                "DBVC_COSMOS_CONNECTION_STRING",
                "is required in Azure, or DBVC_COSMOS_ENDPOINT instead",
            );
        }
    }

    fn archive(&mut self, allowed_hosts: &[String]) -> ArchivePlace {
        let database = self.text("DBVC_COSMOS_DATABASE").unwrap_or(COSMOS_DATABASE);
        let database = database.to_owned();
        if database.chars().count() > COSMOS_NAME_CHARS || database.contains(['/', '\\', '#', '?'])
        {
            self.wrong(
                "DBVC_COSMOS_DATABASE",
                format!("must be at most {COSMOS_NAME_CHARS} characters without / \\ # ?"),
            );
        }
        let [by_key, by_identity] = COSMOS_SETTINGS;
        let account = match (self.text(by_key), self.text(by_identity)) {
            (None, None) => return ArchivePlace::Embedded,
            (Some(_), Some(_)) => {
                self.wrong(
                    by_identity,
                    format!(
                        "must not be set beside {by_key}: one of them says which account it is"
                    ),
                );
                return ArchivePlace::Embedded;
            }
            (Some(text), None) => CosmosAccount::with_key(text).map_err(|error| (by_key, error)),
            (None, Some(text)) => CosmosAccount::with_identity(text, allowed_hosts)
                .map_err(|error| (by_identity, error)),
        };
        match account {
            Ok(account) => ArchivePlace::Cosmos { account, database },
            Err((setting, error)) => {
                self.wrong(setting, error.to_string());
                ArchivePlace::Embedded
            }
        }
    }

    fn home_connection(&mut self) -> Option<ConnectionString> {
        match self.text("SQL_CONNECTION_STRING") {
            Some(text) => match ConnectionString::parse(text) {
                Ok(connection) => Some(connection),
                Err(error) => {
                    self.wrong("SQL_CONNECTION_STRING", format!("is wrong: {error}"));
                    None
                }
            },
            None => self.home_connection_of_parts(),
        }
    }

    fn home_connection_of_parts(&mut self) -> Option<ConnectionString> {
        let given = SQL_PARTS.iter().find(|name| self.text(name).is_some())?;
        let (Some(server), Some(database)) = (self.text("SQL_SERVER"), self.text("SQL_DATABASE"))
        else {
            for required in ["SQL_SERVER", "SQL_DATABASE"] {
                if self.text(required).is_none() {
                    self.wrong(required, format!("is required beside {given}"));
                }
            }
            return None;
        };
        let user = self.text("SQL_USER").map(str::to_owned);
        // Blanks are part of a password.
        let password = self
            .variables
            .get("SQL_PASSWORD")
            .filter(|password| !password.is_empty())
            .cloned();
        let connection = ConnectionString::from_parts(server, database, user, password);
        connection
            .map_err(|error| match error {
                ConnectionStringError::Value { key, remedy } => {
                    self.wrong(setting_of(key), remedy);
                }
                ConnectionStringError::UserWithoutPassword => {
                    self.wrong("SQL_PASSWORD", "is required beside SQL_USER");
                }
                ConnectionStringError::PasswordWithoutUser => {
                    self.wrong("SQL_USER", "is required beside SQL_PASSWORD");
                }
                ConnectionStringError::Placeholder { key } => self.wrong(
                    setting_of(key),
                    "still holds a placeholder; put in the real value",
                ),
                other => self.wrong(given, format!("is wrong: {other}")),
            })
            .ok()
    }

    fn connection_variables(&self) -> ConnectionVariables {
        self.variables
            .iter()
            .filter(|(name, value)| {
                !value.is_empty()
                    && CONNECTION_PREFIXES
                        .iter()
                        .any(|prefix| name.starts_with(prefix))
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    fn script_variables(&mut self) -> Variables {
        let mut variables = Variables::default();
        let mut refused = Vec::new();
        for (setting, value) in &self.variables {
            let Some(name) = setting.strip_prefix(VARIABLE_PREFIX) else {
                continue;
            };
            if value.is_empty() {
                continue;
            }
            if let Err(error) = variables.add(name, value) {
                refused.push((setting.clone(), error));
            }
        }
        for (setting, error) in refused {
            self.wrong(&setting, error.to_string());
        }
        variables
    }

    fn identity(&self, in_azure: bool) -> AppIdentity {
        AppIdentity {
            source: if self.text("AZURE_FEDERATED_TOKEN_FILE").is_some() {
                IdentitySource::WorkloadIdentity
            } else if in_azure {
                IdentitySource::ManagedIdentity
            } else {
                IdentitySource::DeveloperTools
            },
            client_id: self.text("AZURE_CLIENT_ID").map(str::to_owned),
            tenant_id: self.text("AZURE_TENANT_ID").map(str::to_owned),
        }
    }

    fn environment(&mut self, in_azure: bool) -> String {
        match self.text("DBVC_ENVIRONMENT") {
            Some(name) if DatabaseId::parse(name).is_ok() => return name.to_owned(),
            Some(_) => self.wrong(
                "DBVC_ENVIRONMENT",
                "must be 1 to 63 lower case letters, digits or '-', such as dev or prod",
            ),
            None if in_azure => self.wrong(
                "DBVC_ENVIRONMENT",
                "is required in Azure, such as dev or prod",
            ),
            None => {}
        }
        "dev".to_owned()
    }

    fn database_id(&mut self, environment: &str) -> Option<DatabaseId> {
        let (id, hint) = match self.text("DBVC_DATABASE_ID") {
            Some(id) => (DatabaseId::parse(id), ""),
            None => (
                DatabaseId::parse(&format!("lpa-bloom-sql-{environment}")),
                " (it is made from DBVC_ENVIRONMENT when it is not set, and that is too long for it)",
            ),
        };
        id.map_err(|error| self.wrong("DBVC_DATABASE_ID", format!("is wrong: {error}{hint}")))
            .ok()
    }

    fn registry_schema(&mut self) -> RegistrySchema {
        let Some(name) = self.text("DBVC_SCHEMA") else {
            return RegistrySchema::default();
        };
        RegistrySchema::parse(name).unwrap_or_else(|error| {
            self.wrong("DBVC_SCHEMA", error.to_string());
            RegistrySchema::default()
        })
    }

    fn on_drift(&mut self) -> OnDrift {
        match self.text("DBVC_ON_DRIFT") {
            None | Some("warn") => OnDrift::Warn,
            Some("refuse") => OnDrift::Refuse,
            Some(_) => {
                self.wrong("DBVC_ON_DRIFT", "must be warn or refuse");
                OnDrift::Warn
            }
        }
    }

    fn allowed_hosts(&mut self) -> Vec<String> {
        let hosts: Vec<String> = self
            .text("DBVC_ALLOWED_HOSTS")
            .map(|list| {
                list.split(',')
                    .map(|host| host.trim().to_ascii_lowercase())
                    .collect()
            })
            .unwrap_or_default();
        if !hosts.iter().all(|host| is_host_suffix(host)) {
            self.wrong(
                "DBVC_ALLOWED_HOSTS",
                "must be host suffixes that begin with a dot, separated by commas, such as .database.azure.cn",
            );
        }
        hosts
    }

    fn alert_webhook(&mut self) -> Option<WebhookAddress> {
        match WebhookAddress::parse(self.text("DBVC_ALERT_WEBHOOK")?) {
            Ok(address) => Some(address),
            Err(error) => {
                self.wrong("DBVC_ALERT_WEBHOOK", error.to_string());
                None
            }
        }
    }

    fn log(&mut self) -> EnvFilter {
        let filter = EnvFilter::try_new(self.text("DBVC_LOG").unwrap_or("info"));
        filter.unwrap_or_else(|_| {
            self.wrong(
                "DBVC_LOG",
                "must be a tracing filter, such as info, debug or dbvc=debug",
            );
            EnvFilter::default()
        })
    }

    /// A wrong port is never replaced by the default: the host would wait for a handler that listens elsewhere.
    fn port(&mut self) -> u16 {
        let port = match self.variables.get("FUNCTIONS_CUSTOMHANDLER_PORT") {
            None => Some(7071),
            Some(value) => value.parse().ok().filter(|port| *port != 0),
        };
        port.unwrap_or_else(|| {
            self.wrong(
                "FUNCTIONS_CUSTOMHANDLER_PORT",
                "must be a port from 1 to 65535",
            );
            0
        })
    }
}

fn is_read(name: &str) -> bool {
    name.starts_with("DBVC_") || name.starts_with("SQL_") || IDENTITY_SETTINGS.contains(&name)
}

/// The setting that holds a part of a connection string.
fn setting_of(key: &str) -> &'static str {
    match key {
        "Database" => "SQL_DATABASE",
        "User ID" => "SQL_USER",
        "Password" => "SQL_PASSWORD",
        _ => "SQL_SERVER",
    }
}

/// A dot, then labels of letters, digits and hyphens: `.database.azure.cn`.
fn is_host_suffix(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.strip_prefix('.')
        .is_some_and(|labels| labels.split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Syntax;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(
            variables
                .iter()
                .map(|(name, value)| (OsString::from(name), OsString::from(value))),
        )
    }

    /// The names of the settings that stop the start.
    fn refused(variables: &[(&str, &str)]) -> Vec<String> {
        read(variables)
            .map(|settings| panic!("accepted as {settings:?}"))
            .unwrap_or_else(|error| error.0)
            .into_iter()
            .map(|problem| problem.setting)
            .collect()
    }

    #[test]
    fn nothing_set_serves_dev_with_the_embedded_engine() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.environment, "dev");
        assert!(!settings.in_azure);
        assert_eq!(settings.database_id.as_str(), "lpa-bloom-sql-dev");
        assert_eq!(settings.registry_schema.name(), "dbo");
        assert_eq!(settings.data_dir, PathBuf::from(".dbvc"));
        assert_eq!(settings.migrations_dir, PathBuf::from("migrations"));
        assert_eq!(settings.on_drift, OnDrift::Warn);
        assert_eq!(settings.lock_lease_seconds, 30);
        assert_eq!(settings.max_parallel_databases, 4);
        assert_eq!(settings.statement_timeout_seconds, 0);
        assert_eq!(settings.lock_timeout_seconds, 30);
        assert!(settings.allowed_hosts.is_empty());
        assert_eq!(settings.alert_webhook, None);
        assert_eq!(settings.home_connection, None);
        assert_eq!(
            settings.connection_variables,
            ConnectionVariables::default()
        );
        assert_eq!(settings.script_variables, Variables::default());
        assert_eq!(settings.identity, AppIdentity::default());
        assert_eq!(settings.log.to_string(), "info");
        assert_eq!(settings.port, 7071);
    }

    #[test]
    fn every_setting_is_read() {
        let settings = read(&[
            ("DBVC_ENVIRONMENT", "prod"),
            ("DBVC_DATABASE_ID", "orders"),
            ("DBVC_SCHEMA", "dbvc"),
            ("DBVC_DATA_DIR", "data"),
            ("DBVC_MIGRATIONS_DIR", "sql"),
            ("DBVC_ON_DRIFT", "refuse"),
            ("DBVC_LOCK_LEASE_SECONDS", "3600"),
            ("DBVC_MAX_PARALLEL_DATABASES", "64"),
            ("DBVC_STATEMENT_TIMEOUT", "60"),
            ("DBVC_LOCK_TIMEOUT", "0"),
            ("DBVC_ALLOWED_HOSTS", ".database.azure.cn, .Example.test"),
            ("DBVC_ALERT_WEBHOOK", "https://example.com/x"),
            ("DBVC_LOG", "dbvc=debug"),
            ("FUNCTIONS_CUSTOMHANDLER_PORT", "40001"),
        ])
        .unwrap();
        assert_eq!(settings.environment, "prod");
        assert_eq!(settings.database_id.as_str(), "orders");
        assert_eq!(settings.registry_schema.name(), "dbvc");
        assert_eq!(settings.data_dir, PathBuf::from("data"));
        assert_eq!(settings.migrations_dir, PathBuf::from("sql"));
        assert_eq!(settings.on_drift, OnDrift::Refuse);
        assert_eq!(settings.lock_lease_seconds, 3600);
        assert_eq!(settings.max_parallel_databases, 64);
        assert!(settings.alert_webhook.is_some());
        assert_eq!(settings.statement_timeout_seconds, 60);
        assert_eq!(settings.lock_timeout_seconds, 0);
        assert_eq!(
            settings.allowed_hosts,
            [".database.azure.cn", ".example.test"]
        );
        assert_eq!(settings.log.to_string(), "dbvc=debug");
        assert_eq!(settings.port, 40001);
    }

    #[test]
    fn the_home_database_is_named_after_the_environment() {
        let settings = read(&[("DBVC_ENVIRONMENT", "test")]).unwrap();
        assert_eq!(settings.database_id.as_str(), "lpa-bloom-sql-test");
        let longest = "e".repeat(63);
        assert_eq!(
            refused(&[("DBVC_ENVIRONMENT", &longest)]),
            ["DBVC_DATABASE_ID"]
        );
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_setting() {
        for (name, value) in [
            ("DBVC_ENVIRONMENT", "Prod"),
            ("DBVC_ENVIRONMENT", "all"),
            ("DBVC_DATABASE_ID", "Orders"),
            ("DBVC_DATABASE_ID", "all"),
            ("DBVC_SCHEMA", "my.schema"),
            ("DBVC_SCHEMA", "sys"),
            ("DBVC_ON_DRIFT", "ignore"),
            ("DBVC_LOCK_LEASE_SECONDS", "0"),
            ("DBVC_LOCK_LEASE_SECONDS", "3601"),
            ("DBVC_LOCK_LEASE_SECONDS", "half"),
            ("DBVC_MAX_PARALLEL_DATABASES", "0"),
            ("DBVC_MAX_PARALLEL_DATABASES", "65"),
            ("DBVC_STATEMENT_TIMEOUT", "-1"),
            ("DBVC_LOCK_TIMEOUT", "1.5"),
            ("DBVC_ALLOWED_HOSTS", "database.azure.cn"),
            ("DBVC_ALLOWED_HOSTS", ".a,,.b"),
            ("DBVC_ALLOWED_HOSTS", "."),
            ("DBVC_LOG", "dbvc=loud"),
            ("FUNCTIONS_CUSTOMHANDLER_PORT", "http"),
            ("FUNCTIONS_CUSTOMHANDLER_PORT", ""),
            ("FUNCTIONS_CUSTOMHANDLER_PORT", "0"),
            ("FUNCTIONS_CUSTOMHANDLER_PORT", "65536"),
        ] {
            assert_eq!(refused(&[(name, value)]), [name], "{name}={value}");
        }
    }

    #[test]
    fn all_wrong_settings_are_told_in_one_line() {
        let error = read(&[("DBVC_ON_DRIFT", "x"), ("DBVC_LOCK_TIMEOUT", "y")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "wrong settings: DBVC_ON_DRIFT must be warn or refuse; DBVC_LOCK_TIMEOUT must be a whole number from 0 to \
             86400"
        );
    }

    #[test]
    fn an_empty_value_counts_as_none() {
        let settings = read(&[
            ("DBVC_ENVIRONMENT", ""),
            ("DBVC_LOCK_LEASE_SECONDS", " "),
            ("SQL_CONNECTION_STRING", ""),
        ])
        .unwrap();
        assert_eq!(settings.environment, "dev");
        assert_eq!(settings.lock_lease_seconds, 30);
    }

    #[test]
    fn an_unresolved_secret_is_refused_by_name_and_not_by_value() {
        let value = "@Microsoft.KeyVault(SecretUri=https://hush.vault.azure.net/secrets/x)";
        for name in [
            "SQL_CONNECTION_STRING",
            "DBVC_CONN_ORDERS",
            "DBVC_VAR_app_password",
            "DBVC_ENVIRONMENT",
            "AZURE_CLIENT_ID",
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert_eq!(error.0.len(), 1, "{error}");
            assert_eq!(error.0[0].setting, name);
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        assert!(read(&[("UNRELATED", value)]).is_ok());
    }

    #[test]
    fn a_containers_name_says_azure_only_beside_a_variable_of_the_platform() {
        assert!(read(&[("CONTAINER_NAME", "x")]).is_ok());
        assert!(read(&[("CONTAINER_NAME", "x"), ("WEBSITE_SITE_NAME", "lpa")]).is_err());
    }

    const IN_AZURE: (&str, &str) = ("WEBSITE_INSTANCE_ID", "0123");

    #[test]
    fn in_azure_missing_connections_and_environment_stop_the_start() {
        for sign in AZURE_SIGNS {
            assert_eq!(
                refused(&[(sign, "x")]),
                [
                    "SQL_CONNECTION_STRING",
                    "DBVC_COSMOS_CONNECTION_STRING",
                    "DBVC_ENVIRONMENT"
                ]
            );
        }
        assert_eq!(
            refused(&[
                IN_AZURE,
                ("DBVC_ENVIRONMENT", "dev"),
                ("SQL_SERVER", "only")
            ]),
            ["DBVC_COSMOS_CONNECTION_STRING", "SQL_DATABASE"]
        );
    }

    #[test]
    fn core_tools_on_a_laptop_are_not_azure() {
        let settings = read(&[
            IN_AZURE,
            ("AZURE_FUNCTIONS_ENVIRONMENT", "Development"),
            ("WEBSITE_HOSTNAME", "localhost:7071"),
        ])
        .unwrap();
        assert!(!settings.in_azure);
        assert!(!read(&[("WEBSITE_HOSTNAME", "localhost")]).unwrap().in_azure);
    }

    #[test]
    fn a_service_of_a_later_version_is_refused_and_never_replaced() {
        for name in COSMOS_SETTINGS {
            let error = read(&[(name, "AccountEndpoint=x;AccountKey=hush")]).unwrap_err();
            assert_eq!(error.0.len(), 1);
            assert_eq!(error.0[0].setting, name);
            assert!(!error.to_string().contains("hush"));
        }
    }

    const WHOLE: (&str, &str) = (
        "SQL_CONNECTION_STRING",
        "Server=whole.database.windows.net;Database=shop;User ID=ada;Password=hush",
    );

    #[test]
    fn a_whole_connection_string_goes_before_its_parts() {
        for others in [
            &[][..],
            &[("SQL_SERVER", "parts"), ("SQL_DATABASE", "other")],
            &[("SQL_USER", "alone")],
        ] {
            let home = read(&[&[WHOLE], others].concat()).unwrap().home_connection;
            let home = home.unwrap();
            assert_eq!(home.server_name(), "whole.database.windows.net");
            assert_eq!(home.database_name(), "shop");
        }
    }

    #[test]
    fn parts_make_a_connection_string() {
        let place = [("SQL_SERVER", "tcp:parts,1444"), ("SQL_DATABASE", "shop")];
        let home = read(&place).unwrap().home_connection;
        assert_eq!(
            home,
            ConnectionString::for_identity("parts,1444", "shop").ok()
        );
        let login = [("SQL_USER", "ada"), ("SQL_PASSWORD", " hush ")];
        let home = read(&[place, login].concat()).unwrap().home_connection;
        let quoted = "Server=parts,1444;Database=shop;User ID=ada;Password=' hush '";
        assert_eq!(home, ConnectionString::parse(quoted).ok());
    }

    #[test]
    fn parts_that_make_no_connection_string_are_refused_by_name() {
        for (variables, names) in [
            (&[("SQL_SERVER", "a")][..], &["SQL_DATABASE"][..]),
            (&[("SQL_DATABASE", "a")], &["SQL_SERVER"]),
            (&[("SQL_USER", "a")], &["SQL_SERVER", "SQL_DATABASE"]),
            (&[("SQL_PASSWORD", "a")], &["SQL_SERVER", "SQL_DATABASE"]),
            (
                &[
                    ("SQL_SERVER", "a"),
                    ("SQL_DATABASE", "b"),
                    ("SQL_USER", "c"),
                ],
                &["SQL_PASSWORD"],
            ),
            (
                &[
                    ("SQL_SERVER", "a"),
                    ("SQL_DATABASE", "b"),
                    ("SQL_PASSWORD", "c"),
                ],
                &["SQL_USER"],
            ),
            (
                &[("SQL_SERVER", "a\\b"), ("SQL_DATABASE", "c")],
                &["SQL_SERVER"],
            ),
            (
                &[
                    ("SQL_SERVER", "a"),
                    ("SQL_DATABASE", "b"),
                    ("SQL_USER", "c"),
                    ("SQL_PASSWORD", "{your_password}"),
                ],
                &["SQL_PASSWORD"],
            ),
        ] {
            assert_eq!(refused(variables), names, "{variables:?}");
        }
        assert_eq!(
            read(&[("SQL_USER", "a"), ("SQL_SERVER", "b")])
                .unwrap_err()
                .to_string(),
            "wrong settings: SQL_DATABASE is required beside SQL_SERVER"
        );
    }

    #[test]
    fn a_wrong_connection_string_is_refused_and_not_repeated() {
        let error = read(&[("SQL_CONNECTION_STRING", "Server=quiet;Password=hush")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "wrong settings: SQL_CONNECTION_STRING is wrong: Database is missing"
        );
    }

    #[test]
    fn variables_of_scripts_are_read_by_their_names() {
        let variables = read(&[
            ("DBVC_VAR_schema_name", "dbo"),
            ("DBVC_VAR_empty", ""),
            ("DBVC_VARIABLE", "x"),
        ])
        .unwrap()
        .script_variables;
        let sent = |batch| variables.substitute(batch, Syntax::TransactSql);
        assert_eq!(sent("[$(SCHEMA_NAME)].t").unwrap(), "[dbo].t");
        assert_eq!(sent("$(empty)").unwrap_err().name, "empty");
        for (wrong, name) in [
            (&[("DBVC_VAR_1a", "hush")][..], "DBVC_VAR_1a"),
            (&[("DBVC_VAR_", "hush")], "DBVC_VAR_"),
            (&[("DBVC_VAR_a", "hush\nGO\nDROP")], "DBVC_VAR_a"),
            (&[("DBVC_VAR_a", "x"), ("DBVC_VAR_A", "hush")], "DBVC_VAR_a"),
        ] {
            assert_eq!(refused(wrong), [name], "{wrong:?}");
            assert!(!read(wrong).unwrap_err().to_string().contains("hush"));
        }
    }

    #[test]
    fn the_platform_says_which_identity_the_process_has() {
        let identity = |variables: &[(&str, &str)]| {
            let mut reader = Reader::new(
                variables
                    .iter()
                    .map(|(name, value)| (OsString::from(name), OsString::from(value))),
            );
            let identity = reader.identity(reader.in_azure());
            assert!(std::mem::take(&mut reader.problems).is_empty());
            identity
        };
        assert_eq!(identity(&[]).source, IdentitySource::DeveloperTools);
        assert_eq!(
            identity(&[IN_AZURE]).source,
            IdentitySource::ManagedIdentity
        );
        let federated = identity(&[IN_AZURE, ("AZURE_FEDERATED_TOKEN_FILE", "/token")]);
        assert_eq!(federated.source, IdentitySource::WorkloadIdentity);
        let named = identity(&[("AZURE_CLIENT_ID", "app"), ("AZURE_TENANT_ID", "team")]);
        assert_eq!(named.client_id.as_deref(), Some("app"));
        assert_eq!(named.tenant_id.as_deref(), Some("team"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = read(&[
            WHOLE,
            ("DBVC_CONN_ORDERS", "Server=x;Password=hush"),
            ("DBVC_VAR_app_password", "hush"),
        ])
        .unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hush"), "{shown}");
        for name in [
            "ada",
            "SQL_CONNECTION_STRING",
            "DBVC_CONN_ORDERS",
            "app_password",
        ] {
            assert!(shown.contains(name), "{shown}");
        }
    }
}
