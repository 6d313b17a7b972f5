/*
 * A UDP receiver that takes all it can: recvmmsg until SIGTERM or SIGINT. Prints "ready" when the socket is bound.
 *
 *   udpsink PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define ROOM 2048

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
  (void)number;
  ended = 1;
}

int main(int argc, char **argv)
{
  static unsigned char room[BATCH][ROOM];
  static struct mmsghdr messages[BATCH];
  static struct iovec ranges[BATCH];
  const struct sigaction action = { .sa_handler = on_signal }; /* no SA_RESTART: recvmmsg ends */
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0)) };
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
    fprintf(stderr, "udpsink: %s\n", strerror(errno));
    return 1;
  }
  for (int i = 0; i < BATCH; i++) {
    ranges[i] = (struct iovec){ .iov_base = room[i], .iov_len = ROOM };
    messages[i].msg_hdr = (struct msghdr){ .msg_iov = &ranges[i], .msg_iovlen = 1 };
  }
  puts("ready");
  fflush(stdout);
  while (!ended)
    if (recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL) < 0 && errno != EINTR) return 1;
  return 0;
}
