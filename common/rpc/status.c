/* SPDX-License-Identifier: Apache-2.0 */
#include "common/rpc/internal.h"

#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"

#define TYPE_PREFIX "type.googleapis.com/"
#define ERROR_INFO TYPE_PREFIX "google.rpc.ErrorInfo"
#define BAD_REQUEST TYPE_PREFIX "google.rpc.BadRequest"
#define DOMAIN "penstock"
#define APIG_CODE "apig_code"

typedef Google__Rpc__Status status_message;
typedef Google__Rpc__ErrorInfo error_info;
typedef Google__Rpc__BadRequest bad_request;
typedef Google__Protobuf__Any any;

static any *wrap(struct gw_arena *arena, const char *type_url, const ProtobufCMessage *message)
{
    any *wrapped = GW_ARENA_NEW(arena, any);
    google__protobuf__any__init(wrapped);
    gw_str packed = gw_message_pack(arena, message);
    wrapped->type_url = (char *)type_url;
    wrapped->value = (ProtobufCBinaryData){packed.len, (uint8_t *)packed.ptr};
    return wrapped;
}

/* Every error has one; where nothing better is known, the reason is the code's own name. */
static any *encode_info(struct gw_arena *arena, const struct gw_error *err)
{
    error_info info = GOOGLE__RPC__ERROR_INFO__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry apig = GOOGLE__RPC__ERROR_INFO__METADATA_ENTRY__INIT;
    Google__Rpc__ErrorInfo__MetadataEntry *entries[] = {&apig};
    info.reason = (char *)(err->reason[0] ? err->reason : gw_code_name(err->code));
    info.domain = DOMAIN;
    if (err->apig[0]) {
        apig.key = APIG_CODE;
        apig.value = (char *)err->apig;
        info.n_metadata = 1;
        info.metadata = entries;
    }
    return wrap(arena, ERROR_INFO, &info.base);
}

static any *encode_violations(struct gw_arena *arena, const struct gw_error *err, unsigned count)
{
    bad_request request = GOOGLE__RPC__BAD_REQUEST__INIT;
    Google__Rpc__BadRequest__FieldViolation violations[GW_ERROR_VIOLATIONS_MAX];
    Google__Rpc__BadRequest__FieldViolation *list[GW_ERROR_VIOLATIONS_MAX];
    for (unsigned i = 0; i < count; i++) {
        google__rpc__bad_request__field_violation__init(&violations[i]);
        violations[i].field = (char *)err->violations[i].field;
        violations[i].description = (char *)err->violations[i].rule;
        list[i] = &violations[i];
    }
    request.n_field_violations = count;
    request.field_violations = list;
    return wrap(arena, BAD_REQUEST, &request.base);
}

static gw_str encode_details(struct gw_arena *arena, const struct gw_error *err, unsigned count)
{
    any *details[2];
    status_message status = GOOGLE__RPC__STATUS__INIT;
    status.code = (int32_t)err->code;
    status.message = (char *)err->message;
    status.details = details;
    details[status.n_details++] = encode_info(arena, err);
    if (count)
        details[status.n_details++] = encode_violations(arena, err, count);
    return gw_message_pack(arena, &status.base);
}

void gw_rpc_status_init(struct gw_rpc_status *status, const struct gw_error *err)
{
    *status = (struct gw_rpc_status){.code = GRPC_STATUS_OK, .message = grpc_empty_slice()};
    if (!err)
        return;
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    status->code = (grpc_status_code)err->code;
    status->message = grpc_slice_from_copied_string(err->message);
    unsigned count = err->violation_count;
    gw_str details = encode_details(&arena, err, count);
    while (details.len > GW_RPC_DETAILS_MAX_BYTES && count > 1)
        details = encode_details(&arena, err, --count);
    status->details.key = grpc_slice_from_static_string(GW_RPC_DETAILS_KEY);
    status->details.value = grpc_slice_from_copied_buffer(details.ptr, details.len);
    status->details_count = 1;
}

void gw_rpc_status_done(struct gw_rpc_status *status)
{
    grpc_slice_unref(status->message);
    if (status->details_count)
        grpc_slice_unref(status->details.value);
}

grpc_op gw_rpc_status_op(struct gw_rpc_status *status)
{
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op.data.send_status_from_server.status = status->code;
    op.data.send_status_from_server.status_details = &status->message;
    op.data.send_status_from_server.trailing_metadata_count = status->details_count;
    op.data.send_status_from_server.trailing_metadata = &status->details;
    return op;
}

static void decode_info(const error_info *info, struct gw_error *err)
{
    if (strcmp(info->reason, gw_code_name(err->code)) != 0) /* else it adds nothing */
        (void)gw_error_reason(err, info->reason);
    for (size_t i = 0; i < info->n_metadata; i++)
        if (strcmp(info->metadata[i]->key, APIG_CODE) == 0)
            (void)gw_error_apig(err, info->metadata[i]->value);
}

/* The server's code and message stand, so not straight into err. */
static void decode_violations(const bad_request *request, struct gw_error *err)
{
    struct gw_error list = GW_ERROR_NONE;
    for (size_t i = 0; i < request->n_field_violations; i++)
        (void)gw_fail_field(&list, request->field_violations[i]->field, "%s",
                            request->field_violations[i]->description);
    err->violation_count = list.violation_count;
    memcpy(err->violations, list.violations, sizeof(err->violations));
}

/* Details are an addition: what cannot be read is left out, the code and message are there. */
static void decode_detail(struct gw_arena *arena, const any *detail, struct gw_error *err)
{
    struct gw_error ignored;
    ProtobufCMessage *message;
    gw_str bytes = gw_str_n((const char *)detail->value.data, detail->value.len);
    if (strcmp(detail->type_url, ERROR_INFO) == 0) {
        if (!gw_message_unpack(arena, &google__rpc__error_info__descriptor, bytes, &message,
                               &ignored))
            decode_info((const error_info *)message, err);
    } else if (strcmp(detail->type_url, BAD_REQUEST) == 0) {
        if (!gw_message_unpack(arena, &google__rpc__bad_request__descriptor, bytes, &message,
                               &ignored))
            decode_violations((const bad_request *)message, err);
    }
}

static void decode_details(gw_str bytes, struct gw_error *err)
{
    gw_auto(gw_arena_done) struct gw_arena arena = {0};
    struct gw_error ignored;
    ProtobufCMessage *message;
    if (gw_message_unpack(&arena, &google__rpc__status__descriptor, bytes, &message, &ignored))
        return;
    const status_message *status = (const status_message *)message;
    for (size_t i = 0; i < status->n_details; i++)
        decode_detail(&arena, status->details[i], err);
}

/* Codes that we do not have, and OK where an error is told, are UNKNOWN. */
static enum gw_code code_from(grpc_status_code code)
{
    if (code == GRPC_STATUS_DATA_LOSS)
        return GW_INTERNAL;
    bool known = code > GRPC_STATUS_OK && code <= GRPC_STATUS_UNAUTHENTICATED;
    return known ? (enum gw_code)code : GW_UNKNOWN;
}

void gw_rpc_status_decode(grpc_status_code code, gw_str message,
                          const grpc_metadata_array *trailers, struct gw_error *err)
{
    (void)gw_fail(err, code_from(code), "%.*s", GW_STR_ARG(message));
    for (size_t i = 0; i < trailers->count; i++)
        if (gw_str_eq(gw_rpc_slice_view(&trailers->metadata[i].key), GW_STR(GW_RPC_DETAILS_KEY)))
            decode_details(gw_rpc_slice_view(&trailers->metadata[i].value), err);
}
