//! Resolves the names of a relay.

use std::{net::SocketAddr, slice};

use tokio::net::lookup_host;

use super::relay_errors::relay_unreachable;
use crate::{code::RelayAddr, error::Result};

/// The maximum number of addresses to try. A link or a name server must not direct packets to many victims.
const MAX_ADDRESSES: usize = 8;

/// Returns the addresses of all names with their names. IPv6 and IPv4 addresses alternate.
///
/// # Errors
/// [`Kind::Network`](crate::error::Kind::Network) if no name can be resolved.
pub(super) async fn resolve(relays: &[RelayAddr]) -> Result<Vec<(RelayAddr, SocketAddr)>> {
    let (mut v6, mut v4) = (Vec::new(), Vec::new());
    let mut failure = None;
    for relay in relays {
        match lookup_host((relay.host.as_str(), relay.port)).await {
            Ok(addresses) => {
                for addr in addresses {
                    let list = if addr.is_ipv6() { &mut v6 } else { &mut v4 };
                    list.push((relay.clone(), addr));
                }
            }
            Err(_) => failure = Some(relay_unreachable(slice::from_ref(relay), "its name cannot be resolved")),
        }
    }
    let mut all = alternate(v6, v4);
    all.truncate(MAX_ADDRESSES);
    match failure {
        Some(failure) if all.is_empty() => Err(failure),
        _ => Ok(all),
    }
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

    #[tokio::test]
    async fn addresses_alternate_between_ip_versions_and_are_limited() {
        let relay = |text: &str| text.parse::<RelayAddr>().unwrap();
        let relays = [relay("192.0.2.1:1"), relay("192.0.2.2:1"), relay("[2001:db8::1]:1")];
        let order: Vec<RelayAddr> = resolve(&relays).await.unwrap().into_iter().map(|(relay, _)| relay).collect();
        assert_eq!(order, [relays[2].clone(), relays[0].clone(), relays[1].clone()]);
        let many: Vec<RelayAddr> = (0..40).map(|n| relay(&format!("192.0.2.{n}:1"))).collect();
        assert_eq!(resolve(&many).await.unwrap().len(), MAX_ADDRESSES);
    }
}
