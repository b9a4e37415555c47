//! A real sender whose relay is in the hands of the test, so that attackers can connect from any number of networks.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use qshare::internals::{
    code::{Code, Secret},
    crypto::{Resumption, ShareKey},
    net::{RecvHalf, SendHalf, StreamError},
    transfer::handshake::{Credential, Established, Initiator, InitiatorOptions},
    wire::{
        Frame, Message,
        peer::{Alert, HelloReply, Processing, ResumptionGrant},
        relay::{SiteTag, SourceTag},
    },
};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::hostile::{
    hostile_relay::HostileRelay,
    processes::{RunningSender, TestMachine, random_bytes, within},
};

const CONTENT: usize = 400_000;

/// A sender that shares one file through a relay of the test.
pub(super) struct AttackedShare {
    pub(super) machine: TestMachine,
    pub(super) relay: Arc<HostileRelay>,
    pub(super) sender: RunningSender,
}

/// The sender's reaction to flight 1.
pub(super) enum Reaction {
    /// It has sent flight 2. The handshake is unconfirmed as long as the stream lives.
    Answered((SendHalf, RecvHalf)),
    Refused(Alert),
    /// It has ended the stream.
    Ended(StreamError),
}

impl AttackedShare {
    pub(super) async fn new() -> Self {
        let (machine, relay) = (TestMachine::new(), Arc::new(HostileRelay::start()));
        machine.file("400kB.bin", &random_bytes(78, CONTENT));
        let sender = start_sender(&machine, &relay).await;
        Self { machine, relay, sender }
    }

    /// Kills the sender and starts it again with the same path.
    pub(super) async fn kill_and_restart(&mut self) {
        let code = self.code();
        self.sender.kill().await;
        self.sender = start_sender(&self.machine, &self.relay).await;
        assert_eq!(self.code(), code);
    }

    pub(super) fn code(&self) -> Code {
        Code::parse(self.sender.code()).unwrap()
    }

    /// Returns a code for the same slot with a wrong secret.
    pub(super) fn wrong_code(&self) -> Code {
        Code::new(self.code().slot(), Secret::random(5).unwrap())
    }

    /// Opens a stream from network `source` and sends `flight_1`.
    pub(super) async fn send(&self, source: u64, flight_1: Bytes) -> (SendHalf, RecvHalf) {
        let opened = self.relay.open_stream(self.code().slot(), SourceTag::alone(source.to_be_bytes()));
        let (mut send, recv) = within("a stream", opened).await.unwrap();
        let _ = send.write(flight_1).await; // the sender may have ended the stream
        (send, recv)
    }

    /// Sends a first flight from network `source` and waits for the reaction. Skips notices that the sender is busy.
    pub(super) async fn react(&self, source: u64, flight_1: Bytes) -> Reaction {
        let (send, mut recv) = self.send(source, flight_1).await;
        loop {
            return match within("a reaction", recv.read_frame(4096)).await {
                Ok(frame) if frame.frame().kind == Processing::TYPE => continue,
                Ok(frame) if frame.frame().kind == HelloReply::TYPE => Reaction::Answered((send, recv)),
                Ok(frame) => Reaction::Refused(frame.frame().decode().unwrap()),
                Err(e) => Reaction::Ended(e),
            };
        }
    }

    /// Makes a guess from network `source`. Returns the unconfirmed stream if the sender answers it.
    pub(super) async fn guess(&self, source: u64) -> Option<(SendHalf, RecvHalf)> {
        match self.react(source, flight_1(Credential::Code(&self.wrong_code()))).await {
            Reaction::Answered(stream) => Some(stream),
            Reaction::Refused(_) | Reaction::Ended(_) => None,
        }
    }

    /// Completes a handshake from network `source`.
    pub(super) async fn establish(&self, source: u64, credential: Credential<'_>) -> Established {
        let initiator = Initiator::new(credential, InitiatorOptions { can_reattach: true, ..Default::default() });
        let initiator = initiator.unwrap();
        let (send, recv) = self.send(source, initiator.flight_1().clone()).await;
        let session = within("a session", initiator.complete(send, recv)).await;
        session.unwrap_or_else(|e| panic!("no session: {e:?}"))
    }

    /// Starts `streams` attackers in site `source`, each in a network of its own. Each keeps a stream open that begins
    /// with a flight of `flight`, and opens another when the sender ends it.
    pub(super) fn press(
        &self,
        source: u64,
        streams: usize,
        flight: impl Fn() -> Bytes + Send + Sync + 'static,
    ) -> Attack {
        let (relay, slot) = (self.relay.clone(), self.code().slot());
        let (opened, flight) = (Arc::new(AtomicUsize::new(0)), Arc::new(flight));
        let mut attackers = JoinSet::new();
        for network in 0..streams {
            let (relay, opened, flight) = (relay.clone(), opened.clone(), flight.clone());
            let tag = SourceTag { site: SiteTag(source.to_be_bytes()), network: (network as u64).to_be_bytes() };
            attackers.spawn(async move {
                while let Ok((mut send, mut recv)) = relay.open_stream(slot, tag).await {
                    let _ = send.write(flight()).await;
                    opened.fetch_add(1, Ordering::Relaxed);
                    while let Ok(Some(_)) = recv.read().await {}
                }
            });
        }
        Attack { _attackers: attackers, opened }
    }

    /// Checks that an honest receiver from another network downloads the file.
    pub(super) async fn assert_served(&self, what: &str) {
        let run = self.machine.run_receiver(self.relay.addr(), self.sender.code()).await;
        run.assert_saved("400kB.bin", &random_bytes(78, CONTENT), what);
    }

    /// Checks that the sender has used little memory.
    pub(super) fn assert_memory(&self, what: &str) {
        const LIMIT: u64 = 96 << 20;
        let peak = self.sender.peak_memory().unwrap_or_default();
        assert!(peak <= LIMIT, "{what}: the sender has used {} MB", peak >> 20);
    }
}

async fn start_sender(machine: &TestMachine, relay: &HostileRelay) -> RunningSender {
    let path = machine.root().join("shared/400kB.bin");
    machine.start_sender(relay.addr(), &[&path], &[]).await
}

/// Attackers that press until this is dropped.
pub(super) struct Attack {
    _attackers: JoinSet<()>,
    opened: Arc<AtomicUsize>,
}

impl Attack {
    /// Waits until the attackers have opened this many streams.
    pub(super) async fn wait_for(&self, streams: usize) {
        let opening = async {
            while self.opened.load(Ordering::Relaxed) < streams {
                tokio::task::yield_now().await;
            }
        };
        within("the attackers' streams", opening).await;
    }
}

/// Returns the bytes of a valid first flight.
pub(super) fn flight_1(credential: Credential<'_>) -> Bytes {
    Initiator::new(credential, InitiatorOptions::default()).unwrap().flight_1().clone()
}

/// Returns credentials that the sender has not issued.
pub(super) fn forged_resumption() -> Resumption {
    ShareKey::random().issue_resumption(&[7; 16])
}

/// Reads the credentials that the sender grants in a session.
pub(super) async fn read_grant(session: &mut Established) -> Resumption {
    let record = within("the offer", session.reader.read_record(&mut session.opener)).await.unwrap().unwrap();
    let ResumptionGrant { id, key } = Frame::split(&mut &record[..]).unwrap().decode().unwrap();
    Resumption { id: id.receiver, id_tag: id.tag, key: Zeroizing::new(key) }
}
