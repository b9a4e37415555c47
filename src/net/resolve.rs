//! Resolves the names of a relay.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    slice, thread,
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::relay_errors::{names_unresolved, relay_unreachable};
use crate::{
    code::RelayAddr,
    error::Result,
    text::{system_message, visible},
};

/// How long name servers may take for all names. The system's resolver asks each dead server for up to 5 s.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of addresses to try. A link or a name server must not direct packets to many victims.
const MAX_ADDRESSES: usize = 8;

/// Returns the addresses of all names with their names. IPv6 and IPv4 addresses alternate.
///
/// # Errors
/// [`Kind::Network`](crate::error::Kind::Network) if no name can be resolved within [`RESOLVE_TIMEOUT`].
pub(super) async fn resolve(relays: &[RelayAddr]) -> Result<Vec<(RelayAddr, SocketAddr)>> {
    let deadline = Instant::now() + RESOLVE_TIMEOUT;
    let lookups: Vec<_> = relays.iter().map(|relay| (relay, look_up(relay))).collect();
    let (mut v6, mut v4) = (Vec::new(), Vec::new());
    let mut failure = None;
    for (relay, lookup) in lookups {
        match timeout_at(deadline, lookup).await {
            Ok(Ok(Ok(addresses))) => {
                for addr in addresses {
                    let list = if addr.is_ipv6() { &mut v6 } else { &mut v4 };
                    list.push((relay.clone(), addr));
                }
            }
            Ok(Ok(Err(e))) => failure = Some(relay_unreachable(slice::from_ref(relay), &unresolved(&e))),
            Ok(Err(_)) | Err(_) => failure = Some(names_unresolved(relay)),
        }
    }
    let mut all = alternate(v6, v4);
    all.truncate(MAX_ADDRESSES);
    match failure {
        Some(failure) if all.is_empty() => Err(failure),
        _ => Ok(all),
    }
}

/// Starts to look up a name; an IP address needs no lookup. The system's resolver cannot be cancelled, so it runs on a
/// thread that delays no exit.
fn look_up(relay: &RelayAddr) -> oneshot::Receiver<io::Result<Vec<SocketAddr>>> {
    let (done, result) = oneshot::channel();
    if let Ok(ip) = relay.host.parse::<IpAddr>() {
        let _ = done.send(Ok(vec![(ip, relay.port).into()])); // `result` is still here
        return result;
    }
    let name = (relay.host.clone(), relay.port);
    let look_up = move || {
        let addresses = name.to_socket_addrs().map(Iterator::collect);
        let _ = done.send(addresses); // fails if the caller has given up
    };
    drop(thread::Builder::new().name("resolver".into()).spawn(look_up)); // on failure, the caller gets no result
    result
}

/// Returns the reason why a name cannot be resolved, without the resolver's prefix.
fn unresolved(e: &io::Error) -> String {
    let reason = visible(&system_message(e));
    let reason = reason.strip_prefix("failed to lookup address information: ").unwrap_or(&reason);
    format!("its name cannot be resolved ({reason})")
}

/// Merges two lists: one item of each in turn, `first` leading, then the rest of the longer one.
fn alternate<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut all = Vec::new();
    loop {
        match (first.next(), second.next()) {
            (None, None) => return all,
            (a, b) => all.extend(a.into_iter().chain(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lists_alternate_and_the_rest_follows() {
        assert_eq!(alternate(vec![1, 3, 5, 6], vec![2, 4]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(alternate(vec![1], vec![2, 3]), [1, 2, 3]);
        assert_eq!(alternate(Vec::new(), vec![1]), [1]);
    }

    /// The clock of this test would let the timeout pass while a thread works.
    #[tokio::test(start_paused = true)]
    async fn addresses_alternate_between_ip_versions_and_are_limited() {
        let relay = |text: &str| text.parse::<RelayAddr>().unwrap();
        let relays = [relay("192.0.2.1:1"), relay("192.0.2.2:1"), relay("[2001:db8::1]:1")];
        let order: Vec<RelayAddr> = resolve(&relays).await.unwrap().into_iter().map(|(relay, _)| relay).collect();
        assert_eq!(order, [relays[2].clone(), relays[0].clone(), relays[1].clone()]);
        let many: Vec<RelayAddr> = (0..40).map(|n| relay(&format!("192.0.2.{n}:1"))).collect();
        assert_eq!(resolve(&many).await.unwrap().len(), MAX_ADDRESSES);
    }
}
