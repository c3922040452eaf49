//! A wrong request and what it must be answered, tried in every way in which a request can arrive.

use serde_json::Value;
use tempfile::TempDir;

use crate::support::host::{Answer, Client, Host, Mode};

/// A wrong request and its answer.
#[derive(Clone, Debug)]
pub struct Fault {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    status: u16,
    code: &'static str,
    fields: Vec<&'static str>,
    allow: Option<&'static str>,
}

pub fn fault(method: &'static str, path: impl Into<String>) -> Fault {
    Fault {
        method,
        path: path.into(),
        headers: Vec::new(),
        body: None,
        status: 0,
        code: "",
        fields: Vec::new(),
        allow: None,
    }
}

impl Fault {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.body(body.to_string())
            .header("content-type", "application/json")
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub fn is(mut self, status: u16, code: &'static str) -> Self {
        self.status = status;
        self.code = code;
        self
    }

    /// 400 with exactly these fields in `errors`, in any order.
    pub fn names(mut self, fields: &[&'static str]) -> Self {
        self.fields = fields.to_vec();
        self.is(400, "invalid-request")
    }

    pub fn allows(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self.is(405, "method-not-allowed")
    }

    /// Sends the request and holds the answer against the contract.
    async fn try_at(&self, client: &Client, way: &str) {
        let mut request = client.request(self.method, &self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let answer = request.send().await;
        let what = format!(
            "{way}: {} {} was answered {} {}",
            self.method,
            self.path,
            answer.status,
            answer.text()
        );
        let path = self.path.split('?').next().unwrap_or_default();
        expect_problem(&answer, self.status, self.code, path, &what);
        let named: Vec<&str> = answer.body["errors"]
            .as_array()
            .map(|errors| {
                errors
                    .iter()
                    .filter_map(|error| error["field"].as_str())
                    .collect()
            })
            .unwrap_or_default();
        if !self.fields.is_empty() {
            let sorted = |mut fields: Vec<&str>| {
                fields.sort_unstable();
                fields.join(" ")
            };
            assert_eq!(sorted(named), sorted(self.fields.clone()), "{what}");
        }
        if let Some(allow) = self.allow {
            assert_eq!(answer.header("allow").as_deref(), Some(allow), "{what}");
        }
    }
}

/// Holds a problem against the contract.
pub fn expect_problem(answer: &Answer, status: u16, code: &str, instance: &str, what: &str) {
    assert_eq!(
        (answer.status, answer.body["code"].as_str()),
        (status, Some(code)),
        "{what}"
    );
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("application/problem+json"),
        "{what}"
    );
    assert!(
        answer
            .header("x-request-id")
            .is_some_and(|id| !id.is_empty()),
        "{what}"
    );
    assert_eq!(
        answer.body["type"],
        format!("urn:dbvc:problem:{code}"),
        "{what}"
    );
    assert_eq!(answer.body["status"], status, "{what}");
    for member in ["title", "detail"] {
        assert!(
            answer.body[member]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{what}"
        );
    }
    assert_eq!(answer.body["instance"], instance, "{what}");
}

/// A host with a dbvc of its own.
pub async fn host(mode: Mode) -> (Host, TempDir) {
    let data = tempfile::tempdir().unwrap();
    let host = Host::builder()
        .mode(mode)
        .data_dir(data.path())
        .start()
        .await;
    (host, data)
}

/// Tries faults by plain HTTP at dbvc itself.
pub async fn all_answered_directly(faults: &[Fault]) {
    let (host, _data) = host(Mode::Forwarding).await;
    for fault in faults {
        fault.try_at(host.direct(), "directly").await;
    }
    host.expect_silent_stderr();
}

/// Tries faults in every way: by plain HTTP, and through the host by each of its ways of calling a handler.
pub async fn all_answered(faults: &[Fault]) {
    all_answered_directly(faults).await;
    for mode in Mode::ALL {
        let (host, _data) = host(mode).await;
        for fault in faults {
            fault.try_at(host.client(), &format!("{mode:?}")).await;
        }
        host.expect_silent_stderr();
    }
}
