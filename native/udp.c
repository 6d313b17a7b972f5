/*
 * UDP sockets in the exchange: a run of datagrams out by one sendmsg, blocks of datagrams in by recvmmsg, ICMP errors from the
 * error queue. What is inside the datagrams is the caller's.
 */
#include "tapway.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>

/* Headers may be older than the kernel. */
#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#define TW_UDP_SEGMENT 103
#define TW_UDP_GRO 104

#define UDP_BEFORE 8      /* the payload begins so far before the slot: there the VXLAN header ends */
#define NAME_BEFORE 42    /* and so far before the slot its sender's address stands */
#define NAME_BYTES 28     /* struct sockaddr_in6 */
#define ERRORS_A_TURN 8

/* ---- sending ---- */

static void add_control(struct msghdr *message, int level, int type, const void *value, size_t size)
{
  struct cmsghdr *c = (struct cmsghdr *)((char *)message->msg_control + message->msg_controllen);
  *c = (struct cmsghdr){ .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(size) };
  memcpy(CMSG_DATA(c), value, size);
  message->msg_controllen += CMSG_SPACE(size);
}

/*
 * What an ICMP error to an earlier datagram leaves at the socket (icmp_err_convert of net/ipv4/icmp.c and its like for IPv6).
 * The next send takes it away and fails with it, without having sent.
 */
static bool may_be_of_an_earlier_one(int error)
{
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EMSGSIZE || error == EHOSTDOWN ||
    error == ENOPROTOOPT || error == ENONET || error == EACCES || error == EPROTO || error == EOPNOTSUPP;
}

static int send_one(int fd, const struct msghdr *message)
{
  if (sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 0;
  if (!may_be_of_an_earlier_one(errno)) return errno;
  return sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? 0 : errno;
}

/* Cuts the iovecs at multiples of `size` and sends each piece. All are tried; the errno is that of the first that failed. */
static int send_each(int fd, struct msghdr *message, size_t size)
{
  struct iovec *const all = message->msg_iov;
  const size_t count = message->msg_iovlen;
  int failure = 0;
  for (size_t i = 0; i < count;) {
    size_t room = size, end = i;
    for (; end < count && all[end].iov_len <= room; end++) room -= all[end].iov_len;
    const bool cut = end < count && room > 0;
    const struct iovec whole = all[cut ? end : i];
    if (cut) all[end].iov_len = room;
    message->msg_iov = &all[i];
    message->msg_iovlen = end - i + cut;
    const int error = send_one(fd, message);
    if (failure == 0) failure = error;
    if (cut) all[end] = (struct iovec){ .iov_base = (char *)whole.iov_base + room, .iov_len = whole.iov_len - room };
    i = end;
  }
  return failure;
}

static bool set_destination(const struct tw_io *io, int32_t row, struct msghdr *message)
{
  if (row < 0 || row >= io->addresses.length / ADDRESS_WORDS) return false;
  message->msg_name = io->addresses.at + (size_t)row * ADDRESS_WORDS;
  const int family = ((const struct sockaddr *)message->msg_name)->sa_family;
  message->msg_namelen = family == AF_INET ? sizeof(struct sockaddr_in) : NAME_BYTES;
  return family == AF_INET || family == AF_INET6;
}

static void set_ttl_and_tos(struct msghdr *message, int32_t word)
{
  const bool v6 = ((const struct sockaddr *)message->msg_name)->sa_family == AF_INET6;
  const int ttl = word & 0xff, tos = word >> 8 & 0xff;
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (ttl != 0) add_control(message, level, v6 ? IPV6_HOPLIMIT : IP_TTL, &ttl, sizeof ttl);
  add_control(message, level, v6 ? IPV6_TCLASS : IP_TOS, &tos, sizeof tos);
}

int tw_send_message(struct tw_io *io, const int32_t *entry)
{
  struct iovec parts[TW_SEND_IOVECS];
  _Alignas(struct cmsghdr) char control[3 * CMSG_SPACE(sizeof(int))];
  struct msghdr message = { .msg_iov = parts, .msg_control = control };
  const int fd = entry[TX_FD];
  const int32_t gso = entry[TX_GSO];
  size_t total;
  const int error = tw_gather(io, entry[TX_AT], entry[TX_LENGTH], TW_SEND_IOVECS, parts, &total);
  if (error != 0) return error;
  if (gso < 0 || gso > UINT16_MAX || !set_destination(io, entry[TX_ADDRESS], &message)) return EINVAL;
  message.msg_iovlen = (size_t)entry[TX_LENGTH];
  if (entry[TX_TTL_TOS] >= 0) set_ttl_and_tos(&message, entry[TX_TTL_TOS]);
  if (gso == 0 || total <= (size_t)gso) return send_one(fd, &message);

  const uint16_t size = (uint16_t)gso;
  const size_t without = message.msg_controllen;
  add_control(&message, SOL_UDP, TW_UDP_SEGMENT, &size, sizeof size);
  const int refused = send_one(fd, &message);
  /* EINVAL or EMSGSIZE: a datagram does not fit the MTU of the path; EIO: the device cannot. */
  if (refused != EINVAL && refused != EIO && refused != EMSGSIZE) return refused;
  io->control.at[CTL_GSO_FALLBACKS]++;
  message.msg_controllen = without;
  return send_each(fd, &message, size);
}

/* ---- receiving ---- */

/* The arena offset of the next free slot's `before` bytes, or -1 with bad_slot set when it is not whole within the arena. */
static int64_t slot_at(struct tw_io *io, const struct tw_round *r, int32_t index, int32_t front)
{
  const int64_t at = io->rx_slots.at[index];
  if (r->slot_bytes > 0 && tw_in_arena(io, at - front, (int64_t)front + r->slot_bytes)) return at;
  io->bad_slot = true;
  return -1;
}

static int32_t least(int32_t a, int64_t b)
{
  return a < b ? a : (int32_t)b;
}

int tw_receive(struct tw_io *io, const struct tw_port *port, const struct tw_round *r, int32_t before, bool named, int32_t left,
               int32_t *asked)
{
  struct tw_batch *const batch = &io->batch;
  int32_t most = least(r->without & SKIP_RECEIVE_BATCH ? 1 : TW_BATCH, left), count = 0;
  most = least(most, r->slots - r->slot);
  most = least(most, r->capacity - r->count);
  most = least(most, ((int64_t)r->byte_budget - r->bytes + UINT16_MAX) / (UINT16_MAX + 1)); /* a block may have 64 KiB */
  for (; count < most; count++) {
    const int64_t at = slot_at(io, r, r->slot + count, named ? NAME_BEFORE : before);
    if (at < 0) break;
    batch->slots_at[count] = (int32_t)at;
    batch->parts[count] = (struct iovec){ .iov_base = io->arena + at - before, .iov_len = (size_t)before + (size_t)r->slot_bytes };
    batch->messages[count].msg_hdr = (struct msghdr){
      .msg_iov = &batch->parts[count], .msg_iovlen = 1,
      .msg_control = batch->control[count], .msg_controllen = sizeof batch->control[count],
      .msg_name = named ? io->arena + at - NAME_BEFORE : NULL, .msg_namelen = named ? NAME_BYTES : 0
    };
  }
  *asked = count;
  if (count == 0) return 0;
  const int got = recvmmsg(port->fd, batch->messages, (unsigned)count, MSG_DONTWAIT, NULL);
  return got >= 0 ? got : -errno;
}

/* Flags of an rx entry from what the kernel says beside the payload. */
static int32_t flags_of(struct msghdr *message)
{
  uint32_t flags = RX_META | (message->msg_flags & MSG_TRUNC ? RX_FULL : 0);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
    int value = 0;
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == TW_UDP_GRO) {
      memcpy(&value, CMSG_DATA(c), sizeof value);
      flags |= (uint32_t)value << 16;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
      flags |= (uint32_t)*CMSG_DATA(c) << 8; /* one byte, unlike when sending */
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
      memcpy(&value, CMSG_DATA(c), sizeof value);
      flags |= (uint32_t)(value & 0xff) << 8;
    }
  }
  return (int32_t)flags;
}

/* One error from the queue into the next slot. False when there is none, or no room for it. */
static bool read_error(struct tw_io *io, struct tw_port *port, struct tw_round *r)
{
  _Alignas(struct cmsghdr) char control[256];
  char payload[1];
  if (r->slot >= r->slots || r->count >= r->capacity) return false;
  const int64_t at = slot_at(io, r, r->slot, NAME_BEFORE);
  if (at < 0 || r->slot_bytes < (int32_t)sizeof(struct sock_extended_err)) return false;
  struct iovec part = { .iov_base = payload, .iov_len = sizeof payload };
  struct msghdr message = {
    .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
    .msg_name = io->arena + at - NAME_BEFORE, .msg_namelen = NAME_BYTES
  };
  memset(message.msg_name, 0, NAME_BYTES); /* family 0: the kernel does not say */
  if (recvmsg(port->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
    if (errno == EBADF || errno == ENOTSOCK) tw_report_gone(io, port, r, errno);
    return false;
  }
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
    const bool error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
      (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
    if (!error || c->cmsg_len < CMSG_LEN(sizeof(struct sock_extended_err))) continue;
    memcpy(io->arena + at, CMSG_DATA(c), sizeof(struct sock_extended_err));
    tw_put_entry(io, r, port->tag, r->slot++, sizeof(struct sock_extended_err), RX_META | RX_ERROR);
    break;
  }
  return true;
}

static void read_errors(struct tw_io *io, struct tw_port *port, struct tw_round *r)
{
  int error;
  socklen_t size = sizeof error;
  int32_t left = ERRORS_A_TURN;
  while (left > 0 && read_error(io, port, r)) left--;
  /* Takes away an error without an entry in the queue, which would end every sleep at once. */
  if (left > 0 && port->state == PORT_WATCHED) getsockopt(port->fd, SOL_SOCKET, SO_ERROR, &error, &size);
}

void tw_read_udp(struct tw_io *io, struct tw_port *port, uint32_t events, struct tw_round *r)
{
  if (events & EPOLLERR) read_errors(io, port, r);
  if (port->kind != PORT_UDP || port->state != PORT_WATCHED) return;
  int32_t asked;
  for (int32_t left = r->port_budget; left > 0;) {
    /* As many as came the last time, or twice as many when there seemed to be more: asking for what is not there costs, too. */
    const int32_t limit = port->burst > 0 && port->burst < left ? port->burst : left;
    const int got = tw_receive(io, port, r, UDP_BEFORE, true, limit, &asked);
    if (got == -EBADF || got == -ENOTSOCK) tw_report_gone(io, port, r, -got);
    if (got <= 0) return; /* any other error is that of a datagram sent earlier: the queue has it */
    for (int i = 0; i < got; i++) {
      const int32_t length = (int32_t)io->batch.messages[i].msg_len;
      tw_put_entry(io, r, port->tag, r->slot++, length, flags_of(&io->batch.messages[i].msg_hdr));
      r->bytes += length;
    }
    left -= got;
    if (got < asked) {
      port->burst = got;
      return;
    }
    if (limit == port->burst) { /* readiness is level-triggered: the rest is not late */
      port->burst = limit < TW_BATCH ? limit * 2 : 0;
      if (port->burst != 0) return;
    }
  }
}
