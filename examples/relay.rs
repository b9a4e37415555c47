//! Runs a relay inside a program, and shares a text through it: `cargo run --example relay -- TEXT`

use qshare::{RelayOptions, ShareOptions};

#[tokio::main]
async fn main() -> qshare::Result<()> {
    let relay = RelayOptions::new(([127, 0, 0, 1], 0).into()).start()?;
    let address = relay.addresses()[0].clone();
    let text = std::env::args().nth(1).unwrap_or_else(|| "hello".to_owned());
    let options = ShareOptions::text(text).relay(address.clone()).local_network(false).max_downloads(1);
    let mut share = options.start().await?;
    println!("qshare recv --no-lan --relay {address} {}", share.code());
    share.finish().await?;
    relay.stop().await
}
