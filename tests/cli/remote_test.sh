#!/usr/bin/env bash
# The command line as a client: what a server's engram and a directory's say is the same. remote_test.sh ENGRAM GOLDEN_INPUT [TEST...]
# Each test is a function test_NAME, run in a fresh folder; all of them without arguments. Stops at the first failure.
set -uo pipefail

engram=$1
golden_input=$2
shift 2
# shellcheck source=tests/cli/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

server=
trap 'stop_server; chmod -R u+rwX "$work" 2>/dev/null; rm -rf "$work"' EXIT

stop_server() {
  [ -z "$server" ] && return
  kill "$server" 2>/dev/null
  wait "$server"
  server=
}
# start_server [ARGUMENT...]: of the engram e, at $url and at the socket s.
start_server() {
  stop_server
  rm -f said
  "$engram" serve -e e --listen 127.0.0.1:0 --unix s "$@" >said 2>log &
  server=$!
  wait_for grep -q ^ready said
  url=$(sed -n 's/^ready //p' said)
}
# far CODE ARGUMENT...: through the server.
far() {
  local code=$1
  shift
  expect "$code" "$@" --server "$url"
}
# alike CODE ARGUMENT...: both ways give that code, the same standard output, and the same as a document.
alike() {
  local code=$1 form
  shift
  for form in '' --json; do
    expect "$code" "$@" -e e $form
    cp "$work/out" near
    far "$code" "$@" $form
    cmp -s near "$work/out" || { diff near "$work/out" >"$work/err"; die "$* $form differs"; }
  done
}

# info_alike ARGUMENT...: but for how the engram was opened, which each of them did for itself.
info_alike() {
  expect 0 info -e e "$@"
  grep -v '^opening' "$work/out" >near
  far 0 info "$@"
  grep -v '^opening' "$work/out" | diff near - || die "info $* differs"
  expect 0 info -e e --json "$@"
  jq 'del(.recovery, .journal_bytes)' "$work/out" >near
  far 0 info --json "$@"
  jq 'del(.recovery, .journal_bytes)' "$work/out" | diff near - || die "info $* --json differs"
}

make_engram() {
  expect 0 init -e e
  mkdir -p in/some/deep 'in/with blank'
  random_bytes 700000 >in/big
  printf 'a\n' >in/some/a.txt
  printf 'deep' >in/some/deep/b.c
  printf '%%' >'in/with blank/100%?&#+'
  printf 'x' >in/$'not utf-8 \xff'
  ln -s some/a.txt in/link
  mkfifo in/pipe
  touch -d '2001-02-03T04:05:06.789Z' in/some/a.txt
  touch -d '1969-01-01T00:00:00Z' in/some/deep/b.c
  expect 0 encode -q -e e in
  expect 0 snapshot create -q -e e first
  printf 'other\n' >"$work/stdin"
  stdin=$work/stdin expect 0 put -q -e e in/some/a.txt
}

test_reading() {
  make_engram
  start_server
  alike 0 ls
  alike 0 ls -l
  alike 0 ls -l --at first
  alike 0 ls -l -d 1 in/some
  alike 0 ls -d 0 in/some
  alike 0 ls in/big
  alike 0 ls --print0
  alike 0 ls --glob '**/*.c'
  alike 0 ls --kind symlink --kind fifo
  alike 0 ls --size-min 1K --size-max 1M
  alike 0 ls --newer 2002-01-01
  alike 0 ls --older 2002-01-01 --kind file
  alike 0 ls --changed-after first
  alike 0 ls --changed-after 1
  alike 5 ls none
  alike 5 ls --at nowhen
  alike 2 ls --kind nothing
  alike 2 ls a/../b
  alike 0 stat in/some/a.txt in/link 'in/with blank/100%?&#+' in/$'not utf-8 \xff' in/pipe
  alike 0 stat --at first in/some/a.txt
  alike 5 stat in/some none
  alike 0 stat /
  alike 0 cat in/big
  alike 0 cat --at first in/some/a.txt
  alike 0 cat 'in/with blank/100%?&#+'
  alike 0 cat in/$'not utf-8 \xff'
  alike 5 cat none
  alike 2 cat in/some
  alike 2 cat in/link
  alike 0 get in/big
  alike 0 get -o got in/big
  same got in/big
  far 5 get -o kept none
  [ ! -e kept ] || die "get left a file of what is not there"
}

# More than a page of entries.
test_long_listing() {
  expect 0 init -e e
  mkdir in
  (cd in && seq -f 'a file with a rather long name, the %04g th' 2300 | xargs -d '\n' touch)
  expect 0 encode -q -e e in
  start_server
  alike 0 ls -l
  [ "$(wc -l <near)" -gt 2300 ] || die "not everything was listed"
}

test_putting() {
  expect 0 init -e e
  random_bytes 5000000 >big
  start_server
  far 5 put none/file big
  far 0 put -p some/big big
  far 0 get -o got some/big
  same got big
  far 0 put --json --mode 0750 some/tool big
  json '.mode == "0750" and .size == 5000000 and .path == "some/tool" and .token == "\(.inode).\(.version)"'
  local token version
  token=$(value .token)
  version=${token#*.}
  printf small >small
  stdin=small far 0 put some/small -
  far 0 cat some/small
  [ "$(<"$work/out")" = small ] || die "another content came back"
  stdin=/dev/null far 0 put --mode 600 empty
  far 0 stat --json empty
  json '.size == 0 and .mode == "0600"'
  far 4 put --expect none some/tool big
  far 4 put --expect 1.1 some/tool big
  far 4 put --expect 1 some/tool big
  far 4 put --expect 1.1 not-there big
  far 0 put --expect "$version" some/tool small
  far 4 put --expect "$token" some/tool small
  far 0 put --expect none new small
  far 2 put --durability relaxed new small
  says 'a server has its own'
  far 2 put some/ small
  far 2 put --mode 9 new small
  far 3 put new missing
  far 2 put some small
  alike 0 ls -l
}

test_names() {
  make_engram
  start_server
  far 0 mkdir one two
  prints 'two, version'
  far 4 mkdir one
  far 5 mkdir a/b/c
  far 0 mkdir --json -p --mode 0700 a/b/c
  json '.path == "a/b/c" and .mode == "0700" and .kind == "directory" and .version > 0'
  far 0 mv in/big a
  prints 'in/big -> a/big, version'
  far 0 mv in/$'not utf-8 \xff' $'a/\xfe'
  far 0 cat $'a/\xfe'
  far 5 mv none a
  far 5 mv in/some/a.txt none/
  far 4 mv --expect none in/some/a.txt a/big
  far 0 mv a elsewhere
  far 2 rm elsewhere
  says '-r removes it'
  far 5 rm in/some/a.txt none
  far 4 rm --expect 1.1 in/some/a.txt
  far 0 stat --json in/some/a.txt
  far 0 rm --expect "$(value .token)" in/some/a.txt
  alike 0 rm -r --dry-run elsewhere
  far 0 rm --json -r elsewhere in/link
  json '.removed == 6 and .version > 0'
  far 0 rm $'in/with blank/100%?&#+'
  far 2 rm --durability relaxed one
  far 2 rm ''
  alike 0 ls -l
  stop_server
  expect 0 verify -q -e e
}

test_history() {
  make_engram
  start_server
  far 0 put -q -p more/file in/some/a.txt
  far 0 put -q more/file in/big
  alike 0 log more/file
  alike 0 log in/some/a.txt
  alike 5 log none
  info_alike
  info_alike --at first -v
  alike 5 info --at never
  alike 0 snapshot list
  far 0 snapshot create second
  prints 'second: version'
  far 4 snapshot create second
  far 0 snapshot create --json --at first 'a name % with #'
  json '.name == "a name % with #" and .version > 0'
  far 2 snapshot create 17
  alike 0 snapshot list
  far 0 mv more/file more/renamed
  far 0 rm in/link
  alike 0 diff first
  alike 0 diff first second
  alike 0 diff --print0 first second more
  alike 5 diff never
  alike 2 diff ''
  alike 0 rollback --dry-run --to first
  far 0 rollback --json --to first in
  json '.changed >= 2 and .path == "in" and .to > 0 and .version > .to'
  far 0 rollback --to first more
  prints 'back at version'
  alike 0 diff first
  far 5 rollback --to never
  far 2 rollback
  alike 0 snapshot delete --dry-run first
  far 0 snapshot delete first
  far 5 snapshot delete first
  alike 0 snapshot list
  far 2 snapshot keep --last 3
  says 'snapshot keep: does not work through a server'
  far 2 info --novelty in/big
  stop_server
  expect 0 verify -q -e e
}

# But for times, and for what computed it.
query_alike() {
  local code=$1
  shift
  expect "$code" query -e e --device scalar "$@"
  cp "$work/out" near
  far "$code" query "$@"
  same near "$work/out"
  expect "$code" query -e e --device scalar --json "$@"
  jq 'del(.seconds, .device, .device_used)' "$work/out" >near
  far "$code" query --json "$@"
  jq 'del(.seconds, .device, .device_used)' "$work/out" | diff near - || die "query $* --json differs"
}

test_query() {
  make_engram
  (head -c 200000 in/big; random_bytes 50000 | tac | tac; tail -c 100000 in/big) >like
  expect 0 put -q -e e $'near \xff' like
  start_server
  query_alike 0 in/big
  query_alike 0 -v like
  query_alike 0 -v --by chunk -k 3 like
  query_alike 0 --no-rerank --min 0.01 like
  query_alike 0 --skip 1 -k 1 like
  query_alike 0 --skip 90 like
  far 0 query --skip 90 like
  says 'there are only'
  query_alike 0 --prefix in like
  query_alike 0 --at first like
  query_alike 0 in/some/a.txt
  far 0 query in/some/a.txt
  says 'under 2 KiB'
  alike 5 query --at never like
  far 2 query --via root like
  says 'a server compares all chunks'
  far 3 query none
  stdin=like far 0 query -
  prints 'near'
  : >empty
  query_alike 0 empty
}

# What a peer says that is no server of an engram, or none at all.
test_no_server() {
  make_engram
  url=http://127.0.0.1:1
  far 1 ls
  says 'cannot be reached'
  url=unix:$PWD/none
  far 1 ls
  says 'cannot be reached'
  for url in '' ftp://x 127.0.0.1:7373 http:// 'http://x/?y'; do far 2 ls; done
  start_server
  url=$url/elsewhere far 5 ls
  expect 0 ls --server "unix:$PWD/s"
  cp "$work/out" near
  far 0 ls
  same near "$work/out"
  stop_server
  far 1 cat in/big
}

test_who() {
  make_engram
  echo 0123456789abcdef0 >all
  printf '# readers\n\nfedcba9876543210f\n' >readers
  echo nobody-has-this-one >other
  start_server --token-file all --read-token-file readers
  far 12 ls
  says '--token-file'
  far 12 ls --token-file other
  far 0 ls --token-file readers
  far 12 put --token-file readers x in/big
  far 0 put --token-file all x in/big
  ENGRAM_TOKEN_FILE=readers far 0 cat in/some/a.txt
  printf '\n# none\n' >none
  far 2 ls --token-file none
  far 2 ls --token-file missing
}

# Which engram is meant, and which commands can do it.
test_where() {
  make_engram
  start_server
  ENGRAM_SERVER=$url expect 0 ls
  ENGRAM_SERVER=$url expect 0 ls -e e
  ENGRAM_DIR=e far 0 ls
  ENGRAM_SERVER=$url ENGRAM_DIR=e expect 2 ls
  says 'named twice'
  far 2 ls -e e
  ENGRAM_SERVER='' expect 0 ls -e e
  far 2 encode in
  says 'does not work through a server'
  far 2 verify
  ENGRAM_SERVER=$url expect 2 verify
  ENGRAM_SERVER=$url expect 0 verify -q -e e
  ENGRAM_SERVER=$url expect 0 devices
  far 2 devices
  expect 2 ls
  says '--server'
}

run_tests "$@"
