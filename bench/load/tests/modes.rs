//! Runs every mode of the load generator against the floor, once and briefly. Contents are compared
//! during the warm-up, so a wrong byte on either side fails here.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

struct Floor {
    child: Child,
    lines: BufReader<ChildStdout>,
    place: [String; 2],
}

impl Floor {
    fn start(mode: &str, place: [&str; 2]) -> Self {
        Self::start_with(mode, place, &[])
    }

    fn start_with(mode: &str, place: [&str; 2], more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ferronet-floor"))
            .arg(mode)
            .args(place)
            .args(more)
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
        ("echo", &["pingpong", "--connections", "3", "--idle", "150"]),
        ("echo", &["pingpong", "--busy-poll"]),
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

/// A directory with a key and a certificate, for as long as the test runs.
struct Identity(PathBuf);

impl Identity {
    fn make(test: &str) -> Self {
        let directory =
            std::env::temp_dir().join(format!("ferronet-load-{test}-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("nobody else has it");
        let identity = Self(directory);
        let config = "[req]\ndistinguished_name = name\nx509_extensions = extensions\n[name]\n[extensions]\n\
            basicConstraints = critical,CA:FALSE\nsubjectAltName = DNS:localhost\n";
        std::fs::write(identity.at("openssl.cnf"), config).expect("the directory is ours");
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ])
            .args(["-subj", "/CN=localhost", "-config"])
            .arg(identity.at("openssl.cnf"))
            .arg("-keyout")
            .arg(identity.at("key.pem"))
            .arg("-out")
            .arg(identity.at("cert.pem"))
            .output()
            .expect("openssl is installed: it makes the certificate");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        identity
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn path(&self) -> &str {
        Path::to_str(&self.0).expect("the path is ASCII")
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_mode_reports_progress_in_tls() {
    let identity = Identity::make("modes");
    let tls = ["--tls", identity.path()];
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
        ("source", &["download", "--connections", "2"]),
        ("echo", &["churn", "--connections", "5"]),
    ] {
        let mut floor = Floor::start_with(server, ["--tcp", "127.0.0.1:0"], &tls);
        let report = load(&floor, &[arguments, &tls].concat());
        assert!(
            report["bytes"].as_u64() > Some(0),
            "{arguments:?}: {report}"
        );
        assert_eq!(
            report["resumed"].as_u64(),
            Some(0),
            "{arguments:?}: {report}"
        );
        if server == "sink" {
            assert_eq!(floor.stats()["bytes"], report["total_bytes"], "{report}");
        }
    }
}

#[test]
fn sessions_are_resumed_if_that_is_wanted() {
    let identity = Identity::make("resumed");
    let tls = ["--tls", identity.path()];
    let floor = Floor::start_with("echo", ["--tcp", "127.0.0.1:0"], &tls);
    let wanted = ["churn", "--connections", "5", "--resume"];
    let report = load(&floor, &[&wanted[..], &tls].concat());
    assert!(report["ops"].as_u64() > Some(0), "{report}");
    assert_eq!(report["resumed"], report["ops"], "{report}");
}

#[test]
fn another_certificate_is_not_accepted() {
    let [identity, other] = ["one", "other"].map(Identity::make);
    let floor = Floor::start_with(
        "echo",
        ["--tcp", "127.0.0.1:0"],
        &["--tls", identity.path()],
    );
    let output = Command::new(env!("CARGO_BIN_EXE_ferronet-load"))
        .args(["pingpong", "--tls", other.path()])
        .args(&floor.place)
        .output()
        .expect("cargo built it");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("certificate"), "{message}");
}

#[test]
fn http_is_answered_as_often_as_it_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut lines = BufReader::new(stream.try_clone()?).lines();
                while let Some(line) = lines.next().transpose()? {
                    if line.is_empty() {
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")?;
                        stream.write_all(b"hello")?;
                    }
                }
                Ok(())
            });
        }
    });
    let output = Command::new(env!("CARGO_BIN_EXE_ferronet-load"))
        .args(["http", "--connections", "2", "--tcp", &address])
        .args(["--warmup", "0.05", "--seconds", "0.1"])
        .output()
        .expect("cargo built it");
    assert!(output.status.success(), "{output:?}");
    let report = serde_json::from_slice::<Value>(&output.stdout).expect("it prints JSON");
    let [ops, bytes] = ["ops", "bytes"].map(|name| report[name].as_u64().expect("it is a count"));
    assert!(ops > 0, "{report}");
    // An answer may be cut by either end of the window.
    assert!(bytes.abs_diff(ops * 43) <= 2 * 43, "{report}");
}
