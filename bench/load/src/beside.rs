//! Pings beside uploads on one server: how long do small messages wait next to bulk data?
//!
//! One thread serves both kinds, so only its own order decides what waits. Pings go first; one piece of
//! upload follows before the next look at the pings, and that piece is the only delay this end adds.
//! (A second thread would not help: both would share one core, and the kernel takes milliseconds to
//! switch between two busy threads.) While the server is behind, epoll has no pings to report and the
//! uploads get all turns, so they are only held back once this end's core is full.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::exchange::{Buffers, Exchange};
use crate::flood;
use crate::measure::{Schedule, Window};
use crate::sys::{self, Chunk, Epoll, Interest};
use crate::wire::ClientWire;
use crate::{CHUNK, UPLOAD_BYTE};

/// The server tells the two kinds apart by the first byte it receives: an upload's is `UPLOAD_BYTE`, a
/// ping's is 0.
pub fn run(
    pings: &Exchange,
    uploaders: usize,
    endpoint: &Endpoint,
    schedule: Schedule,
) -> io::Result<Window> {
    let mut epoll = Epoll::new()?;
    let mut buffers = Buffers::of(pings);
    let mut pingers = pings.open(endpoint, None, &epoll, &mut buffers)?;
    let mut streams = Vec::with_capacity(uploaders);
    for index in 0..uploaders {
        let stream = sys::connect_blocking(endpoint)?;
        epoll.add(&stream, pingers.len() + index, Interest::EDGE)?;
        streams.push(ClientWire::Plain(stream));
    }
    let chunk = Chunk::of(&[UPLOAD_BYTE; CHUNK])?;
    // Uploads whose sockets have room, in the order of their turns; `queued` makes each appear only once.
    let mut turns = (0..uploaders).collect::<VecDeque<_>>();
    let mut queued = vec![true; uploaders];

    let mut window = Window::open(schedule)?;
    for pinger in &mut pingers {
        pinger.start(pings, &mut buffers)?;
    }
    while let Some(left) = window.left()? {
        let patience = if turns.is_empty() {
            left
        } else {
            Duration::ZERO
        };
        for index in 0..epoll.wait(Some(patience))? {
            let event = epoll.event(index);
            match event.key.checked_sub(pingers.len()) {
                None => pingers[event.key].turn(event, pings, &mut buffers, &mut window)?,
                Some(_) if event.hung_up() => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "the server ended an upload",
                    ));
                }
                Some(upload) if queued[upload] => {}
                Some(upload) => {
                    queued[upload] = true;
                    turns.push_back(upload);
                }
            }
        }
        if let Some(upload) = turns.pop_front() {
            match chunk.send(streams[upload].stream()) {
                Ok(count) => {
                    window.uploaded(count);
                    turns.push_back(upload);
                }
                // Full: the next edge tells us when there is room again.
                Err(error) if error.kind() == ErrorKind::WouldBlock => queued[upload] = false,
                Err(error) => return Err(error),
            }
        }
    }
    flood::drain(&mut streams)?;
    Ok(window)
}
