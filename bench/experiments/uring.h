/* A ring of io_uring(7) for an experiment: one a program, which ends when there is none. */
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ring;
static unsigned *sq_tail, sq_mask, *cq_head, *cq_tail, cq_mask;
static struct io_uring_sqe *sqes;
static const struct io_uring_cqe *cqes;

static void fail(const char *what)
{
  perror(what);
  exit(1);
}

static void open_ring(unsigned entries, unsigned flags)
{
  struct io_uring_params p = { .flags = flags };
  if ((ring = (int)syscall(SYS_io_uring_setup, entries, &p)) < 0) fail("io_uring_setup");
  const size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned), cq = p.cq_off.cqes + p.cq_entries * sizeof *cqes;
  char *const at = mmap(NULL, sq > cq ? sq : cq, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
  sqes = mmap(NULL, p.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
  if (at == MAP_FAILED || sqes == MAP_FAILED) fail("mmap");
  sq_tail = (unsigned *)(at + p.sq_off.tail);
  sq_mask = p.sq_entries - 1;
  cq_head = (unsigned *)(at + p.cq_off.head);
  cq_tail = (unsigned *)(at + p.cq_off.tail);
  cq_mask = p.cq_entries - 1;
  cqes = (const struct io_uring_cqe *)(at + p.cq_off.cqes);
  for (unsigned i = 0; i < p.sq_entries; i++) ((unsigned *)(at + p.sq_off.array))[i] = i;
}
