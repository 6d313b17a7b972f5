/*
 * io_uring(7): several reads and writes by one system call. All of them are asked not to wait, so the kernel carries them out in their order within
 * that call, as read(2) and write(2) would, and nothing is under way when it returns. Whether that pays depends on what a system call
 * costs, which is measured when the ring is made. Without io_uring everything is done by calls of its own.
 */
#include "tapway.h"

#include <errno.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Headers may be older than the kernel. */
#define SETUP_SUBMIT_ALL (1U << 7)
#define SETUP_COOP_TASKRUN (1U << 8)
#define SETUP_SINGLE_ISSUER (1U << 12)
#define DO_NOT_WAIT 0x8 /* RWF_NOWAIT */

/* Of what a ring costs: rounds, of which the quickest counts, and calls in each. */
#define ROUNDS 4
#define CALLS 32
#define TOGETHER 16

static bool map_ring(struct tw_ring *ring, const struct io_uring_params *p)
{
  const size_t sq = p->sq_off.array + p->sq_entries * sizeof(unsigned), cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
  ring->map_bytes = sq > cq ? sq : cq;
  ring->sqe_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
  ring->map = mmap(NULL, ring->map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
  ring->sqes = mmap(NULL, ring->sqe_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
  if (ring->map == MAP_FAILED || ring->sqes == MAP_FAILED) return false;
  char *const at = ring->map;
  ring->sq_tail = (unsigned *)(at + p->sq_off.tail);
  ring->sq_mask = p->sq_entries - 1;
  ring->cq_head = (unsigned *)(at + p->cq_off.head);
  ring->cq_tail = (unsigned *)(at + p->cq_off.tail);
  ring->cq_mask = p->cq_entries - 1;
  ring->cqes = (const struct io_uring_cqe *)(at + p->cq_off.cqes);
  unsigned *const array = (unsigned *)(at + p->sq_off.array);
  for (unsigned i = 0; i < p->sq_entries; i++) array[i] = i;
  memset(ring->sqes, 0, ring->sqe_bytes);
  return true;
}

/* ---- operations ---- */

static ssize_t do_now(const struct tw_op *op)
{
  const long number = op->code == IORING_OP_READ ? SYS_read : op->code == IORING_OP_WRITE ? SYS_write : SYS_writev;
  return tw_call(number, op->fd, op->at, op->length);
}

/* Takes the results there are. */
static void collect(struct tw_ring *ring)
{
  unsigned head = *ring->cq_head;
  const unsigned tail = atomic_load_explicit((_Atomic unsigned *)ring->cq_tail, memory_order_acquire);
  for (; head != tail; head++) {
    const struct io_uring_cqe *cqe = &ring->cqes[head & ring->cq_mask];
    struct tw_op *op = &ring->ops[cqe->user_data % TW_OPS];
    op->result = cqe->res;
    op->done = true;
  }
  atomic_store_explicit((_Atomic unsigned *)ring->cq_head, head, memory_order_release);
}

/* A kernel or a descriptor that cannot do it without waiting is asked by calls, from now on. */
void tw_ring_go(struct tw_ring *ring)
{
  const int count = ring->count;
  const unsigned begin = *ring->sq_tail;
  int submitted = 0;
  atomic_store_explicit((_Atomic unsigned *)ring->sq_tail, begin + (unsigned)count, memory_order_release);
  while (submitted < count) {
    const int did = (int)syscall(SYS_io_uring_enter, ring->fd, count - submitted, 0, 0, NULL, 0);
    if (did <= 0) break;
    submitted += did;
  }
  collect(ring);
  if (submitted < count) { /* out of memory: what was not taken is taken back */
    atomic_store_explicit((_Atomic unsigned *)ring->sq_tail, begin + (unsigned)submitted, memory_order_release);
    ring->least = INT_MAX;
  }
  for (int i = 0; i < count; i++) {
    struct tw_op *op = &ring->ops[i];
    if (!op->done || op->result == -EOPNOTSUPP) {
      ring->least = INT_MAX;
      op->result = do_now(op);
    }
    if (op->entry != NULL) op->entry[TX_ERRNO] = tw_send_error(op->result, op->total);
  }
  ring->count = ring->part_count = 0;
}

static struct tw_op *add(struct tw_ring *ring, uint8_t code, int fd, const void *at, size_t length)
{
  struct io_uring_sqe *sqe = &ring->sqes[(*ring->sq_tail + (unsigned)ring->count) & ring->sq_mask];
  struct tw_op *op = &ring->ops[ring->count];
  sqe->opcode = code;
  sqe->fd = fd;
  sqe->off = UINT64_MAX; /* where the file is: what has no position ignores it */
  sqe->addr = (uint64_t)(uintptr_t)at;
  sqe->len = (uint32_t)length;
  sqe->rw_flags = DO_NOT_WAIT;
  sqe->user_data = (uint64_t)ring->count++;
  *op = (struct tw_op){ .code = code, .fd = fd, .at = at, .length = length, .total = length };
  return op;
}

void tw_ring_read(struct tw_ring *ring, int fd, void *at, size_t length)
{
  add(ring, IORING_OP_READ, fd, at, length);
}

bool tw_ring_send(struct tw_io *io, struct tw_ring *ring, int32_t *entry)
{
  const int fd = entry[TX_FD];
  const int32_t at = entry[TX_AT], length = entry[TX_LENGTH];
  if (entry[TX_KIND] == TX_WRITE && tw_in_arena(io, at, length)) {
    if (ring->count == TW_OPS) tw_ring_go(ring);
    add(ring, IORING_OP_WRITE, fd, io->arena + at, (size_t)length)->entry = entry;
    return true;
  }
  if (entry[TX_KIND] != TX_WRITEV) return false;
  if (ring->count == TW_OPS || length > TW_RING_PARTS - ring->part_count) tw_ring_go(ring);
  struct iovec *const parts = ring->parts + ring->part_count;
  size_t total;
  if (tw_gather(io, at, length, TW_IOVECS, parts, &total) != 0) return false;
  struct tw_op *op = add(ring, IORING_OP_WRITEV, fd, parts, (size_t)length);
  op->entry = entry;
  op->total = total;
  ring->part_count += length;
  return true;
}

bool tw_ring_pays(const struct tw_io *io, const struct tw_round *r, int count)
{
  const struct tw_ring *ring = io->ring;
  return ring != NULL && (ring->count > 0 || (!(r->without & SKIP_RING) && count >= ring->least));
}

/* ---- its life ---- */

static double nanoseconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Nanoseconds of a read that finds nothing, the quickest round's: with `together` 0 by a call of its own. */
static double cost(struct tw_ring *ring, int fd, int together)
{
  uint64_t value;
  double least = 1e9;
  for (int round = 0; round < ROUNDS; round++) {
    const double begin = nanoseconds();
    for (int i = 0; i < CALLS; i++) {
      for (int k = 0; k < together; k++) add(ring, IORING_OP_READ, fd, &value, sizeof value);
      if (together > 0) tw_ring_go(ring);
      else if (syscall(SYS_read, fd, &value, sizeof value) >= 0) return 0;
    }
    const double each = (nanoseconds() - begin) / CALLS / (together > 0 ? together : 1);
    if (each < least) least = each;
  }
  return least;
}

/* From what one operation and many together take follows what entering the kernel takes, and with it how many it is worth. */
static int measure(struct tw_ring *ring)
{
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return INT_MAX;
  const double call = cost(ring, fd, 0), one = cost(ring, fd, 1), many = cost(ring, fd, TOGETHER);
  close(fd);
  const double enter = (one - many) * TOGETHER / (TOGETHER - 1), each = one - enter;
  if (ring->least == INT_MAX || each >= call) return INT_MAX;
  const double least = enter / (call - each) + 1;
  return least < 2 ? 2 : least > TW_OPS ? INT_MAX : (int)least;
}

void tw_ring_close(struct tw_ring *ring)
{
  if (ring == NULL) return;
  if (ring->map != NULL && ring->map != MAP_FAILED) munmap(ring->map, ring->map_bytes);
  if (ring->sqes != NULL && ring->sqes != MAP_FAILED) munmap(ring->sqes, ring->sqe_bytes);
  if (ring->fd >= 0) close(ring->fd);
  free(ring);
}

struct tw_ring *tw_ring_open(void)
{
  struct tw_ring *ring = calloc(1, sizeof *ring);
  if (ring == NULL) return NULL;
  struct io_uring_params p = { .flags = SETUP_SUBMIT_ALL | SETUP_COOP_TASKRUN | SETUP_SINGLE_ISSUER };
  ring->fd = (int)syscall(SYS_io_uring_setup, TW_OPS, &p);
  if (ring->fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP) || p.sq_entries != TW_OPS || !map_ring(ring, &p)) {
    tw_ring_close(ring);
    return NULL;
  }
  ring->least = measure(ring);
  return ring;
}
