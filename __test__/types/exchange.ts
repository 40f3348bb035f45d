// What is typed for node:net takes ours and the other way round. Never run.

import type * as nodeNet from 'node:net'
import * as ferronet from 'ferronet'

export function given(node: { socket: nodeNet.Socket; server: nodeNet.Server }) {
  const socket: ferronet.Socket = node.socket
  const server: ferronet.Server = node.server
  return { socket, server }
}

export function taken(ours: { socket: ferronet.Socket; server: ferronet.Server }) {
  const socket: nodeNet.Socket = ours.socket
  const server: nodeNet.Server = ours.server
  return { socket, server }
}

type Functions =
  | 'connect'
  | 'createConnection'
  | 'createServer'
  | 'getDefaultAutoSelectFamily'
  | 'getDefaultAutoSelectFamilyAttemptTimeout'
  | 'isIP'
  | 'isIPv4'
  | 'isIPv6'
  | 'setDefaultAutoSelectFamily'
  | 'setDefaultAutoSelectFamilyAttemptTimeout'
type Classes = 'BlockList' | 'SocketAddress'

export const replacement: Pick<typeof nodeNet, Functions | Classes> = ferronet
export const makesSockets: new (options?: nodeNet.SocketConstructorOpts) => nodeNet.Socket = ferronet.Socket
export const makesServers: new (options?: nodeNet.ServerOpts) => nodeNet.Server = ferronet.Server
