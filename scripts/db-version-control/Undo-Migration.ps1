#Requires -Version 5.1

<#
.SYNOPSIS
Rolls a migration back by its down script.

.DESCRIPTION
Only the newest applied migration can be rolled back, unless -Cascade first rolls back everything that was applied after it.
In prod the command shows what it would do and asks for the migration's id; whatever else is typed changes nothing.

Ends with 0 when it is rolled back, 1 when something is wrong, 2 when it was called wrongly.

.PARAMETER MigrationId
The id of the migration, as Get-MigrationStatus.ps1 -Detailed shows it.

.PARAMETER Database
The id of the database.

.PARAMETER Environment
The environment: dev or prod.

.PARAMETER Reason
Why, for the audit trail.

.PARAMETER Cascade
First rolls back everything that was applied after it, newest first.

.PARAMETER DryRun
Shows what would be rolled back, and touches no database.

.PARAMETER ConfirmMigrationId
For prod where nobody can be asked: the migration's id once more.

.PARAMETER Executor
Who is said to have done it. Default: who started the GitHub workflow, else the user of this machine.

.PARAMETER BaseUrl
The address of the app. Default: DBVC_BASE_URL_<ENVIRONMENT>, then DBVC_BASE_URL, then http://127.0.0.1:7071.

.PARAMETER FunctionKey
The function key. Default: DBVC_FUNCTION_KEY_<ENVIRONMENT>, then DBVC_FUNCTION_KEY, then the vault.

.PARAMETER KeyVaultName
The Key Vault whose secret dbvc-function-key is the key. Default: DBVC_KEY_VAULT_<ENVIRONMENT>, then DBVC_KEY_VAULT.

.PARAMETER Json
Prints the answer of the service, and nothing else, on standard output. In prod it needs -ConfirmMigrationId.

.EXAMPLE
./Undo-Migration.ps1 -MigrationId "20251127_143000_add_user_preferences" -Database "lpa-bloom-sql-dev" -Environment dev

.EXAMPLE
./Undo-Migration.ps1 -MigrationId "V101__add_user_preferences" -Database "lpa-bloom-sql-prod" -Environment prod -Reason "Sign-in fails"
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [string] $MigrationId,
    [Parameter(Mandatory)] [Alias('DatabaseId')] [string] $Database,
    [Parameter(Mandatory)] [string] $Environment,
    [string] $Reason = '',
    [switch] $Cascade,
    [switch] $DryRun,
    [string] $ConfirmMigrationId = '',
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
    $connection = Get-DbvcConnection -Environment $Environment -BaseUrl $BaseUrl -FunctionKey $FunctionKey -KeyVaultName $KeyVaultName
    if (-not $Executor) { $Executor = Get-DbvcPerson }
    $guarded = $Environment -eq 'prod'

    $preview = $DryRun.IsPresent
    if (-not $preview -and -not $PSCmdlet.ShouldProcess("$Database ($Environment)", "Roll back $MigrationId")) {
        # The person said no.
        if (-not $WhatIfPreference) { exit 0 }
        $preview = $true
    }

    $body = [ordered] @{
        migrationId = $MigrationId
        databaseId  = $Database
        environment = $Environment
        executor    = $Executor
    }
    if ($Reason) { $body['reason'] = $Reason }
    if ($Cascade) { $body['cascade'] = $true }

    if ($preview) {
        $body['dryRun'] = $true
    }
    elseif ($ConfirmMigrationId) {
        $body['confirm'] = $ConfirmMigrationId
    }
    elseif ($guarded) {
        if ($Json) {
            throw (New-DbvcFailure -ExitCode 2 -Message 'A rollback in prod with -Json needs -ConfirmMigrationId, because the question would stand in the output.')
        }
        # What the person is about to confirm.
        $body['dryRun'] = $true
        $plan = Invoke-DbvcRun -Connection $connection -Path 'migrations/rollback' -Body $body -Activity "Rollback of $MigrationId" -Quiet
        $body.Remove('dryRun')
        Format-DbvcRun -Run $plan.Body | Out-Host
        $typed = ''
        try {
            $typed = [string] (Read-Host -Prompt "This is prod. Type $MigrationId to roll back what is listed above")
        }
        catch {
            throw (New-DbvcFailure -ExitCode 2 -Message 'A rollback in prod asks for the migration''s id, and nobody can be asked here: give -ConfirmMigrationId. Nothing was rolled back.')
        }
        if ($typed.Trim() -cne $MigrationId) {
            throw (New-DbvcFailure -Message 'That is not the id of the migration. Nothing was rolled back.')
        }
        $body['confirm'] = $MigrationId
    }

    $answer = Invoke-DbvcRun -Connection $connection -Path 'migrations/rollback' -Body $body -Activity "Rollback of $MigrationId on $Database ($Environment)" -Quiet:$Json
    if ($Json) { $answer.Text } else { Format-DbvcRun -Run $answer.Body }
    exit (Get-DbvcRunExitCode -Run $answer.Body)
}
catch {
    if ($Json) { Get-DbvcFailureJson -ErrorRecord $_ } else { Write-DbvcFailure -ErrorRecord $_ }
    exit (Get-DbvcExitCode -ErrorRecord $_)
}
