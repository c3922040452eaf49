#!/usr/bin/env bash
# Opens an issue about a failed pipeline, with what went wrong in it; writes under the one that is open already.
#
# From the environment, besides that of github.sh:
#   DBVC_ENVIRONMENT   environment in which it failed; required
#   DBVC_REPORT        file to which the other scripts wrote their problems; required
#   GITHUB_SERVER_URL, GITHUB_RUN_ID, GITHUB_REF_NAME, GITHUB_SHA, GITHUB_ACTOR  for where and whose it is; set by GitHub
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/github.sh"

require_environment
report="${DBVC_REPORT:?must be the file to which the other scripts wrote their problems}"
# What this script itself has to complain about is no part of it.
unset DBVC_REPORT
if ! [[ -s "$report" ]]; then
  echo 'No script of the pipeline told a problem: the job failed before, or outside of them. Its log has the cause.' >"$WORK/report"
  report="$WORK/report"
fi

title="Database migrations failed in $DBVC_ENVIRONMENT"
text="$(ask '$text | if length > 55000 then .[:55000] + "\n(cut off; the log has the rest)" else . end | fenced' --null-input --rawfile text "$report")"
jq --null-input --arg title "$title" --arg text "$text" '
  def words: gsub("[^A-Za-z0-9 ._/\\[\\]-]"; "");
  {title: $title, body: (
    "The run [\(env.GITHUB_RUN_ID // "?" | words)](\(env.GITHUB_SERVER_URL // "https://github.com")/\(env.GITHUB_REPOSITORY)/actions/runs/\(env.GITHUB_RUN_ID // "" | words))"
    + " of `\(env.GITHUB_REF_NAME // "?" | words)` at \(env.GITHUB_SHA // "?" | words), started by `\(env.GITHUB_ACTOR // "?" | words)`, failed.\n\n"
    + $text
    + "\n\nWhat had been applied before the failure stays applied; what would have followed was not begun. docs/troubleshooting.md says what to do about each problem.")}' >"$WORK/issue"

github GET 'issues?state=open&per_page=100'
number="$(jq --raw-output --arg title "$title" 'first(.[] | select(.title == $title and .pull_request == null) | .number) // empty' "$WORK/answer")"
if [[ -n "$number" ]]; then
  jq '{body}' "$WORK/issue" >"$WORK/comment"
  github POST "issues/$number/comments" "$WORK/comment"
  say "written under the open issue $number"
else
  github POST issues "$WORK/issue"
  say "opened the issue $(jq --raw-output .number "$WORK/answer")"
fi
