/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked list. A node is in one list or points at itself. */
#ifndef GW_LIST_H
#define GW_LIST_H

#include "common/base.h"

struct gw_list {
    struct gw_list *prev, *next;
};

static inline void gw_list_init(struct gw_list *head)
{
    head->prev = head->next = head;
}

static inline bool gw_list_is_empty(const struct gw_list *head)
{
    return head->next == head;
}

static inline void gw_list_insert(struct gw_list *before, struct gw_list *node)
{
    node->prev = before->prev;
    node->next = before;
    before->prev->next = node;
    before->prev = node;
}

/* At the end of the list. */
static inline void gw_list_push(struct gw_list *head, struct gw_list *node)
{
    gw_list_insert(head, node);
}

static inline void gw_list_push_front(struct gw_list *head, struct gw_list *node)
{
    gw_list_insert(head->next, node);
}

/* Leaves the node pointing at itself, so removing twice is harmless. */
static inline void gw_list_remove(struct gw_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    gw_list_init(node);
}

/* The current node may be removed in the body. */
#define gw_list_each(head, it)                                                                     \
    for (struct gw_list *it = (head)->next, *it##_next = it->next; it != (head);                   \
         it = it##_next, it##_next = it->next)

#endif
