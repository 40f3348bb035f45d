//! Descriptors taken in from outside, and sockets given away while data is under way.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use ferronet_core::errno;
use ferronet_core::handover::{self, Released};

use crate::common::{Directory, Host, Random};

fn adopt(host: &mut Host, descriptor: impl Into<OwnedFd>) -> u32 {
    let slot = host.reactor.adopt(Released::from(descriptor.into()));
    let slot = slot.map_err(|(error, _)| error).expect("adopt");
    host.seen.open(slot);
    slot
}

fn release(host: &mut Host, slot: u32) -> Released {
    host.seen.forget(slot);
    host.reactor.release(slot).expect("release")
}

fn an_adopted_connection_reads_and_writes(host: &mut Host) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let mut tcp = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let (tcp_end, _) = listener.accept().expect("accept");
    let (mut unix, unix_end) = UnixStream::pair().expect("pair");
    let ends = [adopt(host, tcp_end), adopt(host, unix_end)];
    let others: [&mut dyn Write; 2] = [&mut tcp, &mut unix];
    for (slot, other) in ends.into_iter().zip(others) {
        host.read(slot);
        other.write_all(b"question").expect("write");
        host.until(|host| host.seen.of(slot).bytes == b"question");
        host.send(slot, b"answer");
        host.close(slot);
    }
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).expect("read");
    unix.read_to_string(&mut answer).expect("read");
    assert_eq!(answer, "answeranswer");
}

fn both_ends_of_a_fifo_carry_more_than_it_holds(host: &mut Host) {
    let (reader, writer) = std::io::pipe().expect("pipe");
    let (reader, writer) = (adopt(host, reader), adopt(host, writer));
    host.read(reader);
    let sent = Random::new(11).bytes(1 << 20);
    host.send(writer, &sent);
    host.reactor.shutdown(writer).expect("nothing to do");
    host.close(writer);
    host.until(|host| host.seen.of(reader).ended);
    assert!(host.seen.of(reader).bytes == sent);
}

fn an_adopted_listener_listens(host: &mut Host) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let address = listener.local_addr().expect("address");
    let slot = adopt(host, listener);
    host.reactor.listen(slot, 511).expect("listen");
    let client = host.start_connect(address);
    assert_eq!(host.connected(client), 0);
    host.accepted(slot);
}

fn what_is_not_a_stream_is_refused_and_given_back(host: &mut Host) {
    let file = fs::File::open("/dev/null").expect("exists");
    let descriptor = file.as_raw_fd();
    let (error, back) = host
        .reactor
        .adopt(Released::from(OwnedFd::from(file)))
        .expect_err("a file");
    assert_eq!(errno::code(&error), errno::EINVAL);
    assert_eq!(back.as_raw_fd(), descriptor);
}

fn a_connection_that_is_given_away_goes_on_elsewhere(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    host.read(server);
    host.send(client, b"before ");
    host.until(|host| host.seen.of(server).bytes == b"before ");
    // What arrives while no reactor has the socket waits in the kernel.
    let ticket = handover::park(release(host, server));
    host.send(client, b"after");
    host.reactor.shutdown(client).expect("shutdown");
    let claimed = handover::claim(ticket).expect("parked");
    let slot = host.reactor.adopt(claimed).map_err(|(error, _)| error);
    let slot = slot.expect("adopt");
    host.seen.open(slot);
    host.read(slot);
    host.until(|host| host.seen.of(slot).ended);
    assert_eq!(host.seen.of(slot).bytes, b"after");
}

fn clients_in_the_backlog_are_accepted_by_the_next_owner(host: &mut Host) {
    let directory = Directory::new();
    let path = directory.path("socket");
    let listener = host.listen_path(&path);
    let released = release(host, listener);
    let mut client = UnixStream::connect(&path).expect("the backlog takes it");
    client.write_all(b"hello").expect("write");
    let slot = host.reactor.adopt(released).map_err(|(error, _)| error);
    let slot = slot.expect("adopt");
    host.seen.open(slot);
    host.reactor.listen(slot, 511).expect("listen");
    let accepted = host.accepted(slot);
    host.read(accepted);
    host.until(|host| host.seen.of(accepted).bytes == b"hello");
    // The path moved along.
    assert!(Path::new(&path).exists());
    host.close(slot);
    assert!(!Path::new(&path).exists());
}

fn a_path_can_be_removed_with_a_socket_that_was_taken_in(host: &mut Host) {
    let directory = Directory::new();
    let path = directory.path("socket");
    let slot = adopt(host, UnixListener::bind(&path).expect("bind"));
    host.reactor.remove_on_close(slot, &path).expect("open");
    host.reactor.listen(slot, 511).expect("listen");
    // It goes along when the socket is given away.
    let released = release(host, slot);
    assert!(Path::new(&path).exists());
    let slot = host.reactor.adopt(released).map_err(|(error, _)| error);
    let slot = slot.expect("adopt");
    assert!(Path::new(&path).exists());
    host.reactor.close(slot, false);
    assert!(!Path::new(&path).exists());

    let late = host.reactor.remove_on_close(slot, &path);
    assert_eq!(errno::code(&late.expect_err("closed")), errno::EBADF);
}

fn a_socket_removes_one_path_the_one_named_last(host: &mut Host) {
    let directory = Directory::new();
    let (first, last) = (directory.path("first"), directory.path("last"));
    let slot = host.listen_path(&first);
    fs::hard_link(&first, &last).expect("two names of one socket");
    host.reactor.remove_on_close(slot, &last).expect("open");
    host.close(slot);
    assert!(Path::new(&first).exists());
    assert!(!Path::new(&last).exists());
}

fn a_connect_under_way_cannot_be_given_away(host: &mut Host) {
    let (_listener, address) = host.listen_tcp();
    let client = host.start_connect(address);
    let error = host.reactor.release(client).expect_err("connecting");
    assert_eq!(errno::code(&error), errno::EALREADY);
    assert_eq!(host.connected(client), 0);
    let closed = release(host, client);
    let error = host.reactor.release(client).expect_err("gone");
    assert_eq!(errno::code(&error), errno::EBADF);
    drop(closed);
}

under_both_drivers! {
    an_adopted_connection_reads_and_writes,
    both_ends_of_a_fifo_carry_more_than_it_holds,
    an_adopted_listener_listens,
    what_is_not_a_stream_is_refused_and_given_back,
    a_connection_that_is_given_away_goes_on_elsewhere,
    clients_in_the_backlog_are_accepted_by_the_next_owner,
    a_path_can_be_removed_with_a_socket_that_was_taken_in,
    a_socket_removes_one_path_the_one_named_last,
    a_connect_under_way_cannot_be_given_away,
}
