//! The receiver's end of a download: connect, look at the offer, take it.

use std::{
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};
use tracing::debug;

use super::{
    Events,
    again::Tries,
    failure::broken,
    fetch::{Fetch, Fetched},
    keep::{Redial, Verdict},
    line::{Line, leave, refuse},
    resumptions::Claim,
    session::Record,
    unpack::Unpacker,
};
use crate::{
    code::Code,
    crypto::Resumption,
    disk::{Clash, GroupHash, Plan, Sink},
    error::{Error, Kind, Result},
    event::{self, Event, Finished, Route, SCHEMA},
    manifest::{Entry, EntryKind, Manifest},
    net::Connection,
    pace::Pace,
    wire::{
        WireError,
        peer::{Have, MAX_GROUPS, Outcome, Request},
    },
};

/// Entries in one `entries` event.
const LISTED_AT_ONCE: usize = 1000;

/// Connects to the sender behind a code and gets its offer.
///
/// # Errors
/// [`Kind::NotFound`], [`Kind::WrongCode`], [`Kind::Refused`] and [`Kind::Network`] as the exit codes have it;
/// [`Kind::Disk`] and [`Kind::Transfer`] for an offer that no honest sender makes.
pub async fn connect(connection: &Connection, code: &Code, back: Redial) -> Result<Offer> {
    let claim = back.resumptions.as_ref().and_then(|kept| kept.claim(code));
    let (line, manifest) = Line::begin(connection, code, &back, claim.as_ref().map(|claim| &claim.resumption)).await?;
    Ok(Offer { line, manifest: Arc::new(manifest), again: Again { code: code.clone(), back, claim } })
}

/// What a new session with the same sender needs, where that has forgotten the old one.
struct Again {
    code: Code,
    back: Redial,
    /// What this process comes back with, and another one that is started after it.
    claim: Option<Claim>,
}

impl Again {
    /// Keeps what the sender has welcomed this receiver with, unless that is known. Where it cannot be kept, another
    /// process has to prove the code once more.
    fn keep(&mut self, welcome: Option<Resumption>) {
        let is_known = |welcome: &Resumption| self.claim.as_ref().is_some_and(|c| c.resumption.id == welcome.id);
        if let (Some(kept), Some(welcome)) = (&self.back.resumptions, welcome.filter(|welcome| !is_known(welcome))) {
            match kept.keep(&self.code, welcome) {
                Ok(claim) => self.claim = Some(claim),
                Err(e) => debug!("what to come back with is not kept: {e}"),
            }
        }
    }
}

/// What a sender offers, not yet accepted.
pub struct Offer {
    line: Line,
    manifest: Arc<Manifest>,
    again: Again,
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
        self.line.goodbye(Outcome::Listed).await;
    }

    /// The person said no.
    pub async fn decline(self) {
        self.line.goodbye(Outcome::Declined).await;
    }

    /// Decides where everything goes, before anything is written.
    ///
    /// # Errors
    /// [`Kind::Disk`]: names that stand in the way, no space, names that the target cannot hold.
    pub async fn plan(self, out: Option<PathBuf>, clash: Clash) -> Result<Planned> {
        let goal = Goal { out, clash };
        match goal.plan(Arc::clone(&self.manifest)).await {
            Ok(plan) => Ok(Planned { line: self.line, again: self.again, goal, plan, limit: None }),
            Err(e) => Err(self.line.refuse(e).await),
        }
    }
}

/// Where a download is to go, whatever is offered.
struct Goal {
    out: Option<PathBuf>,
    clash: Clash,
}

impl Goal {
    async fn plan(&self, manifest: Arc<Manifest>) -> Result<Plan> {
        let (out, clash) = (self.out.clone(), self.clash);
        off_thread(move || Plan::new(manifest, out.as_deref(), clash)).await
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
pub struct Planned {
    line: Line,
    again: Again,
    goal: Goal,
    plan: Plan,
    limit: Option<NonZeroU64>,
}

impl Planned {
    /// Takes at most so many bytes a second.
    pub fn limit(self, bytes_a_second: NonZeroU64) -> Self {
        Self { limit: Some(bytes_a_second), ..self }
    }

    /// What is offered, for the person who decides.
    pub fn summary(&self) -> event::Offer {
        summary(self.plan.manifest())
    }

    /// The person said no.
    pub async fn decline(self) {
        self.line.goodbye(Outcome::Declined).await;
    }

    /// Downloads, verifies and names everything. Where the line dies it waits for another, and where the sender's process
    /// is another one, it begins anew with what is here.
    ///
    /// # Errors
    /// Any [`Kind`]; nothing partial stands under a final name.
    pub async fn accept(self, events: &Events, interrupt: impl Future<Output = ()>) -> Result<Finished> {
        let Self { mut line, mut again, goal, mut plan, limit } = self;
        let began = Instant::now();
        tokio::pin!(interrupt);
        loop {
            let (manifest, files) = (Arc::clone(plan.manifest()), plan.files());
            let welcome = line.welcome.take();
            again.keep(welcome.clone());
            match download(line, plan, limit.map(Pace::new), events, interrupt.as_mut()).await {
                Ok((saved, bytes)) => {
                    if let Some(claim) = again.claim {
                        claim.forget();
                    }
                    let seconds = began.elapsed().as_secs_f64();
                    let saved = saved.iter().map(|path| shown(path)).collect();
                    return Ok(Finished { bytes, seconds, saved, files, path: Route::Relay });
                }
                Err(Cut::Failed(e)) => return Err(e),
                Err(Cut::Forgotten) => {}
            }
            let (next, offered) = tokio::select! {
                begun = begin_again(&again, welcome.as_ref(), events) => begun?,
                () = interrupt.as_mut() => return Err(interrupted()),
            };
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

/// Why a download ended before it was whole.
enum Cut {
    /// For good.
    Failed(Error),
    /// The sender is there and has forgotten the session.
    Forgotten,
}

/// Downloads in one session.
async fn download(
    line: Line,
    plan: Plan,
    pace: Option<Pace>,
    events: &Events,
    interrupt: impl Future<Output = ()>,
) -> Result<(Vec<PathBuf>, u64), Cut> {
    let Line { mut out, incoming, opener, window, mut keeper, connected: _connected, .. } = line;
    let total = plan.bytes();
    let wanted = ranges((0..plan.manifest().entries().len()).filter(|i| plan.wants(*i)));
    let receiving = async {
        let sink = off_thread(move || Sink::new(plan)).await?;
        let request = asking(&sink.have(), wanted).map_err(|e| broken(&e.into()))?;
        let unpacker = Unpacker::new(opener, sink, incoming.carrier());
        Fetch { out: &mut out, window, pace, events, total }.run(request, incoming, unpacker).await
    };
    let received = tokio::select! {
        received = receiving => received,
        () = interrupt => Err(interrupted()),
        never = keeper.tell(events) => never,
    };
    match received {
        Ok(Fetched { incoming, opener, saved, bytes }) => {
            leave(out, incoming, opener).await;
            keeper.close().await;
            Ok((saved, bytes))
        }
        Err(e) => match keeper.verdict() {
            Some(Verdict::Unknown) => {
                keeper.close().await;
                Err(Cut::Forgotten)
            }
            Some(Verdict::Failed(why)) if e.kind() == Kind::Network => {
                let why = why.clone();
                keeper.close().await;
                Err(Cut::Failed(why))
            }
            _ => Err(Cut::Failed(refuse(out, keeper, e).await)),
        },
    }
}

/// A new session with a sender that has forgotten the old one.
async fn begin_again(again: &Again, welcome: Option<&Resumption>, events: &Events) -> Result<(Line, Manifest)> {
    let Again { code, back, .. } = again;
    let mut reason = Error::new(Kind::Network, "the sender was started again");
    let beginning = async {
        let mut tries = Tries::new(&back.dialer, events, true);
        loop {
            tries.next(&reason);
            let connected = tries.connect(reason.clone()).await;
            match Line::begin(&connected.connection, code, back, welcome).await {
                Ok((line, manifest)) => {
                    tries.succeeded();
                    return Ok((Line { connected: Some(connected), ..line }, manifest));
                }
                Err(e) if matches!(e.kind(), Kind::Network | Kind::NotFound) => reason = e,
                Err(e) => return Err(e),
            }
            connected.close().await;
            tries.wait().await;
        }
    };
    match timeout(back.retry_for, beginning).await {
        Ok(begun) => begun,
        Err(_) => Err(reason),
    }
}

/// Whether there are the same names, of the same kinds: content may have changed.
fn is_the_same_tree(before: &Manifest, now: &Manifest) -> bool {
    let same = |(a, b): (&Entry, &Entry)| {
        a.path == b.path && std::mem::discriminant(&a.kind) == std::mem::discriminant(&b.kind)
    };
    before.entries().len() == now.entries().len() && before.entries().iter().zip(now.entries()).all(same)
}

fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "stopped; the same command goes on with what is here")
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
