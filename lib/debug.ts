// What ferronet does, line by line on stderr, with NODE_DEBUG=net (beside Node's own lines) or NODE_DEBUG=ferronet.

import { debuglog } from 'node:util'

const own = debuglog('ferronet')
const nets = debuglog('net')

/** Asked before each line is put together: nobody else pays for it. */
export const debugging: boolean = own.enabled || nets.enabled

/** Formats like `util.format`. */
export const debug: (format: string, ...values: unknown[]) => void = own.enabled ? own : nets
