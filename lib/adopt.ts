// The connections that a Socket is made of instead of making its own: the options `handle` and `fd`.

import { adoptBound, isBound } from './bound.js'
import type { Handle } from './engine/once.js'
import { errnoException } from './errors.js'
import { adoptDescriptor, adoptNative, hasDescriptor, isNative } from './node/foreign.js'
import { ForeignHandle, foreignHandle } from './node/foreign-handle.js'
import type { SocketOptions } from './options.js'
import { type Connection, kBoundPath, kBoundSource } from './state.js'
import { invalidArgType, validateInt32 } from './validate.js'

/** The handle that the options stand for, or null; throws what the system refuses it with. */
export function handleOf(socket: Connection, options: SocketOptions): Handle | ForeignHandle | null {
  if (isBound(options.handle)) {
    const { handle, path } = adoptBound(options.handle)
    socket[kBoundSource] = true
    if (path !== undefined) socket[kBoundPath] = path
    return handle
  }
  if (options.handle) {
    if (typeof options.handle !== 'object' && typeof options.handle !== 'function') {
      throw invalidArgType('options.handle', 'an instance of BoundSocket or a handle', options.handle)
    }
    if (options.handle instanceof ForeignHandle) return options.handle
    if (!isNative(options.handle) || !hasDescriptor(options.handle)) return foreignHandle(options.handle)
    return opened(adoptNative(options.handle))
  }
  if (options.fd === undefined) return null
  validateInt32(options.fd, 'fd', 0)
  return opened(adoptDescriptor(options.fd))
}

function opened(handle: Handle | number): Handle {
  if (typeof handle === 'number') throw errnoException(handle, 'open')
  return handle
}
