/* SPDX-License-Identifier: Apache-2.0 */
/* Agents as this replica sees them, and AgentService. Nothing of them is stored. */
#include "common/message.h"
#include "controlplane/agents/registry.h"
#include "controlplane/service/resource.h"
#include "controlplane/service/services.h"

#define NAME_PREFIX "agents/"

typedef Penstock__Admin__V1__GetAgentRequest get_request;
typedef Penstock__Admin__V1__ListAgentsRequest list_request;
typedef Penstock__Admin__V1__ListAgentsResponse list_reply;

static int check_name(const char *name, const char *field, struct gw_error *err)
{
    gw_str text = gw_str_from(name);
    if (!gw_str_has_prefix(text, GW_STR(NAME_PREFIX)) || text.len == strlen(NAME_PREFIX) ||
        text.len > strlen(NAME_PREFIX) + CP_AGENT_ID_MAX)
        return gw_fail_field(err, field, "must be \"agents/{agent}\"");
    return 0;
}

static int get_agent(const struct cp_call *call, const ProtobufCMessage *request,
                     ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const char *name = ((const get_request *)request)->name;
    if (check_name(name, "name", err) < 0)
        return -1;
    cp_agent *agent = call->services->registry ? cp_registry_get(call->services->registry,
                                                                 call->arena, gw_str_from(name))
                                               : NULL;
    if (!agent)
        return gw_fail(err, GW_NOT_FOUND, "%s is not known to this replica", name);
    *ret_reply = &agent->base;
    return 0;
}

/* A page token is the name of the last agent that was shown. */
static int list_agents(const struct cp_call *call, const ProtobufCMessage *request,
                       ProtobufCMessage **ret_reply, struct gw_error *err)
{
    const list_request *asked = (const list_request *)request;
    size_t limit = CP_PAGE_SIZE_DEFAULT;
    bool more = false;
    if (asked->page_size < 0)
        return gw_fail_field(err, "page_size", "must not be negative");
    if (asked->page_size > 0)
        limit = (size_t)GW_MIN(asked->page_size, CP_PAGE_SIZE_MAX);
    if (*asked->page_token && check_name(asked->page_token, "page_token", err) < 0)
        return -1;
    list_reply *reply = (list_reply *)gw_message_new(call->arena, CP_TYPE(list_agents_response));
    if (call->services->registry)
        reply->n_agents =
            cp_registry_list(call->services->registry, call->arena, gw_str_from(asked->page_token),
                             limit, &reply->agents, &more);
    if (more)
        reply->next_page_token = reply->agents[reply->n_agents - 1]->name;
    *ret_reply = &reply->base;
    return 0;
}

static const struct cp_method methods[] = {
    {"GetAgent", CP_ROLE_VIEWER, get_agent},
    {"ListAgents", CP_ROLE_VIEWER, list_agents},
};
const struct cp_service cp_agent_service = {&penstock__admin__v1__agent_service__descriptor,
                                            methods, GW_ARRAY_LEN(methods)};
