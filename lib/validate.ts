// What an argument must be, and Node's error if it is not. Each check throws; none converts. The messages are Node's to
// the letter, because programs and tests compare them.

import type { BlockList } from 'node:net'
import { inspect } from 'node:util'
import { nodeError } from './errors.js'
import { isNodes, kindOfOurs } from './node/instances.js'
import { nodeNet } from './node/net.js'

// --- messages ---------------------------------------------------------------------------------------------------

function received(value: unknown): string {
  if (value === null || value === undefined) return `${value}`
  switch (typeof value) {
    case 'function':
      return `function ${value.name}`
    case 'object': {
      const name = value.constructor?.name
      return typeof name === 'string' && name !== ''
        ? `an instance of ${name}`
        : inspect(value, { depth: -1 })
    }
    case 'string': {
      const shown = value.length > 28 ? `${value.slice(0, 25)}...` : value
      return `type string (${shown.includes("'") ? JSON.stringify(shown) : `'${shown}'`})`
    }
    case 'number':
      return `type number (${Object.is(value, -0) ? '-0' : value})`
    case 'bigint':
      return `type bigint (${value}n)`
    default:
      return `type ${typeof value} (${String(value)})`
  }
}

function kindOf(name: string): string {
  return name.includes('.') ? 'property' : 'argument'
}

/** `expected` continues "must be": `of type string`, `an instance of AbortSignal`. */
export function invalidArgType(name: string, expected: string, value: unknown): Error {
  const message = `The "${name}" ${kindOf(name)} must be ${expected}. Received ${received(value)}`
  return nodeError(TypeError, 'ERR_INVALID_ARG_TYPE', message)
}

/** The same where classes of several modules have one name: it says whose the value is. */
export function invalidInstance(name: string, expected: string, value: unknown): Error {
  const whose =
    kindOfOurs(value) !== null
      ? "ferronet's"
      : isNodes(value)
        ? "Node's"
        : isCopys(value)
          ? "another copy's"
          : ''
  const shown =
    whose === '' ? received(value) : received(value).replace('instance of', `instance of ${whose}`)
  return nodeError(
    TypeError,
    'ERR_INVALID_ARG_TYPE',
    `The "${name}" ${kindOf(name)} must be ${expected}. Received ${shown}`,
  )
}

/** A Socket of a ferronet that is installed somewhere else. */
function isCopys(value: unknown): boolean {
  const { sendFile, startTLS } = (value ?? {}) as Record<string, unknown>
  return typeof sendFile === 'function' && typeof startTLS === 'function'
}

export function invalidArgValue(name: string, value: unknown, reason = 'is invalid'): Error {
  let shown = inspect(value)
  if (shown.length > 128) shown = `${shown.slice(0, 128)}...`
  const message = `The ${kindOf(name)} '${name}' ${reason}. Received ${shown}`
  return nodeError(TypeError, 'ERR_INVALID_ARG_VALUE', message)
}

export function outOfRange(name: string, range: string, value: unknown): Error {
  let shown = inspect(value)
  if (Number.isInteger(value) && Math.abs(value as number) > 2 ** 32) {
    shown = String(value).replace(/\B(?=(\d{3})+$)/g, '_')
  }
  const message = `The value of "${name}" is out of range. It must be ${range}. Received ${shown}`
  return nodeError(RangeError, 'ERR_OUT_OF_RANGE', message)
}

export function missingArgs(...names: string[]): Error {
  const message = `The ${names.map(name => `"${name}"`).join(' or ')} argument must be specified`
  return nodeError(TypeError, 'ERR_MISSING_ARGS', message)
}

// --- checks -----------------------------------------------------------------------------------------------------

export function validateString(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw invalidArgType(name, 'of type string', value)
}

/** A host name; a NUL byte would end it early in the resolver. */
export function validateHost(value: unknown, name: string): asserts value is string {
  validateString(value, name)
  if (value.includes('\0')) throw invalidArgValue(name, value, 'must be a string without null bytes')
}

export function validateNumber(value: unknown, name: string): asserts value is number {
  if (typeof value !== 'number') throw invalidArgType(name, 'of type number', value)
}

export function validateInt32(value: unknown, name: string, min = -2147483648, max = 2147483647): void {
  validateNumber(value, name)
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  if (value < min || value > max) throw outOfRange(name, `>= ${min} && <= ${max}`, value)
}

export function validateBoolean(value: unknown, name: string): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidArgType(name, 'of type boolean', value)
}

export function validateBuffer(value: unknown, name: string): asserts value is Buffer {
  if (!ArrayBuffer.isView(value))
    throw invalidArgType(name, 'an instance of Buffer, TypedArray, or DataView', value)
}

export function validateObject(value: unknown, name: string): void {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw invalidArgType(name, 'of type object', value)
}

export function validateFunction(value: unknown, name: string): void {
  if (typeof value !== 'function') throw invalidArgType(name, 'of type function', value)
}

/** 0–65535, as a number or as what `Number` reads in a string that is not blank. */
export function validatePort(value: unknown, name: string): void {
  const port = typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value)
  if ((typeof value === 'number' || typeof value === 'string') && port >>> 0 === port && port <= 65535) return
  const message = `${name} should be >= 0 and < 65536. Received ${received(value)}.`
  throw nodeError(RangeError, 'ERR_SOCKET_BAD_PORT', message)
}

export function validateAbortSignal(value: unknown, name: string): asserts value is AbortSignal {
  if (value === null || typeof value !== 'object' || !('aborted' in value)) {
    throw invalidArgType(name, 'an instance of AbortSignal', value)
  }
}

const isBlockList: (value: unknown) => boolean =
  (nodeNet.BlockList as { isBlockList?(value: unknown): boolean }).isBlockList ??
  (value => value instanceof nodeNet.BlockList)

export function validateBlockList(value: unknown, name: string): asserts value is BlockList {
  if (!isBlockList(value)) throw invalidArgType(name, 'an net.BlockList', value)
}

const TIMEOUT_MAX = 2 ** 31 - 1

/** Milliseconds a timer can run: not negative, at most 2^31 - 1 (longer warns and is cut to that). */
export function timerDuration(value: unknown, name: string): number {
  validateNumber(value, name)
  if (value < 0 || !Number.isFinite(value)) throw outOfRange(name, 'a non-negative finite number', value)
  if (value > TIMEOUT_MAX) {
    process.emitWarning(
      `${value} does not fit into a 32-bit signed integer.\nTimer duration was truncated to ${TIMEOUT_MAX}.`,
      'TimeoutOverflowWarning',
    )
    return TIMEOUT_MAX
  }
  return value
}

/** `keepAliveInitialDelay` in milliseconds; a negative one counts as 0 and is corrected in the caller's options. */
export function validateKeepAliveDelay(
  options: { keepAliveInitialDelay?: number | undefined } | undefined,
): void {
  if (options?.keepAliveInitialDelay === undefined) return
  validateNumber(options.keepAliveInitialDelay, 'options.keepAliveInitialDelay')
  if (options.keepAliveInitialDelay < 0) options.keepAliveInitialDelay = 0
}
