/* SPDX-License-Identifier: Apache-2.0 */
#include "controlplane/agents/hello.h"

#include "controlplane/agents/registry.h"
#include "controlplane/snapshot/newer.h"

static int check_labels(const cp_hello *hello, struct gw_error *err)
{
    if (hello->n_labels > CP_AGENT_LABELS_MAX)
        return gw_fail_field(err, "hello.labels", "at most %d labels", CP_AGENT_LABELS_MAX);
    for (size_t i = 0; i < hello->n_labels; i++) {
        size_t key = strlen(hello->labels[i]->key);
        if (key == 0 || key > CP_AGENT_LABEL_KEY_MAX ||
            strlen(hello->labels[i]->value) > CP_AGENT_LABEL_VALUE_MAX)
            return gw_fail_field(err, "hello.labels", "a key has 1 to %d bytes, a value at most %d",
                                 CP_AGENT_LABEL_KEY_MAX, CP_AGENT_LABEL_VALUE_MAX);
    }
    return 0;
}

/* The kinds that both sides know. */
static int read_kinds(const cp_hello *hello, unsigned *ret_kinds, struct gw_error *err)
{
    const ProtobufCMessageDescriptor *resource = &penstock__agent__v1__resource__descriptor;
    *ret_kinds = hello->refuses_unknown ? CP_KINDS_STRICT : 0;
    for (size_t i = 0; i < hello->n_kinds; i++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(resource, hello->kinds[i]);
        if (field)
            *ret_kinds |= 1u << field->id; /* enum Kind has the field's numbers */
    }
    if ((*ret_kinds & ~CP_KINDS_STRICT) == 0)
        return gw_fail_field(err, "hello.kinds", "names no kind of resource that is known here");
    return 0;
}

bool cp_hello_digest(const cp_hello *hello, struct gw_content_digest *ret_digest)
{
    if (hello->content_digest.len != sizeof ret_digest->words)
        return false;
    memcpy(ret_digest->words, hello->content_digest.data, sizeof ret_digest->words);
    return true;
}

int cp_hello_check(const cp_hello *hello, unsigned *ret_kinds, struct gw_error *err)
{
    if (!cp_agent_id_is(gw_str_from(hello->agent_id)))
        return gw_fail_field(err, "hello.agent_id", "1 to %d of a-z A-Z 0-9 . - _",
                             CP_AGENT_ID_MAX);
    if (strlen(hello->version) > CP_AGENT_VERSION_MAX)
        return gw_fail_field(err, "hello.version", "at most %d bytes", CP_AGENT_VERSION_MAX);
    if (strlen(hello->cluster_id) >= CP_CLUSTER_MAX)
        return gw_fail_field(err, "hello.cluster_id", "at most %d bytes", CP_CLUSTER_MAX - 1);
    if (hello->revision < 0)
        return gw_fail_field(err, "hello.revision", "is not negative");
    if (check_labels(hello, err))
        return -1;
    return read_kinds(hello, ret_kinds, err);
}
