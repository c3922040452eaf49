#!/usr/bin/env bash
# Writes a preview under a pull request, in place of the one that stands there: comment.sh FILE
#
# From the environment, besides that of github.sh:
#   DBVC_PULL_REQUEST  number of the pull request; required
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/github.sh"

# By this the comment is found again.
MARK='<!-- dbvc-preview -->'

if (($# != 1)) || ! [[ -f "$1" ]]; then fail 2 'usage: comment.sh FILE'; fi
if ! [[ "${DBVC_PULL_REQUEST:-}" =~ ^[0-9]+$ ]]; then fail 2 'DBVC_PULL_REQUEST must be the number of the pull request.'; fi

# GitHub takes 65 536 characters.
jq --null-input --rawfile text "$1" --arg mark "$MARK" '
  {body: ($mark + "\n" + (if ($text | length) > 60000 then $text[:60000] + "\n\n(cut off; the log of the job has the rest)" else $text end))}' >"$WORK/comment"
id=''
page=1
while true; do
  github GET "issues/$DBVC_PULL_REQUEST/comments?per_page=100&page=$page"
  id="$(jq --raw-output --arg mark "$MARK" 'first(.[] | select(.body | startswith($mark)) | select(.user.type == "Bot") | .id) // empty' "$WORK/answer")"
  if [[ -n "$id" ]] || jq --exit-status 'length < 100' "$WORK/answer" >/dev/null; then break; fi
  page=$((page + 1))
done
if [[ -n "$id" ]]; then
  github PATCH "issues/comments/$id" "$WORK/comment"
  say "preview: comment $id replaced"
else
  github POST "issues/$DBVC_PULL_REQUEST/comments" "$WORK/comment"
  say 'preview: comment written'
fi
