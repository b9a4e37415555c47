//! The network: its hosts, the links between them, and the schedule of what happens next.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, PoisonError},
    task::Waker,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    clock::TimeDriver,
    host::{Host, HostState},
    impairments::Impairments,
    link::{EmulatedLink, LinkState, Transmission},
    link_config::LinkConfig,
    network_path::NetworkPath,
    socket::Packet,
    tally::Tally,
};

/// A handle to a network. Clones refer to the same network.
#[derive(Debug, Clone)]
pub(crate) struct Network(Arc<SharedNetwork>);

impl Network {
    /// Creates an empty network and spawns the task that drives it.
    pub(super) fn start(seed: u64, driver: TimeDriver) -> Self {
        let shared = Arc::new(SharedNetwork {
            began: Instant::now(),
            seed,
            state: Mutex::default(),
            rescheduled: Notify::new(),
        });
        tokio::spawn(drive(Arc::clone(&shared), driver));
        Self(shared)
    }

    /// Returns the seed of all random numbers.
    pub(crate) fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Adds a host with the next address of 10.0.0.0/8.
    pub(crate) fn host(&self) -> Host {
        let number = self.0.access(|state, _| state.hosts.len() as u32 + 1);
        self.host_at(Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number))
    }

    /// Adds a host with this address.
    pub(crate) fn host_at(&self, ip: impl Into<IpAddr>) -> Host {
        let ip = ip.into();
        let before = self.0.access(|state, _| state.hosts.insert(ip, HostState::default()));
        assert!(before.is_none(), "the address {ip} is taken");
        Host { network: Arc::clone(&self.0), ip }
    }

    /// Adds a link. Its random numbers depend on the network's seed and on the number of links before it.
    pub(crate) fn link(&self, config: &LinkConfig) -> EmulatedLink {
        let number = self.0.access(|state, _| {
            let number = state.links.len();
            state.links.push(LinkState::new(config.clone(), Impairments::new(self.0.seed, number)));
            number
        });
        EmulatedLink { network: Arc::clone(&self.0), number }
    }

    /// Adds a path of two new links, one for each direction.
    pub(crate) fn path(&self, config: &LinkConfig) -> NetworkPath {
        NetworkPath { forward: vec![self.link(config)], reverse: vec![self.link(config)] }
    }

    /// Routes packets from `a` to `b` over `path.forward` from now on, and those from `b` to `a` over `path.reverse`.
    pub(crate) fn connect(&self, a: &Host, b: &Host, path: &NetworkPath) {
        self.0.access(|state, _| {
            for (from, to, links) in [(a, b, &path.forward), (b, a, &path.reverse)] {
                let numbers: Arc<[usize]> = links.iter().map(|link| link.number).collect();
                state.routes.insert((from.ip, to.ip), numbers);
            }
        });
    }

    /// Returns the number of packets without a destination: no route, no host, or no socket.
    pub(crate) fn undeliverable(&self) -> Tally {
        self.0.access(|state, _| state.undeliverable)
    }
}

/// Carries out each scheduled action in its time.
async fn drive(network: Arc<SharedNetwork>, mut driver: TimeDriver) {
    loop {
        network.access(|_, _| ());
        driver.wait(network.began, || network.next(), &network.rescheduled).await;
    }
}

/// The state that all handles share.
pub(super) struct SharedNetwork {
    began: Instant,
    seed: u64,
    state: Mutex<NetworkState>,
    /// Notified when an action is scheduled before all others.
    rescheduled: Notify,
}

impl SharedNetwork {
    /// Carries out all actions that are due, then calls `access` with the state and the time since the beginning.
    pub(super) fn access<T>(&self, access: impl FnOnce(&mut NetworkState, Duration) -> T) -> T {
        let now = self.began.elapsed();
        let (result, wake, sooner) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let before = state.next();
            state.catch_up(now);
            let result = access(&mut state, now);
            let sooner = state.next().is_some_and(|at| before.is_none_or(|before| at < before));
            (result, std::mem::take(&mut state.wake), sooner)
        };
        wake.into_iter().for_each(Waker::wake);
        if sooner {
            self.rescheduled.notify_one();
        }
        result
    }

    /// Returns the time of the next action.
    fn next(&self) -> Option<Duration> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl fmt::Debug for SharedNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

/// The state of the network. All times count from its beginning.
#[derive(Default)]
pub(super) struct NetworkState {
    pub(super) links: Vec<LinkState>,
    hosts: HashMap<IpAddr, HostState>,
    /// The links from one host to another.
    routes: HashMap<(IpAddr, IpAddr), Arc<[usize]>>,
    schedule: BinaryHeap<ScheduledAction>,
    scheduled: u64,
    pub(super) undeliverable: Tally,
    /// Tasks to wake once the lock is released.
    pub(super) wake: Vec<Waker>,
}

/// An action of the schedule.
pub(super) enum Action {
    /// The transmission of the first packet in the queue of a link ends, if this schedule of it is still valid.
    Transmit(usize, u64),
    /// A packet arrives at the end of a link.
    Arrive(usize, Packet),
    /// The configuration of a link changes.
    Change(usize, Box<dyn FnOnce(&mut LinkConfig) + Send>),
}

struct ScheduledAction {
    at: Duration,
    /// Of actions at the same time, the one that was scheduled first comes first.
    number: u64,
    action: Action,
}

impl NetworkState {
    /// Returns the host with this address.
    pub(super) fn host(&mut self, ip: IpAddr) -> &mut HostState {
        self.hosts.get_mut(&ip).expect("hosts are never removed")
    }

    /// Returns the links from one host to another: none within a host, `None` without a route.
    pub(super) fn route(&self, from: IpAddr, to: IpAddr) -> Option<Arc<[usize]>> {
        if from == to { Some(Arc::default()) } else { self.routes.get(&(from, to)).cloned() }
    }

    /// Adds an action to the schedule.
    pub(super) fn schedule(&mut self, at: Duration, action: Action) {
        self.scheduled += 1;
        self.schedule.push(ScheduledAction { at, number: self.scheduled, action });
    }

    /// Changes the configuration of a link.
    pub(super) fn change_link(&mut self, link: usize, now: Duration, change: impl FnOnce(&mut LinkConfig)) {
        let transmission = self.links[link].change(now, change);
        self.schedule_transmission(link, transmission);
    }

    /// Hands a packet to the next link of its route, or to the socket at the end.
    pub(super) fn forward(&mut self, packet: Packet, now: Duration) {
        match packet.route.get(packet.hops) {
            Some(&link) => {
                let transmission = self.links[link].offer(packet, now);
                self.schedule_transmission(link, transmission);
            }
            None => self.deliver(packet),
        }
    }

    fn deliver(&mut self, packet: Packet) {
        let host = self.hosts.get_mut(&packet.to.ip());
        let paused = host.as_ref().is_some_and(|host| host.paused);
        match host.and_then(|host| host.inboxes.get_mut(&packet.to.port())) {
            Some(inbox) => {
                inbox.push(packet);
                if !paused {
                    self.wake.extend(inbox.reader.take());
                }
            }
            None => self.undeliverable.add(packet.size()),
        }
    }

    fn next(&self) -> Option<Duration> {
        self.schedule.peek().map(|action| action.at)
    }

    /// Carries out all actions up to `now` in their order, each with its own time.
    fn catch_up(&mut self, now: Duration) {
        while self.next().is_some_and(|at| at <= now) {
            let Some(ScheduledAction { at, action, .. }) = self.schedule.pop() else { return };
            match action {
                Action::Transmit(link, schedule) => {
                    let (transmitted, next) = self.links[link].end_transmission(schedule, at);
                    if let Some((packet, arrivals)) = transmitted {
                        arrivals.into_iter().for_each(|at| self.schedule(at, Action::Arrive(link, packet.clone())));
                    }
                    self.schedule_transmission(link, next);
                }
                Action::Arrive(link, mut packet) => {
                    self.links[link].counters.delivered.add(packet.size());
                    packet.hops += 1;
                    self.forward(packet, at);
                }
                Action::Change(link, change) => self.change_link(link, at, change),
            }
        }
    }

    fn schedule_transmission(&mut self, link: usize, transmission: Transmission) {
        if let Some((at, schedule)) = transmission {
            self.schedule(at, Action::Transmit(link, schedule));
        }
    }
}

impl Ord for ScheduledAction {
    /// Orders by time, the earliest greatest, because [`BinaryHeap`] pops the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for ScheduledAction {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ScheduledAction {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ScheduledAction {}
