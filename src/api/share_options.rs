//! What to share, and how.

use std::{fmt, path::PathBuf, time::Duration};

use super::{relay_address::RelayAddress, share::Share, share_event::ShareEvent};
use crate::{
    blocking::run_blocking,
    client::{CodePlan, CodeWishes, MAX_LISTED, OpenShare, ShareRequest, ShareStore, Unsendable, warn_of_left_out},
    error::{Error, Kind, Result},
    event::Events,
    net::{ClientRole, LanReach, TransportOptions},
    state::StateAccess,
    transfer::{ScanOptions, ShareSettings, Source},
};

/// How long the code of an interrupted share stays valid.
const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// What to share, and how.
#[derive(Debug, Clone)]
#[must_use = "a share begins with `start`"]
pub struct ShareOptions {
    content: SharedContent,
    name: Option<String>,
    relay: Option<RelayAddress>,
    local_network: bool,
    skip_unsendable: bool,
    max_downloads: Option<u64>,
    expire: Option<Duration>,
    state_folder: Option<PathBuf>,
}

/// The content of a share.
#[derive(Clone)]
enum SharedContent {
    Paths(Vec<PathBuf>),
    Text(String),
}

impl fmt::Debug for SharedContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Paths(paths) => f.debug_tuple("Paths").field(paths).finish(),
            Self::Text(_) => f.write_str("Text(..)"), // it may be a secret
        }
    }
}

impl ShareOptions {
    /// Shares files and folders.
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self::of(SharedContent::Paths(paths.into_iter().map(Into::into).collect()))
    }

    /// Shares a text of at most 1 MiB.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(SharedContent::Text(text.into()))
    }

    fn of(content: SharedContent) -> Self {
        Self {
            content,
            name: None,
            relay: None,
            local_network: true,
            skip_unsendable: false,
            max_downloads: None,
            expire: None,
            state_folder: None,
        }
    }

    /// Names the share. A single file, a single folder and a text are saved under this name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Shares through this relay. Otherwise, receivers connect to this process, which they must be able to reach.
    pub fn relay(mut self, relay: RelayAddress) -> Self {
        self.relay = Some(relay);
        self
    }

    /// Whether receivers on the local network find the share by its code. They do by default.
    pub fn local_network(mut self, is_on: bool) -> Self {
        self.local_network = is_on;
        self
    }

    /// Leaves out what cannot be shared, such as unreadable files. By default, it is an error.
    pub fn skip_unsendable(mut self) -> Self {
        self.skip_unsendable = true;
        self
    }

    /// Ends the share after this many complete downloads.
    pub fn max_downloads(mut self, downloads: u64) -> Self {
        self.max_downloads = Some(downloads);
        self
    }

    /// Ends the share after this time; running downloads may finish.
    pub fn expire(mut self, after: Duration) -> Self {
        self.expire = Some(after);
        self
    }

    /// Stores the code of files and folders in this folder, which must be private, until the share ends. If this
    /// process is killed before that, or the share is stopped while a download runs, sharing the same paths through the
    /// same relay within a day restores the code, and interrupted downloads continue. Without a folder, nothing is
    /// stored.
    pub fn state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_folder = Some(folder.into());
        self
    }

    /// Lists the files, registers the share at its relay, and serves receivers in the background from then on. It must
    /// be called in a tokio runtime.
    ///
    /// # Errors
    /// - [`ErrorKind::Usage`](crate::ErrorKind::Usage) if a path cannot be shared, or the name cannot be one
    /// - [`ErrorKind::Network`](crate::ErrorKind::Network) if the relay cannot be reached
    /// - [`ErrorKind::WrongCode`](crate::ErrorKind::WrongCode) if the relay has another key than its pin says
    /// - [`ErrorKind::Refused`](crate::ErrorKind::Refused) if the relay refuses
    /// - [`ErrorKind::Disk`](crate::ErrorKind::Disk) if the state folder cannot be used
    ///
    /// # Cancel safety
    /// If the future is dropped before it completes, nothing is shared.
    pub async fn start(self) -> Result<Share> {
        let (events, reported) = Events::unattended(|event| ShareEvent::of(event).is_some());
        let skips_unsendable = self.skip_unsendable;
        let request = self.into_request().await?;
        if !skips_unsendable && let Some(Unsendable { list, .. }) = Unsendable::find(&request.source, MAX_LISTED) {
            return Err(Error::new(Kind::Usage, list).hint("rename, move or repair what is listed, or skip it"));
        }
        warn_of_left_out(&request.source, MAX_LISTED, &events);
        let open = OpenShare::open(request, &events).await?;
        Ok(Share::serve(open, events, reported))
    }

    async fn into_request(self) -> Result<ShareRequest> {
        let Self { content, name, relay, local_network, max_downloads, expire, state_folder, .. } = self;
        let state = StateAccess::named(state_folder)?;
        let relay = relay.map(|relay| relay.0);
        let paths = match &content {
            SharedContent::Paths(paths) => &paths[..],
            SharedContent::Text(_) => &[],
        };
        let mut held = ShareStore::hold(state.writable(), paths, relay.as_ref(), KEEP)?;
        let wishes = CodeWishes { lifetime: expire.unwrap_or_default().max(KEEP), ..CodeWishes::default() };
        let code = CodePlan::new(&wishes, &mut held);
        let share = held.share();
        let own_folders = state.readable().map(|state| state.path("")).into_iter().collect();
        let options = ScanOptions { own_folders, ..ScanOptions::default() };
        let source = run_blocking(move || match content {
            SharedContent::Paths(paths) => Source::scan(&paths, name.as_deref(), share, options),
            SharedContent::Text(text) => Source::of_text(&text, name.as_deref(), share),
        });
        let source = source.await?;
        held.set_name(source.manifest().name());
        let transport = TransportOptions { role: ClientRole::Sender, ..TransportOptions::default() };
        let lan = local_network.then_some(LanReach::Multicast);
        let settings = ShareSettings { max_downloads, expire, ..ShareSettings::default() };
        Ok(ShareRequest { state, relay, lan, transport, held, code, source, settings })
    }
}
