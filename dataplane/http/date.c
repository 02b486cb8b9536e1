/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/http/date.h"

#include <stdio.h>
#include <time.h>

gw_str dp_date_text(struct dp_date *date, int64_t unix_second)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    if (date->text[0] && date->second == unix_second)
        return gw_str_n(date->text, DP_DATE_LEN);
    struct tm tm;
    time_t second = (time_t)unix_second;
    gmtime_r(&second, &tm);
    char text[80]; /* what the compiler thinks that seven ints can take */
    int len = snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
                       tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                       tm.tm_sec);
    assert(len == DP_DATE_LEN);
    memcpy(date->text, text, (size_t)len + 1);
    date->second = unix_second;
    return gw_str_n(date->text, DP_DATE_LEN);
}
