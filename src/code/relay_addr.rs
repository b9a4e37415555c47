//! The address of a relay.

use std::{
    fmt,
    net::{Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
};

use crate::{
    error::{Error, Kind, Result},
    text::visible,
};

/// The port of a relay if none is given.
pub const DEFAULT_PORT: u16 = 4433;

/// The ports of embedded relays. Each takes the first free one, so that receivers of all users of a machine find it.
pub const EMBEDDED_PORTS: RangeInclusive<u16> = DEFAULT_PORT..=4448;

/// The longest host name, in bytes. RFC 1035 section 2.3.4 allows 255 on the wire, which include the length of the
/// first label and the empty root label.
const MAX_HOST: usize = 253;

/// The address of a relay: a host name or an IP address, and a port. As text `HOST`, `HOST:PORT`, `[IPV6]:PORT` or
/// `IPV6`.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct RelayAddr {
    /// A host name, or an IP address without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
}

impl FromStr for RelayAddr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || {
            Error::new(Kind::Usage, format!("invalid relay address “{}”", visible(text)))
                .hint("use HOST, HOST:PORT or [IPV6]:PORT")
        };
        let (host, port) = split_port(text).ok_or_else(invalid)?;
        let is_host_character = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || host.len() > MAX_HOST || !host.chars().all(is_host_character) {
            return Err(invalid());
        }
        let port = port.map_or(Ok(DEFAULT_PORT), str::parse).map_err(|_| invalid())?;
        if port == 0 {
            return Err(invalid());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Splits an address into host and port. The host is not checked, unless it is in brackets.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port).filter(|port| !port.is_empty()))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    if text.ends_with(':') {
        return None;
    }
    Some(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))))
}

impl From<SocketAddr> for RelayAddr {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_canonical().to_string(), port: addr.port() }
    }
}

impl fmt::Display for RelayAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_parse_with_and_without_a_port() {
        for (text, host, port) in [
            ("relay.example", "relay.example", DEFAULT_PORT),
            ("relay.example:1", "relay.example", 1),
            ("192.0.2.1:65535", "192.0.2.1", 65_535),
            ("::1", "::1", DEFAULT_PORT),
            ("[::1]", "::1", DEFAULT_PORT),
            ("[::1]:", "::1", DEFAULT_PORT),
            ("[2001:db8::2]:99", "2001:db8::2", 99),
            ("straße.example", "straße.example", DEFAULT_PORT),
        ] {
            assert_eq!(text.parse::<RelayAddr>().unwrap(), RelayAddr { host: host.into(), port }, "{text}");
        }
        for bad in ["", ":1", "a:", "a:b", "a:70000", "[::1", "[x]:1", "[::1]1", "a b", "a/b", "user@host"] {
            assert!(bad.parse::<RelayAddr>().is_err(), "{bad}");
        }
    }
}
