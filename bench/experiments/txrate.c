/*
 * An experiment: how many frames a second one thread can give to a device, and what of a processor each needs, by a packet socket with
 * virtio-net header and
 *
 *   write     a system call for each frame, as Tapway's device port has it
 *   bypass    the same, past the queueing discipline (PACKET_QDISC_BYPASS)
 *   sendmmsg  a system call for 64 frames
 *   both      sendmmsg and bypass
 *
 *   txrate MODE DEVICE SECONDS FRAME      FRAME in hexadecimal
 *
 * Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define HEADER 10 /* struct virtio_net_hdr */
#define ROOM 2048

static unsigned char room[BATCH][ROOM];

static void fail(const char *what)
{
  fprintf(stderr, "txrate: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double seconds(clockid_t clock)
{
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int open_device(const char *name, int bypasses)
{
  const int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
  const struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = 0, .sll_ifindex = (int)if_nametoindex(name) };
  if (fd < 0) fail("socket AF_PACKET");
  if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0) fail("PACKET_VNET_HDR");
  if (bypasses && setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) < 0) fail("PACKET_QDISC_BYPASS");
  if (at.sll_ifindex == 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0) fail(name);
  return fd;
}

/* Bytes of the frame, put behind a header of zeros into each place. */
static size_t fill(const char *hex)
{
  const size_t size = HEADER + strlen(hex) / 2;
  if (size > ROOM) fail("a frame so long");
  for (size_t i = HEADER; i < size; i++) {
    unsigned byte;
    if (sscanf(hex + (i - HEADER) * 2, "%2x", &byte) != 1) fail("FRAME");
    for (int k = 0; k < BATCH; k++) room[k][i] = (unsigned char)byte;
  }
  return size;
}

int main(int argc, char **argv)
{
  if (argc != 5) {
    fprintf(stderr, "usage: txrate write|bypass|sendmmsg|both DEVICE SECONDS FRAME\n");
    return 2;
  }
  const char *mode = argv[1];
  const int many = strcmp(mode, "sendmmsg") == 0 || strcmp(mode, "both") == 0;
  const int fd = open_device(argv[2], strcmp(mode, "bypass") == 0 || strcmp(mode, "both") == 0);
  const size_t size = fill(argv[4]);
  static struct mmsghdr messages[BATCH];
  static struct iovec parts[BATCH];
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){ room[i], size };
    messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
  }
  unsigned long long sent = 0;
  const double begin = seconds(CLOCK_MONOTONIC), end = begin + atof(argv[3]), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  while (seconds(CLOCK_MONOTONIC) < end) {
    if (many) {
      const int got = sendmmsg(fd, messages, BATCH, 0);
      if (got > 0) sent += (unsigned)got;
    } else
      for (int i = 0; i < BATCH; i++) sent += syscall(SYS_write, fd, room[i], size) == (long)size;
  }
  const double lasted = seconds(CLOCK_MONOTONIC) - begin, spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  printf("{\"mode\":\"%s\",\"kpps\":%.0f,\"nsEach\":%.0f}\n", mode, (double)sent / lasted / 1e3, sent == 0 ? 0.0 : spent * 1e9 / (double)sent);
  return 0;
}
