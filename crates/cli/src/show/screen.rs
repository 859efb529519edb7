//! The running view of a task: a line for each event, and a spinner while a call is out.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use remit_client::{Event, Question};

use super::event::Lines;
use super::paint::Paint;
use super::text::harmless;
use super::{out, question};

/// Shows events on standard error as they come, so that standard output is the result alone.
pub(crate) struct Screen {
    lines: Lines,
    spinner: Option<ProgressBar>,
    on_terminal: bool,
    paint: Paint,
}

impl Screen {
    /// A view on standard error; `on_terminal` says whether a spinner makes sense there.
    pub(crate) fn new(paint: Paint, on_terminal: bool) -> Self {
        Self { lines: Lines::new(paint), spinner: None, on_terminal, paint }
    }

    /// Shows an event.
    pub(crate) fn event(&mut self, event: &Event) {
        let line = self.lines.line(event);
        self.print(&line);
        self.spin();
    }

    /// Takes note of an event without showing it.
    pub(crate) fn pass(&mut self, event: &Event) {
        self.lines.line(event);
    }

    /// Shows a piece of output of a call in flight.
    pub(crate) fn output(&self, text: &str) {
        for line in text.lines() {
            self.print(&format!("          | {}", harmless(&line.replace('\t', "    "))));
        }
    }

    /// Shows a question to a person, and the commands that answer it.
    pub(crate) fn question(&self, asked: &Question, remit: &str) {
        for line in question::lines(asked, remit, self.paint) {
            self.print(&format!("          | {line}"));
        }
    }

    /// Shows a line that is no event.
    pub(crate) fn print(&self, line: &str) {
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| out::note(line)),
            None => out::note(line),
        }
    }

    /// Takes the spinner away.
    pub(crate) fn rest(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }

    fn spin(&mut self) {
        let waiting = self.lines.waiting().count();
        let Some(newest) = self.lines.waiting().last() else { return self.rest() };
        if !self.on_terminal {
            return;
        }
        let more = if waiting > 1 { format!(" and {} more", waiting - 1) } else { String::new() };
        let newest: String = newest.chars().take(60).collect();
        let message = format!("{}{more}", harmless(&newest));
        self.spinner.get_or_insert_with(spinner).set_message(message);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.rest();
    }
}

fn spinner() -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
