//! The verbs of `lib/handle.ts`. Each returns a count, a slot or 0, or libuv's negative error number; none throws,
//! none calls JavaScript, and a panic inside one is an error of the socket it was for.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_void;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

use ferronet_core::endpoint::{self, Endpoint};
use ferronet_core::{DriverKind, Reactor, ReadMode, errno, options};
use napi::bindgen_prelude::{JsObjectValue, Object, Unknown};
use napi::{Env, JsValue, Result, check_status, sys};
use napi_derive::napi;

use crate::batch::{BEGIN, Batch, Memory};
use crate::enter::Callback;
use crate::handover;
use crate::host::{Context, Guest, Host};
use crate::verbs::{Text, Value, verbs};

/// How often completions that post completions are run before the event loop's other guests get their turn.
const ROUNDS: usize = 8;
/// Entries of `log` are (slot, offset, length).
const LOG_WORDS: usize = 3;
/// Words of `state`.
const WAITING: usize = 0;
const RESUMED: usize = 1;

/// In which flush each slot was seen last.
#[derive(Default)]
struct Seen {
    round: u32,
    rounds: Vec<u32>,
}

/// One environment's engine.
struct Engine {
    env: sys::napi_env,
    /// `None` once the environment has begun to end. Never borrowed while JavaScript runs.
    reactor: RefCell<Option<Reactor>>,
    batch: RefCell<Batch>,
    host: Host,
    /// Whether this iteration of the event loop has had its pump.
    pumped: Cell<bool>,
    /// Whether somebody rang when it had.
    rung: Cell<bool>,
    /// Whether something was due when this iteration's poll phase began.
    due: Cell<bool>,
    /// How many calls of `dispatch` there are on the stack: handlers may run the event loop themselves.
    delivering: Cell<u32>,
    log: Cell<Memory>,
    /// How many entries of `log` wait to be sent, and how many sockets go on with what they hold.
    state: Cell<Memory>,
    out: Memory,
    small: Cell<sys::napi_ref>,
    bulk: Cell<sys::napi_ref>,
    blocked: Cell<bool>,
    seen: RefCell<Seen>,
    dispatch: Callback,
    go_on: Callback,
    posted: Callback,
    closed: Callback,
}

/// Starts an engine and returns its verbs. `shared` holds the buffers of the batch protocol and the three entries into
/// JavaScript; `libuv` tells whether the host's event loop is libuv's.
#[napi(
    ts_args_type = "driver: string | undefined, libuv: boolean, shared: object",
    ts_return_type = "unknown"
)]
pub fn open(
    env: Env,
    driver: Option<String>,
    libuv: bool,
    shared: Object<'_>,
) -> Result<Object<'_>> {
    let raw = env.raw();
    // SAFETY: called by JavaScript on the thread of `env`.
    let host = unsafe { Host::new(raw, libuv) };
    let wanted = match driver.as_deref() {
        Some("helper-thread") => DriverKind::HelperThread,
        _ if host.can_watch() => DriverKind::InLoop,
        _ => DriverKind::HelperThread,
    };
    let reactor = Reactor::start(wanted, host.bell())
        .map_err(|error| napi::Error::from_reason(format!("the reactor cannot start: {error}")))?;
    let name = match reactor.driver() {
        DriverKind::InLoop => "in-loop",
        DriverKind::HelperThread => "helper-thread",
    };
    #[cfg(unix)]
    let descriptor = reactor.descriptor();
    #[cfg(not(unix))]
    let descriptor = None;

    let kept = |name: &str| -> Result<Memory> {
        let value = shared.get_named_property::<Unknown<'_>>(name)?;
        let mut reference = ptr::null_mut();
        // SAFETY: the value was just read from an object of `env`. The reference is never deleted: the memory lives
        // as long as the environment.
        check_status!(unsafe { sys::napi_create_reference(raw, value.raw(), 1, &mut reference) })?;
        // SAFETY: referenced above; handle.ts hands this array to nobody who could detach or resize it.
        unsafe { memory(raw, value.raw()) }
    };
    let callback = |name: &str| -> Result<Callback> {
        let value = shared.get_named_property::<Unknown<'_>>(name)?;
        // SAFETY: a value of `env`; handle.ts passes functions.
        unsafe { Callback::new(raw, value.raw()) }
    };
    let engine = Rc::new(Engine {
        env: raw,
        reactor: RefCell::new(Some(reactor)),
        batch: RefCell::new(Batch::new(kept("events")?, kept("scratch")?)),
        host,
        pumped: Cell::new(false),
        rung: Cell::new(false),
        due: Cell::new(false),
        delivering: Cell::new(0),
        log: Cell::new(kept("log")?),
        state: Cell::new(kept("state")?),
        out: kept("out")?,
        small: Cell::new(ptr::null_mut()),
        bulk: Cell::new(ptr::null_mut()),
        blocked: Cell::new(false),
        seen: RefCell::default(),
        dispatch: callback("dispatch")?,
        go_on: callback("goOn")?,
        posted: callback("posted")?,
        closed: callback("closed")?,
    });
    // Freed by `end`, when the loop has let go of us.
    let guest: *mut Box<dyn Guest> = Box::into_raw(Box::new(Box::new(Rc::clone(&engine))));
    // SAFETY: just leaked, and freed only after `detach`.
    let attached: &'static Context = unsafe { &*guest };
    let ending = Ending {
        engine: Rc::clone(&engine),
        guest,
    };
    // SAFETY: on the thread of `env`; the guest stays until `detach`.
    if let Err(error) = unsafe { engine.host.attach(attached, descriptor) } {
        ending.undo(|| {});
        return Err(error);
    }
    let ending = Box::into_raw(Box::new(ending));
    // SAFETY: `ending` stays until `end` takes it back.
    let hooked = check_status!(unsafe {
        sys::napi_add_async_cleanup_hook(raw, Some(end), ending.cast(), ptr::null_mut())
    });
    if let Err(error) = hooked {
        // SAFETY: leaked above, and not hooked: nobody else has it.
        unsafe { Box::from_raw(ending) }.undo(|| {});
        return Err(error);
    }

    let mut verbs = Object::new(&env)?;
    verbs.set_named_property("driver", name)?;
    // The functions find their engine by this pointer, for as long as JavaScript can call them: one engine an
    // environment is never freed.
    let data = Rc::into_raw(engine);
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
                data.cast_mut().cast(),
                &mut function,
            )
        })?;
        // SAFETY: both values are of `env` and were made in this call's handle scope.
        check_status!(unsafe {
            sys::napi_set_named_property(raw, verbs.raw(), name.as_ptr(), function)
        })?;
    }
    Ok(verbs)
}

verbs! { engine:
    // --- open ---------------------------------------------------------------------------------------------------

    fn c"bindTcp"(address: String, port: u32, flags: u32) -> i32 {
        engine.verb(|reactor| {
            let address = endpoint::parse_ip(&address, port as u16)?;
            reactor.bind_tcp(address, flags & 1 != 0, flags & 2 != 0)
        })
    }

    fn c"bindPath"(path: String) -> i32 {
        engine.verb(|reactor| reactor.bind_path(&path))
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
        let mode = match mode {
            0 => ReadMode::Chunks,
            1 => ReadMode::SharedChunks,
            _ => ReadMode::Into,
        };
        engine.verb_then_pump(|reactor| reactor.read_start(slot, mode))
    }

    fn c"readStop"(slot: u32) -> i32 {
        engine.verb(|reactor| reactor.read_stop(slot))
    }

    fn c"readInto"(slot: u32, buffer: Value) -> i32 {
        engine.verb_then_pump(|reactor| {
            // SAFETY: the memory is used within this call, in which JavaScript does not run.
            let mut memory = unsafe { memory(engine.env, buffer.0) }.map_err(io::Error::other)?;
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
        let count = count as usize;
        catch_unwind(AssertUnwindSafe(|| engine.flush(count)))
            .unwrap_or_else(|_panic| engine.flush_failed(count))
    }

    fn c"write"(slot: u32, chunk: Value, offset: i64) -> i32 {
        engine.verb(|reactor| {
            // SAFETY: the memory is used within this call, in which JavaScript does not run.
            let memory = unsafe { memory(engine.env, chunk.0) }.map_err(io::Error::other)?;
            let rest = memory.bytes().get(offset as usize..).unwrap_or_default();
            engine.send(reactor, slot, &[IoSlice::new(rest)])
        })
    }

    fn c"writev"(slot: u32, chunks: Value, offset: i64) -> i32 {
        engine.verb(|reactor| {
            // SAFETY: the memory is used within this call, in which JavaScript does not run.
            let memories = unsafe { memories(engine.env, chunks.0) }.map_err(io::Error::other)?;
            let mut skip = offset as usize;
            let slices: Vec<_> = memories
                .iter()
                .map(|memory| {
                    let rest = memory.bytes().get(skip..).unwrap_or_default();
                    skip = 0;
                    IoSlice::new(rest)
                })
                .collect();
            engine.send(reactor, slot, &slices)
        })
    }

    fn c"blocked"() -> bool {
        engine.blocked.get()
    }

    // --- half-close and close -----------------------------------------------------------------------------------

    fn c"shutdown"(slot: u32) -> i32 {
        engine.verb(|reactor| reactor.shutdown(slot))
    }

    fn c"close"(slot: u32, reset: bool) -> () {
        // handle.ts knows whether a connect was under way.
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

    fn c"sockname"(slot: u32) -> Text {
        engine.endpoint(|reactor| reactor.local(slot))
    }

    fn c"peername"(slot: u32) -> Text {
        engine.endpoint(|reactor| reactor.peer(slot))
    }

    fn c"fd"(slot: u32) -> i32 {
        #[cfg(unix)]
        return engine.verb(|reactor| Ok(std::os::fd::AsRawFd::as_raw_fd(&reactor.descriptor_of(slot)?)));
        #[cfg(not(unix))]
        {
            let _ = slot;
            -1
        }
    }

    // --- the event loop -----------------------------------------------------------------------------------------

    fn c"setRef"(referenced: bool) -> () {
        engine.host.set_ref(referenced);
    }

    fn c"fatal"(error: Value) -> () {
        // SAFETY: called by JavaScript, on the environment's thread, with a value of it.
        unsafe { sys::napi_fatal_exception(engine.env, error.0) };
    }

    fn c"post"() -> () {
        engine.host.post();
    }

    fn c"again"() -> () {
        engine.host.again();
    }

    fn c"closeSoon"() -> () {
        engine.host.close_soon();
    }

    fn c"retryAccept"() -> () {
        engine.verb_then_pump(|reactor| {
            reactor.retry_accept();
            Ok(())
        });
    }

    fn c"setSlabs"(small: Value, bulk: Value) -> () {
        engine.set_slabs(small.0, bulk.0);
    }

    fn c"errno"(name: String) -> i32 {
        errno::by_name(&name)
    }
}

/// What a verb may return on success, as a number.
trait Outcome {
    fn number(self) -> i32;
}

impl Outcome for () {
    fn number(self) -> i32 {
        0
    }
}

impl Outcome for i32 {
    fn number(self) -> i32 {
        self
    }
}

impl Outcome for u32 {
    fn number(self) -> i32 {
        // Slots are fewer than descriptors.
        self as i32
    }
}

impl Engine {
    fn verb<T: Outcome>(&self, run: impl FnOnce(&mut Reactor) -> io::Result<T>) -> i32 {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            match self.reactor.borrow_mut().as_mut() {
                Some(reactor) => run(reactor),
                None => Err(io::Error::from(io::ErrorKind::NotConnected)),
            }
        }));
        match outcome {
            Ok(Ok(outcome)) => outcome.number(),
            Ok(Err(error)) => errno::code(&error),
            Err(_panic) => errno::UNKNOWN,
        }
    }

    /// A verb after which the pump may have work that no descriptor announces.
    fn verb_then_pump<T: Outcome>(&self, run: impl FnOnce(&mut Reactor) -> io::Result<T>) -> i32 {
        self.verb(|reactor| {
            let outcome = run(reactor);
            if reactor.has_work() {
                self.host.again();
            }
            if reactor.has_outcomes() {
                self.host.post();
            }
            outcome
        })
    }

    fn endpoint(&self, find: impl FnOnce(&Reactor) -> io::Result<Endpoint>) -> Text {
        let mut text = String::new();
        let status = self.verb(|reactor| {
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

    fn send(&self, reactor: &mut Reactor, slot: u32, slices: &[IoSlice<'_>]) -> io::Result<i32> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let sent = reactor.write(slot, slices)?;
        self.blocked.set(sent < total);
        // A send(2) takes at most 2 GiB less a page.
        Ok(sent as i32)
    }

    fn flush(&self, count: usize) -> u32 {
        let mut reactor = self.reactor.borrow_mut();
        let Some(reactor) = reactor.as_mut() else {
            return 0;
        };
        let mut log = self.log.get();
        let log = log.words_mut();
        let (entries, results) = log.split_at_mut(count * LOG_WORDS);
        let slice = |entry: &[i32]| {
            let from = entry[1] as usize;
            IoSlice::new(&self.out.bytes()[from..from + entry[2] as usize])
        };
        let mut short = 0;
        let mut send = |slot: i32, slices: &[IoSlice<'_>]| {
            let total: usize = slices.iter().map(|slice| slice.len()).sum();
            // A panic costs the socket that it was for, and not those behind it.
            let written = catch_unwind(AssertUnwindSafe(|| reactor.write(slot as u32, slices)));
            let result = match written {
                Ok(Ok(sent)) if sent == total => return,
                Ok(Ok(sent)) => sent as i32,
                Ok(Err(error)) => errno::code(&error),
                Err(_panic) => errno::UNKNOWN,
            };
            results[short * LOG_WORDS] = slot;
            results[short * LOG_WORDS + 1] = result;
            short += 1;
        };
        // Nearly always each socket is there once: no list of slices has to be made.
        let mut seen = self.seen.borrow_mut();
        let mut once = true;
        seen.round = seen.round.wrapping_add(1);
        for entry in entries.chunks_exact(LOG_WORDS) {
            let (slot, round) = (entry[0] as usize, seen.round);
            if slot >= seen.rounds.len() {
                seen.rounds.resize(slot + 1, round.wrapping_sub(1));
            }
            once &= std::mem::replace(&mut seen.rounds[slot], round) != round;
        }
        if once {
            for entry in entries.chunks_exact(LOG_WORDS) {
                send(entry[0], &[slice(entry)]);
            }
            return short as u32;
        }
        // Sockets that were written in turns: each one's bytes together, in order of first writing.
        let mut places: HashMap<i32, usize> = HashMap::new();
        let mut writes: Vec<(i32, Vec<IoSlice<'_>>)> = Vec::new();
        for entry in entries.chunks_exact(LOG_WORDS) {
            let place = *places.entry(entry[0]).or_insert_with(|| {
                writes.push((entry[0], Vec::new()));
                writes.len() - 1
            });
            writes[place].1.push(slice(entry));
        }
        for (slot, slices) in &writes {
            send(*slot, slices);
        }
        short as u32
    }

    /// What a flush returns that did not get through the log: nobody knows what has been sent of which socket, so each
    /// of them has failed.
    fn flush_failed(&self, count: usize) -> u32 {
        let mut log = self.log.get();
        let log = log.words_mut();
        let (entries, results) = log.split_at_mut(log.len().min(count * LOG_WORDS));
        let mut slots: Vec<i32> = entries
            .chunks_exact(LOG_WORDS)
            .map(|entry| entry[0])
            .collect();
        slots.sort_unstable();
        slots.dedup();
        for (result, slot) in results.chunks_exact_mut(LOG_WORDS).zip(&slots) {
            result[0] = *slot;
            result[1] = errno::UNKNOWN;
        }
        slots.len().min(results.len() / LOG_WORDS) as u32
    }

    /// Takes the slabs that are given; `undefined` leaves one as it is.
    fn set_slabs(&self, small: sys::napi_value, bulk: sys::napi_value) {
        let mut renewed = [false; 2];
        for (index, (place, slab)) in [(&self.small, small), (&self.bulk, bulk)]
            .into_iter()
            .enumerate()
        {
            let mut kind = 0;
            // SAFETY: on the thread of `env`, called by JavaScript with a value of it.
            unsafe { sys::napi_typeof(self.env, slab, &mut kind) };
            if kind != sys::ValueType::napi_object {
                continue;
            }
            let mut reference = ptr::null_mut();
            // SAFETY: as above.
            unsafe { sys::napi_create_reference(self.env, slab, 1, &mut reference) };
            let old = place.replace(reference);
            if !old.is_null() {
                // SAFETY: created here earlier, and deleted once. Chunks that a program still holds keep the memory.
                unsafe { sys::napi_delete_reference(self.env, old) };
            }
            renewed[index] = true;
        }
        self.batch.borrow_mut().renewed(renewed[0], renewed[1]);
    }

    /// A slab as it is now: programs hold views of its buffer, and may have detached it.
    fn slab(&self, place: &Cell<sys::napi_ref>) -> Memory {
        let mut value = ptr::null_mut();
        // SAFETY: the reference is strong and of this environment; a handle scope is open around every turn.
        let status = unsafe { sys::napi_get_reference_value(self.env, place.get(), &mut value) };
        if status != sys::Status::napi_ok {
            return Memory::NONE;
        }
        // SAFETY: used until the next entry into JavaScript, before which nobody can detach it.
        unsafe { memory(self.env, value) }.unwrap_or(Memory::NONE)
    }

    /// Asks the system who is ready, does what they are ready for, and tells JavaScript: once in an iteration of the
    /// event loop, like libuv. What is left waits for the next one, so that everybody else in the process has had
    /// their turn in between, and so that what Node never tells in one iteration is not told in one here.
    fn visit(&self) {
        if self.host.marks_iterations() && self.pumped.replace(true) {
            self.rung.set(true);
            self.host.again();
            return;
        }
        self.host.take_again();
        if let Some(reactor) = self.reactor.borrow_mut().as_mut() {
            if !self.host.marks_iterations() {
                reactor.begin();
            }
            reactor.turn();
        }
        self.deliver(Reactor::pump);
        // libuv goes on with a socket whose read was full as well, when its handler has returned.
        while self.has(Reactor::may_go_on) {
            self.deliver(Reactor::pump_on);
        }
        if self.has_work() {
            self.host.again();
        }
    }

    /// Fills a batch and tells JavaScript.
    fn deliver(&self, fill: impl FnOnce(&mut Reactor, &mut Batch)) {
        if self.delivering.get() > 0 {
            // A handler runs the event loop itself: what its batch still holds comes first.
            self.go_on();
        }
        let (small, bulk) = (self.slab(&self.small), self.slab(&self.bulk));
        let events = {
            let mut reactor = self.reactor.borrow_mut();
            let Some(reactor) = reactor.as_mut() else {
                return;
            };
            let mut batch = self.batch.borrow_mut();
            batch.begin(small, bulk);
            fill(reactor, &mut batch);
            batch.summary()
        };
        if events > 0 || self.state(RESUMED) > 0 {
            self.delivering.set(self.delivering.get() + 1);
            // SAFETY: on the environment's thread, from the event loop, with nothing borrowed.
            unsafe { self.dispatch.enter(self.env, BEGIN | events) };
            self.delivering.set(self.delivering.get() - 1);
        }
    }

    /// Has JavaScript send what waits, and deliver the rest of the batch under way.
    fn go_on(&self) {
        // SAFETY: on the environment's thread, from the event loop, with nothing borrowed.
        unsafe { self.go_on.enter(self.env, 0) };
    }

    /// Runs completions, and those that they post, as often as libuv does in one phase.
    fn run_posted(&self) {
        for _ in 0..ROUNDS {
            if !self.host.take_post() {
                return;
            }
            if self.has(Reactor::has_outcomes) {
                self.deliver(Reactor::tell_outcomes);
            }
            // SAFETY: on the environment's thread, from the event loop, with nothing borrowed.
            unsafe { self.posted.enter(self.env, 0) };
        }
        // Completions that never end must not keep the loop from the rest of its work.
        if self.host.take_post() {
            self.host.post();
        }
    }

    fn has_work(&self) -> bool {
        self.has(Reactor::has_work)
    }

    fn has(&self, what: impl FnOnce(&Reactor) -> bool) -> bool {
        self.reactor.borrow().as_ref().is_some_and(what)
    }

    fn state(&self, word: usize) -> usize {
        self.state.get().words_mut()[word] as usize
    }
}

// The callers are libuv and N-API, through which nothing may unwind; the pump has dealt with panics that belong to one
// socket.
impl Guest for Rc<Engine> {
    fn prepare(&self) -> bool {
        let unfinished = catch_unwind(AssertUnwindSafe(|| {
            self.pumped.set(false);
            let rung = self.rung.take();
            self.due
                .set(rung || self.has_work() || self.state(RESUMED) > 0);
            if self.due.get()
                && let Some(reactor) = self.reactor.borrow_mut().as_mut()
            {
                reactor.begin();
            }
            self.delivering.get() > 0 || self.state(WAITING) > 0
        }));
        unfinished.unwrap_or(false)
    }

    fn go_on(&self) {
        let _ = catch_unwind(AssertUnwindSafe(|| Engine::go_on(self)));
    }

    fn turn(&self) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if !self.host.can_watch() {
                self.run_posted();
            }
            self.visit();
            if self.host.take_close() {
                // SAFETY: on the environment's thread, from the event loop, with nothing borrowed.
                unsafe { self.closed.enter(self.env, 0) };
            }
        }));
    }

    fn again(&self) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if !self.host.take_again() {
                return;
            }
            if self.due.get() {
                self.visit();
            } else {
                // Asked for in this iteration's poll phase: the system will be asked in the next one.
                self.host.again();
            }
        }));
    }

    fn is_due(&self) -> bool {
        self.host.is_due()
    }

    fn posted(&self) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.run_posted()));
    }

    fn closed(&self) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            // SAFETY: on the environment's thread, from the event loop, with nothing borrowed.
            unsafe { self.closed.enter(self.env, 0) };
        }));
    }
}

/// What the environment's end must undo, and an engine that cannot start.
struct Ending {
    engine: Rc<Engine>,
    guest: *mut Box<dyn Guest>,
}

impl Ending {
    /// Closes every socket and leaves the event loop; `then` runs when nothing of ours is there any more.
    fn undo(self, then: impl FnOnce() + 'static) {
        let Self { engine, guest } = self;
        engine.host.unwatch();
        // JavaScript has no say any more: a worker that was terminated in the middle of a tick has its bytes sent still.
        let _ = catch_unwind(AssertUnwindSafe(|| engine.flush(engine.state(WAITING))));
        // Closes the descriptors, and joins the helper thread, so that nobody rings any more.
        let reactor = catch_unwind(AssertUnwindSafe(|| engine.reactor.take()));
        drop(reactor);
        let kept = Rc::clone(&engine);
        let done = Box::new(move || {
            // SAFETY: the loop has let go of the guest; leaked by `open` and freed here only.
            drop(unsafe { Box::from_raw(guest) });
            drop(kept);
            then();
        });
        // SAFETY: on the environment's thread; the helper thread is gone with the reactor.
        unsafe { engine.host.detach(done) };
    }
}

/// The environment waits until this is done.
extern "C" fn end(hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: the box that `open` leaked for this one call.
    let ending = *unsafe { Box::from_raw(data.cast::<Ending>()) };
    ending.undo(move || {
        // SAFETY: the handle that this hook was called with, removed once.
        unsafe { sys::napi_remove_async_cleanup_hook(hook) };
    });
}

/// Where the bytes of an array of typed arrays are now.
///
/// # Safety
/// As [`memory`].
unsafe fn memories(env: sys::napi_env, array: sys::napi_value) -> Result<Vec<Memory>> {
    // What a writev(2) takes at most (IOV_MAX); the caller comes again for the rest.
    const MOST: u32 = 1024;
    let mut count = 0;
    // SAFETY: the caller's promise.
    check_status!(unsafe { sys::napi_get_array_length(env, array, &mut count) })?;
    (0..count.min(MOST))
        .map(|index| {
            let mut chunk = ptr::null_mut();
            // SAFETY: the caller's promise.
            check_status!(unsafe { sys::napi_get_element(env, array, index, &mut chunk) })?;
            // SAFETY: the caller's promise.
            unsafe { memory(env, chunk) }
        })
        .collect()
}

/// Where a typed array's bytes are now; nothing if it has been detached.
///
/// # Safety
/// `value` must be of `env`, on its thread. The result is valid until the array is detached, resized or collected.
unsafe fn memory(env: sys::napi_env, value: sys::napi_value) -> Result<Memory> {
    let mut kind = 0;
    let mut length = 0;
    let mut data = ptr::null_mut();
    // SAFETY: the caller's promise; the outputs not asked for may be null.
    check_status!(unsafe {
        sys::napi_get_typedarray_info(
            env,
            value,
            &mut kind,
            &mut length,
            &mut data,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    })?;
    let width = match kind {
        sys::TypedarrayType::int32_array => 4,
        _ => 1,
    };
    if data.is_null() {
        return Ok(Memory::NONE);
    }
    // SAFETY: N-API just told that so many bytes are there; for how long is the caller's business.
    Ok(unsafe { Memory::new(data.cast(), length * width) })
}
