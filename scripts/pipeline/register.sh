#!/usr/bin/env bash
# Registers the scripts of each database's folder: V and R files, with their U files as down scripts. Nothing is run.
#
# A text that was changed before it was ever applied is registered anew; one that was changed after it was applied stops the
# pipeline, and so does a registered migration that is still to be applied and has no file any more. Nothing is registered on a
# database whose first run would be refused because it is not empty: registering creates dbvc's tables.
#
# From the environment: see lib.sh.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The worst that happened; what is wrong with one script does not keep the others from being told.
WORST=0
worse() {
  if (($1 > WORST)); then WORST="$1"; fi
}

wrong_file() {
  complain "$1: $2"
  annotate error "$1" '' "$2"
  worse 1
}

# body_of SCRIPT REREGISTER: the request for a script, in $WORK/body.
body_of() {
  local up down
  up="$(jq --raw-output .up <<<"$1")"
  down="$(jq --raw-output '.down // ""' <<<"$1")"
  local -a down_text=()
  if ! text_of "$up" "$WORK/up"; then
    wrong_file "$up" 'this is no text in UTF-8, nor in UTF-16 with a byte order mark: save it as UTF-8'
    return 1
  fi
  if [[ -n "$down" ]]; then
    if ! text_of "$down" "$WORK/down"; then
      wrong_file "$down" 'this is no text in UTF-8, nor in UTF-16 with a byte order mark: save it as UTF-8'
      return 1
    fi
    down_text=(--rawfile down "$WORK/down")
  fi
  jq --null-input --argjson script "$1" --arg database "$DATABASE_ID" --arg author "$EXECUTOR" --argjson reregister "$2" \
    --rawfile up "$WORK/up" ${down_text[@]+"${down_text[@]}"} '
    {databaseId: $database, fileName: $script.fileName, author: $author, upScript: $up}
    + (if $script.down != null then {downScript: $ARGS.named.down} else {} end)
    + (if $reregister then {reregister: true} else {} end)' >"$WORK/body"
}

tell_warnings() {
  local file="$1" line message
  while IFS=$'\t' read -r line message; do
    say "    line $line: $message"
    annotate warning "$file" "$line" "$message"
  done < <(jq --raw-output '.warnings[]? | [.line, .message] | @tsv' "$WORK/answer")
}

register() {
  local script="$1" file code verb=registered
  file="$(jq --raw-output .up <<<"$script")"
  body_of "$script" false || return 0
  request POST migrations "$WORK/body"
  code="$(jq --raw-output '.code? // ""' "$WORK/answer" 2>/dev/null || true)"
  if [[ "$code" == already-registered ]]; then
    # It was never applied: what the folder has is what is meant.
    body_of "$script" true || return 0
    request POST migrations "$WORK/body"
    code=''
    verb='registered anew'
  fi
  case "$code" in
    # The fault of this one file; the others are looked at as well.
    checksum-mismatch | duplicate-version | invalid-request | missing-variant | reserved-version)
      complain "$file: $(answer_sentences)"
      annotate error "$file" '' "$(answer_line)"
      worse "$(exit_code)"
      return 0
      ;;
  esac
  expect_success
  if [[ "$STATUS" == 201 || "$verb" != registered ]]; then
    say "  $verb  $(jq --raw-output .migrationId "$WORK/answer")"
    tell_warnings "$file"
    NEW=$((NEW + 1))
  fi
}

# Stops where the first run would be refused. The run itself reports every other refusal.
refuse_first_run() {
  body_of_run '{"dryRun": true}'
  request POST migrations/run "$WORK/body"
  if [[ "$(jq --raw-output '.code? // ""' "$WORK/answer" 2>/dev/null || true)" == not-empty ]]; then expect_success; fi
}

# What is registered, still to be applied, and has no file: the next run would apply what nobody can see here.
refuse_orphans() {
  local id
  request GET "migrations/status?detailed=true&databaseId=$DATABASE_ID"
  expect_success
  while IFS= read -r id; do
    complain "$id is registered on $DATABASE_ID and still to be applied, but $FOLDER has no script of it.
Next: put its file back, or withdraw it: DELETE /api/dbvc/databases/$DATABASE_ID/migrations/$id"
    annotate error '' '' "$id is registered on $DATABASE_ID and still to be applied, but $FOLDER has no script of it"
    worse 1
  done < <(jq --raw-output --slurpfile files "$(files_of_ids)" '
    .databases[0].migrations[]?
    | select(.status != "applied" and (.version // "" | test("^100([._]|$)") | not))
    | .migrationId | select($files[0][.] == null)' "$WORK/answer")
}

connect
require_environment
find_databases
for database in "${DATABASES[@]}"; do
  use_database "$database"
  scripts="$(jq --compact-output '.scripts[]' "$WORK/scripts.json")"
  say "$DATABASE_ID ($ENGINE, $DBVC_ENVIRONMENT): scripts in $FOLDER: $(jq '.scripts | length' "$WORK/scripts.json")"
  while IFS=$'\t' read -r file message; do
    wrong_file "$file" "$message"
  done < <(jq --raw-output '.problems[] | [.file, .message] | @tsv' "$WORK/scripts.json")
  refuse_first_run
  NEW=0
  while IFS= read -r script; do
    if [[ -n "$script" ]]; then register "$script"; fi
  done <<<"$scripts"
  say "  new: $NEW"
  refuse_orphans
done
exit "$WORST"
