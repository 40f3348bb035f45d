// The process that judges cases for run.mjs, one after the other, over IPC: `{ seed }` comes, the verdict goes back.
// `host.mjs <module>`: what is judged.

import { isDeepStrictEqual } from 'node:util'
import { exchange } from './exchange.mjs'
import { schemeOf } from './scheme.mjs'

/** How often a case that differs runs again, on each side. */
const AGAIN = 6

process.on('disconnect', () => process.exit())
if (!process.connected) process.exit()

const loaded = import(process.argv[2])

process.on('message', async ({ seed }) => {
  const { verdict, details } = await judge(schemeOf(seed), (await loaded).default)
  process.send({ seed, verdict, details })
})

async function judge(scheme, ferronet) {
  const ours = await exchange(scheme, ferronet)
  const theirs = await exchange(scheme, null)
  if (arrivedWrong(ours)) return { verdict: 'wrong', details: told([ours]) }
  if (isDeepStrictEqual(ours, theirs)) return { verdict: 'alike', details: told([ours]) }
  // Which of two ends is faster is left to chance, and so may be what it comes to.
  const [own, other] = [[], []]
  for (let i = 0; i < AGAIN; i++) {
    own.push(await exchange(scheme, ferronet, true))
    other.push(await exchange(scheme, null, true))
  }
  if (own.some(arrivedWrong)) return { verdict: 'wrong', details: told(own) }
  const known = [theirs, ...other]
  const strange = own.filter(one => !known.some(each => isDeepStrictEqual(one, each)))
  if (own.every(one => known.some(each => isKnown(scheme, one, each))))
    return { verdict: 'known', details: '' }
  const details = `ferronet:\n${told([ours, ...own])}\nnode:tls:\n${told(known)}`
  return { verdict: strange.length <= AGAIN / 2 ? 'chance' : 'different', details }
}

/** Differences that are to be. */
function isKnown({ role, changes }, ours, theirs) {
  const [own, other] = [ours[role], theirs[role]]
  if (own.received !== other.received || own.secure !== other.secure) return false
  // When Node has ended its side it drops what is wrong with the rest: its second SSL_shutdown() reads and nobody looks.
  const all = other.outcome === 'closed' && own.outcome.startsWith('ERR_SSL_')
  // Old versions of libuv tell of a reset behind bytes as of an end.
  const reset = other.outcome === 'closed' && own.outcome === 'ECONNRESET'
  // All records of a read are opened before the first is delivered. Behind a broken one nothing can be answered any more.
  const answered = own.outcome === other.outcome && own.outcome.startsWith('ERR_SSL_')
  return all || answered || (reset && changes.some(({ kind }) => kind === 'reset'))
}

/** Each outcome once. */
function told(outcomes) {
  const spelt = ({ secure, ended, outcome, received, wrong }) =>
    [secure ? 'secure' : 'not secure', ended && 'end', `${received} bytes`, wrong, outcome]
      .filter(Boolean)
      .join(', ')
  const lines = outcomes.map(({ client, server }) => `  client: ${spelt(client)}; server: ${spelt(server)}`)
  return [...new Set(lines)].join('\n')
}

function arrivedWrong({ client, server }) {
  return client.wrong !== undefined || server.wrong !== undefined
}
