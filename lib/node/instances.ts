// What `instanceof` says of Node's own sockets and servers. By itself ferronet tells them from its own. Under the
// register hook a program knows one `net` only, and also meets Node's sockets, in http and tls: there
// `request.socket instanceof net.Socket` is true.

interface Class {
  readonly prototype: object
}

const ordinary = Function.prototype[Symbol.hasInstance]

const pairs: [ours: Class, nodes: Class][] = []
/** When this file is loaded again in a thread, the hook is there already, and another copy of the file was told. */
let accepting = Symbol.for('ferronet.registered') in globalThis

/** Plain `instanceof`, whatever the class has been taught. */
export function isInstance<T extends object>(base: { prototype: T }, value: unknown): value is T {
  return ordinary.call(base, value)
}

/** Names the class of Node's that `ours` stands for. */
export function standsFor(ours: Class, nodes: Class): void {
  pairs.push([ours, nodes])
  if (accepting) accept(ours, nodes)
}

/** Which of ferronet's classes this is an instance of, by its name; null when it is none. */
export function kindOfOurs(value: unknown): string | null {
  const pair = pairs.find(([ours]) => isInstance(ours, value))
  return pair === undefined ? null : (pair[0] as unknown as { name: string }).name
}

/** From now on, and for classes that are named later too, Node's instances are instances of ours. */
export function acceptNodeInstances(): void {
  accepting = true
  for (const [ours, nodes] of pairs) accept(ours, nodes)
}

function accept(ours: Class, nodes: Class): void {
  Object.defineProperty(ours, Symbol.hasInstance, {
    // Heirs of ours inherit this, and get the ordinary answer.
    value(this: Class, value: unknown): boolean {
      return isInstance(this, value) || (this === ours && isInstance(nodes, value))
    },
    writable: true,
    configurable: true,
  })
}
