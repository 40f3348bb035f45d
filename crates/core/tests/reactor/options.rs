//! Options of sockets: each is set through the reactor and read back from the kernel.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use ferronet_core::handover::Released;
use ferronet_core::{errno, options};
use socket2::SockRef;

use crate::common::Host;

/// The number of the error that a setter is expected to fail with.
fn code<T>(result: std::io::Result<T>) -> i32 {
    errno::code(&result.err().expect("an error"))
}

fn socket(host: &Host, slot: u32) -> SockRef<'_> {
    host.reactor.socket(slot).expect("open")
}

/// Keep-alive's switch, delay, interval and count.
fn keepalive(host: &Host, slot: u32) -> (bool, Duration, Duration, u32) {
    let socket = socket(host, slot);
    (
        socket.keepalive().expect("SO_KEEPALIVE"),
        socket.tcp_keepalive_time().expect("the delay"),
        socket.tcp_keepalive_interval().expect("the interval"),
        socket.tcp_keepalive_retries().expect("the count"),
    )
}

fn nodelay_is_set_and_taken_back(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    for slot in [client, server] {
        for nodelay in [true, false, true] {
            options::set_nodelay(socket(host, slot), nodelay).expect("TCP_NODELAY");
            assert_eq!(socket(host, slot).tcp_nodelay().expect("read"), nodelay);
        }
    }
}

fn a_keepalive_without_numbers_leaves_the_systems(host: &mut Host) {
    let (client, _server) = host.tcp_pair();
    let (off, delay, interval, count) = keepalive(host, client);
    assert!(!off);
    options::set_keepalive(socket(host, client), true, 0, 0, 0).expect("SO_KEEPALIVE");
    assert_eq!(keepalive(host, client), (true, delay, interval, count));
}

fn each_number_of_a_keepalive_is_set_alone(host: &mut Host) {
    const SECONDS: Duration = Duration::from_secs(7);
    for changed in 0..3 {
        let (client, _server) = host.tcp_pair();
        let (_, delay, interval, count) = keepalive(host, client);
        let mut numbers = [0; 3];
        numbers[changed] = 7;
        let [by_delay, by_interval, by_count] = numbers;
        options::set_keepalive(socket(host, client), true, by_delay, by_interval, by_count)
            .expect("a number in range");
        let expected = match changed {
            0 => (true, SECONDS, interval, count),
            1 => (true, delay, SECONDS, count),
            _ => (true, delay, interval, 7),
        };
        assert_eq!(keepalive(host, client), expected);
    }
}

fn a_keepalive_that_is_switched_off_keeps_its_numbers(host: &mut Host) {
    let (client, _server) = host.tcp_pair();
    options::set_keepalive(socket(host, client), true, 11, 5, 3).expect("numbers in range");
    options::set_keepalive(socket(host, client), false, 99, 99, 99).expect("SO_KEEPALIVE");
    let (delay, interval) = (Duration::from_secs(11), Duration::from_secs(5));
    assert_eq!(keepalive(host, client), (false, delay, interval, 3));
}

// The kernel's longest delay is 32767 seconds. The switch is on nevertheless, as it is with libuv.
#[cfg(target_os = "linux")]
fn a_delay_beyond_the_kernels_is_refused(host: &mut Host) {
    let (client, _server) = host.tcp_pair();
    let refused = options::set_keepalive(socket(host, client), true, 40_000, 0, 0);
    assert_eq!(code(refused), errno::EINVAL);
    assert!(socket(host, client).keepalive().expect("SO_KEEPALIVE"));
}

fn the_type_of_service_is_set_on_ipv4(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    assert_eq!(tos(host, client), 0);
    options::set_type_of_service(socket(host, client), 0xb8).expect("IP_TOS");
    assert_eq!(socket(host, client).tos_v4().expect("IP_TOS"), 0xb8);
    assert_eq!(tos(host, client), 0xb8);
    assert_eq!(tos(host, server), 0, "the peer has one of its own");
}

fn the_type_of_service_is_the_traffic_class_on_ipv6(host: &mut Host) {
    let (client, server) = ipv6_pair(host);
    assert_eq!(tos(host, client), 0);
    options::set_type_of_service(socket(host, client), 0xb8).expect("IPV6_TCLASS");
    let class = socket(host, client).tclass_v6();
    assert_eq!(class.expect("IPV6_TCLASS"), 0xb8);
    assert_eq!(tos(host, client), 0xb8);
    assert_eq!(tos(host, server), 0, "the peer has one of its own");
}

fn tos(host: &Host, slot: u32) -> u32 {
    options::type_of_service(socket(host, slot)).expect("read")
}

fn ipv6_pair(host: &mut Host) -> (u32, u32) {
    let any_port = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let listener = host.reactor.bind_tcp(any_port, false, false);
    let listener = listener.expect("IPv6 on this machine");
    host.seen.open(listener);
    host.reactor.listen(listener, 1).expect("listen");
    let client = host.start_connect(host.address(listener));
    assert_eq!(host.connected(client), 0);
    let server = host.accepted(listener);
    (client, server)
}

fn a_bound_socket_and_a_listener_take_options_too(host: &mut Host) {
    let bound = host
        .reactor
        .bind_tcp(crate::common::loopback(), false, false)
        .expect("bind");
    let (listener, _) = host.listen_tcp();
    for slot in [bound, listener] {
        options::set_nodelay(socket(host, slot), true).expect("TCP_NODELAY");
        assert!(socket(host, slot).tcp_nodelay().expect("read"));
    }
    host.reactor.close(bound, false);
}

// More than the system's own value takes a privilege.
#[cfg(target_os = "linux")]
fn busy_polling_is_set_in_microseconds(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    let before = options::busy_poll(socket(host, client)).expect("SO_BUSY_POLL");
    let wanted = match options::set_busy_poll(socket(host, client), before + 40) {
        Ok(()) => before + 40,
        Err(error) => {
            assert_eq!(errno::code(&error), errno::by_name("EPERM"));
            options::set_busy_poll(socket(host, client), 0).expect("less is allowed to all");
            0
        }
    };
    let found = options::busy_poll(socket(host, client));
    assert_eq!(found.expect("SO_BUSY_POLL"), wanted);
    let found = options::busy_poll(socket(host, server));
    assert_eq!(
        found.expect("SO_BUSY_POLL"),
        before,
        "the peer has one of its own"
    );
}

// libuv hands the kernel's refusal on; Node does not even ask on a pipe, and neither does our JavaScript.
#[cfg(target_os = "linux")]
fn a_unix_socket_has_no_options_of_tcp(host: &mut Host) {
    let (client, _server) = host.unix_pair();
    let nodelay = options::set_nodelay(socket(host, client), true);
    assert_eq!(code(nodelay), errno::ENOTSUP);
    let delay = options::set_keepalive(socket(host, client), true, 1, 0, 0);
    assert_eq!(code(delay), errno::ENOTSUP);
    let tos = options::set_type_of_service(socket(host, client), 8);
    assert_eq!(code(tos), errno::ENOTSUP);
    let tos = options::type_of_service(socket(host, client));
    assert_eq!(code(tos), errno::ENOTSUP);
    // SO_KEEPALIVE alone is an option of every socket.
    options::set_keepalive(socket(host, client), true, 0, 0, 0).expect("SO_KEEPALIVE");
    assert!(socket(host, client).keepalive().expect("SO_KEEPALIVE"));
}

fn a_fifo_is_not_a_socket(host: &mut Host) {
    let (reader, _writer) = std::io::pipe().expect("pipe");
    let adopted = host
        .reactor
        .adopt(Released::from(std::os::fd::OwnedFd::from(reader)));
    let fifo = adopted.map_err(|(error, _)| error).expect("adopt");
    assert_eq!(code(host.reactor.socket(fifo)), errno::ENOTSOCK);
    assert_eq!(code(host.reactor.local(fifo)), errno::ENOTSOCK);
    assert_eq!(code(host.reactor.peer(fifo)), errno::ENOTSOCK);
    // With RST or without, it closes.
    assert!(!host.reactor.close(fifo, true));
    assert!(host.reactor.is_empty());
}

fn a_closed_slot_has_no_options(host: &mut Host) {
    let (client, _server) = host.tcp_pair();
    host.close(client);
    assert_eq!(code(host.reactor.socket(client)), errno::EBADF);
}

under_both_drivers! {
    nodelay_is_set_and_taken_back,
    a_keepalive_without_numbers_leaves_the_systems,
    each_number_of_a_keepalive_is_set_alone,
    a_keepalive_that_is_switched_off_keeps_its_numbers,
    the_type_of_service_is_set_on_ipv4,
    the_type_of_service_is_the_traffic_class_on_ipv6,
    a_bound_socket_and_a_listener_take_options_too,
    a_fifo_is_not_a_socket,
    a_closed_slot_has_no_options,
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{
        a_delay_beyond_the_kernels_is_refused, a_unix_socket_has_no_options_of_tcp,
        busy_polling_is_set_in_microseconds,
    };

    under_both_drivers! {
        a_delay_beyond_the_kernels_is_refused,
        a_unix_socket_has_no_options_of_tcp,
        busy_polling_is_set_in_microseconds,
    }
}
