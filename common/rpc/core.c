/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rpc/internal.h"

#include "common/log.h"

#include <dlfcn.h>
#include <errno.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/log.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX_BYTES (1024 * 1024)

/* The core's errors are those of peers as well (a port scanner's failed handshake), so they are
 * limited; what concerns a call of ours comes back as its status too. */
static void log_core(gpr_log_func_args *args)
{
    static struct gw_log_limit limit;
    unsigned dropped = 0;
    if (args->severity != GPR_LOG_SEVERITY_ERROR || !gw_log_allow(&limit, 5, &dropped))
        return;
    gw_log(GW_LOG_WARN, "grpc", "message of the gRPC core", gw_kv_text("text", args->message),
           gw_kv_text("file", args->file), gw_kv_int("line", args->line),
           gw_kv_int("dropped", dropped));
}

/* Debian builds Abseil with its search for deadlocks: each lock of a mutex that the core holds is
 * looked up and noted under one lock of the whole process, a tenth of what a fleet costs. It is for
 * the core's own developers. Abseil has no other way to switch it off than this C++ function; where
 * it has another name nothing happens. */
static void stop_deadlock_search(void)
{
    void *found = dlsym(RTLD_DEFAULT,
                        "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE");
    void (*set_mode)(int);
    memcpy(&set_mode, &found, sizeof(set_mode)); /* ISO C knows no cast between the two */
    if (set_mode)
        set_mode(0 /* kIgnore */);
}

void gw_rpc_core_init(void)
{
    gpr_set_log_function(log_core);
    stop_deadlock_search();
    grpc_init();
}

void gw_rpc_core_done(void)
{
    grpc_shutdown();
}

static grpc_byte_buffer *buffer_of(grpc_slice slice)
{
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

grpc_byte_buffer *gw_rpc_buffer_from(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    return buffer_of(slice);
}

grpc_byte_buffer *gw_rpc_buffer_from_packed(gw_str bytes)
{
    return buffer_of(grpc_slice_from_copied_buffer(bytes.len ? bytes.ptr : "", bytes.len));
}

grpc_byte_buffer *gw_rpc_buffer_from_shared(gw_str bytes, void (*release)(void *keep), void *keep)
{
    return buffer_of(
        grpc_slice_new_with_user_data((void *)(uintptr_t)bytes.ptr, bytes.len, release, keep));
}

int gw_rpc_buffer_unpack(grpc_byte_buffer *buffer, struct gw_arena *arena,
                         const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret_message,
                         struct gw_error *err)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
        grpc_byte_buffer_destroy(buffer);
        return gw_fail(err, GW_INVALID_ARGUMENT, "the message's compression is broken");
    }
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    int failed = gw_message_unpack(arena, type, gw_rpc_slice_view(&slice), ret_message, err);
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(buffer);
    return failed;
}

gw_str gw_rpc_slice_view(const grpc_slice *slice)
{
    return gw_str_n((const char *)GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
}

grpc_arg gw_rpc_arg_int(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

grpc_arg gw_rpc_arg_text(const char *key, const char *value)
{
    return (grpc_arg){.type = GRPC_ARG_STRING, .key = (char *)key, .value.string = (char *)value};
}

static char *read_all(FILE *file, const char *path, struct gw_error *err)
{
    char *text = gw_malloc(FILE_MAX_BYTES + 1);
    size_t len = fread(text, 1, FILE_MAX_BYTES + 1, file);
    if (!ferror(file) && len <= FILE_MAX_BYTES) {
        text[len] = '\0';
        return text;
    }
    free(text);
    (void)gw_fail(err, GW_INVALID_ARGUMENT, "%s: %s", path,
                  ferror(file) ? "cannot be read" : "larger than 1 MiB");
    return NULL;
}

char *gw_rpc_read_file(const char *path, struct gw_error *err)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        (void)gw_fail(err, GW_INVALID_ARGUMENT, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = read_all(file, path, err);
    (void)fclose(file); /* only read: nothing can be lost */
    return text;
}

void gw_rpc_batch(grpc_call *call, const grpc_op *ops, size_t count, struct gw_rpc_tag *tag)
{
    gw_tsan_release(tag);
    grpc_call_error failed = grpc_call_start_batch(call, ops, count, tag, NULL);
    if (failed != GRPC_CALL_OK)
        gw_panic("grpc_call_start_batch: %s", grpc_call_error_to_string(failed));
}
