//! Blocks that show a session at a terminal: commands after `$ `, and what they print.

use super::placeholders::is_code;

/// A command and the lines that it prints.
pub(super) struct Step {
    pub(super) command: String,
    output: Vec<String>,
}

impl Step {
    /// Parses a block.
    pub(super) fn all_of(block: &str) -> Vec<Self> {
        let mut steps: Vec<Self> = Vec::new();
        for line in block.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Self { command: command.to_owned(), output: Vec::new() }),
                (None, Some(step)) => step.output.push(line.to_owned()),
                (None, None) => panic!("a console block begins with a command after “$ ”: {line}"),
            }
        }
        steps
    }

    /// Checks that a terminal shows the lines of the document in this order, apart from numbers, codes and paths.
    pub(super) fn check(&self, shown: &str, place: &str) {
        let mut shown_lines = shown.lines().map(shape);
        for line in self.output.iter().filter(|line| !line.trim().is_empty() && !line.starts_with('[')) {
            let expected = shape(line);
            assert!(shown_lines.any(|line| line == expected), "{place}: “{line}” is not shown in this place:\n{shown}");
        }
    }
}

/// Removes from a line what differs between two runs.
fn shape(line: &str) -> String {
    let words = line.split_whitespace().map(|word| if is_variable(word) { "#" } else { word });
    let mut words: Vec<_> = words.collect();
    words.dedup_by(|a, b| *a == "#" && a == b);
    words.join(" ")
}

fn is_variable(word: &str) -> bool {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
    let is_unit = matches!(bare, "B" | "kB" | "MB" | "GB" | "B/s" | "kB/s" | "MB/s" | "GB/s" | "s" | "ms");
    is_unit || is_code(bare) || bare.contains(|c: char| c.is_ascii_digit()) || bare.starts_with('/')
}

#[test]
fn lines_are_compared_without_numbers() {
    let step = &Step::all_of("$ qshare send a\nSharing a: 3 files, 203.8 MB\n\n[==> ] 3 %\nCode: QCKW-4AYYS3")[0];
    assert_eq!(step.command, "qshare send a");
    step.check("x\r\nSharing a: 2 files, 7 B\r\nCode: ABCD-EFGHIJ\r\n", "here");
    assert_eq!(shape("to be saved in /home/ann:"), shape("to be saved in /tmp/x:"));
    assert_ne!(shape("Code: QCKW-4AYYS3"), shape("Link: QCKW-4AYYS3"));
}
