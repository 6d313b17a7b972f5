/*
 * The least a switch in user space can be: what it reads from one TAP it writes to the other one. In three ways:
 *
 *   least poll NAMESPACE NAMESPACE    reads by turns without waiting, a frame at a time
 *   least wait NAMESPACE NAMESPACE    sleeps by epoll until one has something, and reads what there is, as far as 8 frames
 *   least ring NAMESPACE NAMESPACE    writes, reads and sleeps by one io_uring_enter; reads stay until a frame comes
 *
 * eth0 in both, with TCP super-frames; ends when it is killed.
 */
#define _GNU_SOURCE
#include "uring.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAMES 8
#define ROOM 70000
#define ENTRIES 64
#define WRITTEN (2 * FRAMES) /* as user_data: not a read's */
#define DO_NOT_WAIT 0x8      /* RWF_NOWAIT */

static unsigned char frames[2][FRAMES][ROOM];
static int taps[2];

static int open_tap(const char *netns)
{
  char path[300];
  snprintf(path, sizeof path, "/run/netns/%s", netns);
  const int ns = open(path, O_RDONLY | O_CLOEXEC);
  if (ns < 0 || setns(ns, CLONE_NEWNET) < 0) fail(path);
  close(ns);
  struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
  strcpy(request.ifr_name, "eth0");
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) fail("/dev/net/tun");
  return fd;
}

static long read_frame(int from, int k)
{
  return syscall(SYS_read, taps[from], frames[from][k], ROOM);
}

static void write_frame(int from, int k, long length)
{
  syscall(SYS_write, taps[!from], frames[from][k], length);
}

static void by_polling(void)
{
  for (int from = 0;; from = !from) {
    long length;
    /* Whoever was written to is the first to answer */
    while ((length = read_frame(from, 0)) > 0) {
      write_frame(from, 0, length);
      from = !from;
    }
  }
}

static void by_waiting(void)
{
  const int epoll = epoll_create1(0);
  for (int i = 0; i < 2; i++) {
    struct epoll_event event = { .events = EPOLLIN, .data.fd = i };
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, taps[i], &event) < 0) fail("epoll");
  }
  for (;;) {
    struct epoll_event events[2];
    const int count = epoll_wait(epoll, events, 2, -1);
    for (int i = 0; i < count; i++) {
      const int from = events[i].data.fd;
      long lengths[FRAMES];
      int got = 0;
      while (got < FRAMES && (lengths[got] = read_frame(from, got)) > 0) got++;
      for (int k = 0; k < got; k++) write_frame(from, k, lengths[k]);
    }
  }
}

/* ---- io_uring ---- */

static unsigned queued;

static struct io_uring_sqe *queue(int code, int fd, void *at, long length, unsigned data)
{
  struct io_uring_sqe *sqe = &sqes[*sq_tail & sq_mask];
  *sqe = (struct io_uring_sqe){ .opcode = (__u8)code, .fd = fd, .off = -1ULL, .addr = (__u64)(unsigned long)at, .len = (__u32)length, .user_data = data };
  __atomic_store_n(sq_tail, *sq_tail + 1, __ATOMIC_RELEASE);
  queued++;
  return sqe;
}

static void queue_read(unsigned data)
{
  const unsigned from = data / FRAMES;
  queue(IORING_OP_READ, taps[from], frames[from][data % FRAMES], ROOM, data);
}

static void by_ring(void)
{
  open_ring(ENTRIES, IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
  for (unsigned data = 0; data < 2 * FRAMES; data++) if (data % FRAMES < FRAMES / 2) queue_read(data);
  for (;;) {
    const long did = syscall(SYS_io_uring_enter, ring, queued, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    if (did < 0 && errno != EINTR) fail("io_uring_enter");
    if (did > 0) queued -= (unsigned)did;
    unsigned again[2 * FRAMES], count = 0, head = *cq_head;
    for (const unsigned tail = __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE); head != tail; head++) {
      const struct io_uring_cqe *cqe = &cqes[head & cq_mask];
      const unsigned data = (unsigned)cqe->user_data, from = data / FRAMES;
      if (data == WRITTEN) continue;
      again[count++] = data;
      if (cqe->res <= 0) continue;
      struct io_uring_sqe *sqe = queue(IORING_OP_WRITE, taps[!from], frames[from][data % FRAMES], cqe->res, WRITTEN);
      sqe->rw_flags = DO_NOT_WAIT;
      sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    }
    __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < count; i++) queue_read(again[i]);
  }
}

int main(int argc, char **argv)
{
  void (*const way)(void) = argc != 4 ? NULL : strcmp(argv[1], "poll") == 0 ? by_polling : strcmp(argv[1], "wait") == 0 ? by_waiting :
    strcmp(argv[1], "ring") == 0 ? by_ring : NULL;
  if (way == NULL) {
    fputs("usage: least poll|wait|ring NAMESPACE NAMESPACE\n", stderr);
    return 2;
  }
  for (int i = 0; i < 2; i++) taps[i] = open_tap(argv[2 + i]);
  const struct sched_param none = { 0 };
  if (way != by_polling) sched_setscheduler(0, SCHED_BATCH, &none); /* as Tapway's thread */
  puts("ready");
  fflush(stdout);
  way();
}
