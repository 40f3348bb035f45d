// What keeps the process alive? Node's own answer, `process.getActiveResourcesInfo()`, lists what is made of Node's
// classes and nothing else; this is ours.

import { openHandles, spelled } from './engine/once.js'
import type { ActiveHandle } from './types.js'

/** What is open in this thread, or on its way to be closed. */
export function activeHandles(): ActiveHandle[] {
  return openHandles().map(handle => {
    const { server, listening, requests, referenced, keepsAlive } = handle.facts()
    const type = handle.kind === 'pipe' ? 'PipeWrap' : server ? 'TCPServerWrap' : 'TCPSocketWrap'
    const local = spelled(handle.sockname()) || undefined
    const remote = spelled(handle.peername()) || undefined
    const { fd, reading } = handle
    const owner = handle.owner as ActiveHandle['owner']
    return { type, local, remote, fd, listening, reading, requests, referenced, keepsAlive, owner }
  })
}
