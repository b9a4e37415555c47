//! The receiver's end of a download: connect, look at the offer, take it.

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, interval, sleep},
};

use crate::transfer::Events;
use crate::transfer::receiver::confirmed_session::{ConfirmedSession, leave, refuse};
use crate::transfer::receiver::connect::{SenderConnector, interrupted};
use crate::transfer::receiver::file_writer::FileWriter;
use crate::transfer::receiver::pipeline::{Pipeline, ReceivedContent};
use crate::transfer::receiver::reconnect::{ReattachFailure, ReconnectConfig, Reconnector};
use crate::transfer::session::{RecordBuilder, SessionReader, SessionWriter};
use crate::transfer::user_errors::explain_session_error;
use crate::{
    background::with_background,
    code::Code,
    crypto::Opener,
    disk::{ConflictPolicy, GroupHash, HashProgress, Plan, Sink},
    error::{Error, Kind, Result},
    event::{self, Event, Finished, Route, SCHEMA},
    manifest::{Entry, EntryKind, Manifest},
    rate_limiter::RateLimiter,
    wire::{
        WireError,
        peer::{DownloadOutcome, FileRequest, HashingStaged, MAX_GROUPS, StagedGroups},
    },
};

/// Entries in one `entries` event.
const LISTED_AT_ONCE: usize = 1000;

/// Connects to the sender behind a code and gets its offer. Who has been with this sender before waits for it, and for
/// the relay.
///
/// # Errors
/// [`Kind::NotFound`], [`Kind::WrongCode`], [`Kind::Refused`] and [`Kind::Network`] as the exit codes have it;
/// [`Kind::Disk`] and [`Kind::Transfer`] for an offer that no honest sender makes.
pub async fn connect(
    code: &Code,
    back: ReconnectConfig,
    events: &Events,
    interrupt: impl Future<Output = ()>,
) -> Result<PendingOffer> {
    let sender = SenderConnector::new(code.clone(), back);
    let (line, manifest) = sender.begin(None, events, interrupt).await?;
    Ok(PendingOffer { line, manifest: Arc::new(manifest), sender })
}

/// What a sender offers, not yet accepted.
pub struct PendingOffer {
    line: ConfirmedSession,
    manifest: Arc<Manifest>,
    sender: SenderConnector,
}

impl PendingOffer {
    /// What is offered, and what of it an earlier download to `out` left behind, for the person who decides.
    pub async fn summary(&self, out: Option<PathBuf>) -> event::OfferSummary {
        let manifest = Arc::clone(&self.manifest);
        let standing = off_thread(move || Ok(Plan::resumable_bytes(&manifest, out.as_deref()))).await;
        event::OfferSummary { resumed_bytes: standing.unwrap_or(0), ..summary(&self.manifest) }
    }

    /// Reports every entry and takes leave.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] where `interrupt` completes before.
    pub async fn list(self, events: &Events, interrupt: impl Future<Output = ()>) -> Result<()> {
        let listing = async {
            for part in self.manifest.entries().chunks(LISTED_AT_ONCE) {
                events.report(Event::Entries { entries: part.iter().map(listed).collect() }).await;
            }
        };
        tokio::select! {
            () = listing => {}
            () = interrupt => return Err(self.line.refuse(self.sender.interrupted()).await),
        }
        self.line.goodbye(DownloadOutcome::Listed).await;
        Ok(())
    }

    /// The person said no.
    pub async fn decline(self) {
        self.line.goodbye(DownloadOutcome::Declined).await;
    }

    /// Decides where everything goes, before anything is written.
    ///
    /// # Errors
    /// [`Kind::Disk`]: names that stand in the way, no space, names that the target cannot hold.
    pub async fn plan(self, out: Option<PathBuf>, clash: ConflictPolicy) -> Result<PlannedDownload> {
        let goal = Destination { out, clash };
        match goal.plan(Arc::clone(&self.manifest)).await {
            Ok(plan) => Ok(PlannedDownload { line: self.line, sender: self.sender, goal, plan, limit: None }),
            Err(e) => Err(self.line.refuse(e).await),
        }
    }
}

/// Where a download is to go, whatever is offered.
struct Destination {
    out: Option<PathBuf>,
    clash: ConflictPolicy,
}

impl Destination {
    async fn plan(&self, manifest: Arc<Manifest>) -> Result<Plan> {
        let (out, clash) = (self.out.clone(), self.clash);
        off_thread(move || Plan::new(manifest, out.as_deref(), clash)).await
    }
}

fn summary(manifest: &Manifest) -> event::OfferSummary {
    let entries = manifest.entries();
    let hidden = entries.iter().filter(|e| e.path.name().starts_with('.')).count();
    let executables = entries.iter().filter(|e| e.is_file() && e.mode & 0o111 != 0).count();
    event::OfferSummary {
        schema: SCHEMA,
        share: manifest.share().to_string(),
        name: manifest.name().to_owned(),
        files: manifest.files(),
        bytes: manifest.bytes(),
        resumed_bytes: 0,
        hidden: hidden as u64,
        executables: executables as u64,
    }
}

fn listed(entry: &Entry) -> event::ListedEntry {
    let (kind, link) = match &entry.kind {
        EntryKind::File { .. } => ("file", None),
        EntryKind::Folder => ("folder", None),
        EntryKind::Link { target } => ("link", Some(target.clone())),
    };
    event::ListedEntry {
        path: entry.path.as_str().to_owned(),
        kind,
        size: entry.size(),
        mode: entry.mode,
        mtime: entry.mtime.map(|m| m.seconds),
        link,
    }
}

/// An offer with a place for everything in it.
pub struct PlannedDownload {
    line: ConfirmedSession,
    sender: SenderConnector,
    goal: Destination,
    plan: Plan,
    limit: Option<NonZeroU64>,
}

impl PlannedDownload {
    /// Takes at most so many bytes a second.
    pub fn limit(self, bytes_a_second: NonZeroU64) -> Self {
        Self { limit: Some(bytes_a_second), ..self }
    }

    /// What is offered, for the person who decides.
    pub fn summary(&self) -> event::OfferSummary {
        summary(self.plan.manifest())
    }

    /// The person said no.
    pub async fn decline(self) {
        self.line.goodbye(DownloadOutcome::Declined).await;
    }

    /// Downloads, verifies and names everything, reports that, and takes leave of the sender. Where the line dies it waits for
    /// another, and where the sender's process is another one, it begins anew with what is here.
    ///
    /// # Errors
    /// Any [`Kind`]; nothing partial stands under a final name.
    pub async fn accept(self, events: &Events, interrupt: impl Future<Output = ()>) -> Result<Finished> {
        let Self { mut line, mut sender, goal, mut plan, limit } = self;
        let began = Instant::now();
        tokio::pin!(interrupt);
        loop {
            let (manifest, files) = (Arc::clone(plan.manifest()), plan.files());
            sender.keep(line.known.take());
            match download(line, plan, limit.map(RateLimiter::new), events, interrupt.as_mut()).await {
                Ok(SavedDownload { paths, bytes, parting }) => {
                    sender.forget();
                    let seconds = began.elapsed().as_secs_f64();
                    let saved = paths.iter().map(|path| shown(path)).collect();
                    let finished = Finished { bytes, seconds, saved, files, route: Route::Relay };
                    events.report(Event::Finished(finished.clone())).await;
                    parting.leave(events, interrupt).await;
                    return Ok(finished);
                }
                Err(DownloadFailure::Failed(e)) => return Err(e),
                Err(DownloadFailure::Forgotten) => {}
            }
            let reason = Error::new(Kind::Network, "the sender was started again");
            let (next, offered) = sender.begin(Some(reason), events, interrupt.as_mut()).await?;
            let offered = Arc::new(offered);
            if !is_the_same_tree(&manifest, &offered) {
                let e = Error::new(Kind::Transfer, "what the sender shares is not what it was");
                return Err(next.refuse(e.hint("start again to see what there is now")).await);
            }
            plan = match goal.plan(offered).await {
                Ok(plan) => plan,
                Err(e) => return Err(next.refuse(e).await),
            };
            line = next;
        }
    }
}

/// A download that is verified and named.
struct SavedDownload {
    paths: Vec<PathBuf>,
    bytes: u64,
    parting: CompletionNotice,
}

/// What takes leave of the sender.
struct CompletionNotice {
    out: SessionWriter,
    incoming: SessionReader,
    opener: Opener,
    keeper: Reconnector,
}

impl CompletionNotice {
    /// Tells the sender that all is well. Who does not want to wait until it knows need not: everything is saved.
    async fn leave(self, events: &Events, interrupt: impl Future<Output = ()>) {
        /// After this time it is said what is waited for.
        const EXPLAIN_AFTER: Duration = Duration::from_secs(2);
        let Self { out, incoming, opener, mut keeper } = self;
        let explaining = async {
            sleep(EXPLAIN_AFTER).await;
            let message = "the sender has not heard yet that everything is here".to_owned();
            let hint = Some("Ctrl-C ends without telling it".to_owned());
            events.report(Event::Warning { kind: "goodbye", message, hint }).await;
        };
        let leaving = with_background(leave(out, incoming, opener), explaining);
        tokio::select! {
            () = with_background(leaving, keeper.report_events(events)) => {}
            () = interrupt => {}
        }
        keeper.close().await;
    }
}

/// Why a download ended before it was whole.
enum DownloadFailure {
    /// For good.
    Failed(Error),
    /// The sender is there and has forgotten the session.
    Forgotten,
}

/// Downloads in one session.
async fn download(
    line: ConfirmedSession,
    plan: Plan,
    pace: Option<RateLimiter>,
    events: &Events,
    interrupt: impl Future<Output = ()>,
) -> Result<SavedDownload, DownloadFailure> {
    let ConfirmedSession { mut out, incoming, opener, window, mut keeper, .. } = line;
    let total = plan.bytes();
    let wanted = ranges((0..plan.manifest().entries().len()).filter(|i| plan.wants(*i)));
    let receiving = async {
        let sink = prepare(plan, &mut out, events).await?;
        let request = asking(&sink.staged_groups(), wanted).map_err(|e| explain_session_error(&e.into()))?;
        let unpacker = FileWriter::new(opener, sink, incoming.stream());
        Pipeline { out: &mut out, window, pace, events, total }.run(request, incoming, unpacker).await
    };
    let received = tokio::select! {
        received = with_background(receiving, keeper.report_events(events)) => received,
        () = interrupt => Err(interrupted()),
    };
    // Giving names takes a moment, and is not stopped half way.
    let named = match received {
        Ok(ReceivedContent { incoming, unpacker }) => {
            let bytes = unpacker.bytes();
            let named = off_thread(move || unpacker.publish()).await;
            named.map(|(opener, saved)| (incoming, opener, saved, bytes))
        }
        Err(e) => Err(e),
    };
    match named {
        Ok((incoming, opener, paths, bytes)) => {
            Ok(SavedDownload { paths, bytes, parting: CompletionNotice { out, incoming, opener, keeper } })
        }
        Err(e) => match keeper.verdict() {
            Some(ReattachFailure::Unknown) if e.kind() == Kind::Network => {
                keeper.close().await;
                Err(DownloadFailure::Forgotten)
            }
            Some(ReattachFailure::Failed(why)) if e.kind() == Kind::Network => {
                let why = why.clone();
                keeper.close().await;
                Err(DownloadFailure::Failed(why))
            }
            _ => Err(DownloadFailure::Failed(refuse(out, keeper, e).await)),
        },
    }
}

/// Makes the sink. Where it has to hash what is here already, the person is told how far that is, and the sender that it
/// goes on.
async fn prepare(plan: Plan, out: &mut SessionWriter, events: &Events) -> Result<Sink> {
    const TELL_PERSON_EVERY: Duration = Duration::from_millis(100);
    const TELL_SENDER_EVERY: Duration = Duration::from_secs(60);
    let (check, standing) = (HashProgress::default(), plan.staged_bytes());
    let _waiting = check.cancel_on_drop();
    let hashing = check.clone();
    let sink = off_thread(move || Sink::new(plan, &hashing));
    tokio::pin!(sink);
    let (mut person, mut sender) = (interval(TELL_PERSON_EVERY), interval(TELL_SENDER_EVERY));
    person.reset();
    sender.reset();
    loop {
        tokio::select! {
            sink = &mut sink => return sink,
            _ = person.tick(), if standing > 0 => events.try_report(Event::Checking { bytes: check.bytes(), total: standing }),
            _ = sender.tick() => {
                let record = RecordBuilder::from_message(&HashingStaged {}).map_err(|e| explain_session_error(&e.into()))?;
                out.send(record).await.map_err(|e| explain_session_error(&e.into()))?;
            }
        }
    }
}

/// Whether there are the same names, of the same kinds: content may have changed.
fn is_the_same_tree(before: &Manifest, now: &Manifest) -> bool {
    let same = |(a, b): (&Entry, &Entry)| {
        a.path == b.path && std::mem::discriminant(&a.kind) == std::mem::discriminant(&b.kind)
    };
    before.entries().len() == now.entries().len() && before.entries().iter().zip(now.entries()).all(same)
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Flight 4: what is here already, and what is wanted.
fn asking(have: &[(usize, Vec<GroupHash>)], wanted: Vec<(u32, u32)>) -> Result<Vec<RecordBuilder>, WireError> {
    /// A frame of [`MAX_GROUPS`] groups, and the request, which is no longer than the ranges of a manifest.
    const ROOM: usize = 64 * 1024;
    let mut records = vec![RecordBuilder::new()];
    for (entry, groups) in have {
        for groups in groups.chunks(MAX_GROUPS) {
            if records.last().is_none_or(|record| record.remaining() < ROOM) {
                records.push(RecordBuilder::new());
            }
            if let Some(record) = records.last_mut() {
                record.push(&StagedGroups { entry: *entry as u32, groups: groups.to_vec() })?;
            }
        }
    }
    records.push(RecordBuilder::from_message(&FileRequest { wanted })?);
    records.retain(|record| !record.is_empty());
    Ok(records)
}

/// Half-open ranges of the numbers, which come in order.
fn ranges(numbers: impl Iterator<Item = usize>) -> Vec<(u32, u32)> {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for n in numbers.map(|n| n as u32) {
        match ranges.last_mut() {
            Some((_, end)) if *end == n => *end += 1,
            _ => ranges.push((n, n + 1)),
        }
    }
    ranges
}

/// Runs something that blocks.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Error::new(Kind::Transfer, format!("the work was lost: {e}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_as_few_as_can_be() {
        assert_eq!(ranges([0, 1, 2, 5, 7, 8].into_iter()), [(0, 3), (5, 6), (7, 9)]);
        assert_eq!(ranges(std::iter::empty()), []);
    }
}
