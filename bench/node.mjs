// The Node to measure under: a path as it is, or a version that scripts/node.mjs fetches once.

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { node } from '../scripts/node.mjs'

/** The binary's path; throws when there is no such path or version. */
export function findNode(wanted) {
  if (/^\d+(\.\d+){0,2}$/.test(wanted)) return node(wanted)
  if (!existsSync(wanted)) throw new Error(`no such Node: ${wanted} (a path, or a version such as 24)`)
  return resolve(wanted)
}
