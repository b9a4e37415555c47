//! The command line interface: it turns arguments into a running command, and the outcome into an exit code.
//!
//! [`args`] parses arguments, and [`menu`] asks for them. `send`, `recv` and `relay` assemble the parts of the program
//! and run them. `shares` manages the share store, and `parts` the interrupted downloads. `completions` and `man_page`
//! print texts that describe the command line.

pub(crate) mod args;
mod completions;
mod config;
mod console;
mod doctor;
mod man_page;
pub(crate) mod menu;
mod open_files;
mod parts;
mod recv;
mod relay;
mod send;
mod service_manager;
mod settings;
mod shared_paths;
mod shares;
mod signals;
mod state_folder;
mod thread_limit;

use std::{panic::catch_unwind, time::Duration};

use tokio::runtime::Builder;

use self::{
    args::{Args, Command},
    console::{CommandEnd, Console},
};
use crate::{
    error::{Error, Kind, Result},
    ui::{self, OutputFormat, UiOptions},
};

/// At exit, the longest wait for blocking tasks, which may be removing files.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The exit code after an internal error.
const INTERNAL_ERROR: u8 = Kind::Transfer.exit_code();

/// Runs the command line of this process and returns the exit code.
pub fn run() -> u8 {
    guard(|| match args::parse() {
        Ok(args) => run_args(args),
        Err(code) => code,
    })
}

/// Runs `work` and returns its exit code. A panic anywhere, also one that `work` has survived, is reported in one line,
/// and the code is then not 0.
fn guard(work: fn() -> u8) -> u8 {
    ui::report_panics();
    match catch_unwind(work) {
        Ok(0) if ui::has_panicked() => INTERNAL_ERROR,
        Ok(code) => code,
        Err(_) => INTERNAL_ERROR,
    }
}

fn run_args(args: Args) -> u8 {
    let Args { global, command } = args;
    let qr = matches!(&command, Some(Command::Send(send)) if send.qr);
    let writes_to_stdout = matches!(&command, Some(Command::Recv(recv)) if recv.writes_to_stdout());
    open_files::raise_limit();
    let options = UiOptions { qr, writes_to_stdout, ..global.ui() };
    let _log = ui::start_log(global.verbose, options);
    match command {
        Some(command) => run_command(command, options).unwrap_or_else(|| report_internal_error(options)),
        None => run_menu(options),
    }
}

/// Ends a command that has panicked. Its line is on standard error already; a script gets its last event, too.
fn report_internal_error(options: UiOptions) -> u8 {
    match options.format {
        OutputFormat::Json => {
            let e = Error::new(Kind::Transfer, "internal error").hint("please report the line on standard error");
            report_error(options, &e)
        }
        OutputFormat::Human => INTERNAL_ERROR,
    }
}

/// Shows an error outside of a running command, and returns the exit code.
fn report_error(options: UiOptions, e: &Error) -> u8 {
    ui::show_error(options, e);
    e.kind().exit_code()
}

/// Runs a command and returns its exit code; `None` if it has panicked.
fn run_command(command: Command, options: UiOptions) -> Option<u8> {
    let runtime = thread_limit::check().and_then(|()| Builder::new_multi_thread().enable_all().build());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => {
            let e = Error::new(Kind::Transfer, format!("cannot start threads: {e}"))
                .hint("the system or your account allows too few processes, threads or open files (ulimit -a)");
            return Some(report_error(options, &e));
        }
    };
    // The command runs on a worker thread, like the connections that wake it. On the main thread, each wake-up would
    // cost a thread switch.
    let task = runtime.spawn(async move {
        signals::ignore_file_size_limit();
        match Console::new(options) {
            Ok(console) => {
                let outcome = dispatch(command, &console).await;
                console.report_outcome(outcome).await
            }
            Err(e) => report_error(options, &e),
        }
    });
    let finished = runtime.block_on(async {
        tokio::select! {
            finished = task => Some(finished),
            () = signals::second_interrupt() => None,
        }
    });
    let Some(finished) = finished else {
        runtime.shutdown_background();
        return Some(Kind::Interrupted.exit_code());
    };
    // A thread that waits for the reader of standard output would delay the exit, and has nothing to remove.
    runtime.shutdown_timeout(if options.writes_to_stdout { Duration::ZERO } else { SHUTDOWN_TIMEOUT });
    finished.ok() // the task is never cancelled, so an error is a panic
}

async fn dispatch(command: Command, console: &Console) -> Result<CommandEnd> {
    match command {
        Command::Send(args) => send::run(args, console).await?,
        Command::Recv(args) => return recv::run(args, console).await,
        Command::Relay(args) => relay::run(args, console).await?,
        Command::Shares(args) => shares::run(args, console).await?,
        Command::Parts(args) => parts::run(args, console)?,
        Command::Config(args) => config::run(args, console)?,
        Command::Doctor(args) => return doctor::run(args, console).await,
        Command::Completions(args) => console.print(&completions::script(args.shell))?,
        Command::Man => console.print(&man_page::render())?,
    }
    Ok(CommandEnd::Done)
}

/// Opens the menu of the bare command, and runs the command line that it returns.
fn run_menu(options: UiOptions) -> u8 {
    if !options.can_ask() {
        let e = Error::new(Kind::Usage, "no command given").hint("see qshare --help");
        return report_error(options, &e);
    }
    let choice = match menu::run() {
        Ok(choice) => choice,
        Err(e) => {
            let e = Error::new(Kind::Usage, format!("cannot read the answer: {e}"));
            return report_error(options, &e);
        }
    };
    match choice.into_words().map(args::parse_from) {
        None => 0,
        Some(Err(code)) => code,
        Some(Ok(args)) => run_args(args),
    }
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use tokio::{runtime::Runtime, spawn};

    use super::*;
    use crate::{blocking::run_blocking, sync::PROCESS_START};

    /// A worker panics, and with it the work that needs it. Afterwards, a panic that nobody waits for.
    #[test]
    #[ignore = "installs the panic hook; the next test runs it in a process of its own"]
    fn panic_in_tasks() {
        let needed = || {
            let work = async { run_blocking(|| -> Result<()> { panic!("first\nbug") }).await };
            Runtime::new().unwrap().block_on(work).map_or(6, |()| 0)
        };
        let survived = || {
            let work = async { spawn(async { panic!("second bug") }).await.is_err() };
            u8::from(!Runtime::new().unwrap().block_on(work))
        };
        assert_eq!((guard(needed), guard(survived)), (1, 1));
    }

    #[test]
    fn a_panic_is_one_line_and_exit_code_1() {
        let test = "cli::tests::panic_in_tasks";
        let mut command = process::Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture"]).env("RUST_BACKTRACE", "1");
        let _guard = PROCESS_START.lock();
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("internal error: first bug, at src"), "{text}");
        assert!(lines[1].starts_with("internal error: second bug, at src"), "{text}");
    }
}
