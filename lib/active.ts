// What keeps the process alive? Node's own answer, `process.getActiveResourcesInfo()`, lists what is made of Node's
// classes and nothing else; this is ours.

import { type Facts, openHandles, spelled } from './engine/once.js'
import type { Server, Socket } from './types.js'

/** A connection or listener of this thread, as it was when `activeHandles()` was called. */
export interface ActiveHandle {
  /** Node's word for it in `process.getActiveResourcesInfo()`. */
  type: 'TCPSocketWrap' | 'TCPServerWrap' | 'PipeWrap'
  /** `address:port`, or a path. */
  local: string | undefined
  remote: string | undefined
  /** -1 once it is closed, and where sockets have none. */
  fd: number
  listening: boolean
  /** Whether bytes are asked for: a socket that is paused does not keep the process alive. */
  reading: boolean
  /** What was asked for and is not done; each keeps the process alive, referenced or not. */
  requests: Facts['requests']
  referenced: boolean
  keepsAlive: boolean
  /** The Socket or Server; null for a BoundSocket, and for what is on its way to a new owner. */
  owner: Socket | Server | null
}

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
