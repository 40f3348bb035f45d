//! The event loop around us: when the pump runs, what keeps the process alive, and the two later phases (pending,
//! closing) in which some of Node's callbacks belong. An iteration of the loop is, in this order: timers, idle (ours
//! only keeps the poll from waiting, and runs what is posted), prepare, poll (the pump), check (the pump, if it has
//! more to do than the system tells of; then `setImmediate`), closing.
//!
//! With libuv the loop's own handles do that. Its functions are looked up in the running process: a host that has
//! none of them must still be able to load the addon. The helper thread's bell is a uv_async; without libuv a
//! thread-safe function brings us back to the JavaScript thread.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use ferronet_core::Bell;
use napi::sys;

#[cfg(unix)]
use uv::Uv;

/// What the host calls: always on the JavaScript thread, outside JavaScript, in a handle scope.
pub(crate) trait Guest {
    /// An iteration of the loop is about to poll; whether [`Guest::go_on`] shall be called before it does. Not in a
    /// handle scope.
    fn prepare(&self) -> bool;
    /// The loop may be about to wait while something of ours is unfinished: a handler runs the loop itself.
    fn go_on(&self);
    /// Sockets may be ready.
    fn turn(&self);
    /// What [`Host::again`] asked for: the pump has more to do than it did.
    fn again(&self);
    /// What [`Host::post`] asked for.
    fn posted(&self);
    /// Whether [`Host::again`] or [`Host::post`] has been asked for and not been answered.
    fn is_due(&self) -> bool;
    /// What [`Host::close_soon`] asked for.
    fn closed(&self);
}

pub(crate) type Context = Box<dyn Guest>;

pub(crate) struct Host {
    env: sys::napi_env,
    #[cfg(unix)]
    uv: Option<Uv>,
    bell: Arc<Wires>,
    again_due: Cell<bool>,
    post_due: Cell<bool>,
    close_due: Cell<bool>,
    referenced: Cell<bool>,
}

impl Host {
    /// # Safety
    /// `env` must be alive and its thread the present one.
    pub(crate) unsafe fn new(env: sys::napi_env, with_libuv: bool) -> Self {
        #[cfg(not(unix))]
        let _ = with_libuv;
        Self {
            env,
            #[cfg(unix)]
            // SAFETY: the caller's promise.
            uv: with_libuv.then(|| unsafe { Uv::find(env) }).flatten(),
            bell: Arc::default(),
            again_due: Cell::new(false),
            post_due: Cell::new(false),
            close_due: Cell::new(false),
            referenced: Cell::new(false),
        }
    }

    /// Whether the loop can watch a descriptor for us, as the in-loop driver needs.
    pub(crate) fn can_watch(&self) -> bool {
        #[cfg(unix)]
        return self.uv.is_some();
        #[cfg(not(unix))]
        return false;
    }

    /// What the helper thread rings, from [`Host::attach`] on: before that there is nothing to ring for.
    pub(crate) fn bell(&self) -> Bell {
        let bell = Arc::clone(&self.bell);
        Box::new(move || bell.ring())
    }

    /// Starts to call `guest`: when `descriptor` is readable, or else when the bell rings.
    ///
    /// # Safety
    /// On the thread of `env`. `guest` must stay where it is until the environment has ended.
    pub(crate) unsafe fn attach(
        &self,
        guest: &'static Context,
        descriptor: Option<c_int>,
    ) -> napi::Result<()> {
        #[cfg(unix)]
        if let Some(uv) = &self.uv {
            // SAFETY: the caller's promise.
            unsafe { uv.attach(guest, descriptor) }?;
            if let Some(alarm) = uv.alarm() {
                let _set_once = self.bell.alarm.set(alarm);
            }
            return Ok(());
        }
        let _ = descriptor;
        // SAFETY: the caller's promise.
        let function = unsafe { threadsafe_function(self.env, guest) }?;
        self.bell.function.store(function, Ordering::Release);
        Ok(())
    }

    /// Whether the loop stays alive for us.
    pub(crate) fn set_ref(&self, referenced: bool) {
        if self.referenced.replace(referenced) == referenced {
            return;
        }
        let function = self.bell.function.load(Ordering::Acquire);
        if function.is_null() {
            #[cfg(unix)]
            if let Some(uv) = &self.uv {
                uv.set_ref(referenced);
            }
        } else if referenced {
            // SAFETY: on the JavaScript thread, as every caller of `Host` is; the function is not released yet.
            unsafe { sys::napi_ref_threadsafe_function(self.env, function) };
        } else {
            // SAFETY: as above.
            unsafe { sys::napi_unref_threadsafe_function(self.env, function) };
        }
    }

    /// Whether [`Guest::prepare`] is called in each iteration of the loop.
    pub(crate) fn marks_iterations(&self) -> bool {
        self.can_watch()
    }

    /// Has [`Guest::again`] called at the end of the next poll phase, which then does not wait.
    pub(crate) fn again(&self) {
        if self.again_due.replace(true) {
            return;
        }
        #[cfg(unix)]
        if let Some(uv) = &self.uv {
            uv.start_idle();
            uv.start_check();
            return;
        }
        self.bell.ring();
    }

    /// Has [`Guest::posted`] called where libuv would run its own pending callbacks: after the poll phase if that is
    /// under way, and before the next one otherwise.
    pub(crate) fn post(&self) {
        if self.post_due.replace(true) {
            return;
        }
        #[cfg(unix)]
        if let Some(uv) = &self.uv {
            uv.start_idle();
            uv.start_check();
            return;
        }
        self.bell.ring();
    }

    /// Has [`Guest::closed`] called in the loop's closing phase.
    pub(crate) fn close_soon(&self) {
        #[cfg(unix)]
        if let Some(uv) = &self.uv {
            uv.close_soon();
            return;
        }
        self.close_due.set(true);
        self.bell.ring();
    }

    /// Whether `again` was asked for, once.
    pub(crate) fn take_again(&self) -> bool {
        self.again_due.take()
    }

    /// Whether either of them has been asked for.
    pub(crate) fn is_due(&self) -> bool {
        self.again_due.get() || self.post_due.get()
    }

    /// Whether `post` was asked for, once.
    pub(crate) fn take_post(&self) -> bool {
        self.post_due.take()
    }

    /// Whether `close_soon` was asked for where there is no libuv, once.
    pub(crate) fn take_close(&self) -> bool {
        self.close_due.take()
    }

    /// Stops watching the descriptor, which may be closed from now on.
    pub(crate) fn unwatch(&self) {
        #[cfg(unix)]
        if let Some(uv) = &self.uv {
            uv.unwatch();
        }
    }

    /// Stops calling the guest; `done` runs when nothing of ours is in the loop any more.
    ///
    /// # Safety
    /// On the thread of `env`, when no helper thread can ring any more.
    pub(crate) unsafe fn detach(&self, done: Box<dyn FnOnce()>) {
        let function = self.bell.function.swap(ptr::null_mut(), Ordering::AcqRel);
        if !function.is_null() {
            // SAFETY: taken out above, so released once; the caller's promise that nobody rings.
            unsafe {
                sys::napi_release_threadsafe_function(
                    function,
                    sys::ThreadsafeFunctionReleaseMode::abort,
                )
            };
        }
        #[cfg(unix)]
        if let Some(uv) = &self.uv {
            uv.detach(done);
            return;
        }
        done();
    }
}

/// How another thread makes the loop call us. With libuv by a uv_async: a thread-safe function would not be heard by a
/// loop that a handler of ours runs, because its calls wait for the one under way.
#[derive(Default)]
struct Wires {
    #[cfg(unix)]
    alarm: std::sync::OnceLock<uv::Alarm>,
    /// Without libuv. Null before [`Host::attach`] and after the environment's end.
    function: AtomicPtr<sys::napi_threadsafe_function__>,
}

impl Wires {
    fn ring(&self) {
        #[cfg(unix)]
        if let Some(alarm) = self.alarm.get() {
            alarm.ring();
            return;
        }
        let function = self.function.load(Ordering::Acquire);
        if !function.is_null() {
            // SAFETY: the function is released only after the helper thread has been joined (`detach`).
            unsafe {
                sys::napi_call_threadsafe_function(
                    function,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                )
            };
        }
    }
}

/// A thread-safe function that calls [`Guest::turn`] and keeps nothing alive.
///
/// # Safety
/// As [`Host::attach`].
unsafe fn threadsafe_function(
    env: sys::napi_env,
    guest: &'static Context,
) -> napi::Result<sys::napi_threadsafe_function> {
    let mut name = ptr::null_mut();
    // SAFETY: the literal is valid for the length given.
    napi::check_status!(unsafe {
        sys::napi_create_string_utf8(env, c"ferronet".as_ptr(), 8, &mut name)
    })?;
    let mut function = ptr::null_mut();
    // SAFETY: `guest` outlives the environment, as the caller promises; the pointer is only read.
    napi::check_status!(unsafe {
        sys::napi_create_threadsafe_function(
            env,
            ptr::null_mut(),
            ptr::null_mut(),
            name,
            0,
            1,
            ptr::null_mut(),
            None,
            ptr::from_ref(guest).cast_mut().cast(),
            Some(on_ring),
            &mut function,
        )
    })?;
    // SAFETY: just created, on the thread of `env`.
    unsafe { sys::napi_unref_threadsafe_function(env, function) };
    Ok(function)
}

extern "C" fn on_ring(
    env: sys::napi_env,
    _function: sys::napi_value,
    context: *mut c_void,
    _data: *mut c_void,
) {
    // A null environment means that it is going down and the call was only drained.
    if !env.is_null() {
        // SAFETY: the context is the guest that `threadsafe_function` was given, which outlives the function.
        let guest = unsafe { &*context.cast::<Context>() };
        guest.turn();
    }
}

#[cfg(unix)]
mod uv {
    use super::{Context, ptr, sys};
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::cell::{Cell, RefCell};
    use std::ffi::{CStr, c_int, c_void};

    type Loop = *mut c_void;
    type Handle = *mut c_void;
    type Callback = extern "C" fn(Handle);
    type PollCallback = extern "C" fn(Handle, c_int, c_int);

    // Constants of uv.h, part of libuv's ABI since 1.0.
    const UV_ASYNC: c_int = 1;
    const UV_CHECK: c_int = 2;
    const UV_IDLE: c_int = 6;
    const UV_POLL: c_int = 8;
    const UV_PREPARE: c_int = 9;
    const UV_READABLE: c_int = 1;

    macro_rules! functions {
        ($($name:ident($($arg:ty),*) $(-> $ret:ty)?;)*) => {
            #[derive(Clone, Copy)]
            struct Functions {
                $($name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
            }

            impl Functions {
                fn find() -> Option<Self> {
                    Some(Self {
                        $($name: {
                            let found = lookup(
                                CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()).ok()?,
                            )?;
                            // SAFETY: the symbol is libuv's function of that name, whose signature has not
                            // changed since 1.0 (data accessors: 1.19).
                            unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(found) }
                        },)*
                    })
                }
            }
        };
    }

    functions! {
        uv_handle_size(c_int) -> usize;
        uv_handle_set_data(Handle, *mut c_void);
        uv_handle_get_data(Handle) -> *mut c_void;
        uv_async_init(Loop, Handle, Option<Callback>) -> c_int;
        uv_async_send(Handle) -> c_int;
        uv_poll_init(Loop, Handle, c_int) -> c_int;
        uv_poll_start(Handle, c_int, PollCallback) -> c_int;
        uv_poll_stop(Handle) -> c_int;
        uv_idle_init(Loop, Handle) -> c_int;
        uv_idle_start(Handle, Callback) -> c_int;
        uv_idle_stop(Handle) -> c_int;
        uv_check_init(Loop, Handle) -> c_int;
        uv_check_start(Handle, Callback) -> c_int;
        uv_check_stop(Handle) -> c_int;
        uv_prepare_init(Loop, Handle) -> c_int;
        uv_prepare_start(Handle, Callback) -> c_int;
        uv_ref(Handle);
        uv_unref(Handle);
        uv_close(Handle, Option<Callback>);
    }

    /// The uv_async of the loop's thread, for another one.
    pub(super) struct Alarm {
        handle: Handle,
        send: unsafe extern "C" fn(Handle) -> c_int,
    }

    // SAFETY: uv_async_send is the one function of libuv that any thread may call with a handle of the loop's, and
    // nothing else is done with it.
    unsafe impl Send for Alarm {}
    // SAFETY: as above; it may be called by several at once.
    unsafe impl Sync for Alarm {}

    impl Alarm {
        pub(super) fn ring(&self) {
            // SAFETY: the handle is closed only after the helper thread has been joined (`detach`).
            unsafe { (self.send)(self.handle) };
        }
    }

    fn lookup(name: &CStr) -> Option<*mut c_void> {
        // SAFETY: `name` is NUL-terminated; the call only reads it.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    }

    /// What the callbacks find in a handle's data.
    struct Shared {
        env: sys::napi_env,
        functions: Functions,
        uv_loop: Loop,
        guest: Cell<Option<&'static Context>>,
        poll: Cell<Handle>,
        alarm: Cell<Handle>,
        idle: Cell<Handle>,
        check: Cell<Handle>,
        prepare: Cell<Handle>,
        closer: Cell<Handle>,
        /// Handles that libuv has not let go yet, once `done` is set.
        open: Cell<usize>,
        done: RefCell<Option<Box<dyn FnOnce()>>>,
    }

    /// Our handles in the environment's loop.
    pub(super) struct Uv {
        // Leaked: libuv may call back until its loop is gone, and there is one for each environment.
        shared: &'static Shared,
    }

    fn size_layout(functions: &Functions, kind: c_int) -> Layout {
        // SAFETY: `uv_handle_size` has no precondition. Sizes come from the running libuv, never from a header.
        let size = unsafe { (functions.uv_handle_size)(kind) };
        Layout::from_size_align(size, 16).expect("a libuv handle is a few hundred bytes")
    }

    fn allocate(functions: &Functions, kind: c_int) -> Handle {
        let layout = size_layout(functions, kind);
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        memory.cast()
    }

    fn free(functions: &Functions, kind: c_int, handle: Handle) {
        // SAFETY: `handle` came from `allocate` with this kind, and libuv has let it go.
        unsafe { dealloc(handle.cast(), size_layout(functions, kind)) };
    }

    impl Uv {
        /// # Safety
        /// `env` must be alive and its thread the present one.
        pub(super) unsafe fn find(env: sys::napi_env) -> Option<Self> {
            let functions = Functions::find()?;
            let mut uv_loop = ptr::null_mut();
            // SAFETY: the caller's promise.
            let status = unsafe { sys::napi_get_uv_event_loop(env, &mut uv_loop) };
            if status != sys::Status::napi_ok {
                return None;
            }
            Some(Self {
                shared: Box::leak(Box::new(Shared {
                    env,
                    functions,
                    uv_loop: uv_loop.cast(),
                    guest: Cell::new(None),
                    poll: Cell::new(ptr::null_mut()),
                    alarm: Cell::new(ptr::null_mut()),
                    idle: Cell::new(ptr::null_mut()),
                    check: Cell::new(ptr::null_mut()),
                    prepare: Cell::new(ptr::null_mut()),
                    closer: Cell::new(ptr::null_mut()),
                    open: Cell::new(0),
                    done: RefCell::new(None),
                })),
            })
        }

        /// # Safety
        /// On the loop's thread.
        pub(super) unsafe fn attach(
            &self,
            guest: &'static Context,
            descriptor: Option<c_int>,
        ) -> napi::Result<()> {
            let Shared {
                functions: f,
                uv_loop,
                ..
            } = self.shared;
            let data: *mut c_void = ptr::from_ref(self.shared).cast_mut().cast();
            self.shared.guest.set(Some(guest));

            let idle = allocate(f, UV_IDLE);
            // SAFETY: fresh memory of the size libuv asked for; the loop is alive.
            unsafe { (f.uv_idle_init)(*uv_loop, idle) };
            // SAFETY: initialised above.
            unsafe { (f.uv_handle_set_data)(idle, data) };
            // What keeps the process alive is counted in handle.ts, never by this handle.
            // SAFETY: initialised above.
            unsafe { (f.uv_unref)(idle) };
            self.shared.idle.set(idle);

            let check = allocate(f, UV_CHECK);
            // SAFETY: fresh memory of the size libuv asked for; the loop is alive.
            unsafe { (f.uv_check_init)(*uv_loop, check) };
            // SAFETY: initialised above.
            unsafe { (f.uv_handle_set_data)(check, data) };
            // SAFETY: initialised above.
            unsafe { (f.uv_unref)(check) };
            self.shared.check.set(check);

            let prepare = allocate(f, UV_PREPARE);
            // SAFETY: fresh memory of the size libuv asked for; the loop is alive.
            unsafe { (f.uv_prepare_init)(*uv_loop, prepare) };
            // SAFETY: initialised above.
            unsafe { (f.uv_handle_set_data)(prepare, data) };
            // SAFETY: initialised above; the callback keeps to the C ABI and does not unwind.
            unsafe { (f.uv_prepare_start)(prepare, on_prepare) };
            // SAFETY: initialised above.
            unsafe { (f.uv_unref)(prepare) };
            self.shared.prepare.set(prepare);

            match descriptor {
                // SAFETY: the caller's promise.
                Some(descriptor) => unsafe { self.watch(descriptor, data) },
                // SAFETY: the caller's promise.
                None => unsafe { self.listen(data) },
            }
        }

        /// The in-loop driver: its descriptor is readable when there is something to do.
        ///
        /// # Safety
        /// As `attach`; `data` is what the callbacks expect.
        unsafe fn watch(&self, descriptor: c_int, data: *mut c_void) -> napi::Result<()> {
            let Shared {
                functions: f,
                uv_loop,
                ..
            } = self.shared;
            let poll = allocate(f, UV_POLL);
            // SAFETY: fresh memory of the size libuv asked for; the descriptor is Tokio's, open until `detach`.
            let status = unsafe { (f.uv_poll_init)(*uv_loop, poll, descriptor) };
            if status != 0 {
                free(f, UV_POLL, poll);
                return Err(napi::Error::from_reason(format!(
                    "uv_poll_init failed with {status}"
                )));
            }
            // SAFETY: initialised above.
            unsafe { (f.uv_handle_set_data)(poll, data) };
            // SAFETY: initialised above; the callback keeps to the C ABI and does not unwind.
            unsafe { (f.uv_poll_start)(poll, UV_READABLE, on_poll) };
            // SAFETY: initialised above.
            unsafe { (f.uv_unref)(poll) };
            self.shared.poll.set(poll);
            Ok(())
        }

        /// The helper thread, which rings.
        ///
        /// # Safety
        /// As `watch`.
        unsafe fn listen(&self, data: *mut c_void) -> napi::Result<()> {
            let Shared {
                functions: f,
                uv_loop,
                ..
            } = self.shared;
            let alarm = allocate(f, UV_ASYNC);
            // SAFETY: fresh memory of the size libuv asked for; the callback keeps to the C ABI and does not unwind.
            let status = unsafe { (f.uv_async_init)(*uv_loop, alarm, Some(on_alarm)) };
            if status != 0 {
                free(f, UV_ASYNC, alarm);
                return Err(napi::Error::from_reason(format!(
                    "uv_async_init failed with {status}"
                )));
            }
            // SAFETY: initialised above.
            unsafe { (f.uv_handle_set_data)(alarm, data) };
            // SAFETY: initialised above.
            unsafe { (f.uv_unref)(alarm) };
            self.shared.alarm.set(alarm);
            Ok(())
        }

        /// For another thread to ring; none with the in-loop driver.
        pub(super) fn alarm(&self) -> Option<Alarm> {
            let handle = self.shared.alarm.get();
            (!handle.is_null()).then_some(Alarm {
                handle,
                send: self.shared.functions.uv_async_send,
            })
        }

        pub(super) fn set_ref(&self, referenced: bool) {
            let (poll, alarm) = (self.shared.poll.get(), self.shared.alarm.get());
            let watcher = if poll.is_null() { alarm } else { poll };
            if watcher.is_null() {
                return;
            }
            let f = &self.shared.functions;
            let change = if referenced { f.uv_ref } else { f.uv_unref };
            // SAFETY: the handle is initialised and not closed; on the loop's thread.
            unsafe { change(watcher) };
        }

        pub(super) fn start_check(&self) {
            let check = self.shared.check.get();
            if !check.is_null() {
                // libuv runs the handle that was started last first: before Node's own, which runs setImmediate's.
                // SAFETY: initialised and not closed; starting a started handle does nothing.
                unsafe { (self.shared.functions.uv_check_start)(check, on_check) };
            }
        }

        pub(super) fn start_idle(&self) {
            let idle = self.shared.idle.get();
            if !idle.is_null() {
                // SAFETY: initialised and not closed; starting a started handle does nothing.
                unsafe { (self.shared.functions.uv_idle_start)(idle, on_idle) };
            }
        }

        /// A handle that is closed at once calls back in the closing phase, and keeps the loop alive until then.
        pub(super) fn close_soon(&self) {
            let Shared {
                functions: f,
                uv_loop,
                ..
            } = self.shared;
            if self.shared.guest.get().is_none() || !self.shared.closer.get().is_null() {
                return;
            }
            let closer = allocate(f, UV_IDLE);
            self.shared.closer.set(closer);
            // SAFETY: fresh memory of the size libuv asked for; the loop is alive.
            unsafe { (f.uv_idle_init)(*uv_loop, closer) };
            // SAFETY: initialised above.
            unsafe { (f.uv_handle_set_data)(closer, ptr::from_ref(self.shared).cast_mut().cast()) };
            // SAFETY: initialised above and closed once; the callback frees it.
            unsafe { (f.uv_close)(closer, Some(on_closer_closed)) };
        }

        pub(super) fn unwatch(&self) {
            let poll = self.shared.poll.get();
            if !poll.is_null() {
                // SAFETY: initialised and not closed; on the loop's thread.
                unsafe { (self.shared.functions.uv_poll_stop)(poll) };
            }
        }

        pub(super) fn detach(&self, done: Box<dyn FnOnce()>) {
            self.shared.guest.set(None);
            let poll = self.shared.poll.replace(ptr::null_mut());
            let alarm = self.shared.alarm.replace(ptr::null_mut());
            let idle = self.shared.idle.replace(ptr::null_mut());
            let check = self.shared.check.replace(ptr::null_mut());
            let prepare = self.shared.prepare.replace(ptr::null_mut());
            let closer = self.shared.closer.get();
            let open = [poll, alarm, idle, check, prepare, closer]
                .iter()
                .filter(|handle| !handle.is_null())
                .count();
            if open == 0 {
                done();
                return;
            }
            self.shared.open.set(open);
            *self.shared.done.borrow_mut() = Some(done);
            let f = &self.shared.functions;
            if !poll.is_null() {
                // SAFETY: initialised, closed once; the callback frees it.
                unsafe { (f.uv_close)(poll, Some(on_poll_closed)) };
            }
            if !alarm.is_null() {
                // SAFETY: initialised, closed once; the callback frees it. Nobody rings any more: the helper thread has
                // been joined.
                unsafe { (f.uv_close)(alarm, Some(on_alarm_closed)) };
            }
            if !idle.is_null() {
                // SAFETY: initialised, closed once; the callback frees it.
                unsafe { (f.uv_close)(idle, Some(on_idle_closed)) };
            }
            if !check.is_null() {
                // SAFETY: initialised, closed once; the callback frees it.
                unsafe { (f.uv_close)(check, Some(on_check_closed)) };
            }
            if !prepare.is_null() {
                // SAFETY: initialised, closed once; the callback frees it.
                unsafe { (f.uv_close)(prepare, Some(on_prepare_closed)) };
            }
        }
    }

    impl Shared {
        /// The handle's share of us.
        fn of(
            handle: Handle,
            get_data: unsafe extern "C" fn(Handle) -> *mut c_void,
        ) -> &'static Self {
            // SAFETY: libuv calls back with a handle that is initialised.
            let data = unsafe { get_data(handle) };
            // SAFETY: every handle's data was set to the leaked `Shared`.
            unsafe { &*data.cast_const().cast::<Self>() }
        }

        /// Calls the guest in a handle scope, if it is still there.
        fn visit(&self, visit: impl FnOnce(&Context)) {
            let Some(guest) = self.guest.get() else {
                return;
            };
            let mut scope = ptr::null_mut();
            // SAFETY: the environment is alive while its guest is attached; on its thread.
            if unsafe { sys::napi_open_handle_scope(self.env, &mut scope) } != sys::Status::napi_ok
            {
                return;
            }
            visit(guest);
            // SAFETY: opened above, on the same thread, and closed once.
            unsafe { sys::napi_close_handle_scope(self.env, scope) };
        }

        fn let_go(&self, kind: c_int, handle: Handle) {
            free(&self.functions, kind, handle);
            if self.done.borrow().is_none() {
                return;
            }
            self.open.set(self.open.get() - 1);
            if self.open.get() == 0
                && let Some(done) = self.done.take()
            {
                done();
            }
        }
    }

    thread_local! {
        /// `uv_handle_get_data`, which the callbacks need before they can find anything else.
        static GET_DATA: Cell<Option<unsafe extern "C" fn(Handle) -> *mut c_void>> = const { Cell::new(None) };
    }

    fn shared(handle: Handle) -> &'static Shared {
        let get_data = GET_DATA.get().unwrap_or_else(|| {
            let functions = Functions::find().expect("found when the handle was made");
            GET_DATA.set(Some(functions.uv_handle_get_data));
            functions.uv_handle_get_data
        });
        Shared::of(handle, get_data)
    }

    extern "C" fn on_poll(handle: Handle, _status: c_int, _events: c_int) {
        shared(handle).visit(|guest| guest.turn());
    }

    extern "C" fn on_alarm(handle: Handle) {
        shared(handle).visit(|guest| guest.turn());
    }

    extern "C" fn on_idle(handle: Handle) {
        let shared = shared(handle);
        shared.visit(|guest| guest.posted());
        // What is due at the end of the poll phase must not wait for it: while this handle is active, it is short.
        if !shared.guest.get().is_some_and(|guest| guest.is_due()) {
            // SAFETY: initialised and not closed, or libuv would not have called.
            unsafe { (shared.functions.uv_idle_stop)(handle) };
        }
    }

    extern "C" fn on_prepare(handle: Handle) {
        let shared = shared(handle);
        if shared.guest.get().is_some_and(|guest| guest.prepare()) {
            shared.visit(|guest| guest.go_on());
        }
    }

    extern "C" fn on_check(handle: Handle) {
        let shared = shared(handle);
        // SAFETY: initialised and not closed, or libuv would not have called.
        unsafe { (shared.functions.uv_check_stop)(handle) };
        let idle = shared.idle.get();
        if !idle.is_null() {
            // SAFETY: initialised and not closed; stopping a stopped handle does nothing.
            unsafe { (shared.functions.uv_idle_stop)(idle) };
        }
        shared.visit(|guest| {
            guest.again();
            guest.posted();
        });
    }

    extern "C" fn on_closer_closed(handle: Handle) {
        let shared = shared(handle);
        shared.closer.set(ptr::null_mut());
        shared.visit(|guest| guest.closed());
        shared.let_go(UV_IDLE, handle);
    }

    extern "C" fn on_poll_closed(handle: Handle) {
        shared(handle).let_go(UV_POLL, handle);
    }

    extern "C" fn on_alarm_closed(handle: Handle) {
        shared(handle).let_go(UV_ASYNC, handle);
    }

    extern "C" fn on_check_closed(handle: Handle) {
        shared(handle).let_go(UV_CHECK, handle);
    }

    extern "C" fn on_prepare_closed(handle: Handle) {
        shared(handle).let_go(UV_PREPARE, handle);
    }

    extern "C" fn on_idle_closed(handle: Handle) {
        shared(handle).let_go(UV_IDLE, handle);
    }
}
