//! The program's own log on standard error, which `-v` enables. It contains no code, file name or address of a user.

use tracing_subscriber::EnvFilter;

/// Starts the log: nothing without `-v`, this program's messages with one, all messages with two.
pub fn start_log(verbose: u8) {
    let filter = match verbose {
        0 => return,
        1 => "qshare=debug",
        _ => "debug",
    };
    let _ = tracing_subscriber::fmt() // fails if the bare command has already started the log before its menu
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .try_init();
}
