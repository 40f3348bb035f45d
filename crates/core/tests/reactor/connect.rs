//! From nothing to a connection: both families, and every way in which it can fail.

use std::io::IoSlice;
use std::net::TcpListener;

use ferronet_core::endpoint::Endpoint;
use ferronet_core::errno;

use crate::common::{Directory, Host, loopback};

fn a_tcp_connection_echoes(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    echo(host, client, server);
    let Ok(Endpoint::Ip(peer)) = host.reactor.peer(client) else {
        panic!("an IP endpoint");
    };
    assert_eq!(peer, host.address(server));
}

fn a_unix_connection_echoes(host: &mut Host) {
    let (client, server) = host.unix_pair();
    echo(host, client, server);
}

#[cfg(target_os = "linux")]
fn an_abstract_name_connects(host: &mut Host) {
    let name = format!("\0{}", crate::common::unique());
    let listener = host.listen_path(&name);
    let local = host.reactor.local(listener).expect("a local end");
    assert_eq!(local, Endpoint::Path(name.clone().into_bytes()));
    let client = host.start_connect_path(&name);
    assert_eq!(host.connected(client), 0);
    let server = host.accepted(listener);
    echo(host, client, server);
}

fn echo(host: &mut Host, client: u32, server: u32) {
    host.read(client);
    host.read(server);
    host.send(client, b"there");
    host.until(|host| host.seen.of(server).bytes == b"there");
    host.send(server, b"and back");
    host.until(|host| host.seen.of(client).bytes == b"and back");
}

fn a_socket_that_was_accepted_can_be_written_at_once(host: &mut Host) {
    let (listener, address) = host.listen_tcp();
    let client = host.start_connect(address);
    let server = host.accepted(listener);
    assert_eq!(host.write(server, b"hello"), 5);
    assert_eq!(host.connected(client), 0);
    host.read(client);
    host.until(|host| host.seen.of(client).bytes == b"hello");
}

fn a_refused_tcp_connect_is_reported_later(host: &mut Host) {
    let gone = TcpListener::bind(loopback()).expect("bind");
    let address = gone.local_addr().expect("address");
    drop(gone);
    let client = host.start_connect(address);
    assert_eq!(host.seen.of(client).connected, None);
    assert_eq!(host.connected(client), errno::ECONNREFUSED);
    // It is reported once only.
    assert!(!host.close(client));
}

fn a_missing_path_is_reported_later(host: &mut Host) {
    let directory = Directory::new();
    let client = host.start_connect_path(&directory.path("nobody"));
    assert_eq!(host.seen.of(client).connected, None);
    assert!(host.reactor.has_outcomes());
    assert_eq!(host.connected(client), errno::ENOENT);
}

fn a_path_where_nobody_listens_is_refused(host: &mut Host) {
    let directory = Directory::new();
    let path = directory.path("left behind");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("bind"));
    let client = host.start_connect_path(&path);
    assert_eq!(host.connected(client), errno::ECONNREFUSED);
}

fn a_failed_connect_that_is_closed_first_is_not_reported(host: &mut Host) {
    let directory = Directory::new();
    let client = host.start_connect_path(&directory.path("nobody"));
    assert!(host.close(client), "a connect was under way");
    assert!(!host.reactor.has_work());
    // `pump` complains about events for closed sockets.
    host.pump();
}

fn nothing_can_be_written_while_a_connect_is_under_way(host: &mut Host) {
    let (listener, address) = host.listen_tcp();
    let client = host.start_connect(address);
    let early = host.reactor.write(client, &[IoSlice::new(b"early")]);
    assert_eq!(
        errno::code(&early.expect_err("connecting")),
        errno::ENOTCONN
    );
    assert_eq!(host.connected(client), 0);
    let server = host.accepted(listener);
    host.read(server);
    host.send(client, b"in time");
    host.until(|host| host.seen.of(server).bytes == b"in time");
}

fn a_connect_under_way_ends_with_close(host: &mut Host) {
    let (_listener, address) = host.listen_tcp();
    let client = host.start_connect(address);
    assert!(host.close(client), "a connect was under way");
    let other = host.start_connect(address);
    assert_eq!(host.connected(other), 0);
    assert!(!host.close(other), "nothing was under way any more");
}

fn a_path_that_cannot_be_one_is_refused_at_once(host: &mut Host) {
    let error = host.reactor.connect_path(None, &"x".repeat(200));
    assert_eq!(errno::code(&error.expect_err("too long")), errno::EINVAL);
    assert!(host.reactor.is_empty());
}

fn a_bound_socket_connects_from_where_it_is_bound(host: &mut Host) {
    let (listener, address) = host.listen_tcp();
    let client = host
        .reactor
        .bind_tcp(loopback(), false, false)
        .expect("bind");
    host.seen.open(client);
    let from = host.address(client);
    let same = host.reactor.connect_tcp(Some(client), address);
    assert_eq!(same.expect("connect"), client);
    assert_eq!(host.connected(client), 0);
    let server = host.accepted(listener);
    let peer = host.reactor.peer(server).expect("a peer");
    assert_eq!(peer, Endpoint::Ip(from));
}

fn verbs_on_an_empty_slot_fail_with_ebadf(host: &mut Host) {
    let code = |error: Option<std::io::Error>| errno::code(&error.expect("no such socket"));
    let mode = ferronet_core::ReadMode::Chunks;
    assert_eq!(code(host.reactor.listen(9, 1).err()), errno::EBADF);
    assert_eq!(code(host.reactor.read_start(9, mode).err()), errno::EBADF);
    assert_eq!(code(host.reactor.read_stop(9).err()), errno::EBADF);
    assert_eq!(
        code(host.reactor.read_into(9, &mut [0]).err()),
        errno::EBADF
    );
    assert_eq!(code(host.reactor.write(9, &[]).err()), errno::EBADF);
    assert_eq!(code(host.reactor.shutdown(9).err()), errno::EBADF);
    assert_eq!(code(host.reactor.local(9).err()), errno::EBADF);
    assert!(!host.reactor.close(9, false));
}

fn a_path_may_use_the_last_byte_of_the_address(host: &mut Host) {
    let directory = Directory::new();
    // Linux needs no NUL after it.
    let most = if cfg!(target_os = "linux") { 108 } else { 103 };
    let room = most - directory.path("").len();
    let path = directory.path(&"x".repeat(room));
    let listener = host.listen_path(&path);
    let client = host.start_connect_path(&path);
    assert_eq!(host.connected(client), 0);
    host.accepted(listener);
    let longer = host.reactor.bind_path(&format!("{path}x"));
    assert_eq!(errno::code(&longer.expect_err("no room")), errno::EINVAL);
    host.close(listener);
    assert!(!std::path::Path::new(&path).exists());
}

under_both_drivers! {
    a_path_may_use_the_last_byte_of_the_address,
    a_tcp_connection_echoes,
    a_unix_connection_echoes,
    a_socket_that_was_accepted_can_be_written_at_once,
    a_refused_tcp_connect_is_reported_later,
    a_missing_path_is_reported_later,
    a_path_where_nobody_listens_is_refused,
    a_failed_connect_that_is_closed_first_is_not_reported,
    nothing_can_be_written_while_a_connect_is_under_way,
    a_connect_under_way_ends_with_close,
    a_path_that_cannot_be_one_is_refused_at_once,
    a_bound_socket_connects_from_where_it_is_bound,
    verbs_on_an_empty_slot_fail_with_ebadf,
}

#[cfg(target_os = "linux")]
mod linux {
    use super::an_abstract_name_connects;

    under_both_drivers! { an_abstract_name_connects }
}
