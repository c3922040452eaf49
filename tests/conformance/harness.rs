//! Each test once on each engine: `sqlite::…` and `t_sql::…`, the latter ignored as long as no server is named.

use std::pin::Pin;
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Trial};

use crate::support::server::{self, Server};
use crate::support::stage::{Stage, runtime};

/// Trials on a server spend their time waiting for it.
const THREADS: usize = 6;

/// Longer than any test takes, also one of many scenes on a slow server.
const LIMIT: Duration = Duration::from_secs(45 * 60);

/// A test on a stage.
pub type Body = for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A test, and where it plays.
pub struct Test {
    /// Path and name, as the compiler knows them.
    pub name: &'static str,
    pub body: Body,
    /// Whether what it tests is there on SQLite.
    pub on_sqlite: bool,
}

/// The tests of a module, by their names.
macro_rules! on_each_engine {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::harness::test!(true, $name)),*]
    };
}

/// The tests of a module that only T-SQL can have.
macro_rules! on_t_sql {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::harness::test!(false, $name)),*]
    };
}

macro_rules! test {
    ($on_sqlite:literal, $name:ident) => {
        $crate::harness::Test {
            name: concat!(module_path!(), "::", stringify!($name)),
            body: |stage| Box::pin($name(stage)),
            on_sqlite: $on_sqlite,
        }
    };
}
pub(crate) use test;

/// Runs the tests as the command line asks.
pub fn run(tests: impl IntoIterator<Item = Vec<Test>>) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let mut trials = Vec::new();
    for test in tests.into_iter().flatten() {
        let name = test.name.trim_start_matches("conformance::");
        if test.on_sqlite {
            trials.push(Trial::test(format!("sqlite::{name}"), move || {
                play(Stage::sqlite(), test.body);
                Ok(())
            }));
        }
        trials.push(Trial::ignorable_test(format!("t_sql::{name}"), move || {
            if !Server::is_named() {
                return Ok(Completion::ignored_with(format!(
                    "{} is not set",
                    server::VARIABLE
                )));
            }
            play(Stage::t_sql(), test.body);
            Ok(Completion::Completed)
        }));
    }
    libtest_mimic::run(&arguments, trials).exit()
}

/// The runtime goes first, and with it the processes of the test; then the stage.
fn play(stage: Stage, body: Body) {
    runtime().block_on(async {
        let played = tokio::time::timeout(LIMIT, body(&stage)).await;
        assert!(played.is_ok(), "the test does not end within {LIMIT:?}");
    });
}
