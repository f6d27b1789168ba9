/* What is known of an engram, in JSON and in words: the forms that the command line and the server share.
 *
 * A document says the same thing in the same field whoever makes it. Nothing here prints but the functions that take
 * a FILE. Any thread, but that a document belongs to one. */
#ifndef EG_REPORT_REPORT_H
#define EG_REPORT_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/status.h"
#include "compute/device.h"
#include "engram/core.h"
#include "engram/engram.h"

/* ---- json.c ---- */

/* From now on documents take their memory from eg_alloc, and eg_json_read knows when there was none. Once, before there are
 * threads or documents. */
void eg_json_start(void);
/* *document: to be released. ENGRAM_INVALID says where text is none, or that it has more than values_max values, of which
 * each takes a hundred times the memory that its text does. */
engram_status eg_json_read(eg_view text, size_t values_max, json_t **document, engram_error *error);
/* A member of an object or, with key NULL, of an array; takes value. A failure is counted. */
void eg_json_put(json_t *parent, const char *key, json_t *value);
void eg_json_put_number(json_t *object, const char *key, uint64_t value);
/* How many members of any document that this thread made were lost, for want of memory. Who makes a document looks before
 * and after it. */
unsigned long eg_json_failures(void);
/* Whether any was, of any thread. */
bool eg_json_has_failed(void);
/* Text that may not be valid UTF-8. */
json_t *eg_json_text(const void *bytes, size_t size);
/* key, with U+FFFD for what is not UTF-8; then also key_base64 with the bytes. */
void eg_path_json(json_t *object, const char *key, eg_view path);

/* ---- base64.c ---- */

void eg_base64_write(eg_buffer *out, eg_view bytes);
/* Appends to out. False when the text is not base64 with its padding, or out has failed. */
bool eg_base64_read(const char *text, size_t size, eg_buffer *out);

/* ---- text.c ---- */

enum { EG_TEXT_SIZE = 40 };                                        /* room for each of these */
const char *eg_text_bytes(char text[EG_TEXT_SIZE], uint64_t size); /* "1.5 MB" */
const char *eg_text_rate(char text[EG_TEXT_SIZE], uint64_t size, double seconds); /* "240 MB/s" */
const char *eg_text_time(char text[EG_TEXT_SIZE], int64_t seconds, uint32_t nanoseconds,
                         bool precise);
const char *eg_text_time_ns(char text[EG_TEXT_SIZE], uint64_t time_ns); /* precise */
const char *eg_text_seconds(char text[EG_TEXT_SIZE], uint64_t seconds); /* "36h" */
double eg_seconds_since(uint64_t start_ns); /* of the monotonic clock */
double eg_ratio(double a, double b);        /* a / b, or 0 when b is 0 */

/* ---- filter.c: what conditions of a listing are written as ---- */

/* "1048576", "64K", "1.5G", "2GiB": binary suffixes. False when it is none. */
bool eg_size_parse(const char *text, uint64_t *size);
/* "0.25", "25%": from 0 to 1. False when it is none. */
bool eg_share_parse(const char *text, double *share);
/* "file", "directory", ...: the bit of engram_filter.kinds, 0 when it is none. */
unsigned eg_kind_bit(const char *text);
/* The least second that is not before a time; a date alone is the beginning of its day. */
bool eg_since_parse(const char *text, int64_t *seconds);

/* ---- paths.c: stored paths are bytes ---- */

/* Escapes what would steer a terminal as ls -b does when out is one; the bytes themselves when it
 * is not. */
void eg_path_print(FILE *out, eg_view path);
/* The same into a buffer, always escaped. */
void eg_path_escape(eg_buffer *out, eg_view path);
typedef struct eg_stored_name {
    char text[EG_PATH_MAX + 1];
} eg_stored_name;
/* An operand as the path that is stored: without slashes at its ends and without "."; "" is the
 * root. ENGRAM_INVALID when it has "..", or is longer than a path or a name can be. */
engram_status eg_path_operand(const char *operand, eg_stored_name *path, engram_error *error);
/* Where the last name begins. */
const char *eg_path_base(const char *path);
static inline eg_view eg_view_of(const char *text)
{
    return (eg_view){(const uint8_t *)text, strlen(text)};
}
/* Length of the UTF-8 character at bytes, or 0 when there is none. */
size_t eg_utf8_size(const uint8_t *bytes, size_t size);

/* ---- entry.c: what is known of a stored path ---- */

enum { EG_TOKEN_SIZE = 48 };
const char *eg_entry_token(const struct engram_stat *stat, char text[EG_TOKEN_SIZE]);
/* The target of a symbolic link, "" for anything else. */
engram_status eg_entry_target(engram_view *view, const char *path, const struct engram_stat *stat,
                              eg_stored_name *target, engram_error *error);
/* Fields of an entry, the same in every document; target "": none. */
void eg_entry_fill(json_t *object, const char *path, const struct engram_stat *stat, const char *target);
json_t *eg_entry_json(const char *path, const struct engram_stat *stat, const char *target);

/* ---- history.c ---- */

char eg_change_letter(engram_change_kind what); /* 'A', 'D', 'M', 'T', 'R' */
json_t *eg_change_json(const engram_change *change);
json_t *eg_log_entry_json(const char *path, const engram_log_entry *entry);
json_t *eg_snapshot_json(const char *name, uint64_t version, uint64_t time_ns);

/* ---- versions.c ---- */

json_t *eg_retained_json(const engram_retained *retained);

/* ---- devices.c ---- */

json_t *eg_device_json(const eg_device_info *info);

/* ---- info.c: what an engram holds, and what it costs ---- */

typedef struct eg_info {
    uint64_t version, time_ns;
    eg_tree_totals tree;
    eg_store_totals store;
    uint64_t size, disk_size, bytes_vectors, bytes_records, bytes_stored;
    engram_retention retention;
    engram_metrics metrics;
    uint64_t segments_of_level[256];
    engram_compacted gc; /* what it would do */
    bool is_judged;      /* it was asked for and could be foreseen */
} eg_info;
engram_status eg_info_gather(eg_engram *engram, const eg_version *version, eg_info *info,
                             engram_error *error);
/* Also what gc would return, for which the trees of all retained versions are walked. */
void eg_info_judge(eg_engram *engram, eg_info *info);
void eg_info_fill(json_t *object, eg_engram *engram, const eg_info *info);
json_t *eg_retention_json(const engram_retention *retention);

#endif
