/*
 * What reading and writing a TAP takes by a system call each, and by one io_uring_enter for several: nanoseconds, the quickest of five rounds.
 * In a network namespace of its own. What is written has an ethertype that nobody takes; what is read was sent by a packet socket.
 * Prints a line for each kind.
 */
#define _GNU_SOURCE
#include "uring.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FRAMES 64
#define HEADER 10
#define FRAME 60
#define ROOM 2048
#define ROUNDS 5
#define REPEATS 200
#define ETHERTYPE 0x88b5 /* for experiments (IEEE 802) */

static int tap, sender;
static unsigned char written[HEADER + FRAME], room[FRAMES][ROOM];
static struct mmsghdr messages[FRAMES];

static double nanoseconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void open_tap(void)
{
  struct ifreq request = { .ifr_name = "tap", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
  if (unshare(CLONE_NEWNET) < 0) fail("unshare");
  tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0) fail("/dev/net/tun");
  sender = socket(AF_PACKET, SOCK_RAW, 0);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (sender < 0 || ioctl(sender, SIOCSIFFLAGS, &request) < 0 || ioctl(sender, SIOCGIFINDEX, &request) < 0) fail("tap");
  const struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = request.ifr_ifindex };
  if (bind(sender, (const struct sockaddr *)&at, sizeof at) < 0) fail("bind");
}

/* Lets the TAP have frames, or none. */
static void fill(int frames)
{
  while (read(tap, room[0], ROOM) > 0) {}
  if (frames > 0 && sendmmsg(sender, messages, (unsigned)frames, 0) != frames) fail("sendmmsg");
}

/* One operation on each of FRAMES buffers, `together` (0: calls) at a time. */
static void work(int code, int together)
{
  for (int i = 0; i < FRAMES;) {
    if (together == 0) {
      const ssize_t unused = code == IORING_OP_READ ? read(tap, room[i], ROOM) : write(tap, written, sizeof written);
      (void)unused;
      i++;
      continue;
    }
    const unsigned tail = *sq_tail;
    for (int k = 0; k < together; k++, i++)
      sqes[(tail + (unsigned)k) & sq_mask] = (struct io_uring_sqe){
        .opcode = (uint8_t)code, .fd = tap, .off = UINT64_MAX, .rw_flags = 8 /* RWF_NOWAIT */,
        .addr = (uint64_t)(uintptr_t)(code == IORING_OP_READ ? room[i] : written), .len = code == IORING_OP_READ ? ROOM : sizeof written
      };
    __atomic_store_n(sq_tail, tail + (unsigned)together, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, together, 0, 0, NULL, 0) != together) fail("io_uring_enter");
    __atomic_store_n(cq_head, __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
  }
}

static double cost(int code, int frames, int together)
{
  double least = 1e12;
  for (int round = 0; round < ROUNDS; round++) {
    double sum = 0;
    for (int i = 0; i < REPEATS; i++) {
      fill(frames);
      const double begin = nanoseconds();
      work(code, together);
      sum += nanoseconds() - begin;
    }
    if (sum < least) least = sum;
  }
  return least / REPEATS / FRAMES;
}

int main(void)
{
  static const int together[] = { 0, 1, 2, 4, 16, 64 };
  static struct iovec part = { .iov_base = written + HEADER, .iov_len = FRAME };
  memset(written + HEADER, 2, 12);
  written[HEADER + 12] = ETHERTYPE >> 8;
  written[HEADER + 13] = ETHERTYPE & 0xff;
  for (int i = 0; i < FRAMES; i++) messages[i].msg_hdr = (struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 };
  open_tap();
  open_ring(FRAMES, 0);
  static const struct { const char *name; int code, frames; } kinds[] = {
    { "write", IORING_OP_WRITE, 0 }, { "read", IORING_OP_READ, FRAMES }, { "read, nothing there", IORING_OP_READ, 0 }
  };
  for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
    printf("%s:", kinds[k].name);
    for (size_t i = 0; i < sizeof together / sizeof together[0]; i++)
      printf("%s%s %.0f", i == 0 ? "" : ",", i == 0 ? " by a call" : "", cost(kinds[k].code, kinds[k].frames, together[i]));
    puts(" (in a ring 1, 2, 4, 16, 64 at a time)");
  }
  return 0;
}
