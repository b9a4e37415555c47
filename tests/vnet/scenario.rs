//! The real relay, a real sender and real receivers on a network.

use std::{
    cell::RefCell,
    future::pending,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use qshare::internals::{
    code::{Code, Pin, RelayAddr, Secret},
    error::Result,
    event::{Event, Finished},
    manifest::ShareId,
    net::{self, ClientRole, Connection, Dialer, RelayConnection, RelayIdentity, TransportOptions, TrustPolicy},
    relay::{self, SenderPolicy, SlotJournal, TicketKey},
    selection::Selection,
    state::StateDir,
    transfer::{
        ConflictPolicy, Destination, DownloadEnd, GuessBudget, Nearby, NearbyRelay, PendingOffer, PlannedDownload,
        ReconnectConfig, Registration, ReregisterConfig, ScanOptions, Share, ShareSettings, Source, SystemClock,
    },
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::{
    event_log::EventLog, host::Host, network::Network, network_path::NetworkPath, scratch_dir::ScratchDir,
    share_task::ShareTask, socket::VirtualSocket,
};

/// The port of a relay.
const PORT: u16 = 4433;

/// How long a receiver retries after it has lost its connection.
const RETRY_FOR: Duration = Duration::from_secs(10 * 60);

/// A network with a relay, and files to send.
pub(crate) struct Scenario {
    /// The network.
    pub(crate) network: Network,
    /// The files, removed with the scenario.
    pub(crate) scratch: ScratchDir,
    /// The relay's host.
    pub(crate) relay_host: Host,
    addr: RelayAddr,
    pin: Pin,
    config: relay::RelayConfig,
    kind: RelayKind,
    relay: RefCell<Option<RelayTask>>,
    receiver_hosts: RefCell<Vec<Host>>,
    transport: TransportOptions,
}

/// Where the relay of a scenario runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelayKind {
    /// In a process of its own.
    Separate,
    /// In the process of the only share, which has no path to it.
    Embedded,
}

impl RelayKind {
    pub(crate) const ALL: [Self; 2] = [Self::Separate, Self::Embedded];
}

/// A running relay, and the channel that stops it.
struct RelayTask {
    /// The connection for the share of an embedded relay, until it is used.
    for_share: Option<Connection>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<()>>,
}

impl Scenario {
    /// Starts a relay on a new host.
    pub(crate) fn new(network: &Network, config: relay::RelayConfig) -> Self {
        Self::with_kind(network, RelayKind::Separate, config)
    }

    /// Starts a relay of this kind on a new host.
    pub(crate) fn with_kind(network: &Network, kind: RelayKind, config: relay::RelayConfig) -> Self {
        Self::start(network, kind, config, TransportOptions::default())
    }

    /// Starts a relay on a new host, with this transport for the connections of all peers. The limiter is for the
    /// clients.
    pub(crate) fn with_transport(network: &Network, config: relay::RelayConfig, transport: TransportOptions) -> Self {
        Self::start(network, RelayKind::Separate, config, transport)
    }

    fn start(network: &Network, kind: RelayKind, config: relay::RelayConfig, transport: TransportOptions) -> Self {
        let scratch = ScratchDir::new();
        let state = StateDir::open(scratch.path("relay")).unwrap();
        let identity = RelayIdentity::load_or_create(&state).unwrap();
        let relay_host = network.host();
        let addr = RelayAddr::from(SocketAddr::new(relay_host.ip(), PORT));
        let ticket_key = TicketKey::new(identity.derive_key("tickets"));
        let senders = match kind {
            RelayKind::Separate => config.senders.clone(),
            RelayKind::Embedded => SenderPolicy::InProcess,
        };
        let config = relay::RelayConfig { ticket_key, senders, journal: Some(SlotJournal::new(state)), ..config };
        let relay = RefCell::new(Some(spawn_relay(network, &relay_host, &identity, kind, &config, transport.clone())));
        let network = network.clone();
        let (pin, receiver_hosts) = (identity.pin(), RefCell::default());
        Self { network, scratch, relay_host, addr, pin, config, kind, relay, receiver_hosts, transport }
    }

    /// Kills the relay. No peer receives a notice.
    pub(crate) fn kill_relay(&self) {
        self.relay_host.kill(PORT);
    }

    /// Starts the relay again after it was killed, with the same state folder.
    pub(crate) fn restart_relay(&self) {
        let identity = RelayIdentity::load_or_create(&StateDir::open(self.scratch.path("relay")).unwrap()).unwrap();
        let relay =
            spawn_relay(&self.network, &self.relay_host, &identity, self.kind, &self.config, self.transport.clone());
        *self.relay.borrow_mut() = Some(relay);
    }

    /// Shares files from a new host, which is connected to the relay by `path`. A share with an embedded relay has no
    /// host and no path of its own.
    ///
    /// # Errors
    /// Those of a sender until its share is registered.
    pub(crate) async fn share(&self, path: &NetworkPath, paths: &[PathBuf]) -> Result<ShareTask> {
        self.share_with_settings(path, paths, ShareSettings::default()).await
    }

    /// Shares files with other settings than the default.
    ///
    /// # Errors
    /// As [`Scenario::share`].
    pub(crate) async fn share_with_settings(
        &self,
        path: &NetworkPath,
        paths: &[PathBuf],
        settings: ShareSettings,
    ) -> Result<ShareTask> {
        self.share_at(path, paths, settings, None).await
    }

    /// Shares files through the relay, and through a relay in the sender's process on port [`PORT`] of its host.
    ///
    /// # Errors
    /// As [`Scenario::share`].
    pub(crate) async fn share_nearby(&self, path: &NetworkPath, paths: &[PathBuf]) -> Result<ShareTask> {
        let ticket_key = TicketKey::random();
        self.share_at(path, paths, ShareSettings::default(), Some(ticket_key)).await
    }

    async fn share_at(
        &self,
        path: &NetworkPath,
        paths: &[PathBuf],
        settings: ShareSettings,
        nearby: Option<TicketKey>,
    ) -> Result<ShareTask> {
        let (host, in_process) = match self.kind {
            RelayKind::Separate => (self.add_host(path), None),
            RelayKind::Embedded => (self.relay_host.clone(), self.take_share_connection()),
        };
        let paths = paths.to_vec();
        let source = spawn_blocking(move || Source::scan(&paths, None, ShareId::random(), ScanOptions::default()))
            .await
            .unwrap()?;
        let (connection, relay) = match in_process {
            Some(connection) => (connection, None),
            None => {
                let relay = self.connect_to_relay(&host).await?;
                (relay.connection.clone(), Some(relay))
            }
        };
        let reregister = relay.is_some().then(|| ReregisterConfig {
            dialer: self.dialer(&host, ClientRole::Sender),
            token: None,
            on_registered: Box::new(|_, _, _| Vec::new()),
        });
        let registration = Registration::request(connection, None, None).await?;
        let secret = Secret::random(5)?;
        let budget = GuessBudget::load(None, secret.length(), Arc::new(SystemClock))?;
        let code = Code::new(registration.slot(), secret);
        let (events, log) = EventLog::record();
        let share = Share::new(settings, source, code.clone(), budget, events);
        let (stop, stopped) = oneshot::channel();
        let nearby = nearby.map(|ticket_key| {
            let identity = RelayIdentity::temporary().unwrap();
            let senders = SenderPolicy::InProcess;
            let config = relay::RelayConfig { ticket_key: ticket_key.clone(), senders, ..Default::default() };
            let kind = RelayKind::Embedded;
            let relay = spawn_relay(&self.network, &host, &identity, kind, &config, self.transport.clone());
            let issue_ticket = Box::new(move |slot| ticket_key.issue_own_ticket(slot));
            (NearbyRelay { connection: relay.for_share.unwrap(), issue_ticket }, relay.stop)
        });
        let task = tokio::spawn(async move {
            let (nearby, _stop_relay) = nearby.unzip();
            let outcome = share.run(registration, reregister, nearby, async { drop(stopped.await) }).await;
            if let Some(relay) = relay {
                relay.close().await;
            }
            outcome
        });
        Ok(ShareTask { host, code, log, stop, task })
    }

    /// Downloads to a new host, which is connected to the relay by `path`.
    ///
    /// # Errors
    /// Those of a receiver.
    pub(crate) async fn download(&self, path: &NetworkPath, code: &Code) -> Result<CompletedDownload> {
        let host = self.add_host(path);
        self.download_at(host, code, None).await
    }

    /// Downloads to `host`, which also searches `nearby`.
    ///
    /// # Errors
    /// Those of a receiver.
    pub(crate) async fn download_at(
        &self,
        host: Host,
        code: &Code,
        nearby: Option<Nearby>,
    ) -> Result<CompletedDownload> {
        self.receiver_hosts.borrow_mut().push(host.clone());
        let folder = self.scratch.folder(&format!("received/{}", host.ip()));
        let began = Instant::now();
        let connected_after = Arc::new(OnceLock::new());
        let (events, log) = EventLog::record();
        let (dialer, first_connection) = (self.dialer(&host, ClientRole::Receiver), Arc::clone(&connected_after));
        let dialer = Dialer::from_fn(move || {
            let (dialer, first_connection) = (dialer.clone(), Arc::clone(&first_connection));
            async move {
                let connection = dialer.dial().await?;
                first_connection.get_or_init(|| began.elapsed());
                Ok(connection)
            }
        });
        let reconnect = ReconnectConfig {
            relay: Some(dialer),
            nearby,
            wait: None,
            retry_for: RETRY_FOR,
            rate_limit: None,
            resumptions: None,
        };
        let offer = PendingOffer::receive(code, reconnect, Selection::default(), &events, pending()).await?;
        let offered_after = began.elapsed();
        let out = Some(folder.clone());
        let conflicts = ConflictPolicy::Refuse.into();
        let destination = Destination { out, conflicts, skip_unsupported: false, max_size: None };
        let planned = PlannedDownload::new(offer, destination, &events).await?;
        let DownloadEnd::Saved(finished) = planned.accept(&events, pending()).await? else {
            panic!("the sender offers something else");
        };
        let duration = began.elapsed();
        let connected_after = connected_after.get().copied().unwrap_or_default();
        Ok(CompletedDownload { host, folder, began, connected_after, offered_after, duration, finished, log })
    }

    /// Returns the hosts of all receivers so far, in the order in which they started.
    pub(crate) fn receiver_hosts(&self) -> Vec<Host> {
        self.receiver_hosts.borrow().clone()
    }

    /// Ends the scenario with a graceful stop of the relay.
    pub(crate) async fn stop(self) {
        self.stop_relay().await;
    }

    /// Stops the relay gracefully: it closes all connections. Checks its memory.
    pub(crate) async fn stop_relay(&self) {
        let relay = self.relay.borrow_mut().take();
        let RelayTask { stop, task, .. } = relay.unwrap();
        stop.send(()).expect("the relay has ended already");
        task.await.unwrap().unwrap();
        self.assert_memory_was_bounded();
    }

    /// Checks that the bridges never held more than the relay's budget, nor one direction more than its limit, besides
    /// what arrived while one was reset. Connections and streams never take more than three quarters of the budget.
    fn assert_memory_was_bounded(&self) {
        const IN_RESET: usize = 1024 * 1024;
        let (limit, usage) = (self.config.memory.limit(), self.config.memory.usage());
        let bridge = usize::try_from(self.config.max_bridge_bytes).unwrap();
        assert!(usage.peak <= limit.saturating_add(IN_RESET), "{usage:?}");
        assert!(usage.largest <= bridge + bridge / 8 + 2 * IN_RESET, "{usage:?}");
        assert!(usage.reserved <= limit / 4 * 3, "{usage:?}");
    }

    fn take_share_connection(&self) -> Option<Connection> {
        let mut relay = self.relay.borrow_mut();
        Some(relay.as_mut().and_then(|relay| relay.for_share.take()).expect("an embedded relay has one share"))
    }

    /// Adds a host that is connected to the relay by `path`.
    pub(crate) fn add_host(&self, path: &NetworkPath) -> Host {
        let host = self.network.host();
        self.network.connect(&host, &self.relay_host, path);
        host
    }

    /// Returns the address of the relay.
    pub(crate) fn relay_addr(&self) -> SocketAddr {
        SocketAddr::new(self.relay_host.ip(), PORT)
    }

    /// Connects the host of a sender to the relay.
    ///
    /// # Errors
    /// Those of a client.
    pub(crate) async fn connect_to_relay(&self, host: &Host) -> Result<RelayConnection> {
        self.dialer(host, ClientRole::Sender).dial().await
    }

    /// Connects the host of a receiver to the relay.
    ///
    /// # Errors
    /// Those of a client.
    pub(crate) async fn connect_receiver(&self, host: &Host) -> Result<RelayConnection> {
        self.dialer(host, ClientRole::Receiver).dial().await
    }

    /// Creates a dialer that connects a host to the relay in the process of a share.
    pub(crate) fn nearby_dialer(&self, host: &Host, share: &ShareTask) -> Dialer {
        self.dialer_to(host, SocketAddr::new(share.host.ip(), PORT).into(), TrustPolicy::Nearby, ClientRole::Receiver)
    }

    /// Creates a dialer that connects a host to the relay, from a new port for each connection.
    fn dialer(&self, host: &Host, role: ClientRole) -> Dialer {
        self.dialer_to(host, self.addr.clone(), TrustPolicy::Pin(self.pin), role)
    }

    fn dialer_to(&self, host: &Host, addr: RelayAddr, trust: TrustPolicy, role: ClientRole) -> Dialer {
        let transport = TransportOptions { role, ..self.transport.clone() };
        let (network, host) = (self.network.clone(), host.clone());
        Dialer::from_fn(move || {
            let (socket, addr) = (seeded_socket(&network, host.bind(0)), addr.clone());
            let transport = transport.clone();
            async move { net::connect_over(socket, std::slice::from_ref(&addr), trust, transport).await }
        })
    }
}

/// Spawns a relay on a host.
fn spawn_relay(
    network: &Network,
    host: &Host,
    identity: &RelayIdentity,
    kind: RelayKind,
    config: &relay::RelayConfig,
    transport: TransportOptions,
) -> RelayTask {
    let (for_share, in_process) = match kind {
        RelayKind::Separate => (None, None),
        RelayKind::Embedded => {
            let (for_share, in_process) = Connection::in_memory(transport.clone());
            (Some(for_share), Some(in_process))
        }
    };
    let transport = TransportOptions { send_limiter: None, ..transport };
    let listener = net::listen_on(seeded_socket(network, host.bind(PORT)), identity, transport).unwrap();
    let (stop, stopped) = oneshot::channel();
    let config = config.clone();
    let task = tokio::spawn(relay::serve(listener, in_process, config, async {
        let _ = stopped.await; // a dropped sender stops the relay too
    }));
    RelayTask { for_share, stop, task }
}

/// Returns a socket for which QUIC's random numbers depend only on the network's seed and on the address.
fn seeded_socket(network: &Network, socket: Arc<VirtualSocket>) -> net::Socket {
    let text = format!("{} {}", network.seed(), socket.addr());
    net::Socket::in_memory(socket, *blake3::hash(text.as_bytes()).as_bytes())
}

/// A complete download. Its times count from the moment at which the receiver began to connect.
pub(crate) struct CompletedDownload {
    /// The receiver's host.
    pub(crate) host: Host,
    /// The folder with the downloaded files.
    pub(crate) folder: PathBuf,
    /// When the receiver began to connect.
    pub(crate) began: Instant,
    /// When the receiver was connected to the relay.
    pub(crate) connected_after: Duration,
    /// When the receiver had the offer.
    pub(crate) offered_after: Duration,
    /// When all files were saved and the sender had acknowledged that.
    pub(crate) duration: Duration,
    /// The receiver's own summary. Its `seconds` count from the acceptance.
    pub(crate) finished: Finished,
    log: EventLog,
}

impl CompletedDownload {
    /// Returns the goodput from the acceptance to the end, in bits per second.
    pub(crate) fn goodput(&self) -> f64 {
        self.finished.bytes as f64 * 8.0 / self.finished.seconds
    }

    /// Returns the goodput between the middle of the download and its last tenth, in bits per second. It leaves out the
    /// start-up, and the end at which the receiver waits for the retransmission of the last lost packets.
    pub(crate) fn steady_goodput(&self) -> f64 {
        let mut progress = self.progress().into_iter();
        let mut first_at_least = |wanted| progress.find(|(_, bytes)| *bytes >= wanted).unwrap();
        let (began, before) = first_at_least(self.finished.bytes / 2);
        let (ended, after) = first_at_least(self.finished.bytes / 10 * 9);
        (after - before) as f64 * 8.0 / (ended - began).as_secs_f64()
    }

    /// Returns the progress events: their times and the number of bytes received.
    pub(crate) fn progress(&self) -> Vec<(Instant, u64)> {
        let bytes = |event| match event {
            Event::Progress { bytes, .. } => Some(bytes),
            _ => None,
        };
        self.log.timed_events().into_iter().filter_map(|(at, event)| Some((at, bytes(event)?))).collect()
    }

    /// Returns the receiver's events.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.log.events()
    }

    /// Returns whether the downloaded copy of this file equals the original.
    pub(crate) fn contains_copy_of(&self, original: &Path) -> bool {
        let copy = self.folder.join(original.file_name().unwrap());
        std::fs::read(copy).is_ok_and(|copy| copy == std::fs::read(original).unwrap())
    }
}
