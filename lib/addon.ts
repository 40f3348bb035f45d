// Loads the addon. What the generated loader throws is about npm and about every platform it tried; here it becomes
// one error about this platform.

import type * as binding from '#binding'

export const { open } = load()

function load(): typeof binding {
  try {
    return require('#binding')
  } catch (error) {
    throw Object.assign(new Error(explain(error), { cause: error }), { code: 'ERR_FERRONET_ADDON' })
  }
}

function explain(error: unknown): string {
  const { platform, arch, version } = process
  const lines = [`ferronet cannot load its native addon on ${platform} ${arch}, Node ${version}.`]
  const telling = reasons(error).find(({ code }) => code !== 'MODULE_NOT_FOUND')
  if (telling?.code === 'ERR_DLOPEN_DISABLED') {
    lines.push('Addons are disabled: --permission needs --allow-addons, and --no-addons excludes ferronet.')
  } else if (telling !== undefined) {
    lines.push(telling.message)
  } else {
    lines.push(
      'No binary for this platform is installed. They are optional dependencies, @ferronet/binding-*: ' +
        'were they left out, or node_modules copied from another platform?',
    )
  }
  if (Symbol.for('ferronet.registered') in globalThis) {
    lines.push('Without ferronet/register, or with FERRONET_REGISTER=0, this program runs on node:net.')
  }
  return lines.join('\n')
}

/** The loader's attempts, in order: each error has the one before it as its cause, and the first is its summary. */
function reasons(error: unknown): NodeJS.ErrnoException[] {
  const found: NodeJS.ErrnoException[] = []
  for (let next = (error as Error)?.cause; next instanceof Error; next = next.cause) found.unshift(next)
  return found.length > 0 ? found : [error as Error]
}
