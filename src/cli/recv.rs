//! The command `qshare recv`.

mod consent;

use std::{
    io::{self, IsTerminal},
    pin::{Pin, pin},
};

use self::consent::{Answer, Consent};
use super::{
    args::RecvArgs,
    console::{CommandEnd, Console},
    settings::Settings,
    signals::interrupt,
    state_folder,
};
use crate::{
    client::{OfferRequest, ReceiveTarget},
    code::CodeOrLink,
    error::{Error, Kind, Result},
    event::Events,
    net::{ClientRole, TransportOptions},
    selection::Selection,
    transfer::{
        ConflictPolicy, Destination, DownloadEnd, OutputEnd, OutputForm, PendingOffer, PlannedDownload, StandardOutput,
    },
};

/// Downloads a share by its code or link.
pub(super) async fn run(mut args: RecvArgs, console: &Console) -> Result<CommandEnd> {
    if args.tar && args.out.as_deref().is_none_or(|out| out.as_os_str() != "-") {
        return Err(Error::new(Kind::Usage, "--tar needs --out -").hint("a tar stream goes to standard output"));
    }
    let output = args.writes_to_stdout().then(StandardOutput::open).transpose()?;
    let text = match args.code.take() {
        Some(text) => text,
        None => ask_code(console).await?,
    };
    let given = CodeOrLink::parse(&text)?;
    let settings = Settings::read()?;
    let target = match given {
        CodeOrLink::Link(link) => ReceiveTarget::link(*link),
        CodeOrLink::Code(code) => ReceiveTarget::code(code, settings.relay(args.relay.take())?.value),
    };
    let saves_text = args.out.is_some();
    args.out = settings.out(args.out.take())?.value;
    // One future for all steps, so that a signal between two steps is not lost.
    let mut interrupted = pin!(interrupt());
    let events = console.events();
    let offer = receive_offer(&args, target, &settings, &events, interrupted.as_mut()).await?;
    if args.list {
        let out = args.out.clone();
        return offer.list(out, &events, interrupted).await.map(|()| CommandEnd::Done);
    }
    if let Some(output) = output {
        let form = if args.tar { OutputForm::Tar } else { OutputForm::Content };
        return match offer.write_to(output, form, args.max_size, &events, interrupted).await? {
            OutputEnd::Written => Ok(CommandEnd::Done),
            OutputEnd::ReaderClosed => Ok(CommandEnd::ReaderClosed),
        };
    }
    if offer.is_text() && !saves_text {
        return offer.show_text(args.max_size, &events, interrupted).await.map(|_| CommandEnd::Done);
    }
    if !args.yes && !console.can_ask() {
        offer.decline().await;
        return Err(Error::new(Kind::Usage, "cannot ask for confirmation with --json or without a terminal")
            .hint("pass --yes to download without asking, or --list to only list the files"));
    }
    download(&args, offer, console, interrupted).await
}

/// Downloads an offer. If a restarted sender changes it, asks again and downloads the new offer.
async fn download(
    args: &RecvArgs,
    mut offer: PendingOffer,
    console: &Console,
    mut interrupted: Pin<&mut impl Future<Output = ()>>,
) -> Result<CommandEnd> {
    let events = console.events();
    let mut destination = Destination {
        out: args.out.clone(),
        conflicts: conflict_policy(args).into(),
        skip_unsupported: args.skip_unsupported || !args.yes, // otherwise the question names what is left out
        max_size: args.max_size,
    };
    let consent = Consent { console, asks: !args.yes };
    loop {
        match consent.to_conflicts(&offer, &mut destination, interrupted.as_mut()).await {
            Ok(Answer::Yes) => {}
            Ok(Answer::No) => {
                offer.decline().await;
                return Ok(CommandEnd::Declined);
            }
            Err(e) => {
                offer.abort(&e).await;
                return Err(e);
            }
        }
        let planned = PlannedDownload::new(offer, destination.clone(), &events).await?;
        match consent.to_offer(planned.summary(), interrupted.as_mut()).await {
            Ok(Answer::Yes) => {}
            Ok(Answer::No) => {
                planned.decline().await;
                return Ok(CommandEnd::Declined);
            }
            Err(e) => {
                planned.abort(&e).await;
                return Err(e);
            }
        }
        match planned.accept(&events, interrupted.as_mut()).await? {
            DownloadEnd::Saved(_) => return Ok(CommandEnd::Done),
            DownloadEnd::OfferChanged(changed) => offer = *changed,
        }
    }
}

/// Asks for the code at a terminal. A script may pass it on standard input.
async fn ask_code(console: &Console) -> Result<String> {
    let answer = if console.can_ask() {
        console.ask_line("Code or link: ").await?
    } else if io::stdin().is_terminal() {
        None
    } else {
        console.read_line().await?
    };
    answer
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Error::new(Kind::Usage, "no code given").hint("run qshare recv CODE, or set QSHARE_CODE"))
}

/// Connects to the sender and reads its offer.
async fn receive_offer(
    args: &RecvArgs,
    target: ReceiveTarget,
    settings: &Settings,
    events: &Events,
    interrupted: Pin<&mut impl Future<Output = ()>>,
) -> Result<PendingOffer> {
    let state = state_folder::open()?;
    if let Some(warning) = state_folder::warning(&state) {
        events.report(warning);
    }
    let request = OfferRequest {
        target,
        state,
        transport: TransportOptions {
            congestion: settings.congestion(args.connection.congestion)?.value,
            role: ClientRole::Receiver,
            ..TransportOptions::default()
        },
        lan: settings.lan(&args.lan)?.value,
        wait: args.wait,
        retry_for: args.retry_for,
        rate_limit: settings.limit_down(args.limit_down)?.value,
        selection: Selection { only: args.only.clone(), exclude: args.exclude.clone() },
        out: args.out.clone(),
    };
    request.send(events, interrupted).await
}

fn conflict_policy(args: &RecvArgs) -> ConflictPolicy {
    match (args.overwrite, args.rename, args.skip) {
        (true, ..) => ConflictPolicy::Overwrite,
        (_, true, _) => ConflictPolicy::Rename,
        (.., true) => ConflictPolicy::Skip,
        _ => ConflictPolicy::Refuse,
    }
}
