//! The address of a relay, as users write it.

use std::{fmt, str::FromStr};

use crate::{
    code::RelaySpec,
    error::{Error, Result},
};

/// The address of a relay, and the pin of its key if it is known: `HOST[:PORT][#PIN]`.
///
/// A relay with a pin is accepted only with that key. Without a pin, the relay needs a certificate of a public
/// authority, or the first contact decides, if there is a state folder that can store its key.
///
/// ```
/// let relay: qshare::RelayAddress = "relay.example.org".parse()?;
/// assert_eq!(relay.to_string(), "relay.example.org:4433");
/// # Ok::<(), qshare::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAddress(pub(super) RelaySpec);

impl FromStr for RelayAddress {
    type Err = Error;

    /// Parses `HOST[:PORT][#PIN]`.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if the text has another form.
    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self)
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RelaySpec { addr, pin } = &self.0;
        match pin {
            Some(pin) => write!(f, "{addr}#{pin}"),
            None => addr.fmt(f),
        }
    }
}
