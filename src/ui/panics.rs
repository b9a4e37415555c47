//! Panics: a bug is one line on standard error, never a backtrace.

use std::{
    any::Any,
    io::{self, Write},
    panic,
    sync::atomic::{AtomicBool, Ordering},
};

use super::phrase::visible_lines;

/// Whether any thread or task of this process has panicked.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Makes every panic of this process one line that asks the user to report it.
pub(crate) fn report_panics() {
    panic::set_hook(Box::new(|panic| {
        PANICKED.store(true, Ordering::Relaxed);
        let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line())).unwrap_or_default();
        let line = line(panic.payload(), &place);
        let _ = io::stderr().lock().write_all(line.as_bytes()); // there is no other place for it
    }));
}

/// Whether any thread or task has panicked, also one whose work was not needed for the outcome.
pub(crate) fn has_panicked() -> bool {
    PANICKED.load(Ordering::Relaxed)
}

fn line(payload: &(dyn Any + Send), place: &str) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("unknown").replace('\n', " ");
    let version = env!("QSHARE_VERSION");
    format!("internal error: {}, at {place} in version {version}; please report it\n", visible_lines(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_one_line_whatever_its_message() {
        let lines = [line(&"one\ntwo\x1b[2J", "x.rs:1"), line(&"three".to_owned(), "x.rs:1"), line(&4, "x.rs:1")];
        for (line, text) in lines.iter().zip(["one two\\u{1b}[2J", "three", "unknown"]) {
            assert!(line.starts_with(&format!("internal error: {text}, at x.rs:1 in version ")), "{line}");
            assert!(line.ends_with("; please report it\n") && line.matches('\n').count() == 1, "{line}");
        }
    }
}
