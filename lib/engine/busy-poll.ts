// How long the event loop goes on polling, without sleeping, after the last event of a socket of ours.

import { engine } from './engine.js'

/** A second. */
export const MOST_BUSY_POLL = 1_000_000

let microseconds = fromEnvironment()
if (microseconds > 0) engine.setBusyPoll(microseconds)

export function busyPoll(): number {
  return microseconds
}

export function setBusyPoll(wanted: number): void {
  microseconds = wanted
  engine.setBusyPoll(wanted)
}

function fromEnvironment(): number {
  const text = process.env.FERRONET_BUSY_POLL
  if (text === undefined || text === '') return 0
  const wanted = Number(text)
  if (/^\d+$/.test(text) && wanted <= MOST_BUSY_POLL) return wanted
  throw new TypeError(
    `FERRONET_BUSY_POLL must be a number of microseconds from 0 to ${MOST_BUSY_POLL}, not '${text}'`,
  )
}
