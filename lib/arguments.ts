// The arguments of `connect()` and `listen()`: the overloads that the two have in common, as one shape.

/** What `connect` and `listen` take apart: any shape of options object, or what the other overloads stand for. */
export interface AnyOptions {
  [option: string]: unknown
  port?: unknown
  host?: unknown
  path?: unknown
}

export type NormalizedArgs = [options: AnyOptions, callback: ((...args: unknown[]) => void) | null]

const kNormalized = Symbol('ferronet.normalizedArgs')

/** Whether a string is a path: anything but a number that is not negative. */
export function isPipeName(value: unknown): value is string {
  return typeof value === 'string' && !(Number(value) >= 0)
}

/** `(options[, cb])`, `(path[, cb])` or `([port][, host][, cb])` as `[options, cb | null]`. */
export function normalizeArgs(args: unknown[]): NormalizedArgs {
  const [first, second] = args
  const last = args.at(-1)
  let options: AnyOptions = {}
  if (typeof first === 'object' && first !== null) options = first as AnyOptions
  else if (isPipeName(first)) options.path = first
  else if (args.length > 0) {
    options.port = first
    if (typeof second === 'string') options.host = second
  }
  const normalized: NormalizedArgs = [
    options,
    typeof last === 'function' ? (last as NormalizedArgs[1]) : null,
  ]
  // A plain property: defining one that is not enumerable took 1 % of a connection's time (2026-11).
  ;(normalized as { [kNormalized]?: true })[kNormalized] = true
  return normalized
}

export function isNormalized(value: unknown): value is NormalizedArgs {
  return Array.isArray(value) && kNormalized in value
}
