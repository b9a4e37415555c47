//! Lines at the bottom of the terminal that are drawn again and again.

use std::io;

use console::{Term, measure_text_width};

/// Lines on standard error below everything else. The cursor is at the beginning of the line below them.
#[derive(Debug)]
pub(super) struct LiveLines {
    term: Term,
    drawn: Vec<String>,
}

impl LiveLines {
    /// Creates an empty set of lines.
    pub(super) fn new() -> Self {
        Self { term: Term::buffered_stderr(), drawn: Vec::new() }
    }

    /// Returns the width of the terminal in columns. The last column stays empty, because some terminals begin a new
    /// line after it.
    pub(super) fn width(&self) -> usize {
        columns(&self.term).saturating_sub(1)
    }

    /// Replaces the lines. Errors are ignored: a closed standard error does not end a transfer.
    pub(super) fn draw(&mut self, lines: Vec<String>) {
        let _ = self.replace(lines).and_then(|()| self.term.flush());
    }

    fn replace(&mut self, lines: Vec<String>) -> io::Result<()> {
        if !self.drawn.is_empty() {
            self.term.clear_line()?; // it may show `^C`
            self.term.move_cursor_up(rows(&self.drawn, columns(&self.term)))?;
            self.term.clear_to_end_of_screen()?;
        }
        self.drawn = lines;
        self.drawn.iter().try_for_each(|line| self.term.write_line(line))
    }
}

fn columns(term: &Term) -> usize {
    term.size_checked().map_or(80, |(_, columns)| usize::from(columns))
}

/// Returns the number of rows that lines take. Terminals wrap lines again when they become narrower.
fn rows(lines: &[String], columns: usize) -> usize {
    lines.iter().map(|line| measure_text_width(line).div_ceil(columns.max(1)).max(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_a_narrower_terminal_has_wrapped_take_more_rows() {
        let lines = ["x".repeat(79), "漢".repeat(20), String::new()];
        assert_eq!(rows(&lines, 80), 3);
        assert_eq!(rows(&lines, 40), 4);
        assert_eq!(rows(&lines, 39), 6);
    }
}
