/* SPDX-License-Identifier: Apache-2.0 */
/* Frames for streams that are no more (RFC 9113 5.1, 5.1.1): a mistake of the caller's when it knew
 * that they are closed, or never were; to be ignored while it could not know. */
#include "dataplane/downstream/h2_session.h"

#include <stdlib.h>

void dp_h2_closed_add(struct dp_h2_session *session, int32_t id, bool is_known)
{
    struct dp_h2_closed *closed = &session->guard.closed;
    int32_t *slot = &closed->ids[closed->next++ % DP_H2_CLOSED_KEPT];
    closed->forgotten = GW_MAX(closed->forgotten, abs(*slot));
    *slot = is_known ? id : -id;
}

bool dp_h2_closed_check(struct dp_h2_session *session, int32_t id)
{
    const struct dp_h2_closed *closed = &session->guard.closed;
    if (id > session->guard.last_id || id % 2 == 0 ||
        nghttp2_session_get_stream_user_data(session->h2, id))
        return true; /* new, open, or wrong for reasons that nghttp2 knows */
    if (session->phase >= DP_H2_LEAVING &&
        id > nghttp2_session_get_last_proc_stream_id(session->h2))
        return true; /* it came too late (RFC 9113 6.8), and nghttp2 has passed over it */
    for (unsigned i = 0; i < DP_H2_CLOSED_KEPT; i++) {
        if (closed->ids[i] == -id)
            return true;
        if (closed->ids[i] == id) {
            session->guard.code = NGHTTP2_STREAM_CLOSED;
            return false;
        }
    }
    if (id <= closed->forgotten)
        return true;
    session->guard.code = NGHTTP2_PROTOCOL_ERROR; /* it was passed over, and never opened */
    return false;
}

static bool check_head(struct dp_h2_session *session)
{
    struct dp_h2_scan *scan = &session->guard.scan;
    const uint8_t *head = scan->head;
    uint32_t id = (uint32_t)(head[5] & 0x7f) << 24 | (uint32_t)head[6] << 16 |
                  (uint32_t)head[7] << 8 | head[8];
    scan->skip = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    scan->have = 0;
    if (head[3] == NGHTTP2_DATA && id > 0)
        return dp_h2_closed_check(session, (int32_t)id);
    return head[3] <= NGHTTP2_CONTINUATION || dp_h2_flood_frame(session);
}

bool dp_h2_closed_scan(struct dp_h2_session *session, gw_str bytes)
{
    struct dp_h2_scan *scan = &session->guard.scan;
    while (bytes.len > 0) {
        bool in_head = scan->skip == 0;
        size_t wanted = in_head ? sizeof(scan->head) - scan->have : scan->skip;
        size_t step = GW_MIN(wanted, bytes.len);
        if (in_head) {
            memcpy(scan->head + scan->have, bytes.ptr, step);
            scan->have = (uint8_t)(scan->have + step);
        } else {
            scan->skip -= (uint32_t)step;
        }
        bytes = gw_str_n(bytes.ptr + step, bytes.len - step);
        if (in_head && step == wanted && !check_head(session))
            return false;
    }
    return true;
}
