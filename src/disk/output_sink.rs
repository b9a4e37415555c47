//! Writes a download to standard output or memory: the content of one file, or all entries as a tar stream.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use super::{
    content_sink::ContentSink,
    errors::protocol_violation,
    file_order::{FailedPart, FileOrder},
    publisher::{FailedFile, PublishedDownload},
    stream_limit::too_large,
    tar_header,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, EntryRow, FileFailure, Manifest},
    text::{bytes, system_message},
};

/// The form of a download that is written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputForm {
    /// The content of the only file.
    Content,
    /// All entries, with their names.
    Tar,
}

/// A running download to standard output or memory. What is written cannot be taken back, so a file that fails after
/// its start ends the download.
#[derive(Debug)]
pub(crate) struct OutputSink<W> {
    manifest: Arc<Manifest>,
    form: OutputForm,
    out: W,
    /// The maximum number of bytes of a file of unknown size.
    max_size: Option<u64>,
    order: FileOrder,
    /// The hash of the current file.
    hasher: blake3::Hasher,
    /// The folders and links before this entry are in the tar stream.
    next: usize,
}

impl<W: Write + Send + 'static> OutputSink<W> {
    /// Creates a sink for all entries of `manifest`.
    ///
    /// # Errors
    /// [`Kind::Usage`] if `form` is [`OutputForm::Content`] and there is not exactly one file, or [`OutputForm::Tar`]
    /// and a size is unknown. [`Kind::Disk`] if the files exceed `max_size`.
    pub(crate) fn new(manifest: Arc<Manifest>, form: OutputForm, out: W, max_size: Option<u64>) -> Result<Self> {
        check_form(&manifest, form)?;
        match (manifest.bytes(), max_size) {
            (Some(size), Some(max)) if size > max => return Err(too_large(Some(size), max)),
            _ => {}
        }
        let order = FileOrder::new(manifest.len(), manifest.files());
        Ok(Self { manifest, form, out, max_size, order, hasher: blake3::Hasher::new(), next: 0 })
    }

    /// Writes the headers of the folders and links up to entry `end`, as far as they are not written yet.
    fn write_headers_before(&mut self, end: usize) -> Result<()> {
        let manifest = Arc::clone(&self.manifest);
        let due = (self.next..end).filter_map(|index| manifest.row(index)).filter(|row| !row.is_file());
        due.map(EntryRow::to_entry).try_for_each(|entry| self.write_headers(&entry))?;
        self.next = self.next.max(end);
        Ok(())
    }

    fn write_headers(&mut self, entry: &Entry) -> Result<()> {
        let headers = tar_header::headers_of(entry)
            .map_err(|e| Error::new(Kind::Disk, format!("tar cannot store “{}”: {e}", entry.path)))?;
        self.emit(&headers)
    }

    /// Writes what follows the last file, if there is no file at all. Call it before the download.
    ///
    /// # Errors
    /// [`Kind::Disk`] if it cannot be written.
    pub(crate) fn begin(mut self) -> Result<Self> {
        self.write_end_if_complete()?;
        Ok(self)
    }

    /// Writes the end after the last file, and not in [`ContentSink::publish`], because a download that is being
    /// published is not interrupted, and the reader of the output may wait for ever.
    fn write_end_if_complete(&mut self) -> Result<()> {
        if !self.order.is_complete() {
            return Ok(());
        }
        if self.is_tar() {
            self.write_headers_before(self.manifest.len())?;
            self.emit(&tar_header::END)?;
        }
        self.out.flush().map_err(|e| output_error(&e))
    }

    fn emit(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| output_error(&e))
    }

    fn is_tar(&self) -> bool {
        self.form == OutputForm::Tar
    }
}

impl<W: Write + Send + 'static> ContentSink for OutputSink<W> {
    fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    fn start_file(&mut self, index: usize, offset: u64) -> Result<()> {
        let row = self.manifest.row(index).filter(|row| row.is_file());
        let Some(row) = row else { return Err(protocol_violation("a file that was not requested")) };
        let entry = row.to_entry();
        self.order.start(index, &entry, offset)?;
        if offset != 0 {
            return Err(protocol_violation(format_args!("“{}” from an offset that was not offered", entry.path)));
        }
        self.hasher.reset();
        if self.is_tar() {
            self.write_headers_before(index)?;
            self.write_headers(&entry)?;
        }
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let file = self.order.grow(data.len())?;
        match (file.size, self.max_size) {
            (None, Some(max)) if file.length > max => return Err(too_long(max)),
            _ => {}
        }
        self.hasher.update(data);
        self.emit(data)
    }

    fn finish_file(&mut self, hash: &[u8; 32]) -> Result<()> {
        let file = self.order.end()?;
        if self.hasher.finalize() != blake3::Hash::from_bytes(*hash) {
            return Err(Error::new(Kind::Corrupt, format!("the content of “{}” does not match its hash", file.path))
                .hint("discard what was written to standard output, and run the same command again"));
        }
        if self.is_tar() {
            self.emit(tar_header::padding_after(file.length))?;
        }
        self.order.note_finished();
        self.write_end_if_complete()
    }

    fn fail_file(&mut self, index: usize, reason: FileFailure) -> Result<u64> {
        let row = self.manifest.row(index).filter(|row| row.is_file());
        let Some(row) = row else { return Err(protocol_violation("the failure of a file that was not requested")) };
        let path = row.path();
        if let FailedPart::Current(_) = self.order.fail(index, &path)? {
            let message = format!("“{path}” {reason}; the output ends in the middle of it");
            return Err(Error::new(Kind::Transfer, message)
                .hint("discard what was written to standard output, and run the same command again"));
        }
        self.order.note_failed(index, reason);
        self.write_end_if_complete()?;
        Ok(0)
    }

    fn is_complete(&self) -> bool {
        self.order.is_complete()
    }

    fn publish(self) -> Result<PublishedDownload> {
        self.order.check_complete()?;
        let row = |index: usize| self.manifest.row(index);
        let failed = self.order.failed().iter().filter_map(|(index, reason)| Some((row(*index)?.path(), *reason)));
        let failed = failed.map(|(path, reason)| FailedFile { path, reason }).collect();
        Ok(PublishedDownload { paths: vec![PathBuf::from("-")], altered_times: 0, failed })
    }
}

/// Checks that the entries can be written in this form.
fn check_form(manifest: &Manifest, form: OutputForm) -> Result<()> {
    match form {
        OutputForm::Content if manifest.files() != 1 || manifest.rows().any(EntryRow::is_link) => {
            let message = "only a single file can be written to standard output as it is";
            Err(Error::new(Kind::Usage, message)
                .hint("pass --tar for a tar stream of everything, or select one file with --only"))
        }
        OutputForm::Tar if manifest.bytes().is_none() => {
            let message = "a pipe, whose size is unknown, cannot be put into a tar stream";
            Err(Error::new(Kind::Usage, message).hint("run the same command without --tar"))
        }
        OutputForm::Content | OutputForm::Tar => Ok(()),
    }
}

/// Returns the error for a file of unknown size that exceeds the user's limit.
fn too_long(max: u64) -> Error {
    Error::new(Kind::Disk, format!("the share is larger than --max-size {}", bytes(max)))
        .hint("what was written to standard output is incomplete; pass a larger --max-size")
}

/// Returns the error of a write. A reader that has closed its end is no fault of the disk.
fn output_error(e: &io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::BrokenPipe => Error::new(Kind::Transfer, "the reader of standard output has closed it"),
        _ => Error::new(Kind::Disk, format!("cannot write to standard output: {}", system_message(e)))
            .hint("make room for it, then run the same command again"),
    }
}
