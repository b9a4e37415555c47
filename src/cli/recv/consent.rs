//! The user's consent to a download.

use std::pin::Pin;

use crate::{
    cli::console::Console,
    error::{Error, Kind, Result},
    event::OfferSummary,
    transfer::{ConflictPolicy, Destination, PendingOffer},
    ui::{ConflictAction, prompt},
};

/// Asks for the user's consent to a download.
pub(super) struct Consent<'a> {
    pub(super) console: &'a Console,
    /// Whether to ask. If not, `--yes` has given consent.
    pub(super) asks: bool,
}

/// The user's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The download may begin.
    Yes,
    /// The user declines it.
    No,
}

impl Consent<'_> {
    /// Asks what to do with each target that exists, unless an option says it, and adds the answers to `destination`.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] if `interrupted` completes first. [`Kind::Usage`] if the answer cannot be read.
    pub(super) async fn to_conflicts(
        &self,
        offer: &PendingOffer,
        destination: &mut Destination,
        interrupted: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Answer> {
        if !self.asks || destination.conflicts.default != ConflictPolicy::Refuse {
            return Ok(Answer::Yes);
        }
        tokio::select! {
            answer = self.resolve_conflicts(offer, destination) => answer,
            () = interrupted => Err(interrupted_question("nothing was downloaded")),
        }
    }

    async fn resolve_conflicts(&self, offer: &PendingOffer, destination: &mut Destination) -> Result<Answer> {
        let conflicts = offer.conflicts(destination).await;
        let mut for_all = None;
        for (index, conflict) in conflicts.iter().enumerate() {
            let policy = match for_all {
                Some(policy) => policy,
                None => {
                    let others = conflicts.len() - index - 1;
                    let Some(answer) = self.console.ask_conflict(conflict, others).await? else {
                        return Ok(Answer::No);
                    };
                    let policy = policy_of(answer.action);
                    for_all = answer.all.then_some(policy);
                    policy
                }
            };
            destination.conflicts.by_name.insert(conflict.name.clone(), policy);
        }
        Ok(Answer::Yes)
    }

    /// Asks whether to download an offer that was shown.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] if `interrupted` completes first. [`Kind::Usage`] if the answer cannot be read.
    pub(super) async fn to_offer(
        &self,
        offer: &OfferSummary,
        interrupted: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Answer> {
        if !self.asks {
            return Ok(Answer::Yes);
        }
        let kept = if offer.resumed_bytes > 0 { "earlier data is kept" } else { "nothing was downloaded" };
        tokio::select! {
            accepted = self.console.confirm_offer(offer) => Ok(if accepted? { Answer::Yes } else { Answer::No }),
            () = interrupted => Err(interrupted_question(kept)),
        }
    }
}

/// Ends the line of a question that has no answer.
fn interrupted_question(kept: &str) -> Error {
    prompt::show("\n");
    Error::new(Kind::Interrupted, format!("interrupted; {kept}"))
}

fn policy_of(action: ConflictAction) -> ConflictPolicy {
    match action {
        ConflictAction::Overwrite => ConflictPolicy::Overwrite,
        ConflictAction::Rename => ConflictPolicy::Rename,
        ConflictAction::Skip => ConflictPolicy::Skip,
    }
}
