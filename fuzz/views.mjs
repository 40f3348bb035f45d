// What is compared of a log: many small facts, each under its own key. If one of a program's facts is a matter of
// chance, the others can still be compared.
//
// Promised, and so compared: the order of one emitter's events and callbacks, each call's result, each callback's
// arguments, the properties at those moments, the bytes. Not promised: how bytes fall into chunks; how the events of
// two sockets interleave; and how the events of a socket's two directions interleave when there are more bytes than
// the kernel accepts at once.

import { volume } from './program.mjs'

const READING = new Set(['connect', 'ready', 'data', 'end', 'error', 'close', 'sink finish', 'iterated'])
const WRITING = new Set(['connect', 'ready', 'drain', 'finish', 'error', 'close'])
// In programs with joined sockets these depend on how bytes fall into chunks, and on what lies between two ends.
const OPEN_IF_JOINED = new Set(['drain', 'sink finish', 'readableFlowing', 'timeout'])
// What every kernel buffers, even if nobody reads.
const SMALL = 8 * 1024

/** The facts of a run as `{ key: value }`. Values are strings; a key says what the fact is about. */
export function viewsOf(program, { log, outcome, lost }) {
  const views = { 'the program': outcome }
  if (lost.length > 0) views['after destroy()'] = `${lost.join(', ')} did not close`
  const tracks = new Map()
  for (const entry of log) {
    if (!tracks.has(entry.track)) tracks.set(entry.track, [])
    tracks.get(entry.track).push(entry)
  }
  // After an error the outcome of such a program is no longer certain.
  const failed = log.some(({ kind, name }) => name === 'error' || kind === 'uncaught')
  if (program.violent || ((!program.paired || program.joined) && failed)) {
    // How much is on its way between piped sockets when one of them is destroyed, is open, and so is who is told.
    if (!program.violent) views['an error'] = 'yes'
    for (const { track, kind, name } of log) if (kind === 'wrong') views[`${track}: wrong`] = name
    return views
  }
  const strict = program.paired && !program.joined
  const small = volume(program) <= SMALL
  for (const [track, entries] of tracks) {
    if (track === 'process') {
      // Which exception came first is a matter of two sockets, and their order is not promised.
      views['uncaught exceptions'] = entries
        .map(({ value }) => told(value))
        .sort()
        .join('; ')
    } else if (track === 'server') serverViews(views, entries)
    else socketViews(views, track, entries, { small, strict, joined: program.joined })
  }
  return views
}

function serverViews(views, entries) {
  views['server: order'] = entries
    .filter(({ kind }) => kind === 'event')
    .map(entry => line(entry))
    .join(', ')
  common(views, 'server', entries)
}

function socketViews(views, track, entries, { small, strict, joined }) {
  const order = kinds =>
    collapse(
      entries
        .filter(({ kind, name }) => kinds(kind, name))
        .map(entry => (entry.kind === 'data' ? 'data' : line(entry))),
    )
  const isOpen = name => joined && OPEN_IF_JOINED.has(name)
  const timeouts = entries.filter(({ name }) => name === 'timeout')
  if (timeouts.length > 0 && !isOpen('timeout')) views[`${track}: timeout`] = 'yes'
  views[`${track}: order, reading`] = order(
    (kind, name) => kind === 'data' || (kind === 'event' && READING.has(name) && !isOpen(name)),
  )
  views[`${track}: order, writing`] = order(
    (kind, name) => kind === 'callback' || (kind === 'event' && WRITING.has(name) && !isOpen(name)),
  )
  if (small && strict) {
    views[`${track}: order`] = order(
      (kind, name) => kind === 'data' || kind === 'callback' || (kind === 'event' && name !== 'timeout'),
    )
  }
  views[`${track}: bytes received`] = String(
    entries.reduce((sum, { kind, value }) => sum + (kind === 'data' ? value : 0), 0),
  )
  for (const { kind, name } of entries) if (kind === 'wrong') views[`${track}: wrong`] = name
  // In a program that acts at once the order of events is open, and so is when bytes come that have passed through other
  // sockets; only the outcome is promised.
  common(views, track, strict ? entries : entries.filter(({ kind }) => kind === 'final'), isOpen)
}

function common(views, track, entries, isOpen = () => false) {
  const seen = new Map()
  for (const entry of entries) {
    const { kind, name, value, state } = entry
    if (kind === 'data' || kind === 'wrong' || name === 'timeout') continue
    const label = kind === 'final' ? 'at last' : kind === 'event' ? `at '${name}'` : `${kind} ${name}`
    const count = (seen.get(label) ?? 0) + 1
    seen.set(label, count)
    const key = `${track}: ${label}${count > 1 ? ` (${count})` : ''}`
    if (kind !== 'event' && kind !== 'final') views[key] = told(value)
    for (const [property, found] of Object.entries(state ?? {})) {
      if (!isOpen(property)) views[`${key}, ${property}`] = String(found)
    }
  }
}

function collapse(words) {
  return words.filter((word, at) => word !== 'data' || words[at - 1] !== 'data').join(', ')
}

function line({ kind, name, value }) {
  const what = kind === 'callback' ? `callback ${name}` : name
  return value === undefined ? what : `${what}(${told(value)})`
}

function told(value) {
  if (Array.isArray(value)) return value.map(told).join(', ')
  if (value?.error)
    return `${value.error}${value.code ? ` ${value.code}` : ''}: ${value.message}${value.syscall ? ` [${value.syscall}]` : ''}`
  return String(value)
}

/** A log as readable lines, one list for each track. */
export function spellLog(log) {
  const tracks = new Map()
  for (const entry of log) {
    const { track, kind, name, value } = entry
    if (!tracks.has(track)) tracks.set(track, [])
    const lines = tracks.get(track)
    if (kind === 'final') continue
    if (kind === 'data') lines.push(`'data' ${value} B`)
    else if (kind === 'event') lines.push(`'${name}'${value === undefined ? '' : ` ${told(value)}`}`)
    else if (kind === 'wrong') lines.push(`WRONG ${name}`)
    else lines.push(`${kind} ${name}: ${told(value)}`)
  }
  return tracks
}
