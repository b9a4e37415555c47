//! Relays that listen, and senders that have a code.

use rustix::process::Signal;
use serde_json::Value;

use super::{process::Process, process_output::ProcessOutput, test_env::QshareCommand};

/// A relay that listens.
pub(crate) struct RelayProcess {
    /// The process.
    pub(crate) process: Process,
    /// The address on which it listens.
    pub(crate) addr: String,
    /// The pin of its key.
    pub(crate) pin: String,
}

impl RelayProcess {
    /// Starts `relay`, which must print JSON, and waits until it listens.
    pub(crate) fn start(relay: QshareCommand) -> Self {
        let mut process = relay.start();
        let listening = process.wait_for("relay_listening");
        let text = |field: &str| listening[field].as_str().unwrap().to_owned();
        Self { addr: text("addr"), pin: text("pin"), process }
    }

    /// Returns the argument of `--relay`.
    pub(crate) fn spec(&self) -> String {
        format!("{}#{}", self.addr, self.pin)
    }

    /// Stops the relay with SIGTERM and checks that it exits with 0.
    pub(crate) fn stop(self) -> ProcessOutput {
        self.process.signal(Signal::TERM);
        self.process.end().expect(0)
    }
}

/// A sender whose share is registered.
pub(crate) struct SenderProcess {
    /// The process.
    pub(crate) process: Process,
    /// Its `sharing` event.
    pub(crate) sharing: Value,
}

impl SenderProcess {
    /// Waits until the sender has a code.
    pub(super) fn wait_for_code(mut process: Process) -> Self {
        let sharing = process.wait_for("sharing");
        Self { process, sharing }
    }

    /// Returns the code.
    pub(crate) fn code(&self) -> &str {
        self.sharing["code"].as_str().unwrap()
    }

    /// Returns the link.
    pub(crate) fn link(&self) -> &str {
        self.sharing["link"].as_str().unwrap()
    }

    /// Stops an idle sender with Ctrl-C and checks that it exits with 0.
    pub(crate) fn stop(self) -> ProcessOutput {
        self.process.signal(Signal::INT);
        self.process.end().expect(0)
    }
}
