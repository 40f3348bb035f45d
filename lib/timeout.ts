// A Socket's idle timer. It only reports that nothing has happened, and closes nothing. Sockets without one pay
// nothing.

import { performance } from 'node:perf_hooks'
import { clearTimeout, setTimeout } from './node/timers.js'
import { relayingOf } from './relay.js'
import { type Connection, kHandle, kLastWriteQueueSize, kRelay, kTimeout } from './state.js'
import { timerDuration, validateFunction } from './validate.js'

function expired(socket: Connection): void {
  const handle = socket[kHandle]
  // A relay moves bytes without our knowing, or has done so.
  if ((handle?.relays || socket[kRelay] !== null) && socket.timeout) {
    const running = handle?.relays ? handle.relayIdle : Number.POSITIVE_INFINITY
    const before = socket[kRelay]?.movedAt ?? Number.NEGATIVE_INFINITY
    const idle = Math.min(running, performance.now() - before)
    const left = socket.timeout - idle
    if (left > 0) {
      socket[kTimeout] = relayingOf(socket).shortTimer = setTimeout(expired, left, socket).unref()
      return
    }
    if (handle?.relays) {
      // It goes on, so nobody tells what moves next: we look again, and say it once.
      const relaying = relayingOf(socket)
      const movedAt = performance.now() - idle
      const isTold = movedAt <= relaying.toldAt
      relaying.toldAt = performance.now()
      socket[kTimeout] = relaying.shortTimer = setTimeout(expired, socket.timeout, socket).unref()
      if (isTold) return
    }
  }
  socket._onTimeout()
}

export function setIdleTimeout(socket: Connection, msecs: number, callback?: () => void): void {
  if (socket.destroyed) return
  socket.timeout = msecs
  const delay = timerDuration(msecs, 'msecs')
  stopIdleTimer(socket)
  if (delay !== 0) {
    socket[kTimeout] = setTimeout(expired, delay, socket).unref()
  }
  if (callback === undefined) return
  validateFunction(callback, 'callback')
  if (delay === 0) socket.removeListener('timeout', callback)
  else socket.once('timeout', callback)
}

/** Something happened on the socket: its timer starts again, and those of its parents. */
export function refreshIdleTimers(socket: Connection): void {
  for (let s: Connection | null | undefined = socket; s != null; s = s._parent) {
    const timer = s[kTimeout]
    if (timer === null) continue
    if (timer !== s[kRelay]?.shortTimer) {
      timer.refresh()
      continue
    }
    clearTimeout(timer)
    s[kTimeout] = setTimeout(expired, s.timeout, s).unref()
  }
}

/** Stops the timers of the socket and of its parents. */
export function stopIdleTimers(socket: Connection): void {
  for (let s: Connection | null | undefined = socket; s != null; s = s._parent) stopIdleTimer(s)
}

function stopIdleTimer(socket: Connection): void {
  const timer = socket[kTimeout]
  if (timer == null) return
  clearTimeout(timer)
  socket[kTimeout] = null
}

/** Whether a large write is still leaving: its queue has moved since the timer last looked. */
export function stillSending(socket: Connection): boolean {
  const queued = socket._handle?.writeQueueSize
  if (queued === undefined || queued === socket[kLastWriteQueueSize]) return false
  socket[kLastWriteQueueSize] = queued
  return true
}
