//! What the reader of the demo sees: commands as he would type them, their output, and the time since the start.

use std::time::Instant;

use anyhow::Result;

use super::node::{Answer, Demo};

pub(super) struct Transcript {
    start: Instant,
}

impl Transcript {
    pub(super) fn begin() -> Self {
        Self { start: Instant::now() }
    }

    pub(super) fn headline(&self, text: &str) {
        println!("\n== {text}");
    }

    /// Something that is true now.
    pub(super) fn done(&self, text: &str) {
        println!("   {text}  [{:.1} s]", self.start.elapsed().as_secs_f64());
    }

    pub(super) fn note(&self, text: &str) {
        println!("   -- {text}");
    }

    pub(super) fn text(&self, text: &str) {
        println!("{}", indent(text));
    }

    pub(super) fn command(&self, text: &str) {
        println!(" $ {text}");
    }

    /// Runs a command line and shows it with what it says.
    pub(super) fn run(&self, demo: &Demo, args: &[String]) -> Result<Answer> {
        let typed: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
        self.command(&format!("selvedge {}", typed.join(" ")));
        let answer = demo.client().run(args)?;
        for text in [&answer.output, &answer.errors] {
            if !text.trim().is_empty() {
                println!("{}", indent(text.trim_end()));
            }
        }
        println!("   [{} ms]", answer.elapsed.as_millis());
        Ok(answer)
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("   {line}")).collect::<Vec<_>>().join("\n")
}

/// As a shell wants it.
fn quoted(word: &str) -> String {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=".contains(c));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
