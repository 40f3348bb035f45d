//! Bytes in one direction, as fast as possible: upload to a sink, download from a source.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::endpoint::Endpoint;
use crate::measure::{Schedule, Window};
use crate::sys::{self, Chunk, Epoll, Interest};
use crate::{CHUNK, UPLOAD_BYTE};

/// Chunks for one connection before the next one has its turn.
const BUDGET: usize = 16;

/// Sends without pause, then ends every connection and waits until the server has read everything.
pub fn upload(connections: usize, endpoint: &Endpoint, schedule: Schedule) -> io::Result<Window> {
    let (mut epoll, streams) = open(connections, endpoint, Interest::WRITE)?;
    // A sender that copies is busier than a sink, so it would measure itself (2026-11: 3.4 GB/s,
    // where the sink used 44 % of its core).
    let chunk = Chunk::of(&[UPLOAD_BYTE; 4 * CHUNK])?;
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
                match chunk.send(&streams[event.key]) {
                    Ok(count) => window.moved(count),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }
    drain(&streams)?;
    Ok(window)
}

/// Sends one byte, then receives for ever.
pub fn download(connections: usize, endpoint: &Endpoint, schedule: Schedule) -> io::Result<Window> {
    let (mut epoll, mut streams) = open(connections, endpoint, Interest::READ)?;
    let mut received = vec![0; 8 * CHUNK];
    let mut window = Window::open(schedule)?;
    for stream in &mut streams {
        stream.write_all(b"!")?;
    }
    while let Some(left) = window.left()? {
        for index in 0..epoll.wait(Some(left))? {
            match sys::discard(&streams[epoll.event(index).key], &mut received) {
                Ok(0) => {
                    return Err(io::Error::new(
                        ErrorKind::UnexpectedEof,
                        "the server ended a connection",
                    ));
                }
                Ok(count) => window.moved(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(window)
}

fn open(
    connections: usize,
    endpoint: &Endpoint,
    interest: Interest,
) -> io::Result<(Epoll, Vec<TcpStream>)> {
    let epoll = Epoll::new()?;
    let mut streams = Vec::with_capacity(connections);
    for key in 0..connections {
        let stream = sys::connect_blocking(endpoint)?;
        epoll.add(&stream, key, interest)?;
        streams.push(stream);
    }
    Ok((epoll, streams))
}

/// The server ends its side after it has read everything, so its own count of bytes is final then.
pub(crate) fn drain(streams: &[TcpStream]) -> io::Result<()> {
    let limit = Instant::now() + Duration::from_secs(5);
    for mut stream in streams {
        stream.shutdown(Shutdown::Write)?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(
            limit
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1)),
        ))?;
        if stream.read(&mut [0; 1])? > 0 {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the sink sent something",
            ));
        }
    }
    Ok(())
}
