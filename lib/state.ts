// Where a Socket keeps what Node keeps out of sight too. Labelled, so that a property dump says what each one
// is. Most have their default on the prototype: an idle connection pays only for what it uses.

/** The Handle, which `_handle` shows. */
export const kHandle = Symbol('ferronet.handle')
/** The connect attempt in flight, an `Attempt` of connect.ts. */
export const kAttempt = Symbol('ferronet.attempt')
/** Called by connect.ts on the Socket whose attempt succeeded. */
export const kOpened = Symbol('ferronet.opened')
/** Called by connect.ts: give up the Handle of a failed attempt for a new one. */
export const kReplaceHandle = Symbol('ferronet.replaceHandle')
/** The idle timer, running or run out. */
export const kTimeout = Symbol('ferronet.timeout')
/** What was queued in the handle when the idle timer last looked. */
export const kLastWriteQueueSize = Symbol('ferronet.lastWriteQueueSize')
/** The `onread` option: the buffer, what makes buffers, and the callback. */
export const kBuffer = Symbol('ferronet.onread.buffer')
export const kBufferGen = Symbol('ferronet.onread.bufferGenerator')
export const kBufferCb = Symbol('ferronet.onread.callback')
/** Options remembered from before there was a socket to set them on. */
export const kNoDelay = Symbol('ferronet.noDelay')
export const kKeepAlive = Symbol('ferronet.keepAlive')
export const kKeepAliveDelay = Symbol('ferronet.keepAliveInitialDelay')
export const kKeepAliveInterval = Symbol('ferronet.keepAliveInterval')
export const kKeepAliveCount = Symbol('ferronet.keepAliveCount')
/** The type of service to be set, or that was set last. */
export const kTypeOfService = Symbol('ferronet.typeOfService')
/** Whether chunks may be views of memory that other sockets' chunks are in. */
export const kSharedChunks = Symbol('ferronet.sharedChunks')
/** Whether the Handle comes from a BoundSocket, and its path if that is a pipe. */
export const kBoundSource = Symbol('ferronet.boundSource')
export const kBoundPath = Symbol('ferronet.boundPath')
/** The write that the handle has queued. */
export const kWriteRequest = Symbol('ferronet.writeRequest')
/** User callbacks of writes that the stream has done with but the kernel has not taken yet. */
export const kHeld = Symbol('ferronet.heldCallbacks')
/** The pending shutdown. */
export const kShutdownRequest = Symbol('ferronet.shutdownRequest')
/** The counters of the last handle, for after `destroy()`. */
export const kBytesRead = Symbol('ferronet.bytesRead')
export const kBytesWritten = Symbol('ferronet.bytesWritten')
