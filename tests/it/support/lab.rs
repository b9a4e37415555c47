//! Networks for tests: hosts in network namespaces, on bridges in another one. Needs root, iproute2 and nftables.
//!
//! Nothing reaches the real interfaces of this machine. All names contain the process id, so test runs do not collide,
//! and a run removes what killed runs have left over.

use std::{
    fs::{self, File},
    net::{IpAddr, UdpSocket},
    os::fd::AsFd,
    path::Path,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

/// Where iproute2 keeps the namespaces.
const NAMESPACES: &str = "/run/netns";

/// Begins the names of all namespaces of tests.
const PREFIX: &str = "qshare-lab";

/// A switch with bridges, and hosts. Everything is removed when dropped; declare it before the processes that use it.
pub(crate) struct Lab {
    prefix: String,
    switch: Namespace,
    /// The number of bridges, hosts and ports so far: their names are unique.
    created: AtomicUsize,
}

/// A network segment: everyone on it receives the multicasts of all others.
pub(crate) struct Bridge {
    name: String,
}

/// A machine without any network at first.
pub(crate) struct Host {
    namespace: Namespace,
}

/// A cable between a host and a bridge.
pub(crate) struct Cable {
    switch: Namespace,
    /// The end at the bridge.
    port: String,
    /// The interface of the host.
    pub(crate) interface: String,
}

#[derive(Clone)]
struct Namespace(String);

impl Lab {
    /// Creates a switch without bridges.
    pub(crate) fn new() -> Self {
        static LABS: AtomicUsize = AtomicUsize::new(0);
        remove_left_over();
        let prefix = format!("{PREFIX}-{}-{}", process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let switch = Namespace::create(&format!("{prefix}-switch"));
        Self { prefix, switch, created: AtomicUsize::new(0) }
    }

    /// Creates a bridge that forwards multicasts to everyone.
    pub(crate) fn bridge(&self) -> Bridge {
        self.bridge_with(&["mcast_snooping", "0"])
    }

    /// Creates a bridge with these parameters of iproute2.
    pub(crate) fn bridge_with(&self, parameters: &[&str]) -> Bridge {
        let name = format!("br{}", self.next());
        self.switch.ip(&[&["link", "add", &name, "type", "bridge"], parameters].concat());
        self.switch.ip(&["link", "set", &name, "up"]);
        Bridge { name }
    }

    /// Creates a host that has only loopback.
    pub(crate) fn host(&self) -> Host {
        let namespace = Namespace::create(&format!("{}-host{}", self.prefix, self.next()));
        // An IPv6 address is usable at once, not after a second in which the host looks for duplicates.
        namespace.enter(|| fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap());
        namespace.ip(&["link", "set", "lo", "up"]);
        Host { namespace }
    }

    /// Creates a host on this bridge.
    pub(crate) fn host_on(&self, bridge: &Bridge, addresses: &[&str]) -> Host {
        let host = self.host();
        self.connect(&host, bridge, addresses);
        host
    }

    /// Connects a host to a bridge, and gives the new interface these addresses, such as `10.0.0.1/24`. An interface
    /// without an IPv4 address has an IPv6 link-local one.
    pub(crate) fn connect(&self, host: &Host, bridge: &Bridge, addresses: &[&str]) -> Cable {
        let number = self.next();
        let (port, interface) = (format!("port{number}"), format!("eth{number}"));
        let host = &host.namespace;
        self.switch.ip(&["link", "add", &port, "type", "veth", "peer", "name", &interface, "netns", &host.0]);
        self.switch.ip(&["link", "set", &port, "master", &bridge.name, "up"]);
        for address in addresses {
            host.ip(&["address", "add", address, "dev", &interface]);
        }
        host.ip(&["link", "set", &interface, "up"]);
        Cable { switch: self.switch.clone(), port, interface }
    }

    /// Drops packets at random on all bridges, each with this probability in percent.
    pub(crate) fn lose(&self, percent: u32) {
        let rules = format!(
            "add table bridge lossy
             add chain bridge lossy forward {{ type filter hook forward priority 0; }}
             add rule bridge lossy forward numgen random mod 100 < {percent} drop"
        );
        self.switch.enter(|| run(Command::new("nft").arg(rules)));
    }

    fn next(&self) -> usize {
        self.created.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        remove_namespaces(|name| name.starts_with(&format!("{}-", self.prefix)));
    }
}

impl Host {
    /// Runs `work` on this host. Every socket that it opens and every process that it starts belongs to this host.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.enter(work)
    }

    /// Runs `ip ARGS…` on this host.
    pub(crate) fn ip(&self, args: &[&str]) -> String {
        self.namespace.ip(args)
    }

    /// Turns IPv6 off.
    pub(crate) fn disable_ipv6(&self) {
        self.enter(|| fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap());
    }

    /// Returns the number of packets that this host has sent on an interface.
    pub(crate) fn sent_packets(&self, interface: &str) -> u64 {
        let links: Value = serde_json::from_str(&self.ip(&["-s", "-j", "link", "show", interface])).unwrap();
        links[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
    }

    /// Opens a socket that receives the questions of multicast DNS on an interface, from its own IPv4 address.
    pub(crate) fn mdns_socket(&self, address: IpAddr) -> UdpSocket {
        self.enter(|| {
            let IpAddr::V4(interface) = address else { panic!("{address} is not an IPv4 address") };
            let socket = UdpSocket::bind(("0.0.0.0", 5353)).unwrap();
            socket.join_multicast_v4(&"224.0.0.251".parse().unwrap(), &interface).unwrap();
            socket
        })
    }
}

impl Cable {
    /// Isolates the host from all other isolated hosts, as access points do.
    pub(crate) fn isolate(&self) {
        self.switch.enter(|| run(Command::new("bridge").args(["link", "set", "dev", &self.port, "isolated", "on"])));
    }

    /// Pulls the cable out. The host loses the interface.
    pub(crate) fn disconnect(self) {
        self.switch.ip(&["link", "delete", &self.port]);
    }
}

impl Namespace {
    fn create(name: &str) -> Self {
        run(Command::new("ip").args(["netns", "add", name]));
        Self(name.to_owned())
    }

    fn ip(&self, args: &[&str]) -> String {
        run(Command::new("ip").args(["-n", &self.0]).args(args))
    }

    /// Runs `work` on a thread in this namespace. Threads and processes that it starts stay there.
    fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(Path::new(NAMESPACES).join(&self.0)).unwrap();
        let within = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(within).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Runs a command, which must succeed, and returns its output.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Removes the namespaces of processes that no longer run.
fn remove_left_over() {
    remove_namespaces(|name| {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        process.is_some_and(|process| !Path::new("/proc").join(process).exists())
    });
}

/// Removes namespaces by name. What they contain goes with them.
fn remove_namespaces(which: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(NAMESPACES).into_iter().flatten().flatten() {
        if let Some(name) = entry.file_name().to_str()
            && which(name)
        {
            let _ = Command::new("ip").args(["netns", "delete", name]).stderr(Stdio::null()).status(); // another run may be faster
        }
    }
}
