//! The file system at both ends: the files that a sender shares, and the folder that a download is saved to. Also the
//! standard streams as source and destination of content.
//!
//! All operations block. Asynchronous callers run them on a thread for blocking work.
//!
//! # The sender: from the disk to the stream
//!
//! ```text
//! paths ─▶ SharedRoot ─▶ Scan ─▶ Source (manifest, file ids) ─▶ SourceFile ─▶ SharedRead ─▶ stream
//! ```
//!
//! A [`Source`] is the result of one scan: the manifest, an id of every entry (device and inode), and a list of what
//! cannot be shared. [`Source::open`] returns a [`SourceFile`], which reads one file for one download. Its size and
//! mtime must be those of the scan, but a file that has only grown is read up to its announced size. If any metadata
//! has changed after the last byte, the content is hashed again and compared, so no mixture of two versions is sent.
//! Files without a size, such as those in `/proc`, are read by the scan.
//!
//! Downloads that read the same version of a file at the same time share one read and one hasher
//! ([`SharedReads`](shared_read::SharedReads)). The BLAKE3 hash of a file is computed while it is read, and follows its
//! content on the stream.
//!
//! # The receiver: from the stream to the final name
//!
//! ```text
//! --out, names, conflicts, space ─▶ Plan
//!                                    │
//!                                    ▼
//!                          stream ─▶ Sink ─▶ IncomingFile ─▶ staging folder ─▶ Publisher ─▶ final names
//! ```
//!
//! A [`Plan`] makes every check that is possible before the first byte: it tries on the target's disk what that cannot
//! hold of the share ([`DiskLimit`]), the [`ConflictPolicy`] allows all conflicts, and there is enough space. A
//! [`Sink`] writes the blocks of one file after the other into the staging folder, hashes them, and compares the hash
//! at the end of each file. No file gets its final name before all files are verified. Then the publisher moves each
//! top-level entry to its final name by one rename. A rename replaces an existing target only if the policy allows it.
//!
//! # Staging and resuming
//!
//! The staging folder `.qshare-….part` is beside the final names, on the same file system; `staging_layout.rs` shows
//! its content. A lock prevents two downloads of the same share from using it. If a download ends before it is
//! published and has staged a complete file or a whole group, the folder remains. It is the only record that the next
//! download of the share needs:
//!
//! - **Content** resumes in groups of 1 MiB ([`GROUP_SIZE`]). The receiver hashes the complete files and the whole
//!   groups that are staged, and offers the hashes to the sender in pages ([`StagedHasher`]). The sender hashes its own
//!   files at the same time and continues each one at the first group that differs ([`Comparison`]). Each end uses all
//!   of its processors, and stores the hashes of a few pages and the root of each complete subtree, whatever the size
//!   of a file.
//! - **Final names** resume from the journal. It is written before the first rename and identifies each entry by inode
//!   and birth time. Entries that already have their final name are not downloaded again, and are not conflicts.
//!
//! - **Files that the sender could not send** are missing after a download that is otherwise published. The staging
//!   folder then holds a record of the saved entries. The next download of the share merges into the folders that were
//!   saved, and replaces files that have not been changed since.
//!
//! # Pipes
//!
//! A sender can share an [`InputPipe`], which is read once while it is sent. A receiver can write to an [`OutputSink`]
//! instead of a [`Sink`]: to standard output, or to memory for a text. Both are [`ContentSink`]s. An output has neither
//! staging nor final names, so no later download continues it.
//!
//! # Links
//!
//! Another process that replaces files or folders with links during a transfer cannot redirect it. The receiver follows
//! no link below the target folder. The sender follows no link that has replaced a path that the user named, and no
//! link out of a shared folder unless the user wants it ([`LinkPolicy::Follow`]); then it sends only the files that the
//! scan has found.

mod accepted;
mod attributes;
mod block_cache;
mod comparison;
mod conflict;
mod conflict_resolver;
mod content_sink;
mod disk_limit;
mod disk_usage;
mod durability;
mod earlier_download;
mod entry_filter;
mod errors;
mod file_order;
mod fingerprint;
mod followed_link;
mod free_space;
mod group_hasher;
mod group_reader;
mod groups;
mod hash_progress;
mod ignore_rules;
mod incoming_file;
mod input_pipe;
mod journal;
mod left_out_paths;
mod move_by_copy;
mod numbered_name;
mod offered_files;
mod open_options;
mod other_disks;
mod output_sink;
mod own_files;
mod plan;
mod publisher;
mod read_at;
mod rehearsal;
mod rename;
mod rooted_dir;
mod saved_entries;
mod scan;
mod scan_options;
mod scanned_entries;
mod scanned_root;
mod shared_read;
mod shared_root;
mod similar_names;
mod sink;
mod source;
mod source_file;
mod space;
mod sparse_file;
mod staged_downloads;
mod staged_files;
mod staged_hasher;
mod staging;
mod staging_layout;
mod standard_output;
mod standard_stream;
mod stream_limit;
mod tar_header;
mod target;
#[cfg(all(test, unix))]
mod tests;
mod trial_disk;
mod unsized_content;

pub(crate) use self::{
    comparison::{Comparison, ComparisonState},
    content_sink::ContentSink,
    disk_limit::DiskLimit,
    earlier_download::EarlierDownload,
    groups::{GROUP_SIZE, GroupHash, group_count},
    hash_progress::{CancelOnDrop, HashProgress},
    input_pipe::OpenPipe,
    output_sink::OutputSink,
    plan::Plan,
    publisher::{FailedFile, PublishedDownload},
    sink::Sink,
    source_file::{SourceError, SourceFile},
    staged_files::StagedFile,
    staged_hasher::{GroupPage, StagedHasher},
};
pub use self::{
    conflict::{Conflict, ConflictPolicies, ConflictPolicy},
    input_pipe::InputPipe,
    left_out_paths::LeftOutPath,
    output_sink::OutputForm,
    scan_options::{LinkPolicy, ScanOptions},
    source::Source,
    staged_downloads::StagedDownload,
    standard_output::StandardOutput,
};
