//! The arguments of `qshare completions`.

use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  # Bash; add this line to ~/.bashrc
  source <(qshare completions bash)
  # Zsh, in a folder of $fpath
  qshare completions zsh > ~/.zfunc/_qshare
  # Fish
  qshare completions fish > \\
    ~/.config/fish/completions/qshare.fish";

/// The arguments of `qshare completions`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Shell that will load the completions
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}
