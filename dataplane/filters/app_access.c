/* SPDX-License-Identifier: Apache-2.0 */
/* What an authenticated app may do: nothing while it is frozen, only call the routes that it is
 * authorized for, and only from where it may (catalogue 6.7). */
#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"
#include "dataplane/snapshot/address_list.h"

#include "penstock/agent/v1/agent.pb-c.h"

static bool applies(const ProtobufCMessage *message)
{
    const Penstock__Agent__V1__Route *route = (const Penstock__Agent__V1__Route *)message;
    return route->auth && route->auth->app;
}

static bool is_from_elsewhere(const struct dp_exchange *x)
{
    const struct dp_request *request = &x->request;
    const struct dp_address_list *addresses = dp_app_addresses(x->app);
    if (!addresses)
        return false;
    return !dp_address_is_known(&request->source) || request->source_is_doubtful ||
           !dp_address_list_admits(addresses, &request->source);
}

static enum dp_verdict on_request(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)conf;
    (void)scratch;
    /* Authentication stands before this filter; without an app it has refused. */
    if (!x->app)
        return dp_exchange_refuse(x, DP_REFUSE_APP_UNAUTHORIZED);
    if (x->app->frozen)
        return dp_exchange_refuse(x, DP_REFUSE_APP_FROZEN);
    if (!dp_app_may_call(x->app, x->route))
        return dp_exchange_refuse(x, DP_REFUSE_APP_UNAUTHORIZED);
    if (gw_unlikely(is_from_elsewhere(x)))
        return dp_exchange_refuse(x, DP_REFUSE_APP_ADDRESS);
    return DP_NEXT;
}

const struct dp_filter dp_filter_app_access = {
    .name = "app_access",
    .applies = applies,
    .on_request = on_request,
};
