//! Which file of a crate imports which: read from the paths in its sources.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;

/// A path in a source, resolved to the root of its crate.
pub(super) struct Import {
    pub(super) target: Vec<String>,
    pub(super) line: usize,
    /// Whether it is part of a `pub use`: then the module passes the item on and does not depend on it.
    pub(super) is_reexport: bool,
    /// Whether it leads into the library from outside.
    is_of_library: bool,
    /// Whether it is in a module for tests.
    is_for_tests: bool,
}

/// The paths of a source that begin with `crate`, `qshare`, `super`, `self` or a module that the file declares.
pub(super) fn imports(source: &Source) -> Vec<Import> {
    let (mut found, mut here, declared) = (Vec::new(), source.module(), source.declared_modules());
    let (mut depth, mut inline): (usize, Vec<(usize, bool)>) = (0, Vec::new());
    let mut i = 0;
    while let Some(token) = source.tokens.get(i) {
        let is_visibility = i >= 3 && source.is(i - 1, "in") && source.is(i - 2, "(") && source.is(i - 3, "pub");
        let is_continued = i > 0 && source.is(i - 1, "::");
        let starts_path = source.is(i + 1, "::") && !is_continued && !is_visibility;
        let base = match token.text.as_str() {
            "mod" if source.is(i + 2, "{") => {
                let name = &source.tokens[i + 1].text;
                inline.push((depth, name == "tests"));
                here.push(name.clone());
                None
            }
            "{" => {
                depth += 1;
                None
            }
            "}" => {
                depth -= 1;
                if inline.last().is_some_and(|(outside, _)| *outside == depth) {
                    inline.pop();
                    here.pop();
                }
                None
            }
            "crate" | "qshare" if starts_path => Some((i + 2, Vec::new())),
            "super" | "self" if starts_path => Some((i, here.clone())),
            name if starts_path && inline.is_empty() && declared.iter().any(|d| d == name) => Some((i, here.clone())),
            _ => None,
        };
        i = match base {
            Some((first, base)) => {
                let is_reexport =
                    i >= 2 && source.is(i - 1, "use") && (source.is(i - 2, "pub") || source.is(i - 2, ")"));
                let is_of_library = token.text == "qshare";
                let is_for_tests = inline.iter().any(|(_, for_tests)| *for_tests);
                let mut targets = Vec::new();
                let behind = read_tree(source, first, &base, &mut targets);
                found.extend(targets.into_iter().map(|(target, line)| Import {
                    target,
                    line,
                    is_reexport,
                    is_of_library,
                    is_for_tests,
                }));
                behind
            }
            None => i + 1,
        };
    }
    found
}

/// The paths of a source into the standard library.
pub(super) fn standard_paths(source: &Source) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    for i in (0..source.tokens.len()).filter(|i| source.is(*i, "std") && source.is(i + 1, "::")) {
        read_tree(source, i + 2, &[], &mut found);
    }
    found
}

/// Reads a path, or a tree of paths in braces, that begins at token `i` and is relative to `base`. Returns the number
/// of the token behind it.
fn read_tree(source: &Source, mut i: usize, base: &[String], found: &mut Vec<(Vec<String>, usize)>) -> usize {
    let mut path = base.to_vec();
    while let Some(token) = source.tokens.get(i) {
        match token.text.as_str() {
            "{" => {
                i += 1;
                while i < source.tokens.len() && !source.is(i, "}") {
                    i = read_tree(source, i, &path, found);
                    while i < source.tokens.len() && !source.is(i, ",") && !source.is(i, "}") {
                        i += 1; // skips `as NAME`
                    }
                    i += usize::from(source.is(i, ","));
                }
                return i + 1;
            }
            "super" => {
                path.pop();
            }
            "self" | "*" => {}
            name => path.push(name.to_owned()),
        }
        i += 1;
        if !source.is(i, "::") {
            found.push((path, token.line));
            break;
        }
        i += 1;
    }
    i
}

/// The import graph of a crate. A file for tests is no part of it, and a re-export leads to the file that defines the
/// item.
pub(super) struct Graph {
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    pub(super) fn new(sources: &[Source]) -> Self {
        let is_for_tests = |source: &&Source| !source.module().iter().any(|part| part == "tests");
        let sources: Vec<&Source> = sources.iter().filter(is_for_tests).collect();
        let files: BTreeMap<Vec<String>, &str> = sources.iter().map(|s| (s.module(), s.path.as_str())).collect();
        let mut reexports = BTreeMap::new();
        for source in &sources {
            for import in imports(source).into_iter().filter(|import| import.is_reexport) {
                if let Some(name) = import.target.last() {
                    reexports.insert((source.module(), name.clone()), import.target.clone());
                }
            }
        }
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for source in &sources {
            let targets = edges.entry(source.path.clone()).or_default();
            let counts = |import: &Import| !import.is_reexport && !import.is_for_tests && !import.is_of_library;
            for import in imports(source).into_iter().filter(counts) {
                if let Some(file) = resolve(&import.target, &files, &reexports)
                    && file != source.path
                {
                    targets.insert(file.to_owned());
                }
            }
        }
        Self { edges }
    }

    /// The files that import each other, directly or around a circle: one list for each circle.
    pub(super) fn cycles(&self) -> Vec<Vec<&str>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.edges.keys().map(|file| (file.as_str(), self.reach(file))).collect();
        let mut cycles: Vec<Vec<&str>> = Vec::new();
        for (file, reached) in reach.iter().filter(|(file, reached)| reached.contains(*file)) {
            if !cycles.iter().flatten().any(|other| other == file) {
                cycles.push(reached.iter().copied().filter(|other| reach[other].contains(file)).collect());
            }
        }
        cycles
    }

    fn reach<'a>(&'a self, file: &str) -> BTreeSet<&'a str> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![file]);
        while let Some(file) = next.pop() {
            for target in self.edges.get(file).into_iter().flatten() {
                if reached.insert(target.as_str()) {
                    next.push(target);
                }
            }
        }
        reached
    }

    /// The graph as text: a line for each file that imports others.
    pub(super) fn to_text(&self) -> String {
        let line = |(file, targets): (&String, &BTreeSet<String>)| {
            let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
            format!("{file} -> {}\n", targets.join(", "))
        };
        self.edges.iter().filter(|(_, targets)| !targets.is_empty()).map(line).collect()
    }
}

/// The file that defines what a path leads to.
fn resolve<'a>(
    path: &[String],
    files: &BTreeMap<Vec<String>, &'a str>,
    reexports: &BTreeMap<(Vec<String>, String), Vec<String>>,
) -> Option<&'a str> {
    for length in (1..=path.len()).rev() {
        let module = path[..length].to_vec();
        let reexport = path.get(length).and_then(|name| reexports.get(&(module.clone(), name.clone())));
        match (files.get(&module), reexport) {
            (Some(_), Some(target)) if target != path => return resolve(target, files, reexports),
            (Some(file), _) => return Some(file),
            (None, _) => {}
        }
    }
    let is_in_root = path.len() == 1;
    files.get(&Vec::new()).copied().filter(|_| is_in_root)
}
