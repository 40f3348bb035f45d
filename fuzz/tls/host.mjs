// The process that judges cases for run.mjs, one after the other, over IPC: `{ seed }` comes, the verdict goes back.

import { isDeepStrictEqual } from 'node:util'
import ferronet from '../../dist/index.js'
import { exchange } from './exchange.mjs'
import { schemeOf } from './scheme.mjs'

/** How often a case that differs runs again, on each side. */
const AGAIN = 6

process.on('disconnect', () => process.exit())
if (!process.connected) process.exit()

process.on('message', async ({ seed }) => {
  const { verdict, details } = await judge(schemeOf(seed))
  process.send({ seed, verdict, details })
})

async function judge(scheme) {
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
  const details = `ferronet:\n${told([ours, ...own])}\nnode:tls:\n${told(known)}`
  return { verdict: strange.length <= AGAIN / 2 ? 'chance' : 'different', details }
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
