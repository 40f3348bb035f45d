//! Listeners: binding, the backlog, a full descriptor table, the path that goes with its socket.

use std::fs;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};

use ferronet_core::{STEP_EVENTS, errno};
use socket2::{Domain, Socket, Type};

use crate::common::{Directory, Host, in_a_process_of_its_own, loopback};

fn an_address_in_use_is_reported_when_the_socket_is_put_to_use(host: &mut Host) {
    let (_listener, address) = host.listen_tcp();
    let second = host
        .reactor
        .bind_tcp(address, false, false)
        .expect("reported later");
    host.seen.open(second);
    let local = host.reactor.local(second).expect_err("not bound");
    assert_eq!(errno::code(&local), errno::EADDRINUSE);
    let listen = host.reactor.listen(second, 511).expect_err("in use");
    assert_eq!(errno::code(&listen), errno::EADDRINUSE);
    let connect = host.reactor.connect_tcp(Some(second), address);
    assert_eq!(
        errno::code(&connect.expect_err("in use")),
        errno::EADDRINUSE
    );
    host.close(second);
}

fn a_path_in_use_is_reported_at_once_and_stays(host: &mut Host) {
    let directory = Directory::new();
    let path = directory.path("taken");
    let _owner = UnixListener::bind(&path).expect("bind");
    let error = host.reactor.bind_path(&path).expect_err("taken");
    assert_eq!(errno::code(&error), errno::EADDRINUSE);
    assert!(fs::exists(&path).expect("a directory of ours"));
}

fn a_missing_directory_is_eacces(host: &mut Host) {
    let directory = Directory::new();
    let error = host.reactor.bind_path(&directory.path("no/such"));
    assert_eq!(
        errno::code(&error.expect_err("no directory")),
        errno::EACCES
    );
}

fn a_path_goes_when_its_listener_closes(host: &mut Host) {
    let directory = Directory::new();
    let path = directory.path("listener");
    let listener = host.listen_path(&path);
    assert!(fs::exists(&path).expect("a directory of ours"));
    host.close(listener);
    assert!(!fs::exists(&path).expect("a directory of ours"));
}

fn a_path_goes_when_its_socket_closes_without_having_listened(host: &mut Host) {
    let directory = Directory::new();
    let path = directory.path("bound");
    let bound = host.reactor.bind_path(&path).expect("bind");
    host.reactor.close(bound, false);
    assert!(!fs::exists(&path).expect("a directory of ours"));
}

fn a_path_goes_when_the_reactor_does(host: &mut Host) {
    let directory = Directory::new();
    let (bound, listening) = (directory.path("bound"), directory.path("listening"));
    let mut other = Host::start(host.reactor.driver());
    other.reactor.bind_path(&bound).expect("bind");
    other.listen_path(&listening);
    drop(other);
    assert!(!fs::exists(&bound).expect("a directory of ours"));
    assert!(!fs::exists(&listening).expect("a directory of ours"));
}

fn a_path_stays_when_only_an_accepted_socket_closes(host: &mut Host) {
    let directory = Directory::new();
    let path = directory.path("shared");
    let listener = host.listen_path(&path);
    for _ in 0..2 {
        let _client = UnixStream::connect(&path).expect("connect");
        let server = host.accepted(listener);
        host.close(server);
    }
    assert!(fs::exists(&path).expect("a directory of ours"));
}

fn many_connections_are_accepted_over_several_pumps(host: &mut Host) {
    const MANY: usize = 200;
    let (listener, address) = host.listen_tcp();
    let clients: Vec<_> = (0..MANY)
        .map(|_| TcpStream::connect(address).expect("the backlog has room"))
        .collect();
    host.until(|host| host.seen.of(listener).accepted.len() == MANY);
    // A flood of connections leaves time for those that are open.
    assert!(host.pumps > 1);
    drop(clients);
}

fn a_full_batch_leaves_the_rest_for_the_next_one(host: &mut Host) {
    host.seen.most_events = STEP_EVENTS + 6;
    let (listener, address) = host.listen_tcp();
    let clients: Vec<_> = (0..50)
        .map(|_| TcpStream::connect(address).expect("the backlog has room"))
        .collect();
    host.until(|host| host.seen.of(listener).accepted.len() == clients.len());
}

// The kernel drops connections that a full backlog has no room for. A peer gets in when it tries again, or when it
// sends something.
fn a_full_backlog_empties_and_everybody_gets_in(host: &mut Host) {
    let listener = host
        .reactor
        .bind_tcp(loopback(), false, false)
        .expect("bind");
    host.seen.open(listener);
    host.reactor.listen(listener, 1).expect("listen");
    let address = host.address(listener);
    let clients: Vec<u32> = (0..6).map(|_| host.start_connect(address)).collect();
    for client in &clients {
        assert_eq!(host.connected(*client), 0);
        host.send(*client, b"me too");
    }
    for _ in &clients {
        let server = host.accepted(listener);
        host.read(server);
        host.until(|host| host.seen.of(server).bytes == b"me too");
    }
}

fn a_full_unix_backlog_is_reported_to_the_connector(host: &mut Host) {
    let directory = Directory::new();
    let path = directory.path("busy");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("socket");
    let address = socket2::SockAddr::unix(&path).expect("a short path");
    listener.bind(&address).expect("bind");
    listener.listen(0).expect("listen");
    let clients: Vec<u32> = (0..4).map(|_| host.start_connect_path(&path)).collect();
    // Linux refuses with EAGAIN, others with ECONNREFUSED. No connect waits for ever.
    let told: Vec<i32> = clients.iter().map(|c| host.connected(*c)).collect();
    assert!(told.contains(&0));
    let full = |code: &i32| [errno::EAGAIN, errno::ECONNREFUSED].contains(code);
    assert!(told.iter().any(full), "{told:?}");
}

fn a_full_descriptor_table_costs_no_connection(host: &mut Host) {
    in_a_process_of_its_own(|| full_table(host));
}

fn full_table(host: &mut Host) {
    let (listener, address) = host.listen_tcp();
    let (quick, slow) = host.tcp_pair();
    host.read(slow);
    // The clients' sockets are made before the limit is set, which therefore does not stop them.
    let clients: Vec<Socket> = (0..20)
        .map(|_| Socket::new(Domain::IPV4, Type::STREAM, None).expect("socket"))
        .collect();
    let highest = clients.iter().map(|c| c.as_raw_fd()).max();
    let before = limit_descriptors(highest.expect("twenty") as u64 + 4);
    for client in &clients {
        client
            .connect(&address.into())
            .expect("the backlog has room");
    }

    host.until(|host| !host.seen.of(listener).accept_failed.is_empty());
    assert_eq!(host.seen.of(listener).accept_failed, [errno::EMFILE]);
    let some = host.seen.of(listener).accepted.len();
    assert!((1..clients.len()).contains(&some), "{some} were accepted");

    // It does not spin: the others are served, and the listener reports nothing more.
    let pumps = host.pumps;
    for round in 1..=100 {
        host.send(quick, b"x");
        host.until(|host| host.seen.of(slow).bytes.len() == round);
    }
    assert!(host.pumps - pumps <= 200, "{} pumps", host.pumps - pumps);
    assert_eq!(host.seen.of(listener).accept_failed.len(), 1);

    // A socket of ours that closes makes room for one.
    let one = host.accepted(listener);
    host.close(one);
    host.until(|host| host.seen.of(listener).accept_failed.len() == 2);
    assert_eq!(host.seen.of(listener).accepted.len(), some);

    // The process has made room elsewhere, and the owner has us try again.
    limit_descriptors(before);
    host.reactor.retry_accept();
    host.until(|host| host.seen.of(listener).accepted.len() == clients.len() - 1);
    assert_eq!(host.seen.of(listener).accept_failed.len(), 2);
}

/// Sets the soft limit, and returns the one before.
fn limit_descriptors(most: u64) -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the structure is alive and writable for the call.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    assert_eq!(got, 0);
    let before = limit.rlim_cur;
    limit.rlim_cur = most;
    // SAFETY: the structure is alive for the call, which only reads it.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    assert_eq!(set, 0);
    before
}

under_both_drivers! {
    an_address_in_use_is_reported_when_the_socket_is_put_to_use,
    a_path_in_use_is_reported_at_once_and_stays,
    a_missing_directory_is_eacces,
    a_path_goes_when_its_listener_closes,
    a_path_goes_when_its_socket_closes_without_having_listened,
    a_path_goes_when_the_reactor_does,
    a_path_stays_when_only_an_accepted_socket_closes,
    many_connections_are_accepted_over_several_pumps,
    a_full_batch_leaves_the_rest_for_the_next_one,
    a_full_backlog_empties_and_everybody_gets_in,
    a_full_unix_backlog_is_reported_to_the_connector,
    a_full_descriptor_table_costs_no_connection,
}
