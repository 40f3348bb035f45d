//! An SSL_CTX. Node makes it, from the options of `tls.createSecureContext()`, and does not tell us where it is. OpenSSL
//! does: it calls a function of ours for each SSL_CTX that is made, and for each SSL that is made of one, and while a
//! [`Capture`] is in place we remember them.

use std::cell::RefCell;
use std::ffi::{c_int, c_long, c_void};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use super::callbacks;
use super::ffi::{self, OpenSsl, Ssl, SslCtx};

/// What a thread has made since a capture began.
#[derive(Default)]
struct Seen {
    contexts: Vec<NonNull<SslCtx>>,
    sessions: Vec<NonNull<Ssl>>,
}

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

fn note(add: impl FnOnce(&mut Seen)) {
    // A thread that is ending may make contexts, but nobody captures them.
    let _ending = SEEN.try_with(|seen| {
        if let Ok(mut seen) = seen.try_borrow_mut()
            && let Some(seen) = seen.as_mut()
        {
            add(seen);
        }
    });
}

/// Called by OpenSSL when an SSL_CTX is made.
unsafe extern "C" fn made_context(
    context: *mut c_void,
    _data: *mut c_void,
    _all: *mut c_void,
    _index: c_int,
    _number: c_long,
    _pointer: *mut c_void,
) {
    if let Some(context) = NonNull::new(context.cast()) {
        note(|seen| seen.contexts.push(context));
    }
}

/// Called by OpenSSL before an SSL_CTX is freed.
unsafe extern "C" fn frees_context(
    context: *mut c_void,
    _data: *mut c_void,
    _all: *mut c_void,
    _index: c_int,
    _number: c_long,
    _pointer: *mut c_void,
) {
    note(|seen| seen.contexts.retain(|seen| seen.as_ptr().cast() != context));
}

/// Called by OpenSSL when an SSL is made, before it is complete.
unsafe extern "C" fn made_session(
    session: *mut c_void,
    _data: *mut c_void,
    _all: *mut c_void,
    _index: c_int,
    _number: c_long,
    _pointer: *mut c_void,
) {
    if let Some(session) = NonNull::new(session.cast()) {
        note(|seen| seen.sessions.push(session));
    }
}

/// Called by OpenSSL before an SSL is freed.
unsafe extern "C" fn frees_session(
    session: *mut c_void,
    _data: *mut c_void,
    _all: *mut c_void,
    _index: c_int,
    _number: c_long,
    _pointer: *mut c_void,
) {
    note(|seen| seen.sessions.retain(|seen| seen.as_ptr().cast() != session));
}

/// From here on the contexts that this thread makes or uses are noticed, until [`Capture::finish`].
pub struct Capture(());

impl Capture {
    /// # Errors
    /// Why there can be no TLS here.
    pub fn begin() -> Result<Self, &'static str> {
        static NOTICED: OnceLock<bool> = OnceLock::new();
        let openssl = ffi::openssl()?;
        let noticed = NOTICED.get_or_init(|| {
            ffi::stay_loaded();
            let of_context: [ffi::ExData; 2] = [made_context, frees_context];
            let of_session: [ffi::ExData; 2] = [made_session, frees_session];
            let classes = [
                (ffi::CRYPTO_EX_INDEX_SSL_CTX, of_context),
                (ffi::CRYPTO_EX_INDEX_SSL, of_session),
            ];
            classes.into_iter().all(|(class, [made, frees])| {
                // SAFETY: the functions have the types that OpenSSL calls, and stay where they are.
                let index = unsafe {
                    (openssl.CRYPTO_get_ex_new_index)(
                        class,
                        0,
                        ptr::null_mut(),
                        Some(made),
                        ptr::null_mut(),
                        Some(frees),
                    )
                };
                index >= 0
            })
        });
        if !noticed {
            return Err("OpenSSL has no index left for us");
        }
        SEEN.set(Some(Seen::default()));
        Ok(Self(()))
    }

    /// The context that was made meanwhile, if it was exactly one; or if none was made, that of the one session that was
    /// begun, which stays its owner's. What has been freed meanwhile does not count.
    pub fn finish(self) -> Option<Context> {
        let seen = SEEN.take().unwrap_or_default();
        match (seen.contexts.as_slice(), seen.sessions.as_slice()) {
            ([one], _) => Context::share(*one, true),
            ([], [one]) => {
                let openssl = ffi::openssl().ok()?;
                // SAFETY: alive: we are told before it is freed, on the thread that has made it.
                let context = unsafe { (openssl.SSL_get_SSL_CTX)(one.as_ptr()) };
                Context::share(NonNull::new(context)?, false)
            }
            _ => None,
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        SEEN.set(None);
    }
}

/// An SSL_CTX, with a reference to it.
pub struct Context {
    pub(super) raw: NonNull<SslCtx>,
    pub(super) openssl: &'static OpenSsl,
    /// It belongs to us: nothing but sessions of ours may be made from it, because Node's callbacks on a context that its
    /// own TLS uses take every SSL for one of Node's. Of others we only take the certificate.
    pub(super) ours: bool,
}

impl Context {
    fn share(raw: NonNull<SslCtx>, ours: bool) -> Option<Self> {
        let openssl = ffi::openssl().ok()?;
        // SAFETY: the context is alive: `finish` has seen that it was made, or the session that has it, and not freed.
        if unsafe { (openssl.SSL_CTX_up_ref)(raw.as_ptr()) } != 1 {
            return None;
        }
        let context = Self { raw, openssl, ours };
        if ours {
            callbacks::prepare(&context);
        }
        Some(context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the reference that `share` took.
        unsafe { (self.openssl.SSL_CTX_free)(self.raw.as_ptr()) };
    }
}
