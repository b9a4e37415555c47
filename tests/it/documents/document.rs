//! A document in Markdown: its fenced blocks, links and anchors.

use std::{collections::BTreeSet, fs};

use super::{read, root};

/// The documents outside of the folder `docs`.
const OUTSIDE_OF_DOCS: [&str; 6] =
    ["README.md", "README.pt-BR.md", "CONTRIBUTING.md", "RELEASING.md", "packaging/README.md", "certs/README.md"];

/// A document of the checkout.
pub(super) struct Document {
    /// Its path in the checkout.
    pub(super) path: String,
    pub(super) text: String,
}

/// A fenced block.
pub(super) struct Block {
    /// The number of the line with the fence.
    pub(super) line: usize,
    pub(super) language: String,
    pub(super) marker: Option<Marker>,
    pub(super) text: String,
}

/// The comment in the line before a block, which says how its commands run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Marker {
    /// `<!-- not run: REASON -->`
    NotRun(String),
    /// `<!-- run: SETUP, SETUP -->`
    Run(Vec<Setup>),
}

/// What a block needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Setup {
    /// `with a share of PATH`: a sender shares it.
    Share(String),
    /// `with a relay`
    Relay,
    /// `with a receiver`: a receiver downloads what the command shares.
    Receiver,
    /// `as one script`: its lines depend on each other.
    Script,
}

impl Setup {
    fn parse(text: &str, place: &str) -> Self {
        match text {
            "with a relay" => Self::Relay,
            "with a receiver" => Self::Receiver,
            "as one script" => Self::Script,
            _ => match text.strip_prefix("with a share of ") {
                Some(path) => Self::Share(path.to_owned()),
                None => panic!("{place}: unknown marker “{text}”"),
            },
        }
    }
}

impl Marker {
    fn parse(line: &str, place: &str) -> Option<Self> {
        let comment = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
        if let Some(reason) = comment.strip_prefix("not run: ") {
            return Some(Self::NotRun(reason.to_owned()));
        }
        let setups = comment.strip_prefix("run: ")?;
        Some(Self::Run(setups.split(", ").map(|setup| Setup::parse(setup, place)).collect()))
    }
}

impl Block {
    /// Returns its lines without comments.
    pub(super) fn commands(&self) -> Vec<&str> {
        let lines = self.text.lines().map(|line| line.split(" #").next().unwrap().trim_end());
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
    }
}

impl Document {
    pub(super) fn new(path: &str, text: String) -> Self {
        Self { path: path.to_owned(), text }
    }

    pub(super) fn read(path: &str) -> Self {
        Self::new(path, read(path))
    }

    /// Reads all documents whose commands run.
    pub(super) fn all() -> Vec<Self> {
        let mut paths = OUTSIDE_OF_DOCS.map(str::to_owned).to_vec();
        for entry in fs::read_dir(root().join("docs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            paths.extend(name.ends_with(".md").then(|| format!("docs/{name}")));
        }
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Returns the fenced blocks.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut before) = (Vec::new(), "");
        let mut lines = self.text.lines().enumerate();
        while let Some((n, line)) = lines.next() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                let content = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
                let text = content.collect::<Vec<_>>().join("\n");
                let marker = Marker::parse(before, &format!("{}:{n}", self.path));
                blocks.push(Block { line: n + 1, language: language.to_owned(), marker, text });
            }
            before = line;
        }
        blocks
    }

    /// Returns the lines outside of blocks, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_block = false;
        self.text.lines().enumerate().filter_map(move |(n, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_block ^= is_fence;
            (!is_block && !is_fence).then_some((n + 1, line))
        })
    }

    /// Returns the targets of links and pictures, with the numbers of their lines.
    pub(super) fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for (n, line) in self.prose() {
            for (before, after) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
                let targets = line.split(before).skip(1).filter_map(|rest| rest.split_once(after));
                links.extend(targets.map(|(target, _)| (n, target.to_owned())));
            }
        }
        links
    }

    /// Splits the text into what precedes the first heading and one section for each heading, with its level: the
    /// number of `#`, and 0 for the start.
    pub(super) fn sections(&self) -> Vec<(usize, Self)> {
        let mut sections = vec![(0, Self::new(&self.path, String::new()))];
        let mut is_block = false;
        for line in self.text.lines() {
            is_block ^= line.trim_start().starts_with("```");
            if line.starts_with('#') && !is_block {
                let level = line.chars().take_while(|c| *c == '#').count();
                sections.push((level, Self::new(&self.path, String::new())));
            }
            let (_, section) = sections.last_mut().unwrap();
            section.text += line;
            section.text.push('\n');
        }
        sections
    }

    /// Returns the code spans. One that is broken over two lines counts as one line.
    pub(super) fn code_spans(&self) -> BTreeSet<String> {
        let lines: Vec<_> = self.prose().map(|(_, line)| line.trim()).collect();
        lines.join(" ").split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// Returns the anchors of its headings, as GitHub forms them.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let headings =
            self.prose().filter_map(|(_, line)| Some(line.strip_prefix('#')?.trim_start_matches('#').trim()));
        headings.map(anchor).collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn blocks_markers_links_and_anchors_are_found() {
    let text = "# A `b`: c\n[x](y.md#z) <img src=\"p.svg\">\n<!-- run: with a relay, as one script -->\n```sh\nls\n[q](r)\n```\n";
    let document = Document::new("x.md", text.to_owned());
    assert_eq!(document.anchors(), BTreeSet::from(["a-b-c".to_owned()]));
    assert_eq!(document.links(), [(2, "y.md#z".to_owned()), (2, "p.svg".to_owned())]);
    let levels: Vec<_> = document.sections().iter().map(|(level, _)| *level).collect();
    assert_eq!((levels, document.code_spans()), (vec![0, 1], BTreeSet::from(["b".to_owned()])));
    let blocks = document.blocks();
    let [Block { line: 4, language, marker: Some(Marker::Run(setups)), text }] = &blocks[..] else { panic!() };
    assert_eq!((language.as_str(), text.as_str()), ("sh", "ls\n[q](r)"));
    assert_eq!(setups, &[Setup::Relay, Setup::Script]);
}
