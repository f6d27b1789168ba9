#include "serve/likeness.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *member, *follows;
} varying[] = {
    {"seconds", "how long it took"},
    {"uptime_seconds", "how long it took"},
    {"uid", "who runs the test"},
    {"gid", "who runs the test"},
    {"device", "the machine"},
    {"device_used", "the machine"},
    {"devices", "the machine"},
    {"used", "what was asked before"},
    {"engram", "where the test has it"},
    {"engram_version", "the release"},
    {"bytes_on_disk", "the file system"},
    {"journal_bytes", "the times and owners in it"},
    {"tree_bytes", "the times and owners in it"},
    {"tree_bytes_garbage", "the times and owners in it"},
};

static bool varies(const char *member)
{
    for (size_t i = 0; i < sizeof varying / sizeof *varying; i++) {
        if (strcmp(varying[i].member, member) == 0)
            return true;
    }
    return false;
}

/* The length of 2026-11-27T12:16:17.5Z at the beginning of text, or 0. */
static size_t moment_length(const char *text)
{
    static const char form[] = "####-##-##T##:##:##";
    size_t i = 0;
    for (; form[i] != 0; i++) {
        if (form[i] == '#' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
            return 0;
    }
    i += strspn(text + i, ".0123456789");
    return text[i] == 'Z' ? i + 1 : 0;
}

static bool say(char why[256], const char *what, const char *where)
{
    char inner[256];
    snprintf(inner, sizeof inner, "%s", why);
    snprintf(why, 256, "%.100s %.60s%s%.80s", what, where, *inner != 0 ? ": " : "", inner);
    return false;
}

static bool like_object(json_t *example, json_t *value, bool is_part, char why[256])
{
    const char *key;
    json_t *one;
    json_object_foreach(example, key, one)
    {
        json_t *other = json_object_get(value, key);
        if (other == NULL)
            return say(why, "there is no", key);
        if (!varies(key) && !likeness_json(one, other, is_part, why))
            return say(why, "in", key);
    }
    json_object_foreach(value, key, one)
    {
        if (!is_part && json_object_get(example, key) == NULL)
            return say(why, "the example lacks", key);
    }
    return true;
}

static bool like_array(json_t *example, json_t *value, bool is_part, char why[256])
{
    size_t i;
    json_t *one;
    if (json_array_size(example) != json_array_size(value))
        return say(why, "not as many items", "");
    json_array_foreach(example, i, one)
    {
        if (!likeness_json(one, json_array_get(value, i), is_part, why))
            return say(why, "in an item", "");
    }
    return true;
}

static bool like_string(const char *example, const char *text, char why[256])
{
    size_t length = moment_length(example);
    if (length != 0 && example[length] == 0 && moment_length(text) == strlen(text))
        return true;
    return strcmp(example, text) == 0 || say(why, "is", text);
}

static bool like_number(json_t *example, json_t *value, char why[256])
{
    char text[64];
    double wanted = json_number_value(example), is = json_number_value(value);
    if (json_is_integer(example) ? json_equal(example, value)
                                 : fabs(wanted - is) <= 1e-6 * fabs(wanted))
        return true;
    snprintf(text, sizeof text, "%.9g", is);
    return say(why, "is", text);
}

bool likeness_json(json_t *example, json_t *value, bool is_part, char why[256])
{
    if (json_is_object(example) && json_is_object(value))
        return like_object(example, value, is_part, why);
    if (json_is_array(example) && json_is_array(value))
        return like_array(example, value, is_part, why);
    if (json_is_string(example) && json_is_string(value))
        return like_string(json_string_value(example), json_string_value(value), why);
    if (json_is_number(example) && json_is_number(value))
        return like_number(example, value, why);
    return json_equal(example, value) || say(why, "is something else", "");
}

bool likeness_text(const char *example, const char *text, char why[256])
{
    while (*example != 0 && strcmp(example, "...") != 0) {
        size_t length = moment_length(example), other = moment_length(text);
        if (length != 0 && other != 0) {
            example += length;
            text += other;
        } else if (*example++ != *text++) {
            return say(why, "differs from here on:", text - 1);
        }
    }
    return *example != 0 || *text == 0 || say(why, "goes on:", text);
}
