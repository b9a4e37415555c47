//! `qshare shares`.

use super::{
    args::{SharesArgs, SharesCommand},
    config,
    console::Console,
    relay_dialer::give_back,
    share_store::{ListedShare, ShareStore},
};
use crate::{
    error::{Error, Kind, Result},
    event::{Event, InterruptedShare},
    state::StateDir,
};

/// Lists the shares that are kept, or forgets some of them.
pub(super) async fn run(args: SharesArgs, console: &mut Console) -> Result<()> {
    let state = config::state()?;
    let store = ShareStore::open(&state)?;
    let kept = store.list();
    match args.command {
        None => {
            console.show(&Event::Shares { shares: kept.iter().map(event).collect() })?;
        }
        Some(SharesCommand::Forget { all: true, .. }) => {
            for share in kept.iter().filter(|share| !share.running) {
                forget(&state, &store, share, console).await?;
            }
        }
        Some(SharesCommand::Forget { shares, .. }) => {
            let meant = shares.iter().map(|words| the_one(&kept, words)).collect::<Result<Vec<_>>>()?;
            for share in meant {
                forget(&state, &store, share, console).await?;
            }
        }
    }
    Ok(())
}

/// The share that is meant by these words.
fn the_one<'a>(kept: &'a [ListedShare], words: &str) -> Result<&'a ListedShare> {
    let exact = kept.iter().filter(|share| share.is_all(words));
    let others = kept.iter().filter(|share| share.is_meant(words));
    let mut meant: Box<dyn Iterator<Item = _>> =
        if exact.clone().count() == 1 { Box::new(exact) } else { Box::new(others) };
    match (meant.next(), meant.next()) {
        (Some(share), None) => Ok(share),
        (None, _) => Err(Error::new(Kind::NotFound, format!("no share is kept under “{words}”"))
            .hint("see qshare shares for what is kept")),
        (Some(_), Some(_)) => Err(Error::new(Kind::Usage, format!("“{words}” means more than one share"))
            .hint("name it by its code or by its id: see qshare shares")),
    }
}

async fn forget(state: &StateDir, store: &ShareStore, share: &ListedShare, console: &mut Console) -> Result<()> {
    store.forget(share)?;
    if let Some((relay, ticket)) = share.relay_spec().zip(share.ticket()) {
        give_back(state, relay, ticket).await;
    }
    console.show(&Event::Forgotten(event(share)))
}

fn event(share: &ListedShare) -> InterruptedShare {
    InterruptedShare {
        share: share.share(),
        code: share.code(),
        name: share.name().to_owned(),
        paths: share.paths().iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        relay: share.relay().map(str::to_owned),
        running: share.running,
        made: share.made(),
        expires: share.expires(),
    }
}
