//! `qshare recv`.

use std::{
    path::PathBuf,
    pin::{Pin, pin},
    time::Duration,
};

use super::{args::RecvArgs, config, console::Console, relay_dialer::dialer, running_shares, signals::interrupt};
use crate::{
    code::{Code, Link, RelayAddr, RelaySpec},
    error::{Error, Kind, Result},
    event::Event,
    net::TransportOptions,
    state::StateDir,
    transfer::{ConflictPolicy, Events, PlannedDownload, ReconnectConfig, ResumptionStore, offer},
};

/// Downloads what a code or a link stands for.
pub(super) async fn run(args: RecvArgs, console: &mut Console) -> Result<()> {
    let clash = match (args.overwrite, args.rename, args.skip) {
        (true, ..) => ConflictPolicy::Overwrite,
        (_, true, _) => ConflictPolicy::Rename,
        (.., true) => ConflictPolicy::Skip,
        _ => ConflictPolicy::Refuse,
    };
    if !args.yes && !args.list && !console.can_ask() {
        return Err(Error::new(Kind::Usage, "there is nobody to ask whether to download")
            .hint("say --yes to download without a question, or --list to look only"));
    }
    if args.out.as_deref().is_some_and(|out| out.as_os_str() == "-") {
        return Err(Error::new(Kind::Usage, "this version cannot write to standard output")
            .hint("name a file with --out; one that is to be called - is ./-"));
    }
    let text = match args.code {
        Some(text) => text,
        None => ask_code(console).await?,
    };
    let transport = TransportOptions { congestion: args.connection.congestion, send_rate_limit: None };
    let from = From::resolve(&text, args.relay, transport, args.retry_for)?;
    let (list, out, yes) = (args.list, args.out, args.yes);
    let mut interrupted = pin!(interrupt()); // one for all that follows: a signal between two steps is not lost
    let looked = console.perform(|events| look(from, list, out, clash, events, interrupted.as_mut())).await?;
    let Some(mut planned) = looked else { return Ok(()) };
    if let Some(limit) = args.limit_down {
        planned = planned.limit(limit);
    }
    let accepted = yes || {
        let summary = planned.summary();
        tokio::select! {
            answer = console.ask_offer(&summary) => answer?,
            () = interrupted.as_mut() => {
                planned.decline().await;
                return Err(Error::new(Kind::Interrupted, "stopped; nothing was downloaded"));
            }
        }
    };
    if !accepted {
        planned.decline().await;
        return Err(Error::new(Kind::Refused, "declined; nothing was downloaded"));
    }
    console.perform(async |events| planned.accept(&events, interrupted).await).await.map(drop)
}

async fn ask_code(console: &mut Console) -> Result<String> {
    let missing = || Error::new(Kind::Usage, "there is no code").hint("qshare recv CODE, or set QSHARE_CODE");
    if !console.can_ask() {
        return Err(missing());
    }
    let answer = console.ask_line("Code or link: ").await?;
    answer.filter(|text| !text.trim().is_empty()).ok_or_else(missing)
}

/// A code and where it is good.
struct From {
    code: Code,
    addresses: Vec<RelayAddr>,
    spec: RelaySpec,
    state: StateDir,
    transport: TransportOptions,
    retry_for: Duration,
}

impl From {
    /// A link names its relay; a bare code is looked for at the configured relay, else on this machine.
    fn resolve(text: &str, named: Option<RelaySpec>, transport: TransportOptions, retry_for: Duration) -> Result<Self> {
        if Link::has_scheme(text) {
            let Link { relay, alternatives, code, pin } = Link::parse(text)?;
            let spec = RelaySpec { addr: relay.clone(), pin };
            let addresses = std::iter::once(relay).chain(alternatives).collect();
            return Ok(Self { code, addresses, spec, state: config::state()?, transport, retry_for });
        }
        let code = Code::parse(text)?;
        let state = config::state()?;
        let spec = match config::relay(named)? {
            Some(spec) => spec,
            None => match running_shares::find(&state, code.slot())? {
                Some(reach) => RelaySpec { addr: reach.addr.into(), pin: Some(reach.pin) },
                None => {
                    return Err(Error::new(
                        Kind::NotFound,
                        "no relay is configured, and no sender on this machine has this code",
                    )
                    .hint("ask for the link that the sender shows, or name the relay with --relay HOST"));
                }
            },
        };
        Ok(Self { code, addresses: vec![spec.addr.clone()], spec, state, transport, retry_for })
    }
}

/// Connects, shows the offer, and finds a place for it; `None` where it was only to be listed.
async fn look(
    from: From,
    list: bool,
    out: Option<PathBuf>,
    clash: ConflictPolicy,
    events: Events,
    mut interrupted: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<PlannedDownload>> {
    let From { code, addresses, spec, state, transport, retry_for } = from;
    let dialer = dialer(&state, addresses, &spec, transport, &events);
    let back = ReconnectConfig { dialer, retry_for, resumptions: Some(ResumptionStore::open(&state)?) };
    let offer = offer::connect(&code, back, &events, interrupted.as_mut()).await?;
    events.report(Event::Offer(offer.summary(out.clone()).await)).await;
    if list {
        return offer.list(&events, interrupted).await.map(|()| None);
    }
    offer.plan(out, clash).await.map(Some)
}
