//! Shares files until Ctrl-C: `cargo run --example send -- PATH…`

use qshare::{ShareEvent, ShareOptions};

#[tokio::main]
async fn main() -> qshare::Result<()> {
    let mut share = ShareOptions::new(std::env::args_os().skip(1)).local_network(false).start().await?;
    println!("qshare recv \"{}\"", share.link());
    while let Some(event) = share.next_event().await {
        if let ShareEvent::Finished(download) = event {
            println!("receiver {} has {} bytes", download.number, download.bytes);
        }
    }
    share.finish().await
}
