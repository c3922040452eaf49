#Requires -Version 5.1

<#
.SYNOPSIS
Shows the state of the databases of an environment.

.DESCRIPTION
One line a database: version, counts, drift, lock and last run. With -Detailed also every migration.

Ends with 0, with 1 when a database has failed migrations or cannot be reached, 2 when it was called wrongly.

.PARAMETER Environment
The environment: dev or prod. Default: that of the app.

.PARAMETER Database
The id of one database. Default: all of the environment.

.PARAMETER Detailed
Lists the migrations too.

.PARAMETER BaseUrl
The address of the app. Default: DBVC_BASE_URL_<ENVIRONMENT>, then DBVC_BASE_URL, then http://127.0.0.1:7071.

.PARAMETER FunctionKey
The function key. Default: DBVC_FUNCTION_KEY_<ENVIRONMENT>, then DBVC_FUNCTION_KEY, then the vault.

.PARAMETER KeyVaultName
The Key Vault whose secret dbvc-function-key is the key. Default: DBVC_KEY_VAULT_<ENVIRONMENT>, then DBVC_KEY_VAULT.

.PARAMETER Json
Prints the answer of the service, and nothing else, on standard output.

.EXAMPLE
./Get-MigrationStatus.ps1 -Environment dev -Detailed

.EXAMPLE
./Get-MigrationStatus.ps1 -Environment prod -Json | ConvertFrom-Json
#>
[CmdletBinding()]
param(
    [string] $Environment = '',
    [Alias('DatabaseId')] [string] $Database = '',
    [switch] $Detailed,
    [string] $BaseUrl = '',
    [string] $FunctionKey = '',
    [string] $KeyVaultName = '',
    [switch] $Json
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Dbvc.psd1') -Force -Verbose:$false

try {
    $connection = Get-DbvcConnection -Environment $Environment -BaseUrl $BaseUrl -FunctionKey $FunctionKey -KeyVaultName $KeyVaultName
    $query = @()
    if ($Environment) { $query += "environment=$([System.Uri]::EscapeDataString($Environment))" }
    if ($Database -and $Database -ne 'all') { $query += "databaseId=$([System.Uri]::EscapeDataString($Database))" }
    if ($Detailed) { $query += 'detailed=true' }
    $path = 'migrations/status'
    if ($query.Count -gt 0) { $path += '?' + ($query -join '&') }

    $answer = Invoke-DbvcRequest -Connection $connection -Path $path
    Assert-DbvcAnswer -Answer $answer
    $databases = @($answer.Body.databases)

    $exitCode = 0
    foreach ($entry in $databases) {
        if (Get-DbvcValue $entry 'error') { $exitCode = 1; continue }
        if ($entry.counts.failed -gt 0) { $exitCode = 1 }
    }

    if ($Json) {
        $answer.Text
        exit $exitCode
    }

    "Environment: $($answer.Body.environment)"
    $rows = @(
        foreach ($entry in $databases) {
            $unreachable = Get-DbvcValue $entry 'error'
            if ($unreachable) {
                [ordered] @{
                    database = $entry.databaseId; engine = $entry.engine; version = '?'; applied = ''; pending = ''; failed = ''
                    'rolled back' = ''; drift = ''; lock = ''; 'last run' = 'not reached'
                }
                continue
            }
            $version = 'none'
            if ($entry.currentVersion) { $version = $entry.currentVersion }
            $drift = 'not judged'
            if ($null -ne $entry.drift.detected) {
                $drift = 'no'
                if ($entry.drift.detected) { $drift = 'YES' }
            }
            $lock = 'free'
            if ($null -ne $entry.lock) { $lock = "held by $($entry.lock.owner)" }
            $last = 'none'
            if ($null -ne $entry.lastRun) { $last = "$($entry.lastRun.status) $(Format-DbvcTime $entry.lastRun.finishedAt)".Trim() }
            [ordered] @{
                database      = $entry.databaseId
                engine        = $entry.engine
                version       = $version
                applied       = $entry.counts.applied
                pending       = $entry.counts.pending
                failed        = $entry.counts.failed
                'rolled back' = $entry.counts.rolledBack
                drift         = $drift
                lock          = $lock
                'last run'    = $last
            }
        }
    )
    Format-DbvcTable -Rows $rows
    if ($rows.Count -eq 0) { 'There is no database of this environment in the inventory.' }

    foreach ($entry in $databases) {
        $unreachable = Get-DbvcValue $entry 'error'
        if ($unreachable) {
            $words = Get-DbvcValue $unreachable 'detail'
            if (-not $words) { $words = [string] $unreachable }
            ''
            "$($entry.databaseId) cannot be reached: $words"
            continue
        }
        if ($Detailed) {
            ''
            $entry.databaseId
            $migrations = @(Get-DbvcValue $entry 'migrations' | Where-Object { $null -ne $_ })
            if ($migrations.Count -eq 0) { '  No migration is registered.' } else { Format-DbvcMigrationList -Migrations $migrations -Indent '  ' }
        }
    }
    exit $exitCode
}
catch {
    if ($Json) { Get-DbvcFailureJson -ErrorRecord $_ } else { Write-DbvcFailure -ErrorRecord $_ }
    exit (Get-DbvcExitCode -ErrorRecord $_)
}
