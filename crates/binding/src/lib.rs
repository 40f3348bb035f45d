//! The border: `lib/handle.ts` above, `ferronet-core` below. It converts and calls; what an event means is decided
//! in TypeScript, what a socket does in the core. Verbs stand here under the names and in the order of handle.ts.

mod batch;
mod call;
pub mod engine;
mod enter;
mod event_loop;
mod handover;
