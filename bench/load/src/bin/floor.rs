//! `ferronet-floor`: what one core and one epoll thread can do without JavaScript. The cheapest possible
//! server for every scenario, and the opposite end in the client scenarios.

#[cfg(not(target_os = "linux"))]
fn main() -> Result<(), &'static str> {
    Err("the floor uses epoll and needs Linux")
}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    linux::main()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, ErrorKind, Read, Write};
    use std::net::{SocketAddrV4, TcpListener, TcpStream};
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixListener;

    use clap::{Parser, ValueEnum};
    use ferronet_load::endpoint::{Endpoint, Place};
    use ferronet_load::sys::{self, Epoll, Event, Interest};
    use ferronet_load::{ANSWER_BYTE, CHUNK, FRAME, SMALL_WRITES, UPLOAD_BYTE};
    use serde_json::json;

    /// Serves one kind of traffic until standard input ends. Prints its address when it listens, and
    /// its counters for each line `stats` on standard input.
    #[derive(Parser)]
    #[command(name = "ferronet-floor")]
    struct Arguments {
        mode: Mode,
        #[command(flatten)]
        place: Place,
        /// Listen on this many consecutive loopback addresses, all with the same port, so that a client
        /// that connects very often does not run out of ports of its own
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
        addresses: u8,
    }

    #[derive(Clone, Copy, ValueEnum, PartialEq)]
    enum Mode {
        /// Echoes everything: ping-pong, bulk echo, churn, idle
        Echo,
        /// 64 bytes for each 64 bytes
        Pipeline,
        /// 16 × 64 bytes for each 64 bytes
        SmallWrites,
        /// Reads and discards
        Sink,
        /// Writes endlessly after the first byte
        Source,
        /// Discards uploads, echoes the rest
        Beside,
    }

    const INPUT: usize = usize::MAX;
    /// Listeners have the keys below this one.
    const FIRST: usize = 64;
    /// The most bytes per call that still come from the cache.
    const RECEIVE: usize = 512 * 1024;

    struct Connection {
        stream: TcpStream,
        /// Bytes the kernel has not accepted yet. We do not read meanwhile: that is the backpressure.
        unsent: Vec<u8>,
        /// Bytes of a request that is not complete yet.
        partial: usize,
        /// Which kind it is, from its first byte.
        kind: Option<Kind>,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Ping,
        Upload,
    }

    struct Floor {
        mode: Mode,
        epoll: Epoll,
        connections: Vec<Option<Connection>>,
        free: Vec<usize>,
        received: Vec<u8>,
        answers: Vec<u8>,
        bytes: u64,
    }

    pub(super) fn main() -> io::Result<()> {
        let arguments = Arguments::parse();
        let endpoint = arguments.place.endpoint()?;
        // If the limit cannot be raised, accept() will fail with an error.
        let _ = sys::raise_descriptor_limit(12_000);
        let mut floor = Floor {
            mode: arguments.mode,
            epoll: Epoll::new()?,
            connections: Vec::with_capacity(1024),
            free: Vec::with_capacity(1024),
            received: vec![0; RECEIVE],
            answers: vec![
                ANSWER_BYTE;
                if arguments.mode == Mode::SmallWrites {
                    RECEIVE * SMALL_WRITES
                } else {
                    RECEIVE
                }
            ],
            bytes: 0,
        };

        let mut listeners = Vec::<OwnedFd>::new();
        match &endpoint {
            Endpoint::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                listeners.push(listener.into());
                print(&json!({ "listening": { "path": path } }))?;
            }
            Endpoint::Tcp(first) => {
                let mut address = *first;
                for _ in 0..arguments.addresses {
                    let listener = TcpListener::bind(address)?;
                    listener.set_nonblocking(true)?;
                    address = SocketAddrV4::new(
                        (address.ip().to_bits() + 1).into(),
                        listener.local_addr()?.port(),
                    );
                    listeners.push(listener.into());
                }
                print(&json!({ "listening": { "host": first.ip(), "port": address.port() } }))?;
            }
        }
        for (key, listener) in listeners.iter().enumerate() {
            sys::set_backlog(listener.as_fd(), 4096)?;
            floor.epoll.add(listener, key, Interest::READ)?;
        }
        floor.epoll.add(&io::stdin(), INPUT, Interest::READ)?;

        loop {
            for index in 0..floor.epoll.wait(None)? {
                let event = floor.epoll.event(index);
                match event.key {
                    INPUT => {
                        if floor.command()? {
                            if let Endpoint::Unix(path) = &endpoint {
                                std::fs::remove_file(path)?;
                            }
                            return Ok(());
                        }
                    }
                    key if key < FIRST => floor.accept(&listeners[key])?,
                    key => floor.turn(key - FIRST, event),
                }
            }
        }
    }

    impl Floor {
        /// `true` when standard input has ended.
        fn command(&self) -> io::Result<bool> {
            let mut line = [0; 256];
            if io::stdin().read(&mut line)? == 0 {
                return Ok(true);
            }
            let connections = self.connections.iter().flatten().count();
            print(&json!({ "bytes": self.bytes, "connections": connections }))?;
            Ok(false)
        }

        fn accept(&mut self, listener: &OwnedFd) -> io::Result<()> {
            // Limited, so that thousands of new connections do not keep the others waiting.
            for _ in 0..64 {
                let stream = match sys::accept(listener.as_fd()) {
                    Ok(stream) => stream,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                    Err(error) => return Err(error),
                };
                // A Unix socket has no such option.
                let _ = stream.set_nodelay(true);
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.connections.push(None);
                    self.connections.len() - 1
                });
                let endless = matches!(self.mode, Mode::Sink | Mode::Source);
                let interest = if endless {
                    Interest::READ
                } else {
                    Interest::EDGE
                };
                self.epoll.add(&stream, FIRST + slot, interest)?;
                self.connections[slot] = Some(Connection {
                    stream,
                    unsent: Vec::new(),
                    partial: 0,
                    kind: None,
                });
            }
            Ok(())
        }

        /// A connection's whole life after accept; an error of one connection closes that one only.
        fn turn(&mut self, slot: usize, event: Event) {
            let Some(connection) = &mut self.connections[slot] else {
                return;
            };
            let lives = match self.mode {
                Mode::Sink => connection.swallow(&mut self.received, &mut self.bytes),
                Mode::Source => {
                    connection.pour(&self.epoll, FIRST + slot, event, &self.answers[..CHUNK])
                }
                Mode::Echo => connection.echo(event, &mut self.received),
                Mode::Beside => match connection.sort(&self.epoll, FIRST + slot) {
                    Ok(Kind::Ping) => connection.echo(event, &mut self.received),
                    // Reading as much as one call takes would keep the pings waiting longer.
                    Ok(Kind::Upload) => {
                        connection.swallow(&mut self.received[..CHUNK], &mut self.bytes)
                    }
                    Err(error) => Err(error),
                },
                Mode::Pipeline => connection.answer(1, event, &mut self.received, &self.answers),
                Mode::SmallWrites => {
                    connection.answer(SMALL_WRITES, event, &mut self.received, &self.answers)
                }
            };
            let lives = lives.unwrap_or_else(|error| error.kind() == ErrorKind::WouldBlock);
            if !lives {
                self.connections[slot] = None;
                self.free.push(slot);
            }
        }
    }

    impl Connection {
        /// Looks at the first byte, once. An upload becomes level-triggered, as for a sink.
        fn sort(&mut self, epoll: &Epoll, key: usize) -> io::Result<Kind> {
            if let Some(kind) = self.kind {
                return Ok(kind);
            }
            let mut first = [0];
            let kind = match self.stream.peek(&mut first)? {
                1 if first[0] == UPLOAD_BYTE => Kind::Upload,
                _ => Kind::Ping,
            };
            if kind == Kind::Upload {
                epoll.change(&self.stream, key, Interest::READ)?;
            }
            self.kind = Some(kind);
            Ok(kind)
        }

        /// One receive per event; level-triggered, so the rest is reported again.
        fn swallow(&mut self, received: &mut [u8], bytes: &mut u64) -> io::Result<bool> {
            let count = self.stream.read(received)?;
            *bytes += count as u64;
            Ok(count > 0)
        }

        /// After the first byte we stop watching for reads; from then on only room to write matters.
        fn pour(
            &mut self,
            epoll: &Epoll,
            key: usize,
            event: Event,
            chunk: &[u8],
        ) -> io::Result<bool> {
            if event.hung_up() {
                return Ok(false);
            }
            if event.readable() {
                if self.stream.read(&mut [0; 64])? == 0 {
                    return Ok(false);
                }
                epoll.change(&self.stream, key, Interest::WRITE)?;
            }
            for _ in 0..16 {
                match self.stream.write(chunk) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(true)
        }

        fn echo(&mut self, event: Event, received: &mut [u8]) -> io::Result<bool> {
            while self.flush()? {
                let Some(count) = self.receive(received)? else {
                    return Ok(true);
                };
                if count == 0 {
                    return Ok(false);
                }
                self.send(&received[..count])?;
                // A short read has emptied the socket, and what comes later is a new edge; an end of
                // stream that is already there is not.
                if count < received.len() && !event.hung_up() {
                    return Ok(true);
                }
            }
            Ok(true)
        }

        /// Sends all answers to the requests of one receive with one send.
        fn answer(
            &mut self,
            copies: usize,
            event: Event,
            received: &mut [u8],
            answers: &[u8],
        ) -> io::Result<bool> {
            while self.flush()? {
                let Some(count) = self.receive(received)? else {
                    return Ok(true);
                };
                if count == 0 {
                    return Ok(false);
                }
                let requests = (self.partial + count) / FRAME;
                self.partial = (self.partial + count) % FRAME;
                self.send(&answers[..requests * copies * FRAME])?;
                if count < received.len() && !event.hung_up() {
                    return Ok(true);
                }
            }
            Ok(true)
        }

        fn receive(&mut self, received: &mut [u8]) -> io::Result<Option<usize>> {
            match self.stream.read(received) {
                Ok(count) => Ok(Some(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            }
        }

        fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
            let taken = match self.stream.write(bytes) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            self.unsent.extend_from_slice(&bytes[taken..]);
            Ok(())
        }

        /// `true` when nothing is left to send.
        fn flush(&mut self) -> io::Result<bool> {
            while !self.unsent.is_empty() {
                match self.stream.write(&self.unsent) {
                    Ok(count) => drop(self.unsent.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            Ok(true)
        }
    }

    fn print(line: &serde_json::Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }
}
