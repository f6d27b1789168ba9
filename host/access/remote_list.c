/* Listings of a server: page after page, so that memory does not follow the count of entries. */
#include "access/document.h"
#include "access/remote.h"

enum { PAGE = 1000 };

typedef struct listing {
    const char *prefix;
    const engram_filter *filter;
    eg_access_visit *visit;
    void *context;
    eg_stored_name last; /* of the pages so far; "": none */
    bool more;
} listing;

static void add_time(eg_buffer *target, const char *name, int64_t seconds)
{
    char text[EG_TEXT_SIZE];
    if (seconds != 0)
        eg_target_add_parameter(target, name, eg_text_time(text, seconds, 0, false));
}

static void add_nonzero(eg_buffer *target, const char *name, uint64_t value)
{
    if (value != 0)
        eg_target_add_number(target, name, value);
}

static void add_filter(eg_buffer *target, const engram_filter *f)
{
    if (f->glob != NULL)
        eg_target_add_parameter(target, "glob", f->glob);
    for (engram_kind kind = ENGRAM_KIND_FILE; kind <= ENGRAM_KIND_BLOCK_DEVICE; kind++)
        if (f->kinds & 1u << kind)
            eg_target_add_parameter(target, "kind", engram_kind_name(kind));
    add_nonzero(target, "size_min", f->size_min);
    add_nonzero(target, "size_max", f->size_max);
    add_time(target, "newer", f->mtime_after_s);
    add_time(target, "older", f->mtime_before_s);
    add_nonzero(target, "changed_after", f->version_after);
    add_nonzero(target, "depth", f->depth_max);
}

static void add_page(eg_buffer *target, const void *context, uint64_t version)
{
    const listing *l = context;
    eg_target_add(target, "/v1/files/");
    eg_target_add_number(target, "limit", PAGE);
    eg_target_add_number(target, "at", version);
    eg_target_add_parameter(target, "prefix", l->prefix);
    if (l->filter != NULL)
        add_filter(target, l->filter);
    if (l->last.text[0] != 0)
        eg_target_add_parameter(target, "after", l->last.text);
}

static engram_status show_page(listing *l, const json_t *page, engram_error *error)
{
    struct engram_stat stat;
    eg_stored_name target;
    size_t i;
    const json_t *entry, *entries = json_object_get(page, "entries");
    l->more = json_object_get(page, "next") != NULL;
    if (!json_is_array(entries) || (l->more && json_array_size(entries) == 0))
        return eg_fail(error, ENGRAM_IO, "the server's reply has no 'entries' that can be read");
    json_array_foreach(entries, i, entry)
    {
        EG_TRY(eg_document_entry(entry, &l->last, &stat, &target, error));
        EG_TRY(l->visit(l->context, l->last.text, &stat, target.text, error));
    }
    return ENGRAM_OK;
}

/* The pages behind the first are of the same version, or there is no listing. */
static engram_status next_page(eg_access_view *view, listing *l, json_t **page, engram_error *error)
{
    eg_buffer target = {0};
    engram_error inner = {0};
    add_page(&target, l, view->version);
    engram_status status = eg_remote_get_target(view->access, &target, page, &inner);
    if (status == ENGRAM_NOT_FOUND)
        return eg_fail(
            error, status,
            "%s, and what was listed is not complete; a snapshot keeps one: --at names it",
            inner.message);
    return status == ENGRAM_OK ? ENGRAM_OK : eg_fail(error, status, "%s", inner.message);
}

engram_status eg_remote_list(eg_access_view *view, const char *prefix, const engram_filter *filter,
                             eg_access_visit *visit, void *context, engram_error *error)
{
    json_t *page = NULL;
    listing l = {.prefix = prefix, .filter = filter, .visit = visit, .context = context};
    EG_TRY(eg_remote_get(view, add_page, &l, &page, error));
    for (;;) {
        engram_status status = show_page(&l, page, error);
        json_decref(page);
        if (status != ENGRAM_OK || !l.more)
            return status;
        EG_TRY(next_page(view, &l, &page, error));
    }
}
