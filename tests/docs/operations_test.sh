#!/usr/bin/env bash
# The commands of docs/operations.md: each does what it is for, with small things in the place of those it names.
# operations_test.sh ENGRAM
#
# Each block begins in a fresh folder with an engram, files and, if it asks one, a server. Of what is said only is looked at
# whether it is an error's.
set -uo pipefail

engram=$1
# shellcheck source=tests/docs/examples.sh
. "$(dirname "${BASH_SOURCE[0]}")/examples.sh"

# as_here COMMAND: places of a whole system become those of the block's folder, and yesterday
# a version that is there.
as_here() {
  sed -e 's| -C / | -C root |' -e 's|/backup/|backup/|' -e 's|/run/engram/|run/|' -e 's|/etc/engram/||' \
    -e "s/'3 hours ago'/before-upgrade/" -e 's/yesterday/before-upgrade/' -e 's/Last-Event-ID: 41/Last-Event-ID: 1/' <<<"$1"
}

# make_all: what blocks find, once.
make_all() {
  mkdir -p fresh/root/etc fresh/root/usr/share/doc fresh/DIR fresh/backup fresh/run fresh/home/.config/engram && cd fresh || exit 1
  export HOME=$PWD/home EDITOR='touch' ENGRAM_DIR=my.engram
  seq 1000 >root/etc/numbers
  seq 2000 >root/usr/share/doc/more
  cp root/usr/share/doc/more root/usr/share/doc/again
  cp root/etc/numbers DIR/numbers
  tar czf release.tar.gz DIR
  seq 3000 3900 >plan.txt
  seq 3001 3900 >draft.txt
  printf 'a-token-of-a-writer\n' | tee tokens >home/.config/engram/token
  printf 'a-token-of-a-reader\n' >readers
  printf 'engram = my.engram\nlisten = 127.0.0.1:0\n' >serve.ini
  expect 0 init -q
  expect 0 put -q -p team/plan.txt plan.txt
  expect 0 encode -q -C root etc usr
  expect 0 mkdir -p notes/old archive
  expect 0 put -q notes/plan.txt plan.txt
  expect 0 put -q team/draft.txt draft.txt
  expect 0 snapshot create -q before-upgrade
  unset ENGRAM_DIR
  cd ..
}

# wait_until_said PATTERN: by the command begun last.
wait_until_said() {
  local i
  for ((i = 0; i < 600; i++)); do
    grep -q "$1" "$said" && return
    kill -0 "${jobs_begun[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  wrong "$command: does not say $1"
}

# serve COMMAND: until it is ready, and to its end.
serve() {
  local rc=0
  begin "$1"
  wait_until_said ^ready
  kill "${jobs_begun[-1]}"
  wait "${jobs_begun[-1]}" || rc=$?
  unset 'jobs_begun[-1]'
  [ "$rc" -eq 0 ] || wrong "$1: ends with $rc"
}

# check COMMAND
check() {
  local command
  command=$(as_here "$1")
  case $command in
    'engram init '*) rm -rf my.engram ;;
    'engram snapshot create '*) engram snapshot delete -q -e my.engram before-upgrade ;;
    rsync*) command -v rsync >/dev/null || return ;;
  esac
  case $command in
    'engram serve '*) serve "${command%%  \#*}" ;;
    'curl -N '*)
      begin "${command%%  \#*}"
      wait_until_said '^event: start'
      ;;
    *) run "$command" || wrong "$command: ends with $?" ;;
  esac
  ! grep -qE '^engram: .*|somebody was faster' "$said" || wrong "$command: complains"
}

# check_block: a command ends with the line at which a shell has all of it.
check_block() {
  local line command='engram serve' at=$line_number
  rm -rf here && cp -a fresh here && cd here || exit 1
  if [[ ${block[*]} == *7373* && ${block[*]} != *'engram serve'* ]]; then
    begin 'engram serve -e my.engram --listen 127.0.0.1:0 --unix run/socket'
    wait_until_said ^ready
    learn_port
  fi
  command=
  for line in "${block[@]}"; do
    [ -n "$command" ] || line_number=$at
    command+=${command:+$'\n'}$line
    at=$((at + 1))
    bash -n <<<"$command" 2>/dev/null || continue
    check "$command"
    command=
  done
  [ -z "$command" ] || wrong "$command: has no end"
  end_jobs
  port=0
  unset ENGRAM_SERVER ENGRAM_TOKEN_FILE
  cd ..
}

install_program
mkdir "$work/blocks" && cd "$work/blocks" || exit 1
make_all
each_block docs/operations.md check_block
[ "$run_count" -ge 50 ] || die "only $run_count commands were found"
say "ok: $run_count commands of $document"
