//! A chaincode as a process of its own (Fabric: `shim.Start`, `shim.ChaincodeServer`).
//!
//! The program of a crate whose library is the chaincode is one line:
//!
//! ```no_run
//! # use selvedge_sdk::{Chaincode, Response, Stub};
//! # struct Asset;
//! # impl Chaincode for Asset {
//! #     fn invoke(&self, _: &Stub) -> Response {
//! #         Response::success(())
//! #     }
//! # }
//! fn main() -> std::process::ExitCode {
//!     selvedge_sdk::native::main(|| Asset)
//! }
//! ```
//!
//! It dials the peer that started it (`--peer.address`), or serves peers that dial it (`CHAINCODE_SERVER_ADDRESS`), with the
//! arguments, environment and files of Fabric's shims. Unlike Fabric's Go shim, it makes a new value for each INIT and
//! TRANSACTION, as the sandbox does, and a panic ends its transaction and not the process.
//!
//! What the sandbox forbids is there: clocks, files, threads, statics that live on. A chaincode that uses them gets read and
//! write sets that other endorsers do not.
//!
//! | module | is |
//! |---|---|
//! | `settings`, `tls` | arguments, environment, files |
//! | `dial`, `serve` | who opens the connection |
//! | `handler` | a stream's state machine (Fabric: `shim.Handler`) |
//! | `running` | a stream's transactions, and those that wait for a place |
//! | `link` | a transaction's requests and their answers |
//! | `outbox` | what waits until the peer takes it |
//! | `transaction`, `requests`, `query` | one execution, and its stub |

mod dial;
mod error;
mod handler;
mod link;
mod log;
mod outbox;
mod panics;
mod query;
mod requests;
mod running;
mod serve;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod transaction;

use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

pub use self::error::NativeError;
use self::handler::Shim;
use self::log::Log;
pub use self::settings::Environment;
use self::settings::{Mode, Settings};
use crate::Chaincode;

/// Threads at a time. More than any system gives: what bounds them is the places of each stream (`running`).
const THREADS: usize = 1 << 20;

/// Runs the chaincode with the arguments and the environment of this process, until the stream to the peer ends or somebody
/// stops the process. `make` gives a fresh value for each transaction.
///
/// The code is 0 after SIGTERM or SIGINT, 1 when the peer is gone or was never there, 2 for settings that are no good. The
/// reason is in the last line on standard error.
pub fn main<C: Chaincode>(make: impl Fn() -> C + Send + Sync + 'static) -> ExitCode {
    let environment = Environment::of_this_process();
    if environment.asks_for_help() {
        println!("{}", settings::USAGE);
        return ExitCode::SUCCESS;
    }
    let ended = begin(make, &environment).and_then(|(runtime, shim, mode)| {
        let log = shim.log.clone();
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = work(shim, mode) => ended,
                stopped = stop() => stopped.map(|signal| log.info(&format!("stopped by {signal}"))),
            }
        });
        // Transactions that still run are of no use to anybody.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            Log::of(&environment).error(&error.to_string());
            error.exit_code()
        }
    }
}

/// The same with given settings, in the calling thread, and without regard to signals.
///
/// # Errors
/// Always, in the end: a chaincode runs until its peer leaves, or its listener fails.
pub fn run<C: Chaincode>(
    make: impl Fn() -> C + Send + Sync + 'static,
    environment: &Environment,
) -> Result<(), NativeError> {
    let (runtime, shim, mode) = begin(make, environment)?;
    let ended = runtime.block_on(work(shim, mode));
    runtime.shutdown_background();
    ended
}

fn begin<C: Chaincode>(
    make: impl Fn() -> C + Send + Sync + 'static,
    environment: &Environment,
) -> Result<(Runtime, Arc<Shim>, Mode), NativeError> {
    let Settings { shim, mode } = Settings::load(environment)?;
    panics::report_in_one_line();
    if cfg!(panic = "abort") {
        shim.log.warning(
            "this program was built with panic = \"abort\": a panic ends it with all its transactions, not just its own",
        );
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .build()
        .map_err(|error| NativeError::Runtime(error.to_string()))?;
    Ok((runtime, Arc::new(Shim::new(make, shim)), mode))
}

async fn work(shim: Arc<Shim>, mode: Mode) -> Result<(), NativeError> {
    match mode {
        Mode::Dial(peer) => dial::dial(shim, peer).await,
        Mode::Serve(service) => serve::serve(shim, service).await,
    }
}

/// The name of the signal that ends the process. In a container it is process 1, which no signal ends by itself.
async fn stop() -> Result<&'static str, NativeError> {
    let listen = |kind| signal(kind).map_err(|error| NativeError::Runtime(error.to_string()));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
