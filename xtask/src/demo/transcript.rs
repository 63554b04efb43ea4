//! What the reader of the demo sees: commands as he would type them, their output, and in brackets how long each took.

use std::time::{Duration, Instant};

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

    /// Something that is true now, and how long it took.
    pub(super) fn done(&self, text: &str, elapsed: Duration) {
        println!("   {text}  [{}]", shown(elapsed));
    }

    /// The last line.
    pub(super) fn end(&self, text: &str) {
        println!("\n{text}  [{} in all]", shown(self.start.elapsed()));
    }

    pub(super) fn note(&self, text: &str) {
        println!("   -- {text}");
    }

    pub(super) fn text(&self, text: &str) {
        println!("{text}");
    }

    /// What a command printed.
    pub(super) fn output(&self, text: &str) {
        println!("{}", indent(text.trim_end()));
    }

    pub(super) fn command(&self, text: &str) {
        println!(" $ {text}");
    }

    /// Runs a command line and shows it with what it says.
    pub(super) fn run(&self, demo: &Demo, args: &[String]) -> Result<Answer> {
        self.command(&typed(args));
        let answer = demo.client().run(args)?;
        self.answer(&answer);
        Ok(answer)
    }

    /// Runs the same command line `times` times at once and shows the first answer.
    pub(super) fn run_at_once(&self, demo: &Demo, args: &[String], times: usize) -> Result<Vec<Answer>> {
        self.command(&format!("for i in $(seq {times}); do {} & done; wait", typed(args)));
        let clients: Vec<_> = (0..times)
            .map(|_| {
                let (client, args) = (demo.client(), args.to_vec());
                std::thread::spawn(move || client.run(&args))
            })
            .collect();
        let answers = clients.into_iter().map(|client| client.join().expect("the thread does not panic"));
        let answers: Vec<Answer> = answers.collect::<Result<_>>()?;
        if let Some(first) = answers.first() {
            self.answer(first);
            println!("   (and {} more like it)", times - 1);
        }
        Ok(answers)
    }

    /// What a command said.
    pub(super) fn answer(&self, answer: &Answer) {
        for text in [&answer.output, &answer.errors] {
            if !text.trim().is_empty() {
                self.output(text);
            }
        }
        println!("   [{}]", shown(answer.elapsed));
    }
}

fn shown(elapsed: Duration) -> String {
    match elapsed.as_millis() {
        ms @ ..10_000 => format!("{ms} ms"),
        _ => format!("{:.0} s", elapsed.as_secs_f64()),
    }
}

fn typed(args: &[String]) -> String {
    format!("selvedge {}", args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" "))
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("   {line}")).collect::<Vec<_>>().join("\n")
}

/// As a shell wants it.
fn quoted(word: &str) -> String {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=".contains(c));
    if plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
