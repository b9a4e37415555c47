//! The translation of the README: everything that a reader types or clicks is as in the original.

use std::collections::BTreeSet;

use super::document::{Block, Document};

/// The README and its translation.
const READMES: [&str; 2] = ["README.md", "README.pt-BR.md"];

/// Returns the links that do not depend on the language: neither to a heading of the same page, nor to the other
/// README.
fn common_links(section: &Document) -> BTreeSet<String> {
    let links = section.links().into_iter().map(|(_, link)| link);
    links.filter(|link| !link.starts_with('#') && !READMES.contains(&link.as_str())).collect()
}

/// Returns the numbers in tables, without separators, in ascending order.
fn numbers(section: &Document) -> Vec<String> {
    let rows = section.text.lines().filter(|line| line.starts_with('|'));
    let words = rows.flat_map(|row| row.split(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ',')));
    let mut numbers: Vec<_> = words.map(|word| word.replace(['.', ','], "")).filter(|word| !word.is_empty()).collect();
    numbers.sort();
    numbers
}

#[test]
fn the_translation_has_the_commands_and_the_structure_of_the_readme() {
    let [original, translated] = READMES.map(|path| Document::read(path).sections());
    let levels = |sections: &[(usize, Document)]| sections.iter().map(|(level, _)| *level).collect::<Vec<_>>();
    assert_eq!(levels(&translated), levels(&original));
    for ((_, original), (_, translated)) in original.iter().zip(&translated) {
        let heading = original.text.lines().next().unwrap_or_default();
        assert_eq!(common_links(translated), common_links(original), "links in “{heading}”");
        assert_eq!(translated.code_spans(), original.code_spans(), "code in “{heading}”");
        assert_eq!(numbers(translated), numbers(original), "tables in “{heading}”");
        let [original, translated] = [original, translated].map(Document::blocks);
        assert_eq!(translated.len(), original.len(), "blocks in “{heading}”");
        for (original, translated) in original.iter().zip(&translated) {
            let key = |block: &Block| (block.language.clone(), block.marker.clone());
            assert_eq!(key(translated), key(original), "“{heading}”");
            assert_eq!(translated.commands(), original.commands(), "“{heading}”");
        }
    }
}

#[test]
fn the_readmes_link_to_each_other_at_the_top() {
    for [path, other] in [READMES, [READMES[1], READMES[0]]] {
        let links = Document::read(path).links();
        assert!(links.iter().any(|(line, link)| *line <= 8 && link == other), "{path}: {links:?}");
    }
}
