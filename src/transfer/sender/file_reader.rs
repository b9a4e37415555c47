//! From files to records: read, hashed and cut into frames on a blocking thread, ahead of the line.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use crate::transfer::session::RecordBuilder;
use crate::{
    disk::{CancelOnDrop, GROUP_SIZE, GroupHash, HashProgress, Source, SourceFile, group_count},
    error::{Error, Kind, Result},
    manifest::Entry,
    net::BufferPool,
    wire::{
        WireError,
        peer::{FileEnd, FileRequest, FileStart, StagedGroups},
    },
};

/// Records that are read, or being read, before the line takes them: one is filled while the one before it leaves. More
/// of them are no faster, and fifty downloads have theirs at once.
const AHEAD: usize = 1;

/// Room that the frames around a file's content take.
const FRAMES: usize = 64;

/// The files of a request, in order.
pub(crate) struct RequestedFiles {
    files: Vec<u32>,
    bytes: Option<u64>,
    /// Bytes that the receiver says it has.
    there: u64,
    have: StagedHashes,
}

/// What the receiver has of files, by the number of the entry.
#[derive(Debug, Default)]
pub(crate) struct StagedHashes(HashMap<u32, Vec<GroupHash>>);

impl StagedHashes {
    /// Takes what the receiver says that it has.
    ///
    /// # Errors
    /// [`WireError::Malformed`] for what is no file of this size.
    pub(crate) fn add(&mut self, source: &Source, have: StagedGroups) -> Result<(), WireError> {
        let size = source.manifest().entries().get(have.entry as usize).and_then(Entry::size);
        if have.groups.is_empty() {
            return Err(WireError::Malformed);
        }
        let groups = self.0.entry(have.entry).or_default();
        groups.extend(have.groups);
        if size.is_some_and(|size| groups.len() as u64 <= group_count(size)) {
            Ok(())
        } else {
            Err(WireError::Malformed)
        }
    }
}

impl RequestedFiles {
    /// Checks a request against what there is.
    ///
    /// # Errors
    /// [`WireError::Malformed`] for ranges that are not in order or leave the manifest.
    pub(crate) fn new(source: &Source, request: &FileRequest, have: StagedHashes) -> Result<Self, WireError> {
        let entries = source.manifest().entries();
        let mut end = 0;
        let mut wanted = Self { files: Vec::new(), bytes: Some(0), there: 0, have };
        for &(from, to) in &request.wanted {
            if from < end || to <= from || to as usize > entries.len() {
                return Err(WireError::Malformed);
            }
            end = to;
            for index in (from..to).filter(|i| entries[*i as usize].is_file()) {
                wanted.files.push(index);
                let size = entries[index as usize].size();
                wanted.bytes = wanted.bytes.zip(size).map(|(sum, size)| sum + size);
                let groups = wanted.have.0.get(&index).map_or(0, |groups| groups.len() as u64);
                wanted.there += size.unwrap_or(0).min(groups * GROUP_SIZE);
            }
        }
        Ok(wanted)
    }

    /// Bytes of them that the receiver says it has.
    pub(crate) fn there(&self) -> u64 {
        self.there
    }

    /// The sum of their sizes, where all are known.
    pub(crate) fn bytes(&self) -> Option<u64> {
        self.bytes
    }
}

/// A record and how many bytes of content are in it.
type ReadResult = Result<(RecordBuilder, u64)>;

/// Fills records. Dropped, it stops.
pub(crate) struct FileReader {
    task: JoinHandle<()>,
    /// For what the thread does that reads.
    _waiting: CancelOnDrop,
}

impl FileReader {
    /// Starts; the records come out of the channel, and its end is the end of the last file.
    pub(crate) fn start(
        source: Arc<Source>,
        wanted: RequestedFiles,
        buffers: BufferPool,
    ) -> (Self, mpsc::Receiver<ReadResult>) {
        let (tx, rx) = mpsc::channel(AHEAD);
        let (check, RequestedFiles { files, have, .. }) = (HashProgress::default(), wanted);
        let waiting = check.cancel_on_drop();
        let reader = ReadTask { source, wanted: files.into_iter(), have, current: None, buffers, check };
        (Self { task: tokio::spawn(reader.run(tx)), _waiting: waiting }, rx)
    }
}

impl Drop for FileReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct ReadTask {
    source: Arc<Source>,
    wanted: std::vec::IntoIter<u32>,
    have: StagedHashes,
    current: Option<SourceFile>,
    buffers: BufferPool,
    check: HashProgress,
}

impl ReadTask {
    /// One call a record: a thread that waited for the line would keep a test's clock from moving.
    async fn run(mut self, records: mpsc::Sender<ReadResult>) {
        while let Ok(place) = records.reserve().await {
            let filled = spawn_blocking(move || {
                let fed = self.fill();
                (self, fed)
            });
            let fed = match filled.await {
                Ok((reader, fed)) => {
                    self = reader;
                    fed
                }
                Err(e) => {
                    return place.send(Err(Error::new(Kind::Transfer, format!("reading failed: {e}"))));
                }
            };
            let Some(fed) = fed.transpose() else { return };
            let failed = fed.is_err();
            place.send(fed);
            if failed {
                return;
            }
        }
    }

    /// Fills a record with as many files, or as much of one, as it holds; `None` when all are through.
    fn fill(&mut self) -> Result<Option<(RecordBuilder, u64)>> {
        let mut record = RecordBuilder::within(self.buffers.get());
        let mut content = 0;
        while record.room() > 2 * FRAMES {
            let Some(file) = &mut self.current else {
                let Some(entry) = self.wanted.next() else { break };
                let mut file = self.source.open(entry as usize)?;
                let offset = match self.have.0.remove(&entry) {
                    Some(groups) => file.resume_after(&groups, &self.check)?,
                    None => 0,
                };
                self.current = Some(file);
                content += offset;
                record.push(&FileStart { entry, offset }).map_err(unencodable)?;
                continue;
            };
            let room = most_content(record.room() - FRAMES);
            let read = record.push_data(room, |buffer| file.read(buffer))?;
            content += read as u64;
            if read == room {
                break; // there may be more of it, and the next record begins with a whole block
            }
            if let Some(file) = self.current.take() {
                record.push(&FileEnd { hash: file.finish()? }).map_err(unencodable)?;
            }
        }
        Ok((!record.is_empty()).then_some((record, content)))
    }
}

/// How much is read into so much room: whole blocks of 8 KiB where there is room for one.
fn most_content(room: usize) -> usize {
    /// BLAKE3 hashes 8 KiB in one go, and pages are not cut.
    const BLOCK: usize = 8 * 1024;
    if room < BLOCK { room } else { room - room % BLOCK }
}

fn unencodable(e: WireError) -> Error {
    Error::new(Kind::Transfer, e.to_string())
}
