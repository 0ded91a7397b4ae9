//! Talk on long work, for a person at a terminal.
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Says what goes on until it is dropped; silent when standard error is no terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Starts to say `what`.
    pub(crate) fn start(what: String) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Starts to count samples that `what` is done to, with the rate.
    pub(crate) fn samples(what: &'static str, count: usize) -> Self {
        Self::counting(what, count, "samples")
    }

    /// Starts to count quantized models that are tried, with the rate.
    pub(crate) fn trials(what: &'static str, count: usize) -> Self {
        Self::counting(what, count, "models")
    }

    fn counting(what: &'static str, count: usize, unit: &str) -> Self {
        let bar = ProgressBar::new(count as u64);
        let template =
            format!("{{msg}} {{bar:30}} {{pos}}/{{len}} {unit} ({{per_sec}}, {{eta}} left)");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Shows what goes on, and how much of it is done, as [`Progress::show`] says.
    pub(crate) fn steps() -> Self {
        let bar = ProgressBar::new(1);
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {msg} {bar:30} {pos}/{len} ({elapsed})")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Says what goes on, and that `done` of `all` are done.
    pub(crate) fn show(&self, what: &'static str, done: usize, all: usize) {
        self.0.set_message(what);
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
    }

    /// Counts one more.
    pub(crate) fn advance(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
