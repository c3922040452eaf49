//! An app root that a test writes.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::host::{App, Host, HostBuilder};

pub struct TemporaryApp {
    folder: TempDir,
}

impl TemporaryApp {
    /// Forwarding is on; the handler is whatever the test says.
    pub fn new() -> Self {
        let app = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        app.host_json(&json!({
            "version": "2.0",
            "customHandler": {
                "description": { "defaultExecutablePath": "handler" },
                "enableForwardingHttpRequest": true,
            },
        }))
    }

    pub fn host_json(self, json: &Value) -> Self {
        self.file("host.json", &json.to_string())
    }

    pub fn http(self, name: &str, methods: &[&str], route: &str) -> Self {
        let trigger = json!({
            "type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "function",
            "methods": methods, "route": route,
        });
        let output = json!({ "type": "http", "direction": "out", "name": "res" });
        self.function(name, &[trigger, output])
    }

    pub fn timer(self, name: &str, schedule: &str) -> Self {
        let trigger = json!({ "type": "timerTrigger", "direction": "in", "name": "timer", "schedule": schedule });
        self.function(name, &[trigger])
    }

    pub fn function(self, name: &str, bindings: &[Value]) -> Self {
        let json = json!({ "bindings": bindings });
        self.file(&format!("{name}/function.json"), &json.to_string())
    }

    pub fn file(self, path: &str, text: &str) -> Self {
        let path = self.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a file has a folder"))
            .expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn builder(&self) -> HostBuilder {
        Host::builder().root(self.path())
    }

    /// What the host indexes, with these app settings.
    pub fn indexed(&self, settings: &[(&str, &str)]) -> App {
        let mut all = vec![("AzureWebJobsStorage", "UseDevelopmentStorage=true")];
        all.extend(settings);
        let all = all
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        App::read(self.path(), &all.collect()).expect("the app root is valid")
    }
}
