//! The process's log: lines as Fabric's on standard error, levels that can change while it runs (Fabric: `flogging`).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use super::{LogSpec, LogSpecError};

/// The levels of the process's log. Clones share them.
#[derive(Clone)]
pub struct LogControl {
    shared: Arc<Shared>,
}

struct Shared {
    spec: Mutex<LogSpec>,
    apply: Box<dyn Fn(Targets) + Send + Sync>,
}

impl LogControl {
    /// Starts the log of this process. Where another one was started before (in a test), that one stays.
    ///
    /// # Errors
    /// When `spec` (`FABRIC_LOGGING_SPEC`) is none.
    pub fn install(spec: &str) -> Result<Self, LogSpecError> {
        let spec: LogSpec = spec.parse()?;
        let (filter, handle) = reload::Layer::new(spec.targets());
        // A line that cannot be written, because the disk is full, is lost. Told on standard error, that would be a panic.
        let lines = layer().log_internal_errors(false).event_format(FabricFormat::default());
        let lines = lines.with_ansi(false).with_writer(std::io::stderr);
        let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
        // The handle outlives its subscriber in tests only.
        Ok(Self::new(spec, move |targets| drop(handle.reload(targets))))
    }

    pub(super) fn new(spec: LogSpec, apply: impl Fn(Targets) + Send + Sync + 'static) -> Self {
        Self { shared: Arc::new(Shared { spec: Mutex::new(spec), apply: Box::new(apply) }) }
    }

    /// The specification in force.
    pub fn spec(&self) -> String {
        self.shared.spec.lock().unwrap_or_else(PoisonError::into_inner).to_string()
    }

    /// Puts another specification in force.
    ///
    /// # Errors
    /// When `spec` is none; nothing changes then.
    pub fn activate(&self, spec: &str) -> Result<(), LogSpecError> {
        let spec: LogSpec = spec.parse()?;
        let mut current = self.shared.spec.lock().unwrap_or_else(PoisonError::into_inner);
        (self.shared.apply)(spec.targets());
        *current = spec;
        Ok(())
    }
}

/// Fabric's line without colours: time, logger, level in four letters, number, message.
#[derive(Default)]
struct FabricFormat {
    lines: AtomicU64,
}

/// The logger of what chaincode in containers writes; the container's name follows, as in Fabric.
const CONTAINERS: &str = "peer.chaincode";

/// A line of a container.
#[derive(Default)]
struct ContainerOutput {
    container: String,
    message: String,
}

impl Visit for ContainerOutput {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "container" {
            value.clone_into(&mut self.container);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3] UTC");

impl<S, N> FormatEvent<S, N> for FabricFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let time = OffsetDateTime::now_utc().format(TIME).unwrap_or_default();
        let metadata = event.metadata();
        let mut logger = metadata.target().trim_start_matches("selvedge::").replace("::", ".");
        let mut said = None;
        if logger == CONTAINERS {
            let mut output = ContainerOutput::default();
            event.record(&mut output);
            logger = format!("{logger}.{}", output.container);
            said = Some(output.message);
        }
        let level = match *metadata.level() {
            tracing::Level::ERROR => "ERRO",
            tracing::Level::WARN => "WARN",
            tracing::Level::INFO => "INFO",
            tracing::Level::DEBUG => "DEBU",
            tracing::Level::TRACE => "TRAC",
        };
        let number = self.lines.fetch_add(1, Ordering::Relaxed) + 1;
        write!(writer, "{time} [{logger}] -> {level} {number:03x} ")?;
        let message = match said {
            Some(line) => line,
            None => {
                let mut message = String::new();
                ctx.field_format().format_fields(Writer::new(&mut message), event)?;
                message
            }
        };
        // What a chaincode says may have lines; indented, none of them can pass for one of ours.
        writeln!(writer, "{}", message.replace('\n', "\n    "))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_fabrics_parts() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = layer().event_format(FabricFormat::default()).with_writer(move || writer.clone()).with_ansi(false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(target: "selvedge::scc::deploy", channel = "mychannel", "deployed");
            tracing::info!(target: "peer::chaincode", container = "dev-peer0-mycc-1.0", "ready");
            tracing::warn!("said\n2026-11-21 [node] a second line");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).expect("is text");
        let (time, rest) = text.split_once(" UTC ").expect("has a time");
        assert_eq!(time.len(), "2026-11-21 10:51:00.123".len());
        let (first, rest) = rest.split_once('\n').expect("has more lines");
        let (container, second) = rest.split_once('\n').expect("has more lines");
        assert_eq!(first, "[scc.deploy] -> INFO 001 deployed channel=\"mychannel\"");
        assert!(container.ends_with(" [peer.chaincode.dev-peer0-mycc-1.0] -> INFO 002 ready"), "{container}");
        assert!(second.ends_with("said\n    2026-11-21 [node] a second line\n"), "{second}");
    }

    #[test]
    fn a_bad_specification_leaves_the_one_in_force() {
        let control = LogControl::new("warn".parse().expect("is valid"), drop);
        assert!(control.activate("loud").is_err());
        assert_eq!(control.spec(), "warn");
        control.activate("gossip=debug:info").expect("is valid");
        assert_eq!(control.spec(), "gossip=debug:info");
    }
}
