//! Lines on standard error, in the form of Fabric's logs; levels by `CORE_CHAINCODE_LOGGING_LEVEL` and
//! `CORE_CHAINCODE_LOGGING_SHIM` (Fabric: `shim.SetupChaincodeLogging`). `CORE_CHAINCODE_LOGGING_FORMAT` is not read.

use std::io::Write;
use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::settings::Environment;
use crate::Level;

const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");

/// Where lines go, and which. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<Levels>);

#[derive(Debug)]
struct Levels {
    /// The chaincode's name, before the colon of its id.
    chaincode: String,
    own: Level,
    shim: Level,
}

impl Log {
    /// With the levels that the environment names; one that is none is INFO.
    pub(super) fn of(environment: &Environment) -> Self {
        let id = environment.chaincode_id().map_or_else(String::new, |id| id.text);
        let chaincode = id.split(':').next().unwrap_or_default().to_owned();
        let spec = environment.variable("CORE_CHAINCODE_LOGGING_LEVEL").unwrap_or_default();
        let own = level_in(spec, &chaincode).unwrap_or(Level::Info);
        let shim = environment.variable("CORE_CHAINCODE_LOGGING_SHIM").and_then(level);
        let shim = shim.or_else(|| level_in(spec, "shim")).unwrap_or(Level::Info);
        Self(Arc::new(Levels { chaincode, own, shim }))
    }

    /// A line of the chaincode's.
    pub(super) fn chaincode(&self, txid: &str, at: Level, message: &str) {
        if rank(at) < rank(self.0.own) {
            return;
        }
        for line in lines(message) {
            write(&self.0.chaincode, at, &format!("[{}] {line}", short(txid)));
        }
    }

    pub(super) fn error(&self, message: &str) {
        self.shim(Level::Error, message);
    }

    pub(super) fn warning(&self, message: &str) {
        self.shim(Level::Warn, message);
    }

    pub(super) fn info(&self, message: &str) {
        self.shim(Level::Info, message);
    }

    pub(super) fn debug(&self, message: impl FnOnce() -> String) {
        if rank(Level::Debug) >= rank(self.0.shim) {
            self.shim(Level::Debug, &message());
        }
    }

    fn shim(&self, at: Level, message: &str) {
        if rank(at) >= rank(self.0.shim) {
            lines(message).for_each(|line| write("shim", at, line));
        }
    }
}

/// Each stands alone, so that no argument, panic or peer can forge a line.
fn lines(message: &str) -> impl Iterator<Item = &str> {
    message.split(['\n', '\r']).filter(|line| !line.trim().is_empty())
}

/// The beginning of a transaction id, as Fabric's logs show it.
pub(super) fn short(txid: &str) -> &str {
    &txid[..txid.floor_char_boundary(8)]
}

/// As much of a transaction id as there is to a real one: an error's text goes into a header.
pub(super) fn shown(txid: &str) -> &str {
    &txid[..txid.floor_char_boundary(64)]
}

fn write(logger: &str, at: Level, message: &str) {
    let time = OffsetDateTime::now_utc().format(TIME).unwrap_or_default();
    let name = match at {
        Level::Trace | Level::Debug => "DEBU",
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERRO",
    };
    // There is nobody to tell of a failed write.
    let _ = std::io::stderr().write_all(format!("{time} UTC [{logger}] -> {name} {message}\n").as_bytes());
}

fn rank(level: Level) -> u8 {
    match level {
        Level::Trace => 0,
        Level::Debug => 1,
        Level::Info => 2,
        Level::Warn => 3,
        Level::Error => 4,
    }
}

/// Fabric's names, in any case. Those above ERROR are ERROR, NOTICE is INFO.
fn level(name: &str) -> Option<Level> {
    Some(match name.trim().to_ascii_lowercase().as_str() {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "info" | "notice" => Level::Info,
        "warning" | "warn" => Level::Warn,
        "error" | "critical" | "fatal" | "panic" | "dpanic" => Level::Error,
        _ => return None,
    })
}

/// The level of a logger in a specification such as `warning:shim,asset=debug`.
fn level_in(spec: &str, logger: &str) -> Option<Level> {
    let fields = || spec.split(':').map(|field| field.split_once('='));
    let of_logger = fields().flatten().filter(|(loggers, _)| loggers.split(',').any(|name| name.trim() == logger));
    let of_all = spec.split(':').filter(|field| !field.contains('='));
    of_logger.filter_map(|(_, name)| level(name)).next_back().or_else(|| of_all.filter_map(level).next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_message_begins_a_line_and_no_id_is_long() {
        let message = "panicked: x\n2026-01-01 00:00:00.000 UTC [shim] -> INFO forged\r\n\rend";
        assert_eq!(lines(message).count(), 3, "each is written under its own time");
        assert_eq!((short("1234567é"), short("12345678901")), ("1234567", "12345678"));
        assert_eq!(shown(&"é".repeat(1000)).len(), 64);
    }

    #[test]
    fn a_specification_names_levels_for_all_and_for_some() {
        assert_eq!(level_in("warning:shim,asset=debug", "asset"), Some(Level::Debug));
        assert_eq!(level_in("warning:shim,asset=debug", "other"), Some(Level::Warn));
        assert_eq!(level_in("CRITICAL", "asset"), Some(Level::Error));
        assert_eq!(level_in("loud:asset=quiet", "asset"), None);
    }
}
