/* Packet sockets (net/packet/af_packet.c) on an existing interface, with a virtio-net header before each frame. */
#include "tapway.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#define VNET_HEADER 10
#define RECEIVE_BUFFER (8 << 20)
#define SEND_BUFFER (4 << 20)

/* The numbers of OFFLOAD_… in src/core/ports.ts. */
enum { OFFLOAD_CSUM = 1, OFFLOAD_TSO4 = 2, OFFLOAD_TSO6 = 4, OFFLOAD_USO = 8 };

/* ---- opening ---- */

struct device {
  char name[IFNAMSIZ];
  int32_t offload;
  int fd, index, mtu, offloads;
  bool up;
  uint8_t mac[6];
};

static bool ask(int fd, const struct device *device, struct ifreq *r, unsigned long code, const char *call,
                struct tw_failure *failure)
{
  memset(r, 0, sizeof *r);
  memcpy(r->ifr_name, device->name, IFNAMSIZ);
  return ioctl(fd, code, r) >= 0 || tw_fail(failure, call);
}

static bool describe(struct device *device, struct tw_failure *failure)
{
  struct ifreq r;
  const int fd = device->fd;
  if (!ask(fd, device, &r, SIOCGIFINDEX, "ioctl SIOCGIFINDEX", failure)) return false;
  device->index = r.ifr_ifindex;
  if (!ask(fd, device, &r, SIOCGIFHWADDR, "ioctl SIOCGIFHWADDR", failure)) return false;
  if (r.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    *failure = (struct tw_failure){ .error = EINVAL, .syscall = "openPacket", .text = "not an Ethernet interface" };
    return false;
  }
  memcpy(device->mac, r.ifr_hwaddr.sa_data, sizeof device->mac);
  if (!ask(fd, device, &r, SIOCGIFMTU, "ioctl SIOCGIFMTU", failure)) return false;
  device->mtu = r.ifr_mtu;
  if (!ask(fd, device, &r, SIOCGIFFLAGS, "ioctl SIOCGIFFLAGS", failure)) return false;
  device->up = (r.ifr_flags & IFF_UP) != 0;
  return true;
}

/* Linux 6.2 taught the virtio header UDP segmentation; before, such a frame is EINVAL both ways, and nothing says so beforehand. */
static bool knows_uso(void)
{
  struct utsname name;
  unsigned major, minor;
  return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 2));
}

static bool set(int fd, int option, const void *value, socklen_t size, const char *call, struct tw_failure *failure)
{
  return setsockopt(fd, SOL_PACKET, option, value, size) == 0 || tw_fail(failure, call);
}

static bool set_options(struct device *device, struct tw_failure *failure)
{
  const int fd = device->fd, on = 1;
  const struct packet_mreq all = { .mr_ifindex = device->index, .mr_type = PACKET_MR_PROMISC };
  if (device->offload) {
    if (!set(fd, PACKET_VNET_HDR, &on, sizeof on, "setsockopt PACKET_VNET_HDR", failure)) return false;
    device->offloads = OFFLOAD_CSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | (knows_uso() ? OFFLOAD_USO : 0);
  }
  tw_set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER);
  tw_set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER);
  return set(fd, PACKET_AUXDATA, &on, sizeof on, "setsockopt PACKET_AUXDATA", failure) &&
    set(fd, PACKET_IGNORE_OUTGOING, &on, sizeof on, "setsockopt PACKET_IGNORE_OUTGOING", failure) &&
    set(fd, PACKET_ADD_MEMBERSHIP, &all, sizeof all, "setsockopt PACKET_MR_PROMISC", failure);
}

/* Protocol 0 until it is bound: a frame of another interface must not get in. */
static bool open_packet(void *arg, struct tw_failure *failure)
{
  struct device *device = arg;
  device->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (device->fd < 0) return tw_fail(failure, "socket AF_PACKET");
  if (!describe(device, failure) || !set_options(device, failure)) return false;
  const struct sockaddr_ll address = {
    .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = device->index
  };
  return bind(device->fd, (const struct sockaddr *)&address, sizeof address) == 0 || tw_fail(failure, "bind");
}

static napi_value device_result(napi_env env, const struct device *device)
{
  char mac[18];
  const uint8_t *m = device->mac;
  napi_value result, text, up;
  snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
  if (napi_create_object(env, &result) != napi_ok || napi_create_string_utf8(env, mac, NAPI_AUTO_LENGTH, &text) != napi_ok ||
      napi_get_boolean(env, device->up, &up) != napi_ok)
    return NULL;
  napi_set_named_property(env, result, "fd", tw_number(env, device->fd));
  napi_set_named_property(env, result, "ifindex", tw_number(env, device->index));
  napi_set_named_property(env, result, "mac", text);
  napi_set_named_property(env, result, "mtu", tw_number(env, device->mtu));
  napi_set_named_property(env, result, "up", up);
  napi_set_named_property(env, result, "vnetHeader", tw_number(env, device->offload ? VNET_HEADER : 0));
  napi_set_named_property(env, result, "offloads", tw_number(env, device->offloads));
  return result;
}

/* openPacket(netns, name, offload): { fd, ifindex, mac, mtu, up, vnetHeader, offloads }. */
napi_value tw_open_packet(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  struct device device = { .fd = -1 };
  struct tw_failure failure = { .error = 0 };
  int32_t netns;
  if (!tw_args(env, info, 3, argv, NULL) || !tw_int32(env, argv[0], &netns) ||
      !tw_string(env, argv[1], device.name, sizeof device.name) || !tw_int32(env, argv[2], &device.offload))
    return NULL;
  if (!tw_in_netns(netns, open_packet, &device, &failure)) {
    if (device.fd >= 0) close(device.fd);
    return tw_throw(env, &failure, device.name);
  }
  if (!tw_own(tw_env_of(env), device.fd)) return tw_throw_errno(env, errno, "openPacket", device.name);
  return device_result(env, &device);
}

/* ---- in the exchange ---- */

/* A VLAN tag that the device, or the kernel on its behalf, has taken out of the frame. */
static uint32_t tag_of(struct msghdr *message)
{
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
    struct tpacket_auxdata aux;
    if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA || c->cmsg_len < CMSG_LEN(sizeof aux)) continue;
    memcpy(&aux, CMSG_DATA(c), sizeof aux);
    if (!(aux.tp_status & TP_STATUS_VLAN_VALID)) return 0;
    const bool outer = (aux.tp_status & TP_STATUS_VLAN_TPID_VALID) && aux.tp_vlan_tpid == 0x88a8;
    return RX_VLAN | (outer ? RX_QINQ : 0) | (uint32_t)aux.tp_vlan_tci << 16;
  }
  return 0;
}

/* After its device was deleted, or moved to another namespace, a packet socket is bound to none (packet_notifier). */
static bool has_device(int fd)
{
  struct sockaddr_ll address = { .sll_ifindex = 0 };
  socklen_t size = sizeof address;
  return getsockname(fd, (struct sockaddr *)&address, &size) == 0 && address.sll_ifindex > 0;
}

static void suspect(struct tw_io *io, struct tw_port *port)
{
  io->suspects += !port->suspect;
  port->suspect = true;
}

void tw_suspect(struct tw_io *io, int fd)
{
  for (size_t i = 0; i < io->port_count; i++)
    if (io->ports[i].state == PORT_WATCHED && io->ports[i].kind == PORT_PACKET && io->ports[i].fd == fd) suspect(io, &io->ports[i]);
}

/*
 * A device that goes is first down, then deleted, but only the first is told (ENETDOWN, once). So who was told so is asked
 * from time to time, until a frame comes.
 */
void tw_check_suspects(struct tw_io *io, struct tw_round *r)
{
  for (size_t i = 0; i < io->port_count && io->suspects > 0 && r->count < r->capacity; i++)
    if (io->ports[i].suspect && !has_device(io->ports[i].fd)) tw_report_gone(io, &io->ports[i], r, ENODEV);
}

static void read_failed(struct tw_io *io, struct tw_port *port, struct tw_round *r, int error)
{
  if (error == EAGAIN || error == EINTR) return;
  if (error == EBADF || error == ENOTSOCK) tw_report_gone(io, port, r, error);
  else if (error != ENETDOWN && error != ENXIO) io->control.at[CTL_RX_REFUSED]++;
  else if (has_device(port->fd)) suspect(io, port);
  else tw_report_gone(io, port, r, ENODEV);
}

void tw_read_packet(struct tw_io *io, struct tw_port *port, uint32_t events, struct tw_round *r)
{
  const int32_t header = port->header;
  int32_t asked;
  (void)events; /* a pending error is what the first read says */
  for (int32_t left = r->port_budget; left > 0;) {
    const int got = tw_receive(io, port, r, header, false, left, &asked);
    if (got < 0) {
      read_failed(io, port, r, -got);
      return;
    }
    for (int i = 0; i < got; i++) {
      struct mmsghdr *const message = &io->batch.messages[i];
      const int32_t length = (int32_t)message->msg_len - header;
      const uint32_t cut = message->msg_hdr.msg_flags & MSG_TRUNC ? RX_FULL : 0;
      tw_put_entry(io, r, port->tag, r->slot++, length, (int32_t)(tag_of(&message->msg_hdr) | cut));
      r->bytes += length;
    }
    left -= got;
    if (got < asked || got == 0) return;
    if (port->suspect) {
      port->suspect = false;
      io->suspects--;
    }
  }
}
