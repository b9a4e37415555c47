//! The summary of an offer.

use super::phrase::files_and_bytes;
use crate::{
    event::OfferSummary,
    text::{self, visible},
};

/// Renders an offer in one to three lines.
pub(super) fn summary(offer: &OfferSummary) -> String {
    let mut text = format!("{}: {}\n", visible(&offer.name), files_and_bytes(offer.files, offer.bytes));
    match (offer.hidden, offer.executables) {
        (0, 0) => {}
        (hidden, 0) => text.push_str(&format!("including {}\n", text::count(hidden, "hidden file"))),
        (0, executables) => text.push_str(&format!("including {}\n", text::count(executables, "executable file"))),
        (hidden, executables) => {
            text.push_str(&format!("including {hidden} hidden and {}\n", text::count(executables, "executable file")));
        }
    }
    if offer.resumed_bytes > 0 {
        let staged = text::bytes(offer.resumed_bytes);
        match offer.bytes.filter(|bytes| *bytes > 0) {
            Some(bytes) => {
                let percent = u128::from(offer.resumed_bytes) * 100 / u128::from(bytes);
                text.push_str(&format!("resuming at {percent} %: {staged} already downloaded\n"));
            }
            None => text.push_str(&format!("resuming: {staged} already downloaded\n")),
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns an offer with these numbers of hidden and executable files.
    pub(in crate::ui) fn offer(hidden: u64, executables: u64) -> OfferSummary {
        OfferSummary {
            schema: 1,
            share: "00ff".into(),
            name: "holiday".into(),
            files: 214,
            bytes: Some(1_300_000_000),
            resumed_bytes: 0,
            hidden,
            executables,
        }
    }

    #[test]
    fn hidden_and_executable_files_are_counted() {
        assert_eq!(summary(&offer(0, 0)), "holiday: 214 files, 1.3 GB\n");
        assert_eq!(summary(&offer(1, 0)), "holiday: 214 files, 1.3 GB\nincluding 1 hidden file\n");
        assert_eq!(summary(&offer(0, 2)), "holiday: 214 files, 1.3 GB\nincluding 2 executable files\n");
        assert_eq!(summary(&offer(3, 2)), "holiday: 214 files, 1.3 GB\nincluding 3 hidden and 2 executable files\n");
    }

    #[test]
    fn staged_bytes_are_shown() {
        let resumed = OfferSummary { resumed_bytes: 5_000, ..offer(0, 0) };
        assert!(summary(&resumed).ends_with("\nresuming at 0 %: 5.0 kB already downloaded\n"));
    }
}
