//! A line between dbvc and a T-SQL server that can be cut at a chosen message, and that counts what is sent over it.
//!
//! It reads the client's messages (MS-TDS 2.2.3.1: a header of eight bytes, type first, then a status whose lowest bit ends a
//! message, then the length of the packet), so it works on lines that are not encrypted after the login.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A language batch.
pub const BATCH: u8 = 0x01;
/// A call with parameters.
pub const CALL: u8 = 0x03;
/// Beginning, committing or rolling back a transaction by the protocol.
pub const TRANSACTION: u8 = 0x0e;

/// How a line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server sees nothing of the message.
    Before,
    /// The server sees its first half.
    Within,
    /// The server sees the message and works on it; its answer is lost.
    BeforeAnswer,
}

/// Where a line is cut: at the next message of this type after one that holds these words, on the same line. With the same
/// type and no message between, the one that holds the words is meant.
#[derive(Debug, Clone)]
pub struct Place {
    /// Words of a message.
    pub words: &'static str,
    /// Type of the message at which the line is cut.
    pub at: u8,
    /// How.
    pub how: Cut,
    /// Whether nobody gets through afterwards, until [`Proxy::mend`].
    pub for_good: bool,
}

#[derive(Default)]
struct State {
    place: Mutex<Option<Place>>,
    is_cut: AtomicBool,
    is_closed: AtomicBool,
    cut: Notify,
    /// What clients sent after they logged in, in order.
    sent: Mutex<Vec<Sent>>,
    connections: AtomicUsize,
}

/// A message of a client.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Number of its connection.
    pub connection: usize,
    /// Its type.
    pub kind: u8,
    /// What of it is text.
    pub text: String,
}

/// The line.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    /// Listens on a port of its own for a server at `target`.
    pub async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.is_closed.load(Ordering::SeqCst) {
                    continue;
                }
                let number = shared.connections.fetch_add(1, Ordering::SeqCst);
                if let Ok(server) = TcpStream::connect(&target).await {
                    connect(number, client, server, Arc::clone(&shared));
                }
            }
        });
        Self { address, state }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts the line once, there.
    pub fn cut_at(&self, place: Place) {
        *self.state.place.lock().expect("nobody panicked") = Some(place);
    }

    /// Whether the line was cut.
    pub fn was_cut(&self) -> bool {
        self.state.is_cut.load(Ordering::SeqCst)
    }

    /// Waits until the line is cut.
    pub async fn cut(&self) {
        loop {
            let notified = self.state.cut.notified();
            if self.was_cut() {
                return;
            }
            notified.await;
        }
    }

    /// Lets new connections through again.
    pub fn mend(&self) {
        self.state.is_closed.store(false, Ordering::SeqCst);
    }

    /// Forgets the messages so far.
    pub fn count_anew(&self) {
        self.state.sent.lock().expect("nobody panicked").clear();
    }

    /// The messages since, over all connections.
    pub fn sent(&self) -> Vec<Sent> {
        self.state.sent.lock().expect("nobody panicked").clone()
    }
}

fn connect(number: usize, client: TcpStream, server: TcpStream, state: Arc<State>) {
    // What was lost must show at once.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    let answers_are_lost = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(Notify::new());
    let (lost, told) = (Arc::clone(&answers_are_lost), Arc::clone(&answered));
    let back = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match from_server.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) if lost.load(Ordering::SeqCst) => {
                    told.notify_one();
                    break;
                }
                Ok(length) => {
                    if to_client.write_all(&buffer[..length]).await.is_err() {
                        break;
                    }
                }
            }
        }
    });
    tokio::spawn(async move {
        let line = Line {
            number,
            from_client,
            to_server,
            state,
            answers_are_lost,
            answered,
        };
        line.carry().await;
        back.abort();
    });
}

/// The client's side of a connection.
struct Line {
    number: usize,
    from_client: OwnedReadHalf,
    to_server: OwnedWriteHalf,
    state: Arc<State>,
    answers_are_lost: Arc<AtomicBool>,
    answered: Arc<Notify>,
}

impl Line {
    async fn carry(mut self) {
        // Whether the words of the place were seen on this line.
        let mut is_armed = false;
        while let Some((kind, message)) = self.message().await {
            let counts = matches!(kind, BATCH | CALL | TRANSACTION);
            if counts {
                let sent = Sent {
                    connection: self.number,
                    kind,
                    text: text_of(&message),
                };
                self.state.sent.lock().expect("nobody panicked").push(sent);
            }
            let place = self.state.place.lock().expect("nobody panicked").clone();
            if let Some(place) = place {
                is_armed |= counts && text_of(&message).contains(place.words);
                if is_armed && kind == place.at {
                    self.cut(&place, &message).await;
                    return;
                }
            }
            if self.to_server.write_all(&message).await.is_err() {
                return;
            }
        }
    }

    async fn cut(&mut self, place: &Place, message: &[u8]) {
        *self.state.place.lock().expect("nobody panicked") = None;
        self.state.is_closed.store(place.for_good, Ordering::SeqCst);
        match place.how {
            Cut::Before => {}
            Cut::Within => {
                let _ = self
                    .to_server
                    .write_all(&message[..message.len() / 2])
                    .await;
            }
            Cut::BeforeAnswer => {
                self.answers_are_lost.store(true, Ordering::SeqCst);
                let _ = self.to_server.write_all(message).await;
                self.answered.notified().await;
            }
        }
        self.state.is_cut.store(true, Ordering::SeqCst);
        self.state.cut.notify_waiters();
    }

    /// The next message of the client, all its packets. What is no message of the protocol (the TLS of a login) is carried
    /// as it comes.
    async fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut message = Vec::new();
        loop {
            let begin = message.len();
            message.resize(begin + 8, 0);
            self.from_client
                .read_exact(&mut message[begin..])
                .await
                .ok()?;
            let (kind, is_last) = (message[begin], message[begin + 1] & 1 == 1);
            // A record of TLS: its version is where a packet has its status.
            let is_tls = matches!(kind, 0x14..=0x17) && message[begin + 1] == 3;
            let length = if is_tls {
                5 + usize::from(u16::from_be_bytes([message[begin + 3], message[begin + 4]]))
            } else {
                usize::from(u16::from_be_bytes([message[begin + 2], message[begin + 3]]))
            };
            message.resize(begin + length.max(8), 0);
            self.from_client
                .read_exact(&mut message[begin + 8..])
                .await
                .ok()?;
            if is_tls || is_last {
                return Some((kind, message));
            }
        }
    }
}

/// The ASCII of a message's UTF-16, in which the protocol writes text; headers of packets are jumped over.
fn text_of(message: &[u8]) -> String {
    let mut content = Vec::new();
    let mut rest = message;
    while let [_, _, high, low, ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).clamp(8, rest.len());
        content.extend(&rest[8.min(length)..length]);
        rest = &rest[length..];
    }
    // Text may begin at an odd place.
    let read = |bytes: &[u8]| -> String {
        bytes
            .chunks_exact(2)
            .filter(|pair| pair[1] == 0 && pair[0].is_ascii() && pair[0] != 0)
            .map(|pair| char::from(pair[0]))
            .collect()
    };
    read(&content) + &read(content.get(1..).unwrap_or_default())
}
