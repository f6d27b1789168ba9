/* A compute device as a document tells of it. */
#include "report/report.h"

json_t *eg_device_json(const eg_device_info *info)
{
    json_t *object = json_object();
    eg_json_put(object, "spec", json_string(info->spec));
    eg_json_put(object, "backend", json_string(info->backend));
    eg_json_put(object, "name", eg_json_text(info->name, strlen(info->name)));
    eg_json_put(object, "driver", eg_json_text(info->driver, strlen(info->driver)));
    eg_json_put(object, "is_gpu", json_boolean(info->is_gpu));
    eg_json_put_number(object, "compute_units", info->compute_units);
    eg_json_put_number(object, "memory_size", info->memory_size);
    eg_json_put_number(object, "allocation_max", info->allocation_max);
    return object;
}
