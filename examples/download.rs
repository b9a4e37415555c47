//! Downloads a share to the current folder, with a progress display of its own: `cargo run --example download -- CODE`

use std::io::{Write as _, stdout};

use qshare::{ConflictPolicy, DownloadEvent, ErrorKind, ReceiveOptions};

/// The width of the bar in characters.
const WIDTH: u64 = 40;

#[tokio::main]
async fn main() -> qshare::Result<()> {
    let code = std::env::args().nth(1).unwrap_or_default();
    let offer = match ReceiveOptions::new(&code)?.conflicts(ConflictPolicy::Rename).connect().await {
        Ok(offer) => offer,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            println!("Nobody shares under this code now.");
            return Err(e);
        }
        Err(e) => return Err(e),
    };
    println!("{} files in {:?}", offer.files(), offer.name());
    let mut download = offer.download();
    while let Some(event) = download.next_event().await {
        match event {
            DownloadEvent::Progress { bytes, total: Some(total), rate } => show(bytes, total, rate),
            DownloadEvent::Reconnecting { reason } => println!("\n{reason}; trying again"),
            DownloadEvent::Warning { message, .. } => println!("\n{message}"),
            _ => {}
        }
    }
    let saved = download.finish().await?;
    println!("\nSaved {:?}", saved.paths);
    Ok(())
}

/// Draws the bar over the one before.
fn show(bytes: u64, total: u64, rate: u64) {
    let filled = bytes * WIDTH / total.max(1);
    let bar: String = (0..WIDTH).map(|column| if column < filled { '#' } else { '.' }).collect();
    print!("\r{bar} {} kB/s ", rate / 1000);
    let _ = stdout().flush(); // the display is not essential
}
