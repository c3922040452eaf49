//! Whether host.json, the function folders and the package agree with the HTTP contract.

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::host::app::{is_function_name, methods_meet};
use support::host::{App, AuthLevel, Trigger};

/// Method and route of every HTTP function, and the key it asks for.
const HTTP: [(&str, &[&str], &str, AuthLevel); 15] = {
    use AuthLevel::{Anonymous, Function};
    [
        ("dbvc", &["GET"], "dbvc", Function),
        (
            "dbvc-databases",
            &["GET"],
            "dbvc/databases/{databaseId?}",
            Function,
        ),
        (
            "dbvc-databases-put",
            &["PUT"],
            "dbvc/databases/{databaseId}",
            Function,
        ),
        ("dbvc-drift", &["GET"], "dbvc/drift", Function),
        ("dbvc-health", &["GET"], "dbvc/health", Anonymous),
        ("dbvc-history", &["GET"], "dbvc/history", Function),
        (
            "dbvc-integrity-verify",
            &["POST"],
            "dbvc/integrity/verify",
            Function,
        ),
        (
            "dbvc-migration",
            &["GET", "DELETE"],
            "dbvc/databases/{databaseId}/migrations/{migrationId}",
            Function,
        ),
        (
            "dbvc-migrations-create",
            &["POST"],
            "dbvc/migrations",
            Function,
        ),
        (
            "dbvc-migrations-rollback",
            &["POST"],
            "dbvc/migrations/rollback",
            Function,
        ),
        (
            "dbvc-migrations-run",
            &["POST"],
            "dbvc/migrations/run",
            Function,
        ),
        (
            "dbvc-migrations-status",
            &["GET"],
            "dbvc/migrations/status",
            Function,
        ),
        ("dbvc-runs", &["GET"], "dbvc/runs/{runId?}", Function),
        (
            "dbvc-runs-cancel",
            &["POST"],
            "dbvc/runs/{runId}/cancel",
            Function,
        ),
        (
            "dbvc-snapshots",
            &["POST", "GET"],
            "dbvc/snapshots",
            Function,
        ),
    ]
};

/// The setting that holds the schedule of every timer function.
const TIMERS: [(&str, &str); 2] = [
    ("dbvc-drift-timer", "DBVC_DRIFT_SCHEDULE"),
    ("dbvc-runs-timer", "DBVC_RUNS_SCHEDULE"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn json_of(path: impl AsRef<Path>) -> Value {
    let path = root().join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every folder, under the root, that holds a function.json.
fn function_folders() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root()).expect("the root can be read");
    let folders = entries.map(|entry| entry.expect("an entry can be read").path());
    let folders = folders.filter(|folder| folder.join("function.json").is_file());
    folders
        .map(|folder| {
            folder
                .file_name()
                .expect("a folder has a name")
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

/// The app as the host indexes it with the settings of local.settings.json.example.
fn app() -> App {
    let values = json_of("local.settings.json.example")["Values"].clone();
    let settings = serde_json::from_value(values).expect("Values hold texts");
    App::read(root(), &settings).expect("the app root is valid")
}

#[test]
fn every_function_of_the_contract_has_a_folder_and_no_other_has_one() {
    let names = HTTP
        .iter()
        .map(|row| row.0)
        .chain(TIMERS.iter().map(|row| row.0));
    let contract: BTreeSet<String> = names.map(str::to_owned).collect();
    assert_eq!(function_folders(), contract);
}

#[test]
fn the_host_indexes_every_function() {
    let app = app();
    assert!(app.errors.is_empty(), "{:?}", app.errors);
    assert_eq!(app.functions.len(), HTTP.len() + TIMERS.len());
}

#[test]
fn every_name_is_valid_and_carries_the_prefix() {
    for name in function_folders() {
        assert!(is_function_name(&name), "{name}");
        assert!(name == "dbvc" || name.starts_with("dbvc-"), "{name}");
    }
}

#[test]
fn methods_route_and_key_are_those_of_the_contract() {
    let app = app();
    for (name, methods, route, level) in HTTP {
        let function = app
            .function(name)
            .unwrap_or_else(|| panic!("{name} is not indexed"));
        let Trigger::Http {
            template,
            methods: found,
            level: found_level,
            only_http,
            ..
        } = &function.trigger
        else {
            panic!("{name} is an HTTP function");
        };
        assert_eq!(template.text(), format!("api/{route}"), "{name}");
        assert_eq!(found, methods, "{name}");
        assert_eq!(*found_level, level, "{name}");
        assert!(only_http, "{name} would not be forwarded");
    }
}

#[test]
fn http_functions_hold_a_trigger_and_an_output_and_nothing_else() {
    for (name, methods, route, level) in HTTP {
        let level = match level {
            AuthLevel::Anonymous => "anonymous",
            AuthLevel::Function => "function",
            AuthLevel::Admin => "admin",
        };
        let methods: Vec<_> = methods.iter().map(|method| method.to_lowercase()).collect();
        let expected = json!({ "bindings": [
            {
                "type": "httpTrigger", "direction": "in", "name": "req",
                "authLevel": level, "methods": methods, "route": route,
            },
            { "type": "http", "direction": "out", "name": "res" },
        ]});
        assert_eq!(json_of(format!("{name}/function.json")), expected, "{name}");
    }
}

#[test]
fn timers_take_their_schedule_from_a_setting_that_the_example_holds() {
    let values = json_of("local.settings.json.example")["Values"].clone();
    for (name, setting) in TIMERS {
        let expected = json!({ "bindings": [{
            "type": "timerTrigger", "direction": "in", "name": "timer",
            "schedule": format!("%{setting}%"), "runOnStartup": false, "useMonitor": true,
        }]});
        assert_eq!(json_of(format!("{name}/function.json")), expected, "{name}");
        let schedule = values[setting]
            .as_str()
            .unwrap_or_else(|| panic!("no {setting} in the example"));
        assert_eq!(
            schedule.split(' ').count(),
            6,
            "{setting} begins with the seconds"
        );
    }
}

#[test]
fn no_two_routes_overlap_for_the_same_method() {
    let app = app();
    for (index, first) in app.functions.iter().enumerate() {
        for second in &app.functions[index + 1..] {
            let (
                Trigger::Http {
                    template, methods, ..
                },
                Trigger::Http {
                    template: other,
                    methods: others,
                    ..
                },
            ) = (&first.trigger, &second.trigger)
            else {
                continue;
            };
            assert!(
                !(methods_meet(methods, others) && template.overlaps(other)),
                "{} and {} both take some path: the first by name would win",
                first.name,
                second.name
            );
        }
    }
}

#[test]
fn host_json_starts_the_packaged_binary_and_forwards() {
    let host = json_of("host.json");
    assert_eq!(host["version"], "2.0");
    let description = &host["customHandler"]["description"];
    assert_eq!(description["defaultExecutablePath"], "bin/dbvc");
    assert_eq!(description["arguments"], json!(["serve"]));
    assert_eq!(host["customHandler"]["enableForwardingHttpRequest"], true);
    // A prefix keeps callers away from the paths at which timers arrive.
    assert_eq!(host["extensions"]["http"]["routePrefix"], "api");
    // A bundle would be downloaded at the start; the bindings used here are built into the host.
    assert!(host.get("extensionBundle").is_none());
    // Bounded, so that a hanging call ends some day; long enough for everything that a timer does in one tick.
    assert_eq!(host["functionTimeout"], "00:30:00");
}

#[test]
fn what_the_handler_writes_is_logged() {
    let levels = &json_of("host.json")["logging"]["logLevel"];
    assert_eq!(levels["Host.Function.Console"], "Information");
}

#[test]
fn the_example_of_local_settings_runs_the_release_build_under_core_tools() {
    let values = &json_of("local.settings.json.example")["Values"];
    let executable = "AzureFunctionsJobHost__customHandler__description__defaultExecutablePath";
    assert_eq!(values["FUNCTIONS_WORKER_RUNTIME"], "custom");
    assert_eq!(values["AzureWebJobsStorage"], "UseDevelopmentStorage=true");
    assert_eq!(values[executable], "target/release/dbvc");
    assert_eq!(values["DBVC_ENVIRONMENT"], "dev");
    let app = app();
    let text = app.text("customHandler:description:defaultExecutablePath");
    assert_eq!(text.as_deref(), Some("target/release/dbvc"));
}

#[test]
fn the_package_holds_the_binary_host_json_and_the_functions() {
    let ignore =
        std::fs::read_to_string(root().join(".funcignore")).expect(".funcignore can be read");
    let mut packed = vec!["host.json".to_owned(), "bin/dbvc".to_owned()];
    packed.extend(
        function_folders()
            .iter()
            .map(|name| format!("{name}/function.json")),
    );
    for path in packed {
        assert!(
            is_packed(&ignore, &path),
            "{path} is missing from the package"
        );
    }

    let entries = std::fs::read_dir(root()).expect("the root can be read");
    let entries: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    for entry in entries
        .iter()
        .filter(|entry| !entry.join("function.json").is_file())
    {
        let name = entry
            .file_name()
            .expect("an entry has a name")
            .to_string_lossy();
        if name == "host.json" || name == "bin" {
            continue;
        }
        assert!(!is_packed(&ignore, &name), "{name} is in the package");
        let inside = format!("{name}/inside");
        assert!(
            !entry.is_dir() || !is_packed(&ignore, &inside),
            "{inside} is in the package"
        );
    }
}

/// As Core Tools judges a file: a pattern is a prefix that ends where a word does, `*` is anything without a slash, and
/// any line with `!` beats every line without.
fn is_packed(ignore: &str, path: &str) -> bool {
    let lines = ignore
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (kept, dropped): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with('!'));
    let matches = |pattern: &&str| {
        let pattern = pattern.trim_start_matches('!').trim_start_matches('/');
        starts_with(pattern.as_bytes(), path.as_bytes(), None)
    };
    kept.iter().any(matches) || !dropped.iter().any(matches)
}

fn starts_with(pattern: &[u8], path: &[u8], before: Option<u8>) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    match (pattern, path) {
        ([], path) => is_word(before.as_ref()) != is_word(path.first()),
        ([b'*', after @ ..], path) => {
            let longest = path.iter().take_while(|byte| **byte != b'/').count();
            (1..=longest)
                .any(|length| starts_with(after, &path[length..], path.get(length - 1).copied()))
        }
        ([one, pattern @ ..], [other, path @ ..]) => {
            one == other && starts_with(pattern, path, Some(*one))
        }
        (_, []) => false,
    }
}

#[test]
fn the_folder_of_the_embedded_databases_is_kept_but_not_what_is_in_it() {
    let ignore =
        std::fs::read_to_string(root().join(".dbvc/.gitignore")).expect("the folder is in git");
    let lines: Vec<_> = ignore
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(lines, ["*", "!.gitignore"]);
}
