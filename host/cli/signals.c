/* SIGINT and SIGTERM: a command that can stop tidily is asked to; asked twice, it ends at once.
 * What is on disk then is valid too: an engram survives the end of its writer at any point. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

enum { EXIT_INTERRUPTED = 130 };

atomic_bool eg_signals_cancel;
static atomic_bool deferred;

static void on_signal(int number)
{
    static const char text[] =
        "\nengram: stopping after what is at hand; once more stops at once\n";
    (void)number;
    if (!atomic_load(&deferred) || atomic_exchange(&eg_signals_cancel, true))
        _exit(EXIT_INTERRUPTED);
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
        return; /* nobody reads it */
}

void eg_signals_init(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error like others */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that may not grow */
}

void eg_signals_defer(void)
{
    atomic_store(&deferred, true);
}
