/* What a query found, as a document. */
#include "report/query.h"

static json_t *best_json(const eg_query_pair *pair)
{
    json_t *object = json_object();
    eg_json_put_number(object, "query_offset", pair->query_offset);
    eg_json_put_number(object, "query_length", pair->query_size);
    eg_json_put_number(object, "offset", pair->file_offset);
    eg_json_put_number(object, "length", pair->file_size);
    eg_json_put_number(object, "matches", pair->matches);
    eg_json_put_number(object, "chunk", pair->chunk_id);
    return object;
}

static json_t *ranges_json(const eg_ranges *ranges)
{
    json_t *array = json_array();
    for (size_t i = 0; i < ranges->count; i++) {
        json_t *object = json_object();
        eg_json_put_number(object, "query_offset", ranges->items[i].query_offset);
        eg_json_put_number(object, "offset", ranges->items[i].file_offset);
        eg_json_put_number(object, "length", ranges->items[i].size);
        eg_json_put(array, NULL, object);
    }
    return array;
}

static void put_exact(json_t *object, const eg_query_exact *e)
{
    eg_json_put(object, "exact_jaccard", e->jaccard >= 0 ? json_real(e->jaccard) : json_null());
    eg_json_put(object, "exact_containment", json_real(e->containment));
    eg_json_put(object, "exact_whole", json_boolean(e->whole));
    eg_json_put_number(object, "sample", e->sample);
    eg_json_put_number(object, "size", e->file_size);
    eg_json_put_number(object, "looked_at", e->looked_at);
    eg_json_put(object, "ranges", ranges_json(&e->ranges));
    eg_json_put_number(object, "ranges_query_bytes", e->ranges.covered);
    eg_json_put(object, "ranges_complete", json_boolean(e->ranges.complete));
}

static json_t *hit_json(const eg_query_hit *hit)
{
    json_t *object = json_object();
    eg_path_json(object, "path", (eg_view){(const uint8_t *)hit->path, hit->path_size});
    eg_json_put(object, "score", json_real(hit->score));
    eg_json_put(object, "jaccard", json_real(hit->jaccard.value));
    eg_json_put(object, "jaccard_low", json_real(hit->jaccard.low));
    eg_json_put(object, "jaccard_high", json_real(hit->jaccard.high));
    eg_json_put(object, "containment", json_real(hit->containment));
    eg_json_put(object, "best", best_json(&hit->pair));
    if (hit->exact.present)
        put_exact(object, &hit->exact);
    return object;
}

static json_t *via_json(const eg_via_root_report *via, bool checked)
{
    json_t *object = json_object();
    eg_json_put(object, "by", json_string("root"));
    eg_json_put(object, "share", json_real(via->share));
    eg_json_put_number(object, "chunks_read", via->chunks_read);
    eg_json_put_number(object, "bundles", via->bundles);
    eg_json_put_number(object, "bundles_read", via->bundles_read);
    eg_json_put(object, "bundle_seconds", json_real(via->bundle_seconds));
    if (!checked)
        return object;
    eg_json_put(object, "recall", json_real(via->recall));
    eg_json_put_number(object, "exact_hits", via->exact_hits);
    eg_json_put_number(object, "found_hits", via->found_hits);
    eg_json_put(object, "exact_seconds", json_real(via->exact_seconds));
    return object;
}

void eg_query_fill(json_t *d, const eg_query_result *r, const eg_query_options *o,
                   double total_seconds)
{
    json_t *hits = json_array(), *seconds = json_object();
    for (size_t i = 0; i < r->hit_count; i++)
        eg_json_put(hits, NULL, hit_json(&r->hits[i]));
    eg_json_put(seconds, "encode", json_real(r->encode_seconds));
    eg_json_put(seconds, "scan", json_real(r->scan_seconds));
    eg_json_put(seconds, "score", json_real(r->score_seconds));
    eg_json_put(seconds, "look", json_real(r->look_seconds));
    eg_json_put(seconds, "total", json_real(total_seconds));
    eg_json_put(d, "hits", hits);
    eg_json_put_number(d, "hits_before", r->hits_before);
    eg_json_put_number(d, "hits_behind", r->hits_behind);
    eg_json_put(d, "by", json_string(o->by_chunk ? "chunk" : "file"));
    eg_json_put(d, "unsure", json_boolean(r->unsure));
    eg_json_put_number(d, "version", r->version);
    eg_json_put_number(d, "query_chunks", r->query_chunks);
    eg_json_put_number(d, "chunks_live", r->chunks_live);
    eg_json_put_number(d, "files_scored", r->files_scored);
    if (o->via_root_share > 0)
        eg_json_put(d, "via", via_json(&r->via_root, o->via_root_check));
    eg_json_put_number(d, "files_looked_at", r->files_looked_at);
    eg_json_put(d, "seconds", seconds);
}

void eg_query_device_fill(json_t *document, eg_device *device)
{
    eg_device_stats stats;
    eg_device_get_stats(device, &stats);
    eg_json_put(document, "device", json_string(eg_device_get_info(device)->spec));
    eg_json_put(document, "device_used", json_string(stats.device_used));
    eg_json_put_number(document, "fallback_batches", stats.fallback_batches);
}

json_t *eg_vector_json(const uint8_t *vector, uint32_t spread, uint64_t size)
{
    char hex[2 * ENGRAM_BLOCKS + 1];
    json_t *object = json_object();
    for (size_t i = 0; i < ENGRAM_BLOCKS; i++)
        snprintf(hex + 2 * i, 3, "%02x", vector[i]);
    eg_json_put(object, "vector", json_string(hex));
    eg_json_put_number(object, "spread", spread);
    eg_json_put_number(object, "size", size);
    eg_json_put(object, "distinct_windows", json_real(engram_distinct_windows(spread)));
    return object;
}
