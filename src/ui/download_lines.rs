//! The lines of a sender about its downloads.

use console::Style;

use super::phrase::{bytes_in, paint, rate, via, visible_lines};
use crate::{
    event::{DownloadStatus, StopReason},
    text::{self, visible},
};

pub(super) fn started(download: &DownloadStatus) -> String {
    format!("{}: downloading{}\n", label(download), via(download.route))
}

/// Renders the end of a download that began at `start_bytes`: staged bytes do not count for its rate.
pub(super) fn finished(download: &DownloadStatus, start_bytes: u64, seconds: f64, files: u64) -> String {
    if files == 0 {
        return format!("{}: done, no files were needed\n", label(download));
    }
    let amount = bytes_in(download.bytes, seconds);
    let rate = rate(download.bytes.saturating_sub(start_bytes), seconds);
    let rate = rate.map(|rate| format!(" ({rate})")).unwrap_or_default();
    format!("{}: done, {amount}{rate}{}\n", label(download), via(download.route))
}

pub(super) fn failed(download: &DownloadStatus, error: &str, color: bool) -> String {
    let total = download.total.map(|total| format!(" of {}", text::bytes(total))).unwrap_or_default();
    let failed = paint("failed", Style::new().yellow(), color);
    let bytes = text::bytes(download.bytes);
    format!("{}: {failed} after {bytes}{total}: {}\n", label(download), visible_lines(error))
}

pub(super) fn declined(download: &DownloadStatus) -> String {
    format!("{} declined\n", label(download))
}

pub(super) fn waiting(download: &DownloadStatus, reason: &str) -> String {
    format!("{}: {}; waiting for it to reconnect\n", label(download), visible_lines(reason))
}

pub(super) fn resumed(download: &DownloadStatus) -> String {
    format!("{}: reconnected\n", label(download))
}

/// Renders the warning about a wrong code, without its label.
pub(super) fn wrong_code(peer: &str, guesses_left: u32) -> String {
    let remaining = match guesses_left {
        0 => "no guesses left, so new receivers must wait".to_owned(),
        1 => "1 guess left before new receivers must wait".to_owned(),
        n => format!("{n} guesses left before new receivers must wait"),
    };
    format!("{} used a wrong code; {remaining}", visible(peer))
}

pub(super) fn stopped(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Once => "The download is done; the share has ended.\n",
        StopReason::MaxDownloads => "All downloads are done; the share has ended.\n",
        StopReason::Expired => "The share has expired.\n",
        StopReason::Interrupted => "Stopped.\n",
    }
}

fn label(download: &DownloadStatus) -> String {
    visible(&download.peer)
}
