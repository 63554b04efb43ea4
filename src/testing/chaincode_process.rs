//! Chaincode in a process of its own, and what it says.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Which of its two outputs a chaincode logs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Standard,
    Error,
}

/// A running process; killed when dropped.
pub(super) struct ChaincodeProcess {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl ChaincodeProcess {
    pub(super) fn start(command: &mut Command, output: Output) -> anyhow::Result<Self> {
        command.stdin(Stdio::null());
        match output {
            Output::Standard => command.stdout(Stdio::piped()),
            Output::Error => command.stderr(Stdio::piped()),
        };
        let mut process = command.spawn().with_context(|| format!("cannot run {:?}", command.get_program()))?;
        let logged: Option<Box<dyn Read + Send>> = match output {
            Output::Standard => process.stdout.take().map(|output| Box::new(output) as _),
            Output::Error => process.stderr.take().map(|output| Box::new(output) as _),
        };
        let logged = logged.context("the chaincode has no output")?;
        let (sender, lines) = mpsc::channel();
        // Reads to the end whoever listens: a chaincode whose pipe is full stands still.
        thread::spawn(move || {
            for line in BufReader::new(logged).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self { process, lines })
    }

    /// The next line with this text in it.
    pub(super) fn wait_for(&self, text: &str, patience: Duration) -> anyhow::Result<String> {
        let until = Instant::now() + patience;
        let mut said = String::new();
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(text) {
                return Ok(line);
            }
            said.push_str(&line);
            said.push('\n');
        }
        bail!("the chaincode did not say {text:?}; it said:\n{said}")
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its exit code, or 128 and the signal that ended it; none while it runs.
    pub(super) fn exited(&mut self) -> anyhow::Result<Option<i32>> {
        let status = self.process.try_wait()?;
        Ok(status.and_then(|status| status.code().or_else(|| status.signal().map(|signal| 128 + signal))))
    }

    /// What it said since somebody last asked.
    pub(super) fn said(&self) -> String {
        self.lines.try_iter().map(|line| line + "\n").collect()
    }

    /// Sends it SIGKILL.
    pub(super) fn kill(&mut self) -> std::io::Result<()> {
        self.process.kill()
    }

    /// Its exit code and what else it said, once it has ended by itself.
    pub(super) fn end(&mut self, patience: Duration) -> anyhow::Result<(Option<i32>, String)> {
        let until = Instant::now() + patience;
        let said: Vec<_> =
            std::iter::from_fn(|| self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok())
                .collect();
        let said = said.join("\n");
        // It has closed its output, or time is up.
        match self.process.try_wait()? {
            None if Instant::now() >= until => bail!("the chaincode did not end; it said:\n{said}"),
            _ => Ok((self.process.wait()?.code(), said)),
        }
    }
}

impl Drop for ChaincodeProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
