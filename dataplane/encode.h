/* SPDX-License-Identifier: Apache-2.0 */
/* gzip toward callers (--gzip): the last thing before an answer leaves. What takes memory is a
 * worker's compressors, which exchanges borrow; beyond so many an answer leaves as it is. */
#ifndef DP_ENCODE_H
#define DP_ENCODE_H

#include "common/list.h"
#include "common/str.h"

#define DP_ENCODE_BYTES_MIN 1025 /* shorter bodies of known length stay as they are */
#define DP_ENCODERS_MAX 64       /* of a worker at once, 260 KiB each */

struct dp_encoder;

/* One worker's. */
struct dp_encoders {
    int level;           /* 1 to 9; 0: nothing is compressed */
    struct gw_list idle; /* kept for the next ones */
    unsigned count;      /* idle or not */
};

void dp_encoders_init(struct dp_encoders *encoders);
/* From the next answer on; 0 at first. */
void dp_encoders_set_level(struct dp_encoders *encoders, int level);
void dp_encoders_done(struct dp_encoders *encoders);

/* Whether Accept-Encoding, as one list, allows gzip (RFC 9110 12.5.3). Empty: it does not. */
bool dp_encode_is_accepted(gw_str accept_encoding);
/* Whether bodies of that Content-Type are compressed. */
bool dp_encode_is_listed(gw_str content_type);

#endif
