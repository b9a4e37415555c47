//! Codes and links: what one user gives to another to start a download.
//!
//! A [`Code`] such as `XKY9-7HQ2ME` consists of
//! - a [`Slot`] of four characters, which the relay picks and routes by,
//! - a [`Secret`] of five or more characters, which the sender draws and never sends to anyone, and
//! - a check character, which detects every single wrong character and every swap of two neighbours before anything is
//!   sent. A typo therefore costs no guess.
//!
//! A [`Link`] holds a code, the addresses of the relay, and the relay's [`Pin`]. Only [`Code::parse`] converts text to
//! a code, and only [`Link::parse`] converts text to a link; [`CodeOrLink`] finds either in what users paste. A relay
//! never has more of a code than its [`Slot`].

mod alphabet;
mod check_character;
mod code_error;
mod code_or_link;
mod link;
mod pin;
mod relay_addr;
mod relay_spec;
mod revealed;
mod secret;
mod share_code;
mod slot;

pub use self::{
    alphabet::ALPHABET,
    code_error::CodeError,
    code_or_link::CodeOrLink,
    link::Link,
    pin::Pin,
    relay_addr::{DEFAULT_PORT, EMBEDDED_PORTS, RelayAddr},
    relay_spec::{RelayChoice, RelaySpec},
    revealed::Revealed,
    secret::{SECRET_LENGTHS, Secret},
    share_code::Code,
    slot::{SLOT_LENGTH, Slot},
};
