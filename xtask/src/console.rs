//! What a person sees while something takes long: a moving bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often plain output says that a task goes on.
const PLAIN_INTERVAL: Duration = Duration::from_secs(15);

/// One piece of work that is shown while it runs.
pub struct Task {
    bar: ProgressBar,
    title: String,
    started: Instant,
    last_line: Instant,
}

impl Task {
    /// Shows a task of unknown length.
    #[must_use]
    pub fn start(title: impl Into<String>) -> Self {
        let title = title.into();
        let bar = if stderr().is_terminal() {
            let bar = ProgressBar::new_spinner().with_message(title.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            eprintln!("{title} ...");
            ProgressBar::hidden()
        };
        Self {
            bar,
            title,
            started: Instant::now(),
            last_line: Instant::now(),
        }
    }

    /// From now on the task has `length` steps, `position` of which are done.
    pub fn steps(&self, length: u64) {
        self.bar.set_length(length);
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {msg} [{bar:30}] {pos}/{len}, {elapsed}")
        {
            self.bar.set_style(style);
        }
    }

    /// One more step is done.
    pub fn advance(&mut self) {
        self.bar.inc(1);
        if self.bar.is_hidden() && self.last_line.elapsed() >= PLAIN_INTERVAL {
            self.last_line = Instant::now();
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            eprintln!(
                "  {} {done}/{all} after {}",
                self.title,
                took(self.started.elapsed())
            );
        }
    }

    /// The task is done; says how long it took.
    pub fn done(self) {
        self.bar.finish_and_clear();
        eprintln!("{}: done in {}", self.title, took(self.started.elapsed()));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A duration as people say it: `3.2 s`, `4 minutes`.
#[must_use]
pub fn took(duration: Duration) -> String {
    if duration < Duration::from_mins(1) {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        let seconds = duration.as_secs();
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// The last `lines` lines of a text, indented, for the end of an error message.
#[must_use]
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all[from..]
        .iter()
        .flat_map(|line| ["  | ", line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_short_text_is_the_whole_text() {
        assert_eq!(tail("a\nb", 5), "  | a\n  | b\n");
        assert_eq!(tail("a\nb\nc", 2), "  | b\n  | c\n");
    }

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(took(Duration::from_millis(3210)), "3.2 s");
        assert_eq!(took(Duration::from_secs(372)), "6 min 12 s");
    }
}
