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
    use std::net::{SocketAddrV4, TcpListener};
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    use clap::{Parser, ValueEnum};
    use ferronet_load::endpoint::{Endpoint, Place};
    use ferronet_load::sys::{self, Epoll, Event, Interest};
    use ferronet_load::tls::{Server, UnbufferedServerConnection};
    use ferronet_load::wire::{Inbox, Left, Outbox, Wire};
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
        /// Speak TLS, with `key.pem` and `cert.pem` in this directory
        #[arg(long, value_name = "DIRECTORY")]
        tls: Option<PathBuf>,
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
        wire: Wire<UnbufferedServerConnection>,
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
        tls: Option<Server>,
        buffers: Buffers,
        answers: Vec<u8>,
        bytes: u64,
    }

    /// What all connections share.
    struct Buffers {
        inbox: Inbox,
        /// For uploads beside other messages.
        small: Inbox,
        outbox: Outbox,
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
            tls: match &arguments.tls {
                Some(directory) => Some(Server::new(directory)?),
                None => None,
            },
            buffers: Buffers {
                inbox: Inbox::new(RECEIVE),
                small: Inbox::new(CHUNK),
                outbox: Outbox::new(),
            },
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
                let wire = match &self.tls {
                    Some(server) => Wire::Tls(Box::new(server.begin(stream)?)),
                    None => Wire::Plain(stream),
                };
                self.connections[slot] = Some(Connection {
                    wire,
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
            let buffers = &mut self.buffers;
            let lives = match self.mode {
                Mode::Sink => connection.swallow(&mut buffers.inbox, &mut self.bytes),
                Mode::Source => connection.pour(
                    &self.epoll,
                    FIRST + slot,
                    event,
                    buffers,
                    &self.answers[..CHUNK],
                ),
                Mode::Echo => connection.echo(event, buffers),
                Mode::Beside => match connection.sort(&self.epoll, FIRST + slot) {
                    Ok(Kind::Ping) => connection.echo(event, buffers),
                    // Reading as much as one call takes would keep the pings waiting longer.
                    Ok(Kind::Upload) => connection.swallow(&mut buffers.small, &mut self.bytes),
                    Err(error) => Err(error),
                },
                Mode::Pipeline => connection.answer(1, event, buffers, &self.answers),
                Mode::SmallWrites => connection.answer(SMALL_WRITES, event, buffers, &self.answers),
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
            let kind = match self.wire.stream().peek(&mut first)? {
                1 if first[0] == UPLOAD_BYTE => Kind::Upload,
                _ => Kind::Ping,
            };
            if kind == Kind::Upload {
                epoll.change(self.wire.stream(), key, Interest::READ)?;
            }
            self.kind = Some(kind);
            Ok(kind)
        }

        /// One receive per event; level-triggered, so the rest is reported again.
        fn swallow(&mut self, inbox: &mut Inbox, bytes: &mut u64) -> io::Result<bool> {
            let received = self.wire.receive(inbox)?;
            *bytes += received.bytes.len() as u64;
            Ok(received.left != Left::End)
        }

        /// After the first byte we stop watching for reads; from then on only room to write matters.
        fn pour(
            &mut self,
            epoll: &Epoll,
            key: usize,
            event: Event,
            buffers: &mut Buffers,
            chunk: &[u8],
        ) -> io::Result<bool> {
            if event.hung_up() {
                return Ok(false);
            }
            if event.readable() {
                let received = self.wire.receive(&mut buffers.inbox)?;
                if received.left == Left::End {
                    return Ok(false);
                }
                if received.bytes.is_empty() {
                    return Ok(true);
                }
                epoll.change(self.wire.stream(), key, Interest::WRITE)?;
            }
            for _ in 0..16 {
                match self.wire.send(chunk, &mut buffers.outbox) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(true)
        }

        fn echo(&mut self, event: Event, buffers: &mut Buffers) -> io::Result<bool> {
            while self.flush(&mut buffers.outbox)? {
                let received = self.wire.receive(&mut buffers.inbox)?;
                let left = received.left;
                Self::send(
                    &mut self.wire,
                    &mut self.unsent,
                    received.bytes,
                    &mut buffers.outbox,
                )?;
                match left {
                    Left::End => return self.leave(),
                    Left::Nothing => return Ok(true),
                    Left::Emptied if !event.hung_up() => return Ok(true),
                    Left::Emptied | Left::More => {}
                }
            }
            Ok(true)
        }

        /// Sends all answers to the requests of one receive with one send.
        fn answer(
            &mut self,
            copies: usize,
            event: Event,
            buffers: &mut Buffers,
            answers: &[u8],
        ) -> io::Result<bool> {
            while self.flush(&mut buffers.outbox)? {
                let received = self.wire.receive(&mut buffers.inbox)?;
                let (count, left) = (received.bytes.len(), received.left);
                let requests = (self.partial + count) / FRAME;
                self.partial = (self.partial + count) % FRAME;
                Self::send(
                    &mut self.wire,
                    &mut self.unsent,
                    &answers[..requests * copies * FRAME],
                    &mut buffers.outbox,
                )?;
                match left {
                    Left::End => return self.leave(),
                    Left::Nothing => return Ok(true),
                    Left::Emptied if !event.hung_up() => return Ok(true),
                    Left::Emptied | Left::More => {}
                }
            }
            Ok(true)
        }

        /// The peer has ended its side, and gets our end.
        fn leave(&mut self) -> io::Result<bool> {
            if let Wire::Tls(_) = self.wire {
                self.wire.end()?;
            }
            Ok(false)
        }

        fn send(
            wire: &mut Wire<UnbufferedServerConnection>,
            unsent: &mut Vec<u8>,
            mut bytes: &[u8],
            outbox: &mut Outbox,
        ) -> io::Result<()> {
            while !bytes.is_empty() {
                match wire.send(bytes, outbox) {
                    Ok(count) => bytes = &bytes[count..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            unsent.extend_from_slice(bytes);
            Ok(())
        }

        /// `true` when nothing is left to send.
        fn flush(&mut self, outbox: &mut Outbox) -> io::Result<bool> {
            while !self.unsent.is_empty() {
                match self.wire.send(&self.unsent, outbox) {
                    Ok(count) => drop(self.unsent.drain(..count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
            self.wire.flush()
        }
    }

    fn print(line: &serde_json::Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }
}
