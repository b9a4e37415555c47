//! Writes the changes of the registry to the journal.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use super::{
    config::OnWarning,
    counters::RelayCounters,
    registry::Registry,
    slot_journal::{JournalFile, SlotRecord},
};
use crate::{
    code::Slot,
    error::{Error, Result},
    event::Event,
    sync::Mutex,
};

/// The delay that gathers the changes of many senders into one write.
const WRITE_DELAY: Duration = Duration::from_millis(200);

/// The time between attempts while the journal cannot be written, because the disk is full, for instance.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Writes the changes of a registry to its journal. Bridges and registrations do not wait for it.
pub(super) struct JournalTask {
    registry: Registry,
    /// `None` if the relay stores no slots.
    journal: Option<Arc<Mutex<Journal>>>,
}

struct Journal {
    file: JournalFile,
    /// Records that are not written yet.
    unwritten: HashMap<Slot, SlotRecord>,
    /// Whether the last attempt to write has failed.
    is_failing: bool,
    counters: Arc<RelayCounters>,
    on_warning: Option<OnWarning>,
}

impl JournalTask {
    pub(super) fn new(
        registry: Registry,
        file: Option<JournalFile>,
        counters: Arc<RelayCounters>,
        on_warning: Option<OnWarning>,
    ) -> Self {
        let journal = |file| Journal { file, unwritten: HashMap::new(), is_failing: false, counters, on_warning };
        Self { registry, journal: file.map(|file| Arc::new(Mutex::new(journal(file)))) }
    }

    /// Writes shortly after each change, and again after a failure. Never completes.
    pub(super) async fn run(&self) {
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = self.registry.wait_for_change() => sleep(WRITE_DELAY).await,
                () = sleep(RETRY_INTERVAL), if is_failing => {}
            }
            is_failing = self.write().await;
        }
    }

    /// Writes the pending changes. Returns whether this has failed.
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, the write continues, and the next call waits for it.
    pub(super) async fn write(&self) -> bool {
        let registry = self.registry.clone();
        let Some(journal) = self.journal.clone() else {
            registry.take_records();
            return false;
        };
        let writing = spawn_blocking(move || journal.lock().write(registry.take_records()));
        writing.await.unwrap_or(false) // panics are reported
    }
}

impl Journal {
    /// Appends records to the file, and those of failed calls. Returns whether this has failed. Warns of the first of
    /// several failures, and reports the end of them.
    fn write(&mut self, records: Vec<SlotRecord>) -> bool {
        self.unwritten.extend(records.into_iter().map(|record| (record.slot, record)));
        let (written, had_failed) = (self.try_write(), self.is_failing);
        self.is_failing = written.is_err();
        match written {
            Ok(()) if had_failed => self.warn("the slots in use are recorded again".to_owned(), None),
            Ok(()) => {}
            Err(e) => {
                self.counters.journal_failures.add(1);
                if !had_failed {
                    let message = "cannot record the slots in use, so a restarted relay may assign them again";
                    self.warn(format!("{message}: {}", e.message()), Some(&e));
                }
            }
        }
        self.is_failing
    }

    /// Shows a warning with the hint of `error`.
    fn warn(&self, message: String, error: Option<&Error>) {
        if let Some(on_warning) = &self.on_warning {
            let hint = error.and_then(Error::hint_text).map(str::to_owned);
            on_warning(Event::Warning { kind: "state", message, hint });
        }
    }

    fn try_write(&mut self) -> Result<()> {
        if !self.unwritten.is_empty() {
            let records: Vec<SlotRecord> = self.unwritten.values().copied().collect();
            self.file.append(&records)?;
            self.unwritten = HashMap::new();
        }
        self.file.replace_if_outdated()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc};

    use super::{
        super::{
            limits::Limits, registry::tests::establish_slot, slot_journal::SlotJournal, source_limiter::SourceLimiter,
        },
        *,
    };
    use crate::state::StateDir;

    /// The folder is missing and cannot be created again. The relay continues, and retries without another change.
    #[tokio::test(start_paused = true)]
    async fn a_failed_write_is_retried_until_it_succeeds() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("relay");
        let journal = SlotJournal::new(StateDir::open(&folder).unwrap());
        let registry = Registry::new(Limits::default(), SourceLimiter::new(Limits::default(), false), Vec::new());
        let counters = Arc::new(RelayCounters::new());
        let (warnings, shown) = mpsc::channel();
        let warnings = std::sync::Mutex::new(warnings);
        let on_warning: OnWarning = Arc::new(move |event| warnings.lock().unwrap().send(event).unwrap());
        let file = journal.open().unwrap().0;
        let task = JournalTask::new(registry.clone(), Some(file), Arc::clone(&counters), Some(on_warning));
        let writing = tokio::spawn(async move { task.run().await });
        let one = establish_slot(&registry);
        sleep(2 * WRITE_DELAY).await;
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&folder, "a file in place of the folder").unwrap();
        let other = establish_slot(&registry);
        sleep(3 * RETRY_INTERVAL).await;
        assert!((3..=4).contains(&counters.journal_failures.get()), "{}", counters.journal_failures.get());
        fs::remove_file(&folder).unwrap();
        sleep(RETRY_INTERVAL).await;
        let failures = counters.journal_failures.get();
        sleep(3 * RETRY_INTERVAL).await;
        assert_eq!(counters.journal_failures.get(), failures);
        let mut recorded: Vec<Slot> = journal.open().unwrap().1.into_iter().map(|(slot, _)| slot).collect();
        recorded.sort_by_key(|slot| slot.number());
        let mut expected = [one.slot(), other.slot()];
        expected.sort_by_key(|slot| slot.number());
        assert_eq!(recorded, expected);
        let shown = shown.try_iter().map(|event| match event {
            Event::Warning { message, .. } => message,
            other => panic!("{other:?}"),
        });
        let shown: Vec<String> = shown.collect();
        assert!(shown.len() == 2 && shown[0].contains("cannot record") && shown[1].contains("again"), "{shown:?}");
        writing.abort();
    }
}
