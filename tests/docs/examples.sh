# shellcheck shell=bash
# Sourced by the tests of documents, which have set engram: a document's fenced blocks, and running what they show.
#
# Commands run in the shell of the test, so that variables stay. `engram` is the program, but that a server listens on a free
# port, which then stands for the 7373 of later commands.

# shellcheck source=tests/cli/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../cli/common.sh"

document=     # the one that is read
block=()      # lines of the block at hand
line_number=0 # of the command at hand; before, of the block's first line
port=0        # of the server that runs
jobs_begun=() # processes that commands left behind
run_count=0
said=         # the file with what the last command said
umask 022

trap 'end_jobs; chmod -R u+rwX "$work" 2>/dev/null; rm -rf "$work"' EXIT

install_program() {
  mkdir "$work/bin"
  cat >"$work/bin/engram" <<SH
#!/bin/bash
[ "\$1" = serve ] && [[ " \$* " != *" --listen "* ]] && set -- "\$@" --listen 127.0.0.1:0
exec "$engram" "\$@"
SH
  chmod +x "$work/bin/engram"
  PATH=$work/bin:$PATH
  printf 'silent\nshow-error\nfail-with-body\nmax-time = 60\n' >"$work/.curlrc"
  export CURL_HOME=$work
}

# end_jobs: the last one, a server's client perhaps, first.
end_jobs() {
  local i
  for ((i = ${#jobs_begun[@]} - 1; i >= 0; i--)); do
    kill "${jobs_begun[i]}" 2>/dev/null
    wait "${jobs_begun[i]}"
  done
  jobs_begun=()
}

# wrong WHAT: with the command at hand and what it said.
wrong() {
  say "FAILED: $document, line $line_number: $*"
  [ -s "$said" ] && head -c 4000 "$said"
  exit 1
}

# each_block DOCUMENT FUNCTION: calls it for each fenced block.
each_block() {
  local line is_inside=no number=0
  document=$1
  while IFS= read -r line; do
    number=$((number + 1))
    if [[ $line == '```'* && $is_inside == no ]]; then
      is_inside=yes block=() line_number=$((number + 1))
    elif [[ $line == '```'* ]]; then
      is_inside=no
      "$2"
    elif [ "$is_inside" = yes ]; then
      block+=("$line")
    fi
  done <"$root/$document"
  [ "$is_inside" = no ] || die "$document: a block has no end"
}

# begin COMMAND: a command that goes on by itself.
begin() {
  said=$work/said.$((++run_count))
  eval "${1//7373/$port} &" >"$said" 2>&1 </dev/null
  jobs_begun+=($!)
}

# run COMMAND: gives its exit code.
run() {
  said=$work/said.$((++run_count))
  eval "${1//7373/$port}" >"$said" 2>&1 </dev/null
}

learn_port() {
  local ready
  ready=$(sed -n 's/^ready http:.*://p' "$said")
  port=${ready:-$port}
}
