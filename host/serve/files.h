/* What the files about files share. */
#ifndef EG_SERVE_FILES_H
#define EG_SERVE_FILES_H

#include "serve/http.h"

/* files_list.c: what lies below a directory, a page of it. */
#define EG_FILES_LIST_PARAMETERS "at prefix glob kind size_min size_max newer older changed_after depth limit after"
engram_status eg_files_list(const eg_request *request, eg_reply *reply, engram_view *view, const char *prefix, engram_error *error);

/* files_write.c */
engram_status eg_files_put_begin(eg_request *request, eg_reply *reply, engram_error *error);
engram_status eg_files_put_take(eg_request *request, const void *bytes, size_t size, engram_error *error);
engram_status eg_files_put(eg_request *request, eg_reply *reply, engram_error *error);
void eg_files_put_done(eg_request *request);
engram_status eg_files_delete(eg_request *request, eg_reply *reply, engram_error *error);

#endif
