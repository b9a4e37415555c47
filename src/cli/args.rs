//! The command line: its options, its help texts, and how it is parsed.
//!
//! Parsing has no side effects. The commands resolve what the arguments refer to.

mod completions;
mod config;
mod connection;
mod doctor;
mod global;
mod lan;
mod limit_arg;
mod parts;
mod recv;
mod relay;
mod send;
mod shares;
mod usage_error;
pub(super) mod values;

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, Write as _},
};

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::{
    completions::CompletionsArgs,
    config::{ConfigArgs, ConfigCommand, ConfigShowArgs},
    doctor::DoctorArgs,
    global::GlobalArgs,
    lan::LanArgs,
    parts::PartsArgs,
    recv::RecvArgs,
    relay::RelayArgs,
    send::SendArgs,
    shares::{SharesArgs, SharesCommand},
};
use crate::{error::Kind, relay::Limits};

/// Every line is at most 50 columns wide, so that narrow terminals show the columns intact.
const EXAMPLES: &str = "\
Examples:
  # Share a folder; prints a code
  qshare send holiday/
  # Download it on another machine
  qshare recv XKY9-7HQ2ME
  # Run a relay on a machine with a public address
  qshare relay
  # Share through that relay
  qshare send --relay HOST a.zip

Exit codes:
  0    success
  1    failed for a reason not listed below
  2    wrong arguments, or a code with a typo
  3    unknown code, or its sender is gone
  4    wrong code, or tampering between the ends
  5    relay unreachable, or connection lost
  6    no space, no permission, or target exists
  7    refused by relay, sender or user
  8    corrupt content
  130  interrupted during a download";

const MAN_EXAMPLES: &str = "\
Examples:
  # Read it
  qshare man | man -l -
  # Install it
  qshare man > ~/.local/share/man/man1/qshare.1";

/// The whole command line.
#[derive(Parser)]
#[command(
    name = "qshare",
    bin_name = "qshare",
    version = env!("QSHARE_VERSION"),
    subcommand_value_name = "COMMAND",
    about = "Send files to any number of receivers with a short code, encrypted end to end",
    after_help = EXAMPLES,
    // Where the width of the terminal is unknown, clap assumes 100 columns. Most such terminals have 80 and would break
    // the lines inside words.
    max_term_width = 80
)]
pub(crate) struct Args {
    /// The options of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// The command; without one, the menu opens.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command with its own arguments.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Share files and folders under a short code
    Send(SendArgs),
    /// Download a share by its code or link
    #[command(alias = "receive")]
    Recv(RecvArgs),
    /// Run a relay, which sees neither names nor content
    Relay(RelayArgs),
    /// List or forget stored shares
    Shares(SharesArgs),
    /// List or remove interrupted downloads
    Parts(PartsArgs),
    /// Show the settings and where they come from
    Config(ConfigArgs),
    /// Check what works from here: relay, local network, buffers, clock
    Doctor(DoctorArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page of all commands
    #[command(after_help = MAN_EXAMPLES)]
    Man,
}

/// Parses the command line of this process.
///
/// # Errors
/// Returns the exit code if there is no command to run, after printing the reason. The code is 0 after `--help`,
/// `--version` and `--limit help`, otherwise the exit code of [`Kind::Usage`].
pub(crate) fn parse() -> Result<Args, u8> {
    parse_from(env::args_os())
}

/// Parses `words` as [`parse`] does; the first one is the program's name.
///
/// # Errors
/// Returns the exit code, as [`parse`] does.
pub(crate) fn parse_from(words: impl IntoIterator<Item = OsString>) -> Result<Args, u8> {
    let words: Vec<OsString> = words.into_iter().collect();
    let args = try_parse(&words).map_err(|e| {
        if e.exit_code() == 0 {
            let _ = e.print(); // a closed pipe is not an error here
            return 0;
        }
        usage_error::print(&e, has_flag(&words, "--json"), has_flag(&words, "--no-color"));
        Kind::Usage.exit_code()
    })?;
    match &args.command {
        Some(Command::Relay(relay)) if relay.limits().is_none() => {
            let _ = io::stdout().write_all(Limits::help().as_bytes()); // a closed pipe is not an error here
            Err(0)
        }
        _ => Ok(args),
    }
}

fn try_parse(words: &[OsString]) -> Result<Args, clap::Error> {
    let color = if has_flag(words, "--no-color") { ColorChoice::Never } else { ColorChoice::Auto };
    let mut matches = ignore_empty_variables(Args::command()).color(color).try_get_matches_from(words)?;
    Args::from_arg_matches_mut(&mut matches)
}

/// Makes environment variables with an empty value count as unset.
fn ignore_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
    command.mut_subcommands(|command| {
        command.mut_args(|arg| if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg })
    })
}

/// Whether `words` contain a flag. Works without parsing, for words that cannot be parsed.
fn has_flag(words: &[OsString], flag: &str) -> bool {
    words.iter().skip(1).take_while(|word| *word != OsStr::new("--")).any(|word| word == OsStr::new(flag))
}

#[cfg(test)]
mod tests;
