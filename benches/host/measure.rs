//! Rows of a comparison, measured in turns, and how they are shown.

use std::time::{Duration, Instant};

/// Turns of each row; the median is over them.
pub(crate) const TURNS: usize = 9;
/// How long one turn of one row takes.
pub(crate) const TURN: Duration = Duration::from_millis(250);

/// One row: its name, what it aims at, and what each turn gave.
pub(crate) struct Row {
    name: String,
    must: Option<f64>,
    turns: Vec<f64>,
}

impl Row {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), must: None, turns: Vec::new() }
    }

    /// The figure that the row must reach.
    pub(crate) fn must(mut self, must: f64) -> Self {
        self.must = Some(must);
        self
    }

    pub(crate) fn add(&mut self, figure: f64) {
        self.turns.push(figure);
    }

    pub(crate) fn median(&self) -> f64 {
        let mut turns = self.turns.clone();
        turns.sort_by(f64::total_cmp);
        turns.get(turns.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn best(&self, better: Better) -> f64 {
        match better {
            Better::Less => self.turns.iter().copied().fold(f64::INFINITY, f64::min),
            Better::More => self.turns.iter().copied().fold(0.0, f64::max),
        }
    }
}

/// Which way a figure improves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

/// Shows rows with their ratio to the first, which is the baseline.
pub(crate) fn table(title: &str, unit: &str, better: Better, rows: &[Row]) {
    println!("\n{title} ({unit})");
    println!("  {:<58} {:>10} {:>10} {:>8} {:>10}", "", "median", "best", "ratio", "must");
    let base = rows.first().map_or(f64::NAN, Row::median);
    for row in rows {
        let median = row.median();
        let must = row.must.map_or_else(String::new, |must| {
            let met = if better == Better::Less { median <= must } else { median >= must };
            format!("{must} {}", if met { "met" } else { "MISSED" })
        });
        let ratio = median / base;
        println!("  {:<58} {median:>10.1} {:>10.1} {ratio:>8.2} {must:>10}", row.name, row.best(better));
    }
}

/// Says what machine the figures are from.
pub(crate) fn machine() {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("\t: unknown");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "{} processors,{}, Linux {}, load {}",
        std::thread::available_parallelism().map_or(1, usize::from),
        model.trim_start_matches(['\t', ':']),
        kernel.trim(),
        load.split_whitespace().next().unwrap_or("unknown")
    );
}

/// Whose processor time is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Process {
    This,
    Other(u32),
}

/// Processor time that a process has used, user and system, in steps of 10 ms.
pub(crate) fn processor_time(process: Process) -> Duration {
    let folder = match process {
        Process::This => "self".to_owned(),
        Process::Other(id) => id.to_string(),
    };
    let stat = std::fs::read_to_string(format!("/proc/{folder}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    // USER_HZ is 100 on every Linux.
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

/// Repeats an operation for one turn; microseconds for each.
pub(crate) async fn serial<F: Future>(mut operation: impl FnMut() -> F) -> f64 {
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < TURN {
        for _ in 0..16 {
            operation().await;
        }
        count += 16;
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

/// [`serial`] for what does not wait.
pub(crate) fn serial_blocking(mut operation: impl FnMut()) -> f64 {
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < TURN {
        for _ in 0..16 {
            operation();
        }
        count += 16;
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}
