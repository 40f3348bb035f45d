// The same in a CommonJS module, where a default import means `exports.default`. Never run.

import net, * as namespace from 'ferronet'

import required = require('ferronet')

export const socket: net.Socket = new namespace.Socket()
export const server: required.Server = net.createServer((peer: net.Socket) => peer.end())
