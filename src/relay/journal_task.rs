//! Writes the changes of the registry to the journal.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};
use tracing::warn;

use super::{
    registry::Registry,
    slot_journal::{JournalFile, SlotRecord},
};
use crate::{code::Slot, sync::Mutex};

/// Writes the changes of a registry to its journal.
pub(super) struct JournalTask {
    registry: Registry,
    /// `None` if the relay stores no slots.
    journal: Option<Arc<Mutex<Journal>>>,
}

struct Journal {
    file: JournalFile,
    /// Records that could not be written.
    unwritten: HashMap<Slot, SlotRecord>,
}

impl JournalTask {
    pub(super) fn new(registry: Registry, file: Option<JournalFile>) -> Self {
        let journal = file.map(|file| Arc::new(Mutex::new(Journal { file, unwritten: HashMap::new() })));
        Self { registry, journal }
    }

    /// Writes shortly after each change. Never completes.
    pub(super) async fn run(&self) {
        /// The delay that gathers the changes of many senders into one write.
        const WRITE_DELAY: Duration = Duration::from_millis(200);
        loop {
            self.registry.wait_for_change().await;
            sleep(WRITE_DELAY).await;
            self.write().await;
        }
    }

    /// Writes the pending changes.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the write continues, and the next call waits for it.
    pub(super) async fn write(&self) {
        let registry = self.registry.clone();
        let Some(journal) = self.journal.clone() else { return drop(registry.take_records()) };
        let _ = spawn_blocking(move || journal.lock().append(registry.take_records())).await; // panics are reported
    }
}

impl Journal {
    /// Appends records to the file. After a failure the next call appends them; only the first of several failures is
    /// logged.
    fn append(&mut self, records: Vec<SlotRecord>) {
        let had_failed = !self.unwritten.is_empty();
        self.unwritten.extend(records.into_iter().map(|record| (record.slot, record)));
        if self.unwritten.is_empty() {
            return;
        }
        let records: Vec<SlotRecord> = self.unwritten.values().copied().collect();
        match self.file.append(&records) {
            Ok(()) => self.unwritten = HashMap::new(),
            Err(e) if !had_failed => warn!("cannot record the slots in use: {e}"),
            Err(_) => {}
        }
    }
}
