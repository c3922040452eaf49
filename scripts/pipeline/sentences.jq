# Problems (RFC 9457) and runs of dbvc as sentences and as annotations of GitHub.

def sentence: if . == "" then . else (.[:1] | ascii_upcase) + .[1:] | if test("[.!?:]$") then . else . + "." end end;

# What to do next, in the words of the pipeline.
def next_step: {
  "already-registered": "Next: register it anew with \"reregister\": true.",
  "checksum-mismatch": "Next: put back the text that was applied, and bring the change as a new migration. Only where the change makes no difference, such as in a comment, record it by hand: New-Migration.ps1 -Reregister, or POST migrations with \"reregister\": true. Nothing was run.",
  "drifted": "Next: look at GET drift for what was changed by hand; a baseline snapshot (Export-SchemaSnapshot.ps1 -Type baseline) declares the present state right.",
  "half-applied": "Next: look at the database, then say what is true: Test-MigrationIntegrity.ps1 -ResolveExecution <id> -ResolveAs applied (or failed).",
  "locked": "Next: wait for the other run, and start this job again; DBVC_PATIENCE_SECONDS says how long a job waits.",
  "migration-failed": "Next: mend the script, and push it; the pipeline registers it anew, since it is not applied.",
  "missing-variant": "Next: write the script for this engine too, under the same version.",
  "not-empty": "Next: start the workflow by hand with baseline, the version up to which the scripts are in effect there, or with allow-not-empty to run all of them on what is there (DBVC_BASELINE, DBVC_ALLOW_NOT_EMPTY). If dbvc manages the database under another id, correct that id instead.",
  "out-of-order": "Next: give the script a newer version, or run it by hand: Invoke-Migrations.ps1 -OutOfOrder allow.",
  "unavailable": "Next: start this job again in a moment; the log of the app has the cause.",
  "unknown-database": "Next: check DBVC_DATABASES; GET databases lists what there is.",
  "wrong-environment": "Next: check DBVC_BASE_URL: it must be the app of DBVC_ENVIRONMENT."
};

# The detail of a problem. What it says to do next is in the words of the API; next_step has those of the pipeline.
def facts: (.detail // "") as $detail | if .code == "not-empty" then $detail | sub("; send .*$"; "") else $detail end;

def parsed($text): try ($text | fromjson | if type == "object" then . else {} end) catch {};

# Not dbvc's answer but that of the Functions host, or of somebody else.
def foreign($status; $root):
  if $status == "401" then ["The app at \($root) refused the function key (401).", "Next: check DBVC_FUNCTION_KEY; a key of one function opens that function only, so take a key of the host."]
  elif $status == "403" then ["The app at \($root) lets nobody in from here (403).", "Next: look at its access restrictions."]
  elif $status == "404" then ["There is no dbvc at \($root) (404).", "Next: check DBVC_BASE_URL; if it is right, the app has no code yet, or is still starting."]
  elif $status | startswith("5") then ["The app at \($root) is not ready (status \($status)).", "Next: start this job again in a moment; the log of the app has the cause."]
  else ["What answers at \($root) is not dbvc (status \($status)).", "Next: check DBVC_BASE_URL."]
  end;

# Every error of a migration, with its place. $files are the paths of the scripts by migration.
def place($files; $id; $kind): $files[$id] // {} | (if $kind == "rollback" then .down else .up end) // $id;

def error_lines($files; $kind): . as $migration | (.errors // [])[]
  | "\(place($files; $migration.migrationId; $kind))"
    + (if .procedure != null then ", line \(.line // "?") of \(.procedure)" elif .line != null then ", line \(.line)" else ", batch \(.batch)" end)
    + ": \(.message) (error \(.number))";

def versions: "version \(.fromVersion // "none") -> \(.toVersion // "none")";

def database_lines($files; $kind):
  ("  \(.databaseId) (\(.engine)): \(.status)"
    + (if .status == "nothing-to-do" then ", version \(.toVersion // "none")" elif .fromVersion != null or .toVersion != null then ", " + versions else "" end)
    + (if .snapshotId != null then ", snapshot \(.snapshotId)" else "" end)),
  (if .driftBefore != null then "    drift: \(.driftBefore.changes // [] | length) objects had been changed by hand before this run" else empty end),
  (if .lock != null then "    held by \(.lock.owner); its lease ends at \(.lock.expiresAt)" else empty end),
  (if .problem != null then "    " + (.problem | facts | sentence), ("    " + (next_step[.problem.code // ""] // empty)) else empty end),
  ((.migrations // [])[]
    | "    \(.status)  \(.migrationId)" + (if .durationMs != null then " (\(.durationMs) ms)" else "" end),
      ((.batches // [])[] | .index as $index | (.messages // [])[] | "      batch \($index) said: \(.text)"),
      ("      " + error_lines($files; $kind)),
      (if .note != null then "      \(.note)" else empty end));

def run_lines($files): . as $run
  | ("\(.kind)\(if .dryRun == false then "" elif .dryRun == "execute" then " on trial" else ", previewed" end) \(.runId): \(.status)"
      + (if .durationMs != null then " after \(.durationMs) ms" else "" end) | sentence),
    (.databases[] | database_lines($files; $run.kind)),
    (if [.databases[].migrations[]? | select(.status == "failed")] != [] then next_step["migration-failed"] else empty end),
    (if .status == "locked" then next_step.locked else empty end);

def run_sentences($files): [run_lines($files)] | join("\n");

def progress: [.databases[]?.migrations[]?] as $all
  | ([$all[] | select(.status == "planned")]) as $open
  | "\(($all | length) - ($open | length)) of \($all | length) done" + (if $open != [] then ", now \($open[0].migrationId)" else "" end);

def problem_line($text; $status; $root): parsed($text)
  | if .code == null then foreign($status; $root)[0] else "\(.title) (\($status) \(.code)): \(facts | sentence)" end;

def problem_sentences($text; $status; $root; $files): parsed($text)
  | [ if .code == null then foreign($status; $root)[]
      else
        "\(.title) (\($status) \(.code)).",
        (if (.errors // []) != [] then (.errors[] | "  \(.field): \(.message)") else facts | sentence end),
        (if .lock != null then "Held by \(.lock.owner) since \(.lock.acquiredAt); its lease ends at \(.lock.expiresAt)." else empty end),
        # The detail has said what is wrong with a database already.
        (if .run != null then .run | .databases |= map(.problem = null) | run_lines($files) else empty end),
        (if (.code == "migration-failed" or .code == "locked") and .run != null then empty else next_step[.code] // empty end)
      end ]
  | join("\n");

# ---- Annotations: https://docs.github.com/actions/reference/workflow-commands-for-github-actions

def escaped: gsub("%"; "%25") | gsub("\r"; "%0D") | gsub("\n"; "%0A");
def escaped_property: escaped | gsub(":"; "%3A") | gsub(","; "%2C");

def annotation($level; $file; $line; $message):
  "::\($level)"
  + (if $file == "" then "" else " file=\($file | escaped_property)" + (if $line == "" then "" else ",line=\($line)" end) end)
  + "::\($message | escaped)";

# The line of an error in a module is that of the module, not of the file.
def run_annotations($files): .kind as $kind
  | [ .databases[].migrations[]? | . as $migration | (.errors // [])[]
      | annotation("error"; place($files; $migration.migrationId; $kind);
          if .line != null and .procedure == null then "\(.line)" else "" end;
          "\(if .procedure != null then "line \(.line // "?") of \(.procedure): " else "" end)\(.message) (error \(.number))") ]
  | join("\n");

# ---- Markdown

# Text between fences that it cannot end itself.
def fenced: rtrimstr("\n") | ((([scan("`+") | length] | max) // 0) as $longest | "`" * ([$longest + 1, 3] | max)) as $fence | "\($fence)text\n\(.)\n\($fence)";

# What a preview would do, or what it came to before it failed.
def preview_table: (.run // .) | .databases[]
  | if (.migrations | length) == 0 then "\nNothing to do: version \(.toVersion // "none")."
    else
      "", "From \(versions | sub("->"; "to")).", "", "| migration | | to know |", "|---|---|---|",
      (.migrations[] | "| `\(.migrationId)` | \(.status) | \([.warnings[]? | "line \(.line): \(.code)"] | join(", ")) |")
    end;
