//! Durations and sizes as core.yaml writes them (Fabric: viper's `GetDuration`, Go's `time.ParseDuration`, viperutil's
//! `ByteSize`).
//!
//! Two differences, both on purpose: a duration without a unit is refused (viper takes it for nanoseconds), and a size may
//! also be written with the units that it has, `KiB`, `MiB`, `GiB`. Invariant: what [`ByteSize`] displays, it parses.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// Of so many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Of so many units of 1024 bytes.
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// Of so many units of 1024 * 1024 bytes.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number of bytes; the largest `usize` where it does not fit.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.iter().find(|(shift, _)| self.0 >> shift > 0 && self.0.trailing_zeros() >= *shift) {
            Some((shift, unit)) => write!(f, "{} {unit}", self.0 >> shift),
            None => write!(f, "{} B", self.0),
        }
    }
}

impl FromStr for ByteSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err("is not a size; write a whole number and B, KiB, MiB or GiB, for instance 64 MiB"),
        };
        let number: u64 =
            number.parse().map_err(|_| "is not a size; write a whole number and a unit, for instance 64 MiB")?;
        number.checked_mul(1 << shift).map(Self).ok_or("is a size that no machine has; write a smaller one")
    }
}

/// Reads a duration as Go does: numbers with units, added up, such as `1h30m`, `1.5s` or `300ms`; and `0`.
///
/// # Errors
/// What is wrong with it and what to write, to follow the value in a message.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const SHAPE: &str = "is not a duration; write a number and ns, us, ms, s, m or h, for instance 30s, 300ms or 1m30s";
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err("is a negative duration; write 0 or more");
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("has no unit; write for instance 30s or 300ms");
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    loop {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(SHAPE)?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let seconds_per_unit = match unit {
            "ns" => 1e-9,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(SHAPE),
        };
        let number: f64 = number.parse().map_err(|_| SHAPE)?;
        let part = Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| SHAPE)?;
        total = total.checked_add(part).ok_or("is longer than any clock counts; write a shorter duration")?;
        if next.is_empty() {
            return Ok(total);
        }
        rest = next;
    }
}

/// A duration as a reader writes it: `500ms`, `30s`, `15m`.
pub(super) fn display_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration.subsec_millis() {
        0 if seconds >= 60 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        0 => format!("{seconds}s"),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        let table = [
            ("30s", 30_000),
            ("300ms", 300),
            ("1h30m", 5_400_000),
            ("1.5s", 1500),
            ("2000us", 2),
            ("2000\u{b5}s", 2),
            ("0", 0),
            ("0s", 0),
            (" 15m ", 900_000),
        ];
        for (text, millis) in table {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_duration_that_is_none_says_what_to_write() {
        for text in ["30", "1.5"] {
            assert!(parse_duration(text).is_err_and(|e| e.starts_with("has no unit")), "{text}");
        }
        for text in ["", "s", "3x", "1s2", "1..5s", "1m x"] {
            assert!(parse_duration(text).is_err_and(|e| e.contains("for instance 30s")), "{text}");
        }
        assert!(parse_duration("-1s").is_err_and(|e| e.contains("negative")));
        assert!(parse_duration("99999999999999999999999h").is_err());
    }

    #[test]
    fn sizes_read_as_in_fabric_and_with_binary_units() {
        let table = [
            ("64 MiB", 64 << 20),
            ("64mib", 64 << 20),
            ("10 MB", 10 << 20),
            ("512kb", 512 << 10),
            ("2g", 2 << 30),
            ("100", 100),
            ("100 B", 100),
            ("0", 0),
        ];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(ByteSize::bytes(bytes)), "{text}");
        }
        for text in ["", "MiB", "1.5 MiB", "-1", "12 parsecs", "99999999999 GiB", "99999999999999999999999"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_reads_what_it_displays() {
        for (bytes, text) in
            [(64 << 20, "64 MiB"), (1000, "1000 B"), (3 << 30, "3 GiB"), (1536 << 10, "1536 KiB"), (0, "0 B")]
        {
            let size = ByteSize::bytes(bytes);
            assert_eq!(size.to_string(), text);
            assert_eq!(text.parse(), Ok(size));
        }
    }
}
