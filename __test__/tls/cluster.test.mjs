// Servers of ferronet/tls in cluster workers whose primary accepts for them and distributes the connections (SCHED_RR).

import cluster from 'node:cluster'
import { declare } from '../fixtures/cluster/tls.mjs'

cluster.schedulingPolicy = cluster.SCHED_RR
declare('round robin')
