// Loads the addon. What the generated loader throws is about npm and about every platform it tried; here it becomes
// one error about this platform.

import type * as binding from '#binding'

export const { open } = load()

function load(): typeof binding {
  try {
    return require('#binding')
  } catch (error) {
    const cause = tellingReason(error)
    throw Object.assign(new Error(explain(cause), { cause }), { code: 'ERR_FERRONET_ADDON' })
  }
}

function explain(reason: Error | undefined): string {
  const { platform, arch, version } = process
  const lines = [`ferronet cannot load its native addon on ${platform} ${arch}, Node ${version}.`]
  if (reason === undefined) {
    lines.push(
      'No binary for this platform is installed. Binaries are optional dependencies, @ferronet/binding-*: ' +
        'were those left out, or was node_modules copied from another platform?',
    )
  } else if (/loading addons is disabled/.test(reason.message)) {
    lines.push('Addons are disabled: --permission needs --allow-addons, and --no-addons rules ferronet out.')
  } else {
    lines.push(reason.message)
  }
  if (Symbol.for('ferronet.registered') in globalThis)
    lines.push('With FERRONET_REGISTER=0 this program runs on node:net.')
  return lines.join('\n')
}

/**
 * The first failure that is not about a file that is missing. The loader throws a summary, behind which its attempts
 * stand as a chain of causes, the last one first.
 */
function tellingReason(error: unknown): Error | undefined {
  const attempts: Error[] = []
  for (let next = error; next instanceof Error; next = next.cause) attempts.unshift(next)
  return attempts.find(({ message }) => !/^Cannot find (module|native binding)/.test(message))
}
