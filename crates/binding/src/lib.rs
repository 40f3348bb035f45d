//! The border between `lib/` above and `ferronet-core` below. It converts and calls: what an event means is decided
//! in TypeScript, what a socket does in the core.
//!
//! Down: JavaScript calls a function of `verbs` (`call` is how that works), which calls the reactor; `outbox` sends the
//! small writes that were collected. Up: `event_loop` tells `engine` when to pump, `batch` collects what happened, and
//! `enter` calls JavaScript with it.

mod batch;
mod call;
mod engine;
mod enter;
mod event_loop;
mod handover;
mod memory;
mod outbox;
mod tls;
mod verbs;
mod vigil;

use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

use engine::Engine;

/// The version of the package this was built for. lib/engine/addon.ts refuses a binary with another one, because
/// between versions nothing of the protocol between the two sides is promised.
#[napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes an engine and returns its verbs. `shared` holds the arrays of the batch protocol: `events`, `log`, `state`,
/// `out` and `scratch`; `libuv` says whether the host's event loop is libuv's. Nothing is called back before the verb
/// `start` has been called.
#[napi(
    catch_unwind,
    ts_args_type = "driver: string | undefined, libuv: boolean, shared: object",
    ts_return_type = "unknown"
)]
pub fn open(
    env: Env,
    driver: Option<String>,
    libuv: bool,
    shared: Object<'_>,
) -> Result<Object<'_>> {
    let engine = Engine::open(&env, driver.as_deref(), libuv, &shared)?;
    verbs::object(&env, engine)
}
