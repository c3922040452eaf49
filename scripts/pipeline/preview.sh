#!/usr/bin/env bash
# Writes to standard output, as Markdown, what the scripts would do; nothing is registered and nothing stays.
#
# From the environment, besides that of lib.sh:
#   DBVC_PREVIEW  plan, or execute, which runs everything in one transaction and rolls it back; default: plan
#   DBVC_PLACE    what the databases are, for the heading; default: the environment
#
# Ends with 1 when the scripts would fail or be refused; the Markdown says so too.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# preview DRY-RUN: asks for it with the scripts of the database.
preview() {
  body_of_run "{\"dryRun\": $1}"
  # The scripts may be longer than an argument can be.
  jq --slurpfile migrations "$WORK/inline" '. + {migrations: $migrations}' "$WORK/body" >"$WORK/body.whole"
  mv "$WORK/body.whole" "$WORK/body"
  request POST migrations/run "$WORK/body"
}

# Collects the scripts of the database in $WORK/inline; tells of those that are no text.
collect() {
  local script up down
  : >"$WORK/inline"
  while IFS= read -r script; do
    if [[ -z "$script" ]]; then continue; fi
    up="$(jq --raw-output .up <<<"$script")"
    down="$(jq --raw-output '.down // ""' <<<"$script")"
    : >"$WORK/down"
    if ! text_of "$up" "$WORK/up" || { [[ -n "$down" ]] && ! text_of "$down" "$WORK/down"; }; then
      echo "$up, or its down script, is no text in UTF-8" >>"$WORK/problems"
      continue
    fi
    jq --null-input --compact-output --argjson script "$script" --rawfile up "$WORK/up" --rawfile down "$WORK/down" '
      {fileName: $script.fileName, upScript: $up} + (if $script.down != null then {downScript: $down} else {} end)' >>"$WORK/inline"
  done <<<"$(jq --compact-output '.scripts[]' "$WORK/scripts.json")"
}

case "${DBVC_PREVIEW:-plan}" in
  plan) dry_run=true ;;
  execute) dry_run='"execute"' ;;
  *) fail 2 'DBVC_PREVIEW must be plan or execute.' ;;
esac
connect
require_environment
find_databases
worst=0
echo '### What these migrations would do'
echo
echo "On ${DBVC_PLACE:-the databases of $DBVC_ENVIRONMENT}. Nothing was registered."
for database in "${DATABASES[@]}"; do
  use_database "$database"
  jq --raw-output '.problems[] | "\(.file): \(.message)"' "$WORK/scripts.json" >"$WORK/problems"
  collect
  preview "$dry_run"
  how=planned
  if [[ "$dry_run" != true ]]; then
    how='run in one transaction and rolled back'
    if grep -q '"not-transactional"' "$WORK/answer"; then
      how='planned, since one of the scripts cannot run in a transaction'
      preview true
    fi
  fi
  echo
  echo "**\`$DATABASE_ID\`** ($ENGINE): $how"
  if ! is_success; then
    answer_sentences >>"$WORK/problems"
    if (($(exit_code) > worst)); then worst="$(exit_code)"; fi
  fi
  ask 'preview_table' "$WORK/answer" 2>/dev/null || true
  if [[ -s "$WORK/problems" ]]; then
    if ((worst == 0)); then worst=1; fi
    echo
    ask '$text | fenced' --null-input --rawfile text "$WORK/problems"
    complain "$(cat "$WORK/problems")"
  fi
done
exit "$worst"
