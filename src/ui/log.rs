//! What `-v` shows: the program's own log, on standard error. No code, name or address of a user is in it.

use tracing_subscriber::EnvFilter;

/// Starts the log: nothing without `-v`, this program's own steps with one, everything with two.
pub fn log(verbose: u8) {
    let filter = match verbose {
        0 => return,
        1 => "qshare=debug",
        _ => "debug",
    };
    let _ = tracing_subscriber::fmt() // a second menu round finds it started already
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .try_init();
}
