#Requires -Version 5.1

<#
.SYNOPSIS
Runs the pending migrations of a database, or of all databases of an environment.

.DESCRIPTION
Starts a run through the HTTP API of dbvc, shows its progress, and prints what happened on each database: every migration,
every error with the line of the script, every message of the server. The run goes on when this command is stopped.

Ends with 0 when everything is applied (or there was nothing to do), 1 when something is wrong, 2 when it was called wrongly.

.PARAMETER Environment
The environment: dev or prod.

.PARAMETER Database
The id of the database, or all.

.PARAMETER DryRun
Shows what would run, and touches no database.

.PARAMETER Execute
With -DryRun: runs everything in one transaction and rolls it back.

.PARAMETER Target
The version to stop at, inclusive.

.PARAMETER OutOfOrder
What to do with a pending migration that is older than one that is applied: error, skip or allow.

.PARAMETER Baseline
A version: everything up to it is taken as applied, without running. For the first run on a database that holds its tables
already.

.PARAMETER AllowNotEmpty
Lets the first run apply all scripts to a database that holds objects already, which is refused otherwise.

.PARAMETER Executor
Who is said to have run it. Default: who started the GitHub workflow, else the user of this machine.

.PARAMETER BaseUrl
The address of the app. Default: DBVC_BASE_URL_<ENVIRONMENT>, then DBVC_BASE_URL, then http://127.0.0.1:7071.

.PARAMETER FunctionKey
The function key. Default: DBVC_FUNCTION_KEY_<ENVIRONMENT>, then DBVC_FUNCTION_KEY, then the vault.

.PARAMETER KeyVaultName
The Key Vault whose secret dbvc-function-key is the key. Default: DBVC_KEY_VAULT_<ENVIRONMENT>, then DBVC_KEY_VAULT.

.PARAMETER Json
Prints the answer of the service, and nothing else, on standard output.

.EXAMPLE
./Invoke-Migrations.ps1 -Environment dev -Database "lpa-bloom-sql-dev"

.EXAMPLE
./Invoke-Migrations.ps1 -Environment dev -Database all -DryRun

.EXAMPLE
./Invoke-Migrations.ps1 -Environment prod -Database "lpa-bloom-sql-prod" -Baseline 1
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [string] $Environment,
    [Parameter(Mandatory)] [Alias('DatabaseId')] [string] $Database,
    [switch] $DryRun,
    [switch] $Execute,
    [string] $Target = '',
    [ValidateSet('error', 'skip', 'allow')] [string] $OutOfOrder = 'error',
    [string] $Baseline = '',
    [switch] $AllowNotEmpty,
    [string] $Executor = '',
    [string] $BaseUrl = '',
    [string] $FunctionKey = '',
    [string] $KeyVaultName = '',
    [switch] $Json
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Dbvc.psd1') -Force -Verbose:$false

try {
    if ($Execute -and -not $DryRun) {
        throw (New-DbvcFailure -ExitCode 2 -Message '-Execute rehearses a run and rolls it back: it goes with -DryRun. To run, leave it out.')
    }
    $connection = Get-DbvcConnection -Environment $Environment -BaseUrl $BaseUrl -FunctionKey $FunctionKey -KeyVaultName $KeyVaultName
    if (-not $Executor) { $Executor = Get-DbvcPerson }

    $preview = $DryRun.IsPresent
    if (-not $preview -and -not $PSCmdlet.ShouldProcess("$Database ($Environment)", 'Run pending migrations')) {
        # The person said no.
        if (-not $WhatIfPreference) { exit 0 }
        $preview = $true
    }

    $body = [ordered] @{
        databaseId  = $Database
        environment = $Environment
        executor    = $Executor
    }
    if ($Target) { $body['target'] = $Target }
    if ($OutOfOrder -ne 'error') { $body['outOfOrder'] = $OutOfOrder.ToLowerInvariant() }
    if ($Baseline) { $body['baseline'] = $Baseline }
    if ($AllowNotEmpty) { $body['allowNotEmpty'] = $true }
    if ($Execute) { $body['dryRun'] = 'execute' } elseif ($preview) { $body['dryRun'] = $true }

    $answer = Invoke-DbvcRun -Connection $connection -Path 'migrations/run' -Body $body -Activity "Migrations of $Database ($Environment)" -Quiet:$Json
    if ($Json) { $answer.Text } else { Format-DbvcRun -Run $answer.Body }
    exit (Get-DbvcRunExitCode -Run $answer.Body)
}
catch {
    if ($Json) { Get-DbvcFailureJson -ErrorRecord $_ } else { Write-DbvcFailure -ErrorRecord $_ }
    exit (Get-DbvcExitCode -ErrorRecord $_)
}
