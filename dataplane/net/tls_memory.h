/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of OpenSSL. */
#ifndef DP_NET_TLS_MEMORY_H
#define DP_NET_TLS_MEMORY_H

/* First of all in a program: from OpenSSL's first allocation on it changes nothing. The buffers of
 * records, which a session only has while it uses them, are then kept by each thread for the next
 * session. */
void dp_tls_memory_init(void);

#endif
