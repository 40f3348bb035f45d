// Where the two ends of a socket are, as the addon spells it and as people read it.

export interface Endpoint {
  address: string
  family: 'IPv4' | 'IPv6'
  port: number
}

/** From "4 127.0.0.1 80", "6 ::1 80" or "p /a/path"; a path comes as a string, an error number as it is. */
export function parseEndpoint(found: string | number): Endpoint | string | number {
  if (typeof found === 'number') return found
  if (found.startsWith('p ')) return found.slice(2)
  const [family, address, port] = found.split(' ')
  return { address: address!, family: family === '4' ? 'IPv4' : 'IPv6', port: Number(port) }
}

/** `address:port` or the path; undefined for an error number. */
export function spelled(end: Endpoint | string | number): string | undefined {
  if (typeof end === 'number') return undefined
  if (typeof end === 'string') return end
  return end.family === 'IPv6' ? `[${end.address}]:${end.port}` : `${end.address}:${end.port}`
}
