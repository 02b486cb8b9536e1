/* SPDX-License-Identifier: Apache-2.0 */
/* Who may call, by source address. */
#include "dataplane/exchange.h"
#include "dataplane/filters/filters.h"
#include "dataplane/snapshot/address_list.h"

#include "penstock/agent/v1/agent.pb-c.h"

static int compile(const struct dp_compile *compile, const ProtobufCMessage *message,
                   const void **ret_conf, struct gw_error *err)
{
    const Penstock__Agent__V1__Policy *policy = (const Penstock__Agent__V1__Policy *)message;
    const struct dp_address_list *list;
    if (dp_address_list_compile(policy->ip_access, compile->arena, &list, err) < 0)
        return -1;
    *ret_conf = list;
    return 0;
}

static enum dp_verdict on_request(struct dp_exchange *x, const void *conf, void *scratch)
{
    (void)scratch;
    if (!dp_address_is_known(&x->request.source) || x->request.source_is_doubtful)
        return dp_exchange_refuse(x, DP_REFUSE_NO_SOURCE_ADDRESS);
    return dp_address_list_admits(conf, &x->request.source)
               ? DP_NEXT
               : dp_exchange_refuse(x, DP_REFUSE_IP_ACCESS);
}

const struct dp_filter dp_filter_ip_access = {
    .name = "ip_access",
    .policy_kind = PENSTOCK__AGENT__V1__POLICY__KIND_IP_ACCESS,
    .compile = compile,
    .on_request = on_request,
};
