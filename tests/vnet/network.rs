//! Hosts, the routes between them, and what happens next.

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
    clock::RateLimiter,
    fate::Chance,
    host::{Host, Machine},
    line::Line,
    pipe::{Leaving, Pipe, Tally, Works},
    socket::Packet,
    way::Way,
};

/// A network. A handle: clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Network(Arc<Inner>);

impl Network {
    /// An empty network, and a task that keeps it going.
    pub(super) fn start(seed: u64, pace: RateLimiter) -> Self {
        let inner = Arc::new(Inner { began: Instant::now(), seed, state: Mutex::default(), changed: Notify::new() });
        tokio::spawn(drive(Arc::clone(&inner), pace));
        Self(inner)
    }

    /// What all its chance comes from.
    pub(crate) fn seed(&self) -> u64 {
        self.0.seed
    }

    /// A new host, with the next address of 10.0.0.0/8.
    pub(crate) fn host(&self) -> Host {
        let number = self.0.now(|state, _| state.hosts.len() as u32 + 1);
        self.host_at(Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number))
    }

    /// A new host with this address.
    pub(crate) fn host_at(&self, ip: impl Into<IpAddr>) -> Host {
        let ip = ip.into();
        let before = self.0.now(|state, _| state.hosts.insert(ip, Machine::default()));
        assert!(before.is_none(), "there is a host {ip} already");
        Host { network: Arc::clone(&self.0), ip }
    }

    /// A new pipe. Its chance depends on the network's seed and on how many pipes were there before.
    pub(crate) fn pipe(&self, line: &Line) -> Pipe {
        let number = self.0.now(|state, _| {
            let number = state.pipes.len();
            state.pipes.push(Works::new(line.clone(), Chance::new(self.0.seed, number)));
            number
        });
        Pipe { network: Arc::clone(&self.0), number }
    }

    /// Two new pipes, one for each direction.
    pub(crate) fn way(&self, line: &Line) -> Way {
        Way { there: vec![self.pipe(line)], back: vec![self.pipe(line)] }
    }

    /// From `a` to `b` packets take this way from now on, and its other direction from `b` to `a`.
    pub(crate) fn route(&self, a: &Host, b: &Host, way: &Way) {
        self.0.now(|state, _| {
            for (from, to, pipes) in [(a, b, &way.there), (b, a, &way.back)] {
                let numbers: Arc<[usize]> = pipes.iter().map(|pipe| pipe.number).collect();
                state.routes.insert((from.ip, to.ip), numbers);
            }
        });
    }

    /// Packets that nobody was there for: no route, no host, or no socket.
    pub(crate) fn strays(&self) -> Tally {
        self.0.now(|state, _| state.strays)
    }
}

/// Lets happen what is to happen, each in its time.
async fn drive(network: Arc<Inner>, mut pace: RateLimiter) {
    loop {
        network.now(|_, _| ());
        pace.wait(network.began, || network.next(), &network.changed).await;
    }
}

/// What all handles share.
pub(super) struct Inner {
    began: Instant,
    seed: u64,
    state: Mutex<State>,
    /// Something will happen sooner than was known.
    changed: Notify,
}

impl Inner {
    /// Looks at the network as it is now, or changes it. The time is that since its beginning.
    pub(super) fn now<T>(&self, look: impl FnOnce(&mut State, Duration) -> T) -> T {
        let now = self.began.elapsed();
        let (outcome, wake, sooner) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let before = state.next();
            state.catch_up(now);
            let outcome = look(&mut state, now);
            let sooner = state.next().is_some_and(|at| before.is_none_or(|before| at < before));
            (outcome, std::mem::take(&mut state.wake), sooner)
        };
        wake.into_iter().for_each(Waker::wake);
        if sooner {
            self.changed.notify_one();
        }
        outcome
    }

    /// When something happens next.
    fn next(&self) -> Option<Duration> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).next()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

/// The network itself. Times are those since its beginning.
#[derive(Default)]
pub(super) struct State {
    pub(super) pipes: Vec<Works>,
    hosts: HashMap<IpAddr, Machine>,
    /// The pipes from one host to another.
    routes: HashMap<(IpAddr, IpAddr), Arc<[usize]>>,
    events: BinaryHeap<Event>,
    planned: u64,
    pub(super) strays: Tally,
    /// To be woken when nobody looks any more.
    pub(super) wake: Vec<Waker>,
}

/// What is to happen at a time.
pub(super) enum What {
    /// The first packet in the queue of a pipe has been sent, if the plan still holds.
    Leave(usize, u64),
    /// A packet arrives at the end of a pipe.
    Arrive(usize, Packet),
    /// A pipe changes.
    Change(usize, Box<dyn FnOnce(&mut Line) + Send>),
}

struct Event {
    at: Duration,
    /// What was planned first happens first.
    number: u64,
    what: What,
}

impl State {
    /// The host with this address.
    pub(super) fn machine(&mut self, ip: IpAddr) -> &mut Machine {
        self.hosts.get_mut(&ip).expect("a host is never removed")
    }

    /// The pipes from one host to another: none within a host. `None` where there is no way.
    pub(super) fn route(&self, from: IpAddr, to: IpAddr) -> Option<Arc<[usize]>> {
        if from == to { Some(Arc::default()) } else { self.routes.get(&(from, to)).cloned() }
    }

    /// Plans something.
    pub(super) fn plan(&mut self, at: Duration, what: What) {
        self.planned += 1;
        self.events.push(Event { at, number: self.planned, what });
    }

    /// Changes a pipe.
    pub(super) fn change(&mut self, pipe: usize, now: Duration, change: impl FnOnce(&mut Line)) {
        let leaving = self.pipes[pipe].change(now, change);
        self.plan_leaving(pipe, leaving);
    }

    /// Hands a packet to the next pipe on its way, or to the socket at its end.
    pub(super) fn forward(&mut self, packet: Packet, now: Duration) {
        match packet.route.get(packet.passed) {
            Some(&pipe) => {
                let leaving = self.pipes[pipe].offer(packet, now);
                self.plan_leaving(pipe, leaving);
            }
            None => self.deliver(packet),
        }
    }

    fn deliver(&mut self, packet: Packet) {
        let machine = self.hosts.get_mut(&packet.to.ip());
        let paused = machine.as_ref().is_some_and(|machine| machine.paused);
        match machine.and_then(|machine| machine.inboxes.get_mut(&packet.to.port())) {
            Some(inbox) => {
                inbox.push(packet);
                if !paused {
                    self.wake.extend(inbox.reader.take());
                }
            }
            None => self.strays.add(packet.size()),
        }
    }

    fn next(&self) -> Option<Duration> {
        self.events.peek().map(|event| event.at)
    }

    /// Lets everything happen up to now, in its order and each at its own time.
    fn catch_up(&mut self, now: Duration) {
        while self.next().is_some_and(|at| at <= now) {
            let Some(Event { at, what, .. }) = self.events.pop() else { return };
            match what {
                What::Leave(pipe, plan) => {
                    let (left, next) = self.pipes[pipe].leave(plan, at);
                    if let Some((packet, arrivals)) = left {
                        arrivals.into_iter().for_each(|at| self.plan(at, What::Arrive(pipe, packet.clone())));
                    }
                    self.plan_leaving(pipe, next);
                }
                What::Arrive(pipe, mut packet) => {
                    self.pipes[pipe].counters.delivered.add(packet.size());
                    packet.passed += 1;
                    self.forward(packet, at);
                }
                What::Change(pipe, change) => self.change(pipe, at, change),
            }
        }
    }

    fn plan_leaving(&mut self, pipe: usize, leaving: Leaving) {
        if let Some((at, plan)) = leaving {
            self.plan(at, What::Leave(pipe, plan));
        }
    }
}

impl Ord for Event {
    /// The greatest is the next.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Event {}
