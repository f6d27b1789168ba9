#!/bin/bash
# surface.sh LIBRARY SOURCE_DIR: headers compile alone, symbols carry the prefix, the example runs.
set -eu
library=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for header in "$source"/include/engram/*.h; do
    name=engram/$(basename "$header")
    printf '#include "%s"\nint main(void) { return 0; }\n' "$name" > "$work/alone.c"
    cc -std=c17 -Wall -Wextra -Werror -I"$source/include" -fsyntax-only "$work/alone.c"
    clang-14 -x c++ -Wall -Wextra -Werror -I"$source/include" -fsyntax-only "$work/alone.c"
done

symbols=$(nm -D --defined-only "$library" | awk '{print $NF}' | sort)
strangers=$(printf '%s\n' "$symbols" | grep -v '^engram_' || true)
if [ -n "$strangers" ]; then
    echo "exported without the prefix:" $strangers >&2
    exit 1
fi
for declared in $(grep -hoE 'ENGRAM_API [^;]*' "$source"/include/engram/*.h | grep -oE 'engram_[a-z0-9_]+\(' | tr -d '('); do
    printf '%s\n' "$symbols" | grep -qx "$declared" || { echo "declared but not exported: $declared" >&2; exit 1; }
done

cat > "$work/example.c" <<'C'
#include <stdio.h>
#include "engram/hypervector.h"
#include "engram/version.h"
int main(void)
{
    engram_codebook codebook;
    uint8_t a[ENGRAM_BLOCKS], b[ENGRAM_BLOCKS];
    uint32_t spread;
    engram_codebook_init(&codebook, 0);
    engram_encode(&codebook, (const uint8_t *)"the quick brown fox jumps over the dog", 38, a, &spread);
    engram_encode(&codebook, (const uint8_t *)"the quick brown fox jumps over the cat", 38, b, &spread);
    engram_jaccard j = engram_jaccard_from_matches(engram_matches(a, b));
    printf("%s %.2f\n", engram_library_version(), j.value);
    return j.value > 0.5 && j.value < 1.0 ? 0 : 1;
}
C
cc -std=c17 -I"$source/include" "$work/example.c" -o "$work/example" "$library" -Wl,-rpath,"$(dirname "$library")"
cc -std=c17 -Wall -Wextra -Werror -I"$source/include" "$source/docs/example.c" -o "$work/files" "$library" \
    -Wl,-rpath,"$(dirname "$library")"
if ! ldd "$library" | grep -qE 'libasan|libtsan'; then
    "$work/example"
    "$work/files" "$work/files.engram" > "$work/out"
    printf 'the counter was 0\nM counter\n' | diff - "$work/out"
fi
echo "library surface: $(printf '%s\n' "$symbols" | wc -l) symbols"
