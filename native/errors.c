/* Errors as JavaScript sees them, and reading arguments. */
#include "tapway.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The names of what these calls can return. uv_err_name and util.getSystemErrorName do not know all of them (EBADFD). */
static const char *name_of(int error)
{
  switch (error) {
#define NAME(e) case e: return #e;
    NAME(EPERM) NAME(ENOENT) NAME(ESRCH) NAME(EINTR) NAME(EIO) NAME(ENXIO) NAME(E2BIG) NAME(EBADF) NAME(EAGAIN)
    NAME(ENOMEM) NAME(EACCES) NAME(EFAULT) NAME(EBUSY) NAME(EEXIST) NAME(EXDEV) NAME(ENODEV) NAME(ENOTDIR) NAME(EISDIR)
    NAME(EINVAL) NAME(ENFILE) NAME(EMFILE) NAME(ENOTTY) NAME(EFBIG) NAME(ENOSPC) NAME(ESPIPE) NAME(EROFS) NAME(EPIPE)
    NAME(ERANGE) NAME(ENAMETOOLONG) NAME(ENOSYS) NAME(ELOOP) NAME(EUSERS) NAME(ENOTSOCK) NAME(EMSGSIZE) NAME(EPROTO)
    NAME(EPROTONOSUPPORT) NAME(EOPNOTSUPP) NAME(EAFNOSUPPORT) NAME(EADDRINUSE) NAME(EADDRNOTAVAIL) NAME(ENETDOWN)
    NAME(ENETUNREACH) NAME(ECONNABORTED) NAME(ECONNRESET) NAME(ENOBUFS) NAME(ENOTCONN) NAME(ETIMEDOUT)
    NAME(ECONNREFUSED) NAME(EHOSTUNREACH) NAME(EALREADY) NAME(EINPROGRESS) NAME(EOVERFLOW) NAME(EBADFD) NAME(ECANCELED)
    NAME(EHOSTDOWN) NAME(ENONET) NAME(ENOPROTOOPT) NAME(EDESTADDRREQ)
#undef NAME
    default: return NULL;
  }
}

bool tw_fail(struct tw_failure *failure, const char *syscall)
{
  failure->error = errno;
  failure->syscall = syscall;
  return false;
}

static void set_named(napi_env env, napi_value object, const char *name, napi_value value)
{
  if (value != NULL) napi_set_named_property(env, object, name, value);
}

static napi_value text_of(napi_env env, const char *text)
{
  napi_value value = NULL;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
  return value;
}

napi_value tw_throw(napi_env env, const struct tw_failure *failure, const char *thing)
{
  char message[512], unknown[32];
  const char *code = name_of(failure->error);
  if (code == NULL) {
    snprintf(unknown, sizeof unknown, "E%d", failure->error);
    code = unknown;
  }
  snprintf(message, sizeof message, "%s %s: %s", failure->syscall, failure->thing != NULL ? failure->thing : thing,
           failure->text != NULL ? failure->text : strerror(failure->error));
  napi_value error = NULL, fatal = NULL;
  napi_value code_value = text_of(env, code), message_value = text_of(env, message);
  if (code_value == NULL || message_value == NULL || napi_create_error(env, code_value, message_value, &error) != napi_ok) {
    napi_throw_error(env, code, message);
    return NULL;
  }
  set_named(env, error, "errno", tw_number(env, -failure->error));
  set_named(env, error, "syscall", text_of(env, failure->syscall));
  if (failure->fatal && napi_get_boolean(env, true, &fatal) == napi_ok) set_named(env, error, "fatal", fatal);
  napi_throw(env, error);
  return NULL;
}

napi_value tw_throw_errno(napi_env env, int error, const char *syscall, const char *thing)
{
  const struct tw_failure failure = { .error = error, .syscall = syscall };
  return tw_throw(env, &failure, thing);
}

bool tw_args(napi_env env, napi_callback_info info, size_t count, napi_value *argv, void **data)
{
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, argv, NULL, data) == napi_ok && given >= count) return true;
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "too few arguments");
  return false;
}

bool tw_int32(napi_env env, napi_value value, int32_t *out)
{
  if (napi_get_value_int32(env, value, out) == napi_ok) return true;
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "a number is expected");
  return false;
}

bool tw_string(napi_env env, napi_value value, char *out, size_t size)
{
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "a string is expected");
    return false;
  }
  if (length >= size) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "the string is too long");
    return false;
  }
  return napi_get_value_string_utf8(env, value, out, size, &length) == napi_ok;
}

napi_value tw_number(napi_env env, double value)
{
  napi_value number = NULL;
  napi_create_double(env, value, &number);
  return number;
}

napi_value tw_undefined(napi_env env)
{
  napi_value value = NULL;
  napi_get_undefined(env, &value);
  return value;
}
