# Calls the HTTP API of dbvc, and shows its answers and problems to a person. The scripts beside it are the commands.
# ASCII only: Windows PowerShell reads a file without a byte order mark in the code page of the machine.
#Requires -Version 5.1

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
# The exit code of a program is looked at here; PowerShell 7.4 and newer could otherwise throw first.
$PSNativeCommandUseErrorActionPreference = $false

Add-Type -AssemblyName System.Net.Http

# The secret of a vault that holds the function key.
$script:keySecretName = 'dbvc-function-key'

# What a person calls the fields of a request.
$script:parameterOfField = @{
    allowNotEmpty         = '-AllowNotEmpty'
    author                = '-Author'
    baseline              = '-Baseline'
    cascade               = '-Cascade'
    confirm               = '-ConfirmMigrationId'
    databaseId            = '-Database'
    description           = '-Description'
    downScript            = '-DownScript'
    environment           = '-Environment'
    executor              = '-Executor'
    migrationId           = '-MigrationId'
    name                  = '-Name'
    outOfOrder            = '-OutOfOrder'
    reason                = '-Reason'
    reregister            = '-Reregister'
    'resolve.as'          = '-ResolveAs'
    'resolve.executionId' = '-ResolveExecution'
    target                = '-Target'
    type                  = '-Type'
    upScript              = '-UpScript'
    version               = '-Version'
}

# What to do next, in the words of these scripts.
$script:nextStep = @{
    'already-registered'    = 'Next: New-Migration.ps1 -Reregister replaces the text of the pending migration.'
    'checksum-mismatch'     = 'Next: restore the text that was applied. If the change makes no difference, New-Migration.ps1 -Reregister records it; a change that must take effect is a new migration.'
    'confirmation-required' = 'Next: answer the question of Undo-Migration.ps1, or give -ConfirmMigrationId.'
    'drifted'               = 'Next: look at what was changed by hand (GET drift); Export-SchemaSnapshot.ps1 -Type baseline declares the present state right.'
    'half-applied'          = 'Next: look at the database, then say what is true: Test-MigrationIntegrity.ps1 -ResolveExecution <id> -ResolveAs applied (or failed).'
    'locked'                = 'Next: wait, and run again. A dead owner is found by itself once its lease is over; Test-MigrationIntegrity.ps1 -Fix does it without running anything.'
    'migration-failed'      = 'Next: mend the script, register it with New-Migration.ps1 -Reregister, and run Invoke-Migrations.ps1 again.'
    'no-down-script'        = 'Next: register one with New-Migration.ps1 -Reregister -DownScript, or write a new migration that undoes it.'
    'not-applied'           = 'Next: Get-MigrationStatus.ps1 -Detailed shows what is applied.'
    'not-empty'             = 'Next: Invoke-Migrations.ps1 -Baseline <version> marks the scripts up to that version as applied, -AllowNotEmpty runs all of them on what is there. If dbvc manages the database under another id, give that id by -Database.'
    'not-latest'            = 'Next: Undo-Migration.ps1 -Cascade rolls back the later ones first.'
    'out-of-order'          = 'Next: Invoke-Migrations.ps1 -OutOfOrder allow runs it, -OutOfOrder skip leaves it out.'
    'unavailable'           = 'Next: run again in a moment; the log of the app has the cause.'
    'unknown-database'      = 'Next: Get-MigrationStatus.ps1 lists the databases; -Database takes one of them.'
    'unknown-migration'     = 'Next: Get-MigrationStatus.ps1 -Detailed lists the migrations.'
    'wrong-environment'     = 'Next: -BaseUrl, or the variable DBVC_BASE_URL_<ENVIRONMENT>, names the app of that environment.'
}

function Select-FirstValue {
    param([string[]] $Values)
    foreach ($value in $Values) {
        if (-not [string]::IsNullOrWhiteSpace($value)) { return $value.Trim() }
    }
    ''
}

function Get-DbvcValue {
    # The value of a property that may not be there, or null; the elements of a list come one by one.
    [CmdletBinding()]
    param($InputObject, [Parameter(Mandatory)] [string] $Name)
    if ($null -eq $InputObject) { return $null }
    $property = $InputObject.PSObject.Properties[$Name]
    if ($null -eq $property) { return $null }
    $property.Value
}

function New-DbvcFailure {
    # An exception that carries the exit code of the script, and the JSON of the problem where there is one.
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [string] $Message,
        [int] $ExitCode = 1,
        [string] $Json = ''
    )
    $exception = New-Object System.InvalidOperationException -ArgumentList $Message
    $exception.Data['DbvcExitCode'] = $ExitCode
    $exception.Data['DbvcJson'] = $Json
    $exception
}

function Get-DbvcExitCode {
    # 2 when the script was called wrongly, else 1.
    [CmdletBinding()]
    param([Parameter(Mandatory)] [System.Management.Automation.ErrorRecord] $ErrorRecord)
    $data = $ErrorRecord.Exception.Data
    if ($data.Contains('DbvcExitCode')) { return [int] $data['DbvcExitCode'] }
    1
}

function Get-DbvcFailureJson {
    # The problem as the service sent it; what happened before it could answer has the same form.
    [CmdletBinding()]
    param([Parameter(Mandatory)] [System.Management.Automation.ErrorRecord] $ErrorRecord)
    $data = $ErrorRecord.Exception.Data
    if ($data.Contains('DbvcJson') -and $data['DbvcJson']) { return [string] $data['DbvcJson'] }
    $problem = [ordered] @{
        type   = 'about:blank'
        title  = 'The command failed'
        detail = [string] $ErrorRecord.Exception.Message
    }
    ConvertTo-Json -InputObject $problem -Compress
}

function Write-DbvcFailure {
    # On the error stream of the process, so that redirected output holds results only.
    [CmdletBinding()]
    param([Parameter(Mandatory)] [System.Management.Automation.ErrorRecord] $ErrorRecord)
    [System.Console]::Error.WriteLine($ErrorRecord.Exception.Message)
    if (-not $ErrorRecord.Exception.Data.Contains('DbvcExitCode')) {
        # Nobody foresaw this one: say where it happened.
        [System.Console]::Error.WriteLine($ErrorRecord.ScriptStackTrace)
    }
}

function Get-DbvcPerson {
    # Who is said to have done it: in a GitHub workflow who started it, else the user of this machine.
    [CmdletBinding()]
    param()
    Select-FirstValue @(
        [System.Environment]::GetEnvironmentVariable('GITHUB_ACTOR'),
        [System.Environment]::UserName,
        'unknown'
    )
}

function Get-DbvcScriptSuffix {
    # How the name of a script for this engine ends.
    [CmdletBinding()]
    param([Parameter(Mandatory)] [string] $Engine)
    switch -CaseSensitive ($Engine) {
        'sql-server' { return '.sql' }
        'sqlite' { return '.sqlite.sql' }
        'cosmos' { return '.cosmos.json' }
    }
    throw (New-DbvcFailure -Message "dbvc has the engine '$Engine', which these scripts do not know: update them.")
}

function Invoke-DbvcAz {
    # The Azure command line; what it prints as an error goes to the terminal.
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [string[]] $Arguments,
        [switch] $AllowFailure
    )
    if ($null -eq (Get-Command -Name 'az' -ErrorAction SilentlyContinue)) {
        throw (New-DbvcFailure -ExitCode 2 -Message 'The Azure command line (az) is not on the PATH. Install it, and log in with: az login')
    }
    # In Windows PowerShell a program's words on stderr would otherwise be able to end the script.
    $ErrorActionPreference = 'Continue'
    $output = & az @Arguments
    $code = $LASTEXITCODE
    $ErrorActionPreference = 'Stop'
    if ($code -ne 0) {
        if ($AllowFailure) { return $null }
        $command = @($Arguments | Select-Object -First 3) -join ' '
        throw (New-DbvcFailure -Message "az $command ended with $code; what it said stands above.")
    }
    if ($null -eq $output) { return '' }
    (@($output) -join "`n").Trim()
}

function Get-KeyFromVault {
    param([Parameter(Mandatory)] [string] $VaultName)
    $key = Invoke-DbvcAz -AllowFailure -Arguments @(
        'keyvault', 'secret', 'show', '--vault-name', $VaultName, '--name', $script:keySecretName,
        '--query', 'value', '--output', 'tsv'
    )
    if ([string]::IsNullOrWhiteSpace($key)) {
        throw (New-DbvcFailure -ExitCode 2 -Message (
            "The function key could not be read from the vault $VaultName, secret $script:keySecretName. " +
            'Log in with az login, have the role Key Vault Secrets User on the vault, or give the key by -FunctionKey.'))
    }
    $key
}

function Get-DbvcConnection {
    # Where the app is, and the key for it. A key is never printed, and never sent in the clear to another machine.
    [CmdletBinding()]
    param(
        [string] $Environment = '',
        [string] $BaseUrl = '',
        [string] $FunctionKey = '',
        [string] $KeyVaultName = '',
        # For what takes no key: neither the environment nor a vault is asked for one.
        [switch] $Anonymous
    )
    $suffix = ''
    if ($Environment) { $suffix = '_' + ($Environment.ToUpperInvariant() -replace '[^A-Z0-9]', '_') }
    $url = Select-FirstValue @(
        $BaseUrl,
        [System.Environment]::GetEnvironmentVariable("DBVC_BASE_URL$suffix"),
        [System.Environment]::GetEnvironmentVariable('DBVC_BASE_URL'),
        'http://127.0.0.1:7071'
    )
    $uri = $null
    $isUrl = [System.Uri]::TryCreate($url, [System.UriKind]::Absolute, [ref] $uri)
    if (-not $isUrl -or $uri.Scheme -notin @('http', 'https')) {
        throw (New-DbvcFailure -ExitCode 2 -Message '-BaseUrl (or DBVC_BASE_URL) must be the address of the app, such as https://my-app.azurewebsites.net.')
    }
    if ($uri.Query -or $uri.UserInfo) {
        throw (New-DbvcFailure -ExitCode 2 -Message '-BaseUrl (or DBVC_BASE_URL) must not carry a key, a query or a password: give the key by -FunctionKey or DBVC_FUNCTION_KEY.')
    }
    $root = $uri.GetLeftPart([System.UriPartial]::Path).TrimEnd('/') -replace '(?i)/api(/dbvc)?$', ''

    $key = Select-FirstValue @($FunctionKey)
    if (-not $key -and $KeyVaultName -and -not $Anonymous) { $key = Get-KeyFromVault -VaultName $KeyVaultName }
    if (-not $key -and -not $Anonymous) {
        $key = Select-FirstValue @(
            [System.Environment]::GetEnvironmentVariable("DBVC_FUNCTION_KEY$suffix"),
            [System.Environment]::GetEnvironmentVariable('DBVC_FUNCTION_KEY')
        )
    }
    if (-not $key -and -not $Anonymous) {
        $vault = Select-FirstValue @(
            [System.Environment]::GetEnvironmentVariable("DBVC_KEY_VAULT$suffix"),
            [System.Environment]::GetEnvironmentVariable('DBVC_KEY_VAULT')
        )
        if ($vault) { $key = Get-KeyFromVault -VaultName $vault }
    }
    if ($key -and $uri.Scheme -ne 'https' -and -not $uri.IsLoopback) {
        throw (New-DbvcFailure -ExitCode 2 -Message "The function key is not sent to $root without encryption: write https.")
    }

    [System.Net.ServicePointManager]::SecurityProtocol = [System.Net.ServicePointManager]::SecurityProtocol -bor [System.Net.SecurityProtocolType]::Tls12
    $handler = New-Object System.Net.Http.HttpClientHandler
    # A redirect would carry the key to wherever it points.
    $handler.AllowAutoRedirect = $false
    $client = New-Object System.Net.Http.HttpClient -ArgumentList $handler
    # The platform cuts a caller off after 230 s.
    $client.Timeout = [System.TimeSpan]::FromSeconds(240)
    [pscustomobject] @{ Root = $root; Base = "$root/api/dbvc/"; Key = $key; Client = $client }
}

function Invoke-DbvcRequest {
    # One call. Gives its status, headers of interest, text and parsed body, whatever the status.
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] $Connection,
        [Parameter(Mandatory)] [string] $Path,
        [string] $Method = 'GET',
        [System.Collections.IDictionary] $Body = $null,
        [switch] $RespondAsync
    )
    $verb = New-Object System.Net.Http.HttpMethod -ArgumentList $Method
    $request = New-Object System.Net.Http.HttpRequestMessage -ArgumentList $verb, ($Connection.Base + $Path)
    [void] $request.Headers.TryAddWithoutValidation('Accept', 'application/json')
    if ($Connection.Key) { [void] $request.Headers.TryAddWithoutValidation('x-functions-key', $Connection.Key) }
    if ($RespondAsync) { [void] $request.Headers.TryAddWithoutValidation('Prefer', 'respond-async') }
    if ($null -ne $Body) {
        $json = ConvertTo-Json -InputObject $Body -Depth 20 -Compress
        $request.Content = New-Object System.Net.Http.StringContent -ArgumentList $json, ([System.Text.Encoding]::UTF8), 'application/json'
    }

    try {
        $task = $Connection.Client.SendAsync($request)
        # Not one long wait: Ctrl+C is heard between two short ones.
        while (-not $task.IsCompleted) { Start-Sleep -Milliseconds 20 }
        $response = $task.GetAwaiter().GetResult()
        $bytes = $response.Content.ReadAsByteArrayAsync().GetAwaiter().GetResult()
    }
    catch {
        $cause = $_.Exception
        $timedOut = $cause -is [System.OperationCanceledException]
        while ($null -ne $cause.InnerException) {
            $cause = $cause.InnerException
            if ($cause -is [System.OperationCanceledException]) { $timedOut = $true }
        }
        $words = $cause.Message.TrimEnd('.')
        if ($timedOut) { $words = 'no answer came within 240 s' }
        throw (New-DbvcFailure -Message (
            "dbvc cannot be reached at $($Connection.Root): $words.`n" +
            "Next: start it there ('dbvc serve' or 'func start'), or name another address by -BaseUrl or DBVC_BASE_URL."))
    }

    $text = [System.Text.Encoding]::UTF8.GetString($bytes)
    $parsed = $null
    if ($text) {
        try { $parsed = ConvertFrom-Json -InputObject $text } catch { $parsed = $null }
    }
    $location = ''
    if ($null -ne $response.Headers.Location) { $location = $response.Headers.Location.ToString() }
    $served = ''
    if ($null -ne $response.Headers.Date) { $served = $response.Headers.Date.UtcDateTime.ToString('yyyyMMddHHmmss', [System.Globalization.CultureInfo]::InvariantCulture) }
    [pscustomobject] @{
        Status   = [int] $response.StatusCode
        Location = $location
        # The service's clock, as a version.
        ServedAt = $served
        Text     = $text
        Body     = $parsed
        Root     = $Connection.Root
    }
}

function ConvertTo-Sentence {
    param([string] $Text)
    if (-not $Text) { return '' }
    $sentence = $Text.Substring(0, 1).ToUpperInvariant() + $Text.Substring(1)
    if ($sentence -notmatch '[.!?:]$') { $sentence += '.' }
    $sentence
}

function Get-ProblemFact {
    # The detail of a problem. What it says to do next is in the words of the API; nextStep has those of these scripts.
    param($Problem)
    $detail = [string] (Get-DbvcValue $Problem 'detail')
    if ((Get-DbvcValue $Problem 'code') -eq 'not-empty') { $detail = $detail -replace '(?s); send .*$', '' }
    ConvertTo-Sentence $detail
}

function Format-Problem {
    # A problem (RFC 9457) as sentences.
    param([Parameter(Mandatory)] $Answer)
    $body = $Answer.Body
    $code = [string] (Get-DbvcValue $body 'code')
    if (-not $code) {
        # Not dbvc's answer but that of the Functions host, or of somebody else.
        switch ($Answer.Status) {
            401 { return "The app at $($Answer.Root) refused the function key (401).`nNext: give it by -FunctionKey, DBVC_FUNCTION_KEY or -KeyVaultName; a key of one function opens that function only." }
            403 { return "The app at $($Answer.Root) lets nobody in from here (403).`nNext: look at its access restrictions." }
            404 { return "There is no dbvc at $($Answer.Root) (404).`nNext: check -BaseUrl; if it is right, the app has no code yet, or is still starting." }
        }
        if ($Answer.Status -ge 500) { return "The app at $($Answer.Root) is not ready (status $($Answer.Status)).`nNext: run again in a moment; the log of the app has the cause." }
        return "The app at $($Answer.Root) answered with status $($Answer.Status), which is no answer of dbvc.`nNext: check -BaseUrl."
    }

    $title = [string] (Get-DbvcValue $body 'title')
    "$title ($($Answer.Status) $code)."
    $fields = @(Get-DbvcValue $body 'errors' | Where-Object { $null -ne $_ })
    if ($fields.Count -gt 0) {
        foreach ($entry in $fields) {
            $field = [string] $entry.field
            $name = $field
            if ($script:parameterOfField.ContainsKey($field)) { $name = "$($script:parameterOfField[$field]) ($field)" }
            "  ${name}: $($entry.message)"
        }
    }
    else {
        Get-ProblemFact $body
    }
    $lock = Get-DbvcValue $body 'lock'
    if ($null -ne $lock) {
        "Held by $(Get-DbvcValue $lock 'owner') since $(Format-DbvcTime (Get-DbvcValue $lock 'acquiredAt')); its lease ends at $(Format-DbvcTime (Get-DbvcValue $lock 'expiresAt'))."
    }
    $run = Get-DbvcValue $body 'run'
    if ($null -ne $run) { Format-DbvcRun -Run $run -WithoutProblem }
    if ($script:nextStep.ContainsKey($code)) { $script:nextStep[$code] }
}

function Assert-DbvcAnswer {
    # Throws the problem that an answer is; lets every other answer pass.
    [CmdletBinding()]
    param([Parameter(Mandatory)] $Answer)
    if ($Answer.Status -ge 200 -and $Answer.Status -lt 300) {
        if ($null -ne $Answer.Body) { return }
        throw (New-DbvcFailure -ExitCode 2 -Message "What answers at $($Answer.Root) is not dbvc: it sent no JSON.`nNext: check -BaseUrl.")
    }
    $exitCode = 1
    if ($Answer.Status -in @(400, 401, 404, 405)) { $exitCode = 2 }
    $json = ''
    if ($null -ne (Get-DbvcValue $Answer.Body 'code')) { $json = $Answer.Text }
    $message = @(Format-Problem -Answer $Answer) -join "`n"
    throw (New-DbvcFailure -Message $message -ExitCode $exitCode -Json $json)
}

function Invoke-DbvcRun {
    # Starts a run or a rollback and follows it to its end; gives the answer that holds the finished run.
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] $Connection,
        [Parameter(Mandatory)] [string] $Path,
        [Parameter(Mandatory)] [System.Collections.IDictionary] $Body,
        [Parameter(Mandatory)] [string] $Activity,
        [switch] $Quiet
    )
    $answer = Invoke-DbvcRequest -Connection $Connection -Method 'POST' -Path $Path -Body $Body -RespondAsync
    Assert-DbvcAnswer -Answer $answer
    if ($answer.Status -ne 202) { return $answer }

    $runId = [string] $answer.Body.runId
    # Only the path is taken from Location: the key goes to the address that the caller named, and to no other.
    $runPath = "runs/$([System.Uri]::EscapeDataString($runId))"
    $match = [regex]::Match($answer.Location, '(?i)/api/dbvc/(runs/[^/?#]+)/?$')
    if ($match.Success) { $runPath = $match.Groups[1].Value }

    $showBar = -not $Quiet -and -not [System.Console]::IsOutputRedirected
    $started = [System.DateTime]::UtcNow
    $said = $started
    $delay = 200
    $faults = 0
    while ($answer.Body.status -in @('queued', 'running')) {
        $migrations = @($answer.Body.databases | ForEach-Object { $_.migrations })
        $open = @($migrations | Where-Object { $_.status -eq 'planned' })
        $done = $migrations.Count - $open.Count
        $current = ''
        if ($open.Count -gt 0) { $current = [string] $open[0].migrationId }
        $line = "$done of $($migrations.Count) done"
        if ($current) { $line += ", now $current" }
        if ($showBar) {
            $percent = 0
            if ($migrations.Count -gt 0) { $percent = [int] [System.Math]::Floor(100 * $done / $migrations.Count) }
            Write-Progress -Activity $Activity -Status $line -CurrentOperation "run $runId (it goes on when this command is stopped)" -PercentComplete $percent
        }
        elseif (-not $Quiet -and ([System.DateTime]::UtcNow - $said).TotalSeconds -ge 15) {
            # A log that is written to a file, or by a pipeline, shows that there is life.
            Write-Host "run ${runId}: $line, $([int] ([System.DateTime]::UtcNow - $started).TotalSeconds) s"
            $said = [System.DateTime]::UtcNow
        }
        Start-Sleep -Milliseconds $delay
        $delay = [int] [System.Math]::Min(2000, $delay * 1.5)

        $next = $null
        $fault = ''
        try { $next = Invoke-DbvcRequest -Connection $Connection -Path $runPath } catch { $fault = $_.Exception.Message }
        if ($null -ne $next -and ($next.Status -eq 429 -or $next.Status -ge 500)) {
            $fault = @(Format-Problem -Answer $next) -join "`n"
            $next = $null
        }
        if ($null -eq $next) {
            # An instance may be replaced while the run goes on elsewhere.
            $faults += 1
            if ($faults -ge 30) {
                throw (New-DbvcFailure -Message "The run $runId can no longer be followed; it may still go on.`n$fault`nNext: Get-MigrationStatus.ps1 shows how it ended.")
            }
            continue
        }
        $faults = 0
        Assert-DbvcAnswer -Answer $next
        $answer = $next
    }
    if ($showBar) { Write-Progress -Activity $Activity -Completed }
    $answer
}

function Get-DbvcRunExitCode {
    [CmdletBinding()]
    param([Parameter(Mandatory)] $Run)
    if ($Run.status -in @('succeeded', 'nothing-to-do')) { return 0 }
    1
}

function Format-DbvcTime {
    # UTC to the second. PowerShell 7 makes a date of a JSON time, Windows PowerShell leaves the text.
    [CmdletBinding()]
    param($Value)
    if ($null -eq $Value -or '' -eq [string] $Value) { return '' }
    $invariant = [System.Globalization.CultureInfo]::InvariantCulture
    if ($Value -is [datetime]) {
        $time = $Value.ToUniversalTime()
    }
    else {
        $time = [System.DateTimeOffset]::Parse([string] $Value, $invariant).UtcDateTime
    }
    $time.ToString("yyyy-MM-dd HH:mm:ss'Z'", $invariant)
}

function Format-DbvcTable {
    # Lines of a table, as wide as its contents; each row is an ordered dictionary with the same keys.
    [CmdletBinding()]
    param([System.Collections.IDictionary[]] $Rows, [string] $Indent = '')
    if ($null -eq $Rows -or $Rows.Count -eq 0) { return }
    $names = @($Rows[0].Keys | ForEach-Object { [string] $_ })
    $widths = @{}
    foreach ($name in $names) {
        $width = $name.Length
        foreach ($row in $Rows) { $width = [System.Math]::Max($width, ([string] $row[$name]).Length) }
        $widths[$name] = $width
    }
    $Indent + (@($names | ForEach-Object { $_.PadRight($widths[$_]) }) -join '  ').TrimEnd()
    $Indent + (@($names | ForEach-Object { '-' * $widths[$_] }) -join '  ')
    foreach ($row in $Rows) {
        $cells = @(foreach ($name in $names) { ([string] $row[$name]).PadRight($widths[$name]) })
        $Indent + ($cells -join '  ').TrimEnd()
    }
}

function Format-DbvcRun {
    # A run as lines: what happened on each database, every error with its line, every message of the server.
    [CmdletBinding()]
    param([Parameter(Mandatory)] $Run, [switch] $WithoutProblem)
    $kind = [string] $Run.kind
    if ($Run.dryRun -is [string]) { $kind = "rehearsal of a $kind (rolled back)" }
    elseif ($Run.dryRun) { $kind = "preview of a $kind" }
    $line = "$kind $($Run.runId): $($Run.status)"
    if ($null -ne $Run.durationMs) { $line += " after $($Run.durationMs) ms" }
    ConvertTo-Sentence $line
    foreach ($database in @($Run.databases)) {
        $from = 'none'
        if ($database.fromVersion) { $from = $database.fromVersion }
        $to = 'none'
        if ($database.toVersion) { $to = $database.toVersion }
        $line = "  $($database.databaseId) ($($database.engine)): $($database.status)"
        if ($database.status -eq 'nothing-to-do') { $line += ", version $to" }
        elseif ($database.fromVersion -or $database.toVersion) { $line += ", version $from -> $to" }
        if ($database.snapshotId) { $line += ", snapshot $($database.snapshotId)" }
        $line
        if ($null -ne $database.driftBefore) {
            $changes = @(Get-DbvcValue $database.driftBefore 'changes' | Where-Object { $null -ne $_ })
            "    Drift: $($changes.Count) objects had been changed by hand before this run."
        }
        $lock = Get-DbvcValue $database 'lock'
        if ($null -ne $lock) { "    Held by $(Get-DbvcValue $lock 'owner'); its lease ends at $(Format-DbvcTime (Get-DbvcValue $lock 'expiresAt'))." }
        if ($null -ne $database.problem -and -not $WithoutProblem) {
            "    $(Get-ProblemFact $database.problem)"
            $code = [string] $database.problem.code
            if ($script:nextStep.ContainsKey($code)) { "    $($script:nextStep[$code])" }
        }
        $rows = @(
            foreach ($migration in @($database.migrations)) {
                $count = 0
                foreach ($batch in @($migration.batches)) { $count += [long] $batch.rowsAffected }
                [ordered] @{
                    status    = $migration.status
                    version   = $migration.version
                    migration = $migration.migrationId
                    ms        = $migration.durationMs
                    rows      = $count
                }
            }
        )
        Format-DbvcTable -Rows $rows -Indent '    '
        foreach ($migration in @($database.migrations)) {
            foreach ($batch in @($migration.batches)) {
                foreach ($message in @($batch.messages)) { "    $($migration.migrationId), batch $($batch.index) said: $($message.text)" }
            }
            foreach ($fault in @($migration.errors)) {
                $place = "batch $($fault.batch)"
                if ($null -ne $fault.line) { $place = "line $($fault.line)" }
                if ($fault.procedure) { $place += " of $($fault.procedure)" }
                "    $($migration.migrationId), ${place}: $($fault.message) (error $($fault.number))"
            }
            $note = Get-DbvcValue $migration 'note'
            if ($note) { "    $($migration.migrationId): $note" }
        }
    }
    if ($WithoutProblem) { return }
    $failed = @($Run.databases | ForEach-Object { $_.migrations } | Where-Object { $_.status -eq 'failed' })
    if ($failed.Count -gt 0) { $script:nextStep['migration-failed'] }
    if ($Run.status -eq 'locked') { $script:nextStep['locked'] }
}

function Format-DbvcMigrationList {
    # The migrations of a status answer as a table.
    [CmdletBinding()]
    param($Migrations, [string] $Indent = '')
    $rows = @(
        foreach ($migration in @($Migrations)) {
            $down = 'no'
            if ($migration.hasDownScript) { $down = 'yes' }
            [ordered] @{
                version        = $migration.version
                migration      = $migration.migrationId
                status         = $migration.status
                'applied at'   = Format-DbvcTime $migration.appliedAt
                ms             = $migration.durationMs
                by             = $migration.executor
                author         = $migration.author
                'undo script'  = $down
            }
        }
    )
    Format-DbvcTable -Rows $rows -Indent $Indent
}
