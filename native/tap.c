/* TAP devices (drivers/net/tun.c). TUNSETSNDBUF is never called: an unlimited send buffer keeps the kernel's short write path. */
#include "tapway.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Headers may be older than the kernel. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef TUN_F_UDP_TUNNEL_GSO
#define TUN_F_UDP_TUNNEL_GSO 0x080
#define TUN_F_UDP_TUNNEL_GSO_CSUM 0x100
#endif
#ifndef IFF_NAPI
#define IFF_NAPI 0x0010
#endif
#ifndef TUNSETCARRIER
#define TUNSETCARRIER _IOW('T', 226, int)
#endif

#define VNET_HEADER 10
/* struct virtio_net_hdr_v1_hash_tunnel: says where a super-frame inside a UDP tunnel begins. */
#define TUNNEL_HEADER 24

/* The numbers of OFFLOAD_… in src/core/ports.ts. */
enum { OFFLOAD_CSUM = 1, OFFLOAD_TSO4 = 2, OFFLOAD_TSO6 = 4, OFFLOAD_USO = 8 };
/* Argument flags of openTap, as in src/native.ts. */
enum { TAP_OFFLOAD = 1, TAP_NAPI = 2, TAP_MULTI_QUEUE = 4, TAP_TUNNEL = 8, TAP_NEW = 16 };

struct tap {
  char name[IFNAMSIZ];
  int32_t flags;
  int fd, index, offloads;
};

/* The kernel refuses a mask with any bit it does not know: the largest it takes is what there is. */
static int probe_offloads(int fd)
{
  static const struct { unsigned long mask; int offloads; } masks[] = {
    { TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
      OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO },
    { TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 },
    { TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 },
    { TUN_F_CSUM, OFFLOAD_CSUM }
  };
  for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
    if (ioctl(fd, TUNSETOFFLOAD, masks[i].mask) == 0) return masks[i].offloads;
  ioctl(fd, TUNSETOFFLOAD, 0UL);
  return 0;
}

/* Super-frames inside UDP tunnels, Linux 6.17: with their bits among the offloads, older kernels refuse all of them. */
static bool set_tunnel_offloads(const struct tap *tap, struct tw_failure *failure)
{
  const int header = TUNNEL_HEADER;
  const unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6 |
                                 TUN_F_UDP_TUNNEL_GSO | TUN_F_UDP_TUNNEL_GSO_CSUM;
  if (ioctl(tap->fd, TUNSETVNETHDRSZ, &header) < 0) return tw_fail(failure, "ioctl TUNSETVNETHDRSZ");
  return ioctl(tap->fd, TUNSETOFFLOAD, offloads) == 0 || tw_fail(failure, "ioctl TUNSETOFFLOAD");
}

static int header_of(const struct tap *tap)
{
  return tap->flags & TAP_TUNNEL ? TUNNEL_HEADER : tap->flags & TAP_OFFLOAD ? VNET_HEADER : 0;
}

static bool find_index(struct tap *tap, struct tw_failure *failure)
{
  struct ifreq r;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return tw_fail(failure, "socket");
  memset(&r, 0, sizeof r);
  memcpy(r.ifr_name, tap->name, IFNAMSIZ);
  bool done = ioctl(fd, SIOCGIFINDEX, &r) == 0 || tw_fail(failure, "ioctl SIOCGIFINDEX");
  tap->index = r.ifr_ifindex;
  close(fd);
  return done;
}

static bool set_up_tap(struct tap *tap, struct tw_failure *failure)
{
  struct ifreq r;
  const int header = VNET_HEADER;
  memset(&r, 0, sizeof r);
  memcpy(r.ifr_name, tap->name, IFNAMSIZ);
  int flags = IFF_TAP | IFF_NO_PI;
  if (header_of(tap) > 0) flags |= IFF_VNET_HDR;
  if (tap->flags & TAP_NAPI) flags |= IFF_NAPI;
  if (tap->flags & TAP_MULTI_QUEUE) flags |= IFF_MULTI_QUEUE;
  if (!(tap->flags & TAP_MULTI_QUEUE) || (tap->flags & TAP_NEW)) flags |= IFF_TUN_EXCL;
  r.ifr_flags = (short)flags;
  if (ioctl(tap->fd, TUNSETIFF, &r) < 0) {
    tw_fail(failure, "ioctl TUNSETIFF");
    if (failure->error == EBUSY) { /* what IFF_TUN_EXCL says of a name that is taken */
      failure->error = EEXIST;
      failure->text = "an interface of that name exists already";
    }
    return false;
  }
  if (tap->flags & TAP_TUNNEL) {
    if (!set_tunnel_offloads(tap, failure)) return false;
  } else if (tap->flags & TAP_OFFLOAD) {
    if (ioctl(tap->fd, TUNSETVNETHDRSZ, &header) < 0) return tw_fail(failure, "ioctl TUNSETVNETHDRSZ");
    tap->offloads = probe_offloads(tap->fd);
  }
  return find_index(tap, failure);
}

static bool open_tap(void *arg, struct tw_failure *failure)
{
  struct tap *tap = arg;
  /* The device belongs to the namespace in which this descriptor is opened. */
  tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tap->fd < 0) {
    failure->thing = "/dev/net/tun";
    return tw_fail(failure, "open");
  }
  return set_up_tap(tap, failure);
}

static napi_value tap_result(napi_env env, const struct tap *tap)
{
  napi_value result;
  if (napi_create_object(env, &result) != napi_ok) return NULL;
  napi_set_named_property(env, result, "fd", tw_number(env, tap->fd));
  napi_set_named_property(env, result, "vnetHeader", tw_number(env, header_of(tap)));
  napi_set_named_property(env, result, "offloads", tw_number(env, tap->offloads));
  napi_set_named_property(env, result, "ifindex", tw_number(env, tap->index));
  return result;
}

/* openTap(netns, name, flags): { fd, vnetHeader, offloads, ifindex }. */
napi_value tw_open_tap(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  struct tap tap = { .fd = -1 };
  struct tw_failure failure = { .error = 0 };
  int32_t netns;
  if (!tw_args(env, info, 3, argv, NULL) || !tw_int32(env, argv[0], &netns) ||
      !tw_string(env, argv[1], tap.name, sizeof tap.name) || !tw_int32(env, argv[2], &tap.flags))
    return NULL;
  if (!tw_in_netns(netns, open_tap, &tap, &failure)) {
    if (tap.fd >= 0) close(tap.fd);
    return tw_throw(env, &failure, tap.name);
  }
  if (!tw_own(tw_env_of(env), tap.fd)) return tw_throw_errno(env, errno, "open", "/dev/net/tun");
  return tap_result(env, &tap);
}

/* setCarrier(fd, on) */
napi_value tw_set_carrier(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  int32_t fd;
  bool on;
  if (!tw_args(env, info, 2, argv, NULL) || !tw_int32(env, argv[0], &fd)) return NULL;
  if (napi_get_value_bool(env, argv[1], &on) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "a boolean is expected");
    return NULL;
  }
  const int carrier = on;
  if (ioctl(fd, TUNSETCARRIER, &carrier) < 0) return tw_throw_errno(env, errno, "ioctl TUNSETCARRIER", "TAP descriptor");
  return tw_undefined(env);
}
