//! The receiver's end of a download: connect, look at the offer, take it.

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tracing::debug;

use super::{
    Events,
    ask::ask,
    credit::Window,
    failure::{broken, stalled, told},
    fetch::Fetch,
    handshake::{Established, Initiator},
    outline::Collector,
    session::{Incoming, Outgoing, Record},
    unpack::Unpacker,
};
use crate::{
    code::Code,
    crypto::Opener,
    disk::{Clash, GroupHash, Plan, Sink},
    error::{Error, Kind, Result},
    event::{self, Event, Finished, Route, SCHEMA},
    manifest::{EntryKind, Manifest},
    net::{Connection, LineError},
    pace::Pace,
    wire::{
        WireError,
        peer::{Done, Have, MAX_GROUPS, Outcome, Request},
        relay::{Connect, Connected},
    },
};

/// Within this time something of the sender must arrive while it has something to send.
pub(super) const STALLED: Duration = Duration::from_secs(30);

/// How long the sender may take to acknowledge the end; what is saved is saved in any case.
const GOODBYE: Duration = Duration::from_secs(5);

/// How long a goodbye may take that nobody depends on.
const SHORT_GOODBYE: Duration = Duration::from_millis(500);

/// Entries in one `entries` event.
const LISTED_AT_ONCE: usize = 1000;

/// Connects to the sender behind a code and gets its offer.
///
/// # Errors
/// [`Kind::NotFound`], [`Kind::WrongCode`], [`Kind::Refused`] and [`Kind::Network`] as the exit codes have it;
/// [`Kind::Disk`] and [`Kind::Transfer`] for an offer that no honest sender makes.
pub async fn connect(connection: &Connection, code: &Code) -> Result<Offer> {
    let initiator = Initiator::new(code).map_err(|e| broken(&e.into()))?;
    let question = Connect { slot: code.slot(), token: None };
    // Flight 1 does not wait for the relay's answer.
    let (send, recv, Connected { limits }) = ask(connection, &question, initiator.hello()).await?;
    let Established { out, mut incoming, opener, round_trip } = initiator.finish(send, recv).await?;
    debug!("the session is proved after {round_trip:?}");
    let window = Window::new(limits.bridge_bytes, round_trip, Instant::now());
    incoming.expect(window.most());
    let mut line = Line { out, incoming, opener, window };
    match line.manifest().await {
        Ok(manifest) => Ok(Offer { line, manifest: Arc::new(manifest) }),
        Err(e) => Err(refuse(line.out, e).await),
    }
}

/// A confirmed session, seen from the receiver.
struct Line {
    out: Outgoing,
    incoming: Incoming,
    opener: Opener,
    window: Window,
}

impl Line {
    async fn manifest(&mut self) -> Result<Manifest> {
        let mut collector = Collector::default();
        loop {
            let next = timeout(STALLED, self.incoming.opened(&mut self.opener)).await.map_err(|_| stalled())?;
            let record = next.map_err(|e| broken(&e))?.ok_or_else(|| broken(&LineError::Short.into()))?;
            if collector.take(&record)? {
                return collector.finish();
            }
            self.grant().await?;
        }
    }

    /// Grants credit for what was received, if it is time to.
    async fn grant(&mut self) -> Result<()> {
        if let Some(credit) = self.window.drained(self.incoming.received(), Instant::now()) {
            let record = Record::of(&credit).map_err(|e| broken(&e.into()))?;
            let _ = self.out.send(record).await; // where that fails, what is read next says why
        }
        Ok(())
    }
}

/// Tells the sender that nothing will come of it, and gives the reason back.
async fn refuse(out: Outgoing, e: Error) -> Error {
    let outcome = match e.kind() {
        Kind::Disk => Outcome::Disk,
        Kind::Corrupt => Outcome::Corrupt,
        Kind::Interrupted => Outcome::Interrupted,
        _ => Outcome::Failed,
    };
    goodbye(out, Done { outcome, message: told(&e) }).await;
    e
}

/// Sends the last record and waits a moment until the sender has it.
async fn goodbye(out: Outgoing, done: Done) {
    let saying = async {
        let Ok(record) = Record::of(&done) else { return };
        if let Ok(mut half) = out.send_last(record).await {
            half.delivered().await;
        }
    };
    let _ = timeout(SHORT_GOODBYE, saying).await;
}

/// What a sender offers, not yet accepted.
pub struct Offer {
    line: Line,
    manifest: Arc<Manifest>,
}

impl Offer {
    /// What is offered, and what of it an earlier download to `out` left behind, for the person who decides.
    pub async fn summary(&self, out: Option<PathBuf>) -> event::Offer {
        let manifest = Arc::clone(&self.manifest);
        let standing = off_thread(move || Ok(Plan::standing(&manifest, out.as_deref()))).await;
        event::Offer { resumed_bytes: standing.unwrap_or(0), ..summary(&self.manifest) }
    }

    /// Reports every entry and takes leave.
    pub async fn list(self, events: &Events) {
        for part in self.manifest.entries().chunks(LISTED_AT_ONCE) {
            events.report(Event::Entries { entries: part.iter().map(listed).collect() }).await;
        }
        goodbye(self.line.out, Done { outcome: Outcome::Listed, message: String::new() }).await;
    }

    /// The person said no.
    pub async fn decline(self) {
        goodbye(self.line.out, Done { outcome: Outcome::Declined, message: String::new() }).await;
    }

    /// Decides where everything goes, before anything is written.
    ///
    /// # Errors
    /// [`Kind::Disk`]: names that stand in the way, no space, names that the target cannot hold.
    pub async fn plan(self, out: Option<PathBuf>, clash: Clash) -> Result<Planned> {
        let manifest = Arc::clone(&self.manifest);
        match off_thread(move || Plan::new(manifest, out.as_deref(), clash)).await {
            Ok(plan) => Ok(Planned { line: self.line, manifest: self.manifest, plan, pace: None }),
            Err(e) => Err(refuse(self.line.out, e).await),
        }
    }
}

fn summary(manifest: &Manifest) -> event::Offer {
    let entries = manifest.entries();
    let hidden = entries.iter().filter(|e| e.path.name().starts_with('.')).count();
    let executables = entries.iter().filter(|e| e.is_file() && e.mode & 0o111 != 0).count();
    event::Offer {
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

fn listed(entry: &crate::manifest::Entry) -> event::ListedEntry {
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
pub struct Planned {
    line: Line,
    manifest: Arc<Manifest>,
    plan: Plan,
    pace: Option<Pace>,
}

impl Planned {
    /// Takes at most so many bytes a second.
    pub fn limit(self, bytes_a_second: NonZeroU64) -> Self {
        Self { pace: Some(Pace::new(bytes_a_second)), ..self }
    }

    /// What is offered, for the person who decides.
    pub fn summary(&self) -> event::Offer {
        summary(&self.manifest)
    }

    /// The person said no.
    pub async fn decline(self) {
        goodbye(self.line.out, Done { outcome: Outcome::Declined, message: String::new() }).await;
    }

    /// Downloads, verifies and names everything.
    ///
    /// # Errors
    /// Any [`Kind`]; nothing partial stands under a final name.
    pub async fn accept(self, events: &Events, interrupt: impl Future<Output = ()>) -> Result<Finished> {
        let Self { line: Line { mut out, incoming, opener, window }, manifest, plan, pace } = self;
        let began = Instant::now();
        let (total, files) = (plan.bytes(), plan.files());
        let wanted = ranges((0..manifest.entries().len()).filter(|i| plan.wants(*i)));
        let receiving = async {
            let sink = off_thread(move || Sink::new(plan)).await?;
            for record in asking(&sink.have(), wanted).map_err(|e| broken(&e.into()))? {
                let _ = out.send(record).await; // where that fails, what is read next says why
            }
            let unpacker = Unpacker::new(opener, sink);
            Fetch { out: &mut out, window, pace, events, total }.run(incoming, unpacker).await
        };
        let received = tokio::select! {
            received = receiving => received,
            () = interrupt => Err(Error::new(Kind::Interrupted, "stopped; the same command goes on with what is here")),
        };
        match received {
            Ok(fetched) => {
                leave(out, fetched.incoming, fetched.opener).await;
                let seconds = began.elapsed().as_secs_f64();
                let saved = fetched.saved.iter().map(|path| shown(path)).collect();
                Ok(Finished { bytes: fetched.bytes, seconds, saved, files, path: Route::Relay })
            }
            Err(e) => Err(refuse(out, e).await),
        }
    }
}

/// Flight 5: everything is verified and named. The sender's acknowledgement is awaited for a moment only.
async fn leave(out: Outgoing, mut incoming: Incoming, mut opener: Opener) {
    let leaving = async {
        let Ok(record) = Record::of(&Done { outcome: Outcome::Ok, message: String::new() }) else { return };
        let Ok(_half) = out.send_last(record).await else { return };
        while let Ok(Some(_)) = incoming.opened(&mut opener).await {}
    };
    let _ = timeout(GOODBYE, leaving).await;
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Flight 4: what is here already, and what is wanted.
fn asking(have: &[(usize, Vec<GroupHash>)], wanted: Vec<(u32, u32)>) -> Result<Vec<Record>, WireError> {
    /// A frame of [`MAX_GROUPS`] groups, and the request, which is no longer than the ranges of a manifest.
    const ROOM: usize = 64 * 1024;
    let mut records = vec![Record::new()];
    for (entry, groups) in have {
        for groups in groups.chunks(MAX_GROUPS) {
            if records.last().is_none_or(|record| record.room() < ROOM) {
                records.push(Record::new());
            }
            if let Some(record) = records.last_mut() {
                record.push(&Have { entry: *entry as u32, groups: groups.to_vec() })?;
            }
        }
    }
    records.push(Record::of(&Request { wanted })?);
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
pub(super) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
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
