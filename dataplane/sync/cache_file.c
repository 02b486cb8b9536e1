/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/cache_file.h"

#include "common/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LENGTH_BYTES 4

int dp_cache_read_file(const char *path, struct gw_buf *out)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = fstat(fd, &stat) < 0 || !S_ISREG(stat.st_mode) ? -EIO : 0;
    if (result == 0)
        result = gw_buf_reserve(out, (size_t)stat.st_size);
    while (result == 0 && gw_buf_len(out) < (size_t)stat.st_size) {
        ssize_t n = read(fd, out->data + out->end, (size_t)stat.st_size - gw_buf_len(out));
        if (n <= 0)
            result = n < 0 ? -errno : -EIO;
        else
            gw_buf_commit(out, (size_t)n);
    }
    close(fd);
    return result;
}

size_t dp_cache_packed_size(const Penstock__Agent__V1__Update *update)
{
    return LENGTH_BYTES + protobuf_c_message_get_packed_size(&update->base);
}

void dp_cache_pack(const Penstock__Agent__V1__Update *update, size_t more, char *out)
{
    size_t packed = protobuf_c_message_pack(&update->base, (uint8_t *)out + LENGTH_BYTES);
    const uint32_t length = (uint32_t)(packed + more);
    memcpy(out, &length, LENGTH_BYTES);
}

int dp_cache_unpack(struct gw_arena *arena, gw_str bytes,
                    Penstock__Agent__V1__Update ***ret_updates, size_t *ret_count,
                    struct gw_error *err)
{
    const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
    size_t count = 0;
    for (const char *p = at; end - p >= LENGTH_BYTES; count++) {
        uint32_t len;
        memcpy(&len, p, LENGTH_BYTES);
        if ((size_t)(end - p) < LENGTH_BYTES + (size_t)len)
            return gw_fail(err, GW_INTERNAL, "snapshot file: a message is cut");
        p += LENGTH_BYTES + len;
    }
    Penstock__Agent__V1__Update **updates =
        GW_ARENA_ARRAY(arena, Penstock__Agent__V1__Update *, count + 1);
    for (size_t i = 0; i < count; i++) {
        ProtobufCMessage *message;
        uint32_t len;
        memcpy(&len, at, LENGTH_BYTES);
        if (gw_message_unpack_whole(arena, &penstock__agent__v1__update__descriptor,
                                    gw_str_n(at + LENGTH_BYTES, len), &message, err) < 0)
            return -1;
        updates[i] = (Penstock__Agent__V1__Update *)message;
        at += LENGTH_BYTES + len;
    }
    *ret_updates = updates;
    *ret_count = count;
    return 0;
}
