//! A real relay under attack, and real senders and receivers beside it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use qshare::internals::{
    code::{Code, Secret, Slot},
    error::Result,
    net::{RelayConnection, Socket, TransportOptions, TrustPolicy, connect_over},
    relay::Limits,
    transfer::Registration,
    wire::relay::{ConnectRequest, MAX_BODY},
};
use tokio::runtime::Runtime;

use crate::support::{RelayProcess, TestEnv, bytes_of, peak_memory, wait_until};

/// The most memory that the relay may use in these attacks, in bytes. No download is large.
const MEMORY: u64 = 96 * 1024 * 1024;

fn relay_with(env: &TestEnv, args: &[&str]) -> RelayProcess {
    let relay = env.qshare(&["relay", "--json", "--listen", "127.0.0.1:0"]);
    RelayProcess::start(relay.args(args))
}

async fn connect_from(relay: SocketAddr, ip: Ipv4Addr) -> Result<RelayConnection> {
    let socket = Socket::bind((ip, 0).into()).unwrap();
    connect_over(socket, &[relay.into()], TrustPolicy::Loopback, TransportOptions::default()).await
}

/// Sends a file and receives it. Neither end may need a second attempt, so both stay within their time limits.
fn assert_serves(env: &TestEnv, relay: &RelayProcess, name: &str) {
    let file = env.file(name, vec![7; 100_000]);
    let sender = env.send(&[&file]).via(relay).share();
    let into = env.path(&format!("into-{name}"));
    let received = env.recv(sender.code(), &into).via(relay).run().expect(0);
    assert_eq!(fs::read(into.join(name)).unwrap().len(), 100_000);
    let sent = sender.stop();
    assert!([&received, &sent].iter().all(|output| output.all("reconnecting").is_empty()), "{received}{sent}");
}

/// Attacks a relay in a thread of its own until dropped.
struct Attack {
    is_over: Arc<AtomicBool>,
    /// Counts what the attack has done.
    done: Arc<AtomicU32>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Attack {
    /// Repeats `step` until the attack ends.
    fn start<F: Future<Output = u32>>(step: impl Fn(u32) -> F + Send + 'static) -> Self {
        let (is_over, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU32>::default());
        let (ends, counter) = (Arc::clone(&is_over), Arc::clone(&done));
        let thread = thread::spawn(move || {
            Runtime::new().unwrap().block_on(async {
                for number in 0.. {
                    if ends.load(Ordering::Relaxed) {
                        return;
                    }
                    counter.fetch_add(step(number).await, Ordering::Relaxed);
                }
            });
        });
        Self { is_over, done, thread: Some(thread) }
    }

    fn wait_for(&self, count: u32) {
        wait_until("the attack has begun", || self.done.load(Ordering::Relaxed) >= count);
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join(); // its panic is shown
    }
}

/// Registers slots over one connection and gives them up at once. Returns how many the relay gave.
async fn churn(relay: SocketAddr, ip: Ipv4Addr) -> u32 {
    let Ok(connected) = connect_from(relay, ip).await else { return 0 };
    let mut registered = 0;
    while Registration::request(connected.connection.clone(), None, None).await.is_ok() {
        registered += 1;
    }
    registered
}

fn journal(env: &TestEnv) -> PathBuf {
    env.state().join("relay/slots")
}

#[test]
fn slots_that_nobody_used_are_soon_free_and_not_recorded() {
    let env = TestEnv::new();
    let relay = relay_with(&env, &[]);
    let addr = relay.addr.parse().unwrap();
    let attack = Attack::start(move |_| churn(addr, Ipv4Addr::LOCALHOST));
    attack.wait_for(1_000);
    assert_serves(&env, &relay, "first");
    attack.wait_for(3_000);
    assert_serves(&env, &relay, "second");
    assert!(fs::metadata(journal(&env)).unwrap().len() < 1_000, "unused slots are recorded");
    let memory = peak_memory(relay.process.id());
    assert!(memory.is_none_or(|memory| memory < MEMORY), "the relay uses {memory:?} bytes");
    drop(attack);
    relay.stop();
    let relay = relay_with(&env, &[]);
    assert_serves(&env, &relay, "third");
}

#[test]
fn a_limited_churner_gets_few_slots() {
    let env = TestEnv::new();
    let relay = relay_with(&env, &["--limit-loopback", "--limit", "registrations=100"]);
    let addr = relay.addr.parse().unwrap();
    let attack = Attack::start(move |_| churn(addr, Ipv4Addr::new(127, 0, 0, 9)));
    attack.wait_for(90);
    assert_serves(&env, &relay, "file");
    assert!(attack.done.load(Ordering::Relaxed) < 120);
}

/// Each source connects a few times, asks for slots that nobody has, and leaves requests unfinished.
#[test]
fn a_thousand_connections_from_other_sources_do_not_stop_a_transfer() {
    let env = TestEnv::new();
    let relay = relay_with(&env, &["--limit-loopback"]);
    let addr = relay.addr.parse().unwrap();
    let (done, wanted) = (Arc::<AtomicU32>::default(), 1_000);
    let (counter, (end, ended)) = (Arc::clone(&done), tokio::sync::oneshot::channel::<()>());
    let attack = thread::spawn(move || {
        Runtime::new().unwrap().block_on(async {
            let mut open = Vec::new();
            for number in 0..wanted {
                let ip = Ipv4Addr::new(127, 9, (number / 4 / 250) as u8, (number / 4 % 250) as u8);
                let Ok(connected) = connect_from(addr, ip).await else { continue };
                let (mut send, mut recv) = connected.connection.open_stream().await.unwrap();
                let slot = Slot::from_number(number * 31);
                let miss = bytes_of(&ConnectRequest { slot, token: None, pass: None });
                send.write(miss.into()).await.unwrap();
                let _ = recv.read_frame(MAX_BODY).await;
                let (mut half, unread) = connected.connection.open_stream().await.unwrap();
                half.write(vec![2, 0].into()).await.unwrap();
                open.push((connected, half, unread));
                counter.fetch_add(1, Ordering::Relaxed);
            }
            let _ = ended.await;
        });
    });
    wait_until("the attack has begun", || done.load(Ordering::Relaxed) >= wanted / 2);
    assert_serves(&env, &relay, "during");
    wait_until("all have connected", || done.load(Ordering::Relaxed) >= wanted * 9 / 10);
    assert_serves(&env, &relay, "after");
    let memory = peak_memory(relay.process.id());
    assert!(memory.is_none_or(|memory| memory < 2 * MEMORY), "the relay uses {memory:?} bytes");
    drop(end);
    attack.join().unwrap();
}

#[test]
fn a_receiver_of_an_unknown_code_is_answered_at_once_until_its_limit() {
    let env = TestEnv::new();
    let relay = relay_with(&env, &["--limit-loopback", "--limit", "misses=1"]);
    let unknown = Code::new(Slot::from_number(5), Secret::random(5).unwrap());
    let recv = || env.recv(&unknown.reveal().to_string(), &env.path("into")).via(&relay).run();
    recv().expect_error(3, "not_found", "no such code");
    let explained = recv().expect_error(7, "refused", "(limit misses)");
    assert!(explained.contains("try again in 60 minutes"), "{explained}");
}

#[test]
fn clients_wait_for_a_limit_that_ends_soon() {
    let env = TestEnv::new();
    // One of each is left: 2 s to the next.
    let limits = ["--limit", "connects=30", "--limit", "misses=100", "--limit", "registrations=1800"];
    let relay = relay_with(&env, &[&["--limit-loopback"], &limits[..]].concat());
    let addr = relay.addr.parse().unwrap();
    let file = env.file("file", "content");
    let mut sender = env.send(&[&file]).via(&relay).share();
    Runtime::new().unwrap().block_on(async {
        let mut refused = false;
        while !refused {
            let connected = connect_from(addr, Ipv4Addr::LOCALHOST).await.unwrap();
            let slot = Slot::from_number(1);
            for _ in 0..8 {
                let request = bytes_of(&ConnectRequest { slot, token: None, pass: None });
                let (mut send, mut recv) = connected.connection.open_stream().await.unwrap();
                send.write(request.into()).await.unwrap();
                let Ok(reply) = recv.read_frame(MAX_BODY).await else { break };
                let rejected: qshare::internals::wire::relay::Rejected = reply.frame().decode().unwrap();
                refused |= rejected.retry_after > 0;
            }
        }
    });
    let output = env.recv(sender.code(), &env.path("into")).via(&relay).run().expect(0);
    let waited = output.events().iter().any(|event| event["event"] == "reconnecting");
    assert!(waited, "{output}");
    sender.process.wait_for("download_finished");
}

/// The log line at the end of a relay contains its counters.
#[test]
fn a_verbose_relay_logs_its_counters_without_codes_or_addresses() {
    let env = TestEnv::new();
    let relay = relay_with(&env, &["-v", "--limit-loopback", "--limit", "misses=1"]);
    assert_serves(&env, &relay, "file");
    let unknown = Code::new(Slot::from_number(5), Secret::random(5).unwrap());
    for exit in [3, 7] {
        env.recv(&unknown.reveal().to_string(), &env.path("into")).via(&relay).run().expect(exit);
    }
    let output = relay.stop();
    let log = output.stderr;
    let line = log.lines().rfind(|line| line.contains("now: connections=")).unwrap();
    for counter in
        ["registrations=1 ", "connects=3 ", "misses=1 ", "bridges=1 ", "refused: misses=1", "journal_failures=0"]
    {
        assert!(line.contains(counter), "{counter}: {line}");
    }
    assert!(!log.contains("127.0.0.1") && !log.contains(unknown.slot().as_str()), "{log}");
}

/// A relay without its state folder serves as before, and records the slots again when the folder can be created.
#[test]
fn a_relay_survives_the_loss_of_its_state_folder() {
    let env = TestEnv::new();
    let mut relay = relay_with(&env, &["-v"]);
    assert_serves(&env, &relay, "before");
    let folder = env.state().join("relay");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file in place of the folder").unwrap();
    assert_serves(&env, &relay, "without");
    let warning = relay.process.wait_for("warning");
    assert_eq!(warning["kind"], "state");
    assert!(warning["message"].as_str().unwrap().contains("cannot record the slots in use"), "{warning}");
    assert_serves(&env, &relay, "still-without");
    fs::remove_file(&folder).unwrap();
    let recovered = relay.process.wait_for("warning");
    assert_eq!(recovered["message"], "the slots in use are recorded again");
    let recorded = fs::metadata(journal(&env)).unwrap().len();
    assert!(recorded >= 16 + 3 * 16, "{recorded} bytes for three shares");
    let output = relay.stop();
    assert_eq!(output.all("warning").len(), 2, "{output}");
    assert!(!output.stderr.contains("journal_failures=0"), "{output}");
}

#[test]
fn limits_are_listed_and_checked() {
    let env = TestEnv::new();
    let help = env.qshare(&["relay", "--limit", "help"]).run().expect(0);
    assert_eq!(String::from_utf8_lossy(&help.stdout), Limits::help());
    let wrong = env.qshare(&["relay", "--json", "--limit", "nothing=1"]).run();
    assert!(wrong.expect_error(2, "usage", "no limit “nothing”").contains("misses, "));
    env.qshare(&["relay", "--json", "--limit", "misses=many"]).run().expect_error(2, "usage", "misses needs a whole");
    env.qshare(&["relay", "--json", "--memory", "tiny"]).run().expect_error(2, "usage", "--memory: invalid size");
    let relay = relay_with(&env, &["--memory", "16MiB"]);
    assert_serves(&env, &relay, "file");
}
