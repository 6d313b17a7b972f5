/* Network namespaces and what is set on a link inside one. Privileges: CAP_SYS_ADMIN for setns, CAP_NET_ADMIN for links. */
#include "tapway.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* openNetns(path): checked to be a network namespace, since a name under /run/netns may be a stale, empty file. */
napi_value tw_open_netns(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  char path[PATH_MAX];
  if (!tw_args(env, info, 1, argv, NULL) || !tw_string(env, argv[0], path, sizeof path)) return NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tw_throw_errno(env, errno, "open", path);
  if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
    close(fd);
    const struct tw_failure failure = { .error = EINVAL, .syscall = "ioctl NS_GET_NSTYPE", .text = "not a network namespace" };
    return tw_throw(env, &failure, path);
  }
  if (!tw_own(tw_env_of(env), fd)) return tw_throw_errno(env, errno, "open", path);
  return tw_number(env, fd);
}

bool tw_in_netns(int netns, tw_work work, void *arg, struct tw_failure *failure)
{
  if (netns < 0) return work(arg, failure);
  int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) {
    failure->thing = "/proc/thread-self/ns/net";
    return tw_fail(failure, "open");
  }
  bool done = false;
  if (setns(netns, CLONE_NEWNET) < 0) {
    failure->thing = "to the namespace";
    tw_fail(failure, "setns");
  } else {
    done = work(arg, failure);
    if (setns(home, CLONE_NEWNET) < 0) {
      failure->thing = "back to the own namespace";
      failure->text = NULL;
      failure->fatal = true;
      done = tw_fail(failure, "setns");
    }
  }
  close(home);
  return done;
}

struct link {
  char name[IFNAMSIZ];
  int32_t up, mtu, queue; /* -1: leave as it is */
  int64_t mac;            /* 48 bits, first byte highest; -1: leave as it is */
};

static bool request(int fd, const struct link *link, struct ifreq *r, unsigned long code, const char *name,
                    struct tw_failure *failure)
{
  memcpy(r->ifr_name, link->name, IFNAMSIZ);
  return ioctl(fd, code, r) >= 0 || tw_fail(failure, name);
}

static bool apply_link(int fd, const struct link *link, struct tw_failure *failure)
{
  struct ifreq r;
  if (link->mac >= 0) {
    memset(&r, 0, sizeof r);
    r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    for (int i = 0; i < 6; i++) r.ifr_hwaddr.sa_data[i] = (char)(link->mac >> (40 - 8 * i));
    if (!request(fd, link, &r, SIOCSIFHWADDR, "ioctl SIOCSIFHWADDR", failure)) return false;
  }
  if (link->mtu >= 0) {
    memset(&r, 0, sizeof r);
    r.ifr_mtu = link->mtu;
    if (!request(fd, link, &r, SIOCSIFMTU, "ioctl SIOCSIFMTU", failure)) return false;
  }
  if (link->queue >= 0) {
    memset(&r, 0, sizeof r);
    r.ifr_qlen = link->queue;
    if (!request(fd, link, &r, SIOCSIFTXQLEN, "ioctl SIOCSIFTXQLEN", failure)) return false;
  }
  if (link->up < 0) return true;
  memset(&r, 0, sizeof r);
  if (!request(fd, link, &r, SIOCGIFFLAGS, "ioctl SIOCGIFFLAGS", failure)) return false;
  r.ifr_flags = (short)(link->up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
  return request(fd, link, &r, SIOCSIFFLAGS, "ioctl SIOCSIFFLAGS", failure);
}

static bool set_link(void *arg, struct tw_failure *failure)
{
  /* The socket belongs to the namespace it is made in, and so do the requests on it. */
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return tw_fail(failure, "socket");
  bool done = apply_link(fd, arg, failure);
  close(fd);
  return done;
}

/* setLink(netns, name, up, mtu, mac, txqueuelen): -1 leaves as it is; the link goes up last. */
napi_value tw_set_link(napi_env env, napi_callback_info info)
{
  napi_value argv[6];
  struct link link = { .name = "" };
  struct tw_failure failure = { .error = 0 };
  int32_t netns;
  if (!tw_args(env, info, 6, argv, NULL) || !tw_int32(env, argv[0], &netns) ||
      !tw_string(env, argv[1], link.name, sizeof link.name) || !tw_int32(env, argv[2], &link.up) ||
      !tw_int32(env, argv[3], &link.mtu) || !tw_int32(env, argv[5], &link.queue))
    return NULL;
  if (napi_get_value_int64(env, argv[4], &link.mac) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "a number is expected");
    return NULL;
  }
  if (!tw_in_netns(netns, set_link, &link, &failure)) return tw_throw(env, &failure, link.name);
  return tw_undefined(env);
}
