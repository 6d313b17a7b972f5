/*
 * Sends one prebuilt Ethernet frame over and over through an interface, as fast as one core can: AF_PACKET and sendmmsg.
 *
 *   udpflood INTERFACE MILLISECONDS FRAME-IN-HEX [FRAMES-A-CALL]
 *
 * Prints {"sent":N,"refused":N,"seconds":S}; refused are frames that the device or its queue would not take.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define MAX_BATCH 1024
#define MAX_FRAME 1514

static double seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t read_hex(const char *text, unsigned char *to)
{
  size_t n = 0;
  for (; text[0] != '\0' && text[1] != '\0' && n < MAX_FRAME; text += 2, n++) {
    unsigned byte;
    if (sscanf(text, "%2x", &byte) != 1) return 0;
    to[n] = (unsigned char)byte;
  }
  return n;
}

int main(int argc, char **argv)
{
  static unsigned char frame[MAX_FRAME];
  static struct mmsghdr messages[MAX_BATCH];
  if (argc < 4) {
    fprintf(stderr, "usage: udpflood INTERFACE MILLISECONDS FRAME-IN-HEX [FRAMES-A-CALL]\n");
    return 2;
  }
  const double duration = atof(argv[2]) / 1000;
  const size_t length = read_hex(argv[3], frame);
  const int batch = argc > 4 ? atoi(argv[4]) : 64;
  const int fd = socket(AF_PACKET, SOCK_RAW, 0); /* protocol 0: nothing is received */
  struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1]), .sll_halen = 6 };
  if (fd < 0 || to.sll_ifindex == 0 || length < 14 || batch < 1 || batch > MAX_BATCH) {
    fprintf(stderr, "udpflood: bad argument, or no socket: %s\n", strerror(errno));
    return 1;
  }
  memcpy(to.sll_addr, frame, 6);
  struct iovec range = { .iov_base = frame, .iov_len = length };
  for (int i = 0; i < batch; i++)
    messages[i].msg_hdr = (struct msghdr){ .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &range, .msg_iovlen = 1 };

  unsigned long long sent = 0, refused = 0;
  const double begin = seconds();
  double now = begin;
  for (; now - begin < duration; now = seconds()) {
    const int n = sendmmsg(fd, messages, (unsigned)batch, 0);
    if (n > 0) sent += (unsigned)n;
    if (n < batch) refused++;
    if (n < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR) {
      fprintf(stderr, "udpflood: %s\n", strerror(errno));
      return 1;
    }
  }
  printf("{\"sent\":%llu,\"refused\":%llu,\"seconds\":%.6f}\n", sent, refused, now - begin);
  return 0;
}
