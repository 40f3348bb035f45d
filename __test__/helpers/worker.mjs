// The far side of `worker(body, data)`: loads the module under test in this thread and runs the body.

import { parentPort, workerData } from 'node:worker_threads'

const { source, data, moduleName } = workerData
const { default: net } = await import(moduleName)
// biome-ignore lint/security/noGlobalEval: the source is a function of the test file
const body = globalThis.eval(`(${source})`)
await body({ net, data, port: parentPort })
