//! Links and relay addresses: a code together with where it is good.
//!
//! `qshare://host:port/XKY9-7HQ2ME?alt=host:port#PIN`

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::{Code, Revealed};
use crate::{
    error::{Error, Kind, Result},
    text::visible,
};

/// The port of a relay where none is named.
pub const DEFAULT_PORT: u16 = 4433;

const SCHEME: &str = "qshare://";

/// Longer links are refused unread.
const LONGEST_LINK: usize = 2_000;

/// More addresses than a machine has are refused: each one is tried.
const MOST_ALTERNATIVES: usize = 16;

/// The SHA-256 of a relay's SubjectPublicKeyInfo: names its key, and survives a renewal of its certificate.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pin([u8; 32]);

impl Pin {
    /// A pin from the digest.
    pub fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl FromStr for Pin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        BASE64URL_NOPAD.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(
            || {
                Error::new(Kind::Usage, format!("“{}” is not a pin", visible(text)))
                    .hint("a pin has 43 characters; the relay prints it when it starts")
            },
        )
    }
}

impl TryFrom<String> for Pin {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a relay is: a name or an address, and a port. `host`, `host:port`, `[::1]:port`, `::1`.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct RelayAddr {
    /// A host name or an IP address without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
}

impl FromStr for RelayAddr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            Error::new(Kind::Usage, format!("“{}” is not the address of a relay", visible(text)))
                .hint("write HOST, HOST:PORT or [IPV6]:PORT")
        };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(bad)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
                (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")).ok_or_else(bad)?)
            }
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, ""),
            None => {
                let (host, port) = text.split_once(':').unwrap_or((text, ""));
                if text.ends_with(':') {
                    return Err(bad());
                }
                (host, port)
            }
        };
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || host.len() > 253 || !host.chars().all(is_name) {
            return Err(bad());
        }
        let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().map_err(|_| bad())? };
        if port == 0 {
            return Err(bad());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl From<std::net::SocketAddr> for RelayAddr {
    fn from(addr: std::net::SocketAddr) -> Self {
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

/// A relay as it is configured: its address and, where known, its pin. `HOST[:PORT][#PIN]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelaySpec {
    /// Where it is.
    pub addr: RelayAddr,
    /// Whom to expect there.
    pub pin: Option<Pin>,
}

impl FromStr for RelaySpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (addr, pin) = match text.split_once('#') {
            Some((addr, pin)) => (addr, Some(pin.parse()?)),
            None => (text, None),
        };
        Ok(Self { addr: addr.parse()?, pin })
    }
}

/// A code, the relay where it is good, and that relay's pin, in one string.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The relay's address; the first of several to try.
    pub relay: RelayAddr,
    /// Other addresses of the same relay.
    pub alternatives: Vec<RelayAddr>,
    /// The code.
    pub code: Code,
    /// Whom to expect at the relay's address.
    pub pin: Option<Pin>,
}

impl Link {
    /// Whether `text` means to be a link rather than a bare code.
    pub fn has_scheme(text: &str) -> bool {
        let text = text.trim_start();
        text.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
    }

    /// Reads a link. Parameters that this version does not know are ignored.
    ///
    /// # Errors
    /// [`Kind::Usage`], naming the part that is wrong; a typo in the code is told apart.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bad = |what: &str| {
            Error::new(Kind::Usage, format!("the link {what}"))
                .hint("paste it whole: qshare://host:port/XKY9-7HQ2ME#PIN, in quotes in a shell")
        };
        if text.len() > LONGEST_LINK {
            return Err(bad("is too long"));
        }
        if !Self::has_scheme(text) {
            return Err(bad("does not begin with qshare://"));
        }
        let (rest, pin) = match text[SCHEME.len()..].split_once('#') {
            Some((rest, pin)) => (rest, Some(pin.parse()?)),
            None => (&text[SCHEME.len()..], None),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (relay, code) = rest.split_once('/').ok_or_else(|| bad("has no code"))?;
        let alternatives = query
            .split('&')
            .filter_map(|parameter| parameter.strip_prefix("alt="))
            .map(str::parse)
            .collect::<Result<Vec<RelayAddr>>>()?;
        if alternatives.len() > MOST_ALTERNATIVES {
            return Err(bad("names too many addresses"));
        }
        Ok(Self { relay: relay.parse()?, alternatives, code: Code::parse(code.trim_end_matches('/'))?, pin })
    }

    /// The link as text.
    pub fn reveal(&self) -> Revealed {
        let mut text = format!("{SCHEME}{}/{}", self.relay, self.code.reveal());
        for (i, alt) in self.alternatives.iter().enumerate() {
            text.push(if i == 0 { '?' } else { '&' });
            text.push_str(&format!("alt={alt}"));
        }
        if let Some(pin) = &self.pin {
            text.push_str(&format!("#{pin}"));
        }
        Revealed(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_full_link_reads_and_writes() {
        let text = format!("qshare://[fe80::1]:4433/XKY9-7HQ2ME?alt=192.0.2.7:4433&alt=relay.example:99#{PIN}");
        let link = Link::parse(&text).unwrap();
        assert_eq!(link.relay, RelayAddr { host: "fe80::1".into(), port: 4433 });
        assert_eq!(link.alternatives.len(), 2);
        assert_eq!(link.pin.unwrap().to_string(), PIN);
        assert_eq!(link.reveal().as_str(), text);
    }

    #[test]
    fn unknown_parameters_are_ignored_and_mistakes_are_named() {
        let link = Link::parse("QSHARE://relay.example/xky97hq2me?v=9&alt=a:1&z").unwrap();
        assert_eq!(link.relay.port, DEFAULT_PORT);
        assert_eq!(link.alternatives, ["a:1".parse().unwrap()]);
        for (bad, word) in [
            ("qshare://relay.example", "no code"),
            ("http://relay.example/XKY9-7HQ2ME", "begin"),
            ("qshare://relay.example/XKY9-7HQ2MF", "typo"),
            ("qshare://relay.example/XKY9-7HQ2ME#abc", "pin"),
            ("qshare://relay.example:0/XKY9-7HQ2ME", "address"),
            ("qshare:///XKY9-7HQ2ME", "address"),
        ] {
            let e = Link::parse(bad).unwrap_err();
            assert_eq!(e.kind(), Kind::Usage);
            assert!(e.message().contains(word), "{bad}: {e}");
        }
    }

    #[test]
    fn addresses_of_relays() {
        for (text, host, port) in [
            ("relay.example", "relay.example", DEFAULT_PORT),
            ("relay.example:1", "relay.example", 1),
            ("192.0.2.1:65535", "192.0.2.1", 65_535),
            ("::1", "::1", DEFAULT_PORT),
            ("[::1]", "::1", DEFAULT_PORT),
            ("[2001:db8::2]:99", "2001:db8::2", 99),
            ("straße.example", "straße.example", DEFAULT_PORT),
        ] {
            assert_eq!(text.parse::<RelayAddr>().unwrap(), RelayAddr { host: host.into(), port }, "{text}");
        }
        for bad in ["", ":1", "a:", "a:b", "a:70000", "[::1", "[x]:1", "[::1]1", "a b", "a/b", "user@host"] {
            assert!(bad.parse::<RelayAddr>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(qshare://)?\\PC{0,80}") {
            let _ = Link::parse(&text);
            let _ = text.parse::<RelaySpec>();
        }
    }
}
