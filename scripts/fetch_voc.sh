#!/usr/bin/env bash
# Fetches Pascal VOC 2007 and 2012 (2.8 GB), checks the archives and unpacks them:
#   scripts/fetch_voc.sh [FOLDER]      default: data, which gives data/VOCdevkit/VOC2007 and VOC2012
# VOC_URL names a mirror. An archive that is in FOLDER already is checked and not fetched again.
set -euo pipefail
. "$(dirname "$0")/fetch_lib.sh"

folder=${1:-data}
url=${VOC_URL:-http://host.robots.ox.ac.uk/pascal/VOC}

get() {
  local path=$1 md5=$2
  local archive=$folder/${path##*/}
  fetch "$url/$path" "$archive"
  echo "$md5  $archive" | md5sum --check --status ||
    fail "$archive has not the MD5 $md5: remove it and run this again"
  tar --extract --file "$archive" --directory "$folder"
}

mkdir -p "$folder"
get voc2007/VOCtrainval_06-Nov-2007.tar c52e279531787c972589f7e41ab4ae64
get voc2007/VOCtest_06-Nov-2007.tar b6e924de25625d8de591ea690078ad9f
get voc2012/VOCtrainval_11-May-2012.tar 6cd6e144f989b92b3379bac3b3de84fd
echo "$folder/VOCdevkit holds VOC2007 and VOC2012; the archives in $folder may go"
