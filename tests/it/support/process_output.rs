//! The exit code of a process and what it printed.

use serde_json::Value;

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct ProcessOutput {
    pub(super) name: String,
    /// The exit code; `None` if a signal ended the process.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: String,
}

impl ProcessOutput {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Checks the exit code, and that the last event is an error of this kind whose message contains `part`. Returns
    /// the message and the hint.
    #[track_caller]
    pub(crate) fn expect_error(&self, code: i32, kind: &str, part: &str) -> String {
        assert!(!part.is_empty(), "every message contains the empty string");
        assert_eq!(self.code, Some(code), "{self}");
        let events = self.events();
        let last = events.last().unwrap_or_else(|| panic!("there is no event: {self}"));
        assert_eq!((&last["event"], &last["kind"]), (&Value::from("error"), &Value::from(kind)), "{self}");
        let message = last["message"].as_str().unwrap();
        assert!(message.contains(part), "the message does not contain “{part}”: {self}");
        format!("{message}\n{}", last["hint"].as_str().unwrap_or_default())
    }

    /// Returns all events.
    pub(crate) fn events(&self) -> Vec<Value> {
        parse_events(&self.stdout)
    }

    /// Returns the only event of this name.
    #[track_caller]
    pub(crate) fn event(&self, name: &str) -> Value {
        let mut found = self.all(name);
        assert_eq!(found.len(), 1, "{name}: {self}");
        found.remove(0)
    }

    /// Returns all events of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<Value> {
        self.events().into_iter().filter(|e| e["event"] == name).collect()
    }

    /// Returns standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl std::fmt::Display for ProcessOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} exited with {:?}\n{}\n{}", self.name, self.code, self.text(), self.stderr)
    }
}

/// Parses the complete lines that are JSON.
pub(super) fn parse_events(stdout: &[u8]) -> Vec<Value> {
    let complete = stdout.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
    stdout[..complete].split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}
