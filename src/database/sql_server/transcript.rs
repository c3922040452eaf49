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
use tracing::subscriber::{Interest, NoSubscriber};
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

/// Gets ready to listen; to be called before the driver says its first word. A place that logs decides once whom it tells,
/// and one that does so just while the listener comes could leave it out for ever.
pub(super) fn prepare() -> &'static Dispatch {
    static LISTENERS: OnceLock<(Dispatch, Dispatch)> = OnceLock::new();
    // For the whole process: a new subscriber has every place that logs asked anew. The second one hears nothing. It is there
    // because, as long as there is a single subscriber, only the one in force on the thread is asked, and that may be none.
    let (listener, _) = LISTENERS.get_or_init(|| {
        (
            Dispatch::new(Listener),
            Dispatch::new(NoSubscriber::default()),
        )
    });
    listener
}

/// Drives `reading` and gives its result with everything the server said meanwhile.
pub(super) async fn listen<T>(reading: impl Future<Output = T>) -> (T, Vec<Said>) {
    let listener = prepare().clone();
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
    use super::super::testing::{COUNTED, MORE, Reply, Tokens, client_of};
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

    /// Holds the lines of [`LINES`] to the version of the driver: another one would say nothing, or something else.
    #[tokio::test]
    async fn everything_a_server_says_is_heard_in_order() {
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
        let mut client = client_of(&[Reply::Say(said)]).await;
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
