# shellcheck shell=bash
# Sourced by quickstart: compares an extracted copy with what was encoded.
#
# Compared are names, kinds, content byte by byte, modes, times in ns, link targets, which names are hard links of one
# file, and user attributes; as root owners, setuid bits and device numbers too. Not compared is what this user cannot
# read, and sockets, which are not stored. Names may hold any byte, so every list is separated by NUL.

# remove_tree PATH: even where folders may not be written.
remove_tree() {
  [ -e "$1" ] || return 0
  [ "$(id -u)" -eq 0 ] || find "$1" -type d ! -perm -700 -exec chmod u+rwx {} +
  rm -rf -- "$1"
}

compare_scope() {
  if [ "$(id -u)" -eq 0 ]; then
    say "content, kinds, modes, times, links, attributes, owners, devices"
  else
    say "content, kinds, modes, times, links, attributes (owners and devices: only as root)"
  fi
}

# left_out PATH...: the entries that cannot have been stored, NUL-separated and sorted.
left_out() {
  find "$@" \( -type s -o ! -type l ! -readable -o -type d ! -executable \) -print0 2>/dev/null | LC_ALL=C sort -z
}

# list_entries PATH...: a record for each entry, its path first. The size of a folder is the file system's own affair.
list_entries() {
  if [ "$(id -u)" -eq 0 ]; then
    find "$@" ! -type s \( -type d -printf '%p\n%y %m %U:%G %T@\0' \
      -o -printf '%p\n%y %m %U:%G %T@ %s %l\0' \) 2>/dev/null
  else
    # Only root makes device nodes, and a copy that changes hands loses its setuid bits.
    find "$@" ! -type s ! -type b ! -type c \( -type d -printf '%p\n%y %m %T@\0' \
      -o -printf '%p\n%y %m %T@ %s %l\0' \) 2>/dev/null |
      sed -z 's/\(\n[a-z] \)[0-7]*\([0-7]\{3\} [-0-9.]*[^\n]*\)$/\1\2/'
  fi
}

# list_links PATH...: pairs of names of one file.
list_links() {
  local inode path inode_before='' first=''
  find "$@" -type f -links +1 -printf '%D:%i %p\0' 2>/dev/null | LC_ALL=C sort -z | while read -r -d '' inode path; do
    if [ "$inode" = "$inode_before" ]; then
      printf '%s\nis %s\0' "$path" "$first"
    else
      first=$path
    fi
    inode_before=$inode
  done
}

# list_devices PATH...: device numbers.
list_devices() {
  find "$@" \( -type b -o -type c \) -exec stat --printf '%n\ndevice %t:%T\0' {} + 2>/dev/null
}

# list_attributes PATH...: user attributes, a record each after the record with the name of their file.
list_attributes() {
  find "$@" \( -type f -o -type d \) -readable -print0 2>/dev/null | LC_ALL=C sort -z |
    xargs -0 -r getfattr -h -d -e hex --absolute-names 2>/dev/null | tr '\n' '\0' || true
}

# list_tree ROOT PATH...: everything but content.
list_tree() (
  cd "$1" || exit 1
  shift
  {
    list_entries "$@"
    list_links "$@"
    [ "$(id -u)" -ne 0 ] || list_devices "$@"
  } | LC_ALL=C sort -z
)

# without LIST: drops the records of standard input whose path is in the file LIST.
without() {
  if [ ! -s "$1" ]; then
    cat
    return
  fi
  local -A dropped=()
  local path
  while IFS= read -r -d '' path; do dropped["$path"]=1; done <"$1"
  while IFS= read -r -d '' record; do
    [ -n "${dropped["${record%$'\n'*}"]:-}" ] || printf '%s\0' "$record"
  done
}

# content_differences ROOT COPY PATH...: a line for each file that is there twice and is not the same. What is there
# once, and the kinds of special files, the lists tell.
content_differences() {
  local root=$1 copy=$2 path
  shift 2
  for path in "$@"; do
    LC_ALL=C diff -rq --no-dereference "${root%/}/$path" "$copy/$path" 2>&1 || true
  done | grep -v -E \
    -e '^Only in ' -e '^diff: .*: Permission denied$' \
    -e '^File .* is a (fifo|character special file|block special file|socket) while file .* is a ' || true
}

# compare_trees ROOT COPY WORK PATH...: 0 when COPY/PATH is what ROOT/PATH is; else says what differs. WORK takes lists.
compare_trees() {
  local root=$1 copy=$2 lists=$3/lists different=no
  shift 3
  rm -rf "$lists"
  mkdir -p "$lists"
  (cd "$root" && left_out "$@") >"$lists/left-out"
  list_tree "$root" "$@" | without "$lists/left-out" >"$lists/input"
  list_tree "$copy" "$@" | without "$lists/left-out" >"$lists/copy"
  (cd "$root" && list_attributes "$@") >"$lists/input-attributes"
  (cd "$copy" && list_attributes "$@") >"$lists/copy-attributes"
  content_differences "$root" "$copy" "$@" >"$lists/content"
  say "$(tr -dc '\0' <"$lists/input" | wc -c) entries compared, $(tr -dc '\0' <"$lists/left-out" | wc -c) left out"
  if [ -s "$lists/content" ]; then
    head -n 20 "$lists/content" >&2
    different=yes
  fi
  report_difference "$lists/input" "$lists/copy" || different=yes
  report_difference "$lists/input-attributes" "$lists/copy-attributes" || different=yes
  [ "$different" = no ]
}

# report_difference LIST LIST: shows the first lines in which the copy's list differs from the input's.
report_difference() {
  cmp -s "$1" "$2" && return
  diff <(tr '\n\0' ' \n' <"$1") <(tr '\n\0' ' \n' <"$2") | sed -n -e 's/^</input:/p' -e 's/^>/copy: /p' | head -n 20 >&2
  return 1
}
