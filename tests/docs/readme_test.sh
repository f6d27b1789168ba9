#!/usr/bin/env bash
# The README's examples: each command in its order, and what it is shown to say. readme_test.sh ENGRAM
#
# All begins in an empty folder. A line '...' stands for any lines. Not compared are times, durations, speeds, and the ratio of
# what is on disk, which has the sources' times in it. A command fails only where the last line shown is an error's. One that goes on by itself (&, curl -N) has a minute to say what is shown.
set -uo pipefail

engram=$1
# shellcheck source=tests/docs/examples.sh
. "$(dirname "${BASH_SOURCE[0]}")/examples.sh"

# masked: what may vary becomes equal.
masked() {
  sed -E -e "s/127\.0\.0\.1:$port\b/127.0.0.1:7373/g" -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/TIME/g' \
    -e 's/\b[0-9.]+ (s|[kMG]?B\/s)\b/N \1/g' -e 's/^(on disk .*), [0-9.]+:1$/\1, N:1/'
}

# as_pattern LINES: the pattern of what is shown, in shown_pattern.
as_pattern() {
  local line
  shown_pattern=
  while [ -n "$1" ] && IFS= read -r line; do
    # shellcheck disable=SC2001 # a set of characters
    if [ "$line" = ... ]; then
      shown_pattern+='*'
    else
      shown_pattern+=$(sed 's/[][*?\\]/\\&/g' <<<"$line")$'\n'
    fi
  done < <(masked <<<"$1")
}

# is_as_shown: what was said, so far.
is_as_shown() {
  local text
  text=$(masked <"$said")
  # shellcheck disable=SC2053 # it is a pattern
  [[ ${text:+$text$'\n'} == $shown_pattern ]]
}

# check COMMAND SHOWN
check() {
  local command=${1%%  \#*} shown=$2 shown_pattern rc=0
  as_pattern "$shown"
  if [[ $command == *'&' || $command == 'curl -N'* ]]; then
    begin "${command%&}"
    wait_for_shown
  else
    run "$command" || rc=$?
    is_as_shown || wrong "$command: says something else than is shown:"
    [[ $rc -eq 0 || ${shown##*$'\n'} == 'engram: '* ]] || wrong "$command: ends with $rc"
  fi
}

wait_for_shown() {
  local i
  for ((i = 0; i < 600; i++)); do
    learn_port
    is_as_shown && return
    sleep 0.1
  done
  wrong "$command: in a minute it has not said what is shown, but this:"
}

# The two that build and test everything are only asked whether they are there.
check_script() {
  local line
  for line in "${block[@]}"; do
    case $line in
      ./quickstart\ * | ./run-tests\ *) "$root/${line%% *}" --help >/dev/null || wrong "$line: is not there" ;;
      ' '*) ;;
      *) wrong "$line: what is not a command with \$ before it is not run" ;;
    esac
  done
}

check_block() {
  local line command='' shown='' at=$line_number
  [[ ${block[0]} == '$ '* ]] || { check_script && return; }
  for line in "${block[@]}" '$ '; do
    if [[ $line == '$ '* ]]; then
      [ -z "$command" ] || check "$command" "$(printf '%s' "$shown")"
      command=${line#'$ '} shown='' line_number=$at
    else
      shown+=$line$'\n'
    fi
    at=$((at + 1))
  done
}

install_program
mkdir -p "$work/empty/datasets" && cd "$work/empty" || exit 1
printf '#!/bin/sh\nexec "%s/datasets/make" "$@"\n' "$root" >datasets/make
chmod +x datasets/make
each_block README.md check_block
[ "$run_count" -ge 25 ] || die "only $run_count commands were found"
say "ok: $run_count commands of $document"
