// The far side of `worker(body, data)`: loads the module under test in this thread and runs the body.

import { parentPort, workerData } from 'node:worker_threads'

const { source, data, moduleName } = workerData
const { default: net } = await import(moduleName)
// biome-ignore lint/security/noGlobalEval: the source is a function of the test file
await (0, eval)(`(${source})`)({ net, data, port: parentPort })
