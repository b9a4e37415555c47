//! The command `qshare send`.

mod code_plan;
mod left_out;
mod share_relay;
mod shared_input;
mod warnings;

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::sleep;

use self::{
    code_plan::CodePlan,
    share_relay::{LinkTemplate, PublishedShare, ShareRelay},
    shared_input::SharedInput,
};
use super::{
    args::SendArgs,
    console::Console,
    settings::Settings,
    share_store::{HeldShare, ShareStore},
    shared_paths,
    signals::interrupt,
    state_folder,
};
use crate::{
    background::with_background,
    blocking::run_blocking,
    code::{Code, RelaySpec},
    error::{Error, Kind, Result},
    event::{Event, Events, LeftOutCount, SCHEMA, Sharing},
    manifest::ShareKind,
    net::{ClientRole, TransportOptions},
    rate_limiter::RateLimiter,
    state::StateAccess,
    sync::Mutex,
    transfer::{
        GuessBudget, OnRegistered, Registration, ReregisterConfig, ScanOptions, Share, ShareSettings, Source,
        SystemClock,
    },
};

/// The interval at which the last use of a running share is saved.
const TOUCH_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Shares until the share ends or is interrupted.
pub(super) async fn run(args: SendArgs, console: &Console) -> Result<()> {
    let events = console.events();
    // One future for all steps, so that a signal between two steps is not lost.
    let mut interrupted = pin!(interrupt());
    let prepared = async {
        let input = SharedInput::of(&args, console).await?;
        let settings = Settings::read()?;
        let scanned = ScannedShare::scan(&args, input, &settings).await?;
        if !args.skip_unsendable {
            left_out::confirm(&scanned.source, console).await?;
        }
        left_out::report(&scanned.source, left_out::max_listed(console), &events).await;
        PreparedShare::prepare(scanned, &args, &settings, &events).await
    };
    let prepared = tokio::select! {
        prepared = prepared => prepared?,
        () = interrupted.as_mut() => {
            return Err(Error::new(Kind::Interrupted, "interrupted; nothing was shared"));
        }
    };
    prepared.serve(events, interrupted).await
}

/// A share that is scanned and not registered at a relay yet.
struct ScannedShare {
    state: StateAccess,
    configured: Option<RelaySpec>,
    held: HeldShare,
    plan: CodePlan,
    source: Source,
}

impl ScannedShare {
    async fn scan(args: &SendArgs, input: SharedInput, settings: &Settings) -> Result<Self> {
        shared_paths::check(&args.paths)?;
        let state = state_folder::open()?;
        let configured = settings.relay(args.relay.clone())?.value;
        let relay_name = configured.as_ref().map(|spec| spec.addr.to_string());
        let (relay_name, keep) = (relay_name.as_deref(), args.keep);
        let mut held = match (&input, state.writable()) {
            (SharedInput::Files, Some(state)) => ShareStore::open(state)?.acquire(&args.paths, relay_name, keep)?,
            (SharedInput::Files, None) => HeldShare::without_store(&args.paths, relay_name, keep)?,
            // A later process cannot share them again, and a text may be a secret.
            (SharedInput::Pipe(_) | SharedInput::Text(_), _) => HeldShare::without_store(&[], relay_name, keep)?,
        };
        let plan = CodePlan::new(args, &mut held);
        let (paths, name, share) = (args.paths.clone(), args.name.clone(), held.share());
        let source = match input.into_source(name.as_deref(), share) {
            Some(source) => source?,
            None => {
                let options = scan_options(args);
                run_blocking(move || Source::scan(&paths, name.as_deref(), share, options)).await?
            }
        };
        held.set_name(source.manifest().name());
        Ok(Self { state, configured, held, plan, source })
    }
}

/// A share whose code is valid and not yet shown.
struct PreparedShare {
    settings: ShareSettings,
    source: Source,
    code: Code,
    budget: GuessBudget,
    held: HeldShare,
    relay: ShareRelay,
    registration: Registration,
    published: PublishedShare,
}

impl PreparedShare {
    async fn prepare(scanned: ScannedShare, args: &SendArgs, settings: &Settings, events: &Events) -> Result<Self> {
        let ScannedShare { state, configured, mut held, plan, source } = scanned;
        if let Some(warning) = state_folder::warning(&state) {
            events.report(warning);
        }
        let transport = TransportOptions {
            congestion: settings.congestion(args.connection.congestion)?.value,
            send_limiter: settings.limit_up(args.limit_up)?.value.map(|rate| Arc::new(RateLimiter::new(rate))),
            role: ClientRole::Sender,
        };
        let lan = settings.lan(&args.lan)?.value;
        let relay = ShareRelay::open(&state, configured, (held.port(), lan), transport, events).await?;
        record_relay(&mut held, &relay, events);
        let length = plan.length();
        let (registration, code) = plan.register(&relay, &mut held, events).await?;
        let published = relay.publish(state.writable(), &code, events)?;
        let budget = GuessBudget::load(held.guess_budget(), length, Arc::new(SystemClock))?;
        let settings = ShareSettings {
            max_downloads: if args.once { Some(1) } else { args.max_downloads },
            expire: args.expire,
            compression: args.compress,
            key: Some(held.key()),
        };
        Ok(Self { settings, source, code, budget, held, relay, registration, published })
    }

    /// Shows the code, and serves receivers until the share ends.
    async fn serve(self, events: Events, interrupted: impl Future<Output = ()>) -> Result<()> {
        let Self { settings, source, code, budget, held, relay, registration, published } = self;
        let links = relay.link_template();
        let sharing = sharing(&source, &code, &links, &relay, settings.expire);
        events.report(Event::Sharing(sharing.clone()));
        let share = Share::new(settings, source, code, budget, events.clone());
        let held = Arc::new(Mutex::new(held));
        let reregister = relay.dialer().map(|dialer| ReregisterConfig {
            dialer,
            token: None,
            on_registered: on_registered(Arc::clone(&held), links, sharing),
        });
        let keep_touching = async {
            loop {
                sleep(TOUCH_INTERVAL).await;
                let _ = held.lock().touch(); // on failure the share expires a little earlier
            }
        };
        let outcome =
            with_background(share.run(registration, reregister, relay.nearby(), interrupted), keep_touching).await;
        published.end().await;
        relay.close().await;
        if outcome.is_ok() || share.has_ended() {
            held.lock().forget();
        } else {
            let _ = held.lock().touch(); // on failure the share expires a little earlier
        }
        let reason = outcome?;
        events.report(Event::Stopped { reason });
        Ok(())
    }
}

fn scan_options(args: &SendArgs) -> ScanOptions {
    ScanOptions {
        own_folders: state_folder::all_paths(),
        exclude: args.exclude.clone(),
        gitignore: args.gitignore,
        links: args.links,
    }
}

/// Records the relay's pin, and the port of an embedded relay unless the share already has another one.
fn record_relay(held: &mut HeldShare, relay: &ShareRelay, events: &Events) {
    held.set_pin(relay.pin());
    if let Some(port) = relay.embedded_port() {
        match held.port() {
            Some(previous) if previous != port => events.report(warnings::other_port(previous, port)),
            _ => held.set_port(port),
        }
    }
}

fn sharing(
    source: &Source,
    code: &Code,
    links: &LinkTemplate,
    relay: &ShareRelay,
    expire: Option<Duration>,
) -> Sharing {
    let manifest = source.manifest();
    let link = links.link(code);
    let unix_time = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Sharing {
        schema: SCHEMA,
        share: manifest.share().to_string(),
        code: code.reveal(),
        link: link.reveal(),
        name: manifest.name().to_owned(),
        files: manifest.files(),
        bytes: manifest.bytes(),
        text: manifest.kind() == ShareKind::Text,
        excluded: source.excluded(),
        left_out: LeftOutCount::all_of(manifest.left_out()),
        relay: link.relay.to_string(),
        embedded: relay.embedded_port().is_some(),
        announced: relay.is_announced(),
        expires: expire.map(|after| unix_time(SystemTime::now() + after)),
    }
}

/// Returns the callback for each new registration: it saves the ticket, and reports the code if it has changed.
fn on_registered(held: Arc<Mutex<HeldShare>>, links: LinkTemplate, sharing: Sharing) -> OnRegistered {
    Box::new(move |code, key, ticket| {
        let mut held = held.lock();
        let mut events = Vec::new();
        if held.code().as_ref() != Some(code) {
            let (code, link) = (code.reveal(), links.link(code).reveal());
            events.extend([warnings::new_code(), Event::Sharing(Sharing { code, link, ..sharing.clone() })]);
        }
        if let Err(e) = held.save(code, key, ticket) {
            events.push(Event::warning("state", e.message().to_owned(), &e));
        }
        events
    })
}
