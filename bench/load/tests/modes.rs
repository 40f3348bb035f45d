//! Runs every mode of the load generator against the floor, once and briefly. Contents are compared
//! during the warm-up, so a wrong byte on either side fails here.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

struct Floor {
    child: Child,
    lines: BufReader<ChildStdout>,
    place: [String; 2],
}

impl Floor {
    fn start(mode: &str, place: [&str; 2]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ferronet-floor"))
            .arg(mode)
            .args(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cargo built it");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let listening = next(&mut lines);
        let place = match listening["listening"]["port"].as_u64() {
            Some(port) => ["--tcp".into(), format!("127.0.0.1:{port}")],
            None => place.map(String::from),
        };
        Self {
            child,
            lines,
            place,
        }
    }

    fn stats(&mut self) -> Value {
        let input = self.child.stdin.as_mut().expect("it is piped");
        input.write_all(b"stats\n").expect("the floor listens");
        next(&mut self.lines)
    }
}

fn next(lines: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    lines.read_line(&mut line).expect("the floor answers");
    serde_json::from_str(&line).expect("the line is JSON")
}

impl Drop for Floor {
    fn drop(&mut self) {
        // The floor exits when its standard input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn load(floor: &Floor, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_ferronet-load"))
        .args(arguments)
        .args(&floor.place)
        .args(["--warmup", "0.05", "--seconds", "0.1", "--server-pid"])
        .arg(floor.child.id().to_string())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo built it");
    assert!(output.status.success(), "{arguments:?}");
    serde_json::from_slice(&output.stdout).expect("it prints one JSON object")
}

#[test]
fn every_mode_reports_progress() {
    for (server, arguments) in [
        ("echo", &["pingpong", "--connections", "3"][..]),
        ("echo", &["pingpong", "--size", "100000"]),
        ("pipeline", &["pipeline", "--outstanding", "32"]),
        ("small-writes", &["small-writes"]),
        (
            "echo",
            &["echo", "--connections", "2", "--outstanding", "64"],
        ),
        ("sink", &["upload"]),
        ("source", &["download"]),
        (
            "beside",
            &["beside", "--connections", "3", "--uploaders", "2"],
        ),
        ("echo", &["churn", "--connections", "5"]),
    ] {
        let floor = Floor::start(server, ["--tcp", "127.0.0.1:0"]);
        let report = load(&floor, arguments);
        assert!(
            report["bytes"].as_u64() > Some(0),
            "{arguments:?}: {report}"
        );
        assert!(
            report["server_cpu_seconds"].as_f64() > Some(0.0),
            "{arguments:?}: {report}"
        );
    }
}

#[test]
fn pings_are_answered_beside_uploads_of_which_every_byte_arrives() {
    let mut floor = Floor::start("beside", ["--tcp", "127.0.0.1:0"]);
    for uploaders in ["1", "4"] {
        let before = floor.stats()["bytes"].as_u64().expect("it is a count");
        let report = load(
            &floor,
            &["beside", "--connections", "2", "--uploaders", uploaders],
        );
        assert!(report["ops"].as_u64() > Some(0), "{report}");
        assert!(report["uploaded_bytes"].as_u64() > Some(0), "{report}");
        assert_eq!(
            report["bytes"].as_u64(),
            report["ops"].as_u64().map(|ops| ops * 64),
            "{report}"
        );
        // The uploads were read to their end, and no ping was mistaken for one of them.
        assert_eq!(
            floor.stats()["bytes"].as_u64(),
            report["total_uploaded_bytes"]
                .as_u64()
                .map(|sent| before + sent),
            "{report}"
        );
    }
}

#[test]
fn unix_sockets_are_served_and_their_path_is_removed() {
    let path = std::env::temp_dir().join(format!("ferronet-load-{}.sock", std::process::id()));
    let place = ["--unix", path.to_str().expect("the path is ASCII")];
    let floor = Floor::start("echo", place);
    for mode in ["pingpong", "churn"] {
        let report = load(&floor, &[mode, "--connections", "4"]);
        assert!(report["ops"].as_u64() > Some(0), "{report}");
    }
    drop(floor);
    assert!(!path.exists());
}
