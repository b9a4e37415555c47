//! The command `qshare shares`.

use std::{slice, time::Duration};

use tokio::time::timeout;

use super::{
    args::{SharesArgs, SharesCommand},
    console::Console,
    state_folder,
};
use crate::{
    client::{ListedShare, ShareStore},
    code::RelaySpec,
    error::{Error, Kind, Result},
    event::{Event, InterruptedShare},
    net::{self, KnownRelays, TransportOptions, TrustPolicy},
    state::StateDir,
    transfer::Registration,
};

/// The time limit for releasing a slot at its relay.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Lists shares, or forgets some of them.
pub(super) async fn run(args: SharesArgs, console: &Console) -> Result<()> {
    let state = state_folder::open()?.required()?;
    let store = ShareStore::open(&state)?;
    let listed = store.list();
    let forgotten: Vec<&ListedShare> = match args.command {
        None => {
            console.show(Event::Shares { shares: listed.iter().map(event_of).collect() });
            return Ok(());
        }
        Some(SharesCommand::Forget { all: true, .. }) => listed.iter().filter(|share| !share.running).collect(),
        Some(SharesCommand::Forget { shares, .. }) => {
            shares.iter().map(|text| find_one(&listed, text)).collect::<Result<_>>()?
        }
    };
    for share in forgotten {
        store.forget(share)?;
        if let Some((relay, ticket)) = share.relay_spec().zip(share.ticket()) {
            release_slot(&state, relay, ticket).await;
        }
        console.show(Event::Forgotten(event_of(share)));
    }
    Ok(())
}

/// Returns the share that `text` identifies. Prefers the share whose only path is `text`.
fn find_one<'a>(listed: &'a [ListedShare], text: &str) -> Result<&'a ListedShare> {
    let exact: Vec<_> = listed.iter().filter(|share| share.has_only_path(text)).collect();
    if let [share] = exact[..] {
        return Ok(share);
    }
    let matching: Vec<_> = listed.iter().filter(|share| share.matches(text)).collect();
    match matching[..] {
        [share] => Ok(share),
        [] => Err(Error::new(Kind::NotFound, format!("no share matches “{text}”"))
            .hint("run qshare shares to list the shares")),
        _ => Err(Error::new(Kind::Usage, format!("“{text}” matches more than one share"))
            .hint("use its code or id; run qshare shares to list them")),
    }
}

/// Releases the slot of a forgotten share, so that receivers do not wait for its sender. Contacts only a relay whose
/// identity is known. A failure changes nothing: the share is forgotten here in any case.
async fn release_slot(state: &StateDir, spec: RelaySpec, ticket: Vec<u8>) {
    let trust = KnownRelays::new(state.clone()).trust_policy(&spec);
    let Some(trust) = trust.ok().filter(|trust| *trust != TrustPolicy::FirstContact) else { return };
    let release = async {
        let connected = net::connect(slice::from_ref(&spec.addr), trust, TransportOptions::default()).await?;
        Registration::request(connected.connection.clone(), None, Some(ticket)).await?.release().await;
        connected.close().await;
        Ok::<_, Error>(())
    };
    let _ = timeout(RELEASE_TIMEOUT, release).await; // best effort, see above
}

fn event_of(share: &ListedShare) -> InterruptedShare {
    InterruptedShare {
        share: share.id(),
        code: share.code(),
        name: share.name().to_owned(),
        paths: share.paths().iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        relay: share.relay().map(str::to_owned),
        running: share.running,
        created: share.created(),
        expires: share.expires(),
    }
}
