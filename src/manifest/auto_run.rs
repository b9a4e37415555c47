//! The names of files that other programs run, or read commands from, without an action of the user.

/// Files that a shell, a desktop session or a common tool reads when it starts, and that can name commands.
const START_UP_FILES: &[&str] = &[
    ".bash_aliases",
    ".bash_login",
    ".bash_logout",
    ".bash_profile",
    ".bashrc",
    ".cshrc",
    ".emacs",
    ".envrc",
    ".exrc",
    ".forward",
    ".gdbinit",
    ".gitconfig",
    ".gvimrc",
    ".kshrc",
    ".lldbinit",
    ".login",
    ".logout",
    ".mkshrc",
    ".pam_environment",
    ".profile",
    ".rprofile",
    ".screenrc",
    ".tcshrc",
    ".tmux.conf",
    ".vimrc",
    ".xinitrc",
    ".xprofile",
    ".xserverrc",
    ".xsession",
    ".xsessionrc",
    ".zlogin",
    ".zlogout",
    ".zprofile",
    ".zshenv",
    ".zshrc",
    "autorun.inf",
    "config.fish",
    "desktop.ini",
];

/// Extensions of files that a file manager runs or follows: launchers and shortcuts.
const LAUNCHERS: &[&str] = &["command", "desktop", "lnk", "scf"];

/// Folders whose files the system or a desktop session starts: on macOS, on Linux and on Windows.
const START_UP_FOLDERS: &[&str] = &["launchagents", "launchdaemons", "autostart", "startup"];

/// Files in `.ssh` that grant logins or name commands.
const SSH_FILES: &[&str] = &["authorized_keys", "authorized_keys2", "config", "environment", "rc"];

/// Files in a folder `hooks` that git runs, including those of repositories with a name other than `.git`.
const GIT_HOOKS: &[&str] = &[
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];

/// Returns whether a file may run, or name commands that run, although the user does not open it. `path` consists of
/// its name and the names of the folders above it, the innermost first.
///
/// The list is short, so that users pay attention to the marked files: files that start with a session or a shell,
/// files that a version control system or an editor runs, and files that a file manager treats as programs. Case is
/// ignored, as on many file systems.
pub fn runs_automatically<'a>(mut path: impl Iterator<Item = &'a str>) -> bool {
    let [name, parent, grandparent] = std::array::from_fn(|_| path.next().unwrap_or_default());
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let is = |text: &str, known: &str| text.eq_ignore_ascii_case(known);
    let is_one_of = |text: &str, list: &[&str]| list.iter().any(|known| is(text, known));
    is_one_of(name, START_UP_FILES)
        || is_one_of(extension, LAUNCHERS)
        || is_one_of(parent, START_UP_FOLDERS)
        || (is(parent, ".ssh") && is_one_of(name, SSH_FILES))
        || (is(parent, ".vscode") && is(name, "tasks.json"))
        || (is(parent, "hooks") && is_one_of(name, GIT_HOOKS))
        || (is(name, "config") && parent.to_ascii_lowercase().ends_with(".git"))
        || (is(parent, "conf.d") && is(grandparent, "fish"))
        || (is_one_of(parent, &["user", "system"]) && is(grandparent, "systemd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_run_automatically_are_recognized_at_any_depth() {
        for path in [
            ".bashrc",
            "home/.Profile",
            ".ssh/authorized_keys",
            "repo/.git/hooks/pre-commit",
            "repo.git/hooks/update",
            "repo/.git/config",
            "AUTORUN.INF",
            "photos/desktop.ini",
            "holiday.JPG.desktop",
            "Library/LaunchAgents/x.plist",
            ".config/autostart/x",
            ".config/systemd/user/x.service",
            ".config/fish/conf.d/x.fish",
            "project/.vscode/tasks.json",
        ] {
            assert!(runs_automatically(path.rsplit('/')), "{path}");
        }
        for path in [
            "bashrc",
            "src/hooks/useThing.ts",
            "config",
            "authorized_keys",
            ".gitignore",
            ".env",
            "a.desktop/b",
            "tasks.json",
        ] {
            assert!(!runs_automatically(path.rsplit('/')), "{path}");
        }
    }
}
