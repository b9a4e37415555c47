//! Rust sources of the project as flat lists of tokens, without comments and without the content of strings.

use std::{fs, path::Path, str::FromStr};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A word, `::`, `"` for any literal, or another character.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
}

/// A source file.
pub(crate) struct Source {
    /// Its path below the folder that was read, with `/` between the parts.
    pub(super) path: String,
    pub(super) tokens: Vec<Token>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let stream = TokenStream::from_str(text).unwrap_or_else(|e| panic!("{path} is not Rust: {e}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Self { path: path.to_owned(), tokens }
    }

    /// All Rust files below a folder of the project.
    pub(super) fn all_below(folder: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let (mut sources, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                    sources.push(Self::new(&name, &fs::read_to_string(&path).unwrap()));
                }
            }
        }
        assert!(!sources.is_empty(), "{folder} holds no sources");
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }

    /// The path of the module that the file holds, from the root of its crate.
    pub(super) fn module(&self) -> Vec<String> {
        match self.path.trim_end_matches(".rs") {
            "main" | "lib" | "mod" => Vec::new(),
            name => name.split('/').map(str::to_owned).collect(),
        }
    }

    /// The names of the modules that the file declares and that have files of their own.
    pub(super) fn declared_modules(&self) -> Vec<String> {
        let (mut depth, mut names) = (0, Vec::new());
        for (i, token) in self.tokens.iter().enumerate() {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "mod" if depth == 0 && self.is(i + 2, ";") => names.push(self.tokens[i + 1].text.clone()),
                _ => {}
            }
        }
        names
    }

    /// The names of the variants of an enum.
    pub(crate) fn variants(&self, name: &str) -> Vec<String> {
        let at = (0..self.tokens.len()).find(|&i| self.is(i, "enum") && self.is(i + 1, name) && self.is(i + 2, "{"));
        let mut depth = 0;
        let at_depth_1 = self.tokens[at.unwrap_or_else(|| panic!("{} has no enum {name}", self.path)) + 2..]
            .iter()
            .map_while(|token| {
                let text = token.text.as_str();
                depth += i32::from(matches!(text, "{" | "[" | "(")) - i32::from(matches!(text, "}" | "]" | ")"));
                (depth > 0).then_some((depth, text))
            });
        let is_name = |text: &str| text.starts_with(char::is_alphabetic);
        at_depth_1.filter(|&(depth, text)| depth == 1 && is_name(text)).map(|(_, text)| text.to_owned()).collect()
    }

    /// Whether token `i` is `text`.
    pub(super) fn is(&self, i: usize, text: &str) -> bool {
        self.tokens.get(i).is_some_and(|token| token.text == text)
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let mut is_half_of_path = false;
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |text: &str, line| tokens.push(Token { text: text.to_owned(), line });
        match tree {
            TokenTree::Ident(ident) => push(&ident.to_string(), line),
            TokenTree::Literal(_) => push("\"", line),
            TokenTree::Punct(punct) if punct.as_char() == ':' && is_half_of_path => {
                is_half_of_path = false;
                push("::", line);
                continue;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && punct.spacing() == proc_macro2::Spacing::Joint => {
                is_half_of_path = true;
                continue;
            }
            TokenTree::Punct(punct) => push(&punct.as_char().to_string(), line),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                push(open, line);
                flatten(group.stream(), tokens);
                tokens.push(Token { text: close.to_owned(), line: group.span_close().start().line });
            }
        }
        is_half_of_path = false;
    }
}
