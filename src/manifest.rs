//! The manifest of a share: its files, folders and links, with paths that are safe by construction.
//!
//! Both ends build a [`Manifest`] with a [`ManifestBuilder`], the sender from a scan and the receiver from the wire. So
//! the same rules hold for both: every path is a [`SafePath`], no path occurs twice, the parent of every entry is a
//! folder that precedes it, and no link leads out of the share.

mod auto_run;
mod builder;
mod contents;
mod digest;
mod entries;
mod entry;
mod entry_row;
mod entry_table;
mod file_failure;
mod left_out;
mod limits;
mod link_target;
mod manifest_error;
mod path_index;
mod raw_entry;
mod reserved_name;
mod safe_path;
mod selected;
mod selected_entries;
mod share_id;
mod share_kind;
mod windows_name;

pub use self::{
    auto_run::runs_automatically,
    builder::ManifestBuilder,
    contents::{Manifest, ManifestHeader},
    digest::ManifestDigest,
    entries::Entries,
    entry::{Entry, EntryKind, Mtime},
    entry_row::EntryRow,
    file_failure::FileFailure,
    left_out::{LeftOut, LeftOutReason},
    limits::{MAX_ENTRIES, MAX_TEXT_BYTES},
    link_target::{LinkTargetError, check_link_target},
    manifest_error::ManifestError,
    raw_entry::RawEntry,
    reserved_name::{RESERVED_PREFIX, is_reserved},
    safe_path::{PathError, SafePath},
    share_id::ShareId,
    share_kind::ShareKind,
    windows_name::is_device_name,
};
