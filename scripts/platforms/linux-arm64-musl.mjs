// See musl.mjs.

import { musl } from './musl.mjs'

await musl('arm64')
