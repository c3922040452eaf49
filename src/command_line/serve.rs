//! `dbvc serve`: the custom handler that the Functions host starts.

use std::io::{self, IsTerminal};
use std::panic;
use std::process::ExitCode;

use tokio::runtime;
use tracing_subscriber::EnvFilter;

use crate::engine::Engine;
use crate::functions::{App, listen};
use crate::settings::{Settings, SettingsError};

use super::{engine_options, without_data};

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(
        "cannot listen on 127.0.0.1:{port}: {source}; end the process that does, or choose another port by FUNCTIONS_CUSTOMHANDLER_PORT"
    )]
    Listen { port: u16, source: io::Error },
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

/// Exits with 0 only when told to end; the host treats any other exit as a defect and restarts the process. Every failed start, wrong
/// settings included, exits with 1: the host makes no difference.
pub(super) fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dbvc: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), ServeError> {
    let settings = Settings::read(std::env::vars_os())?;
    let options = engine_options(&settings);
    let Settings {
        in_azure,
        log,
        port,
        ..
    } = settings;
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let end = end_signal()?;
        let listener = listen(port)
            .await
            .map_err(|source| ServeError::Listen { port, source })?;
        // Only now: whatever stops the start is one line on stderr and nothing else.
        log_to_stdout(log);
        tracing::info!(
            port,
            environment = options.environment,
            version = env!("CARGO_PKG_VERSION"),
            "dbvc serves"
        );
        let engine = Engine::open(options);
        listener.serve(App { engine, in_azure }, end).await;
        tracing::info!("dbvc ends");
        Ok(())
    });
    // A script that is still running on another thread must not keep the process: its lease and its records say what
    // became of it, as after any other end.
    runtime.shutdown_background();
    served
}

/// The host shows every line of stderr as an error, so the log goes to stdout; so do panics, which end one request and not
/// the process.
fn log_to_stdout(filter: EnvFilter) {
    // It fails only where a log was set up before, and then that one is used.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(without_data(filter))
        .with_ansi(io::stdout().is_terminal())
        .log_internal_errors(false)
        .with_writer(io::stdout)
        .try_init();
    panic::set_hook(Box::new(|info| {
        // A message that was put together may hold what was being worked on; one that stands in the source does not.
        let words = info
            .payload()
            .downcast_ref::<&'static str>()
            .copied()
            .unwrap_or("(not shown)");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(words, place, "panic");
    }));
}

/// Completes when the process is told to end.
#[cfg(unix)]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes when the process is told to end.
#[cfg(windows)]
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::windows::{ctrl_break, ctrl_c};

    let mut interrupt = ctrl_c()?;
    let mut terminate = ctrl_break()?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
