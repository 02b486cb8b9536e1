/* SPDX-License-Identifier: Apache-2.0 */
/* For the unit tests of filters: an exchange made by hand, and what filters ask of the spine. */
#ifndef DP_FILTERS_FAKE_EXCHANGE_H
#define DP_FILTERS_FAKE_EXCHANGE_H

#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"
#include "dataplane/limiter.h"

#include "penstock/agent/v1/agent.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum dp_verdict dp_exchange_reply(struct dp_exchange *x, unsigned status, gw_str body)
{
    x->response = (struct dp_response){.origin = DP_ORIGIN_LOCAL, .body = body};
    x->response.head.status = status;
    dp_headers_init(&x->response.head.headers, &x->arena);
    dp_headers_add(&x->response.head.headers, GW_STR("Server"), GW_STR("api-gateway"));
    return DP_REPLY;
}

enum dp_verdict dp_exchange_refuse(struct dp_exchange *x, enum dp_refusal refusal)
{
    enum dp_verdict verdict = dp_exchange_reply(x, dp_refusal_row(refusal)->status, GW_STR_NONE);
    x->response.refusal = refusal;
    return verdict;
}

/* One filter in front of one exchange. */
struct fixture {
    const struct dp_filter *filter;
    const void *conf;
    struct gw_arena arena; /* of conf */
    struct dp_compile compile;
    struct dp_exchange x;
    char scratch[512];
    struct gw_error err;
};

static inline void fixture_init(struct fixture *f, const struct dp_filter *filter)
{
    assert_true(filter->scratch <= sizeof f->scratch);
    *f = (struct fixture){.filter = filter};
    f->compile.arena = &f->arena;
    dp_headers_init(&f->x.request.head.headers, &f->x.arena);
    dp_headers_init(&f->x.response.head.headers, &f->x.arena);
    assert_int_equal(dp_address_parse(GW_STR("192.0.2.7"), &f->x.request.source), 0);
}

/* The next request: nothing is left of the one before. */
static inline void fixture_next(struct fixture *f)
{
    gw_arena_reset(&f->x.arena);
    memset(f->scratch, 0, sizeof f->scratch);
    f->x.response = (struct dp_response){.origin = DP_ORIGIN_NONE};
    f->x.app = NULL;
    f->x.auth_type = GW_STR_NONE;
    dp_headers_init(&f->x.request.head.headers, &f->x.arena);
    dp_headers_init(&f->x.response.head.headers, &f->x.arena);
}

static inline void fixture_done(struct fixture *f)
{
    gw_arena_done(&f->x.arena);
    gw_arena_done(&f->arena);
}

static inline int fixture_compile(struct fixture *f, const void *message)
{
    f->err = GW_ERROR_NONE;
    return f->filter->compile(&f->compile, message, &f->conf, &f->err);
}

/* NONE when the request may go on. */
static inline enum dp_refusal fixture_request(struct fixture *f)
{
    enum dp_verdict verdict = f->filter->on_request(&f->x, f->conf, f->scratch);
    assert_int_equal(verdict, f->x.response.refusal ? DP_REPLY : DP_NEXT);
    return f->x.response.refusal;
}

static inline void fixture_response(struct fixture *f)
{
    assert_int_equal(f->filter->on_response(&f->x, f->conf, f->scratch), DP_NEXT);
}

/* All values of the response's fields of that name, joined by "|"; "-" when there is none. */
static inline const char *fixture_header(struct fixture *f, const char *name)
{
    gw_str joined = GW_STR_NONE;
    for (unsigned i = 0; i < f->x.response.head.headers.count; i++) {
        const struct dp_header *header = &f->x.response.head.headers.items[i];
        if (!gw_str_eq_nocase(header->name, gw_str_from(name)))
            continue;
        joined = gw_arena_printf(&f->x.arena, "%.*s%s%.*s", GW_STR_ARG(joined),
                                 joined.ptr ? "|" : "", GW_STR_ARG(header->value));
    }
    return joined.ptr ? joined.ptr : "-";
}

#endif
