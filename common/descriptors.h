/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GW_DESCRIPTORS_H
#define GW_DESCRIPTORS_H

#include <stdint.h>

/* Raises the process's limit of open files as far as it may, and warns when it stays below
 * `needed`, naming the option that asks for so many. At the start. Returns the limit. */
uint64_t gw_raise_descriptors(const char *component, uint64_t needed, const char *option);

#endif
