//! How fast a script of 1 to 64 MB is split, and judged, beside a floor of the same run: one pass that counts its line
//! ends. Linear time shows in speeds that do not fall with the size.
//!
//! `cargo bench --bench split_speed`

use std::hint::black_box;
use std::time::{Duration, Instant};

use dbvc::script::{
    Batch, Split, Syntax, is_single_statement, needs_no_transaction, own_transaction_end,
    references, session_changes, split,
};

const SYNTAX: Syntax = Syntax::TransactSql;

/// How often each is timed, after one round that does not count.
const ROUNDS: usize = 7;

const MEGABYTE: usize = 1_000_000;

/// What scripts of generators and people are made of.
const PIECE: &str = "/* table; /* nested\r\n   GO\r\n*/ end */\r\n\
    IF OBJECT_ID(N'[dbo].[t]') IS NOT NULL\r\n    DROP TABLE [dbo].[t]\r\n\
    GO\t\t\r\n\
    CREATE TABLE [dbo].[t] ([id] INT IDENTITY(1, 1) NOT NULL PRIMARY KEY, [a]]b] NVARCHAR(40) DEFAULT ((0)))\r\n\
    go -- made\r\n\
    INSERT INTO [dbo].[t] ([a]]b]) VALUES (N'it''s\r\nGO\r\n-- no comment'), (N'Ångström; $(x) $'), (N'long enough to be a \
    value that somebody wrote'), (CASE WHEN 1 = 1 THEN N'a' ELSE N'b' END);\r\n\
    GO 2\r\n\
    CREATE OR ALTER PROCEDURE [dbo].[p] @x INT = 5 AS\r\nBEGIN\r\n    SET NOCOUNT ON; -- it's quiet\r\n    \
    SELECT \"a\", @x * 2 AS [b] FROM [dbo].[t] WHERE [id] > @x AND [a]]b] LIKE N'%[0-9]%';\r\nEND\r\n\
    GO\r\n\
    BEGIN TRAN; UPDATE t SET a = 1 WHERE id IN (SELECT id FROM u); SAVE TRAN s; COMMIT\r\nGO\n";

fn script(megabytes: usize) -> String {
    PIECE.repeat(megabytes * MEGABYTE / PIECE.len() + 1)
}

fn split_it(text: &str) -> Split<'_> {
    split(text, SYNTAX).expect("the pieces are whole")
}

/// Everything that a run asks about a script.
fn judge(text: &str, batches: &[Batch<'_>]) -> usize {
    let end = own_transaction_end(batches, SYNTAX);
    let told = batches.iter().filter(|batch| {
        let without = needs_no_transaction(batch.text, SYNTAX).is_some();
        let single = is_single_statement(batch.text, SYNTAX);
        without | single | session_changes(batch.text).options
    });
    told.count() + references(text, SYNTAX).count() + usize::from(end.is_some())
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begun = Instant::now();
    black_box(work());
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The times of the floor, of splitting and of judging.
fn measure(text: &str) -> [Duration; 3] {
    let mut times = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        let text = black_box(text);
        let floor = timed(|| text.bytes().filter(|&byte| byte == b'\n').count());
        let splitting = timed(|| split_it(text));
        let split = split_it(text);
        let judging = timed(|| judge(text, &split.batches));
        if round > 0 {
            for (times, time) in times.iter_mut().zip([floor, splitting, judging]) {
                times.push(time);
            }
        }
    }
    times.map(median)
}

/// How much longer a byte takes in the slowest script than in the fastest.
fn spread(times_per_byte: &[f64]) -> f64 {
    let slowest = times_per_byte.iter().copied().fold(f64::MIN, f64::max);
    let fastest = times_per_byte.iter().copied().fold(f64::MAX, f64::min);
    slowest / fastest
}

fn main() {
    let (mut splittings, mut judgings) = (Vec::new(), Vec::new());
    for megabytes in [1, 2, 4, 8, 16, 32, 64] {
        let text = script(megabytes);
        let [floor, splitting, judging] = measure(&text).map(|time| time.as_secs_f64());
        let size = text.len() as f64 / MEGABYTE as f64;
        println!(
            "{megabytes:>2} MB, {} batches: floor {:.0} MB/s; split {:.0} MB/s, {:.1} x the floor; judge {:.0} MB/s, {:.1} x",
            split_it(&text).batches.len(),
            size / floor,
            size / splitting,
            splitting / floor,
            size / judging,
            judging / floor,
        );
        splittings.push(splitting / size);
        judgings.push(judging / size);
    }
    println!(
        "time a byte, slowest size to fastest: splitting {:.2}, judging {:.2}",
        spread(&splittings),
        spread(&judgings)
    );
}
