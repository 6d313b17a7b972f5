import test from 'ava'
import fc from 'fast-check'
import { attachPosts, createPosts, retire, type Posts } from '../../src/core/posts.js'

const RECORDS = 4096

const post = (posts: Posts, value: number, urgent = false): boolean => {
  const at = posts.begin()
  if (at < 0) return false
  posts.words[at] = value
  posts.commit(urgent)
  return true
}

const taken = (posts: Posts): number[] => {
  const values: number[] = []
  posts.take((at) => values.push(posts.words[at]!))
  return values
}

test('every worker reads what the others post, in their order, once', (t) => {
  const memory = createPosts(3)
  const [a, b, c] = [0, 1, 2].map((w) => attachPosts(memory, 3, w)) as [Posts, Posts, Posts]
  for (const value of [1, 2]) post(a, value)
  post(b, 3)
  t.true(c.pending())
  t.deepEqual(taken(c), [1, 2, 3])
  t.false(c.pending())
  t.deepEqual(taken(a), [3])
  t.deepEqual(taken(b), [1, 2])
  t.deepEqual(taken(b), [])
})

test('a record that would run over an unread one is lost and counted; who is gone is not waited for', (t) => {
  const memory = createPosts(2)
  const [a, b] = [attachPosts(memory, 2, 0), attachPosts(memory, 2, 1)]
  for (let i = 0; i < RECORDS; i++) t.true(post(a, i))
  t.false(post(a, -1))
  t.is(a.lost(), 1)
  const seen: number[] = []
  while (b.pending()) seen.push(...taken(b))
  t.deepEqual(seen, Array.from({ length: RECORDS }, (_, i) => i))
  retire(memory, 2, 1)
  for (let i = 0; i < 2 * RECORDS; i++) t.true(post(a, i))
  const again = attachPosts(memory, 2, 1)
  t.false(again.pending(), 'what was posted before is not read')
  post(a, 7)
  t.deepEqual(taken(again), [7])
})

test('sleepers are woken for what is urgent, and before the ring is full', (t) => {
  const memory = createPosts(3)
  const [a, b] = [attachPosts(memory, 3, 0), attachPosts(memory, 3, 1)]
  attachPosts(memory, 3, 2)
  const woken: number[] = []
  const wake = (worker: number): number => woken.push(worker)
  b.sleeps()
  post(a, 1)
  a.wakeOthers(wake)
  t.deepEqual(woken, [], 'it can wait')
  post(a, 2, true)
  a.wakeOthers(wake)
  a.wakeOthers(wake)
  t.deepEqual(woken, [1], 'once, and nobody who is awake')
  t.deepEqual(taken(b), [1, 2])
  b.sleeps()
  for (let i = 0; i < RECORDS / 2; i++) post(a, i)
  a.wakeOthers(wake)
  t.deepEqual(woken, [1, 1])
})

test('whatever is posted and taken in whatever order: nothing is read twice, changed, or out of order', (t) => {
  const step = fc.record({ worker: fc.nat(2), count: fc.nat(1500), takes: fc.boolean() })
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const memory = createPosts(3)
    const posts = [0, 1, 2].map((w) => attachPosts(memory, 3, w))
    const sent: number[][] = [[], [], []]
    const got = posts.map(() => [[], [], []] as number[][])
    let next = 0
    for (const { worker, count, takes } of steps) {
      if (takes) for (const v of taken(posts[worker]!)) got[worker]![v % 3]!.push(v)
      else for (let i = 0; i < count; i++) {
        const value = 3 * next++ + worker
        if (post(posts[worker]!, value)) sent[worker]!.push(value)
      }
    }
    for (const [w, p] of posts.entries()) while (p.pending()) for (const v of taken(p)) got[w]![v % 3]!.push(v)
    for (const reader of [0, 1, 2]) for (const writer of [0, 1, 2]) {
      const expected = reader === writer ? [] : sent[writer]!
      const actual = got[reader]![writer]!
      if (actual.length !== expected.length || actual.some((v, i) => v !== expected[i])) throw new Error(`${reader} from ${writer}`)
    }
  }), { numRuns: 50 })
  t.pass()
})
