//! The command line interface: it turns arguments into a running command, and the outcome into an exit code.
//!
//! [`args`] parses arguments, and [`menu`] asks for them. `send`, `recv` and `relay` assemble the parts of the program
//! and run them. `shares` manages the share store, and `parts` the interrupted downloads.

pub mod args;
mod config;
mod console;
mod embedded_relay;
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
mod ticket_key;
mod udp_buffers;

use std::{panic::resume_unwind, time::Duration};

use tokio::runtime::Builder;

use self::{
    args::{Args, Command},
    console::Console,
};
use crate::{
    error::{Error, Kind, Result},
    ui,
};

/// At exit, the longest wait for blocking tasks, which may be removing files.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the command line of this process and returns the exit code.
pub fn run() -> u8 {
    match args::parse() {
        Ok(args) => run_args(args),
        Err(code) => code,
    }
}

fn run_args(args: Args) -> u8 {
    let Args { global, command } = args;
    let qr = matches!(&command, Some(Command::Send(send)) if send.qr);
    ui::start_log(global.verbose);
    let console = Console::new(global.ui(qr));
    match command {
        Some(command) => run_command(command, console),
        None => run_menu(console),
    }
}

fn run_command(command: Command, mut console: Console) -> u8 {
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            let e = Error::new(Kind::Transfer, format!("cannot start the runtime: {e}"));
            return console.report_outcome(Err(e));
        }
    };
    // The command runs on a worker thread, like the connections that wake it. On the main thread, each wake-up would
    // cost a thread switch.
    let task = runtime.spawn(async move {
        let outcome = dispatch(command, &mut console).await;
        (console, outcome)
    });
    let finished = runtime.block_on(async {
        tokio::select! {
            finished = task => Some(finished),
            () = signals::second_interrupt() => None,
        }
    });
    let Some(finished) = finished else {
        runtime.shutdown_background();
        return Kind::Interrupted.exit_code();
    };
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    match finished {
        Ok((console, outcome)) => console.report_outcome(outcome),
        Err(e) => resume_unwind(e.into_panic()), // the task is never cancelled
    }
}

async fn dispatch(command: Command, console: &mut Console) -> Result<()> {
    match command {
        Command::Send(args) => send::run(args, console).await,
        Command::Recv(args) => recv::run(args, console).await,
        Command::Relay(args) => relay::run(args, console).await,
        Command::Shares(args) => shares::run(args, console).await,
        Command::Parts(args) => parts::run(args, console),
    }
}

/// Opens the menu of the bare command, and runs the command line that it returns.
fn run_menu(console: Console) -> u8 {
    if !console.can_ask() {
        let e = Error::new(Kind::Usage, "no command given").hint("see qshare --help");
        return console.report_outcome(Err(e));
    }
    let choice = match menu::run() {
        Ok(choice) => choice,
        Err(e) => {
            let e = Error::new(Kind::Usage, format!("cannot read the answer: {e}"));
            return console.report_outcome(Err(e));
        }
    };
    match choice.into_words().map(args::parse_from) {
        None => 0,
        Some(Err(code)) => code,
        Some(Ok(args)) => run_args(args),
    }
}
