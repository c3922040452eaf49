//! Requests that no honest client sends: each is answered or its connection closed, and the next one is served.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fault::host;
use crate::support::host::{Host, Mode};

/// Sends bytes as they are; the status of the answer, if there is one.
async fn send_raw(host: &Host, bytes: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(host.direct().address()).await.unwrap();
    // A server that has seen enough may close before everything is written.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(
        read.is_ok(),
        "no end to the answer to {:?}",
        String::from_utf8_lossy(&bytes[..bytes.len().min(200)])
    );
    let line = String::from_utf8_lossy(&answer);
    line.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
}

async fn all_survived(requests: &[Vec<u8>]) {
    let (host, _data) = host(Mode::Forwarding).await;
    for request in requests {
        let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
        if let Some(status) = send_raw(&host, request).await {
            assert!(
                (200..500).contains(&status) && status != 500,
                "{status} to {shown:?}"
            );
        }
    }
    host.direct().get("/").await.expect_status(200);
    assert_eq!(host.starts(), 1);
    host.expect_silent_stderr();
}

#[tokio::test]
async fn hostile_paths_are_survived() {
    let paths = [
        "/api/dbvc/../../etc/passwd",
        "/api/dbvc/databases/..%2F..%2Fetc%2Fpasswd",
        "/api/dbvc/databases/%00",
        "/api/dbvc/databases/%FF%FE",
        "/api/dbvc/databases/%",
        "/api/dbvc/databases/%zz",
        "/api/dbvc/databases/a'%3BDROP%20TABLE%20x--",
        "/api/dbvc/databases/a/migrations/%0d%0aset-cookie:x",
        "/api/dbvc/databases/a/migrations/%3Cscript%3E",
        "/api/dbvc/runs/%E2%80%AE",
        "//api/dbvc/runs",
        "/api/dbvc/runs?%FF=%FF&&&=&a&=b",
        "/api/dbvc/runs?limit=99999999999999999999999",
        "/api/dbvc/history?databaseId=a&continuation=%00%00",
        "/api/dbvc/history?databaseId=a&since=9999999-01-01T00:00:00Z",
        "http://other.example/api/dbvc/runs?limit=0",
        "*",
        "api/dbvc/runs",
    ];
    let mut requests: Vec<Vec<u8>> = ["GET", "POST", "DELETE", "OPTIONS", "CONNECT", "X-ODD"]
        .iter()
        .flat_map(|method| {
            paths.iter().map(move |path| {
                format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                    .into_bytes()
            })
        })
        .collect();
    let long = "a".repeat(60_000);
    requests.push(
        format!("GET /api/dbvc/runs/{long} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .into_bytes(),
    );
    requests.push(
        format!("GET /api/dbvc/runs?limit={long} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .into_bytes(),
    );
    all_survived(&requests).await;
}

#[tokio::test]
async fn hostile_headers_are_survived() {
    let headers = [
        "accept: ;;;q=,,,/*;q=2",
        "accept: \u{e9}/\u{e9}",
        "accept: */*;q=0.0001",
        "content-type: ;charset=\"",
        "content-type: application/json;charset",
        "prefer: ,,;=;respond-async=;",
        "x-azure-functions-invocationid: \u{1}\u{2}",
        "x-azure-functions-invocationid: a b c",
        "x-ms-client-principal-name: admin",
        "content-length: -1",
        "content-length: 99999999999999999999999999",
        "content-length: 5\r\ncontent-length: 6",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "transfer-encoding: gzip, chunked",
        "expect: 100-continue",
        "upgrade: h2c\r\nconnection: upgrade",
        "no colon here",
        " folded: x",
    ];
    let mut requests: Vec<Vec<u8>> = headers
        .iter()
        .map(|header| {
            format!("POST /api/dbvc/migrations/run HTTP/1.1\r\nhost: x\r\n{header}\r\n\r\n{{}}")
                .into_bytes()
        })
        .collect();
    let many: String = (0..500).map(|n| format!("x-{n}: y\r\n")).collect();
    requests.push(format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n").into_bytes());
    requests.push(
        format!(
            "GET / HTTP/1.1\r\nhost: x\r\naccept: {}\r\nconnection: close\r\n\r\n",
            "a/b,".repeat(20_000)
        )
        .into_bytes(),
    );
    requests.push(b"GET / HTTP/1.0\r\n\r\n".to_vec());
    requests.push(b"GET /\r\n".to_vec());
    requests.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec());
    requests.push(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
    requests.push(vec![0; 10_000]);
    requests.push(b"POST /api/dbvc/migrations HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_vec());
    requests.push(b"POST /api/dbvc/migrations HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec());
    requests.push(
        b"POST /api/dbvc/migrations HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{".to_vec(),
    );
    all_survived(&requests).await;
}
