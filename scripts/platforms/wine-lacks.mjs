// What the tests cannot show under Wine, each with what was seen. On Windows itself all of them run.

/** Files that need what is not there at all. */
export const NOT_HERE = [
  {
    files: /^__test__\/clients\//,
    reason: 'the servers that the clients talk to (PostgreSQL, Redis and others) are not there',
  },
]

/**
 * Tests that fail because of Wine: `seen` has to be in the text of the failure, so that another failure of the same test
 * counts.
 */
export const LACKING = [
  {
    file: 'pipes/listening.test.mjs',
    title: 'the name is in use',
    seen: /node:net: Error: not finished/,
    reason:
      'Wine lets a second server have the name: it ignores FILE_FLAG_FIRST_PIPE_INSTANCE (no error came)',
  },
]
