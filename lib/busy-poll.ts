// Latency for CPU time: `setBusyPoll()`.

import { busyPoll, MOST_BUSY_POLL, setBusyPoll as set } from './engine/once.js'
import { validateInt32 } from './validate.js'

/** How long the loop of this thread polls after the last event, in microseconds. */
export function getBusyPoll(): number {
  return busyPoll()
}

/** Throws ERR_INVALID_ARG_TYPE and ERR_OUT_OF_RANGE. */
export function setBusyPoll(microseconds: number): void {
  validateInt32(microseconds, 'microseconds', 0, MOST_BUSY_POLL)
  set(microseconds)
}
