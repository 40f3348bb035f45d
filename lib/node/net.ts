// Node's own `net`, for ferronet's files. It comes from the loader and not from `require`: tracers that wrap `require`
// remember what they see there as the `net` that programs get, and with the register hook that is ferronet.
//
// `Module._load` is not documented. Seen in Node 20 to 26; node-insides.test.mjs notices when it changes. A bundler's
// `node:module` may lack it, and Bun 1.4's returns nothing for a builtin.

import Module = require('node:module')

import type * as net from 'node:net'

const { _load } = Module as unknown as {
  _load?(request: string, parent: NodeJS.Module, isMain: boolean): unknown
}

export const nodeNet = (_load?.('node:net', module, false) ?? require('node:net')) as typeof net
