/* SPDX-License-Identifier: Apache-2.0 */
/* What costs a caller a few bytes and the agent much more is allowed at the pace of those who mean
 * well, and not beyond. nghttp2 bounds the frames of one head and the unread acknowledgements. */
#include "dataplane/downstream/h2_session.h"

/* Requests taken back, or refused for what they are: a page that is left takes all of its own back
 * at once; for ever, only who attacks does. */
#define RESETS_BURST 500
#define RESETS_PER_S 50
/* PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown frames. */
#define FRAMES_BURST 1000
#define FRAMES_PER_S 100
/* An indexed field of one byte stands for up to 4 KiB: from so many times the limit of a head on,
 * unpacking the rest only to refuse it is too kind. */
#define FIELDS_FACTOR 4

void dp_h2_flood_init(struct dp_h2_session *session)
{
    gw_msec now_ms = session->connection->server->loop->now_ms;
    session->guard.resets = (struct dp_h2_allowance){now_ms, RESETS_BURST};
    session->guard.frames = (struct dp_h2_allowance){now_ms, FRAMES_BURST};
}

void dp_h2_flood_hit(struct dp_h2_session *session, enum dp_h2_flood kind)
{
    if (session->guard.code != NGHTTP2_NO_ERROR)
        return;
    session->guard.code = NGHTTP2_ENHANCE_YOUR_CALM;
    session->connection->server->stats.h2_floods[kind]++;
}

static bool take(struct dp_h2_session *session, struct dp_h2_allowance *allowance, int32_t burst,
                 int32_t per_s)
{
    if (--allowance->left >= 0)
        return true;
    gw_msec now_ms = session->connection->server->loop->now_ms;
    gw_msec earned = (now_ms - allowance->at_ms) * per_s / 1000;
    if (earned <= 0)
        return false;
    allowance->at_ms = now_ms;
    allowance->left = (int32_t)GW_MIN(earned, burst) - 1;
    return true;
}

bool dp_h2_flood_reset(struct dp_h2_session *session)
{
    if (take(session, &session->guard.resets, RESETS_BURST, RESETS_PER_S))
        return true;
    dp_h2_flood_hit(session, DP_H2_FLOOD_RESETS);
    return false;
}

bool dp_h2_flood_frame(struct dp_h2_session *session)
{
    if (take(session, &session->guard.frames, FRAMES_BURST, FRAMES_PER_S))
        return true;
    dp_h2_flood_hit(session, DP_H2_FLOOD_FRAMES);
    return false;
}

bool dp_h2_flood_field(struct dp_h2_session *session, const struct dp_h2_head *head)
{
    if (head->bytes <= (size_t)FIELDS_FACTOR * head->limits->head_bytes)
        return true;
    dp_h2_flood_hit(session, DP_H2_FLOOD_FIELDS);
    return false;
}

void dp_h2_flood_credit(struct dp_h2_session *session, int32_t frames)
{
    session->guard.frames.left = GW_MIN(session->guard.frames.left + frames, FRAMES_BURST);
}
