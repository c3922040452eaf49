#Requires -Version 5.1

<#
.SYNOPSIS
Captures the schema of a database as a snapshot.

.DESCRIPTION
dbvc keeps the snapshot; -OutFile also writes it, with the schema in it, into a file. A baseline declares the present schema
right: from then on drift is judged against it.

Ends with 0 when it was captured, 1 when something is wrong, 2 when it was called wrongly.

.PARAMETER Database
The id of the database.

.PARAMETER Environment
The environment: dev or prod.

.PARAMETER Type
baseline, manual, post-migration or scheduled.

.PARAMETER OutFile
A file that takes the snapshot as JSON; one that is there is replaced.

.PARAMETER Executor
Who is said to have captured it. Default: who started the GitHub workflow, else the user of this machine.

.PARAMETER BaseUrl
The address of the app. Default: DBVC_BASE_URL_<ENVIRONMENT>, then DBVC_BASE_URL, then http://127.0.0.1:7071.

.PARAMETER FunctionKey
The function key. Default: DBVC_FUNCTION_KEY_<ENVIRONMENT>, then DBVC_FUNCTION_KEY, then the vault.

.PARAMETER KeyVaultName
The Key Vault whose secret dbvc-function-key is the key. Default: DBVC_KEY_VAULT_<ENVIRONMENT>, then DBVC_KEY_VAULT.

.PARAMETER Json
Prints the answer of the service, and nothing else, on standard output.

.EXAMPLE
./Export-SchemaSnapshot.ps1 -Database "lpa-bloom-sql-prod" -Environment prod -Type baseline

.EXAMPLE
./Export-SchemaSnapshot.ps1 -Database "lpa-bloom-sql-dev" -Environment dev -OutFile schema.json
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [Alias('DatabaseId')] [string] $Database,
    [Parameter(Mandatory)] [string] $Environment,
    [ValidateSet('baseline', 'manual', 'post-migration', 'scheduled')] [string] $Type = 'manual',
    [string] $OutFile = '',
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
    if (-not $PSCmdlet.ShouldProcess("$Database ($Environment)", "Capture a $Type snapshot")) { exit 0 }

    $body = [ordered] @{
        databaseId  = $Database
        environment = $Environment
        type        = $Type.ToLowerInvariant()
        executor    = $Executor
    }
    $answer = Invoke-DbvcRequest -Connection $connection -Method 'POST' -Path 'snapshots' -Body $body
    Assert-DbvcAnswer -Answer $answer
    $snapshot = $answer.Body

    $file = ''
    if ($OutFile) {
        $file = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($OutFile)
        $path = "snapshots?databaseId=$([System.Uri]::EscapeDataString($Database))&snapshotId=$([System.Uri]::EscapeDataString($snapshot.snapshotId))"
        $whole = Invoke-DbvcRequest -Connection $connection -Path $path
        Assert-DbvcAnswer -Answer $whole
        [System.IO.File]::WriteAllText($file, $whole.Text + "`n")
    }

    if ($Json) {
        $answer.Text
        exit 0
    }
    "Captured a $($snapshot.type) snapshot of $($snapshot.databaseId) at $(Format-DbvcTime $snapshot.capturedAt)."
    $row = [ordered] @{}
    foreach ($property in $snapshot.objectCounts.PSObject.Properties) { $row[$property.Name] = $property.Value }
    Format-DbvcTable -Rows @($row) -Indent '  '
    "  snapshot  $($snapshot.snapshotId)"
    "  schema    $($snapshot.schemaHash)"
    if ($file) { "  file      $file" }
    exit 0
}
catch {
    if ($Json) { Get-DbvcFailureJson -ErrorRecord $_ } else { Write-DbvcFailure -ErrorRecord $_ }
    exit (Get-DbvcExitCode -ErrorRecord $_)
}
