//! Writes a download into its staging folder, and publishes it.

use std::{collections::HashSet, io, sync::Arc};

use cap_std::fs::Dir;

use super::{
    accepted::AcceptedOffer,
    attributes::{PermissionMask, creation_mode},
    content_sink::ContentSink,
    durability::Durability,
    errors::{creation_error, disk_error, protocol_violation},
    file_order::{CurrentFile, FailedPart, FileOrder},
    groups::GROUP_SIZE,
    incoming_file::IncomingFile,
    offered_files::OfferedFiles,
    open_options,
    plan::Plan,
    publisher::{PublishedDownload, Publisher},
    rooted_dir::RootedDir,
    staged_files::{StagedContent, StagedFile, find_staged},
    staged_hasher::StagedHasher,
    staging::{OnDrop, StagingFolder},
    stream_limit::StreamLimit,
};
use crate::{
    error::{Error, Kind, Result},
    manifest::{Entry, EntryRow, FileFailure, Manifest},
};

/// A running download. If it is dropped before it is published, a later download can resume from the staged data.
#[derive(Debug)]
pub(crate) struct Sink {
    plan: Plan,
    /// The file that is being written. It exists while `order` has a current file.
    current: Option<IncomingFile>,
    order: FileOrder,
    /// The files that an earlier download has staged.
    staged: Vec<StagedFile>,
    /// The staged files that have not been started in this download.
    offered: OfferedFiles,
    /// Whether all finished files are on the disk.
    durability: Durability,
    /// The number of finished files whose modification time the disk cannot hold.
    altered_times: u64,
    files: RootedDir,
    permissions: PermissionMask,
    stream_limit: StreamLimit,
    base: Dir,
    // Dropped after all handles to its content, because Windows cannot remove an open file.
    staging: StagingFolder,
}

impl Sink {
    /// Locks the staging folder, finds the data that an earlier download has staged, and creates the folders of the
    /// share.
    ///
    /// # Errors
    /// [`Kind::Disk`]: another download of this share is running, the staging folder is not a folder, or an I/O
    /// operation fails. Data that an earlier download has staged remains.
    pub(crate) fn new(plan: Plan) -> Result<Self> {
        let (base, created) = plan.target().create_folder()?;
        let base_path = plan.target().printable();
        let failed = |e: io::Error| disk_error("create the staging folder in", &base_path, &e);
        let staging_base = base.try_clone().map_err(failed)?;
        let mut staging = StagingFolder::lock(staging_base, created, plan.manifest(), plan.target())?;
        let files = staging.open_files().map_err(failed)?;
        // From now on, no error may remove the data that an earlier download has staged.
        let has_content = files.entries().map_err(failed)?.next().is_some();
        let is_resumable = plan.has_published() || staging.has_saved();
        staging.set_on_drop(keep_if(is_resumable || has_content));
        let StagedContent { files: staged, folders } = find_staged(&files, plan.manifest(), |index| plan.wants(index))?;
        staging.set_accepted(&AcceptedOffer::of(&plan)).map_err(failed)?;
        let permissions = PermissionMask::of_new(&files).map_err(failed)?;
        let stream_limit = StreamLimit::new(&base, plan.max_size()).map_err(failed)?;
        let mut files = RootedDir::new(files);
        create_folders(&plan, &mut files, &folders, &base)?;
        staging.set_on_drop(keep_if(is_resumable || !staged.is_empty()));
        Ok(Self {
            current: None,
            offered: OfferedFiles::new(&staged),
            staged,
            order: FileOrder::new(plan.manifest().len(), plan.missing_files()),
            durability: Durability::Synced,
            altered_times: 0,
            files,
            permissions,
            stream_limit,
            base,
            staging,
            plan,
        })
    }

    /// Removes everything that was staged.
    #[cfg(test)]
    pub(crate) fn discard(mut self) {
        self.staging.set_on_drop(OnDrop::Remove);
    }
}

impl ContentSink for Sink {
    fn manifest(&self) -> &Arc<Manifest> {
        self.plan.manifest()
    }

    fn staged(&self) -> &[StagedFile] {
        &self.staged
    }

    fn hash_staged(&self) -> Result<Option<StagedHasher>> {
        let files = self.staging.open_files().map_err(|e| disk_error("open", "the staging folder", &e))?;
        let manifest = Arc::clone(self.plan.manifest());
        Ok(Some(StagedHasher::new(files, manifest, self.staged.clone(), self.offered.clone())))
    }

    fn confirm_groups(&mut self, index: usize, groups: u64) -> Result<bool> {
        match self.offered.confirm(index, groups) {
            Some(new) => Ok(new > 0),
            None => Err(protocol_violation("a confirmation of data that was not offered")),
        }
    }

    fn published_bytes(&self) -> u64 {
        self.plan.published_bytes()
    }

    fn start_file(&mut self, index: usize, offset: u64) -> Result<()> {
        let entry = self.plan.manifest().entry(index).filter(|e| e.is_file() && self.plan.wants(index));
        let Some(entry) = entry else { return Err(protocol_violation("a file that was not requested")) };
        self.order.start(index, &entry, offset)?;
        let is_staged = self.offered.contains(index);
        let Some(tree) = self.offered.start(index, offset) else {
            return Err(protocol_violation(format_args!("“{}” from an offset that was not offered", entry.path)));
        };
        let keeps_holes = self.plan.keeps_holes();
        let file = self.files.parent_of(&entry.path).and_then(|dir| match is_staged {
            true => IncomingFile::resume(dir, entry.clone(), keeps_holes, offset, tree),
            false => IncomingFile::create(dir, entry.clone(), keeps_holes),
        });
        self.current = Some(file.map_err(|e| creation_error("create", &entry.path, &e, &self.base))?);
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<()> {
        let CurrentFile { path, size, length, .. } = self.order.grow(data.len())?;
        let Some(file) = &mut self.current else { return Err(protocol_violation("content outside of a file")) };
        if size.is_none() {
            self.stream_limit.check(file.length(), data.len() as u64)?;
        }
        file.write(data).map_err(|e| disk_error("write", path, &e))?;
        // A file of unknown size is sent once, from its beginning: staged data would be useless.
        if *length >= GROUP_SIZE && size.is_some() {
            self.staging.set_on_drop(OnDrop::Keep);
        }
        Ok(())
    }

    fn finish_file(&mut self, hash: &[u8; 32]) -> Result<()> {
        let CurrentFile { path, size, .. } = self.order.end()?;
        let Some(file) = self.current.take() else {
            return Err(protocol_violation("the end of a file before its start"));
        };
        if file.hash() != blake3::Hash::from_bytes(*hash) {
            drop(file); // an open file is never removed
            // Removed so that the next download does not resume from it. If that fails, its groups will differ anyway.
            let _ = self.files.parent_of(&path).and_then(|dir| dir.remove_file(path.name()));
            return Err(Error::new(Kind::Corrupt, format!("the content of “{path}” does not match its hash"))
                .hint("run the same command again"));
        }
        let finished = file.finish(self.permissions).map_err(|e| disk_error("write", &path, &e))?;
        if finished.durability == Durability::Deferred {
            self.durability = Durability::Deferred;
        }
        self.altered_times += u64::from(!finished.has_its_time);
        self.order.note_finished();
        if size.is_some() {
            self.staging.set_on_drop(OnDrop::Keep);
        }
        Ok(())
    }

    fn fail_file(&mut self, index: usize, reason: FileFailure) -> Result<u64> {
        let row = self.plan.manifest().row(index).filter(|row| row.is_file() && self.plan.wants(index));
        let Some(row) = row else { return Err(protocol_violation("the failure of a file that was not requested")) };
        let path = row.path();
        let length = match self.order.fail(index, &path)? {
            FailedPart::Current(length) => length,
            FailedPart::NotStarted => {
                let _ = self.offered.start(index, 0); // its groups need no answer any more
                0
            }
        };
        self.current = None; // an open file is never removed
        match self.files.parent_of(&path).and_then(|dir| dir.remove_file(path.name())) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(disk_error("remove", &path, &e)),
            _ => {}
        }
        self.order.note_failed(index, reason);
        Ok(length)
    }

    fn is_complete(&self) -> bool {
        self.order.is_complete()
    }

    fn publish(mut self) -> Result<PublishedDownload> {
        self.order.check_complete()?;
        let Self { plan, staging, files, permissions, base, durability, altered_times, order, .. } = &mut self;
        let failed = order.failed();
        let (permissions, durability, altered_times) = (*permissions, *durability, *altered_times);
        let publisher = Publisher { plan, staging, files, permissions, base, durability, altered_times, failed };
        let published = publisher.publish()?;
        self.staging.set_on_drop(keep_if(!published.failed.is_empty() && self.staging.has_saved()));
        Ok(published)
    }
}

fn keep_if(is_resumable: bool) -> OnDrop {
    if is_resumable { OnDrop::Keep } else { OnDrop::Remove }
}

/// Creates the wanted folders of the share in the staged content. An earlier download has created those in `existing`.
fn create_folders(plan: &Plan, files: &mut RootedDir, existing: &HashSet<usize>, base: &Dir) -> Result<()> {
    let is_missing = |index| plan.wants(index) && !existing.contains(&index);
    let folders = plan.manifest().rows().filter(|row| row.is_folder() && is_missing(row.index()));
    for entry in folders.map(EntryRow::to_entry) {
        let created = files.parent_of(&entry.path).and_then(|dir| create_folder(dir, &entry));
        created.map_err(|e| creation_error("create the folder", &entry.path, &e, base))?;
    }
    Ok(())
}

fn create_folder(parent: &Dir, entry: &Entry) -> io::Result<()> {
    parent.create_dir_with(entry.path.name(), &open_options::folder_builder(creation_mode(entry)))
}
