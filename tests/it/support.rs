//! Real relays, senders and receivers: the program itself, in an environment of its own for each test.
//!
//! - [`TestEnv`] is that environment, and [`QshareCommand`] a command line in it.
//! - [`RelayProcess`] and [`SenderProcess`] are processes that have reported that they are ready.
//! - [`Process`] waits for events, and [`ProcessOutput`] is what a process printed until its end.
//! - [`LanResponder`] answers questions for senders on the local network.
//! - `Lab` has hosts and bridges in network namespaces.
//! - [`UdpProxy`] blocks the traffic between processes; [`terminal`] opens a terminal for prompts.
//! - [`FileTree`] compares files and folders.

mod files;
mod frames;
#[cfg(target_os = "linux")]
mod lab;
mod lan_responder;
mod log_lines;
mod peers;
mod process;
mod process_output;
mod seeds;
mod terminal;
mod test_env;
mod udp_proxy;

#[cfg(target_os = "linux")]
pub(crate) use self::lab::{Host, Lab};
pub(crate) use self::{
    files::{FileTree, assert_only_staged, entry_names, hash_file, write_random_file, write_sparse_file},
    frames::{UnknownFrame, bytes_of},
    lan_responder::{LanQuestion, LanResponder, SERVICE, lan_answer, named_lan_answer},
    log_lines::log_lines,
    peers::{RelayProcess, SenderProcess},
    process::{Process, peak_memory, wait_until},
    process_output::ProcessOutput,
    seeds::env_number,
    terminal::{Keyboard, screen, terminal_after},
    test_env::{BIG, QshareCommand, TestEnv},
    udp_proxy::UdpProxy,
};
