//! Bytes in one direction, as fast as possible: upload to a sink, download from a source.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::measure::{Schedule, Window};
use crate::sys::{self, Chunk, Epoll, Interest};
use crate::tls::Client;
use crate::wire::{ClientWire, Inbox, Left, Outbox, Wire};
use crate::{CHUNK, UPLOAD_BYTE};

/// Chunks for one connection before the next one has its turn.
const BUDGET: usize = 16;

/// Sends without pause, then ends every connection and waits until the server has read everything.
pub fn upload(
    connections: usize,
    endpoint: &Endpoint,
    tls: Option<&Client>,
    schedule: Schedule,
) -> io::Result<Window> {
    let (mut epoll, mut wires) = open(connections, endpoint, tls, Interest::WRITE)?;
    // A sender that copies is busier than a sink, so it would measure itself (2026-11: 3.4 GB/s,
    // where the sink used 44 % of its core). In TLS it has to write every byte anew.
    let chunk = Chunk::of(&[UPLOAD_BYTE; 4 * CHUNK])?;
    let bytes = [UPLOAD_BYTE; CHUNK];
    let mut outbox = Outbox::new();
    let mut window = Window::open(schedule)?;
    while let Some(left) = window.left()? {
        for index in 0..epoll.wait(Some(left))? {
            let event = epoll.event(index);
            if event.hung_up() {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server ended a connection",
                ));
            }
            for _ in 0..BUDGET {
                let sent = match &mut wires[event.key] {
                    Wire::Plain(stream) => chunk.send(stream),
                    wire => wire.send(&bytes, &mut outbox),
                };
                match sent {
                    Ok(count) => window.moved(count),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }
    drain(&mut wires)?;
    Ok(window)
}

/// Sends one byte, then receives for ever.
pub fn download(
    connections: usize,
    endpoint: &Endpoint,
    tls: Option<&Client>,
    schedule: Schedule,
) -> io::Result<Window> {
    let (mut epoll, mut wires) = open(connections, endpoint, tls, Interest::READ)?;
    let mut room = vec![0; 8 * CHUNK];
    let mut inbox = Inbox::new(8 * CHUNK);
    let mut outbox = Outbox::new();
    let mut window = Window::open(schedule)?;
    for wire in &mut wires {
        wire.send(b"!", &mut outbox)?;
    }
    while let Some(left) = window.left()? {
        for index in 0..epoll.wait(Some(left))? {
            let ended = match &mut wires[epoll.event(index).key] {
                Wire::Plain(stream) => match sys::discard(stream, &mut room) {
                    Ok(count) => {
                        window.moved(count);
                        count == 0
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => false,
                    Err(error) => return Err(error),
                },
                wire => {
                    let received = wire.receive(&mut inbox)?;
                    window.moved(received.bytes.len());
                    received.left == Left::End
                }
            };
            if ended {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server ended a connection",
                ));
            }
        }
    }
    Ok(window)
}

fn open(
    connections: usize,
    endpoint: &Endpoint,
    tls: Option<&Client>,
    interest: Interest,
) -> io::Result<(Epoll, Vec<ClientWire>)> {
    let epoll = Epoll::new()?;
    let mut inbox = Inbox::new(CHUNK);
    let mut wires = Vec::with_capacity(connections);
    for key in 0..connections {
        let wire = ClientWire::open(endpoint, tls, &mut inbox)?;
        epoll.add(wire.stream(), key, interest)?;
        wires.push(wire);
    }
    Ok((epoll, wires))
}

/// The server ends its side after it has read everything, so its own count of bytes is final then.
pub(crate) fn drain(wires: &mut [ClientWire]) -> io::Result<()> {
    let limit = Instant::now() + Duration::from_secs(5);
    let mut inbox = Inbox::new(CHUNK);
    for wire in wires {
        wire.drain(limit, &mut inbox)?;
    }
    Ok(())
}
