//! The decision whether a share reuses its saved code or gets a new one.

use std::time::Duration;

use super::{share_relay::ShareRelay, share_store::HeldShare, warnings};
use crate::{
    code::{Code, Secret},
    error::Result,
    event::Events,
    transfer::Registration,
};

/// The number of secret characters in a code that is valid for at most a day.
const SHORT_SECRET: usize = 5;

/// The number of secret characters in a code that is valid for more than a day.
const LONG_SECRET: usize = 8;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the user wants of a code.
#[derive(Debug, Clone, Default)]
pub(crate) struct CodeWishes {
    /// The number of secret characters.
    pub(crate) length: Option<usize>,
    /// Not the saved code.
    pub(crate) new_code: bool,
    /// The longest time for which the code may be valid, if it is known.
    pub(crate) lifetime: Duration,
}

/// The code that a share will get.
pub(crate) struct CodePlan {
    /// The number of secret characters.
    length: usize,
    /// The saved code, if it is to be reused.
    reused: Option<Code>,
    /// The ticket of the saved code, if another code replaces it.
    retired_ticket: Option<Vec<u8>>,
}

impl CodePlan {
    /// Reuses the saved code unless the user wants a new one or another length.
    pub(crate) fn new(wishes: &CodeWishes, held: &mut HeldShare) -> Self {
        let saved = held.code().filter(|_| !wishes.new_code);
        let length = match (wishes.length, &saved) {
            (Some(length), _) => length,
            (None, Some(code)) => code.secret().length(),
            (None, None) if wishes.lifetime > DAY => LONG_SECRET,
            (None, None) => SHORT_SECRET,
        };
        let reused = saved.filter(|code| code.secret().length() == length);
        let retired_ticket = held.ticket().filter(|_| reused.is_none());
        if reused.is_none() {
            held.renew();
        }
        Self { length, reused, retired_ticket }
    }

    /// Returns the number of secret characters.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Registers the share at its relay, saves the code that it gets, and releases the slot of a replaced code.
    pub(crate) async fn register(
        self,
        relay: &ShareRelay,
        held: &mut HeldShare,
        events: &Events,
    ) -> Result<(Registration, Code)> {
        let registration = relay.request_slot(held.ticket(), events).await?;
        let code = match self.reused {
            Some(code) if code.slot() == registration.slot() => code,
            unavailable => {
                if unavailable.is_some() {
                    held.renew();
                    events.report(warnings::new_code());
                }
                Code::new(registration.slot(), Secret::random(self.length)?)
            }
        };
        held.save(&code, &held.key(), registration.ticket())?;
        if self.retired_ticket.is_some()
            && let Ok(mut retired) = relay.request_slot(self.retired_ticket, events).await
        {
            retired.release().await; // so that receivers with the old code do not wait for its sender
        }
        Ok((registration, code))
    }
}
