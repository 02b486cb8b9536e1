/* SPDX-License-Identifier: Apache-2.0 */
/* Short names for the generated types of penstock.agent.v1, as model/types.h has them for the admin
 * messages. */
#ifndef CP_SNAPSHOT_AGENT_TYPES_H
#define CP_SNAPSHOT_AGENT_TYPES_H

#include "penstock/agent/v1/agent.pb-c.h"

typedef Penstock__Agent__V1__AgentMessage cp_agent_message;
typedef Penstock__Agent__V1__ControlMessage cp_control_message;
typedef Penstock__Agent__V1__Update cp_update;
typedef Penstock__Agent__V1__Hello cp_hello;
typedef Penstock__Agent__V1__Ack cp_ack;
typedef Penstock__Agent__V1__Refusal cp_agent_refusal;
typedef Penstock__Agent__V1__DebugCall cp_debug_call;
typedef Penstock__Agent__V1__DebugReply cp_debug_reply;

typedef Penstock__Agent__V1__Kind cp_agent_kind;
typedef Penstock__Agent__V1__ResourceKey cp_agent_key;
typedef Penstock__Agent__V1__Resource cp_agent_resource;
typedef Penstock__Agent__V1__Group cp_agent_group;
typedef Penstock__Agent__V1__Route cp_agent_route;
typedef Penstock__Agent__V1__Auth cp_agent_auth;
typedef Penstock__Agent__V1__Backend cp_agent_backend;
typedef Penstock__Agent__V1__HttpBackend cp_agent_http_backend;
typedef Penstock__Agent__V1__MockBackend cp_agent_mock_backend;
typedef Penstock__Agent__V1__Header cp_agent_header;
typedef Penstock__Agent__V1__Channel cp_agent_channel;
typedef Penstock__Agent__V1__Member cp_agent_member;
typedef Penstock__Agent__V1__Policy cp_agent_policy;
typedef Penstock__Agent__V1__App cp_agent_app;
typedef Penstock__Agent__V1__IpAccess cp_agent_ip_access;
typedef Penstock__Agent__V1__DomainTls cp_agent_domain_tls;
typedef Penstock__Agent__V1__Certificate cp_agent_certificate;
typedef Penstock__Agent__V1__TicketKeys cp_agent_ticket_keys;
typedef Penstock__Agent__V1__TicketKey cp_agent_ticket_key;
typedef Penstock__Agent__V1__Settings cp_agent_settings;

/* CP_AGENT_NEW(arena, cp_agent_group, group): a new message with its defaults. */
#define CP_AGENT_NEW(arena, type, message)                                                         \
    ((type *)(void *)gw_message_new((arena), &penstock__agent__v1__##message##__descriptor))
#define CP_AGENT_KIND(kind) PENSTOCK__AGENT__V1__KIND__KIND_##kind
#define CP_AGENT_RESOURCE(kind) PENSTOCK__AGENT__V1__RESOURCE__KIND_##kind

#endif
