// The numbers that lib/ and crates/binding both spell: where one side changes, the other has to follow.

import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('../..', import.meta.url))

// `const NAME = 1 << 16`, and in Rust `const NAME: u32 = 1 << 16;`. Other constants are left out.
const CONSTANT = /^(?:export |pub(?:\([a-z]+\))? )?const ([A-Z][A-Z0-9_]*)(?:: ([a-z0-9]+))? = ([^;\n/]+)/gm

/** The numeric constants at the top level of all sources: by name, what is said of each. */
function constants(directory, extension) {
  const found = new Map()
  for (const entry of readdirSync(join(root, directory), { recursive: true, withFileTypes: true })) {
    if (extname(entry.name) !== extension) continue
    const source = readFileSync(join(entry.parentPath, entry.name), 'utf8')
    for (const [, name, type, expression] of source.matchAll(CONSTANT)) {
      const value = number(expression.trim())
      if (value === undefined) continue
      found.set(name, [...(found.get(name) ?? []), { file: entry.name, type, value }])
    }
  }
  return found
}

/** The value of `16` or `1 << 16`; `undefined` for anything else. */
function number(expression) {
  const [, digits, shift = '0'] = /^(-?[\d_]+)(?: << (\d+))?$/.exec(expression) ?? []
  return digits === undefined ? undefined : Number(digits.replaceAll('_', '')) << Number(shift)
}

const typescript = constants('lib', '.ts')
const rust = constants('crates/binding/src', '.rs')
const kindsOfEvents = [
  'CONNECT',
  'DATA_SMALL',
  'DATA_BULK',
  'END',
  'READ_ERROR',
  'READABLE',
  'WRITABLE',
  'ACCEPT',
  'ACCEPT_ERROR',
  'DATA_SCRATCH',
  'SECURE',
  'TLS_ERROR',
  'TLS_NEWS',
  'TLS_ASKS',
  'RELAY_FAILED',
]
const subjects = {
  'the kinds of events': kindsOfEvents,
  'what stands beside the number of events': ['RENEW_SMALL', 'RENEW_BULK', 'RENEW_PIECES', 'BEGIN'],
  'the width of an event and of an entry of the log': ['EVENT_WORDS', 'LOG_WORDS'],
  'where the pieces begin': ['PIECES_AT'],
  'the words of the shared state': ['WAITING', 'RESUMED'],
  'the modes of readStart': ['READ_CHUNKS', 'READ_SHARED', 'READ_INTO'],
  'the flags of bindTcp': ['UV_TCP_IPV6ONLY', 'UV_TCP_REUSEPORT'],
  'the flags of bindPipe and access': ['PIPE_JOINS', 'PIPE_LOCAL', 'PIPE_READS', 'PIPE_WRITES'],
}

for (const [subject, names] of Object.entries(subjects)) {
  test(`Rust and TypeScript agree on ${subject}`, t => {
    for (const name of names) {
      const [here, there] = [typescript, rust].map(side => side.get(name) ?? [])
      t.is(here.length, 1, `${name} is defined once in lib/`)
      t.is(there.length, 1, `${name} is defined once in crates/binding/`)
      t.is(here[0]?.value, there[0]?.value, name)
    }
  })
}

test('the comparison leaves out no kind of event', t => {
  // In batch.rs the kinds of events are the only constants of their type.
  const isKind = ({ file, type }) => file === 'batch.rs' && type === 'i32'
  const kinds = [...rust].filter(([, spelt]) => spelt.some(isKind))
  t.deepEqual(
    kinds.map(([name]) => name),
    kindsOfEvents,
  )
  t.is(new Set(kinds.map(([, [{ value }]]) => value)).size, kinds.length)
})

test('Rust and TypeScript agree on the flags and questions of TLS', t => {
  const flags = ['SERVER', 'REQUEST_CERTIFICATE', 'REQUIRE_CERTIFICATE', 'KEYLOG']
  const asks = ['RESUME', 'PROTOCOL', 'CONTEXT', 'STORE', 'STATUS', 'RESPONSE'].map(name => `ASK_${name}`)
  for (const name of [...flags, ...asks, 'HELLO', 'CERTIFICATE', 'STORE']) {
    const here = typescript.get(`TLS_${name}`)
    const there = rust.get(name)?.filter(({ file }) => file === 'tls.rs')
    t.is(here?.length, 1, name)
    t.is(there?.length, 1, name)
    t.is(here[0].value, there[0].value, name)
  }
})

test('Rust and TypeScript agree on the facts of a TLS session', t => {
  const listed = (file, begin, item) => {
    const source = readFileSync(join(root, file), 'utf8')
    const from = source.indexOf(begin)
    return [...source.slice(from, source.indexOf('\n]', from)).matchAll(item)].map(([, name]) =>
      name.toLowerCase(),
    )
  }
  const here = listed('lib/engine/tls.ts', 'export const FACTS = [', /^ {2}'(\w+)',$/gm)
  const there = listed('crates/binding/src/tls.rs', 'const FACTS: [', /^ {4}Fact::(\w+),$/gm)
  t.is(here.length, 17)
  t.deepEqual(here, there)
})
