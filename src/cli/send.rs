//! The command `qshare send`.

mod code_plan;
mod share_relay;
mod warnings;

use std::{
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::sleep;

use self::{
    code_plan::CodePlan,
    share_relay::{LinkTemplate, ShareRelay},
};
use super::{
    args::SendArgs,
    config,
    console::Console,
    running_shares::RunningShare,
    share_store::{HeldShare, ShareStore},
    signals::interrupt,
};
use crate::{
    background::with_background,
    blocking::run_blocking,
    code::Code,
    error::{Error, Kind, Result},
    event::{Event, Events, SCHEMA, Sharing},
    manifest::ShareId,
    net::{ClientRole, TransportOptions},
    sync::Mutex,
    transfer::{GuessBudget, OnRegistered, Registration, ReregisterConfig, Share, ShareSettings, Source, SystemClock},
};

/// The interval at which the last use of a running share is saved.
const TOUCH_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Shares until the share ends or is interrupted.
pub(super) async fn run(args: SendArgs, console: &Console) -> Result<()> {
    let events = console.events();
    let mut interrupted = pin!(interrupt());
    let prepared = tokio::select! {
        prepared = PreparedShare::prepare(args, &events) => prepared?,
        () = interrupted.as_mut() => {
            return Err(Error::new(Kind::Interrupted, "interrupted; nothing was shared"));
        }
    };
    prepared.serve(events, interrupted).await
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
    /// Lets the bare code work on this machine while the share runs.
    _running: Option<RunningShare>,
}

impl PreparedShare {
    async fn prepare(args: SendArgs, events: &Events) -> Result<Self> {
        reject_standard_input(&args.paths)?;
        let state = config::open_state()?;
        let configured = config::resolve_relay(args.relay.clone())?;
        let relay_name = configured.as_ref().map(|spec| spec.addr.to_string());
        let mut held = ShareStore::open(&state)?.acquire(&args.paths, relay_name.as_deref(), args.keep)?;
        let plan = CodePlan::new(&args, &mut held);
        let source = scan(args.paths.clone(), args.name.clone(), held.share()).await?;
        warnings::report_skipped(&source, events).await;
        held.set_name(source.manifest().name());

        let transport = TransportOptions {
            congestion: args.connection.congestion,
            send_rate_limit: args.limit_up,
            role: ClientRole::Sender,
        };
        let relay = ShareRelay::open(&state, configured, held.port(), transport, events).await?;
        record_relay(&mut held, &relay, events).await;
        let length = plan.length();
        let (registration, code) = plan.register(&relay, &mut held, events).await?;
        let _running = relay.publish(&state, &code)?;
        let budget = GuessBudget::load(Some(held.guess_budget()), length, Arc::new(SystemClock))?;
        let settings = ShareSettings {
            max_downloads: if args.once { Some(1) } else { args.max_downloads },
            expire: args.expire,
            key: Some(held.key()),
        };
        Ok(Self { settings, source, code, budget, held, relay, registration, _running })
    }

    /// Shows the code, and serves receivers until the share ends.
    async fn serve(self, events: Events, interrupted: impl Future<Output = ()>) -> Result<()> {
        let Self { settings, source, code, budget, held, relay, registration, _running } = self;
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
        let outcome = with_background(share.run(registration, reregister, interrupted), keep_touching).await;
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

fn reject_standard_input(paths: &[PathBuf]) -> Result<()> {
    if paths.iter().any(|path| path.as_os_str() == "-") {
        return Err(Error::new(Kind::Usage, "this version cannot share standard input")
            .hint("write it to a file first; to share a file named -, pass ./-"));
    }
    Ok(())
}

async fn scan(paths: Vec<PathBuf>, name: Option<String>, share: ShareId) -> Result<Source> {
    run_blocking(move || Source::scan(&paths, name.as_deref(), share)).await
}

/// Records the relay's pin, and the port of an embedded relay unless the share already has another one.
async fn record_relay(held: &mut HeldShare, relay: &ShareRelay, events: &Events) {
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
        relay: link.relay.to_string(),
        embedded: relay.embedded_port().is_some(),
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
