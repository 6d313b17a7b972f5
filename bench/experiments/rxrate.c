/*
 * An experiment: how many frames a second one thread can take from a device, and what of a processor it needs for them, by
 *
 *   packet   a packet socket with virtio-net header and recvmmsg, as Tapway's device port has it
 *   ring     a packet socket with a ring in shared memory (TPACKET_V3, packet(7))
 *   xdp      AF_XDP in copy mode, every frame redirected by an XDP program of six instructions
 *
 *   rxrate MODE DEVICE SECONDS
 *
 * Frames are looked at (one byte) and forgotten. Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH 16
#define ROOM 2048
#define BLOCKS 64
#define BLOCK_BYTES (1 << 20)
#define FRAMES 4096 /* of the AF_XDP memory, and places of its rings */

static unsigned long long received;
static volatile unsigned seen; /* so that looking is not left out */

static void fail(const char *what)
{
  fprintf(stderr, "rxrate: %s: %s\n", what, strerror(errno));
  exit(1);
}

static double now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void wait_for(int fd)
{
  struct pollfd watched = { .fd = fd, .events = POLLIN };
  poll(&watched, 1, 100);
}

static void set(int fd, int level, int option, const void *value, socklen_t size, const char *what)
{
  if (setsockopt(fd, level, option, value, size) < 0) fail(what);
}

static int packet_socket(void)
{
  const int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1;
  if (fd < 0) fail("socket AF_PACKET");
  setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
  return fd;
}

static void bind_packet(int fd, int index)
{
  const struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index };
  if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0) fail("bind");
}

static void by_packet(int index, double end)
{
  static unsigned char room[BATCH][ROOM];
  static struct mmsghdr messages[BATCH];
  static struct iovec parts[BATCH];
  const int fd = packet_socket(), on = 1, bytes = 8 << 20;
  set(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on, "PACKET_VNET_HDR");
  set(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes, "SO_RCVBUFFORCE");
  bind_packet(fd, index);
  for (int i = 0; i < BATCH; i++) {
    parts[i] = (struct iovec){ room[i], ROOM };
    messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
  }
  while (now() < end) {
    const int got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (got < 0) wait_for(fd);
    for (int i = 0; i < got; i++) seen += room[i][12];
    if (got > 0) received += (unsigned)got;
  }
}

static void by_ring(int index, double end)
{
  const int fd = packet_socket(), version = TPACKET_V3;
  const struct tpacket_req3 ring = {
    .tp_block_size = BLOCK_BYTES, .tp_block_nr = BLOCKS, .tp_frame_size = ROOM, .tp_frame_nr = BLOCKS * (BLOCK_BYTES / ROOM), .tp_retire_blk_tov = 1
  };
  set(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version, "PACKET_VERSION");
  set(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring, "PACKET_RX_RING");
  unsigned char *map = mmap(NULL, (size_t)BLOCK_BYTES * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) fail("mmap");
  bind_packet(fd, index);
  for (unsigned n = 0; now() < end; n = (n + 1) % BLOCKS) {
    struct tpacket_block_desc *block = (struct tpacket_block_desc *)(map + (size_t)n * BLOCK_BYTES);
    while (!(__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) {
      if (now() >= end) return;
      wait_for(fd);
    }
    struct tpacket3_hdr *frame = (struct tpacket3_hdr *)((char *)block + block->hdr.bh1.offset_to_first_pkt);
    for (unsigned i = 0; i < block->hdr.bh1.num_pkts; i++) {
      seen += *((unsigned char *)frame + frame->tp_mac + 12);
      frame = (struct tpacket3_hdr *)((char *)frame + frame->tp_next_offset);
    }
    received += block->hdr.bh1.num_pkts;
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  }
}

static long bpf(int command, union bpf_attr *attributes)
{
  return syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

/* return bpf_redirect_map(&map, ctx->rx_queue_index, XDP_PASS) */
static void attach(int map, int index)
{
  const struct bpf_insn program[] = {
    { .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = offsetof(struct xdp_md, rx_queue_index) },
    { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map }, { .code = 0 },
    { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS },
    { .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map }, { .code = BPF_JMP | BPF_EXIT }
  };
  union bpf_attr load = {
    .prog_type = BPF_PROG_TYPE_XDP, .insn_cnt = sizeof program / sizeof program[0], .insns = (uint64_t)(uintptr_t)program, .license = (uint64_t)(uintptr_t)"GPL"
  };
  const int fd = (int)bpf(BPF_PROG_LOAD, &load);
  if (fd < 0) fail("BPF_PROG_LOAD");
  union bpf_attr link = { .link_create = { .prog_fd = (uint32_t)fd, .target_ifindex = (uint32_t)index, .attach_type = BPF_XDP } };
  if (bpf(BPF_LINK_CREATE, &link) < 0) fail("BPF_LINK_CREATE"); /* detached when the program ends */
}

static void by_xdp(int index, double end)
{
  const int fd = socket(AF_XDP, SOCK_RAW, 0), places = FRAMES;
  if (fd < 0) fail("socket AF_XDP");
  unsigned char *memory = mmap(NULL, (size_t)FRAMES * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  const struct xdp_umem_reg umem = { .addr = (uint64_t)(uintptr_t)memory, .len = (uint64_t)FRAMES * ROOM, .chunk_size = ROOM };
  set(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem, "XDP_UMEM_REG");
  set(fd, SOL_XDP, XDP_UMEM_FILL_RING, &places, sizeof places, "XDP_UMEM_FILL_RING");
  set(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &places, sizeof places, "XDP_UMEM_COMPLETION_RING");
  set(fd, SOL_XDP, XDP_RX_RING, &places, sizeof places, "XDP_RX_RING");
  struct xdp_mmap_offsets at;
  socklen_t size = sizeof at;
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &size) < 0) fail("XDP_MMAP_OFFSETS");
  char *rx = mmap(NULL, at.rx.desc + FRAMES * sizeof(struct xdp_desc), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, XDP_PGOFF_RX_RING);
  char *fill = mmap(NULL, at.fr.desc + FRAMES * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, XDP_UMEM_PGOFF_FILL_RING);
  if (rx == MAP_FAILED || fill == MAP_FAILED) fail("mmap");
  uint32_t *rx_made = (uint32_t *)(rx + at.rx.producer), *rx_taken = (uint32_t *)(rx + at.rx.consumer), *filled = (uint32_t *)(fill + at.fr.producer);
  const struct xdp_desc *frames = (const struct xdp_desc *)(rx + at.rx.desc);
  uint64_t *free_frames = (uint64_t *)(fill + at.fr.desc);
  for (uint32_t i = 0; i < FRAMES; i++) free_frames[i] = (uint64_t)i * ROOM;
  __atomic_store_n(filled, FRAMES, __ATOMIC_RELEASE);
  union bpf_attr create = { .map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 1 };
  const int map = (int)bpf(BPF_MAP_CREATE, &create);
  if (map < 0) fail("BPF_MAP_CREATE");
  const struct sockaddr_xdp where = { .sxdp_family = AF_XDP, .sxdp_ifindex = (uint32_t)index, .sxdp_flags = XDP_COPY };
  if (bind(fd, (const struct sockaddr *)&where, sizeof where) < 0) fail("bind AF_XDP");
  const uint32_t key = 0;
  union bpf_attr update = { .map_fd = (uint32_t)map, .key = (uint64_t)(uintptr_t)&key, .value = (uint64_t)(uintptr_t)&fd };
  if (bpf(BPF_MAP_UPDATE_ELEM, &update) < 0) fail("BPF_MAP_UPDATE_ELEM");
  attach(map, index);
  while (now() < end) {
    const uint32_t from = *rx_taken, to = __atomic_load_n(rx_made, __ATOMIC_ACQUIRE), free_at = *filled;
    if (from == to) {
      wait_for(fd);
      continue;
    }
    for (uint32_t i = from; i != to; i++) {
      const struct xdp_desc *frame = &frames[i % FRAMES];
      seen += memory[frame->addr + 12];
      free_frames[(free_at + i - from) % FRAMES] = frame->addr;
    }
    received += to - from;
    __atomic_store_n(rx_taken, to, __ATOMIC_RELEASE);
    __atomic_store_n(filled, free_at + to - from, __ATOMIC_RELEASE);
  }
}

int main(int argc, char **argv)
{
  const int index = argc == 4 ? (int)if_nametoindex(argv[2]) : 0;
  if (index == 0) {
    fprintf(stderr, "usage: rxrate packet|ring|xdp DEVICE SECONDS\n");
    return 2;
  }
  struct rusage before, after;
  const double begin = now(), end = begin + atof(argv[3]);
  getrusage(RUSAGE_SELF, &before);
  if (strcmp(argv[1], "packet") == 0) by_packet(index, end);
  else if (strcmp(argv[1], "ring") == 0) by_ring(index, end);
  else if (strcmp(argv[1], "xdp") == 0) by_xdp(index, end);
  else return 2;
  getrusage(RUSAGE_SELF, &after);
  const double cpu = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
    (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec) / 1e6;
  printf("{\"mode\":\"%s\",\"kpps\":%.0f,\"cpuSeconds\":%.3f,\"nsEach\":%.0f}\n", argv[1], (double)received / (now() - begin) / 1e3, cpu,
         received == 0 ? 0.0 : cpu * 1e9 / (double)received);
  return 0;
}
