//! The compact storage of a manifest's entries.
//!
//! A manifest has up to a million entries, and a sender holds it for days. So an entry takes 32 bytes, plus its name
//! and its link target. Its path follows from the names of the folders above it.

use super::{
    entry::{Entry, EntryKind, Mtime},
    safe_path::SafePath,
};

/// The parent of a top-level entry.
const NO_PARENT: u32 = u32::MAX;

/// The entries of a manifest, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EntryTable {
    rows: Vec<Row>,
    /// The concatenated names and link targets of all rows, bounded by [`MAX_TEXT`](super::limits::MAX_TEXT).
    text: String,
}

/// One entry. The order of the fields avoids padding.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// The size of a file whose size is known.
    size: u64,
    mtime_seconds: i64,
    mtime_nanos: u32,
    parent: u32,
    /// The end of the name and the target in the text.
    text_end: u32,
    /// The permission bits, and [`HAS_MTIME`].
    flags: u16,
    name_length: u8,
    tag: RowTag,
}

/// The flag of a row that has a modification time.
const HAS_MTIME: u16 = 1 << 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowTag {
    File,
    FileOfUnknownSize,
    Folder,
    Link,
}

impl EntryTable {
    /// Appends an entry. `parent` is the index of its folder.
    pub(super) fn push(&mut self, parent: Option<usize>, entry: &Entry) {
        let name = entry.path.name();
        self.text.push_str(name);
        self.text.push_str(entry.target().unwrap_or_default());
        let tag = match entry.kind {
            EntryKind::File { size: Some(_), .. } => RowTag::File,
            EntryKind::File { size: None, .. } => RowTag::FileOfUnknownSize,
            EntryKind::Folder => RowTag::Folder,
            EntryKind::Link { .. } => RowTag::Link,
        };
        let mtime = entry.mtime.unwrap_or(Mtime { seconds: 0, nanos: 0 });
        self.rows.push(Row {
            size: entry.size().unwrap_or(0),
            mtime_seconds: mtime.seconds,
            mtime_nanos: mtime.nanos,
            parent: parent.map_or(NO_PARENT, |index| index as u32),
            text_end: self.text.len() as u32,
            flags: (entry.mode & 0o777) as u16 | entry.mtime.map_or(0, |_| HAS_MTIME),
            name_length: name.len() as u8, // `SafePath` limits it to 255 bytes
            tag,
        });
    }

    /// Appends row `index` of another table. `parent` is the index of its folder in this one.
    pub(super) fn copy_row(&mut self, other: &Self, index: usize, parent: Option<usize>) {
        let row = &other.rows[index];
        self.text.push_str(&other.text[other.text_start(index)..row.text_end as usize]);
        let parent = parent.map_or(NO_PARENT, |index| index as u32);
        self.rows.push(Row { parent, text_end: self.text.len() as u32, ..row.clone() });
    }

    /// Releases unused memory.
    pub(super) fn shrink(&mut self) {
        self.rows.shrink_to_fit();
        self.text.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn tag(&self, index: usize) -> RowTag {
        self.rows[index].tag
    }

    pub(super) fn parent(&self, index: usize) -> Option<usize> {
        Some(self.rows[index].parent).filter(|parent| *parent != NO_PARENT).map(|parent| parent as usize)
    }

    pub(super) fn name(&self, index: usize) -> &str {
        let start = self.text_start(index);
        &self.text[start..start + usize::from(self.rows[index].name_length)]
    }

    /// Returns the target of a link; empty for any other entry.
    pub(super) fn target(&self, index: usize) -> &str {
        let row = &self.rows[index];
        &self.text[self.text_start(index) + usize::from(row.name_length)..row.text_end as usize]
    }

    pub(super) fn size(&self, index: usize) -> Option<u64> {
        let row = &self.rows[index];
        (row.tag != RowTag::FileOfUnknownSize).then_some(row.size)
    }

    pub(super) fn mode(&self, index: usize) -> u32 {
        u32::from(self.rows[index].flags & !HAS_MTIME)
    }

    /// Returns entry number `index`, whose path is `path`.
    pub(super) fn entry(&self, index: usize, path: SafePath) -> Entry {
        let row = &self.rows[index];
        let kind = match row.tag {
            RowTag::File | RowTag::FileOfUnknownSize => EntryKind::File { size: self.size(index) },
            RowTag::Folder => EntryKind::Folder,
            RowTag::Link => EntryKind::Link { target: self.target(index).to_owned() },
        };
        let mtime = Mtime { seconds: row.mtime_seconds, nanos: row.mtime_nanos };
        Entry { path, kind, mode: self.mode(index), mtime: (row.flags & HAS_MTIME != 0).then_some(mtime) }
    }

    fn text_start(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.rows[before].text_end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_32_bytes() {
        assert_eq!(size_of::<Row>(), 32);
    }
}
