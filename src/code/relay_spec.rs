//! A relay as the user configures it.

use std::str::FromStr;

use super::{pin::Pin, relay_addr::RelayAddr};
use crate::error::{Error, Result};

/// A relay's address and, if known, its pin. As text `HOST[:PORT][#PIN]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelaySpec {
    /// The address.
    pub addr: RelayAddr,
    /// The pin of the relay's key.
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

/// The user's choice of a relay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RelayChoice {
    /// `none`: no relay, although one is configured.
    None,
    /// This relay.
    Relay(RelaySpec),
}

impl FromStr for RelayChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.eq_ignore_ascii_case("none") { Ok(Self::None) } else { text.parse().map(Self::Relay) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parsing_arbitrary_text_never_panics(text in "(qshare://)?\\PC{0,80}") {
            let _ = text.parse::<RelaySpec>();
        }
    }
}
