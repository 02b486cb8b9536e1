/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/cache.h"

#include "common/buf.h"
#include "dataplane/sync/cache_file.h"
#include "dataplane/sync/journal.h"

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
#define DIGEST_BYTES DP_JOURNAL_DIGEST_BYTES

struct dp_cache_writer {
    char dir[PATH_MAX], temporary[PATH_MAX + 64];
    FILE *file;
    EVP_MD_CTX *digest;
    size_t bytes;
    int error; /* errno of the first failure */
};

static void put(struct dp_cache_writer *writer, const void *bytes, size_t len)
{
    if (writer->error)
        return;
    if (fwrite(bytes, 1, len, writer->file) != len)
        writer->error = errno;
    EVP_DigestUpdate(writer->digest, bytes, len);
    writer->bytes += len;
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

/* Fields of a message may follow each other in any order, so two halves are one. */
void dp_cache_add(struct dp_cache_writer *writer, const Penstock__Agent__V1__Update *update,
                  gw_str upserts)
{
    size_t size = dp_cache_packed_size(update);
    char *bytes = gw_malloc(size);
    dp_cache_pack(update, upserts.len, bytes);
    put(writer, bytes, size);
    if (upserts.len > 0)
        put(writer, upserts.ptr, upserts.len);
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

int dp_cache_finish(struct dp_cache_writer *writer, struct dp_cache_mark *ret_mark,
                    struct gw_error *err)
{
    uint8_t *digest = ret_mark->digest;
    EVP_DigestFinal_ex(writer->digest, digest, NULL);
    if (!writer->error && fwrite(digest, 1, DIGEST_BYTES, writer->file) != DIGEST_BYTES)
        writer->error = errno;
    if (!writer->error && (fflush(writer->file) != 0 || fsync(fileno(writer->file)) < 0))
        writer->error = errno;
    ret_mark->bytes = writer->bytes + DIGEST_BYTES;
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

static bool is_whole(gw_str bytes)
{
    uint8_t digest[DIGEST_BYTES];
    if (bytes.len < MAGIC_BYTES + DIGEST_BYTES || memcmp(bytes.ptr, MAGIC, MAGIC_BYTES) != 0)
        return false;
    size_t len = bytes.len - DIGEST_BYTES;
    return EVP_Digest(bytes.ptr, len, digest, NULL, EVP_sha256(), NULL) == 1 &&
           memcmp(digest, bytes.ptr + len, DIGEST_BYTES) == 0;
}

static gw_str between(gw_str bytes, size_t head, size_t tail)
{
    return gw_str_n(bytes.ptr + head, bytes.len - head - tail);
}

/* What came after the snapshot, behind its own messages. Damage there is told and no failure. */
static void load_journal(const char *dir, unsigned age, struct dp_cache_found *found,
                         struct gw_error *err)
{
    Penstock__Agent__V1__Update **more, **all;
    size_t count;
    found->is_journal_damaged =
        dp_journal_load(dir, age, &found->arena, &found->end, &more, &count, err) < 0;
    if (count == 0)
        return;
    all = GW_ARENA_ARRAY(&found->arena, Penstock__Agent__V1__Update *, found->count + count);
    memcpy(all, found->updates, found->count * sizeof(all[0]));
    memcpy(all + found->count, more, count * sizeof(all[0]));
    found->updates = all;
    found->count += count;
}

int dp_cache_load(const char *dir, unsigned age, struct dp_cache_found *ret_found,
                  struct gw_error *err)
{
    char path[PATH_MAX + 64];
    struct gw_buf bytes;
    gw_buf_init(&bytes, DP_CACHE_BYTES_MAX);
    path_of(path, sizeof(path), dir, age == 0 ? "" : ".old");
    int result = dp_cache_read_file(path, &bytes);
    gw_str view = gw_buf_view(&bytes);
    int found = 0;
    *ret_found = (struct dp_cache_found){.updates = NULL};
    gw_arena_init(&ret_found->arena, 64 * 1024);
    if (result == 0 && is_whole(view))
        found = dp_cache_unpack(&ret_found->arena, between(view, MAGIC_BYTES, DIGEST_BYTES),
                                &ret_found->updates, &ret_found->count, err) == 0
                    ? 1
                    : -1;
    else if (result != -ENOENT)
        found = gw_fail(err, GW_INTERNAL, "%s: %s", path,
                        result < 0 ? strerror(-result) : "damaged, its checksum does not hold");
    if (found == 1) {
        ret_found->bytes = view.len;
        memcpy(ret_found->end.base, view.ptr + view.len - DIGEST_BYTES, DIGEST_BYTES);
        load_journal(dir, age, ret_found, err);
    }
    gw_buf_done(&bytes);
    return found;
}

void dp_cache_found_done(struct dp_cache_found *found)
{
    gw_arena_done(&found->arena);
}
