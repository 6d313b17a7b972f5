/*
 * How long a broadcast takes to the last of many ports. Sends an ARP request that nobody answers from one namespace and looks when the
 * kernel has received it in each of the others: SO_TIMESTAMPNS notes that at the device, whenever this program gets to read it.
 *
 *   broadcast INTERFACE ROUNDS < paths of network namespaces, one a line, the sender's first
 *
 * Prints {"ports":N,"milliseconds":[...],"lost":N}; the times are from before the frame is written to the last port's reception, and lost
 * counts receptions that were missing a second later, whose rounds have no time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_PORTS 8192
#define MAX_ROUNDS 10000
#define FRAME 60
#define SEQUENCE 42 /* behind Ethernet header and ARP */
#define SETTLE_MS 20

static int receivers[MAX_PORTS];
static int count;

static double milliseconds(const struct timespec *t)
{
  return (double)t->tv_sec * 1e3 + (double)t->tv_nsec / 1e6;
}

static void rest(int ms)
{
  const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
  nanosleep(&t, NULL);
}

static void fail(const char *what)
{
  fprintf(stderr, "broadcast: %s: %s\n", what, strerror(errno));
  exit(1);
}

/* A socket that hears ARP, or one that only sends, in the namespace where this thread is. */
static int open_socket(const char *interface, int hears, unsigned char *mac)
{
  const int on = 1;
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
  struct ifreq r;
  memset(&r, 0, sizeof r);
  strncpy(r.ifr_name, interface, IFNAMSIZ - 1);
  if (fd < 0) fail("socket");
  if (ioctl(fd, SIOCGIFHWADDR, &r) < 0) fail(interface);
  memcpy(mac, r.ifr_hwaddr.sa_data, ETH_ALEN);
  struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = hears ? htons(ETH_P_ARP) : 0, .sll_ifindex = (int)if_nametoindex(interface) };
  if (hears && setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0) fail("SO_TIMESTAMPNS");
  if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0) fail("bind");
  return fd;
}

/* The time at which the frame with this number came; 0 when it is not there yet. */
static double heard(int fd, unsigned sequence)
{
  for (;;) {
    unsigned char frame[FRAME + 64];
    char control[256];
    struct iovec range = { .iov_base = frame, .iov_len = sizeof frame };
    struct msghdr message = { .msg_iov = &range, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    if (recvmsg(fd, &message, 0) < SEQUENCE + 4) {
      if (errno == EAGAIN) return 0;
      continue;
    }
    unsigned number;
    memcpy(&number, frame + SEQUENCE, sizeof number);
    if (number != sequence) continue;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
      struct timespec t;
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPNS) continue;
      memcpy(&t, CMSG_DATA(c), sizeof t);
      return milliseconds(&t);
    }
  }
}

/* One broadcast: milliseconds until the last port has it; -1 when not all have, with `lost` raised. */
static double broadcast(int sender, unsigned char *frame, unsigned sequence, unsigned *lost)
{
  static double at[MAX_PORTS];
  struct timespec begin;
  double last = 0;
  int missing = count;
  memset(at, 0, sizeof at);
  memcpy(frame + SEQUENCE, &sequence, sizeof sequence);
  clock_gettime(CLOCK_REALTIME, &begin);
  if (send(sender, frame, FRAME, 0) != FRAME) fail("send");
  for (int waited = 0; missing > 0 && waited < 1000; waited += SETTLE_MS) {
    rest(SETTLE_MS);
    for (int i = 0; i < count; i++) {
      if (at[i] > 0) continue;
      at[i] = heard(receivers[i], sequence);
      if (at[i] == 0) continue;
      missing--;
      if (at[i] > last) last = at[i];
    }
  }
  *lost += (unsigned)missing;
  return missing > 0 ? -1 : last - milliseconds(&begin);
}

int main(int argc, char **argv)
{
  static unsigned char frame[FRAME];
  char path[512];
  int sender = -1;
  unsigned lost = 0;
  const int rounds = argc > 2 ? atoi(argv[2]) : 0;
  if (rounds < 1 || rounds > MAX_ROUNDS) {
    fprintf(stderr, "usage: broadcast INTERFACE ROUNDS < paths of network namespaces\n");
    return 2;
  }
  const struct rlimit many = { .rlim_cur = MAX_PORTS + 64, .rlim_max = MAX_PORTS + 64 };
  setrlimit(RLIMIT_NOFILE, &many);
  while (fgets(path, sizeof path, stdin) != NULL && count < MAX_PORTS) {
    unsigned char mac[ETH_ALEN];
    path[strcspn(path, "\n")] = '\0';
    const int netns = open(path, O_RDONLY);
    if (netns < 0 || setns(netns, CLONE_NEWNET) < 0) fail(path);
    close(netns);
    const int fd = open_socket(argv[1], sender >= 0, mac);
    if (sender >= 0) {
      receivers[count++] = fd;
      continue;
    }
    sender = fd;
    /* Ethernet, and an ARP request for 203.0.113.1 that says nothing of the sender's IPv4 address (RFC 5227 2.1.1). */
    static const unsigned char arp[] = { 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, ARPOP_REQUEST };
    static const unsigned char target[] = { 203, 0, 113, 1 };
    memset(frame, 0xff, ETH_ALEN);
    memcpy(frame + 6, mac, ETH_ALEN);
    memcpy(frame + 12, arp, sizeof arp);
    memcpy(frame + 22, mac, ETH_ALEN);
    memcpy(frame + 38, target, sizeof target);
  }
  if (count == 0) fail("no receivers");
  broadcast(sender, frame, 0, &lost); /* the first one is not counted */
  lost = 0;
  printf("{\"ports\":%d,\"milliseconds\":[", count);
  for (int i = 1, printed = 0; i <= rounds; i++) {
    const double took = broadcast(sender, frame, (unsigned)i, &lost);
    if (took >= 0) printf("%s%.4f", printed++ > 0 ? "," : "", took);
  }
  printf("],\"lost\":%u}\n", lost);
  return 0;
}
