//! Shares files until Ctrl-C: `cargo run --example send -- PATH…`

use qshare::{ShareEvent, ShareOptions};
use tokio::{select, signal::ctrl_c};

#[tokio::main]
async fn main() -> qshare::Result<()> {
    let mut share = ShareOptions::new(std::env::args_os().skip(1)).local_network(false).start().await?;
    println!("qshare recv \"{}\"", share.link());
    loop {
        select! {
            event = share.next_event() => match event {
                Some(ShareEvent::Finished(download)) => println!("receiver {} has it", download.number),
                Some(_) => {}
                None => return share.finish().await,
            },
            _ = ctrl_c() => return share.stop().await,
        }
    }
}
