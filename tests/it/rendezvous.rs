//! The ways from a sender to a receiver: what is typed, and where the relay is.

use crate::support::{Qshare, Relay, Tree, World};

/// Runs `receiver` in `into` of `world` and checks that `file` arrives there.
#[track_caller]
fn arrives(world: &World, receiver: Qshare, into: &str) {
    let into = world.folder(into);
    receiver.args(&["--json", "--yes"]).dir(&into).run().expect(0);
    assert_eq!(Tree::of(&into.join("file")), Tree::of(&world.path("file")));
}

#[test]
fn without_a_relay_the_bare_code_works_on_this_machine() {
    let world = World::new();
    let sender = world.send(&[&world.file("file", "content")]).share();
    assert_eq!(sender.sharing["embedded"], true);
    arrives(&world, world.qshare(&["recv", sender.code()]), "in1");
    arrives(&world, world.qshare(&["receive", sender.code()]), "in2");
    arrives(&world, world.qshare(&["recv"]).env("QSHARE_CODE", sender.code()), "in3");
    let code = sender.code().to_owned();
    sender.stop();
    let gone = world.recv(&code, &world.path("in4")).run();
    gone.expect_error(3, "not_found", "no sender on this machine");
}

#[test]
fn without_a_relay_the_link_works_for_others() {
    let world = World::new();
    let sender = world.send(&[&world.file("file", "content")]).share();
    let other = World::new();
    let into = other.path("in");
    other.recv(sender.link(), &into).run().expect(0);
    assert_eq!(Tree::of(&into.join("file")), Tree::of(&world.path("file")));
    let code_alone = other.recv(sender.code(), &other.path("in2")).run();
    code_alone.expect_error(3, "not_found", "no relay is configured");
}

#[test]
fn two_senders_on_a_machine_have_a_relay_each() {
    let world = World::new();
    let file = world.file("file", "content");
    let senders = [world.send(&[&file]).share(), world.send(&[&file]).share()];
    assert_ne!(senders[0].sharing["relay"], senders[1].sharing["relay"]);
    for (n, sender) in senders.iter().enumerate() {
        arrives(&world, world.qshare(&["recv", sender.code()]), &format!("in{n}"));
        arrives(&world, world.qshare(&["recv", sender.link()]), &format!("link{n}"));
    }
}

#[test]
fn codes_are_taken_as_people_type_them() {
    let world = World::new();
    let relay = world.relay();
    let sender = world.send(&[&world.file("file", "content")]).via(&relay).share();
    let code = sender.code();
    let ways = [
        code.to_lowercase(),
        code.replace('-', ""),
        code.replace('-', " "),
        code.replace('-', "\u{2013}"),
        format!(" {code}\n"),
        code.chars().map(|c| format!("{c} ")).collect(),
        sender.link().to_owned(),
    ];
    for (n, typed) in ways.iter().enumerate() {
        arrives(&world, world.qshare(&["recv", typed]).via(&relay), &format!("in{n}"));
    }
}

#[test]
fn the_relay_comes_from_the_command_line_the_environment_or_the_configuration() {
    let world = World::new();
    let relay = world.relay();
    let file = world.file("file", "content");
    let sender = world.send(&[&file]).env("QSHARE_RELAY", relay.spec()).share();
    assert_eq!(sender.sharing["embedded"], false);
    assert_eq!(sender.sharing["relay"], relay.addr);
    arrives(&world, world.qshare(&["recv", sender.code()]).env("QSHARE_RELAY", relay.spec()), "in1");
    world.file("home/config/qshare/config.toml", format!("relay = \"{}\"", relay.spec()));
    arrives(&world, world.qshare(&["recv", sender.code()]), "in2");
    let other = world.send(&[&file]).share();
    assert_eq!(other.sharing["relay"], relay.addr);
    world.file("home/config/qshare/config.toml", "rellay = \"typo\"");
    let refused = world.recv(sender.code(), &world.path("in3")).run();
    refused.expect_error(2, "usage", "config.toml");
}

#[test]
fn a_relay_keeps_its_key_and_serves_both_ip_versions() {
    let world = World::new();
    let relay = world.relay();
    let pin = relay.pin.clone();
    relay.stop();
    let relay = Relay::start(world.qshare(&["relay", "--json", "--listen", "[::]:0"]));
    assert_eq!(relay.pin, pin);
    let port = relay.addr.rsplit_once(':').unwrap().1;
    let sender =
        world.send(&[&world.file("file", "content")]).args(&["--relay", &format!("127.0.0.1:{port}#{pin}")]).share();
    let by_name = format!("localhost:{port}#{pin}");
    arrives(&world, world.qshare(&["recv", sender.code(), "--relay", &by_name]), "in");
    relay.stop();
    let certs = world.path("certs");
    let relay = Relay::start(world.qshare(&["relay", "--json", "--listen", "127.0.0.1:0", "--certs"]).arg(&certs));
    assert_ne!(relay.pin, pin);
    for entry in std::fs::read_dir(&certs).unwrap() {
        use std::os::unix::fs::MetadataExt;
        let mode = entry.unwrap().metadata().unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}
