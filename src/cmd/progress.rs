//! How far long work is, on the terminal that standard error is; where it is none, nothing is shown.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often what has no length moves.
const TICK: Duration = Duration::from_millis(200);

/// A bar that is gone when it is dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{msg:20} [{bar:40}] {pos}/{len} {eta} left") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// Work of unknown length; the bar shows that the program is alive.
    pub(super) fn waiting(&self, what: &'static str) {
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            self.0.set_style(style);
        }
        self.0.set_message(what);
        self.0.enable_steady_tick(TICK);
    }

    /// `done` of `of` pieces of the work called `what`.
    pub(super) fn at(&self, what: &'static str, done: u64, of: u64) {
        if self.0.message() != what {
            self.0.reset();
            self.0.set_message(what);
        }
        self.0.set_length(of);
        self.0.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
