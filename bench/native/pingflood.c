/*
 * What `ping -f` does, with times to the nanosecond (ping cuts its off at whole microseconds): an echo request as soon as the reply to the last one is
 * there, or 10 ms have passed. A round trip ends with the kernel's own receive timestamp, as in ping, so waking up this program is not part of it.
 * Prints one line of JSON.
 *
 *   pingflood ADDRESS COUNT SECONDS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PACKET 64 /* 56 bytes of payload, as ping has */
#define WAIT_US 10000
#define ONLY_REPLIES (~(1u << ICMP_ECHOREPLY))
#define ICMP_FILTER_OPTION 1 /* linux/icmp.h */

static int64_t nanoseconds(const struct timespec *t)
{
  return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static int64_t now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return nanoseconds(&t);
}

static uint16_t checksum(const void *bytes, size_t length)
{
  const uint16_t *word = bytes;
  uint32_t sum = 0;
  for (size_t i = 0; i < length / 2; i++) sum += word[i];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static int by_size(const void *a, const void *b)
{
  const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

/* When the reply with this identifier and sequence number came, by the kernel's clock; -1 when it did not come in time. */
static int64_t reply(int fd, uint16_t id, uint16_t sequence)
{
  for (;;) {
    unsigned char bytes[256], control[128];
    struct iovec part = { .iov_base = bytes, .iov_len = sizeof bytes };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
    const ssize_t size = recvmsg(fd, &message, 0);
    if (size < 0) return -1;
    const struct iphdr *ip = (const struct iphdr *)bytes;
    const struct icmphdr *icmp = (const struct icmphdr *)(bytes + ip->ihl * 4);
    if (size < ip->ihl * 4 + (ssize_t)sizeof *icmp || icmp->un.echo.id != id || icmp->un.echo.sequence != sequence) continue;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
      struct timespec came;
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
      memcpy(&came, CMSG_DATA(c), sizeof came);
      return nanoseconds(&came);
    }
    return -1;
  }
}

int main(int argc, char **argv)
{
  struct sockaddr_in to = { .sin_family = AF_INET };
  const int count = argc == 4 ? atoi(argv[2]) : 0;
  if (count < 1 || inet_aton(argv[1], &to.sin_addr) == 0) {
    fprintf(stderr, "usage: pingflood ADDRESS COUNT SECONDS\n");
    return 2;
  }
  const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), on = 1;
  const uint32_t filter = ONLY_REPLIES;
  const struct timeval wait = { .tv_usec = WAIT_US };
  int64_t *times = calloc((size_t)count, sizeof *times);
  if (fd < 0 || times == NULL || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
      setsockopt(fd, SOL_RAW, ICMP_FILTER_OPTION, &filter, sizeof filter) < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) < 0) {
    fprintf(stderr, "pingflood: %s\n", strerror(errno));
    return 1;
  }
  _Alignas(struct icmphdr) unsigned char packet[PACKET] = { 0 };
  struct icmphdr *icmp = (struct icmphdr *)packet;
  const int64_t end = now() + (int64_t)(atof(argv[3]) * 1e9);
  const uint16_t id = htons((uint16_t)getpid());
  int sent = 0, received = 0;
  int64_t sum = 0, begin;
  while (sent < count && (begin = now()) < end) {
    icmp->type = ICMP_ECHO;
    icmp->un.echo.id = id;
    icmp->un.echo.sequence = htons((uint16_t)sent++);
    icmp->checksum = 0;
    icmp->checksum = checksum(packet, sizeof packet);
    if (sendto(fd, packet, sizeof packet, 0, (const struct sockaddr *)&to, sizeof to) < 0) continue;
    const int64_t came = reply(fd, id, icmp->un.echo.sequence);
    if (came < 0) continue;
    times[received++] = came - begin;
    sum += came - begin;
  }
  if (received == 0) {
    fprintf(stderr, "pingflood: no reply from %s\n", argv[1]);
    return 1;
  }
  qsort(times, (size_t)received, sizeof *times, by_size);
  printf("{\"sent\":%d,\"received\":%d,\"mean\":%.3f,\"least\":%.3f,\"median\":%.3f}\n", sent, received, (double)sum / received / 1e3,
         (double)times[0] / 1e3, (double)times[received / 2] / 1e3);
  return 0;
}
