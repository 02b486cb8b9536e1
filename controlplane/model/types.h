/* SPDX-License-Identifier: Apache-2.0 */
/* Short names for the generated types of penstock.admin.v1: in the control plane resources are
 * these structs, there is no second form of them. */
#ifndef CP_MODEL_TYPES_H
#define CP_MODEL_TYPES_H

#include "google/protobuf/duration.pb-c.h"
#include "google/protobuf/empty.pb-c.h"
#include "google/protobuf/field_mask.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "penstock/admin/v1/account.pb-c.h"
#include "penstock/admin/v1/agent.pb-c.h"
#include "penstock/admin/v1/api.pb-c.h"
#include "penstock/admin/v1/api_group.pb-c.h"
#include "penstock/admin/v1/app.pb-c.h"
#include "penstock/admin/v1/backend.pb-c.h"
#include "penstock/admin/v1/certificate.pb-c.h"
#include "penstock/admin/v1/channel.pb-c.h"
#include "penstock/admin/v1/domain.pb-c.h"
#include "penstock/admin/v1/enrolment.pb-c.h"
#include "penstock/admin/v1/environment.pb-c.h"
#include "penstock/admin/v1/openapi.pb-c.h"
#include "penstock/admin/v1/policy.pb-c.h"
#include "penstock/admin/v1/release.pb-c.h"
#include "penstock/admin/v1/settings.pb-c.h"
#include "penstock/admin/v1/variable.pb-c.h"
#include "penstock/store/v1/agent_authority.pb-c.h"
#include "penstock/store/v1/ticket_keys.pb-c.h"

typedef Google__Protobuf__Timestamp cp_timestamp;
typedef Google__Protobuf__Duration cp_duration;
typedef Google__Protobuf__FieldMask cp_field_mask;

typedef Penstock__Admin__V1__ApiGroup cp_api_group;
typedef Penstock__Admin__V1__Domain cp_domain;
typedef Penstock__Admin__V1__Environment cp_environment;
typedef Penstock__Admin__V1__Certificate cp_certificate;
typedef Penstock__Admin__V1__Variable cp_variable;
typedef Penstock__Admin__V1__Settings cp_gateway_settings;

typedef Penstock__Admin__V1__Api cp_api;
typedef Penstock__Admin__V1__Frontend cp_frontend;
typedef Penstock__Admin__V1__Authentication cp_authentication;
typedef Penstock__Admin__V1__RequestParameter cp_request_parameter;
typedef Penstock__Admin__V1__BackendParameter cp_backend_parameter;
typedef Penstock__Admin__V1__Backend cp_backend;
typedef Penstock__Admin__V1__HttpBackend cp_http_backend;
typedef Penstock__Admin__V1__GrpcBackend cp_grpc_backend;
typedef Penstock__Admin__V1__MockBackend cp_mock_backend;
typedef Penstock__Admin__V1__HttpHeader cp_http_header;

typedef Penstock__Admin__V1__Release cp_release;
typedef Penstock__Admin__V1__Publication cp_publication;
typedef Penstock__Admin__V1__DebugField cp_debug_field;
typedef Penstock__Admin__V1__DebugApiRequest cp_debug_api_request;
typedef Penstock__Admin__V1__DebugApiResponse cp_debug_api_response;
typedef Penstock__Admin__V1__ApiOutcome cp_api_outcome;
typedef Penstock__Admin__V1__ApiFailure cp_api_failure;
typedef Penstock__Admin__V1__FieldChange cp_field_change;
typedef Penstock__Admin__V1__FrozenVariable cp_frozen_variable;
typedef Penstock__Admin__V1__Rollout cp_rollout;
typedef Penstock__Admin__V1__Refusal cp_refusal;

typedef Penstock__Admin__V1__OperationOutcome cp_operation_outcome;

typedef Penstock__Admin__V1__Channel cp_channel;
typedef Penstock__Admin__V1__Member cp_member;

typedef Penstock__Admin__V1__App cp_app;
typedef Penstock__Admin__V1__AppCode cp_app_code;
typedef Penstock__Admin__V1__Authorization cp_authorization;

typedef Penstock__Admin__V1__Policy cp_policy;
typedef Penstock__Admin__V1__PolicyBinding cp_policy_binding;
typedef Penstock__Admin__V1__IpAccess cp_ip_access;
typedef Penstock__Admin__V1__Throttle cp_throttle;
typedef Penstock__Admin__V1__ThrottleException cp_throttle_exception;
typedef Penstock__Admin__V1__ResponseHeaders cp_response_headers;
typedef Penstock__Admin__V1__HeaderAction cp_header_action;

typedef Penstock__Admin__V1__Account cp_account;
typedef Penstock__Admin__V1__User cp_user;
typedef Penstock__Admin__V1__AccessKey cp_access_key;

typedef Penstock__Admin__V1__Agent cp_agent;
typedef Penstock__Admin__V1__Enrolment cp_enrolment;
typedef Penstock__Admin__V1__AgentIdentity cp_agent_record;

typedef Penstock__Store__V1__AgentAuthority cp_agent_authority;
typedef Penstock__Store__V1__TicketKeySet cp_ticket_key_set;
typedef Penstock__Store__V1__StoredTicketKey cp_ticket_key;

/* CP_ENUM(AUTH_TYPE, APP): the value AUTH_TYPE_APP of enum AuthType.
 * CP_ONEOF(BACKEND, HTTP): the case `http` of Backend.kind; CP_ONEOF(BACKEND, _NOT_SET): none. */
#define CP_ENUM(type, value) PENSTOCK__ADMIN__V1__##type##__##type##_##value
#define CP_ONEOF(message, value) PENSTOCK__ADMIN__V1__##message##__KIND_##value
/* CP_TYPE(api_group): its descriptor. */
#define CP_TYPE(message) (&penstock__admin__v1__##message##__descriptor)
/* Sets a message up on the stack or in place: *api = CP_INIT(API); */
#define CP_INIT(message) PENSTOCK__ADMIN__V1__##message##__INIT

#endif
