/*
 * Many frames for many ports, as a flood makes them: each is a write with the receiver's stack in it, mostly on memory that no cache holds. A
 * helper thread takes part of them. The frames of one descriptor are in one share, so that they keep their order; whoever is free takes the next
 * share, so that nobody waits for a helper that has no processor.
 */
#include "tapway.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SHARES 64
/* What a message to sockets needs is not for two threads at a time: a share that only the calling thread sends. */
#define OWN SHARES
/* It pays for so many frames, in so many shares: to wake the helper takes as long as some writes. */
#define LEAST_FRAMES 128
#define LEAST_SHARES 48
#define STACK_BYTES (256 << 10)

struct tw_spread {
  pthread_t helper;
  bool helped;    /* there is a helper */
  int apart_from; /* the processor that it was told to keep away from */
  struct tw_io *io;
  bool by_ring;   /* each of the two uses a ring of its own, where it has one */
  /* By share its first entry, by entry the next one of its share; -1 for none. */
  int32_t first[SHARES + 1];
  int32_t *following;
  /* Goes up with each spreading, and wakes the helper; shares that somebody has taken, and those that are done. */
  _Atomic uint32_t rounds;
  _Atomic int32_t taken, done;
  _Atomic bool ends;
};

static void futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
  syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* By the ring, if there is one, otherwise by a call for each. */
static void send_share(const struct tw_spread *s, int32_t share, struct tw_ring *ring)
{
  for (int32_t i = s->first[share]; i >= 0; i = s->following[i]) {
    int32_t *entry = s->io->tx.at + (size_t)i * TX_STRIDE;
    if (ring == NULL || !tw_ring_send(s->io, ring, entry)) entry[TX_ERRNO] = tw_send_entry(s->io, entry);
  }
  if (ring != NULL && ring->count > 0) tw_ring_go(ring);
}

/* Sends shares until all are taken. While one that is taken is not done its spreading lasts, so nothing here changes meanwhile. */
static void take_shares(struct tw_spread *s, struct tw_ring *ring)
{
  int32_t share;
  while ((share = atomic_fetch_add(&s->taken, 1)) < SHARES) {
    send_share(s, share, s->by_ring ? ring : NULL);
    atomic_fetch_add(&s->done, 1);
  }
}

static void *help(void *data)
{
  struct tw_spread *s = data;
  struct tw_ring *const ring = s->io->ring == NULL ? NULL : tw_ring_open();
  while (!atomic_load(&s->ends)) {
    const uint32_t seen = atomic_load(&s->rounds);
    take_shares(s, ring);
    futex(&s->rounds, FUTEX_WAIT_PRIVATE, seen);
  }
  tw_ring_close(ring);
  return NULL;
}

/* Where the process may run, not the calling thread, which may keep to one processor. False when that is one. */
static bool processors_of(cpu_set_t *processors)
{
  return sched_getaffinity(getpid(), sizeof *processors, processors) == 0 && CPU_COUNT(processors) > 1;
}

static bool start(struct tw_spread *s)
{
  cpu_set_t processors;
  pthread_attr_t attributes;
  sigset_t all, before;
  if (!processors_of(&processors) || pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  s->helped = pthread_create(&s->helper, &attributes, help, s) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return s->helped;
}

/* The scheduler would wake it on the processor of the thread that it is to help, where it waits until all is done. */
static void keep_apart(struct tw_spread *s)
{
  const int own = sched_getcpu();
  cpu_set_t processors;
  if (own < 0 || own == s->apart_from || !processors_of(&processors)) return;
  CPU_CLR(own, &processors);
  if (pthread_setaffinity_np(s->helper, sizeof processors, &processors) == 0) s->apart_from = own;
}

static struct tw_spread *spread_of(struct tw_io *io)
{
  if (io->spread != NULL) return io->spread;
  struct tw_spread *s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->io = io;
  s->apart_from = -1;
  s->taken = SHARES;
  s->following = malloc((size_t)(io->tx.length / TX_STRIDE) * sizeof *s->following);
  if (s->following != NULL) return io->spread = s;
  free(s);
  return NULL;
}

/* Into shares, each in the order of its entries. False when they are too few to be worth it. */
static bool share_out(struct tw_spread *s, int32_t count)
{
  int32_t filled = 0;
  for (int32_t i = 0; i <= SHARES; i++) s->first[i] = -1;
  for (int32_t i = count - 1; i >= 0; i--) {
    const int32_t *entry = s->io->tx.at + (size_t)i * TX_STRIDE;
    const uint32_t share = entry[TX_KIND] == TX_SENDMSG ? OWN : (uint32_t)entry[TX_FD] % SHARES;
    filled += share != OWN && s->first[share] < 0;
    s->following[i] = s->first[share];
    s->first[share] = i;
  }
  return filled >= LEAST_SHARES;
}

bool tw_spread(struct tw_io *io, const struct tw_round *r, int32_t count)
{
  if (count < LEAST_FRAMES || io->alone) return false;
  struct tw_spread *s = spread_of(io);
  if (s == NULL || !share_out(s, count)) return false;
  if (!s->helped && !start(s)) {
    io->alone = true;
    return false;
  }
  keep_apart(s);
  s->by_ring = tw_ring_pays(io, r, count / SHARES);
  atomic_store(&s->done, 0);
  atomic_store(&s->taken, 0);
  atomic_fetch_add(&s->rounds, 1);
  futex(&s->rounds, FUTEX_WAKE_PRIVATE, 1);
  send_share(s, OWN, NULL);
  take_shares(s, io->ring);
  while (atomic_load(&s->done) < SHARES) sched_yield();
  return true;
}

void tw_spread_end(struct tw_io *io)
{
  struct tw_spread *s = io->spread;
  if (s == NULL) return;
  if (s->helped) {
    atomic_store(&s->ends, true);
    atomic_fetch_add(&s->rounds, 1);
    futex(&s->rounds, FUTEX_WAKE_PRIVATE, 1);
    pthread_join(s->helper, NULL);
  }
  free(s->following);
  free(s);
  io->spread = NULL;
}
