/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes read from a connection, in blocks that the loop lends: a connection without unread bytes
 * holds none. The head of a message can be held in place while its body streams. One thread. */
#ifndef DP_NET_INPUT_H
#define DP_NET_INPUT_H

#include "common/str.h"

#define DP_BLOCK_CLASSES 4
#define DP_BLOCK_SMALL (4 * 1024) /* class 0, for writing */
#define DP_BLOCK_HEAD (16 * 1024) /* class 1: what a message starts with */
#define DP_BLOCK_BODY                                                                              \
    (64 * 1024)                   /* class 2: reading in small pieces costs 2 to 3 times the CPU   \
                                   */
#define DP_BLOCK_MAX (256 * 1024) /* class 3: holds the largest head (DP_H1_HEAD_BYTES_MAX) */

struct dp_block {
    struct dp_block *next;
    uint32_t start, end; /* data[start..end) is the content */
    uint32_t capacity;
    uint8_t class;
    char data[];
};

/* Free blocks by class, kept up to a number per class. */
struct dp_blocks {
    struct dp_block *free[DP_BLOCK_CLASSES];
    unsigned free_count[DP_BLOCK_CLASSES];
};

/* Beyond DP_BLOCK_MAX (a long answer of our own that the caller reads slowly) it is not kept. */
struct dp_block *dp_block_take(struct dp_blocks *blocks, size_t bytes);
void dp_block_give(struct dp_blocks *blocks, struct dp_block *block); /* takes NULL */
/* Room for `bytes` more behind the content; *block may be NULL and may be replaced. */
void dp_block_reserve(struct dp_blocks *blocks, struct dp_block **block, size_t bytes);
void dp_blocks_done(struct dp_blocks *blocks);

struct dp_input {
    struct dp_block *block; /* owned; the bytes not consumed yet. NULL: none */
    struct dp_block *held;  /* owned; what has to stay. NULL: nothing; may be block itself */
};

static inline gw_str dp_input_view(const struct dp_input *input)
{
    const struct dp_block *block = input->block;
    return block ? gw_str_n(block->data + block->start, block->end - block->start) : GW_STR_NONE;
}

/* Where to read to. `want` is how much is expected, 0: a head; a new block has about that much
 * room. NULL: DP_BLOCK_MAX bytes are unread. */
char *dp_input_room(struct dp_input *input, struct dp_blocks *blocks, size_t want,
                    size_t *ret_room);
/* Room left without growing; for bytes that nobody waits for yet. */
size_t dp_input_room_left(const struct dp_input *input);
void dp_input_commit(struct dp_input *input, size_t bytes);
void dp_input_consume(struct dp_input *input, size_t bytes);
/* All consumed bytes of the block stay where they are until they are released. */
void dp_input_hold(struct dp_input *input);
void dp_input_release(struct dp_input *input, struct dp_blocks *blocks);
/* Moves the held bytes out of the input: give the result back when they may go. NULL: none. */
struct dp_block *dp_input_take_held(struct dp_input *input);
void dp_input_done(struct dp_input *input, struct dp_blocks *blocks);

#endif
