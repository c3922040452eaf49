//! Whether the real binary serves at once, keeps quiet, and ends when it is told to.

// A Windows process is told to end in another way than by a signal.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

struct Serving {
    child: Child,
    port: u16,
    // Its files go when it goes.
    _folder: tempfile::TempDir,
}

impl Serving {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut child = Command::new(env!("CARGO_BIN_EXE_dbvc"))
            .args(arguments)
            .env_clear()
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string())
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert!(first.contains("dbvc serves"), "{first}");
        assert!(!first.contains('\u{1b}'), "colours: {first}");
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    /// Sends the signal; how the process ends and how long that takes.
    fn end(mut self, signal: &str) -> (ExitStatus, Duration) {
        let id = self.child.id().to_string();
        let told = Instant::now();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        let status = self.child.wait().unwrap();
        let took = told.elapsed();
        let mut errors = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        assert_eq!(errors, "");
        (status, took)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
    }
}

#[test]
fn it_serves_when_no_command_is_given() {
    for arguments in [&[][..], &["serve"]] {
        let dbvc = Serving::start(arguments);
        let mut connection = dbvc.connect();
        connection
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "HTTP/1.1 200 OK");
        let (status, _) = dbvc.end("-TERM");
        assert_eq!(status.code(), Some(0));
    }
}

#[test]
fn it_ends_with_0_on_either_signal() {
    for signal in ["-INT", "-TERM"] {
        let (status, _) = Serving::start(&[]).end(signal);
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[test]
fn a_connection_at_rest_does_not_delay_the_end() {
    let dbvc = Serving::start(&[]);
    let mut connection = dbvc.connect();
    connection
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    connection.read_exact(&mut [0; 15]).unwrap();
    let (status, took) = dbvc.end("-TERM");
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_request_that_never_ends_delays_the_end_only_briefly() {
    let dbvc = Serving::start(&[]);
    let mut connection = dbvc.connect();
    connection
        .write_all(
            b"POST /api/dbvc/migrations HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n",
        )
        .unwrap();
    // It says so when it waits for the body.
    let mut heard = [0; 25];
    connection.read_exact(&mut heard).unwrap();
    assert!(heard.starts_with(b"HTTP/1.1 100 Continue"));
    connection.write_all(b"{").unwrap();
    let (status, took) = dbvc.end("-TERM");
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
}
