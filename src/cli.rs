//! From words to a running command and its exit code.
//!
//! [`args`] parses words, [`menu`] asks for them; [`send`], [`recv`] and [`relay`] put the parts together and run them,
//! [`shares`] shows what [`share_store`] keeps, and [`parts`] what downloads have left behind.

pub mod args;
mod config;
mod console;
mod embedded;
pub mod menu;
mod parts;
mod recv;
mod relay;
mod relay_dialer;
mod running_shares;
mod send;
mod share_store;
mod shares;
mod signals;
mod udp_buffers;

use std::time::Duration;

use tokio::runtime::Builder;

use self::{
    args::{Args, Command},
    console::Console,
};
use crate::error::{Error, Kind};

/// How long the end of the process waits for files that are being cleaned up.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// Runs this process's command line and gives its exit code.
pub fn run() -> u8 {
    match args::parse() {
        Ok(args) => run_args(args),
        Err(code) => code,
    }
}

fn run_args(args: Args) -> u8 {
    let Args { global, command } = args;
    let qr = matches!(&command, Some(Command::Send(send)) if send.qr);
    crate::ui::log(global.verbose);
    let mut console = Console::new(global.ui(qr));
    let Some(command) = command else { return run_menu(console) };
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return console.end(Err(Error::new(Kind::Transfer, format!("cannot start: {e}")))),
    };
    // Where the connection that wakes it runs too: from the main thread to a worker, each wake-up costs a switch.
    let running = runtime.spawn(async move {
        let outcome = match command {
            Command::Send(args) => send::run(args, &mut console).await,
            Command::Recv(args) => recv::run(args, &mut console).await,
            Command::Relay(args) => relay::run(args, &mut console).await,
            Command::Shares(args) => shares::run(args, &mut console).await,
            Command::Parts(args) => parts::run(args, &mut console),
        };
        (console, outcome)
    });
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = running => Some(ended),
            () = signals::impatience() => None,
        }
    });
    let Some(ended) = ended else {
        runtime.shutdown_background();
        return Kind::Interrupted.exit_code();
    };
    runtime.shutdown_timeout(CLEAN_UP);
    match ended {
        Ok((console, outcome)) => console.end(outcome),
        Err(e) => std::panic::resume_unwind(e.into_panic()), // nobody cancels it
    }
}

/// The menu of the bare command: it makes a command line, and that is run.
fn run_menu(console: Console) -> u8 {
    if !console.can_ask() {
        let e = Error::new(Kind::Usage, "nothing to do").hint("see qshare --help");
        return console.end(Err(e));
    }
    let words = match menu::run() {
        Ok(choice) => choice.words(),
        Err(e) => return console.end(Err(Error::new(Kind::Usage, format!("cannot read the answer: {e}")))),
    };
    match words.map(args::parse_from) {
        None => 0,
        Some(Err(code)) => code,
        Some(Ok(args)) => run_args(args),
    }
}
