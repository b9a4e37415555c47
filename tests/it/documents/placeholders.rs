//! What stands in documents for a code, a link and a relay, and is replaced before a command runs.

use crate::support::{RelayProcess, SenderProcess};

/// The pin in examples.
const PIN: &str = "glxcPftmoxMqrHEjoYhyQTw4Rvfum4YVw90IylgdC9k";

/// The relays in examples.
const RELAYS: [&str; 3] = ["relay.example.org:4433", "relay.example.org", "192.0.2.7:4433"];

/// Whether a word looks like a code of ten characters.
pub(super) fn is_code(word: &str) -> bool {
    let is_symbol = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    word.split_once('-').is_some_and(|(slot, secret)| {
        (slot.len(), secret.len()) == (4, 6) && slot.chars().chain(secret.chars()).all(is_symbol)
    })
}

/// How a checkout runs the program.
const CARGO_RUN: &str = "cargo run --release --";

/// Replaces the placeholders of a command. The program runs without being compiled again.
pub(super) fn replace(command: &str, sender: Option<&SenderProcess>, relay: Option<&RelayProcess>) -> String {
    let mut command = command.replace(CARGO_RUN, "qshare");
    if let Some(relay) = relay {
        for name in RELAYS {
            command = command.replace(name, &relay.addr);
        }
        command = command.replace(PIN, &relay.pin);
    }
    let Some(sender) = sender else { return command };
    replace_words(&command, |word| match word {
        "CODE" => Some(sender.code()),
        "LINK" => Some(sender.link()),
        word => is_code(word).then(|| sender.code()),
    })
}

/// Replaces words of letters, digits, hyphens and underscores.
fn replace_words<'a>(text: &str, replacement: impl Fn(&str) -> Option<&'a str>) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_part(c) != is_part(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        replaced.push_str(replacement(word).unwrap_or(word));
        rest = after;
    }
    replaced
}

#[test]
fn whole_words_are_replaced() {
    let replaced = replace_words("QSHARE_CODE=CODE q 'CODE' CODES", |word| (word == "CODE").then_some("x"));
    assert_eq!(replaced, "QSHARE_CODE=x q 'x' CODES");
    assert!(is_code("XKY9-7HQ2ME") && !is_code("pt-BR") && !is_code("RFC-123456"));
}
