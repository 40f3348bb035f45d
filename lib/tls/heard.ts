// The questions of a session that the listeners of its server answer.

import type { Hearer } from './node-server.js'
import type { Wanted } from './options.js'

/** What the listeners of a server add: it keeps sessions, and knows what OCSP says. */
export function heard(wanted: Wanted, server: Hearer): void {
  wanted.server = server
  const { questions } = wanted
  const hears = (event: string): boolean => server.listenerCount(event) > 0
  const resume: typeof questions.resume = (id, done) => void server.emit('resumeSession', id, done)
  const store: typeof questions.store = (id, session, done) => keep(server, id, session, done)
  const status: typeof questions.status = (certificate, issuer, done) =>
    void server.emit('OCSPRequest', certificate, issuer, done)
  if (hears('resumeSession')) questions.resume = resume
  if (hears('newSession')) questions.store = store
  if (hears('OCSPRequest')) questions.status = status
}

/** Tells a server of a session. What a listener throws is an error of the server's, as in Node from version 24 on. */
export function keep(server: Hearer, id: Buffer, session: Buffer, done: () => void): void {
  try {
    server.emit('newSession', id, session, done)
  } catch (error) {
    done()
    server.emit('error', error)
  }
}
