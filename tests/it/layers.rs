//! Who may import whom, and what must not stand in the sources at all, those of the tests included.
//!
//! The sources are read as tokens: comments and the content of strings do not count, groups in `use` and `super::`
//! paths do.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Modules that anybody may import, and that import nothing but each other.
const LAYER_0: [&str; 10] =
    ["background", "error", "event", "code", "manifest", "text", "state", "processor", "rate_limiter", "sync"];

/// What each module may import besides itself and layer 0.
const RULES: [(&str, &[&str]); 9] = [
    ("main", &["cli"]),
    ("cli", &["ui", "transfer", "relay", "net"]),
    ("ui", &[]),
    ("transfer", &["net", "wire", "crypto", "disk"]),
    ("relay", &["net", "wire"]),
    ("net", &["wire"]),
    ("disk", &[]),
    ("crypto", &[]),
    ("wire", &[]),
];

/// Words that nothing in the relay may say: it cannot reach what could read or name a file.
const UNKNOWN_TO_THE_RELAY: [&str; 4] = ["crypto", "disk", "manifest", "transfer"];

/// Who may read the system's clocks.
const CLOCKS: [&str; 4] = ["net", "state.rs", "transfer/handshake/clock.rs", "cli"];

/// Who may print.
const PRINTERS: [&str; 2] = ["ui", "cli/args.rs"];

#[test]
fn the_sources_keep_to_the_layers() {
    let sources = sources_below("src");
    assert!(sources.len() > 30, "the sources are not where they are looked for");
    let broken: Vec<String> = sources.iter().flat_map(|(path, text)| violations(path, text)).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_rule_can_fail() {
    for (path, text, why) in [
        ("main.rs", "fn main() { qshare::transfer::run() }", "main imports transfer"),
        ("ui/bars.rs", "use crate::transfer::Events;", "ui imports transfer"),
        ("ui/bars.rs", "use crate::{\n    event::{self, Event},\n    net,\n};", "ui imports net"),
        ("transfer/fetch.rs", "use crate::relay;", "transfer imports relay"),
        ("transfer/fetch.rs", "fn f() { crate::ui::log(1) }", "transfer imports ui"),
        ("transfer.rs", "use super::cli;", "transfer imports cli"),
        ("transfer/fetch.rs", "use super::{super::ui::Ui, session};", "transfer imports ui"),
        ("relay/server.rs", "use crate::net;\nuse crate::manifest::ManifestHeader;", "relay says manifest"),
        ("relay/server.rs", "fn f(disk: u8) {}", "relay says disk"),
        ("net/tls.rs", "mod x { use super::super::super::crypto; }", "net imports crypto"),
        ("disk/sink.rs", "use crate::{error::Kind, wire::Frame};", "disk imports wire"),
        ("crypto/pake.rs", "use crate::wire;", "crypto imports wire"),
        ("wire/peer.rs", "use crate::crypto;", "wire imports crypto"),
        ("code.rs", "use crate::net;", "code imports net"),
        ("code.rs", "use crate::*;", "code imports everything"),
        ("nowhere.rs", "", "no rule for nowhere"),
        ("transfer/serve.rs", "fn f(c: quinn::Connection) {}", "quinn"),
        ("transfer/serve.rs", "use std::time::{Duration, Instant};", "std::time::Instant"),
        ("disk/stamp.rs", "use std::time;\nfn f() { time::SystemTime::now(); }", "SystemTime::now"),
        ("transfer/serve.rs", "fn f() { println!(\"x\") }", "prints"),
        ("relay/server.rs", "fn f() { std::io::stderr().flush() }", "prints"),
        ("cli.rs", "use std::process;\nfn f() { process::exit(1) }", "exits"),
        ("cli.rs", "use std::process::{Command, exit};", "exits"),
        ("cli.rs", "fn f() { todo!() }", "todo!"),
        ("cli.rs", "fn f() { unimplemented!() }", "unimplemented!"),
        ("cli.rs", "fn f() { dbg!(1); }", "dbg!"),
        ("cli.rs", "#[ignore]\nfn f() {}", "ignored without a reason"),
    ] {
        let found = violations(path, text);
        assert!(found.iter().any(|v| v.contains(why)), "{path}: {text}\n{found:?}");
    }
}

#[test]
fn what_is_allowed_passes() {
    for (path, text) in [
        ("transfer/fetch.rs", "use super::{session, super::net};\nuse crate::{disk, wire::{self, Frame}};"),
        ("transfer/fetch.rs", "//! [`crate::ui`]\n/* crate::cli /* */ quinn */ const X: &str = \"crate::ui quinn\";"),
        ("transfer/fetch.rs", "const A: char = '\"'; const B: &str = r#\"\"crate::ui\"#; fn f<'a>(x: &'a u8) {}"),
        ("transfer/fetch.rs", "mod tests { use super::super::session; use super::*; }"),
        ("transfer/handshake/clock.rs", "fn f() { std::time::SystemTime::now(); }"),
        ("transfer/serve.rs", "use tokio::time::Instant;\nfn f() { Instant::now(); }"),
        ("net/endpoint.rs", "use quinn::Endpoint;\nfn f() { std::time::Instant::now(); }"),
        ("ui.rs", "fn f() { println!(\"x\"); std::io::stdout(); }"),
        ("cli/args.rs", "#[ignore = \"slow\"]\nfn f() { e.print(); }"),
        ("main.rs", "fn main() { std::process::exit(qshare::cli::run()) }"),
    ] {
        assert_eq!(violations(path, text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn no_file_is_left_out_of_the_build() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, roots) in
        [("src", vec!["main.rs", "lib.rs"]), ("tests/it", vec!["main.rs"]), ("tests/vnet", vec!["mod.rs"])]
    {
        let mut declared = Vec::new();
        let sources = sources_below(folder);
        for (path, text) in &sources {
            let within = if roots.contains(&path.as_str()) { "" } else { path.trim_end_matches(".rs") };
            declared.extend(modules(text).into_iter().map(|name| Path::new(within).join(name)));
        }
        for (path, _) in sources.iter().filter(|(path, _)| !roots.contains(&path.as_str())) {
            let module = PathBuf::from(path.trim_end_matches(".rs"));
            assert!(declared.contains(&module), "{folder}/{path} is declared nowhere below {}", root.display());
        }
    }
    assert_eq!(modules("mod a;\npub(crate) mod b;\n// mod c;\nmod d { mod e; }"), ["a", "b"]);
}

#[test]
fn no_test_is_half_done() {
    for (path, text) in sources_below("tests/it").into_iter().chain(sources_below("tests/vnet")) {
        assert_eq!(unfinished(&path, &tokens(&text)), Vec::<String>::new());
    }
}

#[test]
fn the_network_in_memory_stands_alone() {
    let sources = sources_below("tests/vnet");
    assert!(!sources.is_empty(), "the network is not where it is looked for");
    for (path, text) in sources {
        assert!(!leaves(&tokens(&text)), "tests/vnet/{path} uses something of whoever includes it");
    }
    assert!(leaves(&tokens("pub(crate) use crate::support::World;")));
    assert!(!leaves(&tokens("pub(crate) fn f() {} pub(super) use super::x;")));
}

/// Whether a path begins at the root of whatever crate the source is in.
fn leaves(tokens: &[Token]) -> bool {
    (0..tokens.len()).any(|i| is(tokens, i, "crate") && is(tokens, i + 1, "::"))
}

/// The modules that a file declares and does not hold itself.
fn modules(text: &str) -> Vec<String> {
    let (mut depth, mut names) = (0, Vec::new());
    let tokens = tokens(text);
    for (i, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "mod" if depth == 0 && is(&tokens, i + 2, ";") => names.push(tokens[i + 1].text.clone()),
            _ => {}
        }
    }
    names
}

/// All Rust files below a folder of the project, with their path in it.
fn sources_below(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// Everything in a source that breaks a rule. `path` is relative to `src`.
fn violations(path: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let module: Vec<String> = match path.trim_end_matches(".rs") {
        "main" | "lib" => Vec::new(),
        name => name.split('/').map(str::to_owned).collect(),
    };
    let mut found = imports(path, &module, &tokens);
    found.extend(words(path, &tokens));
    found.extend(unfinished(path, &tokens));
    found
}

fn imports(path: &str, module: &[String], tokens: &[Token]) -> Vec<String> {
    if path == "lib.rs" {
        return Vec::new();
    }
    let own = module.first().map_or("main", String::as_str);
    let is_bottom = LAYER_0.contains(&own);
    let rule = RULES.iter().find(|(name, _)| *name == own).map(|(_, may)| *may);
    if rule.is_none() && !is_bottom {
        return vec![format!("{path}: no rule for {own}")];
    }
    let allowed = |name: &str| {
        name == own || rule.is_some_and(|may| may.contains(&name)) || (LAYER_0.contains(&name) && own != "main")
    };
    let mut found = Vec::new();
    for (target, line) in paths(tokens, module) {
        match target.first() {
            None => found.push(format!("{path}:{line}: {own} imports everything")),
            Some(name) if !allowed(name) => found.push(format!("{path}:{line}: {own} imports {name}")),
            Some(_) => {}
        }
    }
    found
}

/// Words that only some may say.
fn words(path: &str, tokens: &[Token]) -> Vec<String> {
    let within = |places: &[&str]| {
        places
            .iter()
            .any(|place| path == *place || path == format!("{place}.rs") || path.starts_with(&format!("{place}/")))
    };
    let mut found = Vec::new();
    let mut says = |line: usize, what: &str| found.push(format!("{path}:{line}: {what}"));
    for (i, token) in tokens.iter().enumerate() {
        let called = is(tokens, i + 1, "(");
        let is_macro = is(tokens, i + 1, "!");
        match token.text.as_str() {
            "quinn" if !within(&["net", "relay"]) => says(token.line, "quinn"),
            word if within(&["relay"]) && UNKNOWN_TO_THE_RELAY.contains(&word) => {
                says(token.line, &format!("relay says {word}"));
            }
            "SystemTime" if is(tokens, i + 1, "::") && is(tokens, i + 2, "now") && !within(&CLOCKS) => {
                says(token.line, "SystemTime::now");
            }
            "print" | "println" | "eprint" | "eprintln" if is_macro && !within(&PRINTERS) => says(token.line, "prints"),
            "stdout" | "stderr" if called && !within(&PRINTERS) => says(token.line, "prints"),
            "process" if is(tokens, i + 1, "::") && is(tokens, i + 2, "exit") && path != "main.rs" => {
                says(token.line, "exits");
            }
            _ => {}
        }
    }
    for (target, line) in standard_paths(tokens) {
        match target.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["time", "Instant", ..] if !within(&CLOCKS) => says(line, "std::time::Instant"),
            ["process", "exit" | "abort", ..] if path != "main.rs" => says(line, "exits"),
            _ => {}
        }
    }
    found
}

fn unfinished(path: &str, tokens: &[Token]) -> Vec<String> {
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            word @ ("todo" | "unimplemented" | "dbg") if is(tokens, i + 1, "!") => {
                found.push(format!("{path}:{}: {word}!", token.line));
            }
            "ignore" if i > 0 && is(tokens, i - 1, "[") && is(tokens, i + 1, "]") => {
                found.push(format!("{path}:{}: ignored without a reason", token.line));
            }
            _ => {}
        }
    }
    found
}

/// Where the paths through `crate`, `super` and the library's name lead, seen from `module`.
fn paths(tokens: &[Token], module: &[String]) -> Vec<(Vec<String>, usize)> {
    let (mut found, mut here, mut inline, mut depth) = (Vec::new(), module.to_vec(), Vec::new(), 0);
    let mut i = 0;
    while i < tokens.len() {
        let starts = !(i > 0 && is(tokens, i - 1, "::")) && is(tokens, i + 1, "::");
        match tokens[i].text.as_str() {
            "mod" if is(tokens, i + 2, "{") => {
                inline.push(depth);
                here.push(tokens[i + 1].text.clone());
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                    here.pop();
                }
            }
            "crate" | "qshare" if starts => i = tree(tokens, i + 2, &[], &mut found) - 1,
            "super" | "self" if starts => i = tree(tokens, i, &here, &mut found) - 1,
            _ => {}
        }
        i += 1;
    }
    found
}

fn standard_paths(tokens: &[Token]) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        if is(tokens, i, "std") && is(tokens, i + 1, "::") {
            tree(tokens, i + 2, &[], &mut found);
        }
    }
    found
}

/// Reads a tree of paths that begins at token `i` below `base`; gives the number of the token behind it.
fn tree(tokens: &[Token], mut i: usize, base: &[String], found: &mut Vec<(Vec<String>, usize)>) -> usize {
    let mut path = base.to_vec();
    while let Some(token) = tokens.get(i) {
        match token.text.as_str() {
            "{" => {
                i += 1;
                while i < tokens.len() && !is(tokens, i, "}") {
                    i = tree(tokens, i, &path, found);
                    while i < tokens.len() && !is(tokens, i, ",") && !is(tokens, i, "}") {
                        i += 1; // a renaming
                    }
                    i += usize::from(is(tokens, i, ","));
                }
                return i + 1;
            }
            "super" => {
                path.pop();
            }
            "self" | "*" => {}
            name => path.push(name.to_owned()),
        }
        let line = token.line;
        i += 1;
        if !is(tokens, i, "::") {
            found.push((path, line));
            break;
        }
        i += 1;
    }
    i
}

fn is(tokens: &[Token], i: usize, text: &str) -> bool {
    tokens.get(i).is_some_and(|t| t.text == text)
}

/// A word, `::`, `"` for any string, or another character.
struct Token {
    text: String,
    line: usize,
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut i, mut line) = (Vec::new(), 0, 1);
    while i < chars.len() {
        let begin = i;
        let at = |n: usize| chars.get(begin + n).copied().unwrap_or(' ');
        let word = match (at(0), at(1)) {
            ('/', '/') => {
                i = end_of(&chars, i, "\n");
                None
            }
            ('/', '*') => {
                i = end_of_comment(&chars, i);
                None
            }
            ('r', '"' | '#') if raw_string(&chars, i).is_some() => {
                i = raw_string(&chars, i).unwrap();
                Some("\"".to_owned())
            }
            ('"', _) => {
                i = end_of_string(&chars, i);
                Some("\"".to_owned())
            }
            ('\'', '\\') => {
                i = end_of(&chars, i + 3, "'") + 1;
                None
            }
            ('\'', _) if at(2) == '\'' => {
                i += 3;
                None
            }
            (':', ':') => {
                i += 2;
                Some("::".to_owned())
            }
            (c, _) if c.is_alphanumeric() || c == '_' => {
                while chars.get(i).is_some_and(|c| c.is_alphanumeric() || *c == '_') {
                    i += 1;
                }
                Some(chars[begin..i].iter().collect())
            }
            (c, _) => {
                i += 1;
                (!c.is_whitespace()).then(|| c.to_string())
            }
        };
        found.extend(word.map(|text| Token { text, line }));
        i = i.min(chars.len());
        line += chars[begin..i].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// The place of `end` at or behind `i`.
fn end_of(chars: &[char], i: usize, end: &str) -> usize {
    let end: Vec<char> = end.chars().collect();
    (i..chars.len()).find(|at| chars[*at..].starts_with(&end)).unwrap_or(chars.len())
}

fn end_of_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn end_of_string(chars: &[char], mut i: usize) -> usize {
    i += 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn raw_string(chars: &[char], i: usize) -> Option<usize> {
    let hashes = chars[i + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(i + 1 + hashes) != Some(&'"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    Some(end_of(chars, i + 2 + hashes, &end) + end.len())
}
