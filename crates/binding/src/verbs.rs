//! The verbs: what `lib/` can call, under the same names and in the same order as its `Engine` interface. Each returns
//! a count, a slot or 0, or libuv's negative error number. Only `start` and a wrong argument throw; only `fatal` runs
//! JavaScript; a panic inside a verb is an error of the socket that it was for.

use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::time::Duration;

use ferronet_core::endpoint::{self, Endpoint};
use ferronet_core::options::{self, PipeAccess, PipeOptions};
use ferronet_core::{DriverKind, Reactor, ReadMode, errno};
use napi::bindgen_prelude::Object;
use napi::{Env, JsValue, Result, check_status, sys};

use crate::call::{Kept, Text, Value, verbs};
use crate::engine::Engine;
use crate::handover;
use crate::memory::{self, Bytes, Chunks};
use crate::tls::{self, Arguments, Copied};

// Flags of `bindTcp`: libuv's.
const UV_TCP_IPV6ONLY: u32 = 1;
const UV_TCP_REUSEPORT: u32 = 2;

// Flags of `bindPipe`.
const PIPE_JOINS: u32 = 1;
const PIPE_LOCAL: u32 = 2;
// And of `access`: this end can read, and write.
const PIPE_READS: u32 = 4;
const PIPE_WRITES: u32 = 8;

// Modes of `readStart`.
const READ_CHUNKS: u32 = 0;
const READ_SHARED: u32 = 1;
const READ_INTO: u32 = 2;

/// The engine as JavaScript sees it: an object of its verbs, and the name of its driver.
pub(crate) fn object(env: &Env, engine: &'static Engine) -> Result<Object<'static>> {
    let mut object = Object::new(env)?;
    let driver = match engine.driver {
        DriverKind::InLoop => "in-loop",
        DriverKind::HelperThread => "helper-thread",
    };
    object.set("driver", driver)?;
    let raw = env.raw();
    for (name, verb) in VERBS {
        let mut function = ptr::null_mut();
        // SAFETY: the name is NUL-terminated, hence the automatic length; `data` is what the verbs expect.
        check_status!(unsafe {
            sys::napi_create_function(
                raw,
                name.as_ptr(),
                // NAPI_AUTO_LENGTH
                -1,
                Some(*verb),
                ptr::from_ref(engine).cast_mut().cast(),
                &mut function,
            )
        })?;
        // SAFETY: both values belong to `env` and were made in the handle scope of this call.
        check_status!(unsafe {
            sys::napi_set_named_property(raw, object.raw(), name.as_ptr(), function)
        })?;
    }
    Ok(object)
}

verbs! { engine:
    // --- start --------------------------------------------------------------------------------------------------

    fn c"start"(functions: Value) -> Result<()> {
        engine.start(&Object::from_raw(engine.env, functions.0))
    }

    // --- open ---------------------------------------------------------------------------------------------------

    fn c"bindTcp"(address: String, port: u32, flags: u32) -> i32 {
        engine.verb(|reactor| {
            let address = endpoint::parse_ip(&address, port as u16)?;
            let has = |flag| flags & flag != 0;
            reactor.bind_tcp(address, has(UV_TCP_IPV6ONLY), has(UV_TCP_REUSEPORT))
        })
    }

    fn c"bindPath"(path: String) -> i32 {
        engine.verb(|reactor| reactor.bind_path(&path))
    }

    fn c"bindPipe"(path: String, flags: u32, security: String) -> i32 {
        engine.verb(|reactor| {
            let has = |flag| flags & flag != 0;
            let options = PipeOptions {
                first_instance: !has(PIPE_JOINS),
                reject_remote_clients: has(PIPE_LOCAL),
                access: match (has(PIPE_READS), has(PIPE_WRITES)) {
                    (true, false) => PipeAccess::Inbound,
                    (false, true) => PipeAccess::Outbound,
                    _ => PipeAccess::Duplex,
                },
                security_descriptor: (!security.is_empty()).then_some(security.clone()),
            };
            reactor.bind_pipe(&path, &options)
        })
    }

    fn c"openToAll"(slot: u32, readable: bool, writable: bool) -> i32 {
        engine.verb(|reactor| reactor.open_to_all(slot, readable, writable))
    }

    fn c"access"(slot: u32) -> i32 {
        engine.verb(|reactor| {
            Ok(match reactor.access(slot)? {
                PipeAccess::Duplex => PIPE_READS | PIPE_WRITES,
                PipeAccess::Inbound => PIPE_READS,
                PipeAccess::Outbound => PIPE_WRITES,
            })
        })
    }

    fn c"listen"(slot: i32, backlog: i32) -> i32 {
        engine.verb_then_pump(|reactor| reactor.listen(slot as u32, backlog))
    }

    fn c"connectTcp"(slot: i32, address: String, port: u32) -> i32 {
        engine.verb_then_pump(|reactor| {
            let address = endpoint::parse_ip(&address, port as u16)?;
            reactor.connect_tcp(u32::try_from(slot).ok(), address)
        })
    }

    fn c"connectPath"(slot: i32, path: String) -> i32 {
        engine.verb_then_pump(|reactor| reactor.connect_path(u32::try_from(slot).ok(), &path))
    }

    // --- hand over ----------------------------------------------------------------------------------------------

    fn c"kind"(descriptor: i32) -> Text {
        Ok(handover::kind(descriptor).to_owned())
    }

    fn c"adopt"(descriptor: i32, copy: bool) -> i32 {
        engine.verb_then_pump(|reactor| handover::adopt(reactor, descriptor, copy))
    }

    fn c"release"(slot: u32) -> i32 {
        engine.verb(|reactor| handover::release(reactor, slot))
    }

    fn c"copy"(slot: u32) -> i32 {
        engine.verb(|reactor| handover::copy(reactor, slot))
    }

    fn c"closeCopy"(descriptor: i32) -> () {
        handover::close(descriptor);
    }

    fn c"park"(slot: u32) -> i64 {
        let mut ticket = 0;
        let status = engine.verb(|reactor| {
            ticket = handover::park(reactor, slot)?;
            Ok(())
        });
        if status < 0 { i64::from(status) } else { ticket }
    }

    fn c"claim"(ticket: i64) -> i32 {
        engine.verb_then_pump(|reactor| handover::claim(reactor, ticket))
    }

    // --- read ---------------------------------------------------------------------------------------------------

    fn c"readStart"(slot: u32, mode: u32) -> i32 {
        engine.verb_then_pump(|reactor| {
            let mode = match mode {
                READ_CHUNKS => ReadMode::Chunks,
                READ_SHARED => ReadMode::SharedChunks,
                READ_INTO => ReadMode::Into,
                _ => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
            };
            reactor.read_start(slot, mode)
        })
    }

    fn c"readStop"(slot: u32) -> i32 {
        engine.verb(|reactor| reactor.read_stop(slot))
    }

    fn c"readInto"(slot: u32, buffer: Bytes) -> i32 {
        engine.verb_then_pump(|reactor| {
            let mut memory = buffer?;
            if memory.len() == 0 {
                return Err(io::Error::from(io::ErrorKind::InvalidInput));
            }
            match reactor.read_into(slot, memory.bytes_mut())? {
                0 => Ok(errno::EOF),
                length => Ok(length as i32),
            }
        })
    }

    // --- write --------------------------------------------------------------------------------------------------

    fn c"flush"(count: u32) -> u32 {
        engine.flush(count as usize)
    }

    fn c"write"(slot: u32, chunk: Bytes, offset: i64) -> i32 {
        engine.verb_then_pump(|reactor| {
            let memory = chunk?;
            let rest = memory.bytes().get(offset as usize..).unwrap_or_default();
            send(engine, reactor, slot, &[IoSlice::new(rest)])
        })
    }

    fn c"writeBehind"(
        slot: u32,
        from: u32,
        lead: u32,
        chunk: Bytes,
        offset: i64,
        tail: u32,
        at: u32
    ) -> i32 {
        engine.verb_then_pump(|reactor| {
            let memory = chunk?;
            engine.blocked.set(false);
            let chunk = memory.bytes().get(offset as usize..).unwrap_or_default();
            let (from, lead, at) = (from as usize, lead as usize, at as usize);
            engine.with_outbox(|outbox| {
                outbox.send_behind(from..from + lead, chunk, tail as usize, at, |slices| {
                    send(engine, reactor, slot, slices)
                })
            })
        })
    }

    fn c"sendFile"(slot: u32, file: i32, offset: i64, count: u32) -> i32 {
        engine.verb(|reactor| {
            let sent = reactor.send_file(slot, file, offset as u64, count as usize)?;
            engine.blocked.set(!sent.all);
            Ok(sent.bytes as i32)
        })
    }

    fn c"writev"(slot: u32, chunks: Chunks, offset: i64) -> i32 {
        engine.verb_then_pump(|reactor| {
            let memories = chunks?;
            let mut skip = offset as usize;
            let slices: Vec<_> = memories
                .iter()
                .map(|memory| {
                    let rest = memory.bytes().get(skip..).unwrap_or_default();
                    skip = 0;
                    IoSlice::new(rest)
                })
                .collect();
            send(engine, reactor, slot, &slices)
        })
    }

    fn c"blocked"() -> bool {
        engine.blocked.get()
    }

    // --- relay --------------------------------------------------------------------------------------------------

    fn c"relayStart"(from: u32, to: u32) -> i32 {
        engine.verb_then_pump(|reactor| reactor.relay_start(from, to))
    }

    fn c"relayStop"(from: u32, to: u32) -> Copied {
        copied(engine, |reactor| {
            let unsent = reactor.relay_stop(from, to)?;
            Ok((!unsent.is_empty()).then_some(unsent))
        })
    }

    fn c"relayCount"(from: u32) -> i64 {
        let mut count = 0;
        engine.verb(|reactor| {
            count = reactor.relay_count(from)? as i64;
            Ok(())
        });
        count
    }

    fn c"relayIdle"(from: u32, sent: bool) -> u32 {
        let mut idle = 0;
        engine.verb(|reactor| {
            // 49 days are as good as for ever.
            idle = u32::try_from(reactor.relay_idle(from, sent)?.as_millis()).unwrap_or(u32::MAX);
            Ok(())
        });
        idle
    }

    // --- TLS ----------------------------------------------------------------------------------------------------

    fn c"tlsCapture"() -> Text {
        Ok(tls::capture())
    }

    fn c"tlsCaptured"() -> tls::Captured {
        tls::captured()
    }

    fn c"tlsStart"(
        slot: u32,
        context: Value,
        flags: u32,
        servername: String,
        protocols: Bytes,
        session: Bytes,
        unread: Bytes,
        shown: Value
    ) -> i32 {
        let arguments =
            Arguments { context, flags, servername, protocols, session, unread, shown };
        engine.verb_then_pump(|reactor| {
            // SAFETY: in a call from JavaScript; lib/ passes on what `tlsCaptured` has returned.
            unsafe { tls::start(engine.env, reactor, slot, arguments) }
        })
    }

    fn c"tlsOpen"(slot: u32) -> i32 {
        engine.verb_then_pump(|reactor| reactor.tls_open(slot))
    }

    fn c"tlsPart"(slot: u32) -> i32 {
        engine.verb_then_pump(|reactor| reactor.tls_part(slot))
    }

    fn c"tlsShow"(slot: u32, context: Value) -> i32 {
        engine.verb(|reactor| {
            // SAFETY: in a call from JavaScript; lib/ passes on what `tlsCaptured` has returned.
            unsafe { tls::show(engine.env, reactor, slot, &context) }
        })
    }

    fn c"tlsAnswer"(slot: u32, question: u32, context: Value, first: Bytes, second: Bytes) -> i32 {
        engine.verb_then_pump(|reactor| {
            // SAFETY: in a call from JavaScript; lib/ passes on what `tlsCaptured` has returned, or undefined.
            unsafe { tls::answer(engine.env, reactor, slot, question, &context, [first, second]) }
        })
    }

    fn c"tlsInfo"(slot: u32, fact: u32) -> Copied {
        copied(engine, |reactor| tls::info(reactor, slot, fact))
    }

    fn c"tlsNews"(slot: u32) -> Copied {
        copied(engine, |reactor| tls::news(reactor, slot))
    }

    fn c"tlsKeylog"(slot: u32) -> i32 {
        engine.verb(|reactor| reactor.tls_keylog(slot))
    }

    fn c"tlsRenegotiate"(slot: u32, flags: u32, verifies: bool) -> Copied {
        copied(engine, |reactor| tls::renegotiate(reactor, slot, flags, verifies))
    }

    fn c"tlsExport"(slot: u32, length: u32, label: Bytes, context: Bytes, has_context: bool) -> Copied {
        copied(engine, |reactor| {
            let (label, context) = (label?, context?);
            let context = has_context.then_some(context.bytes());
            reactor.tls_export(slot, length as usize, label.bytes(), context)
        })
    }

    fn c"tlsFragment"(slot: u32, size: u32) -> i32 {
        engine.verb(|reactor| reactor.tls_max_send_fragment(slot, size as usize))
    }

    // --- half-close and close -----------------------------------------------------------------------------------

    fn c"shutdown"(slot: u32) -> i32 {
        engine.verb_then_pump(|reactor| reactor.shutdown(slot))
    }

    fn c"close"(slot: u32, reset: bool) -> () {
        engine.verb_then_pump(|reactor| {
            reactor.close(slot, reset);
            Ok(())
        });
    }

    fn c"removeOnClose"(slot: u32, path: String) -> i32 {
        engine.verb(|reactor| reactor.remove_on_close(slot, &path))
    }

    // --- options and facts --------------------------------------------------------------------------------------

    fn c"setNoDelay"(slot: u32, enable: bool) -> i32 {
        engine.verb(|reactor| options::set_nodelay(reactor.socket(slot)?, enable))
    }

    fn c"setKeepAlive"(slot: u32, enable: bool, delay: u32, interval: u32, count: u32) -> i32 {
        engine.verb(|reactor| {
            options::set_keepalive(reactor.socket(slot)?, enable, delay, interval, count)
        })
    }

    fn c"setTypeOfService"(slot: u32, tos: u32) -> i32 {
        engine.verb(|reactor| options::set_type_of_service(reactor.socket(slot)?, tos))
    }

    fn c"typeOfService"(slot: u32) -> i32 {
        engine.verb(|reactor| options::type_of_service(reactor.socket(slot)?))
    }

    fn c"setSocketBusyPoll"(slot: u32, microseconds: u32) -> i32 {
        engine.verb(|reactor| options::set_busy_poll(reactor.socket(slot)?, microseconds))
    }

    fn c"socketBusyPoll"(slot: u32) -> i32 {
        engine.verb(|reactor| options::busy_poll(reactor.socket(slot)?))
    }

    fn c"segmentSize"(slot: u32) -> i32 {
        engine.verb(|reactor| Ok(options::segment_size(reactor.socket(slot)?) as i32))
    }

    fn c"sockname"(slot: u32) -> Text {
        name(engine, |reactor| reactor.local(slot))
    }

    fn c"peername"(slot: u32) -> Text {
        name(engine, |reactor| reactor.peer(slot))
    }

    fn c"fd"(slot: u32) -> i32 {
        engine.verb(|reactor| handover::number(reactor, slot))
    }

    // --- the event loop -----------------------------------------------------------------------------------------

    fn c"setRef"(referenced: bool) -> () {
        engine.event_loop.set_ref(referenced);
    }

    fn c"fatal"(error: Value) -> () {
        // SAFETY: called by JavaScript, on the environment's thread and with a value of it.
        unsafe { sys::napi_fatal_exception(engine.env, error.0) };
    }

    fn c"post"() -> () {
        engine.post();
    }

    fn c"again"() -> () {
        engine.again();
    }

    fn c"setBusyPoll"(microseconds: u32) -> () {
        engine.set_busy_poll(Duration::from_micros(microseconds.into()));
    }

    fn c"closeSoon"() -> () {
        engine.event_loop.close_soon();
    }

    fn c"retryAccept"() -> () {
        engine.verb_then_pump(|reactor| {
            reactor.retry_accept();
            Ok(())
        });
    }

    fn c"setSlabs"(small: Option<Kept>, bulk: Option<Kept>) -> () {
        engine.set_slabs(small, bulk);
    }

    fn c"lendPieces"(pieces: Chunks) -> () {
        engine.lend_pieces(pieces.unwrap_or_default());
    }

    fn c"keepFreedMemory"() -> () {
        memory::keep_freed();
    }

    fn c"errno"(name: String) -> i32 {
        errno::by_name(&name)
    }
}

fn send(
    engine: &Engine,
    reactor: &mut Reactor,
    slot: u32,
    slices: &[IoSlice<'_>],
) -> io::Result<i32> {
    let sent = reactor.write(slot, slices)?;
    engine.blocked.set(!sent.all);
    // A send(2) takes at most 2 GiB less a page, and with TLS it is a megabyte or so.
    Ok(sent.bytes as i32)
}

/// Bytes, or undefined if there are none or the slot has no session.
fn copied(engine: &Engine, find: impl FnOnce(&mut Reactor) -> io::Result<Copied>) -> Copied {
    let mut found = None;
    engine.verb(|reactor| {
        found = find(reactor)?;
        Ok(())
    });
    found
}

/// An endpoint in words: "4 address port", "6 address port" or "p path".
fn name(engine: &Engine, find: impl FnOnce(&Reactor) -> io::Result<Endpoint>) -> Text {
    let mut text = String::new();
    let status = engine.verb(|reactor| {
        text = match find(reactor)? {
            Endpoint::Ip(ip) => {
                let family = if ip.is_ipv4() { 4 } else { 6 };
                format!("{family} {} {}", ip.ip(), ip.port())
            }
            Endpoint::Path(path) => format!("p {}", String::from_utf8_lossy(&path)),
        };
        Ok(())
    });
    if status < 0 { Err(status) } else { Ok(text) }
}
