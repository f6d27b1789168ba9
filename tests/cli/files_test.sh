#!/usr/bin/env bash
# Files, versions and snapshots from the outside: files_test.sh ENGRAM GOLDEN_INPUT [TEST...]
# Each test is a function test_NAME, run in a fresh folder; all of them without arguments. Stops at the first failure.
set -uo pipefail

engram=$1
golden_input=$2
shift 2
# shellcheck source=tests/cli/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# put PATH TEXT [ARGUMENT...]: stores text, and leaves the document in $work/out.
put() {
  local path=$1
  printf '%s' "$2" >"$work/stdin"
  shift 2
  stdin=$work/stdin expect 0 put -e e --json "$@" "$path"
}
# holds PATH TEXT [ARGUMENT...]: the stored bytes are text.
holds() {
  local path=$1 text=$2
  shift 2
  expect 0 get -e e "$@" "$path"
  [ "$(<"$work/out")" = "$text" ] || die "$path $* holds '$(<"$work/out")' instead of '$text'"
}
# lists TEXT [ARGUMENT...]: ls prints exactly these lines.
lists() {
  local text=$1
  shift
  expect 0 ls -e e "$@"
  [ "$(<"$work/out")" = "$text" ] || die "ls $* printed something else"
}
token() { "$engram" stat -e e --json "$1" | jq -r .token; }
newest() { "$engram" info -e e --json | jq .version; }

test_put_and_get() {
  expect 10 put -e e a
  [ ! -e e ] || die "put made an engram"
  expect 0 init -e e
  random_bytes 300000 >r
  expect 0 put -e e random r
  prints 'random: 300 kB'
  expect 0 get -e e random
  same "$work/out" r
  expect 0 cat -e e random
  same "$work/out" r
  put typed 'from standard input'
  json '.path == "typed" and .kind == "file" and .size == 19 and .mode == "0644" and .chunks == 1 and
    .token == "\(.inode).\(.version)"'
  holds typed 'from standard input'
  printf dash >dash
  stdin=dash expect 0 put -e e dash -
  holds dash dash
  put typed shorter
  holds typed shorter
  put empty ''
  json '.size == 0 and .chunks == 0'
  expect 0 get -e e empty
  [ ! -s "$work/out" ] || die "an empty file is not empty"
  expect 0 get -e e -o got empty
  [ -e got ] && [ ! -s got ] || die "an empty file was not written"
  put deep/er/file x -p
  put ./deep//er/file y
  put /deep/er/file z
  lists $'dash\ndeep\ndeep/er\ndeep/er/file\nempty\nrandom\ntyped'
  holds deep/er/file z
  put run '#!/bin/sh' --mode 4755
  json '.mode == "4755"'
  put run '#!/bin/bash'
  json '.mode == "4755"'
  expect 0 verify -e e
}

# What cannot be stored changes nothing.
test_put_refuses() {
  expect 0 init -e e
  put a/file kept -p
  local before
  before=$(newest)
  expect 5 put -e e none/file
  says none
  expect 5 put -e e a/b/c
  expect 2 put -e e a
  expect 2 put -e e a/file/below
  expect 2 put -e e a/
  expect 2 put -e e ''
  expect 2 put -e e /
  expect 2 put -e e a/../b
  expect 2 put -e e "$(printf 'n%.0s' $(seq 256))"
  expect 2 put -e e b --mode 9
  expect 2 put -e e b --durability never
  expect 2 put -e e b --expect nonsense
  expect 2 put -e e
  expect 2 put -e e b /etc/passwd c
  expect 3 put -e e b missing
  says missing
  expect 3 put -e e b .
  says 'engram encode'
  "$engram" put -e e b <&- >"$work/out" 2>"$work/err" && die "a closed standard input was stored"
  [ "$(newest)" = "$before" ] || die "something was committed"
  lists $'a\na/file'
}

test_get_output() {
  expect 0 init -e e
  put a content --mode 0750
  expect 0 get -e e -o out a
  [ "$(<out)" = content ] || die "get -o wrote something else"
  (umask 077 && "$engram" get -q -e e -o masked a)
  [ "$(stat -c %a masked)" = 700 ] || die "get -o gave $(stat -c %a masked)"
  printf old >out
  ln -s out link
  expect 0 get -e e --json -o link a
  json '.output == "link" and .path == "a" and .size == 7'
  [ -L link ] && [ "$(<out)" = content ] || die "get -o replaced a link, not the file behind it"
  mkfifo pipe
  cat pipe >taken &
  expect 0 get -e e -o pipe a
  wait $!
  [ "$(<taken)" = content ] && [ -p pipe ] || die "get -o did not write into a pipe"
  expect 0 get -e e -o /dev/null a
  [ -c /dev/null ] || die "/dev/null is gone"
  expect 0 get -e e -o - a
  [ "$(<"$work/out")" = content ] || die "get -o - did not print"
  mkdir dir
  expect 2 get -e e -o dir a
  expect 2 get -e e -o '' a
  expect 2 get -e e -o e/MANIFEST.json a
  expect 2 get -e e -o e/new a
  expect 1 get -e e -o none/out a
  expect 5 get -e e -o new none
  [ ! -e new ] || die "a file was made for nothing"
  expect 2 get -e e -o new ''
  expect 0 mkdir -e e d
  expect 2 get -e e d
  says directory
  [ -z "$(find . -name '.engram-*')" ] || die "a temporary file was left behind"
}

# The damage lies behind the first piece that is written.
test_get_damaged() {
  expect 0 init -e e
  random_bytes 4000000 >r
  expect 0 put -e e r r
  printf good >out
  local segment
  segment=(e/segments/*)
  damage "${segment[0]}" 3500000
  expect 13 get -e e -o out r
  [ "$(<out)" = good ] || die "a good file was replaced by a damaged one"
  [ -z "$(find . -name '.engram-*')" ] || die "a temporary file was left behind"
  expect 13 verify -e e --at "$(newest)" --json
  json '.problem_count == 1 and (.problems[0] | startswith("r: ")) and .files == 1'
}

test_large_stream() {
  expect 0 init -e e --chunk cdc:65536 --level 1
  "$golden_input" lcg 150000000 | tee >(sha256sum >sum) | "$engram" put -q -e e --memory 96M big || die "put"
  "$engram" get -e e big | sha256sum | cmp - sum || die "a large stream came back differently"
  expect 0 stat -e e --json big
  json '.size == 150000000 and .chunks > 500'
}

test_expect() {
  expect 0 init -e e
  put a one --expect none
  local first second
  first=$(value .token)
  put a two --expect "$first"
  second=$(value .token)
  [ "$first" != "$second" ] || die "a token came again"
  printf other >other
  expect 4 put -e e --expect "$first" a other
  says "${first#*.}"
  says "${second#*.}"
  expect 4 put -e e --expect "$first" --json a other
  json '.error.status == "conflict" and .error.exit_code == 4'
  expect 4 put -e e --expect none a other
  expect 4 put -e e --expect 1.1 a other
  expect 4 put -e e --expect "$first" new other
  expect 4 rm -e e --expect "$first" a
  holds a two
  [ "$(token a)" = "$second" ] || die "a conflict changed the file"
  put a three --expect "${second#*.}"
  put b b
  expect 4 mv -e e --expect none b a
  expect 4 mv -e e --expect "$second" b a
  holds a three
  holds b b
  expect 0 mv -e e --expect "$(token a)" b a
  holds a b
  expect 4 rm -e e --expect none a
  expect 0 rm -e e --expect "$(token a)" a
  expect 5 rm -e e a
  put a again
  [ "$(token a)" != "$first" ] || die "a token came again after a removal"
  expect 2 put -e e --expect 1.2.3 a other
  expect 2 put -e e --expect '' a other
  expect 2 put -e e --expect -1 a other
  put c c
  expect 2 rm -e e --expect "$(token a)" a c
}

# A conflict is told before a byte of a stream is waited for.
test_expect_early() {
  expect 0 init -e e
  put a one
  mkfifo pipe
  exec 5<>pipe
  local code=0
  timeout 20 "$engram" put -e e --expect none a <pipe >"$work/out" 2>"$work/err" || code=$?
  exec 5>&-
  [ "$code" -eq 4 ] || die "exit code $code instead of 4"
}

test_remove() {
  expect 0 init -e e
  put d/one 1 -p
  put d/two 2
  put d/sub/three 3 -p
  put e 4
  expect 2 rm -e e d
  says '-r'
  expect 0 rm -e e -r --dry-run d e
  [ "$(<"$work/out")" = $'d\nd/one\nd/sub\nd/sub/three\nd/two\ne' ] || die "--dry-run printed something else"
  expect 0 rm -e e -r --dry-run --json d e
  json '[.would_remove[].path] == ["d", "d/one", "d/sub", "d/sub/three", "d/two", "e"] and .removed == 0'
  expect 2 rm -e e --dry-run d
  expect 5 rm -e e --dry-run none
  expect 5 rm -e e e none
  says none
  expect 2 rm -e e -r ''
  expect 2 rm -e e -r .
  lists $'d\nd/one\nd/sub\nd/sub/three\nd/two\ne'
  expect 0 rm -e e d/one d/two
  lists $'d\nd/sub\nd/sub/three\ne'
  expect 0 rm -e e -r --json d
  json '.removed == 3 and (.version | type == "number")'
  lists e
  put again/x y -p
  expect 0 rm -e e -r /
  lists ''
  expect 0 verify -e e
}

test_move() {
  expect 0 init -e e
  put a one
  put d/x two -p
  expect 0 mv -e e a b
  prints 'a -> b'
  expect 0 mv -e e --json b d
  json '.from == "b" and .path == "d/b" and (.token | startswith("2.")) and .version > 2'
  expect 0 mv -e e d/b d/x
  holds d/x one
  expect 0 mv -e e d new
  lists $'new\nnew/x'
  expect 0 mkdir -e e dirs
  expect 0 mv -e e new/ dirs/
  lists $'dirs\ndirs/new\ndirs/new/x'
  holds dirs/new/x one
  local before
  before=$(newest)
  expect 2 mv -e e dirs dirs/new
  expect 5 mv -e e none other
  expect 5 mv -e e dirs/new/x none/y
  expect 5 mv -e e dirs/new/x none/
  put f file
  expect 2 mv -e e dirs/new/x f/
  expect 2 mv -e e dirs f
  expect 2 mv -e e / f
  expect 0 mv -e e f f
  holds f file
  lists $'dirs\ndirs/new\ndirs/new/x\nf'
  expect 0 verify -e e
}

# Two names of one file: the first one goes, as with mv.
test_move_link() {
  mkdir in
  printf x >in/a
  ln in/a in/b
  expect 0 encode -e e in
  expect 0 mv -e e in/a in/b
  lists $'in\nin/b'
  holds in/b x
  expect 0 verify -e e
}

test_mkdir() {
  expect 0 init -e e
  expect 0 mkdir -e e a a/b c
  expect 0 mkdir -e e -p --mode 0700 x/y/z a
  expect 0 stat -e e --json x/y/z
  json '.kind == "directory" and .mode == "0700"'
  expect 4 mkdir -e e new a
  lists $'a\na/b\nc\nx\nx/y\nx/y/z'
  expect 5 mkdir -e e n/o
  put file x
  expect 4 mkdir -e e -p file/d
  expect 4 mkdir -e e file
  expect 0 mkdir -e e --json one
  json '.path == "one" and .kind == "directory" and (.version | type == "number") and (.entries | length == 1)'
}

test_stat() {
  expect 0 init -e e
  mkdir in
  ln -s target in/link
  printf x >in/x
  ln in/x in/y
  expect 0 encode -e e in
  expect 0 stat -e e --json in/x
  json '([.size, .inode, .version, .chunks, .links, .uid, .gid, .created_version] | all(type == "number")) and
    ([.path, .kind, .mode, .mtime, .created, .modified, .token] | all(type == "string")) and .links == 2'
  json '(.entries | length == 1) and .entries[0].token == .token and (.created | test("^20..-..-..T.*Z$"))'
  expect 0 stat -e e in/x
  prints "$(token in/x)"
  expect 0 stat -e e --json in/link in /
  json '[.entries[].kind] == ["symlink", "directory", "directory"] and .entries[0].target == "target" and (has("token") | not)'
  expect 0 stat -e e in/link
  prints 'symlink -> target'
  expect 5 stat -e e in/x none in/y gone
  prints in/y
  says none
  says gone
  expect 5 stat -e e --json in/x none
  json '(.entries | length == 1) and .error.exit_code == 5'
}

test_list_filter() {
  expect 0 init -e e
  mkdir -p in/sub
  printf 1 >in/a.c
  random_bytes 5000 >in/b.c
  random_bytes 9000 >in/sub/c.c
  printf 2 >in/sub/d.h
  ln -s a.c in/link
  touch -d '2001-01-01T00:00:00Z' in/a.c
  touch -d '2011-01-01T00:00:00.5Z' in/b.c
  expect 0 encode -e e in
  lists $'in/a.c\nin/b.c' --glob '*.c' in
  lists $'in/a.c\nin/b.c\nin/sub/c.c' --glob '**/*.c'
  lists $'in/sub/c.c' --glob '?.c' in/sub
  lists $'in\nin/sub' --kind directory
  lists $'in\nin/link\nin/sub' --kind directory --kind symlink
  lists $'in/b.c\nin/sub/c.c' --kind file --size-min 2
  lists $'in/b.c' --kind file --size-min 2 --size-max 5000
  lists $'in/a.c' --older 2005-01-01 --kind file
  lists $'in/b.c' --newer 2005-01-01 --older 2011-01-01T00:00:01Z --kind file
  lists '' --newer 2011-01-01T00:00:01Z --older 2015-01-01
  local before
  before=$(newest)
  put in/new new
  lists 'in/new' --changed-after "$before" --kind file
  expect 0 snapshot create -e e here
  lists '' --changed-after here
  expect 0 ls -e e --json --glob 'in/sub/*'
  json '[.entries[].path] == ["in/sub/c.c", "in/sub/d.h"] and (.entries[0].token | type == "string")'
  lists 'in/a.c' in/a.c
  lists 'in/sub' -d 0 in/sub
  lists 'in' -d 1
  lists $'in/sub/c.c\nin/sub/d.h' in/sub/
  expect 2 ls -e e --kind nonsense
  expect 2 ls -e e --newer whenever
  expect 2 ls -e e --size-min big
  expect 5 ls -e e none
}

test_at() {
  expect 0 init -e e
  put a one
  local one two three time
  one=$(value .version)
  expect 0 snapshot create -e e --at "$one" first
  put b x
  two=$(value .version)
  sleep 1.1
  put a three
  three=$(value .version)
  holds a one --at "$one"
  holds a one --at "$two"
  holds a three --at "$three"
  holds a one --at first
  expect 0 info -e e --json
  time=$(value ".versions[] | select(.version == $two).time")
  holds a one --at "$time"
  holds a three --at "$(date -u +%Y-%m-%dT%H:%M:%SZ -d '+1 minute')"
  expect 0 cat -e e --at first a
  [ "$(<"$work/out")" = one ] || die "cat --at"
  lists a --at first
  lists $'a\nb' --at "$two"
  expect 0 stat -e e --at first --json a
  json ".version == $one and .at_version == $one and .size == 3"
  expect 0 extract -e e --at first -o out
  [ "$(ls out)" = a ] && [ "$(<out/a)" = one ] || die "extract --at"
  expect 0 info -e e --at first --json
  json ".version == $one and .files == 1"
  expect 0 verify -e e --at first --json
  json ".version == $one and .files == 1 and .problem_count == 0 and .bytes_verified == 3"
  expect 2 verify -e e --at first --subset 5%
  random_bytes 100000 >r
  expect 0 put -e e r r
  expect 0 query -e e --json r
  json '.hits[0].path == "r"'
  expect 0 query -e e --json --at first r
  json ".hits == [] and .version == $one"
  local command
  for command in ls 'cat a' 'get a' 'stat a' 'extract -o out2' 'query r' info verify 'copy c'; do
    # shellcheck disable=SC2086
    expect 5 $command -e e --at 99999
    # shellcheck disable=SC2086
    expect 5 $command -e e --at no-such-snapshot
    # shellcheck disable=SC2086
    expect 5 $command -e e --at 1999-01-01
  done
  [ ! -e c ] && [ ! -e out2 ] || die "something was made for a version that is not there"
  ENGRAM_AT=first expect 0 cat -e e a
  [ "$(<"$work/out")" = one ] || die "ENGRAM_AT"
}

# What is not retained is not there, and the versions beside it are named.
test_missing_version() {
  expect 0 init -e e
  expect 0 snapshot keep -e e --every 0
  local i
  for i in 1 2 3 4 5 6; do
    put a "$i"
    [ "$i" -ne 2 ] || expect 0 snapshot create -e e low
  done
  expect 0 snapshot list -e e --json
  local low high
  low=$(value '.snapshots[0].version')
  high=$(newest)
  expect 0 checkpoint -e e
  expect 0 info -e e --json
  json "[.versions[].version] == [$low, $high]"
  expect 5 get -e e --at $((low + 1)) a
  says "$low"
  says "$high"
  holds a 2 --at "$low"
  expect 0 verify -e e
}

test_log() {
  expect 0 init -e e
  put a one
  put b other
  put a three
  local three
  three=$(value .version)
  expect 0 rm -e e a
  put a again
  expect 0 log -e e --json a
  json '.path == "a" and [.entries[].present] == [true, false, true, true, false] or [.entries[].present] == [true, false, true, true]'
  json '[.entries[].version_seen] == ([.entries[].version_seen] | sort | reverse)'
  json '[.entries[] | select(.present).size] == [5, 5, 3]'
  json "any(.entries[]; .version_seen == $three and .version == $three)"
  json '[.entries[].time] | all(type == "string")'
  expect 0 log -e e a
  prints 'not there'
  expect 0 rm -e e a
  expect 0 log -e e a
  expect 5 log -e e never
  expect 5 log -e e --json never
  json '.error.exit_code == 5'
}

test_diff() {
  expect 0 init -e e
  put same same
  put changed before
  put mode x
  put gone x
  put d/old name -p
  local from
  from=$(newest)
  put changed after
  put mode x --mode 0600
  put added new
  expect 0 rm -e e gone
  expect 0 mv -e e d/old d/new
  expect 0 diff -e e "$from"
  sort "$work/out" >lines
  printf 'A\tadded\nD\tgone\nM\tchanged\nR\td/old\td/new\nT\tmode\n' | cmp - lines >&2 || die "diff printed something else"
  expect 0 diff -e e "$from" --json
  json "([.changes[].letter] | sort) == [\"A\", \"D\", \"M\", \"R\", \"T\"] and .from == $from and .change_count == 5"
  json 'any(.changes[]; .change == "renamed" and .old_path == "d/old" and .path == "d/new" and .before.token == .after.token
    or .change == "renamed")'
  json 'any(.changes[]; .path == "added" and (has("before") | not) and .after.size == 3)'
  expect 0 diff -e e "$(newest)" "$from"
  grep -qx $'A\tgone' "$work/out" || die "diff backwards"
  expect 0 diff -e e "$from" '' d
  [ "$(<"$work/out")" = $'R\td/old\td/new' ] || die "diff below a prefix"
  expect 0 diff -e e "$from" "$from"
  [ ! -s "$work/out" ] || die "a version differs from itself"
  expect 0 diff -e e -0 "$from" '' changed
  [ "$(tr '\0' '|' <"$work/out")" = 'M|changed|' ] || die "diff --print0"
  expect 5 diff -e e 99999
  expect 5 diff -e e "$from" nothing
  expect 2 diff -e e ''
}

test_rollback() {
  local at
  expect 0 init -e e
  put a one
  put d/x here -p
  expect 0 snapshot create -e e good
  local good
  good=$(newest)
  put a two
  put new new
  expect 0 rm -e e -r d
  expect 0 rollback -e e --to good --dry-run
  sort "$work/out" >lines
  printf 'A\td\nA\td/x\nD\tnew\nM\ta\n' | cmp - lines >&2 || die "rollback --dry-run printed something else"
  holds a two
  expect 0 rollback -e e --to good d --json
  json ".to == $good and .version > $good and .path == \"d\" and .changed >= 2"
  holds d/x here
  holds a two
  local between
  between=$(newest)
  expect 0 rollback -e e --to "$good"
  lists $'a\nd\nd/x'
  holds a one
  for at in good "$(newest)"; do
    expect 0 ls -e e --json --at "$at"
    value '.entries[] | [.path, .kind, .size, .mode, .mtime, .uid, .gid]' >"state-$at"
  done
  same state-good "state-$at"
  expect 0 diff -e e good
  [ ! -s "$work/out" ] || die "a rollback left differences"
  holds a two --at "$between"
  expect 0 rollback -e e --to "$between"
  holds new new
  expect 0 snapshot list -e e --json
  json '.snapshots[0].name == "good"'
  expect 2 rollback -e e
  expect 5 rollback -e e --to 99999
  expect 5 rollback -e e --to good none
  expect 0 verify -e e
}

test_snapshots() {
  expect 0 init -e e
  expect 0 snapshot list -e e --json
  json '.snapshots == []'
  put a one
  local one
  one=$(value .version)
  put a two
  expect 0 snapshot create -e e --json two
  json '.name == "two" and (.version | type == "number")'
  expect 0 snapshot create -e e --at "$one" 'the first one'
  expect 4 snapshot create -e e two
  expect 0 snapshot list -e e --json
  json '(.snapshots | length == 2) and ([.snapshots[].time] | all(type == "string"))'
  json "any(.snapshots[]; .name == \"the first one\" and .version == $one)"
  expect 0 snapshot list -e e
  prints 'the first one'
  holds a one --at 'the first one'
  expect 0 info -e e --json
  json "any(.versions[]; .version == $one and .snapshot == \"the first one\")"
  expect 0 snapshot delete -e e --dry-run two
  expect 0 snapshot list -e e --json
  json '.snapshots | length == 2'
  expect 0 snapshot delete -e e two --json
  json '.deleted and .name == "two"'
  expect 5 snapshot delete -e e two
  expect 5 snapshot delete -e e --dry-run two
  expect 5 get -e e --at two a
  holds a two
  local name
  for name in '' 17 2026-01-01 yesterday '3 hours ago' a/b "$(printf 'n%.0s' $(seq 256))"; do
    expect 2 snapshot create -e e "$name"
  done
  expect 5 snapshot create -e e --at 99999 x
  expect 2 snapshot -e e
  expect 2 snapshot -e e nonsense
  expect 2 snapshot -e e create
  expect 2 snapshot -e e create a b
  expect 2 snapshot -e e list x
  expect 2 snapshot -e e create x --last 3
  expect 2 snapshot -e e list --at 3
  expect 0 snapshot create -e e $'odd\n\xff'
  expect 0 snapshot list -e e --json
  json 'any(.snapshots[]; .name_base64 == "b2RkCv8=")'
}

test_retention() {
  expect 0 init -e e
  expect 0 snapshot keep -e e --json
  json '.retention.every_seconds == 3600 and .retention.daily == 0 and .changed == false'
  expect 0 snapshot keep -e e
  prints '1h'
  expect 0 snapshot keep -e e --every 0 --last 2 --daily 7 --json
  json '.changed and .retention == {every_seconds: 0, last: 2, hourly: 0, daily: 7, weekly: 0, monthly: 0, yearly: 0, runs: null}'
  expect 0 snapshot keep -e e --weekly 4 --dry-run
  expect 0 snapshot keep -e e --json
  json '.retention.last == 2 and .retention.daily == 7 and .retention.weekly == 0'
  expect 0 snapshot keep -e e --daily 0
  local i
  for i in 1 2 3 4 5; do put a "$i"; done
  expect 0 checkpoint -e e
  expect 0 info -e e --json
  json '(.versions | length == 2) and .retention.last == 2 and .versions[-1].newest'
  holds a 4 --at "$(value '.versions[0].version')"
  expect 2 snapshot keep -e e --every soon
  expect 2 snapshot keep -e e --last -1
  expect 2 snapshot keep -e e --last 99999999999
  expect 0 verify -e e
}

# What was removed returns its space; what a kept version needs stays.
test_gc() {
  expect 0 init -e e
  expect 0 snapshot keep -e e --every 0
  local i
  for i in 1 2 3 4; do
    random_bytes $((200000 + i)) >"r$i"
    expect 0 put -e e "r$i" "r$i"
  done
  expect 0 rm -e e r2 r3
  expect 0 encode -e e r1
  expect 0 gc -e e --dry-run --json
  json '.dry_run and .chunks_garbage > 0 and .chunks_dropped == 0 and .bytes_after < .bytes_before'
  expect 0 info -e e --json
  json '.garbage.bytes > 390000 and .garbage.bytes_gc > 390000 and .levels[0].level == 0'
  local before
  before=$(du -sb e | cut -f 1)
  expect 0 gc -e e --json
  json '.chunks_dropped > 0 and .chunks_dropped == .chunks_garbage and .bytes_on_disk < .bytes_on_disk_before'
  [ "$(du -sb e | cut -f 1)" -lt $((before - 390000)) ] || die "gc returned too little"
  expect 0 compact -e e
  prints 'became 1'
  expect 0 info -e e --json
  json '.garbage.chunks == 0 and .levels == [{level: 1, segments: 1}] and .segments == 1'
  expect 0 cat -e e r4
  same "$work/out" r4
  expect 0 snapshot create -e e kept
  expect 0 rm -e e r4
  expect 0 gc -e e --json
  json '.chunks_garbage == 0'
  expect 0 cat -e e --at kept r4
  same "$work/out" r4
  expect 0 snapshot delete -e e kept
  expect 0 gc -e e --json # the run of encode has it still
  json '.chunks_garbage == 0'
  expect 0 snapshot keep -e e --runs 0
  expect 0 gc -e e
  expect 0 compact -e e --rate 100M --garbage 1% --json
  json '.chunks_garbage == 0'
  expect 0 cat -e e r1
  same "$work/out" r1
  expect 0 verify -e e
  # Versions age though nobody commits.
  expect 0 snapshot keep -e e --every 1h
  random_bytes 150000 >r5
  expect 0 put -e e r5 r5
  expect 0 put -e e r5 r1
  expect 0 snapshot keep -e e --every 1s
  sleep 1.5
  expect 0 gc -e e --json
  json '.chunks_dropped > 0 and .chunks_dropped == .chunks_garbage'
  expect 2 snapshot keep -e e --runs some
  expect 0 snapshot keep -e e --runs all --json
  json '.retention.runs == null'
}

# A copy that is cut off is no engram: nobody takes it for a backup.
test_copy_cut_off() {
  expect 0 init -e e
  random_bytes 20000000 >r
  expect 0 put -e e r r
  (ulimit -f 10000 && exec "$engram" copy -q -e e c) 2>copy-errors && die "there is no limit to files"
  expect 10 verify -e c
  expect 4 copy -e e c
  says 'c.part is there'
  rm -r c.part
  mkdir c
  expect 0 copy -e e c/
  [ ! -e c.part ] || die "c.part is left"
  expect 0 cat -e c r
  same "$work/out" r
  expect 2 copy -e e --at '' d
  says '--at is empty'
  rm c/MANIFEST.json
  expect 10 ls -e c
  says 'verify --repair -e c'
}

# Deltas stay deltas where their bases are copied too.
test_copy_of_deltas() {
  expect 0 init -e e
  mkdir in && seq 200000 >in/a && sed 's/777/778/' in/a >in/b && sed 's/778/7790/' in/b >in/c
  expect 0 encode -e e in/a in/b in/c
  expect 0 copy -e e c
  expect 0 info -e e --json
  local deltas
  deltas=$(jq .corrections.delta.chunks "$work/out")
  [ "$deltas" -gt 10 ] || die "there are few deltas: $deltas"
  expect 0 info -e c --json
  json ".corrections.delta.chunks == $deltas"
  expect 0 verify -e c
  expect 0 rm -e e in/a
  expect 0 copy -e e d
  expect 0 verify -e d
  expect 0 cat -e d in/b
  same "$work/out" in/b
}

# Asked to stop, compaction stops in good order, and says so. (--foreground: asked once, not with its group once more.)
test_compaction_is_cancelled() {
  expect 0 init -e e
  random_bytes 6000000 >r && expect 0 put -e e r r && random_bytes 3000000 >s && expect 0 put -e e s s
  expect 0 rm -e e r
  expect 0 snapshot keep -e e --every 0 --last 1
  timeout --foreground --preserve-status -s INT 1 "$engram" compact -e e --rate 500K --json >"$work/out" 2>"$work/err"
  [ $? -eq 130 ] || die "it did not end with 130"
  json '.error.status == "cancelled" and .error.exit_code == 130'
  [ "$(du -sb e | cut -f 1)" -lt 10000000 ] || die "something is left: $(du -ab e)"
  expect 0 verify -e e
  expect 0 gc -e e --garbage 0 --json
  json '.chunks_dropped == .chunks_garbage and .chunks_dropped > 0'
  expect 0 cat -e e s
  same "$work/out" s
}

test_copy() {
  expect 0 init -e e
  random_bytes 500000 >r
  expect 0 put -e e r r
  put a one
  expect 0 snapshot create -e e one
  put a two
  mkfifo pipe
  "$engram" put -q -e e held <pipe 2>writer-errors &
  local writer=$! code=0
  exec 5>pipe
  wait_for grep -qx "$writer" e/LOCK
  expect 0 copy -e e new
  expect 0 copy -e e --at one --json old
  json '(.version | type == "number") and .copy == "old"'
  exec 5>&-
  wait "$writer" || code=$?
  [ "$code" -eq 0 ] || die "the writer beside ended with $code: $(<writer-errors)"
  expect 0 verify -e new
  expect 0 verify -e old
  expect 0 cat -e new a
  [ "$(<"$work/out")" = two ] || die "the copy holds something else"
  expect 0 cat -e old a
  [ "$(<"$work/out")" = one ] || die "the copy of a snapshot holds something else"
  expect 0 cat -e new r
  same "$work/out" r
  printf more >more
  expect 0 put -e new more more
  expect 0 info -e old --json
  json '.versions | length == 1'
  expect 4 copy -e e new
  mkdir full && : >full/file
  expect 2 copy -e e full
  [ "$(ls full)" = file ] || die "a folder that is not empty was written to"
  expect 2 copy -e e e
  expect 2 copy -e e e/inside
  [ ! -e e/inside ] || die "a copy lies in its engram"
}

test_odd_names() {
  expect 0 init -e e
  local name
  for name in $'new\nline' $'not-utf8-\xff\xfe' $'\033[2J' ' ' '-' '--help' $'tab\t' '*' "$(printf 'n%.0s' $(seq 255))"; do
    printf '%s' "$name" >"$work/stdin"
    stdin=$work/stdin expect 0 put -e e -- "$name"
    expect 0 get -e e -- "$name"
    printf '%s' "$name" | cmp - "$work/out" || die "another content under an odd name"
    expect 0 stat -e e --json -- "$name"
    expect 0 log -e e -- "$name"
    [ ${#name} -ge 255 ] && continue
    expect 0 mv -e e -- "$name" "d$name"
    expect 0 mv -e e -- "d$name" "$name"
  done
  expect 0 stat -e e --json $'not-utf8-\xff\xfe'
  json '.path_base64 == "bm90LXV0Zjgt//4="'
  script -qec "'$engram' stat -e e $'\\033[2J'" /dev/null </dev/null >"$work/out" 2>/dev/null || return 0
  prints '\033[2J'
}

test_two_writers() {
  expect 0 init -e e
  put a one
  mkfifo pipe
  "$engram" put -q -e e held <pipe 2>writer-errors &
  local writer=$! code=0 command
  exec 5>pipe
  printf 'the beginning, ' >&5
  wait_for grep -qx "$writer" e/LOCK
  for command in 'put a' 'rm a' 'mv a b' 'mkdir d' 'snapshot create s' 'snapshot keep --last 3' 'rollback --to 1' checkpoint gc compact; do
    # shellcheck disable=SC2086
    expect 11 $command -e e
    says "$writer"
  done
  for command in ls 'get a' 'stat a' 'log a' 'snapshot list' 'snapshot keep' info 'rm --dry-run a' 'gc --dry-run' verify; do
    # shellcheck disable=SC2086
    expect 0 $command -e e
  done
  expect 5 get -e e held
  printf 'the end' >&5
  exec 5>&-
  wait "$writer" || code=$?
  [ "$code" -eq 0 ] || die "the writer ended with $code: $(<writer-errors)"
  holds held 'the beginning, the end'
}

test_interrupted_put() {
  expect 0 init -e e
  put a one
  mkfifo pipe
  local signal code writer
  for signal in INT TERM KILL; do
    "$engram" put -q -e e a <pipe 2>"$work/err" &
    writer=$! code=0
    exec 5>pipe
    random_bytes 3000000 >&5
    wait_for grep -qx "$writer" e/LOCK
    kill "-$signal" "$writer"
    wait "$writer" 2>/dev/null || code=$?
    exec 5>&-
    [ "$signal" = KILL ] || [ "$code" -eq 130 ] || die "exit code $code after $signal"
    holds a one
    expect 0 verify -e e
  done
  put a two
  holds a two
}

# One process after the other, on one file: each that succeeds saw the one before.
test_optimistic_counter() {
  expect 0 init -e e
  put n 0
  count() {
    local i n token code document
    for i in 1 2 3 4 5; do
      until document=$("$engram" stat -e e --json n) && token=$(jq -r .token <<<"$document") &&
        n=$("$engram" get -e e --at "$(jq -r .at_version <<<"$document")" n) &&
        printf '%d' $((n + 1)) | "$engram" put -q -e e --expect "$token" n 2>/dev/null; do
        :
      done
    done
  }
  count &
  local one=$!
  count &
  local two=$!
  count
  wait $one $two
  holds n 15
}

test_durability() {
  expect 0 init -e e
  local how
  for how in group immediate relaxed; do
    put "$how" "$how" --durability "$how"
    holds "$how" "$how"
  done
  ENGRAM_DURABILITY=immediate expect 0 mkdir -e e d
  expect 0 rm -e e --durability relaxed group
  lists $'d\nimmediate\nrelaxed'
  expect 0 checkpoint -e e --json
  json '([.version, .journal_bytes, .journal_bytes_before] | all(type == "number"))'
  holds relaxed relaxed
}

test_mixed_with_encode() {
  mkdir in
  printf encoded >in/a
  expect 0 encode -e e in --label run
  put in/a 'put over it'
  expect 0 encode -e e in --json
  holds in/a encoded
  put in/b new
  expect 0 encode -e e --mirror in
  lists $'in\nin/a'
  holds in/a encoded --at 1 2>/dev/null || true
  expect 0 diff -e e "$("$engram" info -e e --json | jq '.versions[] | select(.label == "run").version')"
  expect 0 verify -e e
}

test_repair() {
  expect 0 init -e e
  random_bytes 400000 >r
  expect 0 put -e e kept r
  put other small
  expect 0 verify -e e --repair
  prints 'nothing to repair'
  expect 2 verify -e e --dry-run
  expect 2 verify -e e --repair --subset 5%
  cp e/MANIFEST.json manifest
  rm e/MANIFEST.json
  expect 10 ls -e e
  expect 0 verify -e e --repair --dry-run --json
  json '.needed and .dry_run and (.steps | length) > 0'
  [ ! -e e/MANIFEST.json ] || die "a dry run wrote"
  expect 0 verify -e e --repair --json
  json '.needed and (.dry_run | not) and .files_damaged == 0'
  expect 0 get -e e kept
  same "$work/out" r
  holds other small
  expect 0 verify -e e
  # A chunk that is lost is told, and never presented as something else.
  printf 'XXXXXXXX' | dd of=e/segments/00000001.seg bs=1 seek=20000 conv=notrunc status=none
  expect 13 verify -e e
  expect 13 verify -e e --repair --json
  json '.needed and .files_damaged == 1 and (.lost | length) > 0 and (.quarantine | length) > 0'
  expect 13 get -e e kept
  holds other small
  # Nothing of any segment is left.
  rm e/segments/*.seg
  expect 13 verify -e e --repair --json
  json '.needed and .files_damaged == 2'
  expect 13 verify -e e --repair --json
  json '(.needed | not) and (.lost | length) > 0'
  put other again
  holds other again
  # The names are gone with the only copy of the tree.
  : >e/tree/00000001.nodes
  expect 13 verify -e e --repair
  prints 'are lost; how many cannot be told'
  expect 0 verify -e e
}

run_tests "$@"
