//! Announces a sender on the local network.

use std::{fmt, time::Duration};

use mdns_sd::{IfKind, IfPredicate, ServiceDaemon, ServiceInfo};
use tokio::time::timeout;

use super::{LanReach, SERVICE};
use crate::{
    error::{Error, Kind, Result},
    net::interfaces::is_local_network,
};

/// How often the interfaces are enumerated, in seconds: how long a machine that has changed its network is not found.
const INTERFACE_CHECK: u32 = 2;

/// How long [`LanAnnouncement::stop`] waits for the goodbye to be sent. The daemon needs less than a millisecond.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// An announced port. The announcement follows interfaces that come and go, and ends when this is dropped.
///
/// After the first second, the announcement sends nothing by itself: it only answers questions.
pub struct LanAnnouncement {
    /// Runs on a thread of its own. `None` if nothing is announced.
    daemon: Option<ServiceDaemon>,
}

impl LanAnnouncement {
    /// Announces the UDP `port` under a random instance name and a random host name.
    ///
    /// The answers contain `port` and the addresses of the interface that was asked, and nothing else that depends on
    /// this machine, its user or the share. A machine without a network announces itself as soon as it has one.
    ///
    /// # Errors
    /// [`Kind::Network`] if the system refuses a thread or a poller.
    pub fn start(port: u16, reach: LanReach) -> Result<Self> {
        let daemon = match reach {
            LanReach::Multicast => Some(announce(port).map_err(|e| {
                Error::new(Kind::Network, format!("cannot announce the share on the local network: {e}"))
            })?),
            LanReach::Only(_) => None,
        };
        Ok(Self { daemon })
    }

    /// Sends the goodbye and ends the announcement, within [`STOP_LIMIT`].
    pub async fn stop(mut self) {
        if let Some(daemon) = self.daemon.take()
            && let Ok(stopped) = daemon.shutdown()
        {
            let _ = timeout(STOP_LIMIT, stopped.recv_async()).await; // in either case nothing is left to do
        }
    }
}

impl Drop for LanAnnouncement {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            let _ = daemon.shutdown(); // otherwise its thread would answer until the process ends
        }
    }
}

impl fmt::Debug for LanAnnouncement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanAnnouncement").finish_non_exhaustive()
    }
}

/// Starts a daemon that announces `port`.
fn announce(port: u16) -> mdns_sd::Result<ServiceDaemon> {
    let daemon = ServiceDaemon::new()?;
    daemon.set_ip_check_interval(INTERFACE_CHECK)?;
    daemon.disable_interface(IfKind::Predicate(IfPredicate::new(|interface| !is_local_network(interface))))?;
    daemon.register(service(port)?)?;
    Ok(daemon)
}

/// Describes the service: random names, the port, no properties, and the addresses of each interface.
fn service(port: u16) -> mdns_sd::Result<ServiceInfo> {
    let (instance, host) = (random_label(), random_label());
    let service = ServiceInfo::new(&format!("{SERVICE}."), &instance, &format!("{host}.local."), (), port, None)?;
    let mut service = service.enable_addr_auto();
    // A probe for the names would delay the announcement by 750 ms (RFC 6762 section 8.1). Names of 64 random bits need
    // none.
    service.set_requires_probe(false);
    Ok(service)
}

/// Returns a label of 64 random bits.
fn random_label() -> String {
    format!("{:016x}", rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_random_and_nothing_else_is_announced() {
        let (first, second) = (service(4433).unwrap(), service(4433).unwrap());
        assert_ne!(first.get_fullname(), second.get_fullname());
        assert_ne!(first.get_hostname(), second.get_hostname());
        assert!(first.get_properties().is_empty());
        assert_eq!(first.get_port(), 4433);
        assert_eq!(first.get_fullname().len(), "0123456789abcdef._qshare._udp.local.".len());
        assert!(!first.requires_probe());
    }

    #[tokio::test]
    async fn nothing_is_announced_to_a_single_address() {
        let announcement = LanAnnouncement::start(4433, LanReach::Only("127.0.0.1:9".parse().unwrap())).unwrap();
        assert!(announcement.daemon.is_none());
        announcement.stop().await;
    }
}
