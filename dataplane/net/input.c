/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/net/input.h"

#include <stdlib.h>

/* How many free blocks of a class are kept: enough for a busy turn of the loop, 5 MiB at most. */
static const unsigned keep[DP_BLOCK_CLASSES] = {128, 128, 32, 2};
static const uint32_t class_bytes[DP_BLOCK_CLASSES] = {DP_BLOCK_SMALL, DP_BLOCK_HEAD, DP_BLOCK_BODY,
                                                       DP_BLOCK_MAX};

struct dp_block *dp_block_take(struct dp_blocks *blocks, size_t bytes)
{
    uint8_t class = 0;
    while (class < DP_BLOCK_CLASSES && class_bytes[class] < bytes)
        class ++;
    struct dp_block *block = class < DP_BLOCK_CLASSES ? blocks->free[class] : NULL;
    if (block) {
        blocks->free[class] = block->next;
        blocks->free_count[class]--;
        gw_unpoison(block->data, block->capacity);
    } else {
        size_t capacity = class < DP_BLOCK_CLASSES ? class_bytes[class] : bytes;
        assert(capacity <= UINT32_MAX);
        block = gw_malloc(sizeof(*block) + capacity);
        block->class = class;
        block->capacity = (uint32_t)capacity;
    }
    block->next = NULL;
    block->start = block->end = 0;
    return block;
}

void dp_block_give(struct dp_blocks *blocks, struct dp_block *block)
{
    if (!block)
        return;
    uint8_t class = block->class;
    if (class == DP_BLOCK_CLASSES || blocks->free_count[class] == keep[class]) {
        free(block);
        return;
    }
    gw_poison(block->data, block->capacity); /* a view into it is a bug that shows */
    block->next = blocks->free[class];
    blocks->free[class] = block;
    blocks->free_count[class]++;
}

void dp_block_reserve(struct dp_blocks *blocks, struct dp_block **block, size_t bytes)
{
    struct dp_block *old = *block;
    if (!old) {
        *block = dp_block_take(blocks, GW_MAX(bytes, (size_t)DP_BLOCK_SMALL));
        return;
    }
    uint32_t len = old->end - old->start;
    if (old->capacity - old->end >= bytes)
        return;
    if (old->capacity - len >= bytes) {
        memmove(old->data, old->data + old->start, len);
        old->start = 0;
        old->end = len;
        return;
    }
    struct dp_block *bigger = dp_block_take(blocks, len + bytes);
    memcpy(bigger->data, old->data + old->start, len);
    bigger->end = len;
    dp_block_give(blocks, old);
    *block = bigger;
}

void dp_blocks_done(struct dp_blocks *blocks)
{
    for (unsigned class = 0; class < DP_BLOCK_CLASSES; class ++) {
        struct dp_block *next;
        for (struct dp_block *block = blocks->free[class]; block; block = next) {
            next = block->next;
            gw_unpoison(block->data, block->capacity);
            free(block);
        }
        blocks->free[class] = NULL;
        blocks->free_count[class] = 0;
    }
}

/* The unread bytes move to a new block; the old one stays as the held one. */
static void leave_held_block(struct dp_input *input, struct dp_blocks *blocks, size_t want)
{
    struct dp_block *old = input->block;
    uint32_t len = old->end - old->start;
    size_t bytes = GW_MAX((size_t)DP_BLOCK_HEAD, GW_MIN(want, (size_t)DP_BLOCK_BODY));
    struct dp_block *block = dp_block_take(blocks, GW_MAX(bytes, (size_t)len * 2));
    memcpy(block->data, old->data + old->start, len);
    block->end = len;
    input->block = block;
}

char *dp_input_room(struct dp_input *input, struct dp_blocks *blocks, size_t want, size_t *ret_room)
{
    if (!input->block) {
        size_t bytes = want == 0 ? DP_BLOCK_HEAD : GW_MIN(want, (size_t)DP_BLOCK_BODY);
        input->block = dp_block_take(blocks, bytes);
    }
    struct dp_block *block = input->block;
    uint32_t room = block->capacity - block->end;
    if (block == input->held) {
        if (room == 0 || (room < want && block->start == block->end))
            leave_held_block(input, blocks, want);
    } else if (block->start == block->end) {
        block->start = block->end = 0;
    } else if (room == 0 && block->start > 0) {
        dp_block_reserve(blocks, &input->block, 1);
    } else if (room == 0) {
        if (block->capacity == DP_BLOCK_MAX)
            return NULL;
        dp_block_reserve(blocks, &input->block, block->capacity);
    }
    *ret_room = input->block->capacity - input->block->end;
    return input->block->data + input->block->end;
}

size_t dp_input_room_left(const struct dp_input *input)
{
    return input->block ? input->block->capacity - input->block->end : DP_BLOCK_HEAD;
}

void dp_input_commit(struct dp_input *input, size_t bytes)
{
    input->block->end += (uint32_t)bytes;
    assert(input->block->end <= input->block->capacity);
}

void dp_input_consume(struct dp_input *input, size_t bytes)
{
    if (bytes == 0)
        return;
    input->block->start += (uint32_t)bytes;
    assert(input->block->start <= input->block->end);
}

void dp_input_hold(struct dp_input *input)
{
    assert(!input->held);
    input->held = input->block;
}

void dp_input_release(struct dp_input *input, struct dp_blocks *blocks)
{
    if (input->held != input->block)
        dp_block_give(blocks, input->held);
    input->held = NULL;
    if (input->block && input->block->start == input->block->end) {
        dp_block_give(blocks, input->block);
        input->block = NULL;
    }
}

struct dp_block *dp_input_take_held(struct dp_input *input)
{
    struct dp_block *held = input->held;
    if (held && held == input->block) {
        assert(held->start == held->end);
        input->block = NULL;
    }
    input->held = NULL;
    return held;
}

void dp_input_done(struct dp_input *input, struct dp_blocks *blocks)
{
    if (input->block)
        input->block->start = input->block->end;
    dp_input_release(input, blocks);
}
