/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/refusal.h"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static const struct dp_refusal_row rows[DP_REFUSAL_COUNT] = {
#define ROW(name, status, code, message, reason)                                                   \
    [DP_REFUSE_##name] = {(status), TEXT(code), TEXT(message), TEXT(reason)},
    DP_REFUSALS(ROW)
#undef ROW
};

const struct dp_refusal_row *dp_refusal_row(enum dp_refusal refusal)
{
    assert(refusal > DP_REFUSAL_NONE && refusal < DP_REFUSAL_COUNT);
    return &rows[refusal];
}
