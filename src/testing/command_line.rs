//! The program, run as an operator runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::Boxed;

/// How long a command waits for a connection: machines that run tests are slow at times.
const CONNECT: [&str; 2] = ["--connTimeout", "20s"];

/// The program in a folder, with a peer to ask.
#[derive(Clone, Debug)]
pub struct CommandLine {
    program: PathBuf,
    folder: PathBuf,
    address: String,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl CommandLine {
    /// `program` run in `folder`, with the peer at `address`.
    pub fn new(program: &str, folder: &Path, address: String) -> Self {
        Self { program: program.into(), folder: folder.to_owned(), address, variables: Vec::new() }
    }

    /// The same, with this variable set for every command.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs a command to its end, with more variables than those that name the peer.
    ///
    /// # Errors
    /// When the program does not start, or writes something that is no text.
    pub fn run_with<'a>(
        &'a self,
        arguments: &'a [&'a str],
        variables: &'a [(&'a str, &'a str)],
    ) -> Boxed<'a, anyhow::Result<Ended>> {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        if matches!(arguments.first(), Some(&("channel" | "chaincode"))) {
            command.args(CONNECT);
        }
        command
            .current_dir(&self.folder)
            .env("CORE_PEER_ADDRESS", &self.address)
            .env("FABRIC_LOGGING_SPEC", "info")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().copied());
        Box::pin(async move {
            let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output()).await??;
            Ok(Ended { code: status.code(), stdout: String::from_utf8(stdout)?, stderr: String::from_utf8(stderr)? })
        })
    }

    /// Standard output and standard error of a command that has to succeed.
    ///
    /// # Errors
    /// When it fails.
    pub fn done<'a>(&'a self, arguments: &'a [&'a str]) -> Boxed<'a, anyhow::Result<(String, String)>> {
        Box::pin(async move {
            let ended = self.run_with(arguments, &[]).await?;
            anyhow::ensure!(ended.code == Some(0), "{arguments:?} failed: {ended:?}");
            Ok((ended.stdout, ended.stderr))
        })
    }

    /// The last line of a command that has to fail, and to print nothing else to standard output.
    ///
    /// # Errors
    /// When it succeeds.
    pub fn refusal<'a>(
        &'a self,
        arguments: &'a [&'a str],
        variables: &'a [(&'a str, &'a str)],
    ) -> Boxed<'a, anyhow::Result<String>> {
        Box::pin(async move {
            let ended = self.run_with(arguments, variables).await?;
            let failed = ended.code == Some(1) && ended.stdout.is_empty();
            anyhow::ensure!(failed, "{arguments:?} should fail: {ended:?}");
            Ok(ended.stderr.lines().last().unwrap_or_default().to_owned())
        })
    }
}
