//! The real relay, a real sender and real receivers on a network.

use std::{
    cell::RefCell,
    future::pending,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use qshare::{
    code::{Code, Pin, RelayAddr, Secret},
    error::Result,
    event::{Event, Finished, StopReason},
    manifest::ShareId,
    net::{self, Dialer, RelayConnection, RelayIdentity, TransportOptions, TrustPolicy},
    relay::{self, SlotJournal, TicketKey},
    state::StateDir,
    transfer::{
        ConflictPolicy, Events, GuessBudget, ReconnectConfig, Registration, ReregisterConfig, Share, ShareSettings,
        Source, SystemClock, offer,
    },
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::{host::Host, network::Network, scratch::Scratch, socket::Socket, way::Way};

/// The port of every relay here.
const PORT: u16 = 4433;

/// For how long a receiver tries to get a dead line back.
const RETRY_FOR: Duration = Duration::from_secs(10 * 60);

/// A network with a relay on it, and files to send.
pub(crate) struct World {
    /// The network.
    pub(crate) network: Network,
    /// Its files; removed with it.
    pub(crate) scratch: Scratch,
    /// The relay's host.
    pub(crate) host: Host,
    addr: RelayAddr,
    pin: Pin,
    config: relay::RelayConfig,
    serving: RefCell<Option<Download>>,
    receivers: RefCell<Vec<Host>>,
    transport: TransportOptions,
}

/// A relay that runs, and what stops it.
type Download = (oneshot::Sender<()>, JoinHandle<Result<()>>);

impl World {
    /// Starts a relay on a host of its own.
    pub(crate) fn new(network: &Network, config: relay::RelayConfig) -> Self {
        Self::tuned(network, config, TransportOptions::default())
    }

    /// As [`World::new`]; everybody's connections are tuned like this.
    pub(crate) fn tuned(network: &Network, config: relay::RelayConfig, transport: TransportOptions) -> Self {
        let scratch = Scratch::new();
        let state = StateDir::open(scratch.path("relay")).unwrap();
        let identity = RelayIdentity::load_or_create(&state).unwrap();
        let host = network.host();
        let addr = RelayAddr::from(SocketAddr::new(host.ip(), PORT));
        let ticket_key = TicketKey::new(identity.derive("tickets"));
        let config = relay::RelayConfig { ticket_key, journal: Some(SlotJournal::new(state)), ..config };
        let serving = RefCell::new(Some(serve(network, &host, &identity, &config, transport)));
        let network = network.clone();
        let (pin, receivers) = (identity.pin(), RefCell::default());
        Self { network, scratch, host, addr, pin, config, serving, receivers, transport }
    }

    /// Kills the relay: nobody hears of it.
    pub(crate) fn kill_relay(&self) {
        self.host.kill(PORT);
    }

    /// Starts the relay again after it was killed, with the files that it has kept.
    pub(crate) fn start_relay(&self) {
        let identity = RelayIdentity::load_or_create(&StateDir::open(self.scratch.path("relay")).unwrap()).unwrap();
        let serving = serve(&self.network, &self.host, &identity, &self.config, self.transport);
        *self.serving.borrow_mut() = Some(serving);
    }

    /// Shares files from a new host, which has this way to the relay.
    ///
    /// # Errors
    /// Those of a sender until its code is good.
    pub(crate) async fn share(&self, way: &Way, paths: &[PathBuf]) -> Result<Sharing> {
        let settings = ShareSettings { paths: paths.to_vec(), ..ShareSettings::default() };
        self.share_with(way, settings).await
    }

    /// As [`World::share`], with all that a share can be.
    ///
    /// # Errors
    /// As [`World::share`].
    pub(crate) async fn share_with(&self, way: &Way, settings: ShareSettings) -> Result<Sharing> {
        let host = self.host_beyond(way);
        let paths = settings.paths.clone();
        let source = spawn_blocking(move || Source::scan(&paths, None, ShareId::random())).await.unwrap()?;
        let connected = self.connect(&host).await?;
        let registration = Registration::request(connected.connection.clone(), None, None).await?;
        let secret = Secret::random(5)?;
        let budget = GuessBudget::open(None, secret.length(), Arc::new(SystemClock))?;
        let code = Code::new(registration.slot(), secret);
        let (events, reported) = report();
        let share = Share::new(settings, source, code.clone(), budget, events);
        let (stop, stopped) = oneshot::channel();
        let back =
            ReregisterConfig { dialer: self.dialer(&host), token: None, on_registered: Box::new(|_, _, _| Vec::new()) };
        let running = tokio::spawn(async move {
            let outcome = share.run(registration, back, async { drop(stopped.await) }).await;
            connected.close().await;
            outcome
        });
        Ok(Sharing { host, code, reported, stop, running })
    }

    /// Downloads to a new host, which has this way to the relay.
    ///
    /// # Errors
    /// Those of a receiver.
    pub(crate) async fn receive(&self, way: &Way, code: &Code) -> Result<Received> {
        let host = self.host_beyond(way);
        self.receivers.borrow_mut().push(host.clone());
        let folder = self.scratch.folder(&format!("received/{}", host.ip()));
        let began = Instant::now();
        let connected_after = Arc::new(OnceLock::new());
        let (events, reported) = report();
        let (dialer, connected) = (self.dialer(&host), Arc::clone(&connected_after));
        let dialer = Dialer::from_fn(move || {
            let (dialer, connected) = (dialer.clone(), Arc::clone(&connected));
            async move {
                let dialed = dialer.dial().await?;
                connected.get_or_init(|| began.elapsed());
                Ok(dialed)
            }
        });
        let back = ReconnectConfig { dialer, retry_for: RETRY_FOR, resumptions: None };
        let offer = offer::connect(code, back, &events, pending()).await?;
        let offered_after = began.elapsed();
        let planned = offer.plan(Some(folder.clone()), ConflictPolicy::Refuse).await?;
        let finished = planned.accept(&events, pending()).await?;
        let took = began.elapsed();
        let connected_after = *connected_after.get().unwrap();
        Ok(Received { host, folder, connected_after, offered_after, took, finished, reported })
    }

    /// The hosts of all receivers so far, in the order in which they began.
    pub(crate) fn receivers(&self) -> Vec<Host> {
        self.receivers.borrow().clone()
    }

    /// Ends the relay: it says goodbye to whoever is connected.
    pub(crate) async fn stop(self) {
        self.end_relay().await;
    }

    /// The same while others are still at it.
    pub(crate) async fn end_relay(&self) {
        let serving = self.serving.borrow_mut().take();
        let (stop, serving) = serving.unwrap();
        let _ = stop.send(());
        serving.await.unwrap().unwrap();
    }

    /// A new host that has this way to the relay.
    pub(crate) fn host_beyond(&self, way: &Way) -> Host {
        let host = self.network.host();
        self.network.route(&host, &self.host, way);
        host
    }

    /// Connects a host to the relay.
    ///
    /// # Errors
    /// Those of a client.
    pub(crate) async fn connect(&self, host: &Host) -> Result<RelayConnection> {
        self.dialer(host).dial().await
    }

    /// What connects a host to the relay, each time from another port.
    fn dialer(&self, host: &Host) -> Dialer {
        let (addr, expect, transport) = (self.addr.clone(), TrustPolicy::Pin(self.pin), self.transport);
        let (network, host) = (self.network.clone(), host.clone());
        Dialer::from_fn(move || {
            let (socket, addr) = (seeded(&network, host.bind(0)), addr.clone());
            async move { net::connect_over(socket, std::slice::from_ref(&addr), expect, transport).await }
        })
    }
}

/// Runs a relay on a host.
fn serve(
    network: &Network,
    host: &Host,
    identity: &RelayIdentity,
    config: &relay::RelayConfig,
    transport: TransportOptions,
) -> Download {
    let listener = net::listen_on(seeded(network, host.bind(PORT)), identity, transport).unwrap();
    let (stop, stopped) = oneshot::channel();
    let config = config.clone();
    let serving = tokio::spawn(relay::serve(listener, config, async {
        let _ = stopped.await;
    }));
    (stop, serving)
}

/// A socket of which the network's seed and its own address decide what QUIC draws at random.
fn seeded(network: &Network, socket: Arc<Socket>) -> net::Socket {
    let text = format!("{} {}", network.seed(), socket.addr());
    net::Socket::in_memory(socket, *blake3::hash(text.as_bytes()).as_bytes())
}

/// What was reported so far, and when.
type Reported = Arc<Mutex<Vec<(Instant, Event)>>>;

/// Keeps everything that is reported.
fn report() -> (Events, Reported) {
    let (events, mut reports) = Events::channel();
    let reported = Reported::default();
    let kept = Arc::clone(&reported);
    tokio::spawn(async move {
        while let Some(event) = reports.recv().await {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), event));
        }
    });
    (events, reported)
}

/// What was reported, without the times.
fn events(reported: &Reported) -> Vec<Event> {
    reported.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, event)| event.clone()).collect()
}

/// A share whose code is good.
pub(crate) struct Sharing {
    /// Where it runs.
    pub(crate) host: Host,
    /// Its code.
    pub(crate) code: Code,
    reported: Reported,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<StopReason>>,
}

impl Sharing {
    /// What it reported so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        events(&self.reported)
    }

    /// Ends it as Ctrl-C does, if it has not ended by itself.
    ///
    /// # Errors
    /// How it ended, if not well.
    pub(crate) async fn stop(self) -> Result<StopReason> {
        let _ = self.stop.send(());
        self.running.await.unwrap()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// How it ended, if not well.
    pub(crate) async fn ended(self) -> Result<StopReason> {
        self.running.await.unwrap()
    }
}

/// A download that is complete. Times count from the moment at which the receiver began to connect.
pub(crate) struct Received {
    /// Where it ran.
    pub(crate) host: Host,
    /// What holds the files.
    pub(crate) folder: PathBuf,
    /// When the connection to the relay stood.
    pub(crate) connected_after: Duration,
    /// When the offer was there.
    pub(crate) offered_after: Duration,
    /// When everything was saved and the sender knew.
    pub(crate) took: Duration,
    /// What the receiver says: `seconds` counts from the acceptance.
    pub(crate) finished: Finished,
    reported: Reported,
}

impl Received {
    /// Bits of content a second, from the acceptance to the end.
    pub(crate) fn goodput(&self) -> f64 {
        self.finished.bytes as f64 * 8.0 / self.finished.seconds
    }

    /// Bits of content a second between its middle and its last tenth: without the start, and without the end, at which
    /// nothing is left to send while the last lost packets are waited for.
    pub(crate) fn steady_goodput(&self) -> f64 {
        let mut progress = self.progress().into_iter();
        let mut reaches = |bytes| progress.find(|(_, there)| *there >= bytes).unwrap();
        let (began, before) = reaches(self.finished.bytes / 2);
        let (ended, there) = reaches(self.finished.bytes / 10 * 9);
        (there - before) as f64 * 8.0 / (ended - began).as_secs_f64()
    }

    /// Bytes of content that were here, and when.
    pub(crate) fn progress(&self) -> Vec<(Instant, u64)> {
        let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = reported.iter().filter_map(|(at, event)| match event {
            Event::Progress { bytes, .. } => Some((*at, *bytes)),
            _ => None,
        });
        progress.collect()
    }

    /// What the receiver reported.
    pub(crate) fn events(&self) -> Vec<Event> {
        events(&self.reported)
    }

    /// Whether it holds a copy of this file, byte for byte.
    pub(crate) fn holds(&self, original: &Path) -> bool {
        let copy = self.folder.join(original.file_name().unwrap());
        std::fs::read(copy).is_ok_and(|copy| copy == std::fs::read(original).unwrap())
    }
}
