// Node's protocol between a handle and its Socket: requests, and an array of numbers in which the handle says beside
// its result, or beside `onread`, what happened. Node shows both through `process.binding` only (Node 20 to 26), so this
// is asked for when a program brings a handle of its own, and not before.

/** A request as a handle gets it: it calls `oncomplete` when done. */
export interface Request {
  oncomplete?: (status: number, ...more: unknown[]) => void
  [fact: string]: unknown
}

type RequestClass = new (...args: number[]) => Request

interface StreamWrap {
  WriteWrap: RequestClass
  ShutdownWrap: RequestClass
  streamBaseState: Int32Array
  kReadBytesOrError: number
  kArrayBufferOffset: number
  kBytesWritten: number
  /** Up to Node 24: whether the write goes on after the call. */
  kLastWriteWasAsync: number
  /** From Node 26 on, where writes are given no request and return one when they go on. */
  kLastWriteErr?: number
}

let streamWrap: StreamWrap | undefined

/** The classes of requests and the array. */
export function streamBase(): StreamWrap {
  streamWrap ??= (binding('stream_wrap') as unknown as StreamWrap | undefined) ?? imitation()
  return streamWrap
}

/** The request of a connect: TCP's, or a pipe's. */
export function connectRequest(kind: 'tcp' | 'pipe'): Request {
  const name = kind === 'tcp' ? 'TCPConnectWrap' : 'PipeConnectWrap'
  const Wrap = binding(`${kind}_wrap`)?.[name] as RequestClass | undefined
  return Wrap === undefined ? {} : new Wrap()
}

/** What Node's own code finds under this name; undefined where Node denies it, as to a process with permissions. */
export function binding(name: string): Record<string, unknown> | undefined {
  // `--pending-deprecation` warns of this call. The program cannot do anything about it. With `--no-deprecation` the
  // property is there, and read-only.
  const before = Object.getOwnPropertyDescriptor(process, 'noDeprecation')
  const isSilent = process.noDeprecation === true
  try {
    if (!isSilent) process.noDeprecation = true
    return (process as unknown as { binding(name: string): Record<string, unknown> }).binding(name)
  } catch {
    return undefined
  } finally {
    if (before === undefined) Reflect.deleteProperty(process, 'noDeprecation')
    else if (!isSilent) Object.defineProperty(process, 'noDeprecation', before)
  }
}

function imitation(): StreamWrap {
  return {
    WriteWrap: class WriteWrap {} as RequestClass,
    ShutdownWrap: class ShutdownWrap {} as RequestClass,
    streamBaseState: new Int32Array(4),
    kReadBytesOrError: 0,
    kArrayBufferOffset: 1,
    kBytesWritten: 2,
    kLastWriteWasAsync: 3,
  }
}
