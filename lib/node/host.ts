// Which host this is, for what no probe tells. Bun and Deno give themselves out for Node (`process.versions.node`).

/** 'Node', 'Bun' or 'Deno'. */
export const host =
  process.versions.bun !== undefined ? 'Bun' : process.versions.deno !== undefined ? 'Deno' : 'Node'

/** Whether the host's event loop, and what is under its own `net`, is libuv. */
export const libuv = host === 'Node'
