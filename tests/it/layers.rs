//! The structure of the sources: which module may import which, no import cycles, and words that only some may use.
//!
//! The tests read the sources as tokens, so comments and strings do not count. `cargo test --test it layers --
//! --nocapture` prints the import graph.

mod imports;
pub(crate) mod source;
mod waits;

use std::path::{Path, PathBuf};

use imports::{Graph, imports, standard_paths};
use source::Source;
use waits::bare_waits;

/// Modules that every other module may import, and that import only each other.
const LAYER_0: [&str; 15] = [
    "background",
    "blocking",
    "blocking_write",
    "error",
    "event",
    "code",
    "manifest",
    "text",
    "state",
    "processor",
    "rate_limiter",
    "recent_rate",
    "route",
    "selection",
    "sync",
];

/// What each module may import besides itself and layer 0.
const RULES: [(&str, &[&str]); 11] = [
    ("main", &["run_command_line"]),
    ("cli", &["ui", "client", "transfer", "relay", "net"]),
    ("api", &["client", "transfer", "relay", "net", "disk"]),
    ("client", &["transfer", "relay", "net"]),
    ("ui", &[]),
    ("transfer", &["net", "wire", "crypto", "disk"]),
    ("relay", &["net", "wire"]),
    ("net", &["wire"]),
    ("disk", &[]),
    ("crypto", &[]),
    ("wire", &[]),
];

/// The layers inside `transfer`: which of its folders each folder may not import.
const TRANSFER_RULES: [(&str, &[&str]); 4] = [
    ("session", &["handshake", "sender", "receiver"]),
    ("handshake", &["sender", "receiver"]),
    ("sender", &["receiver"]),
    ("receiver", &["sender"]),
];

/// Words that must not occur in the relay: it cannot reach code that could decrypt content or name a file.
const FORBIDDEN_IN_RELAY: [&str; 5] = ["crypto", "disk", "manifest", "selection", "transfer"];

/// Modules that may read the system's clocks; all others use tokio's clock or an injected one.
const CLOCK_USERS: [&str; 4] = ["net", "state.rs", "transfer/handshake/clock.rs", "cli"];

/// The modules that wait for peers in a session or at a relay.
const WAITERS: [&str; 2] = ["transfer", "relay"];

/// Files that may wait on a peer without `wait_on_peer`, the methods that they may call, and why that is bounded.
const BARE_WAITS: [(&str, &[&str], &str); 9] = [
    ("relay/bridge.rs", &["read_available", "failed"], "reads while it writes; the budget evicts it"),
    ("relay/journal_task.rs", &["write"], "writes a file"),
    ("relay/server.rs", &["write"], "writes a file"),
    ("transfer/handshake/confirm.rs", &["read_frame"], "the callers have a limit"),
    ("transfer/relay_request.rs", &["open_stream", "write", "read_frame"], "a part of an exchange with a limit"),
    ("transfer/sender/accept_loop.rs", &["accept_stream"], "a share waits for receivers, and watches its connection"),
    ("transfer/sender/admission.rs", &["read"], "watches a peer whose turn it is not, beside a wait with a limit"),
    ("transfer/session/reader.rs", &["fill", "read", "skip"], "the users of a session detect stalls"),
    ("transfer/session/writer.rs", &["flush"], "both ends read while they write, and detect stalls"),
];

/// Modules that may write to the standard streams. The one in `disk` writes only content.
const PRINTERS: [&str; 3] = ["ui", "cli/args.rs", "disk/standard_output.rs"];

#[test]
fn imports_go_down_only() {
    let sources = Source::all_below("src");
    assert!(sources.len() > 30, "src holds only {} files", sources.len());
    let broken: Vec<String> = sources.iter().flat_map(violations).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_wait_on_a_peer_has_a_limit() {
    let sources = Source::all_below("src");
    let waiters = sources.iter().filter(|source| WAITERS.contains(&source.module()[..].first().map_or("", |m| m)));
    let is_allowed = |path: &str, method: &str| {
        BARE_WAITS.iter().any(|(file, methods, _)| *file == path && methods.contains(&method))
    };
    let found: Vec<_> = waiters.flat_map(bare_waits).collect();
    let bare: Vec<_> = found.iter().filter(|wait| !is_allowed(&wait.path, &wait.method)).collect();
    assert!(bare.is_empty(), "waits on a peer without `wait_on_peer`: {bare:#?}");
    for (file, methods, _) in BARE_WAITS {
        for method in methods {
            assert!(found.iter().any(|wait| wait.path == file && wait.method == *method), "{file} has no {method}");
        }
    }
}

#[test]
fn bare_waits_are_found() {
    let text = "async fn f() {
        wait_on_peer(LIMIT, [&mut a], b.send_message(&m)).await;
        wait_on_peer(LIMIT, [], async { b.read().await }).await;
        journal.read();
        b.read().await;
        timeout(LIMIT, c.open_stream(x(1))).await;
        c.open_stream(x(1)).await;
    }
    mod tests { async fn g() { b.read().await; } }";
    let found: Vec<usize> = bare_waits(&Source::new("a.rs", text)).into_iter().map(|wait| wait.line).collect();
    assert_eq!(found, [5, 7]);
}

#[test]
fn no_two_files_import_each_other() {
    for folder in ["src", "benches/transfer", "benches/lossy", "benches/resume", "benches/support"] {
        let graph = Graph::new(&Source::all_below(folder));
        println!("{folder}:\n{}", graph.to_text());
        assert_eq!(graph.cycles(), Vec::<Vec<&str>>::new(), "import cycles in {folder}");
    }
}

#[test]
fn cycles_are_found() {
    let cycles = |files: &[(&str, &str)]| {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        Graph::new(&sources).cycles().into_iter().map(|cycle| cycle.join(" ")).collect::<Vec<_>>()
    };
    let (a, b) = ("use super::b::B; struct A;", "fn f() -> crate::x::a::A {}");
    assert_eq!(cycles(&[("x.rs", "mod a; mod b;"), ("x/a.rs", a), ("x/b.rs", b)]), ["x/a.rs x/b.rs"]);
    let reexport = ("x.rs", "mod a; mod b; pub use self::b::B;");
    assert_eq!(cycles(&[reexport, ("x/a.rs", "use crate::x::B; struct A;"), ("x/b.rs", b)]), ["x/a.rs x/b.rs"]);
    assert!(cycles(&[reexport, ("x/a.rs", "use crate::x::B;"), ("x/b.rs", "struct B;")]).is_empty());
    let helper = ("x.rs", "mod a; fn f() { a::g() } pub(crate) fn helper() {}");
    assert_eq!(cycles(&[helper, ("x/a.rs", "use super::helper;")]), ["x.rs x/a.rs"]);
    let in_tests = "mod tests { use crate::x::a::A; }";
    assert!(cycles(&[("x.rs", "mod a; mod b;"), ("x/a.rs", a), ("x/b.rs", in_tests)]).is_empty());
}

#[test]
fn every_rule_can_fail() {
    for (path, text, why) in [
        ("main.rs", "fn main() { qshare::transfer::run() }", "main imports transfer"),
        ("ui/bars.rs", "use crate::transfer::Events;", "ui imports transfer"),
        ("ui/bars.rs", "use crate::{\n    event::{self, Event},\n    net,\n};", "ui imports net"),
        ("client/share_relay.rs", "use crate::ui;", "client imports ui"),
        ("api/share.rs", "use crate::cli::console;", "api imports cli"),
        ("transfer/backoff.rs", "use crate::relay;", "transfer imports relay"),
        ("transfer/backoff.rs", "fn f() { crate::ui::log(1) }", "transfer imports ui"),
        ("transfer.rs", "use super::cli;", "transfer imports cli"),
        ("transfer/backoff.rs", "use super::{super::ui::Ui, session};", "transfer imports ui"),
        ("transfer/sender/share.rs", "use crate::transfer::receiver::X;", "transfer/sender imports transfer/receiver"),
        ("transfer/receiver/offer.rs", "use super::super::sender::X;", "transfer/receiver imports transfer/sender"),
        ("transfer/session.rs", "use super::handshake;", "transfer/session imports transfer/handshake"),
        ("relay/server.rs", "use crate::net;\nuse crate::manifest::Head;", "relay names manifest"),
        ("relay/server.rs", "fn f(disk: u8) {}", "relay names disk"),
        ("net/tls.rs", "mod x { use super::super::super::crypto; }", "net imports crypto"),
        ("disk/sink.rs", "use crate::{error::Kind, wire::Frame};", "disk imports wire"),
        ("crypto/pake.rs", "use crate::wire;", "crypto imports wire"),
        ("wire/peer.rs", "use crate::crypto;", "wire imports crypto"),
        ("code.rs", "use crate::net;", "code imports net"),
        ("code.rs", "use crate::*;", "code imports everything"),
        ("nowhere.rs", "", "no rule for nowhere"),
        ("transfer/backoff.rs", "fn f(c: quinn::Connection) {}", "quinn"),
        ("transfer/backoff.rs", "use std::time::{Duration, Instant};", "std::time::Instant"),
        ("disk/scan.rs", "use std::time;\nfn f() { time::SystemTime::now(); }", "SystemTime::now"),
        ("transfer/backoff.rs", "fn f() { println!(\"x\") }", "prints"),
        ("relay/server.rs", "fn f() { std::io::stderr().flush() }", "prints"),
        ("cli.rs", "use std::process;\nfn f() { process::exit(1) }", "exits"),
        ("cli.rs", "use std::process::{Command, exit};", "exits"),
        ("cli.rs", "fn f() { todo!() }", "todo!"),
        ("cli.rs", "fn f() { unimplemented!() }", "unimplemented!"),
        ("cli.rs", "fn f() { dbg!(1); }", "dbg!"),
        ("cli.rs", "#[ignore]\nfn f() {}", "ignored without a reason"),
    ] {
        let found = violations(&Source::new(path, text));
        assert!(found.iter().any(|violation| violation.contains(why)), "{path}: {text}\n{found:?}");
    }
}

#[test]
fn allowed_imports_pass() {
    for (path, text) in [
        ("transfer/backoff.rs", "use super::{session, super::net};\nuse crate::{disk, wire::{self, Frame}};"),
        ("transfer/backoff.rs", "//! [`crate::ui`]\n/* crate::cli /* */ quinn */ const X: &str = \"crate::ui quinn\";"),
        ("transfer/backoff.rs", "const A: char = '\"'; const B: &str = r#\"\"crate::ui\"#; fn f<'a>(x: &'a u8) {}"),
        ("transfer/backoff.rs", "mod tests { use super::super::session; use super::*; }"),
        ("transfer/sender/share.rs", "use crate::transfer::{handshake, session::SessionWriter};"),
        ("transfer/handshake/clock.rs", "fn f() { std::time::SystemTime::now(); }"),
        ("transfer/backoff.rs", "use tokio::time::Instant;\nfn f() { Instant::now(); }"),
        ("net/tls.rs", "use quinn::Endpoint;\nfn f() { std::time::Instant::now(); }"),
        ("ui.rs", "fn f() { println!(\"x\"); std::io::stdout(); }"),
        ("cli/args.rs", "#[ignore = \"slow\"]\nfn f() { e.print(); }"),
        ("main.rs", "fn main() { std::process::exit(qshare::run_command_line()) }"),
    ] {
        assert_eq!(violations(&Source::new(path, text)), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn every_file_is_part_of_the_build() {
    for (folder, roots) in
        [("src", vec!["main.rs", "lib.rs"]), ("tests/it", vec!["main.rs"]), ("tests/vnet", vec!["mod.rs"])]
    {
        let sources = Source::all_below(folder);
        let declared: Vec<PathBuf> = sources
            .iter()
            .flat_map(|source| {
                let within: PathBuf = source.module().iter().collect();
                source.declared_modules().into_iter().map(move |name| within.join(name))
            })
            .collect();
        for source in sources.iter().filter(|source| !roots.contains(&source.path.as_str())) {
            let module = Path::new(source.path.trim_end_matches(".rs"));
            assert!(declared.iter().any(|path| path == module), "no module declares {folder}/{}", source.path);
        }
    }
    let source = Source::new("x.rs", "#[a(b)] enum E { /// A\n A, #[c] B { d: D }, C(F, G), H = 1 }");
    assert_eq!(source.variants("E"), ["A", "B", "C", "H"]);
    let source = Source::new("x.rs", "mod a;\npub(crate) mod b;\n// mod c;\nmod d { mod e; }");
    assert_eq!(source.declared_modules(), ["a", "b"]);
}

/// What a user of the library has to learn.
const MAX_PUBLIC_ITEMS: usize = 60;

#[test]
fn the_interface_of_the_library_is_small_and_the_examples_use_nothing_else() {
    let interface = Source::all_below("src").into_iter().filter(|source| {
        let elsewhere = ["error.rs", "disk/conflict.rs", "event/payload.rs"];
        source.path.starts_with("api/") || elsewhere.contains(&source.path.as_str())
    });
    let mut items = Vec::new();
    for source in interface {
        let exported = |name: &str| match source.path.as_str() {
            "disk/conflict.rs" => name == "ConflictPolicy",
            "event/payload.rs" => name == "ListedEntry",
            _ => true,
        };
        items.extend(public_items(&source).into_iter().filter(|name| exported(name)));
    }
    for expected in ["Share", "next_event", "Kind", "ListedEntry", "Result"] {
        assert!(items.iter().any(|name| name == expected), "{expected}");
    }
    assert!(items.len() <= MAX_PUBLIC_ITEMS, "{} items: {items:?}", items.len());
    for example in Source::all_below("examples") {
        assert!(!example.tokens.iter().any(|token| token.text == "internals"), "{}", example.path);
    }
}

/// The names of the public types and functions in a source.
fn public_items(source: &Source) -> Vec<String> {
    let name_after = |i: usize| match source.tokens.get(i + 1)?.text.as_str() {
        "struct" | "enum" | "type" | "trait" | "fn" => Some(i + 2),
        "async" | "const" if source.is(i + 2, "fn") => Some(i + 3),
        _ => None,
    };
    let items = source.tokens.iter().enumerate().filter(|(_, token)| token.text == "pub");
    items.filter_map(|(i, _)| Some(source.tokens.get(name_after(i)?)?.text.clone())).collect()
}

#[test]
fn no_test_is_unfinished() {
    for source in Source::all_below("tests/it").into_iter().chain(Source::all_below("tests/vnet")) {
        assert_eq!(unfinished(&source), Vec::<String>::new());
    }
}

#[test]
fn the_network_in_memory_imports_nothing_of_its_users() {
    for source in Source::all_below("tests/vnet") {
        assert!(!imports_crate_root(&source), "tests/vnet/{} imports from the crate that includes it", source.path);
    }
    assert!(imports_crate_root(&Source::new("x.rs", "pub(crate) use crate::support::World;")));
    assert!(!imports_crate_root(&Source::new("x.rs", "pub(crate) fn f() {} pub(super) use super::x;")));
}

fn imports_crate_root(source: &Source) -> bool {
    (0..source.tokens.len()).any(|i| source.is(i, "crate") && source.is(i + 1, "::"))
}

/// Everything in a source below `src` that breaks a rule.
fn violations(source: &Source) -> Vec<String> {
    let mut found = forbidden_imports(source);
    found.extend(forbidden_words(source));
    found.extend(unfinished(source));
    found
}

fn forbidden_imports(source: &Source) -> Vec<String> {
    let path = &source.path;
    if path == "lib.rs" || path == "internals.rs" {
        return Vec::new();
    }
    let module = source.module();
    let own = module.first().map_or("main", String::as_str);
    let rule = RULES.iter().find(|(name, _)| *name == own).map(|(_, may)| *may);
    if rule.is_none() && !LAYER_0.contains(&own) {
        return vec![format!("{path}: no rule for {own}")];
    }
    let is_allowed = |name: &str| {
        name == own || rule.is_some_and(|may| may.contains(&name)) || (LAYER_0.contains(&name) && own != "main")
    };
    let forbidden_siblings = |name: &str| {
        let folder = module.get(1).filter(|_| own == "transfer")?;
        let (folder, forbidden) = TRANSFER_RULES.iter().find(|(rule, _)| rule == folder)?;
        forbidden.contains(&name).then_some(*folder)
    };
    let mut found = Vec::new();
    for import in imports(source) {
        let line = import.line;
        match import.target.first() {
            None => found.push(format!("{path}:{line}: {own} imports everything")),
            Some(name) if !is_allowed(name) => found.push(format!("{path}:{line}: {own} imports {name}")),
            Some(_) => {}
        }
        if let [transfer, sibling, ..] = &import.target[..]
            && transfer == "transfer"
            && let Some(folder) = forbidden_siblings(sibling)
        {
            found.push(format!("{path}:{line}: transfer/{folder} imports transfer/{sibling}"));
        }
    }
    found
}

/// Words that only some modules may use.
fn forbidden_words(source: &Source) -> Vec<String> {
    let path = &source.path;
    let is_within = |places: &[&str]| {
        places
            .iter()
            .any(|place| path == place || *path == format!("{place}.rs") || path.starts_with(&format!("{place}/")))
    };
    let mut found = Vec::new();
    let mut report = |line: usize, what: &str| found.push(format!("{path}:{line}: {what}"));
    for (i, token) in source.tokens.iter().enumerate() {
        let is_call = source.is(i + 1, "(");
        let is_macro = source.is(i + 1, "!");
        match token.text.as_str() {
            "quinn" if !is_within(&["net", "relay"]) => report(token.line, "quinn"),
            word if is_within(&["relay"]) && FORBIDDEN_IN_RELAY.contains(&word) => {
                report(token.line, &format!("relay names {word}"));
            }
            "SystemTime" if source.is(i + 1, "::") && source.is(i + 2, "now") && !is_within(&CLOCK_USERS) => {
                report(token.line, "SystemTime::now");
            }
            "print" | "println" | "eprint" | "eprintln" if is_macro && !is_within(&PRINTERS) => {
                report(token.line, "prints");
            }
            "stdout" | "stderr" if is_call && !is_within(&PRINTERS) => report(token.line, "prints"),
            "process" if source.is(i + 1, "::") && source.is(i + 2, "exit") && path != "main.rs" => {
                report(token.line, "exits");
            }
            _ => {}
        }
    }
    for (target, line) in standard_paths(source) {
        match target.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["time", "Instant", ..] if !is_within(&CLOCK_USERS) => report(line, "std::time::Instant"),
            ["process", "exit" | "abort", ..] if path != "main.rs" => report(line, "exits"),
            _ => {}
        }
    }
    found
}

/// Macros for unfinished code, and tests that are ignored without a reason.
fn unfinished(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (i, token) in source.tokens.iter().enumerate() {
        match token.text.as_str() {
            word @ ("todo" | "unimplemented" | "dbg") if source.is(i + 1, "!") => {
                found.push(format!("{}:{}: {word}!", source.path, token.line));
            }
            "ignore" if i > 0 && source.is(i - 1, "[") && source.is(i + 1, "]") => {
                found.push(format!("{}:{}: ignored without a reason", source.path, token.line));
            }
            _ => {}
        }
    }
    found
}
