/* Messages for operators, on stderr, one line each: "engram: warning: ...". The level is set
 * once, before threads start. Library code logs only what no return value can tell. */
#ifndef EG_BASE_LOG_H
#define EG_BASE_LOG_H

typedef enum eg_log_level { EG_LOG_ERROR, EG_LOG_WARNING, EG_LOG_INFO, EG_LOG_DEBUG } eg_log_level;

void eg_log_set_level(eg_log_level level); /* default: warning */
void eg_log(eg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
