#Requires -Version 5.1

<#
.SYNOPSIS
Verifies that dbvc's records of a database are whole and true.

.DESCRIPTION
Checks scripts against their checksums, states against the history of executions, locks, the audit trail, its copy in the
archive, and drift. -Fix mends what needs no guessing: locks and executions of a dead owner, states that follow from the
history, the copy in the archive, events that wait. It never mends a checksum or a schema.

Ends with 0 when healthy, 1 when a check failed or something else is wrong, 2 when it was called wrongly.

.PARAMETER Database
The id of the database.

.PARAMETER Environment
The environment: dev or prod.

.PARAMETER Fix
Mends what needs no guessing. This is what releases a lock that seems to be stuck.

.PARAMETER ResolveExecution
The id of an execution that ended half applied, and about which a person now decides. Goes with -ResolveAs.

.PARAMETER ResolveAs
What is true of it: applied or failed.

.PARAMETER Executor
Who is said to have done it. Default: who started the GitHub workflow, else the user of this machine.

.PARAMETER BaseUrl
The address of the app. Default: DBVC_BASE_URL_<ENVIRONMENT>, then DBVC_BASE_URL, then http://127.0.0.1:7071.

.PARAMETER FunctionKey
The function key. Default: DBVC_FUNCTION_KEY_<ENVIRONMENT>, then DBVC_FUNCTION_KEY, then the vault.

.PARAMETER KeyVaultName
The Key Vault whose secret dbvc-function-key is the key. Default: DBVC_KEY_VAULT_<ENVIRONMENT>, then DBVC_KEY_VAULT.

.PARAMETER Json
Prints the answer of the service, and nothing else, on standard output.

.EXAMPLE
./Test-MigrationIntegrity.ps1 -Database "lpa-bloom-sql-prod" -Environment prod

.EXAMPLE
./Test-MigrationIntegrity.ps1 -Database "lpa-bloom-sql-dev" -Environment dev -Fix
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [Alias('DatabaseId')] [string] $Database,
    [Parameter(Mandatory)] [string] $Environment,
    [switch] $Fix,
    [string] $ResolveExecution = '',
    [ValidateSet('applied', 'failed')] [string] $ResolveAs = '',
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
    if ([bool] $ResolveExecution -ne [bool] $ResolveAs) {
        throw (New-DbvcFailure -ExitCode 2 -Message '-ResolveExecution and -ResolveAs go together: which execution, and whether it was applied or failed.')
    }
    $connection = Get-DbvcConnection -Environment $Environment -BaseUrl $BaseUrl -FunctionKey $FunctionKey -KeyVaultName $KeyVaultName
    if (-not $Executor) { $Executor = Get-DbvcPerson }

    $body = [ordered] @{
        databaseId  = $Database
        environment = $Environment
        executor    = $Executor
    }
    # Verifying alone changes nothing, so it is done under -WhatIf too.
    if ($ResolveExecution -and $PSCmdlet.ShouldProcess("$Database ($Environment)", "Record the execution $ResolveExecution as $ResolveAs")) {
        $body['resolve'] = [ordered] @{ executionId = $ResolveExecution; as = $ResolveAs.ToLowerInvariant() }
    }
    if ($Fix -and $PSCmdlet.ShouldProcess("$Database ($Environment)", 'Mend what needs no guessing')) {
        $body['fix'] = $true
    }
    $answer = Invoke-DbvcRequest -Connection $connection -Method 'POST' -Path 'integrity/verify' -Body $body
    Assert-DbvcAnswer -Answer $answer

    $exitCode = 1
    if ($answer.Body.healthy) { $exitCode = 0 }
    if ($Json) {
        $answer.Text
        exit $exitCode
    }

    $checks = @($answer.Body.checks)
    $rows = @(
        foreach ($check in $checks) {
            [ordered] @{ check = $check.code; status = $check.status; finding = $check.detail }
        }
    )
    Format-DbvcTable -Rows $rows
    foreach ($check in $checks) {
        foreach ($item in @($check.items)) {
            $words = $item
            if ($item -isnot [string]) { $words = ConvertTo-Json -InputObject $item -Depth 10 -Compress }
            "  $($check.code): $words"
        }
    }
    $failed = @($checks | Where-Object { $_.status -eq 'fail' })
    ''
    if ($exitCode -eq 0) {
        "$Database is healthy."
    }
    else {
        "$Database is not healthy: $($failed.Count) of $($checks.Count) checks failed."
        if (-not $Fix) { 'Next: -Fix mends what needs no guessing; docs/troubleshooting.md has the rest.' }
        else { 'Next: what is left needs a person; docs/troubleshooting.md says what to do.' }
    }
    exit $exitCode
}
catch {
    if ($Json) { Get-DbvcFailureJson -ErrorRecord $_ } else { Write-DbvcFailure -ErrorRecord $_ }
    exit (Get-DbvcExitCode -ErrorRecord $_)
}
