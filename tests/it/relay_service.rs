//! A relay as a service: `qshare relay --show`, and the message that it is ready.

use std::{fs, process::Stdio};

use serde_json::json;

use crate::support::{Process, TestEnv};

#[test]
fn the_usage_of_a_stored_relay_is_that_of_the_running_one() {
    let env = TestEnv::new();
    let relay = env.relay();
    let show = ["relay", "--show", "--listen", &relay.addr];
    let shown = env.qshare(&show).arg("--json").run().expect(0).event("stored_relay");
    assert_eq!((&shown["addr"], &shown["pin"]), (&json!(relay.addr), &json!(relay.pin)));
    assert_eq!(shown["addresses"], json!([relay.addr]));
    assert_eq!(shown["folder"], env.state().join("relay").to_str().unwrap());
    let spec = relay.spec();
    let text = env.qshare(&show).run().expect(0).text();
    assert!(text.contains(&format!("\n  qshare send --relay {spec} PATH\n")), "{text}");
    assert!(text.contains(&format!("\n  relay = \"{spec}\"\n")), "{text}");
    assert_eq!(env.qshare(&show).arg("--quiet").run().expect(0).text(), format!("{spec}\n"));
}

#[test]
fn a_relay_that_has_never_run_has_nothing_to_show() {
    let env = TestEnv::new();
    let certs = env.folder("certs");
    let show = env.qshare(&["relay", "--show", "--json", "--certs"]).arg(&certs).run();
    let message = show.expect_error(6, "disk", "there is no certificate of a relay in");
    assert!(message.ends_with("start the relay once; it then creates its certificate"), "{message}");
    assert_eq!(fs::read_dir(&certs).unwrap().count(), 0, "nothing is created");
}

#[test]
fn a_relay_without_a_home_stores_its_key_in_the_named_folder() {
    let env = TestEnv::new();
    let mut command = env.qshare(&["relay", "--listen", "127.0.0.1:0"]).into_command();
    command.env_clear().env("XDG_STATE_HOME", env.path("states")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = child.stderr.take().unwrap();
    let relay = Process::watch("relay".to_owned(), child, stderr);
    relay.wait_for_lines(1);
    assert!(env.path("states/qshare/relay/relay.key").exists(), "{}", relay.messages());
}

#[cfg(target_os = "linux")]
#[test]
fn a_relay_tells_the_service_manager_that_it_is_ready() {
    use std::{os::unix::net::UnixDatagram, time::Duration};
    let env = TestEnv::new();
    let folder = tempfile::tempdir().unwrap(); // the path of a socket has at most 107 bytes
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let relay = env.qshare(&["relay", "--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &path).start();
    let mut message = [0; 64];
    let length = manager.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1");
    drop(relay);
}
