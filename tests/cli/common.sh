# shellcheck shell=bash
# Sourced by the tests of the program from the outside, which have set engram, and golden_input where they use it.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
skipped=${ENGRAM_TEST_SKIP:-} # names of tests, blanks between
unset "${!ENGRAM_@}"
export LC_ALL=C.UTF-8

say() { printf '%s\n' "$*"; }
# shellcheck source=scripts/compare.sh
. "$root/scripts/compare.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/engram-cli.XXXXXX") || exit 1
trap 'chmod -R u+rwX "$work" 2>/dev/null; rm -rf "$work"' EXIT

# die WHAT: with the line of the test that led here.
die() {
  local frame=1
  while [[ ${FUNCNAME[frame]:-main} != test_* && $frame -lt ${#FUNCNAME[@]} ]]; do frame=$((frame + 1)); done
  say "FAILED: ${FUNCNAME[frame]:-main}, line ${BASH_LINENO[frame - 1]}: $*"
  [ -s "$work/out" ] && say "--- standard output:" && head -c 2000 "$work/out"
  [ -s "$work/err" ] && say "--- standard error:" && head -c 2000 "$work/err"
  exit 1
}
# [stdin=FILE] expect CODE ARGUMENT...: runs engram; output goes to $work/out and $work/err.
expect() {
  local code=$1 rc=0
  shift
  "$engram" "$@" >"$work/out" 2>"$work/err" <"${stdin:-/dev/null}" || rc=$?
  [ "$rc" -eq "$code" ] || die "engram $*: exit code $rc instead of $code"
}
# says TEXT: standard error has one line with it.
says() { grep -qF -- "$1" "$work/err" || die "standard error does not say '$1'"; }
prints() { grep -qF -- "$1" "$work/out" || die "standard output does not say '$1'"; }
# json FILTER: standard output is one document for which the filter holds.
json() { jq -es "length == 1 and (.[0] | $1)" "$work/out" >/dev/null || die "not in the document: $1"; }
value() { jq -r "$1" "$work/out"; }
same() { cmp -- "$1" "$2" >&2 || die "$1 and $2 differ"; }
random_bytes() { "$golden_input" lcg "$1"; }
# wait_for COMMAND...: until it succeeds, a minute at most.
wait_for() {
  local i
  for i in $(seq 600); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  die "waited in vain for: $*"
}

# damage FILE OFFSET: flips a bit there.
damage() {
  local at=$2 byte
  byte=$(od -An -tu1 -j "$at" -N 1 "$1")
  printf '%b' "\\x$(printf %02x $((byte ^ 1)))" | dd of="$1" bs=1 seek="$at" conv=notrunc status=none
}

# run_tests [TEST...]: each in a fresh folder; all of them without arguments, but those that ENGRAM_TEST_SKIP names.
run_tests() {
  local name from
  if [ $# -eq 0 ]; then
    mapfile -t names < <(declare -F | sed -n 's/^declare -f test_//p' | grep -vxF -f <(printf '%s\n' $skipped none))
    set -- "${names[@]}"
  fi
  for name; do
    from=$EPOCHREALTIME
    mkdir "$work/$name" && cd "$work/$name" || exit 1
    rm -f "$work/out" "$work/err"
    declare -F "test_$name" >/dev/null || die "there is no test $name"
    "test_$name"
    cd "$work" && remove_tree "$work/$name"
    awk -v name="$name" -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { printf "ok %-20s %5.1f s\n", name, b - a }'
  done
}
