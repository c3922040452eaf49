//! What the host reads from an app root: host.json with its overrides, and one folder a function.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::route::Template;

/// App settings, which are also the environment of the host: `Values` of local.settings.json, or those of Azure.
pub type Settings = BTreeMap<String, String>;

/// An app root as the host understood it.
#[derive(Debug)]
pub struct App {
    pub root: PathBuf,
    /// host.json after the overrides of the environment.
    pub host_json: Value,
    /// In the order in which routes are matched: by name, without regard to case.
    pub functions: Vec<Function>,
    /// Functions that the host would show in error, with the reason. The others still load.
    pub errors: Vec<(String, String)>,
    settings: Settings,
}

#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub trigger: Trigger,
}

#[derive(Clone, Debug)]
pub enum Trigger {
    Http {
        /// Name of the trigger's binding, the key of `Data` in payload mode.
        binding: String,
        /// Name of the http output, the key of `Outputs` in payload mode; `$return` is possible.
        output: Option<String>,
        template: Template,
        /// Upper case; empty means all.
        methods: Vec<String>,
        level: AuthLevel,
        /// Only such functions are forwarded or proxied; others get the payload whatever host.json says.
        only_http: bool,
    },
    Timer {
        binding: String,
        /// With its `%SETTING%` resolved.
        schedule: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthLevel {
    Anonymous,
    Function,
    Admin,
}

impl App {
    /// Reads the root as the host does at start. An error is one at which the host itself would not start.
    pub fn read(root: &Path, settings: &Settings) -> Result<Self, String> {
        let path = root.join("host.json");
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("host.json cannot be read: {e}"))?;
        let mut host_json: Value =
            serde_json::from_str(&text).map_err(|e| format!("host.json is not JSON: {e}"))?;
        if host_json["version"] != "2.0" {
            return Err("host.json must have version 2.0".to_owned());
        }
        for (name, value) in settings {
            if let Some(path) = strip_prefix_ignoring_case(name, "AzureFunctionsJobHost__") {
                set(&mut host_json, path.split("__"), value);
            }
        }
        let mut app = Self {
            root: root.to_owned(),
            host_json,
            functions: Vec::new(),
            errors: Vec::new(),
            settings: settings.clone(),
        };
        if app
            .text("customHandler:description:defaultExecutablePath")
            .is_none()
        {
            return Err(
                "customHandler.description.defaultExecutablePath of host.json is missing"
                    .to_owned(),
            );
        }
        app.discover()?;
        Ok(app)
    }

    /// Only immediate subfolders with a function.json; other folders are ignored without a word.
    fn discover(&mut self) -> Result<(), String> {
        let folders = std::fs::read_dir(&self.root)
            .map_err(|e| format!("the app root cannot be read: {e}"))?;
        let mut found: Vec<(String, PathBuf)> = folders
            .filter_map(Result::ok)
            .filter(|entry| entry.path().is_dir())
            .map(|entry| {
                (
                    entry.file_name().to_string_lossy().into_owned(),
                    entry.path().join("function.json"),
                )
            })
            .filter(|(_, file)| file.is_file())
            .collect();
        found.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        for (name, file) in found {
            if !self.is_allowed(&name) || self.is_disabled(&name) {
                continue;
            }
            match self.index(&name, &file) {
                Ok(function) => self.functions.push(function),
                Err(reason) => self.errors.push((name, reason)),
            }
        }
        Ok(())
    }

    /// `functions` of host.json is an allow-list.
    fn is_allowed(&self, name: &str) -> bool {
        match self.host_json["functions"].as_array() {
            Some(allowed) => allowed.iter().any(|other| other == name),
            None => true,
        }
    }

    fn is_disabled(&self, name: &str) -> bool {
        self.setting(&format!("AzureWebJobs.{name}.Disabled"))
            .is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    fn index(&self, name: &str, file: &Path) -> Result<Function, String> {
        if !is_function_name(name) {
            return Err(
                "a function name is a letter, then up to 127 letters, digits, _ and -; not `host`"
                    .to_owned(),
            );
        }
        let text = std::fs::read_to_string(file)
            .map_err(|e| format!("function.json cannot be read: {e}"))?;
        let json: Value =
            serde_json::from_str(&text).map_err(|e| format!("function.json is not JSON: {e}"))?;
        let bindings = json["bindings"]
            .as_array()
            .ok_or("function.json has no bindings")?;
        for binding in bindings {
            let name = binding["name"].as_str().ok_or("a binding has no name")?;
            if !is_binding_name(name) {
                return Err(format!("the binding name `{name}` is invalid"));
            }
        }
        let triggers: Vec<&Value> = bindings
            .iter()
            .filter(|b| kind(b).ends_with("trigger"))
            .collect();
        let [trigger] = triggers[..] else {
            return Err(format!(
                "a function has exactly one trigger, not {}",
                triggers.len()
            ));
        };
        if let Some(script) = json["scriptFile"].as_str()
            && !file.with_file_name(script).is_file()
        {
            return Err(format!("scriptFile `{script}` does not exist"));
        }
        let trigger = match kind(trigger).as_str() {
            "httptrigger" => self.http(name, trigger, bindings)?,
            "timertrigger" => self.timer(trigger)?,
            other => return Err(format!("the double knows no trigger `{other}`")),
        };
        Ok(Function {
            name: name.to_owned(),
            trigger,
        })
    }

    fn http(&self, name: &str, trigger: &Value, bindings: &[Value]) -> Result<Trigger, String> {
        let route = trigger["route"]
            .as_str()
            .filter(|route| !route.is_empty())
            .unwrap_or(name);
        let lower = route.to_ascii_lowercase();
        if lower.starts_with("admin") || lower.starts_with("runtime") {
            return Err(format!(
                "the route `{route}` conflicts with one of the host's own"
            ));
        }
        let prefix = self
            .text("extensions:http:routePrefix")
            .unwrap_or("api".to_owned());
        let template = Template::parse(&format!("{prefix}/{route}"))?;
        let methods: Vec<String> = match &trigger["methods"] {
            Value::Null => Vec::new(),
            Value::Array(methods) => methods
                .iter()
                .map(|method| method.as_str().map(str::to_ascii_uppercase))
                .collect::<Option<_>>()
                .ok_or("methods are texts")?,
            _ => return Err("methods is an array".to_owned()),
        };
        let level = match trigger["authLevel"].as_str().unwrap_or("function") {
            level if level.eq_ignore_ascii_case("anonymous") => AuthLevel::Anonymous,
            level if level.eq_ignore_ascii_case("function") => AuthLevel::Function,
            level if level.eq_ignore_ascii_case("admin") => AuthLevel::Admin,
            other => return Err(format!("there is no authLevel `{other}`")),
        };
        if let Some(first) = self.functions.iter().find(|first| {
            let same = |t: &Template| t.text().eq_ignore_ascii_case(template.text());
            matches!(&first.trigger, Trigger::Http { template, methods: theirs, .. }
                if same(template) && methods_meet(&methods, theirs))
        }) {
            return Err(format!("the route conflicts with that of `{}`", first.name));
        }
        let outputs: Vec<&Value> = bindings
            .iter()
            .filter(|b| b["direction"] == "out")
            .collect();
        let output = outputs.iter().find(|b| kind(b) == "http");
        Ok(Trigger::Http {
            binding: trigger["name"].as_str().unwrap_or_default().to_owned(),
            output: output.and_then(|b| b["name"].as_str()).map(str::to_owned),
            template,
            methods,
            level,
            only_http: bindings.len() == 2 && outputs.len() == 1 && output.is_some(),
        })
    }

    fn timer(&self, trigger: &Value) -> Result<Trigger, String> {
        let schedule = trigger["schedule"]
            .as_str()
            .ok_or("a timer has a schedule")?;
        let resolved = self.resolve(schedule)?;
        let fields = resolved.split_whitespace().count();
        if !(fields == 5 || fields == 6 || parse_time_span(&resolved).flatten().is_some()) {
            return Err(format!(
                "the schedule `{resolved}` is neither a cron expression nor a time span"
            ));
        }
        if self.setting("AzureWebJobsStorage").is_none() {
            return Err("a timer needs the setting AzureWebJobsStorage".to_owned());
        }
        Ok(Trigger::Timer {
            binding: trigger["name"].as_str().unwrap_or_default().to_owned(),
            schedule: resolved,
        })
    }

    /// `%NAME%` from the app settings; a missing one keeps the function from being indexed.
    fn resolve(&self, text: &str) -> Result<String, String> {
        expand(text, |name| {
            self.setting(name)
                .map(str::to_owned)
                .ok_or_else(|| format!("`%{name}%` does not resolve to a value"))
        })
    }

    /// `%NAME%` in the executable and its arguments; an unset one vanishes.
    pub fn expand_or_drop(&self, text: &str) -> String {
        expand(text, |name| {
            Ok::<_, std::convert::Infallible>(self.setting(name).unwrap_or_default().to_owned())
        })
        .unwrap_or_else(|never| match never {})
    }

    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions
            .iter()
            .find(|function| function.name.eq_ignore_ascii_case(name))
    }

    /// A value of host.json by its path, `customHandler:description:arguments`; without regard to case.
    pub fn value(&self, path: &str) -> Option<&Value> {
        let mut value = &self.host_json;
        for key in path.split(':') {
            let object = value.as_object()?;
            (_, value) = object
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        }
        Some(value)
    }

    pub fn text(&self, path: &str) -> Option<String> {
        self.value(path)?.as_str().map(str::to_owned)
    }

    pub fn flag(&self, path: &str) -> bool {
        match self.value(path) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// A list of texts; an override may hold it as one text of JSON.
    pub fn list(&self, path: &str) -> Vec<String> {
        let list = match self.value(path) {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            Some(value) => value.clone(),
            None => Value::Null,
        };
        serde_json::from_value(list).unwrap_or_default()
    }

    /// `functionTimeout`: `None` for unlimited, 30 minutes when host.json does not say.
    pub fn function_timeout(&self) -> Result<Option<Duration>, String> {
        match self.text("functionTimeout") {
            None => Ok(Some(Duration::from_secs(30 * 60))),
            Some(text) => {
                parse_time_span(&text).ok_or(format!("functionTimeout `{text}` is not a time span"))
            }
        }
    }
}

/// Whether a request of some method belongs to both; no methods means all.
pub fn methods_meet(one: &[String], other: &[String]) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|method| other.contains(method))
}

pub fn is_function_name(name: &str) -> bool {
    starts_with_letter(name)
        && name.len() <= 128
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && !name.eq_ignore_ascii_case("host")
}

fn is_binding_name(name: &str) -> bool {
    name == "$return"
        || (starts_with_letter(name)
            && name.len() <= 128
            && name.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn starts_with_letter(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn kind(binding: &Value) -> String {
    binding["type"]
        .as_str()
        .unwrap_or_default()
        .to_ascii_lowercase()
}

/// `[d.]hh:mm:ss`; the inner `None` is `-1`, unlimited.
fn parse_time_span(text: &str) -> Option<Option<Duration>> {
    if text == "-1" {
        return Some(None);
    }
    let (days, clock) = match text.split_once('.') {
        Some((days, clock)) => (days.parse::<u64>().ok()?, clock),
        None => (0, text),
    };
    let parts: Vec<u64> = clock
        .split(':')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let [hours, minutes, seconds] = parts[..] else {
        return None;
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some(Some(Duration::from_secs(
        ((days * 24 + hours) * 60 + minutes) * 60 + seconds,
    )))
}

fn expand<E>(text: &str, value: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        let Some((name, after)) = after.split_once('%') else {
            break;
        };
        expanded.push_str(before);
        expanded.push_str(&value(name)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start
        .eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

fn set<'a>(target: &mut Value, mut path: impl Iterator<Item = &'a str>, value: &str) {
    let Some(key) = path.next() else {
        *target = Value::String(value.to_owned());
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let object = target.as_object_mut().expect("made an object just above");
    let key = object
        .keys()
        .find(|name| name.eq_ignore_ascii_case(key))
        .cloned()
        .unwrap_or_else(|| key.to_owned());
    set(object.entry(key).or_insert(Value::Null), path, value);
}
