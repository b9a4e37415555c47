//! `qshare send`.

use std::{
    path::PathBuf,
    pin::pin,
    sync::{Arc, MutexGuard},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{task::spawn_blocking, time::sleep};

use super::{
    args::SendArgs,
    config,
    console::Console,
    embedded::Embedded,
    relay_dialer::dialer,
    running_shares::RunningShare,
    share_store::{HeldShare, ShareStore},
    signals::interrupt,
    udp_buffers,
};
use crate::{
    code::{Code, Link, Pin, RelaySpec, Secret},
    error::{Error, Kind, Result},
    event::{Event, SCHEMA, Sharing},
    manifest::ShareId,
    net::{self, Dialer, RelayConnection, TransportOptions, VerifiedBy},
    state::StateDir,
    sync::Mutex,
    transfer::{
        Events, GuessBudget, Registration, ReregisterConfig, Share, ShareKey, ShareSettings, Source, SystemClock,
    },
};

/// Secret characters of a code that lives for a day at most, and of one that lives longer.
const SHORT: usize = 5;
const LONG: usize = 8;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// So often is written down that a share is in use.
const TOUCH_EVERY: Duration = Duration::from_secs(10 * 60);

/// This many things that were left out are named one by one.
const NAMED: usize = 10;

/// Shares until it is enough, too late, or interrupted.
pub(super) async fn run(args: SendArgs, console: &mut Console) -> Result<()> {
    console.perform(|events| share(args, events)).await
}

async fn share(args: SendArgs, events: Events) -> Result<()> {
    let mut interrupted = pin!(interrupt());
    let ready = tokio::select! {
        ready = prepare(args, &events) => ready?,
        () = interrupted.as_mut() => {
            return Err(Error::new(Kind::Interrupted, "stopped; nothing was shared"));
        }
    };
    ready.serve(events, interrupted).await
}

/// A share that is about to begin.
struct Ready {
    settings: ShareSettings,
    source: Source,
    code: Code,
    budget: GuessBudget,
    held: HeldShare,
    way: Way,
    registration: Registration,
    _running: Option<RunningShare>,
}

/// Does everything that comes before the code is good.
async fn prepare(args: SendArgs, events: &Events) -> Result<Ready> {
    if args.paths.iter().any(|path| path.as_os_str() == "-") {
        return Err(Error::new(Kind::Usage, "standard input cannot be shared by this version")
            .hint("write it to a file first; a file that is called - is ./-"));
    }
    let mut settings = ShareSettings {
        paths: args.paths,
        name: args.name,
        max_downloads: if args.once { Some(1) } else { args.max_downloads },
        expire: args.expire,
        key: None,
    };
    let state = config::state()?;
    let relay = config::relay(args.relay)?;
    let named = relay.as_ref().map(|spec| spec.addr.to_string());
    let mut held = ShareStore::open(&state)?.take(&settings.paths, named.as_deref(), args.keep)?;
    let is_long = args.keep > DAY || settings.expire.is_some_and(|expire| expire > DAY);
    let kept = held.code().filter(|_| !args.new_code);
    let length = match (args.code_length, &kept) {
        (Some(length), _) => length,
        (None, Some(code)) => code.secret().length(),
        (None, None) if is_long => LONG,
        (None, None) => SHORT,
    };
    let before = kept.filter(|code| code.secret().length() == length);
    let old_ticket = held.ticket().filter(|_| before.is_none());
    if before.is_none() {
        held.renew();
    }
    let source = scan(settings.paths.clone(), settings.name.clone(), held.share()).await?;
    warn_skipped(&source, events).await;
    held.set_name(source.manifest().name());
    let transport = TransportOptions { congestion: args.connection.congestion, send_rate_limit: args.limit_up };
    let way = Way::open(&state, relay, held.port(), transport, events).await?;
    held.set_pin(way.pin());
    if let Some(embedded) = &way.embedded {
        match held.port() {
            Some(before) if before != embedded.port() => events.report(other_port(before, embedded.port())).await,
            _ => held.set_port(embedded.port()),
        }
    }
    let registration = Registration::request(way.connected.connection.clone(), way.token(), held.ticket()).await?;
    let code = match before {
        Some(code) if code.slot() == registration.slot() => code,
        other => {
            if other.is_some() {
                held.renew();
                events.report(new_code()).await;
            }
            Code::new(registration.slot(), Secret::random(length)?)
        }
    };
    settings.key = Some(held.key());
    held.save(&code, &held.key(), registration.ticket())?;
    if old_ticket.is_some()
        && let Ok(mut old) = Registration::request(way.connected.connection.clone(), way.token(), old_ticket).await
    {
        old.release().await; // nobody needs to wait for the old code any more
    }
    let _running = way.announce(&state, &code)?;
    let budget = GuessBudget::load(Some(held.budget()), length, Arc::new(SystemClock))?;
    Ok(Ready { settings, source, code, budget, held, way, registration, _running })
}

impl Ready {
    /// Shows the code, and serves until the share ends.
    async fn serve(self, events: Events, interrupted: impl Future<Output = ()>) -> Result<()> {
        let Self { settings, source, code, budget, held, way, registration, _running } = self;
        let sharing = way.sharing(&source, &code, settings.expire);
        events.report(Event::Sharing(sharing.clone())).await;
        let share = Share::new(settings, source, code, budget, events.clone());
        let held = Arc::new(Mutex::new(held));
        let back = ReregisterConfig {
            dialer: way.dialer.clone(),
            token: way.token(),
            on_registered: Box::new(registered(Arc::clone(&held), way.linking(), sharing)),
        };
        let touching = async {
            loop {
                sleep(TOUCH_EVERY).await;
                let _ = lock(&held).touch(); // where the disk is full, it is kept for a little less
            }
        };
        let outcome = tokio::select! {
            outcome = share.run(registration, back, interrupted) => outcome,
            never = touching => never,
        };
        way.close().await;
        if outcome.is_ok() || share.has_ended() {
            lock(&held).forget();
        } else {
            let _ = lock(&held).touch();
        }
        let reason = outcome?;
        events.report(Event::Stopped { reason }).await;
        Ok(())
    }
}

/// What is to be done after each registration: the ticket is kept, and a code that has changed is shown.
fn registered(
    held: Arc<Mutex<HeldShare>>,
    linking: impl Fn(&Code) -> Link,
    sharing: Sharing,
) -> impl Fn(&Code, &ShareKey, &[u8]) -> Vec<Event> {
    move |code, key, ticket| {
        let mut held = lock(&held);
        let mut events = Vec::new();
        if held.code().as_ref() != Some(code) {
            let link = linking(code).reveal();
            events.extend([new_code(), Event::Sharing(Sharing { code: code.reveal(), link, ..sharing.clone() })]);
        }
        if let Err(e) = held.save(code, key, ticket) {
            events.push(Event::warning("state", e.message().to_owned(), &e));
        }
        events
    }
}

fn lock(held: &Mutex<HeldShare>) -> MutexGuard<'_, HeldShare> {
    held.lock()
}

fn new_code() -> Event {
    Event::Warning {
        kind: "new_code",
        message: "the relay could not give the old code back: there is a new one".to_owned(),
        hint: Some("tell it to whoever has the old one".to_owned()),
    }
}

fn other_port(before: u16, now: u16) -> Event {
    Event::Warning {
        kind: "port",
        message: format!("port {before} is taken: this share is on port {now} this time"),
        hint: Some("links from before are good again when it is free and you share again".to_owned()),
    }
}

async fn scan(paths: Vec<PathBuf>, name: Option<String>, share: ShareId) -> Result<Source> {
    match spawn_blocking(move || Source::scan(&paths, name.as_deref(), share)).await {
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
    connected: RelayConnection,
    dialer: Dialer,
    spec: RelaySpec,
    embedded: Option<Embedded>,
}

impl Way {
    async fn open(
        state: &StateDir,
        configured: Option<RelaySpec>,
        port: Option<u16>,
        transport: TransportOptions,
        events: &Events,
    ) -> Result<Self> {
        match configured {
            Some(spec) => {
                let dialer = dialer(state, vec![spec.addr.clone()], &spec, transport, events);
                let connected = dialer.dial().await?;
                Ok(Self { connected, dialer, spec, embedded: None })
            }
            None => {
                let embedded = Embedded::start(state, port, transport)?;
                udp_buffers::warn_once(state, embedded.clamped(), events).await;
                let reach = embedded.reach();
                let spec = RelaySpec { addr: reach.addr.into(), pin: Some(reach.pin) };
                let dialer = Dialer::new(vec![spec.addr.clone()], net::TrustPolicy::Pin(reach.pin), transport);
                let connected = dialer.dial().await?;
                Ok(Self { connected, dialer, spec, embedded: Some(embedded) })
            }
        }
    }

    fn token(&self) -> Option<Vec<u8>> {
        self.embedded.as_ref().map(Embedded::token)
    }

    /// Makes the bare code work on this machine, where no relay is configured.
    fn announce(&self, state: &StateDir, code: &Code) -> Result<Option<RunningShare>> {
        self.embedded.as_ref().map(|e| RunningShare::announce(state, code.slot(), &e.reach())).transpose()
    }

    /// The key that the relay has shown, where no public authority vouches for it.
    fn pin(&self) -> Option<Pin> {
        let verified = &self.connected.verified;
        (verified.by != VerifiedBy::Authority).then_some(verified.pin)
    }

    /// What makes the link of a code.
    fn linking(&self) -> impl Fn(&Code) -> Link + use<> {
        let mut addresses = match &self.embedded {
            Some(embedded) => embedded.addresses(),
            None => vec![self.spec.addr.clone()],
        };
        let relay = addresses.remove(0);
        let pin = self.pin();
        move |code| Link { relay: relay.clone(), alternatives: addresses.clone(), code: code.clone(), pin }
    }

    fn sharing(&self, source: &Source, code: &Code, expire: Option<Duration>) -> Sharing {
        let manifest = source.manifest();
        let link = self.linking()(code);
        let ends = |after: Duration| (SystemTime::now() + after).duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Sharing {
            schema: SCHEMA,
            share: manifest.share().to_string(),
            code: code.reveal(),
            link: link.reveal(),
            name: manifest.name().to_owned(),
            files: manifest.files(),
            bytes: manifest.bytes(),
            relay: link.relay.to_string(),
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
