/* Histories: what commits do to the model's trees, and what of it may be found. */
#include <stdlib.h>
#include <string.h>

#include "crash/model.h"
#include "crash/util.h"

size_t history_add(history *h, int64_t version, int64_t begin)
{
    h->commits = crash_grow(h->commits, &h->capacity, h->count + 1, sizeof *h->commits);
    h->commits[h->count] =
        (commit){.version = version, .begin = begin, .ack = STEP_NEVER, .dead = STEP_NEVER};
    return h->count++;
}

void history_fini(history *h)
{
    for (size_t i = 0; i < h->count; i++) {
        free(h->commits[i].edits.edits);
        tree_fini(&h->commits[i].tree);
        tree_fini(&h->commits[i].after);
    }
    free(h->commits);
    free(h->rules);
    *h = (history){0};
}

/* The commit of that version that c was built upon. */
static commit *find_ancestor(history *h, const commit *c, int64_t version)
{
    for (size_t i = 0; i < h->count; i++) {
        commit *p = &h->commits[i];
        if (p->version == version && (p->dead == STEP_NEVER || p->dead > c->begin))
            return p;
    }
    return NULL;
}

static int compare_commits(const void *a, const void *b)
{
    const commit *x = a, *y = b;
    if (x->version != y->version)
        return x->version < y->version ? -1 : 1;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* False: it is built on what is not there. */
static bool resolve(history *h, commit *c)
{
    commit *parent = find_ancestor(h, c, c->version - 1);
    if (parent == NULL)
        return false;
    c->tree = tree_copy(&parent->tree);
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < c->edits.count; i++) {
            const edit *e = &c->edits.edits[i];
            commit *other = e->number != 0 ? find_ancestor(h, c, e->number) : parent;
            if (other == NULL)
                return false;
            if (pass == 0)
                tree_apply(&c->tree, e, &other->tree);
            else
                tree_apply_name(&c->tree, e, c->version, &other->tree);
        }
    return true;
}

bool history_resolve(history *h)
{
    qsort(h->commits, h->count, sizeof *h->commits, compare_commits);
    for (size_t i = 0; i < h->count; i++)
        if (h->commits[i].edits.count != 0 && !resolve(h, &h->commits[i]))
            return false;
    return true;
}

/* ---- what may be found ---- */

static bool happened(int64_t mark, int64_t step)
{
    return mark != STEP_NEVER && mark < step;
}

/* Whether some commit of that version was begun and not undone. */
static bool is_begun(const history *h, int64_t version, int64_t step)
{
    for (size_t i = 0; i < h->count; i++) {
        const commit *c = &h->commits[i];
        if (c->version == version && happened(c->begin, step) && !happened(c->dead, step))
            return true;
    }
    return false;
}

bool history_allows(const history *h, size_t i, int64_t step)
{
    const commit *c = &h->commits[i];
    if (!happened(c->begin, step) || happened(c->dead, step))
        return false;
    for (size_t n = 0; n < h->count; n++) {
        const commit *o = &h->commits[n];
        if (o->version > c->version && happened(o->ack, step) && !happened(o->dead, step))
            return false;
    }
    for (int64_t version = c->version - 1; version > VERSION_NONE; version--)
        if (!is_begun(h, version, step))
            return false;
    return true;
}

uint64_t version_digest(int64_t version, const tree *t, uint64_t rules)
{
    uint64_t hash = tree_hash(t);
    for (size_t i = 0; i < t->count; i++)
        if (t->entries[i].kind == 0)
            hash += hash_of(t->entries[i].path, strlen(t->entries[i].path)) * t->entries[i].hash;
    const uint64_t parts[] = {(uint64_t)version, hash, rules};
    hash = hash_of(parts, sizeof parts);
    return hash > 1 ? hash : 2;
}

static bool allows_digest(const history *h, int64_t step, const commit *c, uint64_t digest)
{
    if (c->is_loose || h->rule_count == 0)
        return digest == (c->digest != 0 ? c->digest : version_digest(c->version, &c->tree, 0));
    for (size_t i = 0; i < h->rule_count; i++)
        if (history_allows_rule(h, step, h->rules[i].value) &&
            version_digest(c->version, &c->tree, h->rules[i].value) == digest)
            return true;
    return false;
}

bool history_allows_digest(history *h, int64_t step, uint64_t digest)
{
    for (size_t i = 0; i < h->count; i++) {
        commit *c = &h->commits[i];
        if (c->digest == 0 && !c->is_loose && h->rule_count == 0)
            c->digest = version_digest(c->version, &c->tree, 0);
        if (history_allows(h, i, step) && allows_digest(h, step, c, digest))
            return true;
    }
    return false;
}

static bool has_entry(const tree *t, const tree_entry *entry)
{
    const tree_entry *own = tree_find(t, entry->path);
    return own != NULL && tree_entry_equal(own, entry);
}

/* Every path of before is there, and everything there is as it was before or as it is to become. */
static bool is_between(const tree *before, const tree *after, const tree *found)
{
    for (size_t i = 0; i < before->count; i++)
        if (tree_find(found, before->entries[i].path) == NULL)
            return false;
    for (size_t i = 0; i < found->count; i++)
        if (!has_entry(before, &found->entries[i]) && !has_entry(after, &found->entries[i]))
            return false;
    return true;
}

bool commit_matches(const commit *c, int64_t version, const tree *found)
{
    if (c->version != version)
        return false;
    return c->is_loose ? is_between(&c->tree, &c->after, found) : tree_equal(&c->tree, found);
}

int history_match(const history *h, int64_t step, int64_t version, const tree *found)
{
    for (size_t i = 0; i < h->count; i++)
        if (history_allows(h, i, step) && commit_matches(&h->commits[i], version, found))
            return (int)i;
    return -1;
}

void history_observe(history *h, size_t i, int64_t step)
{
    int64_t version = h->commits[i].version;
    if (h->commits[i].ack == STEP_NEVER)
        h->commits[i].ack = step;
    for (size_t n = 0; n < h->count; n++) {
        commit *c = &h->commits[n];
        if (c->version > version && c->begin <= step && c->dead == STEP_NEVER)
            c->dead = step;
    }
}

bool history_knows(const history *h, int64_t step, int64_t version, const tree *found)
{
    for (size_t i = 0; i < h->count; i++) {
        const commit *c = &h->commits[i];
        bool counts = c->version == version && happened(c->begin, step) && !happened(c->dead, step);
        if (counts && (c->is_loose || tree_hash(&c->tree) == tree_hash(found)))
            return true;
    }
    return false;
}

/* ---- rules ---- */

size_t history_add_rule(history *h, uint64_t value, int64_t begin)
{
    h->rules = crash_grow(h->rules, &h->rule_capacity, h->rule_count + 1, sizeof *h->rules);
    h->rules[h->rule_count] =
        (rule){.value = value, .begin = begin, .ack = STEP_NEVER, .dead = STEP_NEVER};
    return h->rule_count++;
}

/* One that was begun, with none acknowledged behind it. */
static bool allows_rule(const history *h, int64_t step, size_t i)
{
    if (!happened(h->rules[i].begin, step) || happened(h->rules[i].dead, step))
        return false;
    for (size_t n = i + 1; n < h->rule_count; n++)
        if (happened(h->rules[n].ack, step) && !happened(h->rules[n].dead, step))
            return false;
    return true;
}

bool history_allows_rule(const history *h, int64_t step, uint64_t value)
{
    for (size_t i = 0; i < h->rule_count; i++)
        if (h->rules[i].value == value && allows_rule(h, step, i))
            return true;
    return h->rule_count == 0;
}

void history_observe_rule(history *h, uint64_t value, int64_t step)
{
    bool found = false;
    for (size_t i = h->rule_count; i > 0; i--) {
        rule *r = &h->rules[i - 1];
        if (!happened(r->begin, step) || happened(r->dead, step))
            continue;
        if (!found && r->value == value) {
            found = true;
            if (r->ack == STEP_NEVER)
                r->ack = step;
        } else if (!found) {
            r->dead = step;
        }
    }
}
