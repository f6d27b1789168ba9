/* Times and numbers as people write them. Pure functions. */
#ifndef EG_ENGRAM_TIME_TEXT_H
#define EG_ENGRAM_TIME_TEXT_H

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits and nothing else. */
bool eg_text_number(const char *text, uint64_t *number);
/* 2026-11-27, 2026-11-27T10:00, 2026-11-27T10:00:00[.123456789][Z|+hh:mm|-hh:mm] (local time without a zone; a blank will
 * do for the T; a date alone is its end), "N seconds|minutes|hours|days|weeks ago" ("3 hours ago", "3h ago"), "yesterday"
 * (24 hours ago), "now". ns since the epoch. */
bool eg_text_time_parse(const char *text, uint64_t *time_ns);
/* "90", "90s", "15m", "3h", "2d", "1w": seconds. */
bool eg_text_duration(const char *text, uint64_t *seconds);

#endif
