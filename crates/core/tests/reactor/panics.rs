//! A bug in a sink costs one socket, not the process.

use ferronet_core::errno;

use crate::common::Host;

fn a_panic_costs_only_the_socket_it_happened_to(host: &mut Host) {
    let (near, far) = host.tcp_pair();
    let (other_near, other_far) = host.tcp_pair();
    host.read(far);
    host.read(other_far);
    host.seen.panic_at = Some(far);
    host.send(near, b"boom");
    host.send(other_near, b"still here");
    host.until(|host| host.seen.of(far).error.is_some());
    assert_eq!(host.seen.of(far).error, Some(errno::UNKNOWN));
    host.until(|host| host.seen.of(other_far).bytes == b"still here");

    host.seen.panic_at = None;
    host.close(far);
    host.close(near);
    let (near, far) = host.tcp_pair();
    host.read(far);
    host.send(near, b"and new ones work");
    host.until(|host| host.seen.of(far).bytes == b"and new ones work");
}

fn a_listener_that_met_a_panic_accepts_again(host: &mut Host) {
    let (listener, address) = host.listen_tcp();
    host.seen.panic_at = Some(listener);
    let _lost = host.start_connect(address);
    host.until(|host| !host.seen.of(listener).accept_failed.is_empty());
    assert_eq!(host.seen.of(listener).accept_failed, [errno::UNKNOWN]);

    host.seen.panic_at = None;
    let client = host.start_connect(address);
    host.reactor.retry_accept();
    assert_eq!(host.connected(client), 0);
    host.accepted(listener);
}

fn a_connect_that_met_a_panic_has_failed(host: &mut Host) {
    let (_listener, address) = host.listen_tcp();
    let client = host.start_connect(address);
    host.seen.panic_once_at = Some(client);
    assert_eq!(host.connected(client), errno::UNKNOWN);
    assert!(!host.close(client), "the connect is not under way any more");
}

fn a_writer_that_met_a_panic_goes_on(host: &mut Host) {
    let (near, far) = host.tcp_pair();
    let bytes = vec![7; 1 << 20];
    let mut sent = 0;
    while !host.reactor.is_blocked(near) {
        sent += host.write(near, &bytes);
    }
    host.seen.panic_once_at = Some(near);
    host.read(far);
    host.until(|host| host.seen.of(near).writable > 0);
    host.until(|host| host.seen.of(far).bytes.len() == sent);
    host.send(near, b"more");
    host.until(|host| host.seen.of(far).bytes.len() == sent + 4);
}

under_both_drivers! {
    a_panic_costs_only_the_socket_it_happened_to,
    a_listener_that_met_a_panic_accepts_again,
    a_connect_that_met_a_panic_has_failed,
    a_writer_that_met_a_panic_goes_on,
}
