// Turns a seed into a case: which role is judged, which version is spoken, what is said, and what happens to the records
// on their way. The same seed gives the same case everywhere.
//
//   { seed, role: 'client' | 'server', version, tickets, rounds: [{ question, answer }],
//     changes: [{ from: 'client' | 'server', record, kind, at, bit, … }] }
//
// `record` counts the records of one direction. `at` is a place in the record, as a fraction of it.

import { Random } from '../program.mjs'

/** How often each kind is chosen. Those in the second list leave every byte in its place. */
const KINDS = [
  'flip',
  'flip',
  'flip',
  'repeat',
  'reorder',
  'drop',
  'oversize',
  'lengthen',
  'shorten',
  'retype',
  'reversion',
  'insert',
  'finish',
  'reset',
]
const HARMLESS = ['cut', 'cut', 'merge', 'crumble']

/** Records that somebody may slip in: a type, and the bytes behind the header. */
const INSERTED = {
  'nothing of application data': [23, []],
  'nothing of a handshake': [22, []],
  'a change of ciphers': [20, [1]],
  'a change of ciphers that is none': [20, [2, 1]],
  'an alert: close_notify': [21, [1, 0]],
  'an alert: a warning': [21, [1, 90]],
  'an alert: fatal': [21, [2, 40]],
  'half an alert': [21, [2]],
  'a hello request': [22, [0, 0, 0, 0]],
  'a key update': [22, [24, 0, 0, 1, 1]],
  'a heartbeat': [24, [1, 0x40, 0]],
  'an unknown type': [99, [1, 2, 3]],
  'plain application data': [23, [112, 108, 97, 105, 110]],
}

export function schemeOf(seed) {
  const random = new Random(seed)
  const below = limit => Math.floor(random.next() * limit)
  const pick = list => list[below(list.length)]
  const size = () => pick([1, 20, 1000, 16384, 16385, 20000 + below(30000)])
  const version = pick(['TLSv1.2', 'TLSv1.3'])
  const rounds = Array.from({ length: 1 + below(3) }, () => ({ question: size(), answer: size() }))
  const changes = []
  const count = pick([0, 1, 1, 1, 1, 2, 3])
  for (let i = 0; i < count; i++) {
    const kind = random.next() < 0.25 ? pick(HARMLESS) : pick(KINDS)
    const change = { from: pick(['client', 'server']), record: below(12), kind, at: random.next() }
    if (kind === 'flip') change.bit = below(8)
    if (kind === 'insert') change.what = pick(Object.keys(INSERTED))
    if (kind === 'retype') change.type = pick([20, 21, 22, 23, 24, 0, 255])
    if (kind === 'reversion') change.version = pick([0x0300, 0x0301, 0x0304, 0x0200, 0x0703])
    if (kind === 'finish' || kind === 'reset') change.inside = random.next() < 0.5
    changes.push(change)
  }
  return { seed, role: pick(['client', 'server']), version, tickets: below(2) === 0, rounds, changes }
}

/** The bytes of a record to slip in. */
export function inserted(what) {
  const [type, bytes] = INSERTED[what]
  return Buffer.from([type, 3, 3, bytes.length >> 8, bytes.length & 255, ...bytes])
}

/** What one side says, the same each time. */
export function spoken(length, salt) {
  const bytes = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >> 8) * 7 + salt * 101) & 255
  return bytes
}

export function spell({ seed, role, version, rounds, changes }) {
  const sizes = rounds.map(({ question, answer }) => `${question}/${answer}`).join(' ')
  const all = changes.map(({ from, record, kind, at, ...more }) => {
    const rest = Object.values(more).join(' ')
    return `${kind} record ${record} of the ${from} at ${at.toFixed(3)} ${rest}`.trimEnd()
  })
  return `seed ${seed}: the ${role}, ${version}, ${sizes}; ${all.join('; ') || 'nothing happens to it'}`
}
