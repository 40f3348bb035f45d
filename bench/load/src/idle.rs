//! Connections that do nothing: opened, then held until standard input ends.

use std::io;
use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::sys;

/// Opens them a hundred at a time with pauses, because a server's backlog is commonly 511 and a dropped
/// SYN is only sent again after a second.
pub fn open(connections: usize, endpoint: &Endpoint) -> io::Result<Vec<TcpStream>> {
    sys::raise_descriptor_limit(connections as u64)?;
    let mut streams = Vec::with_capacity(connections);
    for count in 1..=connections {
        streams.push(sys::connect_blocking(endpoint)?);
        if count % 100 == 0 {
            sleep(Duration::from_millis(5));
        }
    }
    Ok(streams)
}
