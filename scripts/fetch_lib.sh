# Sourced by the fetch scripts: fetch URL FILE, which resumes a part-file and renames it when whole.

fail() {
  echo "$(basename "$0"): $*" >&2
  exit 2
}

fetch() {
  local url=$1 file=$2
  if [ -e "$file" ]; then
    echo "$file is here already"
    return
  fi
  echo "fetching $url"
  if command -v curl >/dev/null; then
    curl --fail --location --retry 3 --continue-at - --output "$file.part" "$url"
  elif command -v wget >/dev/null; then
    wget --continue --output-document="$file.part" "$url"
  else
    fail "neither curl nor wget is installed: install one, or fetch $url to $file yourself"
  fi || fail "$url did not arrive whole: run this again to resume, or fetch it to $file yourself"
  mv "$file.part" "$file"
}
