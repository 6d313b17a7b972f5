/* What a host is made of: a namespace of its own, its name, its sysctls, and what is told the kernel by rtnetlink(7). */
#include "tapway.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#define OWN_NAMESPACE "/proc/thread-self/ns/net"

static bool open_path(const char *path, int flags, int *fd, struct tw_failure *failure)
{
  *fd = open(path, flags | O_CLOEXEC, 0);
  failure->thing = path;
  return *fd >= 0 || tw_fail(failure, "open");
}

static bool make_netns(void *arg, struct tw_failure *failure)
{
  if (unshare(CLONE_NEWNET) < 0) return tw_fail(failure, "unshare");
  return open_path(OWN_NAMESPACE, O_RDONLY, arg, failure);
}

/* newNetns(): a descriptor of a new namespace, which lives as long as that or a name does. It is the caller's to close. */
napi_value tw_new_netns(napi_env env, napi_callback_info info)
{
  (void)info;
  struct tw_failure failure = { .error = 0 };
  int home, fd = -1;
  if (!open_path(OWN_NAMESPACE, O_RDONLY, &home, &failure)) return tw_throw(env, &failure, "network namespace");
  /* By way of where we are, so that the thread is brought back. */
  const bool done = tw_in_netns(home, make_netns, &fd, &failure);
  close(home);
  if (done) return tw_number(env, fd);
  if (fd >= 0) close(fd);
  return tw_throw(env, &failure, "network namespace");
}

/* Names in it are to be seen in other mount namespaces, too; one that is no mount of its own becomes one (ip-netns(8)). */
static bool share_folder(const char *folder, struct tw_failure *failure)
{
  bool bound = false;
  while (mount("", folder, "none", MS_SHARED | MS_REC, NULL) < 0) {
    if (errno != EINVAL || bound) return tw_fail(failure, "mount --make-shared");
    if (mount(folder, folder, "none", MS_BIND | MS_REC, NULL) < 0) return tw_fail(failure, "mount --bind");
    bound = true;
  }
  return true;
}

/* shareNetnsFolder(folder): as iproute2 does before it names one, and under its lock. */
napi_value tw_share_netns_folder(napi_env env, napi_callback_info info)
{
  napi_value argv[1];
  char folder[PATH_MAX];
  struct tw_failure failure = { .error = 0 };
  int lock;
  if (!tw_args(env, info, 1, argv, NULL) || !tw_string(env, argv[0], folder, sizeof folder)) return NULL;
  if (!open_path(folder, O_RDONLY | O_DIRECTORY, &lock, &failure)) return tw_throw(env, &failure, folder);
  const bool done = flock(lock, LOCK_EX) < 0 ? tw_fail(&failure, "flock") : share_folder(folder, &failure);
  close(lock);
  return done ? tw_undefined(env) : tw_throw(env, &failure, folder);
}

/* nameNetns(netns, path): EEXIST when there is such a file already. */
napi_value tw_name_netns(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  char path[PATH_MAX], source[32];
  int32_t netns;
  struct tw_failure failure = { .error = 0 };
  int fd;
  if (!tw_args(env, info, 2, argv, NULL) || !tw_int32(env, argv[0], &netns) || !tw_string(env, argv[1], path, sizeof path)) return NULL;
  if (!open_path(path, O_RDONLY | O_CREAT | O_EXCL, &fd, &failure)) return tw_throw(env, &failure, path);
  close(fd);
  snprintf(source, sizeof source, "/proc/self/fd/%d", netns);
  if (mount(source, path, "none", MS_BIND, NULL) == 0) return tw_undefined(env);
  tw_fail(&failure, "mount");
  unlink(path);
  return tw_throw(env, &failure, path);
}

struct sysctl {
  char path[256], value[4096];
};

static bool write_sysctl(void *arg, struct tw_failure *failure)
{
  const struct sysctl *sysctl = arg;
  const size_t length = strlen(sysctl->value);
  int fd;
  if (!open_path(sysctl->path, O_WRONLY, &fd, failure)) return false;
  const bool done = write(fd, sysctl->value, length) == (ssize_t)length || tw_fail(failure, "write");
  close(fd);
  return done;
}

/* writeSysctl(netns, path, value): the path is that of the file. */
napi_value tw_write_sysctl(napi_env env, napi_callback_info info)
{
  napi_value argv[3];
  int32_t netns;
  struct sysctl sysctl;
  struct tw_failure failure = { .error = 0 };
  if (!tw_args(env, info, 3, argv, NULL) || !tw_int32(env, argv[0], &netns) ||
      !tw_string(env, argv[1], sysctl.path, sizeof sysctl.path) || !tw_string(env, argv[2], sysctl.value, sizeof sysctl.value))
    return NULL;
  if (!tw_in_netns(netns, write_sysctl, &sysctl, &failure)) return tw_throw(env, &failure, sysctl.path);
  return tw_undefined(env);
}

/* An answer of the kernel: error number, and its words where it has some. */
struct answer {
  int error;
  char text[256];
};

static bool open_rtnetlink(void *arg, struct tw_failure *failure)
{
  int *fd = arg;
  const int on = 1;
  *fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (*fd < 0) return tw_fail(failure, "socket");
  setsockopt(*fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on); /* words are a courtesy */
  setsockopt(*fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return true;
}

/* The words among the attributes behind an acknowledgement (NETLINK_CAP_ACK: the request's header alone is sent back). */
static void read_words(const struct nlmsghdr *message, struct answer *answer)
{
  const char *end = (const char *)message + message->nlmsg_len;
  const char *at = (const char *)NLMSG_DATA(message) + sizeof(struct nlmsgerr);
  if (!(message->nlmsg_flags & NLM_F_ACK_TLVS)) return;
  while (end - at >= (ptrdiff_t)NLA_HDRLEN) {
    struct nlattr attribute;
    memcpy(&attribute, at, sizeof attribute);
    if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > end - at) return;
    if ((attribute.nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG)
      snprintf(answer->text, sizeof answer->text, "%.*s", (int)(attribute.nla_len - NLA_HDRLEN), at + NLA_HDRLEN);
    at += NLA_ALIGN(attribute.nla_len);
  }
}

/* Sends one request and takes its acknowledgement, which is there when the send returns. */
static bool ask(int fd, const struct nlmsghdr *request, struct answer *answer, struct tw_failure *failure)
{
  _Alignas(struct nlmsghdr) char room[8192];
  const struct nlmsghdr *message = (const struct nlmsghdr *)room;
  if (send(fd, request, request->nlmsg_len, 0) < 0) return tw_fail(failure, "send");
  const ssize_t got = recv(fd, room, sizeof room, 0);
  if (got < 0) return tw_fail(failure, "recv");
  answer->text[0] = '\0';
  if (!NLMSG_OK(message, (size_t)got) || message->nlmsg_type != NLMSG_ERROR ||
      message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))) {
    errno = EPROTO;
    return tw_fail(failure, "recv");
  }
  answer->error = -((const struct nlmsgerr *)NLMSG_DATA(message))->error;
  if (answer->error != 0) read_words(message, answer);
  return true;
}

static napi_value refusal(napi_env env, int index, const struct answer *answer)
{
  napi_value result, text;
  const char *words = answer->text[0] != '\0' ? answer->text : strerror(answer->error);
  if (napi_create_object(env, &result) != napi_ok || napi_create_string_utf8(env, words, NAPI_AUTO_LENGTH, &text) != napi_ok) return NULL;
  napi_set_named_property(env, result, "index", tw_number(env, index));
  napi_set_named_property(env, result, "reason", text);
  return result;
}

/*
 * rtnetlink(netns, requests): carries out the requests in order, messages with NLM_F_ACK one behind the other, until one is refused:
 * { index, reason } of that one, undefined when all were carried out.
 */
napi_value tw_rtnetlink(napi_env env, napi_callback_info info)
{
  napi_value argv[2];
  int32_t netns;
  napi_typedarray_type type;
  size_t length;
  void *data;
  struct tw_failure failure = { .error = 0 };
  int fd = -1;
  if (!tw_args(env, info, 2, argv, NULL) || !tw_int32(env, argv[0], &netns)) return NULL;
  if (napi_get_typedarray_info(env, argv[1], &type, &length, &data, NULL, NULL) != napi_ok || type != napi_uint8_array) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "a Uint8Array is expected");
    return NULL;
  }
  if (!tw_in_netns(netns, open_rtnetlink, &fd, &failure)) {
    if (fd >= 0) close(fd);
    return tw_throw(env, &failure, "rtnetlink");
  }
  napi_value result = NULL;
  bool done = true;
  const char *at = data;
  for (int index = 0; done && result == NULL && length >= NLMSG_HDRLEN; index++) {
    const struct nlmsghdr *request = (const struct nlmsghdr *)at;
    struct answer answer;
    if (request->nlmsg_len < NLMSG_HDRLEN || request->nlmsg_len > length) {
      failure = (struct tw_failure){ .error = EINVAL, .syscall = "send", .text = "a request is longer than what there is" };
      done = false;
    } else {
      done = ask(fd, request, &answer, &failure);
      if (done && answer.error != 0) result = refusal(env, index, &answer);
      const size_t step = NLMSG_ALIGN(request->nlmsg_len);
      at += step < length ? step : length;
      length -= step < length ? step : length;
    }
  }
  close(fd);
  return done ? (result != NULL ? result : tw_undefined(env)) : tw_throw(env, &failure, "rtnetlink");
}
