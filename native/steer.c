/*
 * Which queue of a TAP a frame is handed over by: an eBPF program of the device's (TUNSETSTEERINGEBPF). Left alone, the kernel gives a
 * flow to the queue by which its other direction was written last, so that a flow may change its queue in the middle and overtake
 * itself. This program looks at nothing but addresses, protocol and ports: both directions of a flow have one queue, always.
 */
#include "tapway.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef TUNSETSTEERINGEBPF
#define TUNSETSTEERINGEBPF _IOR('T', 224, int)
#endif

#define OP(c, d, s, o, i) { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }
#define MOV(d, s) OP(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define SET(d, i) OP(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD(d, s) OP(BPF_ALU | BPF_ADD | BPF_X, d, s, 0, 0)
#define ADD_K(d, i) OP(BPF_ALU | BPF_ADD | BPF_K, d, 0, 0, i)
#define XOR(d, s) OP(BPF_ALU | BPF_XOR | BPF_X, d, s, 0, 0)
#define AND_K(d, i) OP(BPF_ALU | BPF_AND | BPF_K, d, 0, 0, i)
#define LEFT(d, i) OP(BPF_ALU | BPF_LSH | BPF_K, d, 0, 0, i)
#define RIGHT(d, i) OP(BPF_ALU | BPF_RSH | BPF_K, d, 0, 0, i)
#define TIMES(d, i) OP(BPF_ALU | BPF_MUL | BPF_K, d, 0, 0, (int)(i))
#define IF_EQ(d, i, o) OP(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, i)
#define IF_NE(d, i, o) OP(BPF_JMP | BPF_JNE | BPF_K, d, 0, o, i)
#define GO(o) OP(BPF_JMP | BPF_JA, 0, 0, o, 0)
/* Loads into r0, in host order; of a frame that is too short the program ends with 0. */
#define AT(size, i) OP(BPF_LD | BPF_ABS | (size), 0, 0, 0, i)
#define FROM_R8(size, i) OP(BPF_LD | BPF_IND | (size), 0, BPF_REG_8, 0, i)

enum { R0 = BPF_REG_0, R1 = BPF_REG_1, R6 = BPF_REG_6, R7 = BPF_REG_7, R8 = BPF_REG_8, R9 = BPF_REG_9 };

/* r6: the frame, as loads want it; r7: the hash; r8: where the network header, then the transport header begins. */
static const struct bpf_insn program[] = {
  /* 0 */ MOV(R6, R1), SET(R8, 14), AT(BPF_H, 12),
  /* 3 */ IF_NE(R0, 0x8100, 2), SET(R8, 18), AT(BPF_H, 16),
  /* 6 */ IF_EQ(R0, 0x0800, 6), IF_EQ(R0, 0x86dd, 21),
  /* 8: neither: the lower parts of both MAC addresses */
  AT(BPF_W, 2), MOV(R7, R0), AT(BPF_W, 8), ADD(R7, R0), GO(44),
  /* 13: IPv4 */
  FROM_R8(BPF_W, 12), MOV(R7, R0), FROM_R8(BPF_W, 16), ADD(R7, R0), FROM_R8(BPF_B, 9), MOV(R9, R0),
  /* 19: a fragment has no ports, or the others have none */
  FROM_R8(BPF_H, 6), AND_K(R0, 0x3fff), IF_NE(R0, 0, 35),
  /* 22 */ IF_EQ(R9, 6, 1), IF_NE(R9, 17, 33),
  /* 24 */ FROM_R8(BPF_B, 0), AND_K(R0, 15), LEFT(R0, 2), ADD(R8, R0), GO(22),
  /* 29: IPv6 */
  FROM_R8(BPF_W, 8), MOV(R7, R0), FROM_R8(BPF_W, 12), ADD(R7, R0), FROM_R8(BPF_W, 16), ADD(R7, R0), FROM_R8(BPF_W, 20), ADD(R7, R0),
  FROM_R8(BPF_W, 24), ADD(R7, R0), FROM_R8(BPF_W, 28), ADD(R7, R0), FROM_R8(BPF_W, 32), ADD(R7, R0), FROM_R8(BPF_W, 36), ADD(R7, R0),
  /* 45 */ FROM_R8(BPF_B, 6), MOV(R9, R0), ADD_K(R8, 40), IF_EQ(R9, 6, 2), IF_EQ(R9, 17, 1), GO(6),
  /* 51: ports */
  FROM_R8(BPF_H, 0), MOV(R9, R0), FROM_R8(BPF_H, 2), ADD(R9, R0), TIMES(R9, 0x9e3779b1), ADD(R7, R9),
  /* 57: spread; the kernel takes the rest of the division by the number of queues */
  MOV(R0, R7), RIGHT(R0, 16), XOR(R7, R0), TIMES(R7, 0x85ebca6b), MOV(R0, R7), RIGHT(R0, 13), XOR(R7, R0), TIMES(R7, 0xc2b2ae35),
  MOV(R0, R7), RIGHT(R0, 16), XOR(R0, R7), OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
};

static int load_program(void)
{
  union bpf_attr attr;
  memset(&attr, 0, sizeof attr);
  attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attr.insns = (uint64_t)(uintptr_t)program;
  attr.insn_cnt = sizeof program / sizeof program[0];
  attr.license = (uint64_t)(uintptr_t)"MIT";
  return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
}

/* steerTap(fd): flows keep to one queue of the device. */
napi_value tw_steer_tap(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  int32_t fd;
  if (!tw_args(env, info, 1, argv, NULL) || !tw_int32(env, argv[0], &fd)) return NULL;
  const int loaded = load_program();
  if (loaded < 0) return tw_throw_errno(env, errno, "bpf BPF_PROG_LOAD", "TAP descriptor");
  const int done = ioctl(fd, TUNSETSTEERINGEBPF, &loaded);
  const int error = errno;
  close(loaded); /* the device has its own hold of it */
  if (done < 0) return tw_throw_errno(env, error, "ioctl TUNSETSTEERINGEBPF", "TAP descriptor");
  return tw_undefined(env);
}
