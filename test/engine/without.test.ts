/**
 * What makes it faster makes nothing else: a network in which something is left out, and one in which nothing is, do the same, whatever happens;
 * frame by frame, count by count. (Of what joins and cuts, tunnel-slices.test.ts and tunnel-stream.test.ts say as much.)
 */
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { COALESCE, type Optimisation, type Without } from '../../src/optimisations.js'
import { assertSame } from '../helpers/same.js'
import { createMesh } from './mesh.js'
import { carry, events } from './traffic.js'

/** Those by which not even a moment or a frame's form changes. */
const SAME: Optimisation[] = [
  'fast-path', 'bridge-cache', 'trie-routes', 'aligned-headers', 'shared-frames', 'headroom', 'native-sums'
]

/** Copies that share their bytes are joined to nothing, so where they have bytes of their own nothing else is joined either. */
const beside = (without: Without): Without => without.includes('shared-frames') ? COALESCE : []

const runs = (t: ExecutionContext, sets: fc.Arbitrary<Optimisation[]>, numRuns: number): void =>
  fc.assert(fc.property(sets, events, fc.integer({ min: 1, max: 12 }), fc.nat(1000), (without, list, perTurn, seed) => {
    const other = beside(without)
    const mesh = (left: Without) => carry(createMesh(seed, undefined, { without: left }), list, perTurn)
    assertSame(t, mesh([...without, ...other]), mesh(other))
  }), { numRuns })

for (const name of SAME) test(`whatever happens: without ${name} it is the same`, (t) => runs(t, fc.constant([name]), 25))

test('whatever happens: without some of them, and without all, it is the same', (t) =>
  runs(t, fc.oneof(fc.constant(SAME), fc.subarray(SAME, { minLength: 2 })), 50))
