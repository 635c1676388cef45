#!/usr/bin/env bash
# Makes release.tar.xz from a commit: the chart, and what the image is made from. Run it when that commit was released:
#   bash tests/previous/renew.sh v0.1.0
set -euo pipefail
cd "$(dirname "$0")/../.."
commit=$(git rev-parse --verify "${1:?which commit was released?}^{commit}")
# What .dockerignore lets into the build, by the commit's own list.
mapfile -t inputs < <(git show "$commit:.dockerignore" | sed -n 's/^!//p')
git archive --format=tar "$commit" charts Dockerfile .dockerignore "${inputs[@]}" | xz -9e > tests/previous/release.tar.xz
echo "tests/previous/release.tar.xz is of $commit"
