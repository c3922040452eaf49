//! What a server says while a batch runs, besides its rows: every error, message and row count, in order.
//!
//! tiberius 0.13 gives the first error only. Later errors, PRINT and RAISERROR texts, and the row counts of language batches
//! appear in its `tracing` events and nowhere else. They are heard by a subscriber of dbvc's own that is in force only while
//! a batch is read: so they are kept whatever `DBVC_LOG` says, and never reach the log, since they hold data.
//!
//! An event is known by the line of tiberius' source on which it stands, which is why exactly one version of tiberius is
//! allowed. Rows are events as well; they are never asked for.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::dispatcher::Dispatch;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// Where tiberius says what the server sends.
const TARGET: &str = "tiberius::tds::stream::token";

/// What the events of tiberius 0.13.0 mean, by their lines in `src/tds/stream/token.rs`.
const LINES: [(u32, Kind); 7] = [
    (269, Kind::ResultSet),
    (330, Kind::Error),
    (354, Kind::Done),
    (360, Kind::Done),
    (366, Kind::Done),
    (398, Kind::Environment),
    (405, Kind::Message),
];

/// How tiberius names the ends of a transaction.
const ENDS: [(&str, Said); 3] = [
    ("Commit transaction", Said::Committed),
    ("Rollback transaction", Said::RolledBack),
    ("Defect transaction", Said::RolledBack),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    ResultSet,
    Error,
    Done,
    Environment,
    Message,
}

/// Something that the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// An error, with its number.
    Error { number: i64, message: String },
    /// The text of a PRINT or of a RAISERROR of low severity.
    Message(String),
    /// The columns of a result set: the count that follows is that of its rows.
    ResultSet,
    /// The end of a statement, with the number of rows if the server counted them.
    Done(Option<u64>),
    /// The outermost transaction was committed.
    Committed,
    /// The outermost transaction was rolled back.
    RolledBack,
}

type Sink = Arc<Mutex<Vec<Said>>>;

tokio::task_local! {
    static SINK: Sink;
}

/// Drives `reading` and gives its result with everything the server said meanwhile.
pub(super) async fn listen<T>(reading: impl Future<Output = T>) -> (T, Vec<Said>) {
    static LISTENER: OnceLock<Dispatch> = OnceLock::new();
    // One for the whole process: a new subscriber has every place that logs asked anew.
    let listener = LISTENER.get_or_init(|| Dispatch::new(Listener)).clone();
    let sink = Sink::default();
    let result = SINK
        .scope(Arc::clone(&sink), reading)
        .with_subscriber(listener)
        .await;
    let said = std::mem::take(&mut *sink.lock().unwrap_or_else(PoisonError::into_inner));
    (result, said)
}

/// Rows that the statements changed: the counts of statements without a result set.
pub(super) fn rows_affected(said: &[Said]) -> u64 {
    let mut in_result_set = false;
    let mut rows = 0;
    for item in said {
        match item {
            Said::ResultSet => in_result_set = true,
            Said::Done(count) => {
                if !in_result_set {
                    rows += count.unwrap_or(0);
                }
                in_result_set = false;
            }
            Said::Error { .. } | Said::Message(_) | Said::Committed | Said::RolledBack => {}
        }
    }
    rows
}

fn kind_of(metadata: &Metadata<'_>) -> Option<Kind> {
    if metadata.target() != TARGET || !metadata.is_event() {
        return None;
    }
    let line = metadata.line()?;
    LINES
        .iter()
        .find(|(known, _)| *known == line)
        .map(|(_, kind)| *kind)
}

/// Hears what is said while [`listen`] is in force.
struct Listener;

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if kind_of(metadata).is_some() {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        kind_of(metadata).is_some()
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(kind) = kind_of(event.metadata()) else {
            return;
        };
        let mut fields = Fields::default();
        if kind != Kind::ResultSet {
            event.record(&mut fields);
        }
        let said = match kind {
            Kind::ResultSet => Said::ResultSet,
            Kind::Error => Said::Error {
                number: fields.code.unwrap_or(0),
                message: fields.message,
            },
            Kind::Done => Said::Done(count_in(&fields.message)),
            Kind::Environment => {
                let known = ENDS.iter().find(|(words, _)| *words == fields.message);
                match known {
                    Some((_, said)) => said.clone(),
                    None => return,
                }
            }
            Kind::Message => Said::Message(fields.message),
        };
        // Outside a batch nobody listens.
        let _ = SINK.try_with(|sink| {
            sink.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(said);
        });
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    code: Option<i64>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "code" {
            self.code = i64::try_from(value).ok();
        }
    }
}

/// The number of rows in `Done with status … Count … (3 rows left)`; none when the server did not count.
fn count_in(done: &str) -> Option<u64> {
    let (status, rest) = done.rsplit_once(" (").unwrap_or((done, ""));
    if let Some(count) = rest
        .strip_suffix(" rows left)")
        .or_else(|| rest.strip_suffix(" row left)"))
    {
        return status
            .contains("Count")
            .then(|| count.parse().ok())
            .flatten();
    }
    done.contains("Count").then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_counts_are_read_from_the_words_of_the_driver() {
        for (words, count) in [
            ("Done with status BitFlags<DoneStatus>(0b0)", None),
            (
                "Done with status BitFlags<DoneStatus>(0b10001, More | Count)",
                Some(0),
            ),
            (
                "Done with status BitFlags<DoneStatus>(0b10000, Count) (1 row left)",
                Some(1),
            ),
            (
                "Done with status BitFlags<DoneStatus>(0b10000, Count) (3 rows left)",
                Some(3),
            ),
            // The server sends a number that it did not count.
            (
                "Done with status BitFlags<DoneStatus>(0b1, More) (3 rows left)",
                None,
            ),
        ] {
            assert_eq!(count_in(words), count, "{words}");
        }
    }

    #[test]
    fn rows_of_a_result_set_are_not_changed_rows() {
        let said = [
            Said::Done(Some(2)),
            Said::ResultSet,
            Said::Done(Some(100)),
            Said::Done(None),
            Said::Done(Some(1)),
        ];
        assert_eq!(rows_affected(&said), 3);
    }

    /// The tokens of an answer, as a server writes them (MS-TDS 2.2.7).
    #[derive(Default)]
    struct Tokens(Vec<u8>);

    impl Tokens {
        fn sized(mut self, token: u8, content: &[u8]) -> Self {
            self.0.push(token);
            self.0
                .extend(u16::try_from(content.len()).unwrap().to_le_bytes());
            self.0.extend(content);
            self
        }

        fn login_ack(self) -> Self {
            let mut content = vec![1, 0x74, 0, 0, 4, 0];
            content.extend([15, 0, 0, 0]);
            self.sized(0xad, &content)
        }

        fn words(self, token: u8, number: i32, class: u8, words: &str) -> Self {
            let utf16: Vec<u8> = words.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let mut content = number.to_le_bytes().to_vec();
            content.extend([1, class]);
            content.extend(u16::try_from(words.len()).unwrap().to_le_bytes());
            content.extend(utf16);
            // No names of a server and a procedure; line 1.
            content.extend([0, 0, 1, 0, 0, 0]);
            self.sized(token, &content)
        }

        fn error(self, number: i32, words: &str) -> Self {
            self.words(0xaa, number, 16, words)
        }

        fn message(self, words: &str) -> Self {
            self.words(0xab, 0, 0, words)
        }

        fn committed(self) -> Self {
            self.sized(0xe3, &[9, 0, 8, 1, 0, 0, 0, 0, 0, 0, 0])
        }

        fn one_row(mut self) -> Self {
            // One column of type INT, called a; a row with 7 in it.
            self.0
                .extend([0x81, 1, 0, 0, 0, 0, 0, 0, 0, 0x38, 1, b'a', 0]);
            self.0.extend([0xd1, 7, 0, 0, 0]);
            self
        }

        fn done(mut self, status: u16, rows: u64) -> Self {
            self.0.push(0xfd);
            self.0.extend(status.to_le_bytes());
            self.0.extend([0, 0]);
            self.0.extend(rows.to_le_bytes());
            self
        }
    }

    async fn read_message(line: &mut tokio::io::DuplexStream) {
        use tokio::io::AsyncReadExt as _;
        loop {
            let mut header = [0; 8];
            line.read_exact(&mut header).await.unwrap();
            let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let mut rest = vec![0; length - header.len()];
            line.read_exact(&mut rest).await.unwrap();
            if header[1] & 1 == 1 {
                return;
            }
        }
    }

    async fn answer(line: &mut tokio::io::DuplexStream, content: &[u8]) {
        use tokio::io::AsyncWriteExt as _;
        read_message(line).await;
        let length = u16::try_from(content.len() + 8).unwrap().to_be_bytes();
        let mut packet = vec![4, 1, length[0], length[1], 0, 0, 1, 0];
        packet.extend(content);
        line.write_all(&packet).await.unwrap();
    }

    /// Holds the lines of [`LINES`] to the version of the driver: another one would say nothing, or something else.
    #[tokio::test]
    async fn everything_a_server_says_is_heard_in_order() {
        use tokio_util::compat::TokioAsyncReadCompatExt as _;
        const COUNTED: u16 = 0x10;
        const MORE: u16 = 0x01;
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let server = async {
            // The driver's first message is answered with a version and no encryption.
            let version = [0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff];
            let options = [15, 0, 0, 0, 0, 0, 2];
            answer(&mut far, &[&version[..], &options[..]].concat()).await;
            answer(&mut far, &Tokens::default().login_ack().done(0, 0).0).await;
            let said = Tokens::default()
                .message("hello")
                .one_row()
                .done(COUNTED | MORE, 1)
                .done(COUNTED | MORE, 3)
                .error(50_001, "first")
                .message("Commit transaction")
                .error(50_002, "second")
                .committed()
                .done(0, 0);
            answer(&mut far, &said.0).await;
        };
        let client = async {
            let mut config = tiberius::Config::new();
            config.encryption(tiberius::EncryptionLevel::NotSupported);
            config.authentication(tiberius::AuthMethod::sql_server("me", "secret"));
            let mut client = tiberius::Client::connect(config, near.compat())
                .await
                .unwrap();
            let (read, said) = listen(async {
                let mut stream = client.simple_query("SELECT 7 AS a").await?;
                while futures_util::TryStreamExt::try_next(&mut stream)
                    .await?
                    .is_some()
                {}
                Ok::<(), tiberius::error::Error>(())
            })
            .await;
            assert_eq!(read.unwrap_err().code(), Some(50_001));
            said
        };
        let ((), said) = tokio::join!(server, client);
        let error = |number, message: &str| Said::Error {
            number,
            message: message.to_owned(),
        };
        assert_eq!(
            said,
            [
                Said::Message("hello".to_owned()),
                Said::ResultSet,
                Said::Done(Some(1)),
                Said::Done(Some(3)),
                error(50_001, "first"),
                Said::Message("Commit transaction".to_owned()),
                error(50_002, "second"),
                Said::Committed,
                Said::Done(None),
            ]
        );
    }

    #[tokio::test]
    async fn nothing_but_the_driver_is_heard() {
        let ((), said) = listen(async {
            tracing::error!("something else");
        })
        .await;
        assert!(said.is_empty());
    }
}
