//! The border between `lib/` above and `ferronet-core` below. It converts and calls: what an event means is decided
//! in TypeScript, what a socket does in the core.
//!
//! A program's way down is `verbs` (the table of what JavaScript can call, and `call`, how a call works) to the
//! reactor, with `outbox` for the writes that were collected. The way up is `event_loop`, which tells `engine` when
//! to pump, `batch`, which collects what happened, and `enter`, which tells JavaScript.

mod batch;
mod call;
mod engine;
mod enter;
mod event_loop;
mod handover;
mod memory;
mod outbox;
mod verbs;

use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;

use engine::Engine;

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
