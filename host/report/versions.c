/* A version that can be named, as a document. */
#include "report/report.h"

json_t *eg_retained_json(const engram_retained *retained)
{
    char time[EG_TEXT_SIZE];
    json_t *object = json_object();
    eg_json_put_number(object, "version", retained->version);
    eg_json_put(object, "time", json_string(eg_text_time_ns(time, retained->time_ns)));
    eg_path_json(object, "label", eg_view_of(retained->label));
    eg_path_json(object, "snapshot", eg_view_of(retained->snapshot));
    eg_json_put(object, "newest", json_boolean(retained->newest));
    return object;
}
