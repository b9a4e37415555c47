//! An open share: it has a slot at its relay and a code that works.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    code_plan::CodePlan,
    share_relay::{LinkTemplate, PublishedShare, ShareRelay},
    share_store::HeldShare,
    warnings,
};
use crate::{
    background::with_background,
    code::{Code, RelaySpec},
    error::Result,
    event::{Event, Events, LeftOutCount, SCHEMA, Sharing},
    manifest::ShareKind,
    net::{LanReach, TransportOptions},
    state::{StateAccess, unix_time},
    sync::Mutex,
    transfer::{GuessBudget, OnRegistered, Registration, ReregisterConfig, Share, ShareSettings, Source, SystemClock},
};

/// The interval at which the last use of a running share is saved.
const TOUCH_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// What a share consists of, before it is registered at a relay.
pub(crate) struct ShareRequest {
    pub(crate) state: StateAccess,
    /// The relay that assigns the slot; `None` for the embedded one.
    pub(crate) relay: Option<RelaySpec>,
    /// How to announce the share on the local network; `None` to leave that out.
    pub(crate) lan: Option<LanReach>,
    pub(crate) transport: TransportOptions,
    pub(crate) held: HeldShare,
    pub(crate) code: CodePlan,
    pub(crate) source: Source,
    pub(crate) settings: ShareSettings,
}

/// A share whose code is valid.
pub(crate) struct OpenShare {
    settings: ShareSettings,
    source: Source,
    code: Code,
    budget: GuessBudget,
    held: HeldShare,
    relay: ShareRelay,
    registration: Registration,
    published: PublishedShare,
    /// What to report of the share. The code and the link change if the relay loses them.
    sharing: Arc<Mutex<Sharing>>,
}

impl OpenShare {
    /// Registers a share at its relay. Only then is its code valid.
    ///
    /// # Errors
    /// [`Kind::Network`](crate::error::Kind::Network) if the relay cannot be reached, or no port can be opened;
    /// [`Kind::Refused`](crate::error::Kind::Refused) if the relay refuses; [`Kind::Disk`](crate::error::Kind::Disk) if
    /// the share cannot be stored.
    pub(crate) async fn open(request: ShareRequest, events: &Events) -> Result<Self> {
        let ShareRequest { state, relay, lan, transport, mut held, code: plan, source, settings } = request;
        let relay = ShareRelay::open(&state, relay, (held.port(), lan), transport, events).await?;
        record_relay(&mut held, &relay, events);
        let length = plan.length();
        let (registration, code) = plan.register(&relay, &mut held, events).await?;
        let published = relay.publish(state.writable(), &code, events)?;
        let budget = GuessBudget::load(held.guess_budget(), length, Arc::new(SystemClock))?;
        let settings = ShareSettings { key: Some(held.key()), ..settings };
        let sharing = sharing(&source, &code, &relay, settings.expire);
        let sharing = Arc::new(Mutex::new(sharing));
        Ok(Self { settings, source, code, budget, held, relay, registration, published, sharing })
    }

    /// Returns what is reported of the share, which follows its code and its link.
    pub(crate) fn sharing(&self) -> Arc<Mutex<Sharing>> {
        Arc::clone(&self.sharing)
    }

    /// Reports the code, and serves receivers until the share ends or `interrupted` completes.
    ///
    /// # Errors
    /// Those of [`Share::run`].
    pub(crate) async fn serve(self, events: Events, interrupted: impl Future<Output = ()>) -> Result<()> {
        let Self { settings, source, code, budget, held, relay, registration, published, sharing } = self;
        events.report(Event::Sharing(sharing.lock().clone()));
        let share = Share::new(settings, source, code, budget, events.clone());
        let held = Arc::new(Mutex::new(held));
        let reregister = relay.dialer().map(|dialer| ReregisterConfig {
            dialer,
            token: None,
            on_registered: on_registered(Arc::clone(&held), relay.link_template(), sharing),
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

fn sharing(source: &Source, code: &Code, relay: &ShareRelay, expire: Option<Duration>) -> Sharing {
    let manifest = source.manifest();
    let link = relay.link_template().link(code);
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
        expires: expire.map(|after| unix_time() + after.as_secs()),
    }
}

/// Returns the callback for each new registration: it saves the ticket, and reports the code if it has changed.
fn on_registered(held: Arc<Mutex<HeldShare>>, links: LinkTemplate, sharing: Arc<Mutex<Sharing>>) -> OnRegistered {
    Box::new(move |code, key, ticket| {
        let mut held = held.lock();
        let mut events = Vec::new();
        if held.code().as_ref() != Some(code) {
            let mut sharing = sharing.lock();
            (sharing.code, sharing.link) = (code.reveal(), links.link(code).reveal());
            events.extend([warnings::new_code(), Event::Sharing(sharing.clone())]);
        }
        if let Err(e) = held.save(code, key, ticket) {
            events.push(Event::warning("state", e.message().to_owned(), &e));
        }
        events
    })
}
