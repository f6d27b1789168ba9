/* golden_input NAME SIZE: the input of that name in tests/golden/hypervectors.txt, on standard
 * output. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog. ";
    if (argc != 3) {
        fputs("usage: golden_input zeros|ramp|text|lcg SIZE\n", stderr);
        return 2;
    }
    const char *name = argv[1];
    uint64_t size = strtoull(argv[2], NULL, 10), x = size;
    for (uint64_t i = 0; i < size; i++) {
        int byte = 0;
        if (strcmp(name, "ramp") == 0)
            byte = (int)(i % 256);
        if (strcmp(name, "text") == 0)
            byte = text[i % (sizeof text - 1)];
        if (strcmp(name, "lcg") == 0) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            byte = (int)(x >> 56);
        }
        putchar(byte);
    }
    return fflush(stdout) != 0;
}
