/* SPDX-License-Identifier: Apache-2.0 */
/* An exchange that becomes a tunnel may last for days and there may be thousands of them: what only
 * its handshake needed is let go, and the handshake is counted while it is news. */
#include "dataplane/flow.h"
#include "dataplane/worker_internal.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <sys/random.h>

/* ---- the handshake, which HTTP/1 and HTTP/2 have each in its way */

#define NONCE_BYTES 16
#define KEY_CHARS 22 /* and "==" */
#define SHA1_BYTES 20
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static gw_str base64(struct gw_arena *arena, const uint8_t *bytes, size_t len)
{
    char *text = gw_arena_bytes(arena, (len + 2) / 3 * 4 + 1);
    return gw_str_n(text, (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)len));
}

static bool is_key(gw_str text)
{
    if (text.len != KEY_CHARS + 2 || !gw_str_has_suffix(text, GW_STR("==")))
        return false;
    for (size_t i = 0; i < KEY_CHARS; i++) {
        char c = text.ptr[i];
        if (!isalnum((unsigned char)c) && c != '+' && c != '/')
            return false;
    }
    return true;
}

/* HTTP/2 needs neither a key nor its proof (RFC 8441 5): with such a caller they are between us and
 * the backend, with such a backend between the caller and us. */
enum dp_verdict dp_tunnel_ask(struct dp_exchange *x)
{
    struct dp_headers *headers = &x->request.head.headers;
    uint8_t nonce[NONCE_BYTES];
    if (x->request.head.major != 2) {
        bool is_ours = x->route->backend.http2;
        bool is_good = !is_ours || is_key(dp_headers_value(headers, DP_HEADER_SEC_WEBSOCKET_KEY));
        return is_good ? DP_NEXT : dp_exchange_refuse(x, DP_REFUSE_WEBSOCKET_KEY);
    }
    if (getrandom(nonce, sizeof nonce, 0) != sizeof nonce)
        gw_panic("no random bytes");
    dp_headers_put_id(headers, DP_HEADER_SEC_WEBSOCKET_KEY, base64(&x->arena, nonce, sizeof nonce));
    return DP_NEXT;
}

/* RFC 6455 4.1: who accepts has understood, and is no cache that repeats an old answer. */
static gw_str proof_of(struct dp_exchange *x)
{
    uint8_t hash[SHA1_BYTES];
    gw_str key = dp_headers_value(&x->request.head.headers, DP_HEADER_SEC_WEBSOCKET_KEY);
    gw_str text = gw_arena_printf(&x->arena, "%.*s" GUID, GW_STR_ARG(key));
    if (!EVP_Digest(text.ptr, text.len, hash, NULL, EVP_sha1(), NULL))
        gw_panic("OpenSSL has no SHA-1");
    return base64(&x->arena, hash, sizeof hash);
}

static bool is_asked_by_http2(const struct dp_flow *flow)
{
    return dp_downstream_framing(flow->downstream)->upgrade && flow->x.request.head.major == 2;
}

/* There 200 is what 101 is here: what answers 200 and a page has not opened a tunnel, and the
 * caller would take the page for frames. */
bool dp_tunnel_misleads(const struct dp_flow *flow)
{
    return is_asked_by_http2(flow) && flow->x.response.head.status / 100 == 2;
}

bool dp_tunnel_translate(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    struct dp_response_head *head = &x->response.head;
    bool to_http2 = is_asked_by_http2(flow), by_http2 = head->major == 2;
    if (flow->call.framing.kind != DP_BODY_TUNNEL)
        return !dp_tunnel_misleads(flow);
    if (!to_http2 && !by_http2)
        return true; /* key and proof are the peers' own */
    gw_str proof = dp_headers_value(&head->headers, DP_HEADER_SEC_WEBSOCKET_ACCEPT);
    if (!by_http2 && !gw_str_eq(proof, proof_of(x)))
        return false;
    (void)dp_headers_remove(&head->headers, DP_HEADER_SEC_WEBSOCKET_ACCEPT);
    if (!to_http2)
        dp_headers_add_id(&head->headers, DP_HEADER_SEC_WEBSOCKET_ACCEPT, proof_of(x));
    head->status = to_http2 ? 200 : 101;
    head->reason = GW_STR_NONE;
    return true;
}

/* ---- what is left of an exchange */

/* The caller's input, which all of it are views into, goes with the answer's head. */
static void keep_request(struct dp_exchange *x)
{
    struct dp_request *request = &x->request;
    dp_request_head_keep(&request->head);
    request->path = gw_arena_dup(&x->arena, request->path);
    request->environment = gw_arena_dup(&x->arena, request->environment);
    request->source_text = gw_arena_dup(&x->arena, request->source_text);
    x->match = (struct dp_route_match){0};
}

/* One snapshot is held by all exchanges that began on it: after a thousand changes thousands of
 * tunnels would hold a thousand of them. */
static void let_snapshot_go(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    dp_route_ref(x->route);
    dp_app_ref(x->app);
    x->snapshot = NULL;
    dp_worker_unpin(flow->pinned);
    flow->pinned = NULL;
}

void dp_tunnel_open(struct dp_flow *flow)
{
    struct dp_exchange *x = &flow->x;
    flow->tunnel = true;
    keep_request(x);
    let_snapshot_go(flow);
    dp_observe_tunnel(x->worker->observer, x, x->worker->loop.now_ns - flow->started_ns);
}

void dp_tunnel_close(struct dp_flow *flow)
{
    if (!flow->tunnel)
        return;
    dp_route_unref(flow->x.route);
    dp_app_unref(flow->x.app);
}
