//! The engine of one environment, from open to end: when it asks the system who is ready, and how JavaScript hears of
//! it.

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::c_void;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::time::{Duration, Instant};

use ferronet_core::{DriverKind, Reactor, errno};
use napi::bindgen_prelude::{JsObjectValue, Object, Unknown};
use napi::{Env, Error, JsValue, Result, check_status, sys};

use crate::batch::{BEGIN, Batch};
use crate::call::Kept;
use crate::enter::{Callback, Entries};
use crate::event_loop::{EventLoop, Visitor, Wire};
use crate::memory::Memory;
use crate::outbox::Outbox;
use crate::vigil::Vigil;

/// How often completions that post more completions are run before the other users of the event loop get their turn.
const ROUNDS: usize = 8;
/// How often, while the loop does not sleep, the system is asked in one iteration: some microseconds, for which the other
/// users of the event loop wait.
const LOOKS: u32 = 8;
/// Words of `state`: how many entries of the log wait to be sent, and how many sockets go on with what they hold.
const WAITING: usize = 0;
const RESUMED: usize = 1;

/// Never freed, because its verbs, which are functions of JavaScript, point to it.
pub(crate) struct Engine {
    pub(crate) env: sys::napi_env,
    pub(crate) event_loop: EventLoop,
    wire: Wire,
    /// The driver in use, which may not be the one asked for.
    pub(crate) driver: DriverKind,
    /// The reactor between `open` and `start`.
    opened: Cell<Option<Reactor>>,
    /// Why `start` has failed, for whoever tries again.
    failure: OnceCell<String>,
    /// The reactor from `start` until the environment begins to end. Never borrowed while JavaScript runs.
    reactor: RefCell<Option<Reactor>>,
    entries: OnceCell<Entries>,

    batch: RefCell<Batch>,
    slabs: RefCell<[Option<Kept>; 2]>,
    outbox: RefCell<Outbox>,
    state: Memory,
    /// Whether the last write took less than it was offered.
    pub(crate) blocked: Cell<bool>,
    /// Keeps the arrays that `batch`, `outbox` and `state` are in.
    _arrays: Vec<Kept>,

    /// Whether the pump has run in this iteration of the event loop.
    pumped: Cell<bool>,
    /// Whether sockets became ready after it had.
    late: Cell<bool>,
    /// Whether there was work when this iteration's poll phase began.
    due: Cell<bool>,
    /// Whether the loop has been asked to call back for the pump, or for completions.
    again_due: Cell<bool>,
    post_due: Cell<bool>,
    vigil: Vigil,
    /// How many calls of `dispatch` are on the stack: a handler may run the event loop itself.
    delivering: Cell<u32>,
    /// Whether an exception that nobody caught is about to end the program.
    over: Cell<bool>,
}

// --- open and start ---------------------------------------------------------------------------------------------

impl Engine {
    /// Makes the reactor and finds the memory that is shared. The event loop hears of the engine in `start`.
    pub(crate) fn open(
        env: &Env,
        driver: Option<&str>,
        libuv: bool,
        shared: &Object<'_>,
    ) -> Result<&'static Self> {
        let env = env.raw();
        let mut arrays = Vec::new();
        let mut array = |name: &str| -> Result<Memory> {
            let value = shared.get_named_property::<Unknown<'_>>(name)?.raw();
            // SAFETY: a value of `env`, which called us on its thread. An engine that has been made drops nothing.
            arrays.push(unsafe { Kept::new(env, value) }?);
            // SAFETY: kept for as long as the engine; lib/ neither detaches these arrays nor gives them to anybody.
            unsafe { Memory::of(env, value) }
        };
        let (events, scratch) = (array("events")?, array("scratch")?);
        let (log, out, state) = (array("log")?, array("out")?, array("state")?);

        // SAFETY: called by JavaScript on the thread of `env`; `end` detaches what `start` has attached.
        let event_loop = unsafe { EventLoop::of(env, libuv) };
        let wanted = match driver {
            Some("in-loop") if event_loop.is_libuv() => DriverKind::InLoop,
            None if event_loop.is_libuv() => DriverKind::usual(),
            _ => DriverKind::HelperThread,
        };
        let wire = Wire::default();
        let reactor = Reactor::start(wanted, wire.bell())
            .map_err(|error| Error::from_reason(format!("the reactor cannot start: {error}")))?;
        let (in_iterations, driver) = (event_loop.is_libuv(), reactor.driver());
        let engine: &'static Self = Box::leak(Box::new(Self {
            env,
            event_loop,
            wire,
            driver,
            opened: Cell::new(Some(reactor)),
            failure: OnceCell::new(),
            reactor: RefCell::new(None),
            entries: OnceCell::new(),
            batch: RefCell::new(Batch::new(events, scratch)),
            slabs: RefCell::default(),
            outbox: RefCell::new(Outbox::new(log, out)),
            state,
            blocked: Cell::new(false),
            _arrays: arrays,
            pumped: Cell::new(false),
            late: Cell::new(false),
            due: Cell::new(false),
            again_due: Cell::new(false),
            post_due: Cell::new(false),
            vigil: Vigil::new(in_iterations && driver == DriverKind::HelperThread),
            delivering: Cell::new(0),
            over: Cell::new(false),
        }));
        let hooked = engine.hook_end();
        if let Err(error) = hooked {
            drop(engine.opened.take());
            return Err(error);
        }
        Ok(engine)
    }

    /// Begins to tell JavaScript what happens. When this fails, the descriptors are closed, the helper thread is gone
    /// and nothing of ours is in the event loop.
    pub(crate) fn start(&'static self, functions: &Object<'_>) -> Result<()> {
        let Some(reactor) = self.opened.take() else {
            let reason = self.failure.get().map(String::as_str);
            return Err(Error::from_reason(
                reason.unwrap_or("the engine was started before"),
            ));
        };
        self.attach(reactor, functions).inspect_err(|error| {
            let _set_once = self.failure.set(error.reason.to_string());
        })
    }

    fn attach(&'static self, reactor: Reactor, functions: &Object<'_>) -> Result<()> {
        // SAFETY: called by JavaScript on the thread of `env`, and dropped here or never.
        let entries = unsafe { Entries::of(self.env, functions) }?;
        self.event_loop
            .attach(self, reactor.descriptor(), &self.wire)?;
        let _set_once = self.entries.set(entries);
        *self.reactor.borrow_mut() = Some(reactor);
        Ok(())
    }
}

// --- run --------------------------------------------------------------------------------------------------------

/// What the core may return to a verb, as a number.
pub(crate) trait Outcome {
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
        // A slot: there are fewer of them than descriptors.
        self as i32
    }
}

impl Engine {
    /// Runs a verb. A panic in it is an error of the socket that the verb was for.
    pub(crate) fn verb<T: Outcome>(&self, run: impl FnOnce(&mut Reactor) -> io::Result<T>) -> i32 {
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

    /// Runs a verb after which the pump may have work that no descriptor announces.
    pub(crate) fn verb_then_pump<T: Outcome>(
        &self,
        run: impl FnOnce(&mut Reactor) -> io::Result<T>,
    ) -> i32 {
        self.verb(|reactor| {
            let outcome = run(reactor);
            if reactor.has_work() {
                self.again();
            }
            if reactor.has_outcomes() {
                self.post();
            }
            outcome
        })
    }

    /// Sends the first `count` entries of the log, which wait no longer, whatever becomes of this thread.
    pub(crate) fn flush(&self, count: usize) -> u32 {
        let mut state = self.state;
        state.words_mut()[WAITING] = 0;
        let flushed = catch_unwind(AssertUnwindSafe(|| {
            match self.reactor.borrow_mut().as_mut() {
                Some(reactor) => self.outbox.borrow_mut().flush(reactor, count),
                None => 0,
            }
        }));
        flushed.unwrap_or_else(|_panic| self.outbox.borrow_mut().flush_failed(count))
    }

    /// `run` must not call back into JavaScript.
    pub(crate) fn with_outbox<T>(&self, run: impl FnOnce(&mut Outbox) -> T) -> T {
        run(&mut self.outbox.borrow_mut())
    }

    /// New slabs for small reads and for the others; `None` leaves one as it is.
    pub(crate) fn set_slabs(&self, small: Option<Kept>, bulk: Option<Kept>) {
        self.batch
            .borrow_mut()
            .renewed(small.is_some(), bulk.is_some());
        let mut slabs = self.slabs.borrow_mut();
        for (place, new) in slabs.iter_mut().zip([small, bulk]) {
            // Chunks of the old slab that a program still holds keep its memory.
            if new.is_some() {
                *place = new;
            }
        }
    }

    /// Memory for the chunks of large reads, which JavaScript keeps until an event says that there are bytes in it.
    pub(crate) fn lend_pieces(&self, pieces: Vec<Memory>) {
        self.batch.borrow_mut().lend(pieces);
    }

    /// Has the pump run again, at the end of the next poll phase.
    pub(crate) fn again(&self) {
        if !self.again_due.replace(true) {
            self.event_loop.call_back();
        }
    }

    /// Has completions run where libuv runs its own.
    pub(crate) fn post(&self) {
        if !self.post_due.replace(true) {
            self.event_loop.call_back();
        }
    }

    /// Asks the system who is ready, does what they are ready for, and tells JavaScript: once in an iteration of the
    /// event loop, as libuv does. The rest waits for the next iteration, so that everything else in the process has
    /// its turn in between, and so that programs are never told more in one iteration than Node would tell them.
    fn visit(&self) {
        self.visit_after(Reactor::turn);
    }

    /// The same, with another way to ask the system: none, if that has been done.
    fn visit_after(&self, ask: impl FnOnce(&Reactor)) {
        let in_iterations = self.event_loop.is_libuv();
        if in_iterations && self.pumped.replace(true) {
            self.late.set(true);
            self.again();
            return;
        }
        self.again_due.set(false);
        if let Some(reactor) = self.reactor.borrow_mut().as_mut() {
            if !in_iterations {
                reactor.begin();
            }
            ask(reactor);
        }
        self.deliver(Reactor::pump);
        // Like libuv, we read a socket again whose read was full, once its handler has returned.
        while self.has(Reactor::may_go_on) {
            self.deliver(Reactor::pump_on);
        }
        if self.has(Reactor::has_work) {
            self.again();
        }
    }

    /// Fills a batch and tells JavaScript.
    fn deliver(&self, fill: impl FnOnce(&mut Reactor, &mut Batch)) {
        if self.delivering.get() > 0 {
            // A handler is running the event loop. The rest of its batch comes first.
            self.deliver_rest();
        }
        let [small, bulk] = self.slabs();
        let (events, busy) = {
            let mut reactor = self.reactor.borrow_mut();
            let Some(reactor) = reactor.as_mut() else {
                return;
            };
            let mut batch = self.batch.borrow_mut();
            batch.begin(small, bulk);
            fill(reactor, &mut batch);
            let events = batch.summary();
            // JavaScript hears nothing of what relays carry.
            (events, events > 0 || reactor.has_read())
        };
        if busy {
            self.stay_awake();
        }
        if events > 0 || self.state(RESUMED) > 0 {
            self.delivering.set(self.delivering.get() + 1);
            self.enter(|entries| &entries.dispatch, BEGIN | events);
            self.delivering.set(self.delivering.get() - 1);
        }
        if busy && self.vigil.is_on() {
            self.vigil.handled(Instant::now());
        }
    }

    /// How long the loop polls without sleeping after the last event. Only libuv's loop can.
    pub(crate) fn set_busy_poll(&self, busy: Duration) {
        if self.event_loop.is_libuv() {
            self.vigil.set_busy(busy, Instant::now());
        }
    }

    /// While the loop does not sleep: asks the system itself, a few times, whether a socket is ready. The loop's next poll
    /// would tell the same, but a whole iteration of the loop takes longer, and so does asking about a descriptor behind
    /// a descriptor.
    fn finds_any(&self) -> bool {
        !self.pumped.get() && self.has(|reactor| (0..LOOKS).any(|_| reactor.look()))
    }

    /// There are events: maybe the loop does not sleep for a while.
    fn stay_awake(&self) {
        if self.vigil.is_wanted() && self.vigil.event(Instant::now()) {
            if let Some(reactor) = self.reactor.borrow().as_ref() {
                reactor.take_driver();
            }
            self.event_loop.stay_awake();
        }
    }

    /// Has JavaScript send what waits, and deliver the rest of the batch that is under way.
    fn deliver_rest(&self) {
        self.enter(|entries| &entries.go_on, 0);
    }

    /// Runs completions, and those that they post, as often as libuv does in one phase.
    fn run_posted(&self) {
        for _ in 0..ROUNDS {
            if !self.post_due.take() {
                return;
            }
            if self.has(Reactor::has_outcomes) {
                self.deliver(Reactor::tell_outcomes);
            }
            self.enter(|entries| &entries.posted, 0);
        }
        // Completions that never end must not keep the loop from its other work.
        if self.post_due.take() {
            self.post();
        }
    }

    fn enter(&self, entry: impl FnOnce(&Entries) -> &Callback, argument: u32) {
        if let Some(entries) = self.entries.get()
            && !self.over.get()
        {
            // SAFETY: the event loop calls us on the environment's thread, in a handle scope and outside of JavaScript,
            // and no longer once the environment has begun to end.
            let goes_on = unsafe { entry(entries).enter(argument) };
            self.over.set(!goes_on);
        }
    }

    /// Where the slabs are now, until JavaScript next runs.
    fn slabs(&self) -> [Memory; 2] {
        self.slabs.borrow().each_ref().map(|slab| {
            let Some(value) = slab.as_ref().and_then(Kept::value) else {
                return Memory::NONE;
            };
            // SAFETY: on the environment's thread; the batch uses the memory before JavaScript runs next.
            unsafe { Memory::of(self.env, value) }.unwrap_or(Memory::NONE)
        })
    }

    fn state(&self, word: usize) -> usize {
        self.state.words()[word] as usize
    }

    fn has(&self, what: impl FnOnce(&Reactor) -> bool) -> bool {
        self.reactor.borrow().as_ref().is_some_and(what)
    }
}

/// Runs what must not unwind into its caller, which is C. The pump has already dealt with panics that belong to one
/// socket.
fn shielded<T: Default>(run: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_default()
}

impl Visitor for Engine {
    fn prepare(&self) -> bool {
        shielded(|| {
            self.pumped.set(false);
            self.vigil.poll();
            let late = self.late.take();
            self.due
                .set(late || self.has(Reactor::has_work) || self.state(RESUMED) > 0);
            if self.due.get()
                && let Some(reactor) = self.reactor.borrow_mut().as_mut()
            {
                reactor.begin();
            }
            self.delivering.get() > 0 || self.state(WAITING) > 0
        })
    }

    fn go_on(&self) {
        shielded(|| self.deliver_rest());
    }

    fn ready(&self) {
        shielded(|| {
            self.vigil.woken();
            self.visit();
        });
    }

    fn again(&self) {
        shielded(|| {
            // Nothing else announces what is ready while we have the thread's driver.
            if self.vigil.is_on() && self.finds_any() {
                self.visit_after(|_| {});
                return;
            }
            if !self.again_due.take() {
                return;
            }
            if self.due.get() {
                self.visit();
            } else if self.has(Reactor::has_work) || self.state(RESUMED) > 0 {
                // Asked for in the poll phase of this iteration: it counts from the next one on. (What goes on in the
                // same iteration has been done.)
                Engine::again(self);
            }
        });
    }

    fn posted(&self) {
        shielded(|| self.run_posted());
    }

    fn is_due(&self) -> bool {
        self.again_due.get() || self.post_due.get()
    }

    fn is_awake(&self) -> bool {
        self.vigil.is_on()
    }

    fn stays_awake(&self) -> bool {
        shielded(|| {
            if !self.vigil.is_on() || !self.vigil.ends(Instant::now()) {
                return self.vigil.is_on();
            }
            let news = self.has(Reactor::give_driver_back);
            if news {
                self.late.set(true);
                self.again();
            }
            news
        })
    }

    fn closed(&self) {
        shielded(|| self.enter(|entries| &entries.closed, 0));
    }
}

// --- end --------------------------------------------------------------------------------------------------------

impl Engine {
    /// Has the engine end with its environment. libuv lets go of our handles in a later iteration, for which only an
    /// asynchronous hook can wait. Any other loop we leave at once, with an ordinary hook: Deno (2.9) frees an
    /// asynchronous one by itself when it has run, and again when it is removed.
    fn hook_end(&'static self) -> Result<()> {
        let data = ptr::from_ref(self).cast_mut().cast();
        if self.event_loop.is_libuv() {
            // SAFETY: `end` takes the data for what it is; it is never freed.
            check_status!(unsafe {
                sys::napi_add_async_cleanup_hook(self.env, Some(end), data, ptr::null_mut())
            })
        } else {
            // SAFETY: as above, with `end_now`.
            check_status!(unsafe { sys::napi_add_env_cleanup_hook(self.env, Some(end_now), data) })
        }
    }

    /// Closes every socket and leaves the event loop. `done` runs when nothing of ours is in it any more.
    fn end(&self, done: impl FnOnce() + 'static) {
        self.event_loop.unwatch();
        // JavaScript does not run any more: what a worker wrote before it was terminated in the middle of a tick is
        // sent here.
        shielded(|| self.flush(self.state(WAITING)));
        // Closes the descriptors and joins the helper thread.
        shielded(|| drop(self.opened.take()));
        shielded(|| drop(self.reactor.take()));
        // SAFETY: the helper thread was joined with the reactor, so nobody rings any more.
        unsafe { self.event_loop.detach(Box::new(done)) };
    }
}

/// N-API's asynchronous hook: the environment's end waits until the hook is removed.
extern "C" fn end(hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    // SAFETY: `hook_end` gave the hook an engine, which is never freed.
    let engine: &'static Engine = unsafe { &*data.cast_const().cast::<Engine>() };
    engine.end(move || {
        // SAFETY: the handle that this hook was called with, removed once.
        unsafe { sys::napi_remove_async_cleanup_hook(hook) };
    });
}

/// N-API's ordinary hook: everything is over when it returns.
unsafe extern "C" fn end_now(data: *mut c_void) {
    // SAFETY: `hook_end` gave the hook an engine, which is never freed.
    let engine: &'static Engine = unsafe { &*data.cast_const().cast::<Engine>() };
    engine.end(|| {});
}
