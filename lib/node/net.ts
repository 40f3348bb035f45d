// Node's own `net`, for ferronet's files. Asked of the loader: tracers that wrap `require` take whatever passes there
// under the name of `net` for the one that programs get, and with the register hook that is ferronet.

import Module = require('node:module')

import type * as net from 'node:net'

const { _load } = Module as unknown as {
  _load?(request: string, parent: NodeJS.Module, isMain: boolean): unknown
}

export const nodeNet = (_load ? _load('node:net', module, false) : require('node:net')) as typeof net
