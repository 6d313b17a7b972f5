/* Opening UDP sockets, in the namespace they are to live in. */
#include "tapway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Headers may be older than the kernel. */
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#define TW_UDP_NO_CHECK6_TX 101
#define TW_UDP_NO_CHECK6_RX 102
#define TW_UDP_SEGMENT 103
#define TW_UDP_GRO 104
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif
#ifndef IPV6_UNICAST_IF
#define IPV6_UNICAST_IF 76
#endif

/* Argument flags of openUdp, as in src/native.ts. */
enum { UDP_WITH_GRO = 1, UDP_DF = 2, UDP_CHECKSUM = 4, UDP_RECEIVE = 8, UDP_EVERY_GROUP = 16, UDP_SHARED = 32, UDP_FURTHER = 64 };

#define RECEIVE_BUFFER (8 << 20)
#define SEND_BUFFER (4 << 20)

struct udp {
  int32_t family; /* AF_INET or AF_INET6 */
  char address[INET6_ADDRSTRLEN + IFNAMSIZ + 1], group[INET6_ADDRSTRLEN];
  char device[IFNAMSIZ], group_device[IFNAMSIZ];
  int32_t port, flags;
  int fd;
  bool gro, segment;
  char thing[160];
};

static bool set(int fd, int level, int option, int value, const char *call, struct tw_failure *failure)
{
  return setsockopt(fd, level, option, &value, sizeof value) == 0 || tw_fail(failure, call);
}

static bool index_of(struct udp *udp, const char *device, unsigned *index, struct tw_failure *failure)
{
  *index = if_nametoindex(device);
  if (*index != 0) return true;
  snprintf(udp->thing, sizeof udp->thing, "%s", device);
  return tw_fail(failure, "if_nametoindex");
}

static bool wrong_address(struct tw_failure *failure)
{
  *failure = (struct tw_failure){ .error = EINVAL, .syscall = "openUdp", .text = "not an address of that family" };
  return false;
}

void tw_set_buffer(int fd, int force, int option, int bytes)
{
  if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof bytes) < 0) setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof bytes);
}

/*
 * Who only sends must not collect what others send to its port: it would never be read, and would leave no room for
 * errors. A filter that drops everything leaves the error queue alone.
 */
static bool take_nothing(int fd, struct tw_failure *failure)
{
  struct sock_filter none = { .code = BPF_RET | BPF_K };
  const struct sock_fprog program = { .len = 1, .filter = &none };
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ||
    tw_fail(failure, "setsockopt SO_ATTACH_FILTER");
}

static bool set_ip(struct udp *udp, struct tw_failure *failure)
{
  const int fd = udp->fd, discover = udp->flags & UDP_DF ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
  const int every_group = (udp->flags & UDP_EVERY_GROUP) != 0;
  if (udp->family == AF_INET)
    return set(fd, IPPROTO_IP, IP_FREEBIND, 1, "setsockopt IP_FREEBIND", failure) &&
      set(fd, IPPROTO_IP, IP_RECVERR, 1, "setsockopt IP_RECVERR", failure) &&
      set(fd, IPPROTO_IP, IP_MTU_DISCOVER, discover, "setsockopt IP_MTU_DISCOVER", failure) &&
      set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0, "setsockopt IP_MULTICAST_LOOP", failure) &&
      set(fd, IPPROTO_IP, IP_MULTICAST_ALL, every_group, "setsockopt IP_MULTICAST_ALL", failure) &&
      (!(udp->flags & UDP_RECEIVE) || set(fd, IPPROTO_IP, IP_RECVTOS, 1, "setsockopt IP_RECVTOS", failure));
  return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "setsockopt IPV6_V6ONLY", failure) &&
    set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1, "setsockopt IPV6_FREEBIND", failure) &&
    set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1, "setsockopt IPV6_RECVERR", failure) &&
    set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, discover, "setsockopt IPV6_MTU_DISCOVER", failure) &&
    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, "setsockopt IPV6_MULTICAST_LOOP", failure) &&
    set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, every_group, "setsockopt IPV6_MULTICAST_ALL", failure) &&
    (!(udp->flags & UDP_RECEIVE) || set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "setsockopt IPV6_RECVTCLASS", failure));
}

/* A datagram without checksum cannot be segmented, so UDP_SEGMENT is not reported for it. */
static bool set_udp(struct udp *udp, struct tw_failure *failure)
{
  const int fd = udp->fd, receive = udp->flags & UDP_RECEIVE, on = 1, off = 0;
  if (receive) tw_set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER);
  else if (!take_nothing(fd, failure)) return false;
  tw_set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER);
  udp->gro = receive && (udp->flags & UDP_WITH_GRO) && setsockopt(fd, SOL_UDP, TW_UDP_GRO, &on, sizeof on) == 0;
  if (udp->flags & UDP_CHECKSUM) {
    udp->segment = setsockopt(fd, SOL_UDP, TW_UDP_SEGMENT, &off, sizeof off) == 0;
    return true;
  }
  if (udp->family == AF_INET) return set(fd, SOL_SOCKET, SO_NO_CHECK, 1, "setsockopt SO_NO_CHECK", failure);
  return set(fd, SOL_UDP, TW_UDP_NO_CHECK6_TX, 1, "setsockopt UDP_NO_CHECK6_TX", failure) &&
    set(fd, SOL_UDP, TW_UDP_NO_CHECK6_RX, 1, "setsockopt UDP_NO_CHECK6_RX", failure);
}

/* Datagrams leave by that interface, as with `dev` of a VXLAN device; where they are received is not limited by it. */
static bool set_device(struct udp *udp, unsigned index, struct tw_failure *failure)
{
  const int fd = udp->fd;
  const struct ip_mreqn by_index = { .imr_ifindex = (int)index };
  const int order = (int)htonl(index);
  if (udp->family == AF_INET)
    return (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by_index, sizeof by_index) == 0 ||
            tw_fail(failure, "setsockopt IP_MULTICAST_IF")) &&
      set(fd, IPPROTO_IP, IP_UNICAST_IF, order, "setsockopt IP_UNICAST_IF", failure);
  return set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)index, "setsockopt IPV6_MULTICAST_IF", failure) &&
    set(fd, IPPROTO_IPV6, IPV6_UNICAST_IF, order, "setsockopt IPV6_UNICAST_IF", failure);
}

static bool bind_udp(struct udp *udp, unsigned index, struct tw_failure *failure)
{
  struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)udp->port) };
  struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)udp->port) };
  const bool four = udp->family == AF_INET;
  if (udp->address[0] != '\0') {
    char address[sizeof udp->address];
    memcpy(address, udp->address, sizeof address);
    char *scope = strchr(address, '%');
    if (scope != NULL) *scope++ = '\0';
    if (inet_pton(udp->family, address, four ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr) != 1) return wrong_address(failure);
    if (scope != NULL && !index_of(udp, scope, &index, failure)) return false;
    if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) v6.sin6_scope_id = index;
  }
  snprintf(udp->thing, sizeof udp->thing, strchr(udp->address, ':') ? "[%s]:%d" : "%s:%d",
           udp->address[0] != '\0' ? udp->address : "*", udp->port);
  if ((udp->flags & UDP_FURTHER) && !set(udp->fd, SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt SO_REUSEPORT", failure)) return false;
  if (bind(udp->fd, four ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6, four ? sizeof v4 : sizeof v6) < 0)
    return tw_fail(failure, "bind");
  /* Shared only once it is bound: a port that another process shares, too, is taken like any other (udp_lib_get_port). */
  if ((udp->flags & UDP_SHARED) && !set(udp->fd, SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt SO_REUSEPORT", failure)) return false;
  struct sockaddr_in6 bound;
  socklen_t size = sizeof bound;
  if (getsockname(udp->fd, (struct sockaddr *)&bound, &size) < 0) return tw_fail(failure, "getsockname");
  udp->port = ntohs(bound.sin6_port); /* at the same place in both families */
  return true;
}

static bool join_group(struct udp *udp, struct tw_failure *failure)
{
  struct ip_mreqn v4 = { .imr_ifindex = 0 };
  struct ipv6_mreq v6 = { .ipv6mr_interface = 0 };
  unsigned index;
  const bool four = udp->family == AF_INET;
  if (!index_of(udp, udp->group_device, &index, failure)) return false;
  v4.imr_ifindex = (int)index;
  v6.ipv6mr_interface = index;
  if (inet_pton(udp->family, udp->group, four ? (void *)&v4.imr_multiaddr : (void *)&v6.ipv6mr_multiaddr) != 1)
    return wrong_address(failure);
  snprintf(udp->thing, sizeof udp->thing, "%s on %s", udp->group, udp->group_device);
  if (four)
    return setsockopt(udp->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &v4, sizeof v4) == 0 ||
      tw_fail(failure, "setsockopt IP_ADD_MEMBERSHIP");
  return setsockopt(udp->fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &v6, sizeof v6) == 0 ||
    tw_fail(failure, "setsockopt IPV6_JOIN_GROUP");
}

static bool open_udp(void *arg, struct tw_failure *failure)
{
  struct udp *udp = arg;
  unsigned index = 0;
  snprintf(udp->thing, sizeof udp->thing, "UDP socket");
  udp->fd = socket(udp->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
  if (udp->fd < 0) return tw_fail(failure, "socket");
  if (!set_ip(udp, failure) || !set_udp(udp, failure)) return false;
  if (udp->device[0] != '\0' && (!index_of(udp, udp->device, &index, failure) || !set_device(udp, index, failure))) return false;
  return bind_udp(udp, index, failure) && (udp->group[0] == '\0' || join_group(udp, failure));
}

/* openUdp(netns, family, address, port, flags, device, group, groupDevice): { fd, port, gro, segment }; '' is none. */
napi_value tw_open_udp(napi_env env, napi_callback_info info)
{
  napi_value argv[8], result, gro, segment;
  struct udp udp = { .fd = -1 };
  struct tw_failure failure = { .error = 0 };
  int32_t netns, family;
  if (!tw_args(env, info, 8, argv, NULL) || !tw_int32(env, argv[0], &netns) || !tw_int32(env, argv[1], &family) ||
      !tw_string(env, argv[2], udp.address, sizeof udp.address) || !tw_int32(env, argv[3], &udp.port) ||
      !tw_int32(env, argv[4], &udp.flags) || !tw_string(env, argv[5], udp.device, sizeof udp.device) ||
      !tw_string(env, argv[6], udp.group, sizeof udp.group) ||
      !tw_string(env, argv[7], udp.group_device, sizeof udp.group_device))
    return NULL;
  udp.family = family == 6 ? AF_INET6 : AF_INET;
  if (!tw_in_netns(netns, open_udp, &udp, &failure)) {
    if (udp.fd >= 0) close(udp.fd);
    return tw_throw(env, &failure, udp.thing);
  }
  if (!tw_own(tw_env_of(env), udp.fd)) return tw_throw_errno(env, errno, "openUdp", udp.thing);
  if (napi_create_object(env, &result) != napi_ok || napi_get_boolean(env, udp.gro, &gro) != napi_ok ||
      napi_get_boolean(env, udp.segment, &segment) != napi_ok)
    return NULL;
  napi_set_named_property(env, result, "fd", tw_number(env, udp.fd));
  napi_set_named_property(env, result, "port", tw_number(env, udp.port));
  napi_set_named_property(env, result, "gro", gro);
  napi_set_named_property(env, result, "segment", segment);
  return result;
}
