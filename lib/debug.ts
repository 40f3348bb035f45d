// What ferronet does, line by line on stderr, with NODE_DEBUG=net (beside Node's own lines) or NODE_DEBUG=ferronet.

import { debuglog } from 'node:util'

const own = debuglog('ferronet')
const nets = debuglog('net')

/** Checked before a line is put together, so that only those who want the lines pay for them. */
export const debugging: boolean = own.enabled || nets.enabled

/** Formats like `util.format`. */
export const debug: (format: string, ...values: unknown[]) => void = own.enabled ? own : nets
