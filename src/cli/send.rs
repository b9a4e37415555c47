//! `qshare send`.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::task::spawn_blocking;

use super::{
    args::SendArgs, buffers, config, console::Console, embedded::Embedded, running::Running, signals::interrupt,
};
use crate::{
    code::{Code, Link, RelayAddr, RelaySpec, Secret},
    error::{Error, Kind, Result},
    event::{Event, SCHEMA, Sharing},
    manifest::ShareId,
    net::{self, Dialer, KnownRelays, Tuning, endpoint::Connected, trust::By},
    state::StateDir,
    transfer::{Budget, Events, Registration, Return, Settings, Share, Source, SystemClock},
};

/// Secret characters of a code that lives for a day at most, and of one that lives longer.
const SHORT: usize = 5;
const LONG: usize = 8;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A budget that was not written for so long is full again, and its share is gone.
const LEFT_BEHIND: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// This many things that were left out are named one by one.
const NAMED: usize = 10;

/// Shares until it is enough, too late, or interrupted.
pub(super) async fn run(args: SendArgs, console: &mut Console) -> Result<()> {
    console.perform(|events| share(args, events)).await
}

async fn share(args: SendArgs, events: Events) -> Result<()> {
    if args.paths.iter().any(|path| path.as_os_str() == "-") {
        return Err(Error::new(Kind::Usage, "standard input cannot be shared by this version")
            .hint("write it to a file first; a file that is called - is ./-"));
    }
    let settings = Settings {
        paths: args.paths,
        name: args.name,
        max_downloads: if args.once { Some(1) } else { args.max_downloads },
        expire: args.expire,
    };
    let source = scan(settings.paths.clone(), settings.name.clone()).await?;
    warn_skipped(&source, &events).await;
    let state = config::state()?;
    let tuning = Tuning { congestion: args.line.congestion, limit_up: args.limit_up };
    let way = Way::open(&state, config::relay(args.relay)?, tuning, &events).await?;
    let registration = Registration::ask(way.connected.connection.clone(), way.token(), None).await?;
    let longer = settings.expire.is_some_and(|expire| expire > DAY);
    let secret = Secret::random(args.code_length.unwrap_or(if longer { LONG } else { SHORT }))?;
    let length = secret.length();
    let code = Code::new(registration.slot(), secret);
    let _running = way.announce(&state, &code)?;
    let budget_file = BudgetFile::new(&state, source.manifest().share())?;
    let budget = Budget::open(Some(budget_file.place()), length, Arc::new(SystemClock))?;
    let interrupted = interrupt();
    events.report(Event::Sharing(way.sharing(&source, &code, settings.expire))).await;
    let share = Share::new(settings, source, code, budget, events.clone());
    let back = Return { dialer: way.dialer.clone(), token: way.token(), registered: Box::new(|_, _| Vec::new()) };
    let outcome = share.run(registration, back, interrupted).await;
    way.close().await;
    let reason = outcome?;
    events.report(Event::Stopped { reason }).await;
    Ok(())
}

async fn scan(paths: Vec<PathBuf>, name: Option<String>) -> Result<Source> {
    match spawn_blocking(move || Source::scan(&paths, name.as_deref(), ShareId::random())).await {
        Ok(scanned) => scanned,
        Err(e) => Err(Error::new(Kind::Transfer, format!("the scan failed: {e}"))),
    }
}

async fn warn_skipped(source: &Source, events: &Events) {
    let skipped = source.skipped();
    for one in skipped.iter().take(NAMED) {
        events.report(left_out(format!("“{}” is left out: {}", one.path, one.reason))).await;
    }
    if skipped.len() > NAMED {
        events.report(left_out(format!("{} more are left out", skipped.len() - NAMED))).await;
    }
}

fn left_out(message: String) -> Event {
    Event::Warning { kind: "left_out", message, hint: None }
}

/// The way to receivers: a connection to a relay, somebody's or this process's own.
struct Way {
    connected: Connected,
    dialer: Dialer,
    spec: RelaySpec,
    embedded: Option<Embedded>,
}

impl Way {
    async fn open(state: &StateDir, configured: Option<RelaySpec>, tuning: Tuning, events: &Events) -> Result<Self> {
        match configured {
            Some(spec) => {
                let (connected, dialer) = meet(state, std::slice::from_ref(&spec.addr), &spec, tuning, events).await?;
                Ok(Self { connected, dialer, spec, embedded: None })
            }
            None => {
                let embedded = Embedded::start(state, tuning)?;
                buffers::warn_once(state, embedded.clamped(), events).await;
                let reach = embedded.reach();
                let spec = RelaySpec { addr: reach.addr.into(), pin: Some(reach.pin) };
                let dialer = Dialer::new(vec![spec.addr.clone()], net::Expect::Pin(reach.pin), tuning);
                let connected = dialer.dial().await?;
                Ok(Self { connected, dialer, spec, embedded: Some(embedded) })
            }
        }
    }

    fn token(&self) -> Option<Vec<u8>> {
        self.embedded.as_ref().map(Embedded::token)
    }

    /// Makes the bare code work on this machine, where no relay is configured.
    fn announce(&self, state: &StateDir, code: &Code) -> Result<Option<Running>> {
        self.embedded.as_ref().map(|e| Running::announce(state, code.slot(), &e.reach())).transpose()
    }

    fn sharing(&self, source: &Source, code: &Code, expire: Option<Duration>) -> Sharing {
        let manifest = source.manifest();
        let mut addresses = match &self.embedded {
            Some(embedded) => embedded.addresses(),
            None => vec![self.spec.addr.clone()],
        };
        let relay = addresses.remove(0);
        let verified = &self.connected.verified;
        let pin = (verified.by != By::Authority).then_some(verified.pin);
        let link = Link { relay: relay.clone(), alternatives: addresses, code: code.clone(), pin };
        let ends = |after: Duration| (SystemTime::now() + after).duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Sharing {
            schema: SCHEMA,
            share: manifest.share().to_string(),
            code: code.reveal(),
            link: link.reveal(),
            name: manifest.name().to_owned(),
            files: manifest.files(),
            bytes: manifest.bytes(),
            relay: relay.to_string(),
            embedded: self.embedded.is_some(),
            expires: expire.map(ends),
        }
    }

    async fn close(self) {
        self.connected.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// Connects to a relay, checks that it is whom it should be, and remembers it; gives also what connects to the very same
/// relay again.
pub(super) async fn meet(
    state: &StateDir,
    addresses: &[RelayAddr],
    spec: &RelaySpec,
    tuning: Tuning,
    events: &Events,
) -> Result<(Connected, Dialer)> {
    let known = KnownRelays::new(state.clone());
    let connected = net::connect(addresses, known.expect(spec)?, tuning).await?;
    known.remember(&spec.addr, &connected.verified)?;
    if connected.verified.by == By::FirstContact {
        let message = format!("first contact with the relay {}: its pin is {}", spec.addr, connected.verified.pin);
        let hint = Some("it is remembered; compare it with what whoever runs the relay says".to_owned());
        events.report(Event::Warning { kind: "first_contact", message, hint }).await;
    }
    buffers::warn_once(state, connected.clamped(), events).await;
    let dialer = Dialer::new(addresses.to_vec(), known.expect(spec)?, tuning);
    Ok((connected, dialer))
}

/// Where a share's guess budget is kept; removed with the share.
struct BudgetFile {
    dir: StateDir,
    name: String,
}

impl BudgetFile {
    fn new(state: &StateDir, share: ShareId) -> Result<Self> {
        let dir = state.folder("shares")?;
        dir.sweep(LEFT_BEHIND, |_| true);
        Ok(Self { dir, name: format!("{share}.guesses") })
    }

    fn place(&self) -> (StateDir, String) {
        (self.dir.clone(), self.name.clone())
    }
}

impl Drop for BudgetFile {
    fn drop(&mut self) {
        self.dir.remove(&self.name);
    }
}
