//! An SSL_CTX. Node makes it, from the options of `tls.createSecureContext()`, and does not tell us where it is. OpenSSL
//! does: it calls a function of ours for each SSL_CTX that is made, and while a [`Capture`] is in place we remember them.

use std::cell::RefCell;
use std::ffi::{c_int, c_long, c_void};
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use super::ffi::{self, OpenSsl, SslCtx};
use super::session;

thread_local! {
    /// The contexts that this thread has made since a capture began.
    static SEEN: RefCell<Option<Vec<NonNull<SslCtx>>>> = const { RefCell::new(None) };
}

/// Called by OpenSSL when an SSL_CTX is made.
unsafe extern "C" fn made(
    context: *mut c_void,
    _data: *mut c_void,
    _all: *mut c_void,
    _index: c_int,
    _number: c_long,
    _pointer: *mut c_void,
) {
    // A thread that is ending may make contexts, but nobody captures them.
    let _ending = SEEN.try_with(|seen| {
        if let Ok(mut seen) = seen.try_borrow_mut()
            && let Some(seen) = seen.as_mut()
            && let Some(context) = NonNull::new(context.cast())
        {
            seen.push(context);
        }
    });
}

/// From here on the contexts that this thread makes are noticed, until [`Capture::finish`].
pub struct Capture(());

impl Capture {
    /// # Errors
    /// Why there can be no TLS here.
    pub fn begin() -> Result<Self, &'static str> {
        static INDEX: OnceLock<c_int> = OnceLock::new();
        let openssl = ffi::openssl()?;
        let index = INDEX.get_or_init(|| {
            ffi::stay_loaded();
            // SAFETY: `made` has the type that OpenSSL calls, and stays where it is.
            unsafe {
                (openssl.CRYPTO_get_ex_new_index)(
                    ffi::CRYPTO_EX_INDEX_SSL_CTX,
                    0,
                    ptr::null_mut(),
                    Some(made),
                    ptr::null_mut(),
                    ptr::null_mut(),
                )
            }
        });
        if *index < 0 {
            return Err("OpenSSL has no index left for us");
        }
        SEEN.set(Some(Vec::new()));
        Ok(Self(()))
    }

    /// The context that was made meanwhile, if it was exactly one. It must still be alive: it is the caller's to see to
    /// that.
    pub fn finish(self) -> Option<Context> {
        let seen = SEEN.take().unwrap_or_default();
        match seen.as_slice() {
            [one] => Context::share(*one),
            _ => None,
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        SEEN.set(None);
    }
}

/// An SSL_CTX that belongs to us: nothing but sessions of ours may be made from it, because Node's callbacks on a context
/// that its own TLS uses take every SSL for one of Node's.
pub struct Context {
    pub(super) raw: NonNull<SslCtx>,
    pub(super) openssl: &'static OpenSsl,
}

impl Context {
    fn share(raw: NonNull<SslCtx>) -> Option<Self> {
        let openssl = ffi::openssl().ok()?;
        // SAFETY: the context was just made, and whoever made it has it still.
        if unsafe { (openssl.SSL_CTX_up_ref)(raw.as_ptr()) } != 1 {
            return None;
        }
        let context = Self { raw, openssl };
        session::prepare(&context);
        Some(context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the reference that `share` took.
        unsafe { (self.openssl.SSL_CTX_free)(self.raw.as_ptr()) };
    }
}
