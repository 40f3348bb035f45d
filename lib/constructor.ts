// Node's `net` classes are functions: programs call them without `new`, and inherit with `net.Socket.call(this)`.
// Neither works with a class, so the methods are written as a class that is never constructed, and a plain function
// takes over its prototype.

type Constructor = abstract new (...args: never[]) => object

/**
 * Gives `target` the prototype of `methods` and its parent's statics. Methods become enumerable, as Node's are
 * and as wrappers that copy them expect; so do the accessors and symbols in `shown`. Those in `fixed` cannot be redefined.
 */
export function adoptMethods(
  target: { prototype: object },
  methods: Constructor,
  { shown = [], fixed = [] }: { shown?: PropertyKey[]; fixed?: PropertyKey[] } = {},
): void {
  const prototype = methods.prototype as object
  for (const name of Reflect.ownKeys(prototype)) {
    const property = Object.getOwnPropertyDescriptor(prototype, name)!
    const method = typeof name === 'string' && typeof property.value === 'function'
    property.enumerable = name !== 'constructor' && (method || shown.includes(name))
    property.configurable = !fixed.includes(name)
    Object.defineProperty(prototype, name, property)
  }
  target.prototype = prototype
  Object.setPrototypeOf(target, Object.getPrototypeOf(methods))
  Object.defineProperty(prototype, 'constructor', { value: target, writable: true, configurable: true })
}

/** Puts values on the prototype, so that they cost an instance nothing until it has its own. */
export function setDefaults<T extends object>(prototype: T, defaults: Partial<T>): void {
  for (const key of Reflect.ownKeys(defaults)) {
    const value = defaults[key as keyof T]
    Object.defineProperty(prototype, key, { value, writable: true, configurable: true })
  }
}
