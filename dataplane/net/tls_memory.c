/* SPDX-License-Identifier: Apache-2.0 */
/* A session takes its buffers for each record and gives them back behind it, so that an idle one
 * holds none. They are too large for the fast paths of malloc, and cost a twelfth of what a small
 * request over TLS executes; from here they come in a few instructions, and warm. A thread that
 * ends leaves what it kept: there are as many as workers. */
#include "dataplane/net/tls_memory.h"

#include "common/base.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#define KINDS 2
#define KEPT_MAX 2 /* of a kind: a thread is within one session at a time */
#define SLACK_BYTES 64

/* What OpenSSL asks for to write a record of 16 KiB, and to read as net/tls.c tells it to, and room
 * for what it adds to them. */
static const size_t least_bytes[KINDS] = {16 * 1024, 64 * 1024};
static const size_t most_bytes[KINDS] = {20 * 1024, 68 * 1024};

struct kept {
    void *blocks[KEPT_MAX];
    unsigned count;
};

static _Thread_local struct kept kept[KINDS];

static void *take(size_t bytes, const char *file, int line)
{
    (void)file, (void)line;
    for (unsigned kind = 0; kind < KINDS; kind++) {
        if (bytes < least_bytes[kind] || bytes > most_bytes[kind])
            continue;
        struct kept *of = &kept[kind];
        return of->count > 0 ? of->blocks[--of->count] : malloc(most_bytes[kind]);
    }
    return malloc(bytes);
}

static void *resize(void *block, size_t bytes, const char *file, int line)
{
    (void)file, (void)line;
    return realloc(block, bytes);
}

static void give(void *block, const char *file, int line)
{
    (void)file, (void)line;
    size_t bytes = malloc_usable_size(block); /* 0 for NULL */
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct kept *of = &kept[kind];
        bool is_of_it = bytes >= most_bytes[kind] && bytes <= most_bytes[kind] + SLACK_BYTES;
        if (!is_of_it || of->count == KEPT_MAX)
            continue;
        of->blocks[of->count++] = block;
        return;
    }
    free(block);
}

void dp_tls_memory_init(void)
{
    /* A sanitizer wants to see each block come and go. */
    if (!GW_IS_SANITIZED)
        (void)CRYPTO_set_mem_functions(take, resize, give); /* 0: too late; it is slower then */
}
