/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of etcd's gateway: requests written by hand, answers parsed as they arrive. Integers of
 * 64 bits are strings, bytes are base64, and what is zero is left out. */
#ifndef CP_ETCD_JSON_H
#define CP_ETCD_JSON_H

#include "common/buf.h"
#include "controlplane/store/watch.h"

/* ---- requests ---- */

/* Buffers of requests have no limit: store.c has checked what goes in. */
#define etcd_write(buf, ...) ((void)!gw_buf_printf((buf), __VA_ARGS__))
/* "name":"base64", with the quotes and without a comma. */
void etcd_write_bytes(struct gw_buf *buf, const char *name, gw_str bytes);
/* "name":"text", escaped. */
void etcd_write_text(struct gw_buf *buf, const char *name, gw_str text);
/* "key":..,"range_end":.. of the keys with the prefix that follow after_key, or of all. */
void etcd_write_range(struct gw_buf *buf, gw_str prefix, gw_str after_key);
/* The same, but only those before `end`; empty: all. */
void etcd_write_range_to(struct gw_buf *buf, gw_str prefix, gw_str after_key, gw_str end);

/* ---- answers ---- */

#define ETCD_ERROR_MAX 256
#define ETCD_COUNTS_MAX 2 /* ranges in one transaction whose count we read */

struct etcd_error {
    bool is_set;
    int grpc_code;             /* -1: none given */
    char text[ETCD_ERROR_MAX]; /* cut when longer */
};

/* Whatever a call answers: the fields of all kinds of answers. Lies in the parser's arena. */
struct etcd_answer {
    struct cp_position at; /* of the header; cluster_id 0: there was none */
    uint64_t raft_term;
    struct etcd_error error;

    struct cp_kv *kvs; /* of all ranges, in order */
    size_t kv_count;
    int64_t counts[ETCD_COUNTS_MAX]; /* of a range, or of the ranges in a transaction */
    bool more, succeeded;

    int64_t id, ttl; /* of a lease */
    gw_str token;

    bool created, cancelled; /* of a watch */
    int64_t compact_revision;
    struct cp_event *events;
    size_t event_count;
};

struct etcd_parser;
/* Clears the answer; fills it as the text comes. */
struct etcd_parser *etcd_parser_new(struct gw_arena *arena, struct etcd_answer *answer);
/* Takes any piece of the text. -1: not JSON, or not etcd's. */
GW_MUST_CHECK int etcd_parser_feed(struct etcd_parser *parser, gw_str text);
/* -1: the text ended too early. */
GW_MUST_CHECK int etcd_parser_finish(struct etcd_parser *parser);
void etcd_parser_free(struct etcd_parser *parser);
/* A whole text at once. */
GW_MUST_CHECK int etcd_parse(gw_str text, struct gw_arena *arena, struct etcd_answer *ret_answer);

#endif
