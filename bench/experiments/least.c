/*
 * The least a switch in user space can be: reads two TAPs by turns without waiting and writes what it gets to the other one.
 *
 *   least NAMESPACE NAMESPACE    eth0 in both; ends when it is killed
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_tap(const char *netns)
{
  char path[300];
  snprintf(path, sizeof path, "/run/netns/%s", netns);
  const int ns = open(path, O_RDONLY | O_CLOEXEC);
  if (ns < 0 || setns(ns, CLONE_NEWNET) < 0) return -1;
  close(ns);
  struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
  strcpy(request.ifr_name, "eth0");
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  return fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 ? -1 : fd;
}

int main(int argc, char **argv)
{
  static unsigned char frame[70000];
  const int taps[2] = { argc == 3 ? open_tap(argv[1]) : -1, argc == 3 ? open_tap(argv[2]) : -1 };
  if (taps[0] < 0 || taps[1] < 0) {
    perror("least NAMESPACE NAMESPACE");
    return 1;
  }
  puts("ready");
  fflush(stdout);
  for (int from = 0;; from = !from) {
    long length;
    /* Whoever was written to is the first to answer */
    while ((length = syscall(SYS_read, taps[from], frame, sizeof frame)) > 0) {
      syscall(SYS_write, taps[!from], frame, length);
      from = !from;
    }
  }
}
