/* SPDX-License-Identifier: Apache-2.0 */
/* What an HTTP/2 session holds against callers who mean ill, or break rules that nghttp2 does not
 * watch over; private to downstream/. */
#ifndef DP_DOWNSTREAM_H2_GUARD_H
#define DP_DOWNSTREAM_H2_GUARD_H

#include "dataplane/downstream/server.h"
#include "dataplane/http/h2_head.h"

#define DP_H2_FRAME_HEAD 9 /* bytes */
#define DP_H2_CLOSED_KEPT 64

struct dp_h2_session;

/* An allowance that time, and useful work, give back. */
struct dp_h2_allowance {
    gw_msec at_ms; /* when it was last filled */
    int32_t left;
};

/* The last streams that have closed: what nghttp2 does not keep, and RFC 9113 5.1 asks for. */
struct dp_h2_closed {
    int32_t ids[DP_H2_CLOSED_KEPT]; /* negative: the caller may not know yet that it is closed */
    unsigned next;
    int32_t forgotten; /* the highest number that was kept once; 0: none */
};

/* Where frames begin in the caller's bytes. */
struct dp_h2_scan {
    uint32_t skip; /* bytes to the next frame */
    uint8_t have;  /* bytes of its head so far */
    uint8_t head[DP_H2_FRAME_HEAD];
};

struct dp_h2_guard {
    struct dp_h2_allowance resets, frames;
    struct dp_h2_closed closed;
    struct dp_h2_scan scan;
    int32_t last_id; /* the highest of all streams */
    uint32_t code;   /* what the session is to end with; NO_ERROR: it goes on */
};

/* h2_flood.c. Each counts what it is told of; false: that was too much, and the session ends. */
void dp_h2_flood_init(struct dp_h2_session *session);
GW_MUST_CHECK bool dp_h2_flood_reset(struct dp_h2_session *session);
GW_MUST_CHECK bool dp_h2_flood_frame(struct dp_h2_session *session);
GW_MUST_CHECK bool dp_h2_flood_field(struct dp_h2_session *session, const struct dp_h2_head *head);
void dp_h2_flood_hit(struct dp_h2_session *session, enum dp_h2_flood kind);
/* Answers have gone out or requests come in: more frames about them are due. */
void dp_h2_flood_credit(struct dp_h2_session *session, int32_t frames);

/* h2_closed.c */
void dp_h2_closed_add(struct dp_h2_session *session, int32_t id, bool is_known);
/* A frame HEADERS or DATA. False: it is for a stream that has none, and the session ends. */
GW_MUST_CHECK bool dp_h2_closed_check(struct dp_h2_session *session, int32_t id);
/* The same for all DATA in the bytes that nghttp2 is about to get, and a count of unknown frames:
 * of both it may say nothing. */
GW_MUST_CHECK bool dp_h2_closed_scan(struct dp_h2_session *session, gw_str bytes);

#endif
