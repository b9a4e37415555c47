//! The question whether to leave out what cannot be shared.

use crate::{
    cli::console::Console,
    client::{MAX_LISTED, Unsendable},
    error::{Error, Kind, Result},
    transfer::Source,
};

/// Asks whether to leave out what cannot be shared, if anything needs the user's consent.
///
/// # Errors
/// [`Kind::Usage`], with the list, if nobody can be asked; [`Kind::Refused`] if the user declines.
pub(super) async fn confirm(source: &Source, console: &Console) -> Result<()> {
    let Some(Unsendable { list, total }) = Unsendable::find(source, max_listed(console)) else { return Ok(()) };
    if !console.can_ask() {
        return Err(Error::new(Kind::Usage, list)
            .hint("rename, move or repair what is listed, or pass --skip-unsendable to leave it out"));
    }
    let question = match total {
        1 => "Leave it out?".to_owned(),
        total => format!("Leave these {total} out?"),
    };
    if console.confirm(format!("{list}\n{question}")).await? {
        Ok(())
    } else {
        Err(Error::new(Kind::Refused, "declined; nothing was shared"))
    }
}

/// Returns the most paths to list.
pub(super) fn max_listed(console: &Console) -> usize {
    if console.is_verbose() { usize::MAX } else { MAX_LISTED }
}
