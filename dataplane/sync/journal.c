/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sync/journal.h"

#include "dataplane/sync/cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "penstock journal 1\n"
#define MAGIC_BYTES (sizeof(MAGIC) - 1)
#define DIGEST_BYTES DP_JOURNAL_DIGEST_BYTES
#define LENGTH_BYTES 8
#define HEAD_BYTES (MAGIC_BYTES + DIGEST_BYTES)
#define FILE_MAX ((size_t)4 * 1024 * 1024 * 1024) /* bytes that are read */

struct dp_journal {
    char path[PATH_MAX + 64];
    int fd;
    size_t bytes;
    bool is_unsynced;
    uint8_t digest[DIGEST_BYTES]; /* of the last record */
};

static void path_of(char *out, size_t room, const char *dir, unsigned age)
{
    snprintf(out, room, "%s/" DP_JOURNAL_FILE "%s", dir, age == 0 ? "" : ".old");
}

/* The digest of a record behind that one; it may be the same memory. */
static void chain(const uint8_t *before, gw_str payload, uint8_t *out)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (!digest || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
        gw_panic("cannot digest a record of the journal");
    EVP_DigestUpdate(digest, before, DIGEST_BYTES);
    EVP_DigestUpdate(digest, payload.ptr, payload.len);
    EVP_DigestFinal_ex(digest, out, NULL);
    EVP_MD_CTX_free(digest);
}

/* By its head. */
static bool is_behind(gw_str bytes, const uint8_t *base)
{
    return bytes.len >= HEAD_BYTES && memcmp(bytes.ptr, MAGIC, MAGIC_BYTES) == 0 &&
           memcmp(bytes.ptr + MAGIC_BYTES, base, DIGEST_BYTES) == 0;
}

/* ---- writing ---- */

/* All of it, or the file is cut back to what it was. */
static int append(struct dp_journal *journal, gw_str bytes, struct gw_error *err)
{
    size_t done = 0;
    while (done < bytes.len) {
        ssize_t n = write(journal->fd, bytes.ptr + done, bytes.len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int error = errno;
            if (ftruncate(journal->fd, (off_t)journal->bytes) < 0)
                error = errno; /* what is cut within counts for nothing when it is read */
            return gw_fail(err, GW_INTERNAL, "%s: %s", journal->path, strerror(error));
        }
        done += (size_t)n;
    }
    journal->bytes += bytes.len;
    journal->is_unsynced = true;
    return 0;
}

int dp_journal_begin(const char *dir, const uint8_t *base, struct dp_journal **ret_journal,
                     struct gw_error *err)
{
    char old[PATH_MAX + 64];
    char head[HEAD_BYTES];
    struct dp_journal *journal = gw_calloc(1, sizeof(*journal));
    path_of(journal->path, sizeof(journal->path), dir, 0);
    path_of(old, sizeof(old), dir, 1);
    memcpy(journal->digest, base, DIGEST_BYTES);
    memcpy(head, MAGIC, MAGIC_BYTES);
    memcpy(head + MAGIC_BYTES, base, DIGEST_BYTES);
    /* It holds private keys: neither the mode nor the place of what somebody left there counts. */
    if (rename(journal->path, old) < 0)
        (void)unlink(journal->path);
    journal->fd = open(journal->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (journal->fd < 0)
        (void)gw_fail(err, GW_INTERNAL, "%s: %s", journal->path, strerror(errno));
    if (journal->fd < 0 || append(journal, gw_str_n(head, sizeof(head)), err) < 0) {
        dp_journal_close(journal);
        return -1;
    }
    *ret_journal = journal;
    return 0;
}

static int resume(struct dp_journal *journal, const struct dp_journal_end *end,
                  struct gw_error *err)
{
    char head[HEAD_BYTES];
    struct stat stat;
    journal->fd = open(journal->path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    if (journal->fd < 0)
        return gw_fail(err, GW_INTERNAL, "%s: %s", journal->path, strerror(errno));
    if (read(journal->fd, head, sizeof(head)) != (ssize_t)sizeof(head) ||
        !is_behind(gw_str_n(head, sizeof(head)), end->base) || fstat(journal->fd, &stat) < 0 ||
        (size_t)stat.st_size < end->bytes)
        return gw_fail(err, GW_FAILED_PRECONDITION, "%s: has changed", journal->path);
    if (ftruncate(journal->fd, (off_t)end->bytes) < 0)
        return gw_fail(err, GW_INTERNAL, "%s: %s", journal->path, strerror(errno));
    return 0;
}

int dp_journal_resume(const char *dir, const struct dp_journal_end *end,
                      struct dp_journal **ret_journal, struct gw_error *err)
{
    struct dp_journal *journal = gw_calloc(1, sizeof(*journal));
    path_of(journal->path, sizeof(journal->path), dir, 0);
    memcpy(journal->digest, end->last, DIGEST_BYTES);
    journal->bytes = end->bytes;
    if (resume(journal, end, err) < 0) {
        dp_journal_close(journal);
        return -1;
    }
    *ret_journal = journal;
    return 0;
}

int dp_journal_add(struct dp_journal *journal, Penstock__Agent__V1__Update **chunks, size_t count,
                   struct gw_error *err)
{
    uint64_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += dp_cache_packed_size(chunks[i]);
    if (len > DP_JOURNAL_RECORD_MAX)
        return gw_fail(err, GW_RESOURCE_EXHAUSTED, "%llu bytes are too many for one record",
                       (unsigned long long)len);
    char *record = gw_malloc(LENGTH_BYTES + len + DIGEST_BYTES), *at = record + LENGTH_BYTES;
    memcpy(record, &len, LENGTH_BYTES);
    for (size_t i = 0; i < count; i++) {
        dp_cache_pack(chunks[i], 0, at);
        at += dp_cache_packed_size(chunks[i]);
    }
    chain(journal->digest, gw_str_n(record + LENGTH_BYTES, len), (uint8_t *)at);
    int result = append(journal, gw_str_n(record, LENGTH_BYTES + len + DIGEST_BYTES), err);
    if (result == 0)
        memcpy(journal->digest, at, DIGEST_BYTES);
    free(record);
    return result;
}

int dp_journal_sync(struct dp_journal *journal, struct gw_error *err)
{
    if (!journal->is_unsynced)
        return 0;
    if (fdatasync(journal->fd) < 0)
        return gw_fail(err, GW_INTERNAL, "%s: %s", journal->path, strerror(errno));
    journal->is_unsynced = false;
    return 0;
}

size_t dp_journal_bytes(const struct dp_journal *journal)
{
    return journal->bytes;
}

void dp_journal_close(struct dp_journal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0)
        close(journal->fd);
    free(journal);
}

/* ---- reading ---- */

/* How many of the bytes are whole records, one behind the other; *last is the digest of the last.
 */
static size_t whole_records(gw_str bytes, uint8_t *last)
{
    uint8_t digest[DIGEST_BYTES];
    size_t at = 0;
    while (bytes.len - at >= LENGTH_BYTES + DIGEST_BYTES) {
        uint64_t len;
        memcpy(&len, bytes.ptr + at, LENGTH_BYTES);
        if (len > bytes.len - at - LENGTH_BYTES - DIGEST_BYTES)
            break;
        chain(last, gw_str_n(bytes.ptr + at + LENGTH_BYTES, len), digest);
        if (memcmp(digest, bytes.ptr + at + LENGTH_BYTES + len, DIGEST_BYTES) != 0)
            break;
        memcpy(last, digest, DIGEST_BYTES);
        at += LENGTH_BYTES + len + DIGEST_BYTES;
    }
    return at;
}

/* Their messages, moved together. */
static size_t strip(char *bytes, size_t len)
{
    size_t at = 0, out = 0;
    while (at < len) {
        uint64_t record;
        memcpy(&record, bytes + at, LENGTH_BYTES);
        memmove(bytes + out, bytes + at + LENGTH_BYTES, record);
        out += record;
        at += LENGTH_BYTES + record + DIGEST_BYTES;
    }
    return out;
}

static int read_records(struct gw_buf *bytes, const char *path, struct gw_arena *arena,
                        struct dp_journal_end *end, Penstock__Agent__V1__Update ***ret_updates,
                        size_t *ret_count, struct gw_error *err)
{
    gw_buf_consume(bytes, HEAD_BYTES);
    gw_str records = gw_buf_view(bytes);
    size_t whole = whole_records(records, end->last);
    size_t len = strip(bytes->data + bytes->start, whole);
    end->bytes = HEAD_BYTES + whole;
    if (dp_cache_unpack(arena, gw_str_n(records.ptr, len), ret_updates, ret_count, err) < 0)
        return -1;
    return whole == records.len
               ? 0
               : gw_fail(err, GW_INTERNAL, "%s: damaged or cut behind %zu messages", path,
                         *ret_count);
}

int dp_journal_load(const char *dir, unsigned age, struct gw_arena *arena,
                    struct dp_journal_end *end, Penstock__Agent__V1__Update ***ret_updates,
                    size_t *ret_count, struct gw_error *err)
{
    char path[PATH_MAX + 64];
    struct gw_buf bytes;
    *ret_updates = NULL;
    *ret_count = 0;
    memcpy(end->last, end->base, DIGEST_BYTES);
    end->bytes = 0;
    gw_buf_init(&bytes, FILE_MAX);
    path_of(path, sizeof(path), dir, age);
    int error = dp_cache_read_file(path, &bytes), result = 0;
    if (error == 0 && is_behind(gw_buf_view(&bytes), end->base))
        result = read_records(&bytes, path, arena, end, ret_updates, ret_count, err);
    else if (error < 0 && error != -ENOENT)
        result = gw_fail(err, GW_INTERNAL, "%s: %s", path, strerror(-error));
    gw_buf_done(&bytes);
    return result;
}
