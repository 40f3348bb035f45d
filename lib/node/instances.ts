// What `instanceof` says of Node's own sockets and servers. Usually it is false for ferronet's classes. Under the
// register hook a program knows one `net` only, but also meets Node's sockets, in http and tls: there `request.socket
// instanceof net.Socket` is true. Relies on nothing undocumented in Node 20 to 26; node-insides.test.mjs and
// register.test.mjs hold it.

interface Class {
  readonly prototype: object
}

const ordinary = Function.prototype[Symbol.hasInstance]

const pairs: [ours: Class, nodes: Class][] = []
/** If this file is loaded again in a thread, the hook may have told the first copy already. */
let accepting = Symbol.for('ferronet.registered') in globalThis

/** Plain `instanceof`, whatever `Symbol.hasInstance` the class has. */
export function isInstance<T extends object>(base: { prototype: T }, value: unknown): value is T {
  return ordinary.call(base, value)
}

/** Registers the class of Node's that `ours` stands for. */
export function standsFor(ours: Class, nodes: Class): void {
  pairs.push([ours, nodes])
  if (accepting) acceptInstances(ours, nodes)
}

/** The name of ferronet's class that this is an instance of, or null. */
export function kindOfOurs(value: unknown): string | null {
  const pair = pairs.find(([ours]) => isInstance(ours, value))
  return pair === undefined ? null : (pair[0] as unknown as { name: string }).name
}

/** Whether it is an instance of a class of Node's that one of ours stands for. */
export function isNodes(value: unknown): boolean {
  return pairs.some(([, nodes]) => isInstance(nodes, value))
}

/** From now on Node's instances are instances of ours, also of classes that are registered later. */
export function acceptNodeInstances(): void {
  accepting = true
  for (const [ours, nodes] of pairs) acceptInstances(ours, nodes)
}

/** Node's instances are instances of ours. */
export function acceptInstances(ours: Class, nodes: Class): void {
  Object.defineProperty(ours, Symbol.hasInstance, {
    // Heirs of ours inherit this, and get the ordinary answer.
    value(this: Class, value: unknown): boolean {
      return isInstance(this, value) || (this === ours && isInstance(nodes, value))
    },
    writable: true,
    configurable: true,
  })
}
