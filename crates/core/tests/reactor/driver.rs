//! The driver passes from the helper thread to the owner and back. (With the in-loop driver it is always the owner's.)

use std::io::IoSlice;

use crate::common::Host;

const ROUNDS: usize = 300;

fn say(host: &mut Host, client: u32) {
    let sent = host
        .reactor
        .write(client, &[IoSlice::new(b"x")])
        .expect("open");
    assert_eq!(sent.bytes, 1);
}

fn heard(host: &mut Host, server: u32) -> usize {
    host.seen.of(server).bytes.len()
}

fn an_owner_that_has_the_driver_finds_what_is_ready(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    host.read(server);
    host.reactor.take_driver();
    for round in 1..=ROUNDS {
        say(host, client);
        while heard(host, server) < round {
            host.turn();
        }
    }
}

fn what_comes_while_the_driver_changes_hands_is_heard(host: &mut Host) {
    let (client, server) = host.tcp_pair();
    host.read(server);
    for round in 0..ROUNDS {
        host.reactor.take_driver();
        if round % 2 == 0 {
            host.turn();
        }
        say(host, client);
        if round % 3 == 0 {
            host.turn();
        }
        if host.reactor.give_driver_back() {
            host.pump();
        }
        if round % 5 == 0 {
            say(host, client);
        }
        let said = 1 + round + 1 + round / 5;
        // Whoever found it: here a sleeping owner has to be woken up.
        host.until(|host| heard(host, server) == said);
    }
}

fn a_reactor_ends_with_the_driver_in_either_hand(host: &mut Host) {
    for taken in [false, true] {
        let kind = host.reactor.driver();
        let mut other = Host::start(kind);
        let (client, _server) = other.tcp_pair();
        say(&mut other, client);
        if taken {
            other.reactor.take_driver();
        }
        drop(other);
    }
}

under_both_drivers! {
    an_owner_that_has_the_driver_finds_what_is_ready,
    what_comes_while_the_driver_changes_hands_is_heard,
    a_reactor_ends_with_the_driver_in_either_hand,
}
