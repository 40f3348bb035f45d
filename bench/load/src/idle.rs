//! Connections that do nothing: opened, then held until standard input ends.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use crate::CHUNK;
use crate::endpoint::Endpoint;
use crate::tls::Client;
use crate::wire::{ClientWire, Inbox};

/// Opens them a hundred at a time with pauses, because a server's backlog is commonly 511 and a dropped
/// SYN is only sent again after a second.
pub fn open(
    connections: usize,
    endpoint: &Endpoint,
    tls: Option<&Client>,
) -> io::Result<Vec<ClientWire>> {
    let mut inbox = Inbox::new(CHUNK);
    let mut wires = Vec::with_capacity(connections);
    for count in 1..=connections {
        wires.push(ClientWire::open(endpoint, tls, &mut inbox)?);
        if count % 100 == 0 {
            sleep(Duration::from_millis(5));
        }
    }
    Ok(wires)
}
