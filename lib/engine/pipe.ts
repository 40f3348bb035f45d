// What is wanted of a named pipe of Windows, and what can be done with one: flags of `bindPipe` and `access`. In a file of
// its own, because listen.ts needs them and must not load the engine, of which a thread has one (once.ts).

/** There may be other servers of this name. */
export const PIPE_JOINS = 1
/** Clients on other machines are turned away. */
export const PIPE_LOCAL = 2
export const PIPE_READS = 4
export const PIPE_WRITES = 8
