//! Errors of the command line: clap's own, or ours where they are more helpful.

use std::{error::Error as _, path::Path};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::global::GlobalArgs;
use crate::{
    code::{Code, Link},
    error::{Error, Kind},
    ui,
};

/// Prints an error of the command line. The caller searches the unparsed words for the flags `json` and `no_color`.
pub(super) fn print(e: &clap::Error, json: bool, no_color: bool) {
    match translate(e) {
        Some(error) => show(&error, json, no_color),
        None if json => show(&first_paragraph(e), json, no_color),
        None => drop(e.print()),
    }
}

fn show(error: &Error, json: bool, no_color: bool) {
    let global = GlobalArgs { json, quiet: false, verbose: 0, no_color };
    ui::show_error(global.ui(), error);
}

/// Returns our own error where it adds a hint, or where clap's error would repeat a code.
pub(super) fn translate(e: &clap::Error) -> Option<Error> {
    if let Some(error) = e.source().and_then(|source| source.downcast_ref::<Error>()) {
        return Some(invalid_value(e, error));
    }
    match e.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = context(e, ContextKind::InvalidSubcommand)?;
            if Code::parse(word).is_ok() || Link::has_scheme(word) {
                return Some(Error::new(Kind::Usage, "recv is missing before the code").hint("qshare recv CODE"));
            }
            let exists = Path::new(word).exists();
            exists.then(|| Error::new(Kind::Usage, "send is missing before the path").hint("qshare send PATH"))
        }
        ErrorKind::UnknownArgument if !context(e, ContextKind::InvalidArg)?.starts_with('-') => {
            let hint = "quote a link, or a code with spaces; see also qshare --help";
            Some(Error::new(Kind::Usage, "too many arguments").hint(hint))
        }
        _ => None,
    }
}

/// Adds the option's name to an error of one of our value parsers.
fn invalid_value(e: &clap::Error, error: &Error) -> Error {
    let arg = context(e, ContextKind::InvalidArg);
    let option = arg.and_then(|arg| arg.split(' ').next()).unwrap_or("argument");
    let named = Error::new(error.kind(), format!("{option}: {}", error.message()));
    match error.hint_text() {
        Some(hint) => named.hint(hint),
        None => named,
    }
}

fn context(e: &clap::Error, kind: ContextKind) -> Option<&str> {
    match e.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

/// Returns the first paragraph of clap's text as an error.
pub(super) fn first_paragraph(e: &clap::Error) -> Error {
    let text = e.render().to_string();
    let first: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let message = first.join(" ");
    Error::new(Kind::Usage, message.strip_prefix("error: ").unwrap_or(&message)).hint("see qshare --help")
}
