//! The command `qshare recv`.

mod target;

use std::pin::{Pin, pin};

use self::target::ReceiveTarget;
use super::{args::RecvArgs, console::Console, relay_dialer::relay_dialer, signals::interrupt};
use crate::{
    error::{Error, Kind, Result},
    event::Event,
    net::TransportOptions,
    transfer::{ConflictPolicy, Destination, Events, PendingOffer, PlannedDownload, ReconnectConfig, ResumptionStore},
};

/// Downloads a share by its code or link.
pub(super) async fn run(mut args: RecvArgs, console: &mut Console) -> Result<()> {
    if !args.yes && !args.list && !console.can_ask() {
        return Err(Error::new(Kind::Usage, "cannot ask for confirmation with --json or without a terminal")
            .hint("pass --yes to download without asking, or --list to only list the files"));
    }
    if args.out.as_deref().is_some_and(|out| out.as_os_str() == "-") {
        return Err(Error::new(Kind::Usage, "this version cannot write to standard output")
            .hint("pass a file name to --out; for a file named -, pass ./-"));
    }
    let text = match args.code.take() {
        Some(text) => text,
        None => ask_code(console).await?,
    };
    let target = ReceiveTarget::resolve(&text, args.relay.take())?;
    // One future for all steps, so that a signal between two steps is not lost.
    let mut interrupted = pin!(interrupt());
    let planned = console.run(|events| plan_download(&args, target, events, interrupted.as_mut())).await?;
    let Some(planned) = planned else { return Ok(()) };
    let accepted = args.yes || {
        let summary = planned.summary();
        tokio::select! {
            answer = console.confirm_offer(&summary) => answer?,
            () = interrupted.as_mut() => {
                planned.decline().await;
                return Err(Error::new(Kind::Interrupted, "interrupted; nothing was downloaded"));
            }
        }
    };
    if !accepted {
        planned.decline().await;
        return Err(Error::new(Kind::Refused, "declined; nothing was downloaded"));
    }
    console.run(async |events| planned.accept(&events, interrupted).await).await.map(drop)
}

async fn ask_code(console: &mut Console) -> Result<String> {
    let missing = || Error::new(Kind::Usage, "no code given").hint("run qshare recv CODE, or set QSHARE_CODE");
    if !console.can_ask() {
        return Err(missing());
    }
    let answer = console.ask_line("Code or link: ").await?;
    answer.filter(|text| !text.trim().is_empty()).ok_or_else(missing)
}

/// Connects, shows the offer, and plans the download. With `--list`, lists the entries instead and returns `None`.
async fn plan_download(
    args: &RecvArgs,
    target: ReceiveTarget,
    events: Events,
    mut interrupted: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<PlannedDownload>> {
    let ReceiveTarget { code, addresses, spec, named_by, state } = target;
    let transport = TransportOptions { congestion: args.connection.congestion, send_rate_limit: None };
    let relay_name = spec.addr.to_string();
    let dialer = relay_dialer(&state, addresses, (&spec, named_by), transport, &events);
    let resumptions = Some(ResumptionStore::open(&state, &relay_name, args.out.as_deref())?);
    let reconnect = ReconnectConfig { dialer, retry_for: args.retry_for, rate_limit: args.limit_down, resumptions };
    let offer = PendingOffer::receive(&code, reconnect, &events, interrupted.as_mut()).await?;
    events.report(Event::Offer(offer.summary(args.out.clone()).await)).await;
    if args.list {
        return offer.list(&events, interrupted).await.map(|()| None);
    }
    let destination = Destination { out: args.out.clone(), conflicts: conflict_policy(args), max_size: args.max_size };
    offer.plan(destination).await.map(Some)
}

fn conflict_policy(args: &RecvArgs) -> ConflictPolicy {
    match (args.overwrite, args.rename, args.skip) {
        (true, ..) => ConflictPolicy::Overwrite,
        (_, true, _) => ConflictPolicy::Rename,
        (.., true) => ConflictPolicy::Skip,
        _ => ConflictPolicy::Refuse,
    }
}
