# shellcheck shell=bash disable=SC2034 # what it sets is for those who source it
# Calls the HTTP API of dbvc for the scripts beside it, and says as sentences what it answers. To be sourced.
#
# From the environment:
#   DBVC_BASE_URL          address of the app, such as https://my-app.azurewebsites.net; required
#   DBVC_FUNCTION_KEY      a key that opens its functions; none for an app on this machine
#   DBVC_ENVIRONMENT       environment that is meant, such as dev; the app refuses to act for another one; required
#   DBVC_DATABASES         ids of databases, with blanks between them; default: all of the environment
#   DBVC_BASELINE          first run on databases that hold objects already: version up to which the scripts are in effect there;
#                          needs DBVC_DATABASES; default: none
#   DBVC_ALLOW_NOT_EMPTY   true: a first run may apply all scripts to a database that holds objects already; default: false
#   DBVC_MIGRATIONS_DIR    folder of the scripts; default: migrations
#   DBVC_EXECUTOR          who is said to have done it; default: GITHUB_ACTOR, then USER
#   DBVC_PATIENCE_SECONDS  how long to wait for a database that another run holds, or for an app that is not ready; default: 300
#   DBVC_REPORT            file to which every problem is appended as well; default: none
#   GITHUB_ACTIONS         set by GitHub: problems become annotations too
#
# The scripts end with 0 when all is well, 1 when something is wrong, 2 when they were called wrongly.
set -euo pipefail

PIPELINE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
WORK="$(mktemp -d)"
trap 'rm -rf "$WORK"' EXIT

MIGRATIONS_DIR="${DBVC_MIGRATIONS_DIR:-migrations}"
MIGRATIONS_DIR="${MIGRATIONS_DIR%/}"
EXECUTOR="${DBVC_EXECUTOR:-${GITHUB_ACTOR:-${USER:-unknown}}}"
PATIENCE="${DBVC_PATIENCE_SECONDS:-300}"

# ---- Telling

# Lines for the log. What a script's author or a server wrote may not pass for a command to the runner, which takes any line
# that begins with :: or ##[ for one, and a lone CR for the end of a line.
harmless() {
  tr '\r' ' ' <<<"$1" | sed -E 's/^([[:space:]]*)(::|##\[)/\1| \2/'
}

say() {
  harmless "$1"
}

complain() {
  local text
  text="$(harmless "$1")"
  printf '%s\n' "$text" >&2
  if [[ -n "${DBVC_REPORT:-}" ]]; then
    printf '%s\n' "$text" >>"$DBVC_REPORT"
  fi
}

# A program of jq, with the definitions of this folder: ask PROGRAM [arguments of jq].
ask() {
  local program="$1"
  shift
  jq -L "$PIPELINE" --raw-output "include \"sentences\"; $program" "$@"
}

# annotate LEVEL FILE LINE MESSAGE: shows GitHub where it is. FILE and LINE may be empty.
annotate() {
  if [[ -n "${GITHUB_ACTIONS:-}" ]]; then
    ask 'annotation($level; $file; $line; $message)' --null-input \
      --arg level "$1" --arg file "$2" --arg line "$3" --arg message "$4"
  fi
}

# fail CODE SENTENCES
fail() {
  complain "$2"
  annotate error '' '' "${2%%$'\n'*}"
  exit "$1"
}

# ---- Calling

# Checks how the script was called, and sets ROOT. The key is only ever read by jq: nothing that bash expands holds it, so
# that neither `bash -x` nor a list of processes shows it.
connect() {
  local url="${DBVC_BASE_URL:-}" host key
  if ! [[ "$url" =~ ^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@[:space:]]+(/[^?#@[:space:]]*)?$ ]]; then
    fail 2 'DBVC_BASE_URL must be the address of the app, such as https://my-app.azurewebsites.net, without a key, a query or a password.
Next: set it; the key goes into DBVC_FUNCTION_KEY.'
  fi
  while [[ "$url" == */ ]]; do url="${url%/}"; done
  ROOT="$(sed -E 's,/api(/dbvc)?$,,I' <<<"$url")"
  key="$(jq --null-input --raw-output 'env.DBVC_FUNCTION_KEY // ""
    | if test("^\\s*$") then "none" elif test("^\\s*[!-~]+\\s*$") then "fine" else "wrong" end')"
  if [[ "$key" == wrong ]]; then
    fail 2 'DBVC_FUNCTION_KEY holds what no key holds: blanks, line ends or letters outside ASCII.
Next: copy it once more.'
  fi
  host="${ROOT#*://}"
  host="${host%%/*}"
  if [[ "$key" == fine && "${ROOT,,}" == http://* ]] && ! [[ "${host,,}" =~ ^(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?$ ]]; then
    fail 2 "The function key is not sent to $ROOT without encryption: write https."
  fi
}

# An environment, where the script acts for one.
require_environment() {
  if [[ -z "${DBVC_ENVIRONMENT:-}" ]]; then
    fail 2 'DBVC_ENVIRONMENT must be the environment that is meant, such as dev.'
  fi
}

# transfer SECRET-HEADER METHOD URL [BODY-FILE [argument of curl…]]: one request. SECRET-HEADER is a program of jq that gives
# the header. Sets STATUS; the answer is in $WORK/answer, its headers in $WORK/head. Without an answer it fails and sets FAULT.
transfer() {
  local header="$1" method="$2" url="$3" body="${4:-}" fault
  local -a arguments=(
    # First: no configuration of the user's. A redirect is not followed: it would carry the key to wherever it points.
    --disable --config - --silent --show-error --globoff --proto '=http,https'
    # The platform cuts a caller off after 230 s.
    --connect-timeout 30 --max-time 240
    --request "$method" --output "$WORK/answer" --dump-header "$WORK/head" --write-out '%{http_code}'
  )
  shift $(($# < 4 ? $# : 4))
  if [[ -n "$body" ]]; then
    arguments+=(--header 'Content-Type: application/json' --header 'Expect:' --data-binary "@$body")
  fi
  : >"$WORK/answer"
  : >"$WORK/head"
  if STATUS="$(
    jq --null-input --raw-output "$header | select(. != \"\") | \"header = \" + tojson" |
      curl "${arguments[@]}" "$@" "$url" 2>"$WORK/fault"
  )"; then
    return 0
  fi
  fault="$(head -n 1 "$WORK/fault")"
  FAULT="${fault#curl: (*) }"
  return 1
}

# call METHOD PATH [BODY-FILE [argument of curl…]]: the same on the API. PATH is below /api/dbvc/.
call() {
  local method="$1" path="$2"
  shift 2
  if transfer 'env.DBVC_FUNCTION_KEY // "" | gsub("\\s"; "") | if . == "" then "" else "x-functions-key: " + . end' \
    "$method" "$ROOT/api/dbvc/$path" "${1:-}" --header 'Accept: application/json' "${@:2}"; then
    return 0
  fi
  FAULT="dbvc cannot be reached at $ROOT: ${FAULT:-no answer came}.
Next: look whether the app runs, and whether DBVC_BASE_URL is its address."
  return 1
}

# Seconds after which a request may be sent again.
retry_after() {
  local seconds
  seconds="$(sed -nE 's/^retry-after:[[:space:]]*([0-9]{1,4})[[:space:]]*$/\1/Ip' "$WORK/head" | tail -n 1)"
  seconds="$((10#${seconds:-5}))"
  echo "$((seconds < 1 ? 1 : seconds > 60 ? 60 : seconds))"
}

# The same as call, and again while the answer is 423 or 503, for as long as DBVC_PATIENCE_SECONDS says: neither has done
# anything, and whatever the scripts ask for can be asked for twice. Fails when nobody answers.
request() {
  local began="$SECONDS" pause
  while true; do
    call "$@" || fail 1 "$FAULT"
    if [[ "$STATUS" != 423 && "$STATUS" != 503 ]]; then return 0; fi
    # A newer dbvc has been at work there: waiting changes nothing.
    if grep -q '"registry-newer"' "$WORK/answer"; then return 0; fi
    pause="$(retry_after)"
    if ((SECONDS - began + pause > PATIENCE)); then return 0; fi
    say "$(answer_line); asking again in $pause s"
    sleep "$pause"
  done
}

# The problem that $WORK/answer is, in one line.
answer_line() {
  ask 'problem_line($text; $status; $root)' --null-input --rawfile text "$WORK/answer" --arg status "$STATUS" --arg root "$ROOT"
}

# The same in full, with every wrong field and every error of a script.
answer_sentences() {
  ask 'problem_sentences($text; $status; $root; $files[0])' --null-input --rawfile text "$WORK/answer" \
    --arg status "$STATUS" --arg root "$ROOT" --slurpfile files "$(files_of_ids)"
}

# What a problem means for how a script ends.
exit_code() {
  case "$STATUS" in
    400 | 401 | 404 | 405) echo 2 ;;
    *) echo 1 ;;
  esac
}

is_success() {
  [[ "$STATUS" == 2?? ]] && jq --exit-status 'type == "object"' "$WORK/answer" >/dev/null 2>&1
}

# Ends the script unless the answer is a good one.
expect_success() {
  if is_success; then return 0; fi
  complain "$(answer_sentences)"
  annotate error '' '' "$(answer_line)"
  exit "$(exit_code)"
}

# ---- Databases and scripts

# Sets DATABASES: a JSON object each, with databaseId, engine and folder.
find_databases() {
  local found
  if [[ -n "${DBVC_BASELINE:-}" && "${DBVC_DATABASES:-all}" == all ]]; then
    fail 2 'DBVC_BASELINE is for databases that DBVC_DATABASES names: it would mark scripts as applied on all of the environment.
Next: set DBVC_DATABASES to the ids of the databases that hold their tables already.'
  fi
  case "${DBVC_ALLOW_NOT_EMPTY:-}" in
    '' | true | false) ;;
    *) fail 2 'DBVC_ALLOW_NOT_EMPTY must be true or false.' ;;
  esac
  request GET databases
  expect_success
  found="$(jq --compact-output --arg environment "$DBVC_ENVIRONMENT" --arg wanted "${DBVC_DATABASES:-all}" '
    ($wanted | split("\\s+"; "") | map(select(. != ""))) as $ids
    | .databases[]
    | select(.environment == $environment and ($ids == ["all"] or (.databaseId | IN($ids[]))))' "$WORK/answer")"
  DATABASES=()
  if [[ -n "$found" ]]; then mapfile -t DATABASES <<<"$found"; fi
  if [[ "${DBVC_DATABASES:-all}" != all ]]; then
    local id
    for id in $DBVC_DATABASES; do
      if ! jq --exit-status --slurp --arg id "$id" 'any(.databaseId == $id)' <<<"$found" >/dev/null; then
        fail 2 "The app at $ROOT has no database $id of the environment $DBVC_ENVIRONMENT.
Next: check DBVC_DATABASES, and DBVC_BASE_URL; GET /api/dbvc/databases lists what there is."
      fi
    done
  elif ((${#DATABASES[@]} == 0)); then
    fail 2 "The app at $ROOT has no database of the environment $DBVC_ENVIRONMENT.
Next: check DBVC_ENVIRONMENT and DBVC_BASE_URL; GET /api/dbvc/databases lists what there is."
  fi
}

# use_database JSON: sets DATABASE_ID, ENGINE and FOLDER, and lists the scripts that are there for its engine in
# $WORK/scripts.json.
use_database() {
  local fields folder
  fields="$(jq --raw-output '[.databaseId, .engine, .folder // "."] | @tsv' <<<"$1")"
  IFS=$'\t' read -r DATABASE_ID ENGINE folder <<<"$fields"
  FOLDER="$MIGRATIONS_DIR"
  if [[ "$folder" != . ]]; then FOLDER="$MIGRATIONS_DIR/$folder"; fi
  local -a names=()
  local path
  for path in "$FOLDER"/*; do
    # With a slash, so that no name passes for an option of jq.
    if [[ -f "$path" ]]; then names+=("/${path##*/}"); fi
  done
  jq -L "$PIPELINE" --null-input --arg engine "$ENGINE" --arg folder "$FOLDER" \
    'include "scripts"; scripts_of($ARGS.positional | map(.[1:]); $engine; $folder)' --args ${names[@]+"${names[@]}"} >"$WORK/scripts.json"
}

# The file that holds the paths of the scripts by the ids of their migrations.
files_of_ids() {
  if [[ -f "$WORK/scripts.json" ]]; then
    jq .files "$WORK/scripts.json" >"$WORK/files.json"
  else
    echo '{}' >"$WORK/files.json"
  fi
  echo "$WORK/files.json"
}

# text_of FILE TARGET: the text of a script in UTF-8, every character as it is; fails when the file is no text.
text_of() {
  local encoding=UTF-8
  case "$(head -c 2 -- "$1" | od -An -tx1)" in
    ' ff fe' | ' fe ff') encoding=UTF-16 ;;
  esac
  iconv -f "$encoding" -t UTF-8 <"$1" >"$2" 2>/dev/null
}

# ---- Runs

# body_of_run MORE: the request for a run on the database, in $WORK/body, with more fields as JSON.
body_of_run() {
  jq --null-input --arg database "$DATABASE_ID" --arg environment "$DBVC_ENVIRONMENT" --arg executor "$EXECUTOR" --argjson more "$1" '
    {databaseId: $database, environment: $environment, executor: $executor} + $more
    + (env.DBVC_BASELINE // "" | if . != "" then {baseline: .} else {} end)
    + (if env.DBVC_ALLOW_NOT_EMPTY == "true" then {allowNotEmpty: true} else {} end)' >"$WORK/body"
}

# Starts a run or a rollback by POST PATH with the body in a file, follows it to its end and tells what it did. Sets ENDED to 0
# when it went well, else to what the script should end with.
run_to_its_end() {
  local told annotations=''
  ENDED=0
  request POST "$1" "$2" --header 'Prefer: respond-async'
  if is_success; then
    if [[ "$STATUS" == 202 ]]; then follow; fi
    told="$(ask 'run_sentences($files[0])' --slurpfile files "$(files_of_ids)" "$WORK/answer")"
    if jq --exit-status '.status | IN("succeeded", "nothing-to-do")' "$WORK/answer" >/dev/null; then
      say "$told"
      return
    fi
    ENDED=1
  else
    told="$(answer_sentences)"
    ENDED="$(exit_code)"
  fi
  complain "$told"
  if [[ -n "${GITHUB_ACTIONS:-}" ]]; then
    # One for each error of a script, in its line; without any, one that says what is wrong.
    annotations="$(ask 'parsed($text) | .run // . | select(.databases) | run_annotations($files[0])' --null-input \
      --rawfile text "$WORK/answer" --slurpfile files "$(files_of_ids)")"
    if [[ -n "$annotations" ]]; then printf '%s\n' "$annotations"; else annotate error '' '' "${told%%$'\n'*}"; fi
  fi
}

# Asks for the run that $WORK/answer began, until it has ended.
follow() {
  local id pause=200 faults=0 began="$SECONDS" said="$SECONDS" progress='it works'
  # Only the id is taken from the answer: the key goes to the address that the caller named, and to no other.
  id="$(sed -nE 's,^location:[^?#]*/api/dbvc/runs/([0-9A-Za-z-]+)/?[[:space:]]*$,\1,Ip' "$WORK/head")"
  if [[ -z "$id" ]]; then id="$(jq --raw-output '.runId | gsub("[^0-9A-Za-z-]"; "")' "$WORK/answer")"; fi
  while jq --exit-status '.status | IN("queued", "running")' "$WORK/answer" >/dev/null; do
    if ((SECONDS - said >= 15)); then
      # Not while nobody answers: then it is as it was.
      if ((faults == 0)); then progress="$(ask progress "$WORK/answer")"; fi
      say "run $id: $progress, $((SECONDS - began)) s"
      said="$SECONDS"
    fi
    sleep "$((pause / 1000)).$(printf '%03d' "$((pause % 1000))")"
    pause=$((pause * 3 / 2 > 2000 ? 2000 : pause * 3 / 2))
    if call GET "runs/$id" && [[ "$STATUS" != 429 && "$STATUS" != 5?? ]]; then
      expect_success
      faults=0
      continue
    fi
    # An instance may be replaced while the run goes on elsewhere.
    faults=$((faults + 1))
    if ((faults >= 30)); then
      fail 1 "The run $id can no longer be followed; it may still go on.
${FAULT:-The app at $ROOT answers with status $STATUS.}
Next: GET /api/dbvc/runs/$id shows how it ended."
    fi
    echo '{"status": "running"}' >"$WORK/answer"
  done
}
