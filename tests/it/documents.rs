//! The documents: their commands work as written, their links lead somewhere, and their lists are complete.
//!
//! CONTRIBUTING.md explains the markers that say how a block runs.

mod commands;
mod console;
mod document;
mod placeholders;
mod translation;

use std::{collections::BTreeSet, fs, path::Path, thread};

use document::{Document, Marker};
use serde_json::Value;

use crate::{
    layers::source::Source,
    support::{RelayProcess, TestEnv},
};

/// The languages of fenced blocks.
const LANGUAGES: [&str; 6] = ["sh", "console", "json", "toml", "ini", "text"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn scripting() -> Document {
    Document::read("docs/scripting.md")
}

#[test]
fn commands_run_as_written() {
    thread::scope(|scope| {
        for document in Document::all() {
            scope.spawn(move || {
                for block in document.blocks() {
                    commands::run(&block, &format!("{}:{}", document.path, block.line));
                }
            });
        }
    });
}

#[test]
fn every_block_has_a_language_and_only_commands_have_markers() {
    for document in Document::all() {
        for block in document.blocks() {
            let place = format!("{}:{}", document.path, block.line);
            assert!(LANGUAGES.contains(&block.language.as_str()), "{place}: the language “{}”", block.language);
            let has_commands = matches!(block.language.as_str(), "sh" | "console");
            assert!(has_commands || block.marker.is_none(), "{place}: only commands have a marker");
            if let Some(Marker::NotRun(reason)) = &block.marker {
                assert!(reason.len() >= 8, "{place}: the reason “{reason}” is too short");
            }
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for document in Document::all() {
        let folder = Path::new(&document.path).parent().unwrap();
        for (line, link) in document.links() {
            let place = format!("{}:{line}: {link}", document.path);
            if link.starts_with("https://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').map_or((link.as_str(), None), |(p, a)| (p, Some(a)));
            let target = if path.is_empty() { root().join(&document.path) } else { root().join(folder).join(path) };
            assert!(target.exists(), "{place} does not exist");
            if let Some(anchor) = anchor {
                let anchors = Document::new(path, fs::read_to_string(target).unwrap()).anchors();
                assert!(anchors.contains(anchor), "{place} is none of {anchors:?}");
            }
        }
    }
}

#[test]
fn the_readme_leads_to_every_page() {
    let links: BTreeSet<String> = Document::read("README.md").links().into_iter().map(|(_, link)| link).collect();
    for document in Document::all().iter().filter(|document| document.path.starts_with("docs/")) {
        assert!(links.contains(&document.path), "README.md does not link to {}", document.path);
    }
}

#[test]
fn the_first_screen_of_the_readme_suffices_to_begin() {
    let readme = read("README.md");
    let screen: Vec<_> = readme.lines().take(40).collect();
    let screen = screen.join("\n");
    for part in ["apt install ./qshare", "cargo install --path .", "$ qshare send ", "Code: ", "$ qshare recv "] {
        assert!(screen.contains(part), "{part}");
    }
    for part in ["Across the Internet", "`qshare relay`", "--relay ADDRESS#PIN"] {
        assert!(screen.contains(part), "{part}");
    }
    assert!(readme.lines().count() <= 320, "details belong to the pages in docs");
}

#[test]
fn examples_of_settings_are_valid() {
    for document in Document::all() {
        for block in document.blocks().iter().filter(|block| block.language == "toml") {
            let env = TestEnv::new();
            env.file("home/config/qshare/config.toml", &block.text);
            let shown = env.qshare(&["config", "show"]).run();
            assert_eq!(shown.code, Some(0), "{}:{}: {shown}", document.path, block.line);
        }
    }
}

/// Returns all examples of events, with the numbers of their lines.
fn example_events(document: &Document) -> Vec<(usize, Value)> {
    let blocks = document.blocks().into_iter().filter(|block| block.language == "json");
    let lines = blocks.flat_map(|block| {
        let at = block.line;
        let lines: Vec<_> = block.text.lines().enumerate().map(|(n, line)| (at + n + 1, line.to_owned())).collect();
        lines
    });
    lines.map(|(n, line)| (n, serde_json::from_str(&line).unwrap_or_else(|e| panic!("line {n}: {e}")))).collect()
}

#[test]
fn every_event_has_an_example() {
    let source = read("src/event/command_event.rs");
    let declared: BTreeSet<_> =
        Source::new("command_event.rs", &source).variants("Event").iter().map(|name| snake(name)).collect();
    assert!(declared.contains("relay_listening") && declared.contains("error"), "{declared:?}");
    let examples = example_events(&scripting());
    let shown: BTreeSet<_> = examples.iter().map(|(_, event)| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(shown, declared);
}

/// Converts the name of a variant as serde does with `snake_case`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

#[test]
fn every_field_of_an_example_is_explained() {
    let scripting = scripting();
    for (line, event) in example_events(&scripting) {
        for field in fields(&event) {
            assert!(scripting.text.contains(&format!("`{field}`")), "line {line}: {field} is not explained");
        }
    }
}

/// Returns the names of all fields, at any depth.
fn fields(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(object) => {
            object.iter().flat_map(|(k, v)| [BTreeSet::from([k.clone()]), fields(v)]).flatten().collect()
        }
        Value::Array(values) => values.iter().flat_map(fields).collect(),
        _ => BTreeSet::new(),
    }
}

#[test]
fn examples_have_the_fields_of_real_events() {
    let (env, other) = (TestEnv::new(), TestEnv::new());
    let relay = RelayProcess::start(env.qshare(&["relay", "--json", "--listen", "127.0.0.1:0"]));
    env.file("holiday/a.txt", "content");
    std::os::unix::fs::symlink("/", env.path("holiday/root")).unwrap();
    let sender = env.send(&[&env.path("holiday")]).args(&["--once"]).via(&relay).share();
    let code = sender.code().to_owned();
    let mut real = other.recv(&code, &other.path("in")).args(&["--list"]).via(&relay).run().expect(0).events();
    real.extend(other.recv(&code, &other.path("in")).via(&relay).run().expect(0).events());
    real.extend(sender.process.end().expect(0).events());
    for args in [&["shares"][..], &["parts"], &["config", "show"], &["config", "path"], &["doctor"]] {
        real.extend(env.qshare(args).arg("--json").run().events());
    }
    real.extend(env.qshare(&["relay", "--show", "--json", "--listen", &relay.addr]).run().events());
    real.extend(env.qshare(&["recv", "--json", "XKY9-7HQ2MF"]).run().events());
    real.extend(relay.stop().events());
    let examples = example_events(&scripting());
    for event in &real {
        let names = |event: &Value| event.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let of_kind: Vec<_> = examples.iter().filter(|(_, example)| example["event"] == event["event"]).collect();
        let is_documented = of_kind.iter().any(|(_, example)| names(example) == names(event));
        assert!(is_documented, "{event}\nhas other fields than\n{of_kind:?}");
    }
    assert!(real.len() > 15, "{real:?}");
}

#[test]
fn every_exit_code_is_explained() {
    let text = read("src/error.rs");
    let kinds = Source::new("error.rs", &text).variants("Kind");
    assert!(kinds.len() > 5, "{kinds:?}");
    let scripting = scripting();
    for kind in &kinds {
        let code = text.split(&format!("Self::{kind} => ")).nth(1).and_then(|rest| rest.split(',').next()).unwrap();
        let row = format!("\n| {code} | `{}` |", snake(kind));
        assert!(scripting.text.contains(&row), "{row}");
    }
}

/// The sources of the messages that users see most often.
const MESSAGES: [&str; 10] = [
    "src/transfer/user_errors.rs",
    "src/transfer/sender/download_error.rs",
    "src/net/relay_errors.rs",
    "src/disk/errors.rs",
    "src/disk/space.rs",
    "src/disk/target.rs",
    "src/disk/publisher.rs",
    "src/disk/staging.rs",
    "src/disk/conflict_resolver.rs",
    "src/disk/staged_downloads.rs",
];

#[test]
fn the_troubleshooting_guide_has_the_messages_of_the_sources() {
    let guide = read("docs/troubleshooting.md");
    let mut missing = Vec::new();
    for path in MESSAGES {
        let source = read(path);
        let code = without_hints(source.split("#[cfg(test)]").next().unwrap());
        let errors = code.split("Kind::").skip(1).filter_map(|call| Some(call.split_once(',')?.1));
        let other =
            [" => ", "let message = ", "exhausted(", " => ("].into_iter().flat_map(|start| code.split(start).skip(1));
        let messages: BTreeSet<_> = errors.chain(other).filter_map(first_literal).collect();
        assert!(!messages.is_empty(), "{path}");
        missing.extend(messages.iter().filter(|text| !guide.contains(**text)).map(|text| format!("{path}: {text}")));
    }
    assert!(
        missing.is_empty(),
        "docs/troubleshooting.md does not explain
{}",
        missing.join(
            "
"
        )
    );
}

/// Removes hints, and what chooses among several of them.
fn without_hints(source: &str) -> String {
    let mut kept = source.to_owned();
    for (start, end) in [("let hint = match", "};"), ("let advice = match", "};"), (".hint(", ")")] {
        let mut parts = kept.split(start);
        let first = parts.next().unwrap().to_owned();
        kept = parts.fold(first, |text, part| text + part.split_once(end).map_or(part, |(_, rest)| rest));
    }
    kept
}

/// Returns the longest part without a value of the string literal with which this text begins, if that has words.
fn first_literal(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(|c: char| c == '{' || c.is_whitespace());
    let literal = text.strip_prefix("format!(").unwrap_or(text).trim_start().strip_prefix('"')?.split('"').next()?;
    let parts = literal.split('{').map(|part| part.split_once('}').map_or(part, |(_, rest)| rest));
    let longest = parts.max_by_key(|part| part.len())?.trim_matches(|c: char| !c.is_alphabetic());
    longest.contains(' ').then_some(longest)
}
