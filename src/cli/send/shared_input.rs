//! The input of a share: files and folders, a pipe, or a text.

use crate::{
    cli::{args::SendArgs, console::Console},
    error::{Error, Kind, Result},
    manifest::{MAX_TEXT_BYTES, ShareId},
    transfer::{InputPipe, LinkPolicy, Source},
};

/// The input of a share.
pub(super) enum SharedInput {
    /// The files and folders of the arguments.
    Files,
    /// Standard input, or the pipe at a path.
    Pipe(InputPipe),
    /// A text.
    Text(String),
}

impl SharedInput {
    /// Determines what the arguments name, and reads a text from standard input if they say so.
    ///
    /// # Errors
    /// [`Kind::Usage`] if standard input cannot be shared, the text is empty, too long or not UTF-8, or an option does
    /// not apply to it.
    pub(super) async fn of(args: &SendArgs, console: &Console) -> Result<Self> {
        let input = Self::read(args, console).await?;
        let selects = !args.exclude.is_empty() || args.gitignore || args.links != LinkPolicy::default();
        match input {
            Self::Pipe(_) | Self::Text(_) if selects => {
                Err(Error::new(Kind::Usage, "--exclude, --gitignore and --links select from files and folders")
                    .hint("leave them out for a pipe or a text"))
            }
            Self::Pipe(_) if args.max_downloads.is_some_and(|max| max > 1) => {
                Err(Error::new(Kind::Usage, "a pipe can be downloaded once").hint("leave out --max-downloads"))
            }
            input => Ok(input),
        }
    }

    async fn read(args: &SendArgs, console: &Console) -> Result<Self> {
        match (args.text.as_deref(), &args.paths[..]) {
            (Some("-"), _) => console.read_text(MAX_TEXT_BYTES).await.and_then(Self::text),
            (Some(text), _) => Self::text(text.to_owned()),
            (None, [path]) if path.as_os_str() == "-" => InputPipe::standard_input().map(Self::Pipe),
            (None, [path]) => Ok(InputPipe::pipe(path).map_or(Self::Files, Self::Pipe)),
            (None, paths) if paths.iter().any(|path| path.as_os_str() == "-") => {
                Err(Error::new(Kind::Usage, "cannot share standard input together with other paths")
                    .hint("share it alone; for a file named -, pass ./-"))
            }
            (None, _) => Ok(Self::Files),
        }
    }

    fn text(text: String) -> Result<Self> {
        if text.is_empty() { Err(Error::new(Kind::Usage, "the text is empty")) } else { Ok(Self::Text(text)) }
    }

    /// Returns the source of a share of this input; `None` for files and folders, which have to be scanned.
    ///
    /// # Errors
    /// [`Kind::Usage`] if `name` cannot be the name of a file, or the text is too long.
    pub(super) fn into_source(self, name: Option<&str>, share: ShareId) -> Option<Result<Source>> {
        match self {
            Self::Files => None,
            Self::Pipe(pipe) => {
                let default = pipe.default_name();
                Some(Source::of_pipe(pipe, name.unwrap_or(&default), share))
            }
            Self::Text(text) => Some(Source::of_text(&text, name, share)),
        }
    }
}
