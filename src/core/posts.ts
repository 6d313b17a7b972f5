/**
 * Posts: what the workers of one data plane tell each other, in shared memory. Each worker writes records of 16 words into a ring of its
 * own, which all others read: a post costs the same for two workers as for sixteen. Nobody waits for anybody: a record that would run
 * over one that somebody has not read yet is lost, and counted.
 *
 * Head and tails count records modulo 2^32. A cell that somebody writes shares its cache line with no cell that somebody else writes.
 * A sleeper says so before it looks for posts a last time, and who posts looks for sleepers after it has published: of the two, at
 * least one sees the other.
 */

/** int32 words of a record; a cache line. */
export const POST_WORDS = 16
/** Most workers of a data plane. */
export const MAX_WORKERS = 64

/** Records in a ring. */
const RECORDS = 4096
/** Of one writer's records, most that are read in a turn: traffic goes on in between. */
const RECORDS_A_TURN = 1024

// Cells of a worker, a cache line each: records published, 1 while it sleeps, 1 while it reads what the others post
const LINE = 16
const HEAD = 0
const ASLEEP = LINE
const READS = 2 * LINE
const TAILS = 3 * LINE // how far it has read the others' rings

export interface Posts {
  readonly worker: number
  readonly workers: number
  /** Where records lie. */
  readonly words: Int32Array
  /** Index in `words` of a record to be filled; -1 when there is no room, which is counted. */
  begin(): number
  /** Publishes the record that `begin` gave. With `urgent`, sleepers shall be woken for it by `wakeOthers`. */
  commit(urgent: boolean): void
  /** Calls `visit` with the index of every record that is new, in the order of its writer; bounded in a turn. Returns how many. */
  take(visit: (at: number) => void): number
  /** Is there a record that was not taken? */
  pending(): boolean
  /** This worker is about to sleep. Afterwards, `pending` is to be asked once more. */
  sleeps(): void
  /** It does not sleep (any more). */
  wakes(): void
  /** Calls `wake` for sleepers that are to read what was posted since the last call. */
  wakeOthers(wake: (worker: number) => void): void
  /** Records of this worker's own that found no room. */
  lost(): number
}

const lines = (words: number): number => Math.ceil(words / LINE) * LINE
const cellsOf = (workers: number): number => TAILS + lines(workers)

/** Memory for the posts of so many workers. */
export const createPosts = (workers: number): SharedArrayBuffer => {
  if (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS) throw new RangeError(`there may be 1 to ${MAX_WORKERS} workers`)
  return new SharedArrayBuffer(4 * workers * (cellsOf(workers) + RECORDS * POST_WORDS))
}

/** A worker is gone: nobody waits for it to read. To be called by whoever noticed, once it has ended. */
export const retire = (memory: SharedArrayBuffer, workers: number, worker: number): void => {
  Atomics.store(new Int32Array(memory), worker * cellsOf(workers) + READS, 0)
}

/** The posts as seen by one worker; what was posted before is not read. One thread a worker. */
export const attachPosts = (memory: SharedArrayBuffer, workers: number, worker: number): Posts => {
  const words = new Int32Array(memory)
  const cells = cellsOf(workers)
  const own = worker * cells
  const ringOf = (w: number): number => workers * cells + w * RECORDS * POST_WORDS
  const ring = ringOf(worker)
  const tailOf = (reader: number, writer: number): number => reader * cells + TAILS + writer
  /** How far each ring was read: what stands in the shared tails. */
  const read = new Int32Array(workers)
  let head = Atomics.load(words, own + HEAD)
  let limit = head // up to here there is room for sure
  let lost = 0
  let toldUntil = head
  let urgentSince = false

  for (let w = 0; w < workers; w++) {
    read[w] = Atomics.load(words, w * cells + HEAD)
    Atomics.store(words, tailOf(worker, w), read[w]!)
  }
  Atomics.store(words, own + ASLEEP, 0)
  Atomics.store(words, own + READS, 1)

  /** How many records the slowest reader has still to read. */
  const unread = (): number => {
    let most = 0
    for (let w = 0; w < workers; w++) {
      if (w === worker || Atomics.load(words, w * cells + READS) === 0) continue
      const behind = (head - Atomics.load(words, tailOf(w, worker))) | 0
      if (behind > most) most = behind
    }
    return most
  }

  return {
    worker, workers, words,
    begin: () => {
      if (head === limit) {
        limit = (head + RECORDS - unread()) | 0
        if (head === limit) {
          lost++
          return -1
        }
      }
      return ring + (head & (RECORDS - 1)) * POST_WORDS
    },
    commit: (urgent) => {
      head = (head + 1) | 0
      Atomics.store(words, own + HEAD, head)
      if (urgent) urgentSince = true
    },
    take: (visit) => {
      let taken = 0
      for (let w = 0; w < workers; w++) {
        if (w === worker) continue
        const published = Atomics.load(words, w * cells + HEAD)
        let tail = read[w]!
        if (tail === published) continue
        const behind = (published - tail) | 0
        const end = behind > RECORDS_A_TURN ? (tail + RECORDS_A_TURN) | 0 : published
        const from = ringOf(w)
        taken += (end - tail) | 0
        for (; tail !== end; tail = (tail + 1) | 0) visit(from + (tail & (RECORDS - 1)) * POST_WORDS)
        read[w] = end
        Atomics.store(words, tailOf(worker, w), end)
      }
      return taken
    },
    pending: () => {
      for (let w = 0; w < workers; w++) if (w !== worker && Atomics.load(words, w * cells + HEAD) !== read[w]) return true
      return false
    },
    sleeps: () => {
      Atomics.store(words, own + ASLEEP, 1)
    },
    wakes: () => {
      Atomics.store(words, own + ASLEEP, 0)
    },
    wakeOthers: (wake) => {
      if (head === toldUntil) return
      toldUntil = head
      for (let w = 0; w < workers; w++) {
        if (w === worker) continue
        // Who sleeps long must read before the ring is full
        if (!urgentSince && ((head - Atomics.load(words, tailOf(w, worker))) | 0) < RECORDS >> 1) continue
        if (Atomics.exchange(words, w * cells + ASLEEP, 0) === 1) wake(w)
      }
      urgentSince = false
    },
    lost: () => lost
  }
}
