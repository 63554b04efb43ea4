//! `cargo xtask test`: check, build, and every test of the workspace.
//!
//! Standard output ends with the test runner's own closing line, because whoever reads the end of a log looks for it; the
//! summary of the whole run stands right before.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::check;
use crate::engine::{self, Engine};
use crate::setup::{NATIVE, Workspace, shown, timed};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let (_, check) = timed(|| check::run(workspace))?;
    let (_, build) = timed(|| {
        // First, because it leaves its program where the other belongs.
        workspace.build_static()?;
        workspace.build_tests()?;
        workspace.install_node_programs()?;
        workspace.build_rust_shim()
    })?;
    let engine = Engine::find_or_start(workspace);
    if let Err(e) = &engine {
        eprintln!("xtask: the tests that need a Docker engine will fail: {e:#}");
    }
    let start = Instant::now();
    let mut cargo = workspace.cargo(&["test", "--release", "--workspace", "--locked", "--no-fail-fast"]);
    cargo.args(NATIVE).env(engine::VARIABLE, Engine::described(&engine)).stdout(Stdio::piped());
    let mut tests = cargo.spawn().with_context(|| format!("cannot run {}", shown(&cargo)))?;
    let output = tests.stdout.take().context("the tests have no output")?;

    let mut report = Report::default();
    for line in BufReader::new(output).lines() {
        let line = line.context("cannot read the tests' output")?;
        if let Some(ready) = report.take(line) {
            println!("{ready}");
        }
    }
    let status = tests.wait().context("cannot wait for the tests")?;
    drop(engine);
    println!(
        "{} passed, {} failed, {} ignored in {} test programs; check {}, build {}, tests {}",
        report.passed,
        report.failed,
        report.ignored,
        report.programs,
        seconds(check),
        seconds(build),
        seconds(start.elapsed()),
    );
    println!("\n{}", report.held.trim());
    if !status.success() || report.failed > 0 {
        bail!("tests failed");
    }
    Ok(())
}

fn seconds(duration: Duration) -> String {
    format!("{:.0} s", duration.as_secs_f64())
}

/// Counts results, and holds back the last one with the empty lines around it.
#[derive(Default)]
struct Report {
    held: String,
    passed: u64,
    failed: u64,
    ignored: u64,
    programs: u64,
}

impl Report {
    /// Takes a line of output; returns what can be printed now.
    fn take(&mut self, line: String) -> Option<String> {
        if line.starts_with("test result: ") {
            self.programs += 1;
            self.passed += count(&line, "passed");
            self.failed += count(&line, "failed");
            self.ignored += count(&line, "ignored");
            return Some(std::mem::replace(&mut self.held, line)).filter(|held| !held.is_empty());
        }
        if self.held.is_empty() {
            return Some(line);
        }
        self.held.push('\n');
        self.held.push_str(&line);
        if line.is_empty() { None } else { Some(std::mem::take(&mut self.held)) }
    }
}

/// The number before a word: 3 of `3 passed;`.
fn count(line: &str, what: &str) -> u64 {
    let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == what).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_result_is_held_back_and_nothing_else_is_lost() {
        let lines = [
            "running 2 tests",
            "test a ... ok",
            "",
            "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.03s",
            "",
            "running 1 test",
            "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.2s",
            "",
        ];
        let mut report = Report::default();
        let printed: Vec<String> = lines.iter().filter_map(|line| report.take((*line).to_owned())).collect();
        assert_eq!((report.passed, report.failed, report.ignored, report.programs), (2, 1, 1, 2));
        assert!(report.held.starts_with("test result: FAILED"));
        assert_eq!(format!("{}\n{}", printed.join("\n"), report.held), lines.join("\n"));
    }
}
