/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/cache.h"

#include "common/buf.h"
#include "common/message.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "penstock snapshot 1\n"
#define MAGIC_BYTES (sizeof(MAGIC) - 1)
#define DIGEST_BYTES 32
#define LENGTH_BYTES 4

struct dp_cache_writer {
    char dir[PATH_MAX], temporary[PATH_MAX + 64];
    FILE *file;
    EVP_MD_CTX *digest;
    int error; /* errno of the first failure */
};

static void put(struct dp_cache_writer *writer, const void *bytes, size_t len)
{
    if (writer->error)
        return;
    if (fwrite(bytes, 1, len, writer->file) != len)
        writer->error = errno;
    EVP_DigestUpdate(writer->digest, bytes, len);
}

int dp_cache_begin(const char *dir, struct dp_cache_writer **ret_writer, struct gw_error *err)
{
    struct dp_cache_writer *writer = gw_calloc(1, sizeof(*writer));
    snprintf(writer->dir, sizeof(writer->dir), "%s", dir);
    snprintf(writer->temporary, sizeof(writer->temporary), "%s/" DP_CACHE_FILE ".tmp", writer->dir);
    /* It holds private keys: neither the mode nor the place of what somebody left there counts. */
    (void)unlink(writer->temporary);
    int fd = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        (void)gw_fail(err, GW_INTERNAL, "%s: %s", writer->temporary, strerror(errno));
        free(writer);
        return -1;
    }
    writer->file = fdopen(fd, "w");
    writer->digest = EVP_MD_CTX_new();
    if (!writer->file || !writer->digest ||
        EVP_DigestInit_ex(writer->digest, EVP_sha256(), NULL) != 1)
        gw_panic("cannot make the cache writer");
    put(writer, MAGIC, MAGIC_BYTES);
    *ret_writer = writer;
    return 0;
}

void dp_cache_add(struct dp_cache_writer *writer, const Penstock__Agent__V1__Update *update)
{
    size_t len = protobuf_c_message_get_packed_size(&update->base);
    uint8_t *bytes = gw_malloc(len + LENGTH_BYTES);
    const uint32_t length = (uint32_t)len;
    memcpy(bytes, &length, LENGTH_BYTES);
    protobuf_c_message_pack(&update->base, bytes + LENGTH_BYTES);
    put(writer, bytes, len + LENGTH_BYTES);
    free(bytes);
}

static void path_of(char *out, size_t room, const char *dir, const char *suffix)
{
    snprintf(out, room, "%s/" DP_CACHE_FILE "%s", dir, suffix);
}

/* current -> .old, temporary -> current. At every moment there is a current one, except where the
   file system has no hard links: then at least one of the two. */
static int install(const struct dp_cache_writer *writer)
{
    char current[PATH_MAX + 64], old[PATH_MAX + 64];
    path_of(current, sizeof(current), writer->dir, "");
    path_of(old, sizeof(old), writer->dir, ".old");
    (void)unlink(old);
    if (link(current, old) < 0 && errno != ENOENT && rename(current, old) < 0)
        return -errno;
    if (rename(writer->temporary, current) < 0)
        return -errno;
    int fd = open(writer->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); /* some file systems cannot; the rename is atomic all the same */
        close(fd);
    }
    return 0;
}

int dp_cache_finish(struct dp_cache_writer *writer, struct gw_error *err)
{
    uint8_t digest[DIGEST_BYTES];
    EVP_DigestFinal_ex(writer->digest, digest, NULL);
    if (!writer->error && fwrite(digest, 1, sizeof(digest), writer->file) != sizeof(digest))
        writer->error = errno;
    if (!writer->error && (fflush(writer->file) != 0 || fsync(fileno(writer->file)) < 0))
        writer->error = errno;
    fclose(writer->file);
    if (!writer->error)
        writer->error = -install(writer);
    int error = writer->error;
    if (error) {
        (void)gw_fail(err, GW_INTERNAL, "%s: %s", writer->temporary, strerror(error));
        unlink(writer->temporary);
    }
    EVP_MD_CTX_free(writer->digest);
    free(writer);
    return error ? -1 : 0;
}

static int read_file(const char *path, struct gw_buf *out)
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

static bool is_whole(gw_str bytes)
{
    uint8_t digest[DIGEST_BYTES];
    if (bytes.len < MAGIC_BYTES + DIGEST_BYTES || memcmp(bytes.ptr, MAGIC, MAGIC_BYTES) != 0)
        return false;
    size_t len = bytes.len - DIGEST_BYTES;
    return EVP_Digest(bytes.ptr, len, digest, NULL, EVP_sha256(), NULL) == 1 &&
           memcmp(digest, bytes.ptr + len, DIGEST_BYTES) == 0;
}

/* Messages of a file whose checksum holds. */
static int unpack_all(struct gw_arena *arena, gw_str bytes,
                      Penstock__Agent__V1__Update ***ret_updates, size_t *ret_count,
                      struct gw_error *err)
{
    const char *at = bytes.ptr + MAGIC_BYTES, *end = bytes.ptr + bytes.len - DIGEST_BYTES;
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
        if (gw_message_unpack(arena, &penstock__agent__v1__update__descriptor,
                              gw_str_n(at + LENGTH_BYTES, len), &message, err) < 0)
            return -1;
        updates[i] = (Penstock__Agent__V1__Update *)message;
        at += LENGTH_BYTES + len;
    }
    *ret_updates = updates;
    *ret_count = count;
    return 0;
}

int dp_cache_load(const char *dir, unsigned age, struct gw_arena *arena,
                  Penstock__Agent__V1__Update ***ret_updates, size_t *ret_count,
                  struct gw_error *err)
{
    char path[PATH_MAX + 64];
    struct gw_buf bytes;
    gw_buf_init(&bytes, DP_CACHE_BYTES_MAX);
    path_of(path, sizeof(path), dir, age == 0 ? "" : ".old");
    int result = read_file(path, &bytes);
    int found = 0;
    if (result == 0 && is_whole(gw_buf_view(&bytes)))
        found = unpack_all(arena, gw_buf_view(&bytes), ret_updates, ret_count, err) == 0 ? 1 : -1;
    else if (result != -ENOENT)
        found = gw_fail(err, GW_INTERNAL, "%s: %s", path,
                        result < 0 ? strerror(-result) : "damaged, its checksum does not hold");
    gw_buf_done(&bytes);
    return found;
}
