//! The pictures of the README: a real sender and a real receiver at two terminals, drawn as SVG.
//!
//! After a change of what people see, run `cargo test --test it picture -- --ignored`, and look at the pictures.

mod svg;
mod theme;

use std::{fs, path::Path};

use rustix::process::Signal;
use svg::draw;
use theme::{DARK, LIGHT};
use vt100::Screen;

use crate::support::{TestEnv, terminal_after, write_random_file};

const COLUMNS: u16 = 80;

/// Both screens at one moment.
type Frame = [Screen; 2];

/// Shares a folder with `photos` photos and downloads it. Returns the screens with the code, with the question, in the
/// middle of the download, and at its end.
fn record(photos: usize, bytes_each: u64) -> [Frame; 4] {
    let env = TestEnv::new();
    env.file("holiday/itinerary.txt", "Friday: the lighthouse.\n");
    env.folder("holiday/photos");
    for photo in 1..=photos {
        write_random_file(&env.path(&format!("holiday/photos/IMG_{photo:04}.jpg")), bytes_each);
    }
    let into = env.folder("into");
    // The sender announces itself to an address where nobody listens.
    let shared = env.qshare(&["send", "holiday/"]).env("QSHARE_LAN", "127.0.0.1:9");
    let (sender, _keyboard) = shared.start_on_a_screen(COLUMNS);
    sender.wait_for_message("ends the share.\r\n");
    let waiting = sender.messages();
    let between = |start, end| waiting.split(start).nth(1).and_then(|rest: &str| rest.split(end).next()).unwrap();
    let code = between("qshare recv ", "\r\n");
    let (receiver, mut keyboard) = env.qshare(&["recv", code]).dir(&into).start_on_a_screen(COLUMNS);
    receiver.wait_for_message("[Y/n] ");
    keyboard.line("y");
    let received = receiver.end().expect(0).stderr;
    sender.wait_for_message("on this machine\r\n");
    let sent = sender.messages();
    sender.signal(Signal::INT);
    sender.end();

    // Hide what differs on every machine: the folder, and the addresses and the port in the link.
    let received = received.replace(into.to_str().unwrap(), "/home/ann");
    let sent = sent.replace(between("qshare://", "#"), &format!("192.0.2.2:4433/{code}"));
    let [_, waiting, sending, done] = screens("qshare send holiday/", &sent, "ends the share.\r\n");
    let [prompt, question, receiving, saved] = screens(&format!("qshare recv {code}"), &received, "[Y/n] ");
    [[waiting.clone(), prompt], [waiting, question], [sending, receiving], [done, saved]]
}

/// Returns the screens of a terminal whose user has typed `command`: without output, with the output up to `pause`, in
/// the middle of the redrawn lines, and at the end. A download may be too short for redrawn lines.
fn screens(command: &str, output: &str, pause: &str) -> [Screen; 4] {
    let paused = output.find(pause).unwrap_or_else(|| panic!("“{pause}” is not in {output:?}")) + pause.len();
    let redrawn: Vec<usize> = output.match_indices("\r\x1b[2K").map(|(at, _)| at).collect();
    let middle = redrawn.get(redrawn.len() / 2).copied().unwrap_or(output.len());
    [0, paused, middle, output.len()].map(|end| {
        let shown = format!("\x1b[2m$\x1b[0m {command}\r\n{}", &output[..end]);
        terminal_after(&shown, COLUMNS).screen().clone()
    })
}

#[test]
#[ignore = "writes the pictures of the README"]
fn write_the_pictures() {
    let frames = record(48, 4_242_424);
    for (name, theme) in [("demo-light.svg", &LIGHT), ("demo-dark.svg", &DARK)] {
        let picture = draw(theme, &frames);
        assert!(picture.len() < 60_000, "{name} has {} bytes", picture.len());
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name), picture).unwrap();
    }
}

#[test]
fn a_picture_shows_a_real_run_and_nothing_of_this_machine() {
    let picture = draw(&LIGHT, &record(1, 1000));
    let document = roxmltree::Document::parse(&picture).unwrap();
    let text: Vec<&str> = document.descendants().filter(|node| node.is_text()).filter_map(|node| node.text()).collect();
    let text = text.concat();
    for shown in ["qshare send holiday/", "Code:", "qshare://192.0.2.2:4433/", "qshare recv", "/home/ann:"] {
        assert!(text.contains(shown), "“{shown}” is not in {text}");
    }
    for shown in ["Download? [Y/n] y", "Saved holiday (2 files, 1.0 kB in ", "receiver 1: done, 1.0 kB in "] {
        assert!(text.contains(shown), "“{shown}” is not in {text}");
    }
    for hidden in [env!("CARGO_TARGET_TMPDIR"), "127.0.0.1", "<script", "href", "url("] {
        assert!(!picture.contains(hidden), "“{hidden}” is in {picture}");
    }
    let colored = format!("fill=\"{}\"", LIGHT.ansi[2]);
    assert!(picture.contains(&colored), "the code has no color");
}
