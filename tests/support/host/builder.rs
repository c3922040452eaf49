//! How a double is set up: which app, which settings, which mode, which handler.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::app::{App, Settings};
use super::double::Host;
use super::handler::{self, Launch};
use super::payload::Framing;

/// How functions that are HTTP in and out reach the handler; a timer always takes the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Forwarding,
    Proxying,
    Payload,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Forwarding, Self::Proxying, Self::Payload];
}

/// Where the host claims to run: its own variables differ, and only in Azure are keys asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    CoreTools,
    /// A plan that sets `WEBSITE_INSTANCE_ID`.
    Premium,
    /// A plan that sets `WEBSITE_POD_NAME` and `CONTAINER_NAME` instead.
    Flex,
}

#[derive(Clone, Debug)]
pub struct HostBuilder {
    root: PathBuf,
    mode: Option<Mode>,
    place: Place,
    framing: Option<Framing>,
    settings: Settings,
    removed: Vec<String>,
    attached: Option<SocketAddr>,
    ready_limit: Duration,
    ping_every: Duration,
}

/// What of the test's own environment the handler sees: enough to run a program, nothing of the developer's.
const INHERITED: [&str; 8] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SystemRoot",
];

impl HostBuilder {
    /// Defaults: the repository root, the mode of host.json, Core Tools, `Values` of local.settings.json.example with
    /// the dbvc of this build as executable.
    pub fn new() -> Self {
        Self {
            root: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
            mode: None,
            place: Place::CoreTools,
            framing: None,
            settings: Settings::new(),
            removed: Vec::new(),
            attached: None,
            ready_limit: Duration::from_secs(30),
            ping_every: Duration::from_millis(100),
        }
        .executable(env!("CARGO_BIN_EXE_dbvc"))
    }

    /// Another app root.
    pub fn root(mut self, root: impl AsRef<Path>) -> Self {
        self.root = root.as_ref().to_owned();
        self
    }

    /// Defaults to what host.json says.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// In Azure on a Premium plan: Azure's variables, and keys are asked for.
    pub fn cloud(self) -> Self {
        self.place(Place::Premium)
    }

    pub fn place(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// Framing of payloads. Defaults to chunked in Azure and a Content-Length under Core Tools.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = Some(framing);
        self
    }

    /// An app setting, which is an environment variable of host and handler.
    pub fn setting(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.removed.retain(|removed| removed != name);
        self.settings
            .insert(name.to_owned(), value.as_ref().to_owned());
        self
    }

    /// Takes away a setting of local.settings.json.example, or one given before.
    pub fn without_setting(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self.removed.push(name.to_owned());
        self
    }

    /// `DBVC_DATA_DIR`.
    pub fn data_dir(self, path: impl AsRef<Path>) -> Self {
        self.setting(
            "DBVC_DATA_DIR",
            path.as_ref().to_str().expect("a test folder is text"),
        )
    }

    /// Overrides the executable of host.json, as local.settings.json does.
    pub fn executable(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_str().expect("a path of a test is text");
        self.setting(
            "AzureFunctionsJobHost__customHandler__description__defaultExecutablePath",
            path,
        )
    }

    /// Overrides the arguments of host.json.
    pub fn arguments(self, arguments: &[&str]) -> Self {
        let arguments = Value::from(arguments).to_string();
        self.setting(
            "AzureFunctionsJobHost__customHandler__description__arguments",
            arguments,
        )
    }

    /// Uses a handler that listens already, on 127.0.0.1, instead of starting one.
    pub fn attach(mut self, address: SocketAddr) -> Self {
        self.attached = Some(address);
        self
    }

    /// Defaults to 30 seconds, as in the host.
    pub fn ready_limit(mut self, limit: Duration) -> Self {
        self.ready_limit = limit;
        self
    }

    /// Pause between the later calls of GET /. Defaults to 100 ms.
    pub fn ping_every(mut self, pause: Duration) -> Self {
        self.ping_every = pause;
        self
    }

    /// Starts host and handler and waits until the handler is ready. Panics with what the handler wrote if it never
    /// is.
    pub async fn start(self) -> Host {
        let host = self.launch().await;
        host.wait_ready().await;
        host
    }

    /// Starts the host without waiting for the handler.
    pub async fn launch(self) -> Host {
        match self.try_launch().await {
            Ok(host) => host,
            Err(reason) => panic!("the host does not start: {reason}"),
        }
    }

    /// An error is one at which the host itself would not start, such as a host.json without an executable.
    pub async fn try_launch(self) -> Result<Host, String> {
        let settings = self.all_settings()?;
        let app = App::read(&self.root, &settings)?;
        let port = match self.attached {
            Some(address) => address.port(),
            None => handler::free_port().await,
        };
        let launch = match self.attached {
            // Nothing to call, nothing to start.
            _ if app.functions.is_empty() => {
                return Err(format!("no function was found: {:?}", app.errors));
            }
            Some(_) => None,
            None => Some(self.handler_of(&app, &settings, port)),
        };
        let function_timeout = app.function_timeout()?;
        let mode = match (
            app.flag("customHandler:enableProxyingHttpRequest"),
            app.flag("customHandler:enableForwardingHttpRequest"),
        ) {
            (true, _) => Mode::Proxying,
            (false, true) => Mode::Forwarding,
            (false, false) => Mode::Payload,
        };
        let framing = self.framing.unwrap_or(match self.place {
            Place::CoreTools => Framing::ContentLength,
            Place::Premium | Place::Flex => Framing::Chunked,
        });
        let (place, pause) = (self.place, self.ping_every);
        Ok(Host::new(
            app,
            launch,
            port,
            mode,
            place,
            framing,
            function_timeout,
            pause,
        )
        .await)
    }

    fn all_settings(&self) -> Result<Settings, String> {
        let mut settings = Settings::new();
        let example = self.root.join("local.settings.json.example");
        if let Ok(text) = std::fs::read_to_string(&example) {
            let json: Value = serde_json::from_str(&text)
                .map_err(|e| format!("local.settings.json.example: {e}"))?;
            let values = serde_json::from_value(json["Values"].clone());
            settings = values.map_err(|e| format!("Values of local.settings.json.example: {e}"))?;
        }
        let defaults = [
            ("FUNCTIONS_WORKER_RUNTIME", "custom"),
            ("AzureWebJobsStorage", "UseDevelopmentStorage=true"),
        ];
        for (name, value) in defaults {
            settings.entry(name.to_owned()).or_insert(value.to_owned());
        }
        let modes: &[(&str, &str)] = match self.mode {
            None => &[],
            Some(Mode::Forwarding) => &[("Forwarding", "true"), ("Proxying", "false")],
            Some(Mode::Proxying) => &[("Proxying", "true")],
            Some(Mode::Payload) => &[("Forwarding", "false"), ("Proxying", "false")],
        };
        for (mode, value) in modes {
            let name = format!("AzureFunctionsJobHost__customHandler__enable{mode}HttpRequest");
            settings.insert(name, (*value).to_owned());
        }
        settings.extend(self.settings.clone());
        settings.retain(|name, _| !self.removed.contains(name));
        Ok(settings)
    }

    fn handler_of(&self, app: &App, settings: &Settings, port: u16) -> Launch {
        let text = |key: &str| app.text(&format!("customHandler:description:{key}"));
        let executable = app.expand_or_drop(&text("defaultExecutablePath").unwrap_or_default());
        let worker_directory =
            text("workerDirectory").map_or(self.root.clone(), |path| self.root.join(path));
        let local = worker_directory.join(&executable);
        // The host joins the arguments with blanks and quotes none of them.
        let mut line = app.list("customHandler:description:arguments").join(" ");
        if let Some(path) = text("defaultWorkerPath").filter(|path| !path.is_empty()) {
            line.push_str(&format!(" \"{path}\""));
        }
        line.push(' ');
        line.push_str(
            &app.list("customHandler:description:workerArguments")
                .join(" "),
        );
        Launch {
            program: if local.is_file() {
                local
            } else {
                executable.into()
            },
            arguments: split_arguments(&app.expand_or_drop(&line)),
            directory: text("workingDirectory")
                .map_or(self.root.clone(), |path| self.root.join(path)),
            environment: self.environment(settings),
            port,
            ready_limit: self.ready_limit,
        }
    }

    fn environment(&self, settings: &Settings) -> BTreeMap<String, String> {
        let root = self.root.to_str().expect("an app root of a test is text");
        let mut environment: BTreeMap<String, String> = INHERITED
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect();
        let own: &[(&str, &str)] = match self.place {
            Place::CoreTools => &[
                ("AZURE_FUNCTIONS_ENVIRONMENT", "Development"),
                ("WEBSITE_HOSTNAME", "localhost:7071"),
                ("AzureWebJobsScriptRoot", root),
                ("FUNCTIONS_CORETOOLS_ENVIRONMENT", "True"),
            ],
            Place::Premium => &[
                ("WEBSITE_HOSTNAME", "dbvc-double.azurewebsites.net"),
                ("WEBSITE_SITE_NAME", "dbvc-double"),
                (
                    "WEBSITE_INSTANCE_ID",
                    "5e0f6d1c6a1b4c0f9c2ad8f0b3e2c7d45e0f6d1c6a1b4c0f9c2ad8f0b3e2c7d4",
                ),
                ("WEBSITE_SKU", "ElasticPremium"),
                ("FUNCTIONS_EXTENSION_VERSION", "~4"),
                ("AzureWebJobsScriptRoot", root),
            ],
            Place::Flex => &[
                ("WEBSITE_HOSTNAME", "dbvc-double.azurewebsites.net"),
                ("WEBSITE_SITE_NAME", "dbvc-double"),
                (
                    "WEBSITE_POD_NAME",
                    "0--5e0f6d1c-6a1b-4c0f-9c2a-d8f0b3e2c7d4",
                ),
                ("CONTAINER_NAME", "0--5e0f6d1c-6a1b-4c0f-9c2a-d8f0b3e2c7d4"),
                ("WEBSITE_SKU", "FlexConsumption"),
                ("FUNCTIONS_EXTENSION_VERSION", "~4"),
                ("AzureWebJobsScriptRoot", root),
            ],
        };
        environment.extend(
            own.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        environment.insert("FUNCTIONS_APP_ROOT_PATH".to_owned(), root.to_owned());
        environment.extend(settings.clone());
        environment.retain(|name, _| !self.removed.contains(name));
        environment
    }
}

/// Blanks part arguments, double quotes hold them together.
fn split_arguments(line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                is_quoted = !is_quoted;
                current.get_or_insert_default();
            }
            ' ' if !is_quoted => arguments.extend(current.take()),
            c => current.get_or_insert_default().push(c),
        }
    }
    arguments.extend(current);
    arguments
}
