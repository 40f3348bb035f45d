// `ferronet/register`, for --import, --require or the first line of a program: from here on `net` is ferronet for
// everything but Node itself, in this thread, in its workers and in the processes it starts.
//
// A child may run any Node that honours NODE_OPTIONS, so this file and what it always loads must run in Node 14.18.

import { register } from './lib/register.js'

register()
