//! The manual page that `qshare man` prints: one page for all commands.

use std::io;

use clap::{Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::args::Args;

/// The date in the page, which is set with each release.
const DATE: &str = "2026-11-27";

/// Returns the manual page in the format of roff.
pub(super) fn render() -> String {
    let mut page = Vec::new();
    let command = with_values_in_help(Args::command().disable_help_subcommand(true));
    let _ = write_page(&mut page, command); // a write to a vector does not fail
    ascii(&String::from_utf8_lossy(&page))
}

/// Moves the possible values of each option into its help. As a list of their own, they would take two lines each.
fn with_values_in_help(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        let values: Vec<_> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        match arg.get_help().filter(|_| arg.get_action().takes_values() && !values.is_empty()) {
            Some(help) => {
                let help = format!("{help} [possible values: {}]", values.join(", "));
                arg.help(help).hide_possible_values(true)
            }
            None => arg,
        }
    });
    command.mut_subcommands(with_values_in_help)
}

/// Replaces characters outside ASCII by escape sequences, which every formatter understands in every locale.
fn ascii(page: &str) -> String {
    page.chars().map(|c| if c.is_ascii() { c.to_string() } else { format!("\\[u{:04X}]", u32::from(c)) }).collect()
}

fn write_page(page: &mut Vec<u8>, command: Command) -> io::Result<()> {
    let man = Man::new(command.clone()).title("QSHARE").date(DATE).manual("User Commands");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    write_command_list(page, &command)?;
    man.render_options_section(page)?;
    write_after_help(page, &command)?;
    command.get_subcommands().try_for_each(|subcommand| write_subcommand(page, "qshare", subcommand))
}

/// Writes the names of the commands, with what they do.
fn write_command_list(page: &mut Vec<u8>, command: &Command) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for subcommand in command.get_subcommands() {
        roff.control("TP", []);
        roff.text([bold(subcommand.get_name())]);
        roff.text([roman(about(subcommand))]);
    }
    roff.to_writer(page)
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// Writes the section of a subcommand of `parent`, and the sections of its own subcommands. The options of every
/// command, which clap adds to a subcommand when it builds `parent`, are left out.
fn write_subcommand(page: &mut Vec<u8>, parent: &str, command: &Command) -> io::Result<()> {
    let name = format!("{parent} {}", command.get_name());
    let mut roff = Roff::new();
    roff.control("SH", [name.to_uppercase().as_str()]);
    roff.text([roman(about(command))]);
    roff.to_writer(page)?;
    let alone = command.clone().bin_name(&name).disable_help_flag(true).disable_help_subcommand(true);
    let man = Man::new(alone);
    let mut sections = Vec::new();
    man.render_synopsis_section(&mut sections)?;
    man.render_options_section(&mut sections)?;
    write_after_help(&mut sections, command)?;
    // What are sections in the page of a command are subsections here. Text never begins with a dot.
    let sections = String::from_utf8_lossy(&sections).replace(".SH ", ".SS ");
    page.extend_from_slice(sections.as_bytes());
    command.get_subcommands().try_for_each(|subcommand| write_subcommand(page, &name, subcommand))
}

/// Writes the examples and notes behind the options, with their line breaks.
fn write_after_help(page: &mut Vec<u8>, command: &Command) -> io::Result<()> {
    let Some(text) = command.get_after_help().map(ToString::to_string) else { return Ok(()) };
    let mut roff = Roff::new();
    for paragraph in text.split("\n\n") {
        match paragraph.split_once(":\n") {
            Some((heading, lines)) => {
                roff.control("SH", [heading.to_uppercase().as_str()]);
                roff.control("nf", []);
                for line in lines.lines() {
                    roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
                }
                roff.control("fi", []);
            }
            None => {
                roff.control("SH", ["NOTES"]);
                roff.text([roman(paragraph)]);
            }
        }
    }
    roff.to_writer(page)
}
