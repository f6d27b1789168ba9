#!/usr/bin/env bash
# The program from the outside: cli_test.sh ENGRAM GOLDEN_INPUT NEWER_MANIFEST [TEST...]
# Each test is a function test_NAME, run in a fresh folder; all of them without arguments. Stops at the first failure.
set -uo pipefail

engram=$1
golden_input=$2
newer_manifest=$3
shift 3
# shellcheck source=tests/cli/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
golden=$root/tests/golden/hypervectors.txt

make_odd_tree() {
  mkdir -p in/empty in/deep/a/b/c "in/with spaces"
  : >in/nothing
  printf x >in/one
  random_bytes 3000000 >in/random
  "$golden_input" text 500000 >in/text
  "$golden_input" zeros 300000 >in/zeros
  truncate -s 5000000 in/holes
  printf 'a name\n' >$'in/new\nline'
  printf 'bytes\n' >$'in/not-utf8-\xff\xfe'
  printf 'esc\n' >$'in/escape-\033[2J'
  cp in/text in/copy
  ln in/text in/hard
  ln -s text in/soft
  ln -s /nowhere/at/all in/dangling
  mkfifo in/fifo
  chmod 4755 in/one
  chmod 0400 in/copy
  chmod 0700 in/empty
  touch -d '1999-12-31 23:59:59.123456789' in/zeros in/deep/a
  touch -h -d '2001-02-03 04:05:06.7' in/soft
  setfattr -n user.note -v 'kept' in/random 2>/dev/null || true
  [ "$(id -u)" -ne 0 ] || mknod in/null c 1 3 2>/dev/null || true
}

test_round_trip() {
  make_odd_tree
  expect 0 init -e e --chunk cdc:4096 --seed 7 --level 2
  expect 0 encode -e e in
  mkdir out
  expect 0 extract -e e -o out
  compare_trees . out "$work/lists" in >"$work/out" 2>"$work/err" || die "the extracted tree differs"
  expect 0 verify -e e
  expect 0 encode -e e in --json
  json '.files == .files_unchanged and .bytes_in == 0 and .chunks_new == 0 and .version > 1'
  expect 0 cat -e e in/random
  same "$work/out" in/random
  expect 0 extract -e e -o part --sparse in/holes in/deep
  same part/in/holes in/holes
  [ "$(stat -c %b part/in/holes)" -lt 1000 ] || die "--sparse left no holes"
  [ ! -e part/in/text ] || die "a prefix that was not asked for was extracted"
  expect 3 extract -e e -o part in/holes
  expect 0 extract -e e -o part --overwrite in/holes
  [ -z "$(find . -newer in/nothing -name '*.tmp')" ] || die "temporary files are left"
}

test_versions() {
  mkdir in
  printf first >in/a
  expect 0 encode -e e in --label one
  printf second >in/a
  rm -f in/b
  printf new >in/c
  expect 0 encode -e e in --label two
  expect 0 info -e e --json
  json '[.versions[].label | select(. != "")] == ["one", "two"] and .versions[-1].newest'
  local one
  one=$(value '.versions[] | select(.label == "one").version')
  expect 0 cat -e e --at "$one" in/a
  [ "$(<"$work/out")" = first ] || die "version $one has not the first content"
  expect 0 cat -e e in/a
  [ "$(<"$work/out")" = second ] || die "the newest version has not the second content"
  expect 5 cat -e e --at "$one" in/c
  expect 5 ls -e e --at 99999
  rm in/c
  expect 0 encode -e e in
  expect 0 ls -e e in/c
  expect 0 encode -e e in --mirror --json
  json '.removed == 1'
  expect 5 ls -e e in/c
}

test_inputs() {
  mkdir -p base/sub other
  printf a >base/sub/a.txt
  printf o >base/sub/a.o
  printf x >other/x
  expect 0 encode -e e -C base sub --exclude '*.o'
  prints 'a new engram'
  expect 0 ls -e e
  [ "$(<"$work/out")" = $'sub\nsub/a.txt' ] || die "stored paths are not as given"
  printf '# a comment\n\n*.txt\n' >globs
  expect 0 encode -e f --exclude-from globs base
  expect 0 ls -e f
  [ "$(<"$work/out")" = $'base\nbase/sub\nbase/sub/a.o' ] || die "--exclude-from left out something else"
  expect 3 encode -e e /there/is/nothing other
  says '/there/is/nothing'
  expect 0 cat -e e other/x
  expect 3 encode -e e --json missing other
  json '.issue_count == 1 and .issues[0].path == "missing" and (.issues[0].reason | length > 0)'
  printf 'from a pipe' | "$engram" encode -q -e e --name from/pipe - || die "encode -"
  expect 0 cat -e e from/pipe
  [ "$(<"$work/out")" = 'from a pipe' ] || die "standard input came back differently"
  expect 0 encode -e base/inner.engram base
  expect 0 ls -e base/inner.engram
  ! grep -q inner.engram "$work/out" || die "the engram stored itself"
}

test_archives() {
  mkdir -p in/sub
  printf member >in/sub/m
  ln -s m in/sub/l
  tar -czf a.tar.gz in
  expect 0 encode -e e a.tar.gz
  expect 0 cat -e e a.tar.gz
  same "$work/out" a.tar.gz
  expect 0 encode -e f --unpack a.tar.gz
  expect 0 cat -e f a.tar.gz/in/sub/m
  [ "$(<"$work/out")" = member ] || die "a member came back differently"
  "$engram" encode -q -e f --unpack --name p - <a.tar.gz || die "encode --unpack -"
  expect 0 ls -e f p/in/sub/m
  printf 'no archive at all, whatever one may think of it' >junk
  expect 3 encode -e f --unpack junk
  printf evil >evil
  mkdir down
  (cd down && tar -P -cf ../bad.tar ../evil)
  expect 3 encode -e f --unpack bad.tar
  says evil
  expect 0 extract -e f -o out
  [ "$(find . -name evil | wc -l)" -eq 1 ] || die "a member left the output directory"
}

test_exit_codes() {
  mkdir in other
  printf x >in/x
  printf y >other/y
  expect 2
  expect 2 nonsense
  expect 2 encode -e e
  expect 2 encode -e e --nonsense in
  expect 2 encode -e e --level 10 in
  expect 2 ls
  says 'ENGRAM_DIR'
  expect 2 init -e e --chunk cdc:5
  expect 0 encode -e e in
  expect 4 init -e e
  expect 5 cat -e e in/none
  expect 5 extract -e e -o out in/none
  expect 5 cat -e e --at 77 in/x
  expect 10 ls -e nothing
  says 'engram init'
  expect 10 encode -e other in
  [ "$(ls other)" = y ] || die "a folder that is no engram was written to"
  expect 10 query -e other in/x
  expect 15 encode -e e --device warp in
  says 'scalar'
  expect 15 query -e e --device opencl:99.0 in/x
  expect 0 --version
  expect 0 help
}

# Each command has its help and its part of the manual page, and each of its options is in both.
test_help() {
  local command option page=$root/docs/man/engram.1
  expect 0 help
  mapfile -t commands < <(sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$work/out" | grep -v help)
  [ ${#commands[@]} -ge 20 ] || die "only ${#commands[@]} commands are listed"
  for command in "${commands[@]}"; do
    expect 0 "$command" --help
    prints "usage: engram $command"
    expect 0 help "$command"
    prints 'examples:'
    awk 'length > 110 { exit 1 }' "$work/out" || die "help of $command has lines that are too long"
    grep -qx ".Ss $command" "$page" || die "the manual page has no part for $command"
    sed -n "/^\.Ss $command\$/,/^\.S[sh]/p" "$page" >part
    while read -r option; do
      grep -q -- "Fl -$option\b" part || die "the manual page does not know $command --$option"
    done < <(sed -n '/^options:/,/^$/s/^  .* --\([a-z0-9-]*\) .*/\1/p' "$work/out")
  done
}

test_error_documents() {
  expect 10 ls -e nothing --json
  json '.error.exit_code == 10 and .error.status == "not an engram" and (.error.message | contains("nothing"))'
  expect 2 ls --nonsense --json
  json '.error.exit_code == 2'
  expect 15 vector --json --device warp /etc/passwd
  json '.error.exit_code == 15'
  local code=0
  ENGRAM_JSON=1 ENGRAM_DIR=nothing "$engram" info >"$work/out" 2>"$work/err" || code=$?
  [ "$code" -eq 10 ] || die "exit code $code with variables"
  json '.error.exit_code == 10'
  expect 1 init -e no/such/parent
  expect 1 init -e no/such/parent --json
  json '.error.exit_code == 1'
  [ "$(wc -l <"$work/err")" -eq 1 ] || die "an error takes more than one line"
}

test_documents() {
  mkdir in
  random_bytes 200000 >in/r
  "$golden_input" text 100000 >in/t
  printf x >$'in/\xff'
  expect 0 init -e e --json
  json '.engram == "e" and .chunk == "cdc:16384" and .level == 3'
  expect 0 encode -e e in --json
  json '([.files, .files_unchanged, .entries, .removed, .bytes_in, .chunks, .chunks_new, .bytes_stored, .seconds,
    .fallback_batches, .version, .bytes_per_second] | all(type == "number")) and (.device | type == "string") and
    (.device_used | type == "string") and (.issues | type == "array")'
  json '.files == 3 and .entries == 4 and .bytes_in == 300001'
  expect 0 ls -e e --json
  json '(.entries | length == 4) and ([.entries[] | .path, .kind, .mode, .mtime] | all(type == "string")) and
    ([.entries[] | .size, .inode, .version] | all(type == "number"))'
  json '[.entries[] | select(.path_base64 == "aW4v/w==")] | length == 1'
  expect 0 extract -e e -o out --json
  json '.files == 3 and .entries == 4 and .bytes == 300001 and .issues == []'
  expect 0 query -e e --json in/r
  json '(.hits | length >= 1) and ([.hits[0] | .score, .jaccard, .jaccard_low, .jaccard_high, .containment, .best.offset,
    .best.length, .best.matches, .best.query_offset, .best.query_length, .exact_jaccard, .exact_containment, .sample, .size,
    .looked_at, .ranges_query_bytes, .ranges[0].query_offset, .ranges[0].offset, .ranges[0].length] |
    all(type == "number")) and .unsure == false'
  json '.hits[0] | .exact_jaccard == 1 and .exact_containment == 1 and .exact_whole and .ranges_complete'
  json '.hits[0].path == "in/r" and .hits[0].jaccard == 1 and (.device_used | type == "string") and .fallback_batches == 0'
  expect 0 verify -e e --json
  json '.problem_count == 0 and .problems == []'
  expect 0 info -e e --json
  json '([.version, .files, .directories, .links, .chunks, .bytes_logical, .bytes_stored, .bytes_on_disk, .segments, .level,
    .codebook.version, .recovery.transactions, .recovery.checkpoint_version, .journal_bytes, .retention.every_seconds] |
    all(type == "number")) and .files == 3 and .bytes_logical == 300001'
  json '([.time, .chunk, .hash, .codebook.seed] | all(type == "string")) and ([.versions[] | select(.label != "")] | length == 1)'
  expect 0 devices --json
  json '(.devices | length >= 1) and .devices[0].spec == "scalar"'
  expect 0 vector --json in/r
  json '(.vectors[0].vector | length == 512) and (.vectors[0].spread | type == "number")'
  expect 0 cat -e e in/r --json
  same "$work/out" in/r
}

test_names() {
  mkdir in
  printf x >$'in/a\nb'
  printf x >'in/c d'
  expect 0 encode -e e in
  expect 0 ls -e e --print0 in
  [ "$(tr '\0' '|' <"$work/out")" = $'in/a\nb|in/c d|' ] || die "--print0 changed names"
  script -qec "'$engram' ls -e e in" /dev/null </dev/null >"$work/out" 2>/dev/null || return 0
  prints 'in/a\nb'
  prints 'in/c\ d'
}

test_query() {
  mkdir in
  local i
  for i in 1 2 3 4 5; do random_bytes $((200000 + i)) >"in/$i"; done
  { head -c 60000 in/3; printf 'something that was not there'; tail -c +60001 in/3; } >changed
  expect 0 encode -e e in
  expect 0 query -e e --json -k 2 changed
  json '.hits[0].path == "in/3" and .hits[0].score > 0.8'
  json '.hits[0] | .exact_whole and .exact_containment > 0.999 and .exact_containment < 1 and (.ranges | length == 2) and
    .ranges[0] == {query_offset: 60028, offset: 60000, length: 140003} and .ranges[1].length == 60000'
  expect 0 query -e e changed
  prints in/3
  [ "$(awk 'NR == 2 { print $1, $2 }' "$work/out")" = "1.000 1.000" ] || die "no exact values: $(cat "$work/out")"
  expect 0 query -e e -v changed
  prints '    140003 bytes: from 60028 in the query, from 60000 there'
  expect 0 query -e e --no-rerank -v changed
  prints 'matches)'
  expect 0 query -e e --no-rerank --json changed
  json '.files_looked_at == 0 and (.hits[0] | has("exact_jaccard") or has("ranges") | not)'
  expect 0 query -e e --by chunk -v -k 3 changed
  [ "$(grep -c in/3 "$work/out")" -eq 3 ] || die "--by chunk did not list three chunks of the file"
  head -c 1000 in/4 >small
  expect 0 query -e e --json small
  json '.unsure'
  says '2 KiB'
  expect 0 query -e e --json --prefix in/5 changed
  json '.hits == []'
  expect 0 query -e e --json -k 2 --via root --check changed
  json '.hits[0].path == "in/3" and .via.by == "root" and .via.recall == 1 and .via.chunks_read == .chunks_live and
    ([.via | .share, .bundles, .bundles_read, .exact_hits, .found_hits, .bundle_seconds, .exact_seconds] | all(type == "number"))'
  expect 0 query -e e --json -k 2 --via root --share 1% changed
  json '.via.bundles_read == 1 and .via.recall == null'
  expect 0 query -e e --via root --check changed
  prints 'recall 1.000'
  expect 2 query -e e --via nothing changed
  expect 2 query -e e --share 10% changed
  says '--via root'
  expect 2 query -e e --via root --share 0 changed
  cat in/1 in/2 in/5 >three
  expect 0 query -e e --json three
  json '[.hits[].path] | sort == ["in/1", "in/2", "in/5"]'
  jq -c '.hits[]' "$work/out" >all
  for i in 0 1 2; do
    expect 0 query -e e --json -k 1 --skip "$i" three
    json ".hits_before == $i and .hits_behind == 2 - $i"
    jq -c '.hits[]' "$work/out"
  done >pages
  same all pages
  expect 0 query -e e --skip 7 three
  says 'only 3 hits'
  expect 3 query -e e missing
  expect 2 query -e e --by line changed
  expect 2 query -e e --min 7 changed
  local device
  for device in $("$engram" devices --json | jq -r '.devices[].spec'); do
    expect 0 query -e e --json --device "$device" -k 1 changed
    json '.hits[0].path == "in/3" and .fallback_batches == 0'
    jq '.hits' "$work/out" >"hits.$device"
    same hits.scalar "hits.$device"
  done
}

test_dups() {
  mkdir -p in/sub
  local i
  for i in 1 2 3; do random_bytes $((200000 + i)) >"in/$i"; done
  cp in/3 in/sub/copy
  { head -c 60000 in/3; random_bytes 5000; tail -c +60001 in/3; } >in/sub/changed
  head -c 30000 in/2 >in/part
  : >in/nothing
  : >in/nothing2
  expect 0 init -e e
  expect 0 dups -e e
  says 'no files are alike'
  expect 0 encode -e e in
  expect 0 dups -e e
  prints '3 of 6 files in 1 groups'
  prints '1.000  in/sub/copy'
  grep -q '^0\.[89][0-9]*  in/sub/changed$' "$work/out" || die "the changed file has not its score"
  expect 0 dups -e e -q
  [ "$(grep -c . "$work/out")" -eq 3 ] || die "--quiet said more than the files"
  expect 0 dups -e e --json
  json '[.groups[0].files[].path] == ["in/3", "in/sub/changed", "in/sub/copy"] and .groups[0].files[0].score == 1 and
    .groups[0].files[2].score == 1 and .groups[0].count == 3 and (.groups | length) == .group_count and
    ([.version, .min, .files, .chunks, .files_grouped, .pairs_scored, .seconds, .fallback_batches, .groups[0].bytes,
    .groups[0].files[0].inode, .groups[0].files[0].size] | all(type == "number")) and (.device_used | type == "string")'
  expect 0 dups -e e --json --min 1
  json '[.groups[].files[].path] == ["in/3", "in/sub/copy"]'
  expect 0 dups -e e --json --prefix in/sub
  json '[.groups[].files[].path] == ["in/sub/changed", "in/sub/copy"] and .files == 2'
  expect 0 rm -e e -r in/sub
  expect 0 dups -e e --json
  json '.groups == [] and .group_count == 0'
  expect 0 dups -e e --json --at "$(("$(value .version)" - 1))"
  json '.groups[0].count == 3'
  expect 5 dups -e e --prefix nowhere
  expect 2 dups -e e --min 0
  expect 2 dups -e e --min 2
}

test_novelty() {
  mkdir in
  local i
  for i in 1 2 3 4 5; do random_bytes $((200000 + i)) >"in/$i"; done
  random_bytes 77777 | tac -s x >stranger
  expect 0 init -e e
  expect 0 info -e e --json --novelty stranger
  json '.novelty.members == 0 and .novelty.told == false and .novelty.stored_at_most == 0'
  expect 0 encode -e e in/1 in/2
  expect 0 info -e e --json --novelty in/1
  json '(.version | type == "number") and .novelty.members >= 2 and .novelty.told and .novelty.low > 0.5 and
    ([.novelty | .chunks, .overlap, .error, .low, .high, .similarity, .similarity_error, .copy_errors, .stored_at_most] |
    all(type == "number"))'
  expect 0 info -e e --novelty in/1
  prints 'the collection overlaps with it'
  expect 0 info -e e --json --novelty stranger
  json '.novelty.told == false and .novelty.stored_at_most < 0.5 and .versions == null'
  expect 0 info -e e --novelty stranger
  prints 'cannot be told'
  stdin=in/1 expect 0 info -e e --json --novelty -
  json '.novelty.told'
  expect 0 rm -e e -r in
  expect 0 info -e e --json --novelty in/1
  json '.novelty.members == 0 and .novelty.overlap == 0'
  expect 3 info -e e --novelty missing
  expect 2 info -e e --at 1 --novelty in/1
  says 'leave out --at'
}

test_golden_vectors() {
  local seed device name size files
  grep -v '^#' "$golden" | while read -r name _ size _; do
    size=${size#size=}
    [ -e "$name-$size" ] || "$golden_input" "$name" "$size" >"$name-$size"
  done
  for seed in $(sed -n 's/^[^#].*seed=\([0-9]*\) .*/\1/p' "$golden" | sort -u); do
    mapfile -t files < <(sed -n "s/^\([a-z]*\) seed=$seed size=\([0-9]*\) .*/\1-\2/p" "$golden")
    sed -n "s/^[a-z]* seed=$seed size=[0-9]* //p" "$golden" >expected
    [ -s expected ] || die "no vectors of seed $seed"
    for device in auto $("$engram" devices --json | jq -r '.devices[].spec'); do
      expect 0 vector --seed "$seed" --device "$device" "${files[@]}"
      same "$work/out" expected
    done
  done
}

test_second_writer() {
  mkdir in
  printf x >in/x
  expect 0 encode -e e in
  mkfifo pipe
  "$engram" encode -q -e e --name held - <pipe >/dev/null 2>writer-errors &
  local writer=$! code=0
  exec 5>pipe
  wait_for grep -qx "$writer" e/LOCK
  expect 11 encode -e e in
  says "$writer"
  expect 0 cat -e e in/x
  exec 5>&-
  wait "$writer" || code=$?
  [ "$code" -eq 0 ] || die "the first writer ended with $code: $(<writer-errors)"
  expect 0 ls -e e held
}

test_damage() {
  mkdir in
  random_bytes 300000 >in/r
  "$golden_input" text 100000 >in/t
  expect 0 encode -e e in
  local segment
  segment=(e/segments/*) && segment=${segment[0]}
  cp "$segment" segment
  damage "$segment" 10000
  expect 13 verify -e e --json
  json '.problem_count == (.problems | length) and .error.exit_code == 13 and (.problems | length >= 3)'
  json 'any(.problems[]; startswith("in/r: 1 of its chunks cannot be read")) and (any(.problems[]; startswith("in/t")) | not)'
  expect 13 verify -e e
  prints "$segment"
  expect 13 cat -e e in/r
  expect 3 extract -e e -o out
  says in/r
  [ ! -e out/in/r ] || die "a damaged file was left behind"
  same out/in/t in/t
  cp segment "$segment"
  expect 0 verify -e e
  truncate -s 5000 "$segment"
  expect 13 verify -e e
  cp segment "$segment"
  damage e/MANIFEST.json 30
  expect 13 ls -e e
  printf '{}' >e/MANIFEST.json
  expect 13 ls -e e
  : >e/MANIFEST.json
  expect 13 encode -e e in
}

# A chunk takes with it those that rest on it, and every file they are in is named.
test_damaged_base() {
  local i segment
  mkdir in
  random_bytes 12000 >in/base
  for i in 1 2 3 4 5; do
    { cat in/base && echo "$i"; } >"in/$i"
  done
  "$golden_input" text 9000 >in/other
  expect 0 encode -e e in/base
  expect 0 encode -e e in
  expect 0 info -e e --json
  json '.corrections.delta.chunks == 5'
  segment=(e/segments/*) && damage "${segment[0]}" 5000
  expect 0 rm -e e in/5
  expect 13 verify -e e --json
  json '[.problems[] | select(contains("of its chunks cannot be read")) | split(":")[0]] |
    (.[:5] | sort) == ["in/1", "in/2", "in/3", "in/4", "in/base"] and
    length == 6 and (.[5] | startswith("version "))'
  expect 13 verify -e e --repair
  expect 0 cat -e e in/other
  same "$work/out" in/other
  expect 13 cat -e e in/3
  expect 1 gc -e e # what was put aside may be wanted
  says quarantine
  rm -r e/quarantine
  expect 0 gc -e e
}

test_newer() {
  mkdir in
  printf x >in/x
  expect 0 encode -e e in
  "$newer_manifest" e/MANIFEST.json || die "newer_manifest"
  cp -r e before
  expect 14 ls -e e
  expect 14 encode -e e in
  says newer
  diff -r e before >/dev/null || die "an engram of a newer version was changed"
}

test_interrupt() {
  mkdir in
  local i code=0
  for i in $(seq 50); do random_bytes $((20000 + i)) >"in/$i"; done
  mkfifo pipe
  "$engram" encode -e e --json in --name held - <pipe >"$work/out" 2>"$work/err" &
  local writer=$!
  exec 5>pipe
  printf 'the beginning' >&5
  wait_for test -e e/MANIFEST.json
  sleep 1
  kill -INT "$writer"
  exec 5>&-
  wait "$writer" || code=$?
  [ "$code" -eq 130 ] || die "exit code $code instead of 130"
  json '.error.exit_code == 130 and (.error.message | contains("50 files")) and .files == 50'
  expect 5 cat -e e held
  expect 0 verify -e e
  expect 0 encode -e e --json in
  json '.files == 50 and .files_unchanged == 50'
  expect 0 extract -e e -o out
  diff -r in out/in >&2 || die "differs after an interruption"
}

test_kill() {
  mkdir in
  local i
  for i in $(seq 40); do random_bytes $((3000000 + i)) >"in/$i"; done
  for i in 1 2 3 4 5; do
    "$engram" encode -q -e e in >/dev/null 2>&1 &
    sleep "0.$i"
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
    [ -e e/MANIFEST.json ] || { rm -rf e && continue; }
    expect 0 verify -e e
  done
  expect 0 encode -e e in
  expect 0 verify -e e
  expect 0 extract -e e -o out
  diff -r in out/in >&2 || die "differs after kills"
}

test_file_size_limit() {
  mkdir in more
  local i code=0
  printf x >in/x
  expect 0 encode -e e in
  for i in $(seq 30); do random_bytes $((1000000 + i)) >"more/$i"; done
  (ulimit -f 4000 && exec "$engram" encode -e e more) >"$work/out" 2>"$work/err" || code=$?
  [ "$code" -eq 1 ] || die "exit code $code instead of 1 when a file may not grow"
  expect 0 verify -e e
  expect 0 cat -e e in/x
  expect 0 encode -e e more
  expect 0 extract -e e -o out more
  diff -r more out/more >&2 || die "differs after a failed write"
}

# In a namespace of its own, so that the mount ends with it; where that is not permitted, not at all.
test_disk_full() {
  unshare -m true 2>/dev/null || { say "  (left out: no mounts here)" && return; }
  mkdir in small
  local i
  for i in $(seq 40); do random_bytes $((3000000 + i)) >"in/$i"; done
  unshare -m bash -c '
    mount -t tmpfs -o size=90m none small || exit 99
    "$1" encode -e small/e in/1 in/2 || exit 98
    "$1" encode -e small/e in; [ $? -eq 1 ] || exit 97
    "$1" verify -e small/e || exit 96
    "$1" cat -e small/e in/2 | cmp - in/2 || exit 95
    "$1" ls -e small/e | while read -r path; do
      [ ! -f "$path" ] || "$1" cat -e small/e "$path" | cmp - "$path" || exit 94
    done
  ' - "$engram" >"$work/out" 2>"$work/err"
  local code=$?
  [ "$code" -ne 99 ] || { say "  (left out: no mounts here)" && return; }
  [ "$code" -eq 0 ] || die "step $code failed"
  says 'No space left'
}

# An upload larger than the disk is refused, with a reply, and nothing else is.
test_disk_full_of_a_server() {
  unshare -m true 2>/dev/null || { say "  (left out: no mounts here)" && return; }
  mkdir small
  unshare -m bash -c '
    mount -t tmpfs -o size=240m none small || exit 99
    cd small && "$1" init -q -e e || exit 98
    "$1" serve -e e --listen 127.0.0.1:0 --access-log none >said 2>log & server=$!
    until grep -qs "^ready" said; do sleep 0.1; done
    at=http://127.0.0.1:$(sed -n "s/^ready .*:\([0-9]*\)$/\1/p" said)/v1/files
    put() { # PATH SIZE CODE
      head -c "$2" /dev/urandom >../body
      [ "$(curl -sS -o ../reply -w "%{http_code}" -T ../body "$at/$1")" = "$3" ] || { cat ../reply; exit "$4"; }
    }
    put small 100 201 97
    put some 20M 201 96
    put large 300M 507 95
    grep -q "No space left for more" ../reply || exit 94
    [ "$(curl -sS -o ../reply -w "%{http_code}" -X DELETE "$at/some")" = 204 ] || exit 93
    kill $server && wait $server || exit 92
    "$1" snapshot keep -q -e e --every 0 --last 1 >../said || exit 91
    "$1" gc -q -e e >../said || exit 91
    "$1" verify -q -e e >../said || exit 90
    "$1" serve -e e --listen 127.0.0.1:0 --access-log none >said 2>log & server=$!
    sleep 0.2; until grep -qs "^ready" said; do sleep 0.1; done
    at=http://127.0.0.1:$(sed -n "s/^ready .*:\([0-9]*\)$/\1/p" said)/v1/files
    put more 20M 201 89
    curl -sS "$at/more" | cmp - ../body || exit 88
    kill $server && wait $server || exit 87
  ' - "$engram" >"$work/out" 2>"$work/err"
  local code=$?
  [ "$code" -ne 99 ] || { say "  (left out: no mounts here)" && return; }
  [ "$code" -eq 0 ] || die "step $code failed"
}

# Connections leave the engram the files that it needs.
test_few_files() {
  local server at i fd fds=() upload
  expect 0 init -e e
  (ulimit -n 300 && exec "$engram" serve -e e --listen 127.0.0.1:0 --access-log none) >said 2>log & server=$!
  until grep -qs '^ready' said; do sleep 0.1; done
  grep -q 'only 300 files may be open' log || die "nothing is said of the limit: $(cat log)"
  at=$(sed -n 's/^ready .*:\([0-9]*\)$/\1/p' said)
  random_bytes 3000000 >body
  curl -sS -o reply -w '%{http_code}' --limit-rate 2M -T body "http://127.0.0.1:$at/v1/files/during" >code & upload=$!
  sleep 0.3
  for i in $(seq 400); do exec {fd}<>"/dev/tcp/127.0.0.1/$at" && fds+=("$fd"); done 2>/dev/null
  wait "$upload" || die "the upload was cut: $(cat reply)"
  [ "$(cat code)" = 201 ] || die "the upload gave $(cat code): $(cat reply)"
  for fd in "${fds[@]}"; do exec {fd}>&-; done
  sleep 0.5
  [ "$(curl -sS -o reply -w '%{http_code}' -T body "http://127.0.0.1:$at/v1/files/after")" = 201 ] || die "$(cat reply)"
  kill "$server" && wait "$server" || die "the server ended with $?"
}

test_hostile_output() {
  mkdir -p in/sub outside out/in
  printf x >in/sub/x
  ln -s "$PWD/outside" out/in/sub
  expect 0 encode -e e in
  expect 3 extract -e e -o out
  [ -z "$(ls outside)" ] || die "extract followed a link out of its directory"
}

test_closed_pipe() {
  mkdir in
  (cd in && seq -f 'a-name-that-takes-some-room-%.0f' 3000 | xargs touch)
  expect 0 encode -e e in
  "$engram" ls -e e 2>"$work/err" | head -n 1 >/dev/null
  [ ! -s "$work/err" ] || die "a closed pipe is worth a word"
  local code=0
  "$engram" ls -e e >/dev/full 2>"$work/err" || code=$?
  [ "$code" -eq 1 ] || die "exit code $code when standard output is full"
  says 'standard output'
}

# Messages must never go into a file of the engram that happened to get descriptor 0, 1 or 2.
test_closed_descriptors() {
  mkdir in
  printf x >in/x
  expect 0 encode -e e in
  "$engram" encode -e e nosuch1 nosuch2 <&- 2>&- >/dev/null
  "$engram" encode -v -e e in nosuch >&- 2>&-
  "$engram" encode -v -e fresh in <&- >&- 2>&-
  expect 0 verify -e e
  expect 0 verify -e fresh
  "$engram" encode --name stolen -e e - <&- >"$work/out" 2>"$work/err" && die "a closed standard input was stored"
  expect 0 verify -e e
  expect 5 cat -e e stolen
}

# A good file is not given up for one that turns out to be damaged.
test_overwrite_keeps_what_is_good() {
  mkdir in
  random_bytes 300000 >in/r
  printf 'old' >in/t
  expect 0 encode -e e in
  expect 0 extract -e e -o out
  printf 'changed' >out/in/t
  expect 3 extract -e e -o out
  [ "$(cat out/in/t)" = changed ] || die "replaced without being asked"
  expect 0 extract --overwrite -e e -o out
  same out/in/t in/t
  local segment
  segment=(e/segments/*) && damage "${segment[0]}" 10000
  expect 3 extract --overwrite -e e -o out
  same out/in/r in/r
  [ "$(find out -name '.engram-*' | wc -l)" -eq 0 ] || die "a temporary file was left behind"
  expect 2 extract -e e -o e
  expect 2 extract -e e -o e/segments
}

# A creation that was cut short is taken up again by the same command.
test_killed_creation() {
  mkdir in e e/journal e/segments e/tree e/checkpoint
  printf x >in/x
  : >e/LOCK
  expect 0 encode -e e in
  expect 0 verify -e e
  mkdir other && : >other/file
  expect 10 encode -e other in
  [ ! -e other/MANIFEST.json ] || die "made an engram among strangers"
  expect 3 encode -e unneeded nosuch
}

test_bench() {
  expect 0 bench encode bundle --device scalar,auto --json
  json '(.results | length == 16) and ([.results[] | .value, .limit, .ratio, .threads, .batch, .seconds_median] |
    all(type == "number" and . > 0)) and ([.results[] | .op, .device, .unit] | all(type == "string"))'
  expect 0 bench query --device scalar --rows 1000,20000 --batch 1,3 --plot chart.svg --json
  json '([.results[] | select(.op == "query") | [.rows, .batch]] == [[1000,1],[1000,3],[20000,1],[20000,3]]) and
    ([.results[] | select(.op == "callers") | .callers] == [1, 8]) and (.environment.cores >= 1)'
  [ "$(grep -c '<circle' chart.svg)" = 4 ] || die "the chart has not four points"
  [ "$(tail -n 1 chart.svg)" = '</svg>' ] || die "the chart has no end"
  mkdir files && seq 400000 >files/numbers && head -c 8M /dev/urandom >files/noise
  expect 0 bench query --device auto --rows 5000 --batch 1,40 --layout rows --data files --json
  json '[.results[] | select(.op == "query") | .input] == ["uniform", "uniform", "real", "real"]'
  json '[.results[] | .layout] | unique == ["rows"]'
  expect 0 bench query --device auto --rows 5000 --batch 1,40 --data files --json
  json '[.results[] | select(.op == "query") | .input, .layout] | unique == ["planes", "real", "uniform"]'
  expect 2 bench query --rows 72057594037927935
  expect 2 bench query --layout columns
  expect 2 bench query --rows 0
  expect 2 bench query --rows 1000 --batch 1,
  expect 2 bench bundle --plot
  mkdir data && head -c 300000 /dev/urandom >data/a && seq 30000 >data/b
  expect 0 bench ingest --data data --dir . --device auto --json
  json '(.results | length == 1) and (.results[0] | .op == "ingest" and .files == 2 and .bytes > 300000 and .value > 0)'
  expect 2 bench ingest
  expect 0 bench update --dir . --json
  json '[.results[] | .operation, (.p50_us > 0)] == ["chunk update", true, "range read", true]'
  seq 30001 >data/c && expect 0 encode -q -e e data && expect 0 bench read -e e --json
  json '[.results[] | .operation, .kind] | .[0:2] == ["chunk read", "all"]'
  json '.results | .[0].reads == ([.[1:][].reads] | add) and .[0].reads == (.[0].by_depth | add) and (map(.p50_us > 0) | all) and
    (map(.kind) | contains(["delta", "verbatim"]))'
  expect 2 bench read
  [ -z "$(ls -d engram-bench-* 2>/dev/null)" ] || die "a bench left something behind"
  expect 2 bench nonsense
  expect 15 bench bundle --device warp
  expect 2 bench bundle --device ,
}

run_tests "$@"
