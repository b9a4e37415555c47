//! Finds waits on a peer that have no time limit.

use super::source::Source;

/// Methods of a connection or a stream whose futures complete only when the peer does something.
const METHODS: [&str; 14] = [
    "accept_stream",
    "closed",
    "failed",
    "fill",
    "flush",
    "open_stream",
    "read",
    "read_available",
    "read_frame",
    "send_message",
    "skip",
    "wait_until_delivered",
    "write",
    "write_some",
];

/// The function that gives a wait its time limit and reads other streams meanwhile.
const HELPER: &str = "wait_on_peer";

/// A wait outside of [`HELPER`].
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BareWait {
    pub(super) path: String,
    pub(super) method: String,
    pub(super) line: usize,
}

/// Returns the waits in a source that are not an argument of [`HELPER`], except those in its tests.
pub(super) fn bare_waits(source: &Source) -> Vec<BareWait> {
    if source.module().last().is_some_and(|name| name == "tests") {
        return Vec::new();
    }
    let (mut found, mut open, mut guarded) = (Vec::new(), Vec::new(), 0);
    for (i, token) in source.tokens.iter().enumerate() {
        match token.text.as_str() {
            "(" | "[" | "{" => {
                let guards = token.text == "(" && i > 0 && source.is(i - 1, HELPER);
                guarded += usize::from(guards);
                open.push(guards);
            }
            ")" | "]" | "}" => guarded -= usize::from(open.pop().unwrap_or(false)),
            "mod" if source.is(i + 1, "tests") && source.is(i + 2, "{") => return found,
            method if guarded == 0 && METHODS.contains(&method) && is_awaited_call(source, i) => {
                found.push(BareWait { path: source.path.clone(), method: method.to_owned(), line: token.line });
            }
            _ => {}
        }
    }
    found
}

/// Whether token `i` is a method that is called, and whose result is awaited.
fn is_awaited_call(source: &Source, i: usize) -> bool {
    if i == 0 || !source.is(i - 1, ".") || !source.is(i + 1, "(") {
        return false;
    }
    let mut depth = 0;
    for (j, token) in source.tokens.iter().enumerate().skip(i + 1) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return source.is(j + 1, ".") && source.is(j + 2, "await");
        }
    }
    false
}
