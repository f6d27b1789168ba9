/* One member of an archive as an entry: its names checked, its attributes converted. */
#ifndef EG_INGEST_ARCHIVE_MEMBER_H
#define EG_INGEST_ARCHIVE_MEMBER_H

#include <archive_entry.h>

#include "ingest/source_parts.h"

/* The names as bytes, or NULL when there are none. Lent by the member. */
const char *eg_member_name(struct archive_entry *member);
const char *eg_member_link(struct archive_entry *member);

/* name as a stored path below prefix. NULL, or the reason why it cannot be stored. */
const char *eg_member_path(eg_view prefix, const char *name, eg_buffer *out);
/* 0 for a kind that cannot be stored. */
eg_inode_kind eg_member_kind(struct archive_entry *member, const char *name);
/* NULL, or the reason why it cannot be stored. inode->target is lent by the member. */
const char *eg_member_inode(struct archive_entry *member, eg_inode_kind kind, eg_inode *inode);
engram_status eg_member_attributes(struct archive_entry *member, eg_attribute_list *list,
                                   engram_error *error);

#endif
