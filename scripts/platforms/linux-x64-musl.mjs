// See musl.mjs.

import { musl } from './musl.mjs'

await musl('x64')
