#Requires -Version 5.1

<#
.SYNOPSIS
Makes the Azure resources of an environment, or brings them up to date.

.DESCRIPTION
Deploys infra/main.<environment>.bicepparam with the Azure command line into a resource group, publishes the package where one
is given, looks whether the app is healthy, registers the managed Cosmos DB database in the inventory, and puts the function
key into the vault for the other scripts. It can be run again at any time.

With -WhatIf nothing is made: Azure tells what a deployment would change.

The home database is given by -SqlServer or in the parameter file, for an app that logs in as itself, or by the variable
SQL_CONNECTION_STRING, which goes into the vault and is never printed.

Ends with 0 when all is well, 1 when something is wrong, 2 when it was called wrongly.

.PARAMETER Environment
The environment: dev or prod. It names the parameter file.

.PARAMETER ResourceGroup
The resource group. Default: rg-dbvc-<environment>.

.PARAMETER Location
Where the resource group is made if it is not there.

.PARAMETER SubscriptionId
The subscription. Default: the one that the Azure command line is set to.

.PARAMETER SqlServer
The server of the home database, such as example.database.windows.net. Default: SQL_SERVER.

.PARAMETER ParameterFile
Another parameter file than infra/main.<environment>.bicepparam.

.PARAMETER Package
The zip of the app, which is published after the deployment.

.PARAMETER WaitSeconds
How long the app may take until it is healthy after the package was published.

.PARAMETER Json
Prints what was made as JSON, and nothing else, on standard output.

.EXAMPLE
./Initialize-Infrastructure.ps1 -Environment dev

.EXAMPLE
./Initialize-Infrastructure.ps1 -Environment prod -SqlServer example.database.windows.net -Package dbvc.zip

.EXAMPLE
./Initialize-Infrastructure.ps1 -Environment dev -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [string] $Environment,
    [string] $ResourceGroup = '',
    [string] $Location = 'australiaeast',
    [string] $SubscriptionId = '',
    [string] $SqlServer = '',
    [string] $ParameterFile = '',
    [string] $Package = '',
    [ValidateRange(0, 3600)] [int] $WaitSeconds = 300,
    [switch] $Json
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Dbvc.psd1') -Force -Verbose:$false

$subscription = @()
if ($SubscriptionId) { $subscription = @('--subscription', $SubscriptionId) }

function Wait-Healthy {
    # The last health answer: null where nobody answered.
    param($Connection, [int] $Seconds)
    $deadline = [System.DateTime]::UtcNow.AddSeconds($Seconds)
    while ($true) {
        $health = $null
        try { $health = Invoke-DbvcRequest -Connection $Connection -Path 'health' } catch { $health = $null }
        if ($null -ne $health -and $health.Status -eq 200 -and (Get-DbvcValue $health.Body 'status')) { return $health }
        if ([System.DateTime]::UtcNow -ge $deadline) { return $health }
        Start-Sleep -Seconds 5
    }
}

function Save-Key {
    # By a file, because a command line can be read by others; gives whether it worked.
    param([string] $VaultName, [string] $Key)
    $file = [System.IO.Path]::GetTempFileName()
    try {
        [System.IO.File]::WriteAllText($file, $Key)
        $saved = Invoke-DbvcAz -AllowFailure -Arguments (@(
                'keyvault', 'secret', 'set', '--vault-name', $VaultName, '--name', 'dbvc-function-key',
                '--file', $file, '--encoding', 'utf-8', '--query', 'name', '--output', 'tsv'
            ) + $subscription)
        return [bool] $saved
    }
    finally {
        [System.IO.File]::Delete($file)
    }
}

try {
    if (-not $ResourceGroup) { $ResourceGroup = "rg-dbvc-$Environment" }
    if (-not $ParameterFile) { $ParameterFile = [System.IO.Path]::Combine($PSScriptRoot, '..', '..', 'infra', "main.$Environment.bicepparam") }
    $ParameterFile = [System.IO.Path]::GetFullPath($ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($ParameterFile))
    if (-not [System.IO.File]::Exists($ParameterFile)) {
        throw (New-DbvcFailure -ExitCode 2 -Message "There is no file $ParameterFile. Copy one of its neighbours for a new environment, or name another by -ParameterFile.")
    }
    if ($Package) {
        $Package = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Package)
        if (-not [System.IO.File]::Exists($Package)) { throw (New-DbvcFailure -ExitCode 2 -Message "There is no file $Package; -Package must name the zip of the app.") }
    }

    $account = Invoke-DbvcAz -AllowFailure -Arguments (@('account', 'show', '--query', 'user.type', '--output', 'tsv') + $subscription)
    if (-not $account) { throw (New-DbvcFailure -ExitCode 2 -Message 'The Azure command line is not logged in, or does not know the subscription. Next: az login') }

    if (-not $SqlServer) { $SqlServer = [string] [System.Environment]::GetEnvironmentVariable('SQL_SERVER') }
    # A team may have written its server into the parameter file; then nothing is missing.
    $asks = [System.IO.File]::ReadAllText($ParameterFile) -match "readEnvironmentVariable\('SQL_SERVER'"
    if ($asks -and -not $SqlServer -and -not [System.Environment]::GetEnvironmentVariable('SQL_CONNECTION_STRING')) {
        throw (New-DbvcFailure -ExitCode 2 -Message (
            'The home database is not known: give its server, such as example.database.windows.net, by -SqlServer or SQL_SERVER, ' +
            "or write it into $ParameterFile, " +
            'or give a whole connection string by the variable SQL_CONNECTION_STRING.'))
    }
    # Who runs this may write the function key into the vault.
    $operator = ''
    if ($account -eq 'user') { $operator = [string] (Invoke-DbvcAz -AllowFailure -Arguments @('ad', 'signed-in-user', 'show', '--query', 'id', '--output', 'tsv')) }

    $groupThere = (Invoke-DbvcAz -Arguments (@('group', 'exists', '--name', $ResourceGroup) + $subscription)) -eq 'true'
    $make = $PSCmdlet.ShouldProcess("the resource group $ResourceGroup", "Deploy $ParameterFile")
    if (-not $make -and -not $WhatIfPreference) { exit 0 }
    if (-not $make -and -not $groupThere) {
        "The resource group $ResourceGroup is not there. A deployment would make it in $Location; what it would hold can only be shown when it exists."
        exit 0
    }

    # The parameter file reads these two; they are of the process, so that no command line shows them.
    $serverBefore = [System.Environment]::GetEnvironmentVariable('SQL_SERVER')
    $operatorBefore = [System.Environment]::GetEnvironmentVariable('DBVC_OPERATOR_PRINCIPAL_ID')
    $deployed = ''
    try {
        [System.Environment]::SetEnvironmentVariable('SQL_SERVER', $SqlServer)
        if ($operator) { [System.Environment]::SetEnvironmentVariable('DBVC_OPERATOR_PRINCIPAL_ID', $operator) }
        if (-not $make) {
            Invoke-DbvcAz -Arguments (@('deployment', 'group', 'what-if', '--resource-group', $ResourceGroup, '--parameters', $ParameterFile) + $subscription)
            exit 0
        }
        if (-not $groupThere) {
            [void] (Invoke-DbvcAz -Arguments (@('group', 'create', '--name', $ResourceGroup, '--location', $Location, '--output', 'none') + $subscription))
        }
        if (-not $Json) { Write-Host "Deploying into $ResourceGroup; this takes some minutes." }
        $deployed = Invoke-DbvcAz -Arguments (@(
                'deployment', 'group', 'create', '--resource-group', $ResourceGroup, '--name', "dbvc-$Environment",
                '--parameters', $ParameterFile, '--query', 'properties.outputs', '--output', 'json'
            ) + $subscription)
    }
    finally {
        [System.Environment]::SetEnvironmentVariable('SQL_SERVER', $serverBefore)
        [System.Environment]::SetEnvironmentVariable('DBVC_OPERATOR_PRINCIPAL_ID', $operatorBefore)
    }
    $outputs = ConvertFrom-Json -InputObject $deployed
    $appName = [string] $outputs.functionAppName.value
    $baseUrl = [string] $outputs.baseUrl.value
    $vaultName = [string] $outputs.keyVaultName.value
    $managedId = [string] $outputs.managedCosmosDatabase.value
    $grant = [string] $outputs.sqlGrant.value

    if ($Package) {
        if (-not $Json) { Write-Host "Publishing $Package to $appName." }
        $publish = @(
            'functionapp', 'deployment', 'source', 'config-zip', '--resource-group', $ResourceGroup, '--name', $appName,
            '--src', $Package, '--output', 'none'
        ) + $subscription
        # The app's role on the storage may be too new to be known everywhere: the first tries may fail, the last one tells.
        $published = $null
        for ($try = 1; $try -le 3 -and $null -eq $published; $try++) {
            $published = Invoke-DbvcAz -AllowFailure -Arguments $publish
            if ($null -eq $published) { Start-Sleep -Seconds 30 }
        }
        if ($null -eq $published) { [void] (Invoke-DbvcAz -Arguments $publish) }
    }

    $anonymous = Get-DbvcConnection -Environment $Environment -BaseUrl $baseUrl -Anonymous
    $patience = 0
    if ($Package) { $patience = $WaitSeconds }
    $health = Wait-Healthy -Connection $anonymous -Seconds $patience
    $healthy = $null -ne $health -and $health.Status -eq 200 -and [bool] (Get-DbvcValue $health.Body 'status')
    # What the platform answers for an app without code has no status of dbvc's.
    $hasCode = $null -ne $health -and [bool] (Get-DbvcValue $health.Body 'status')
    $state = 'without code'
    if ($hasCode) { $state = [string] $health.Body.status }

    $registered = ''
    $keyInVault = $false
    if ($healthy) {
        $key = [string] (Invoke-DbvcAz -Arguments (@(
                    'functionapp', 'keys', 'list', '--resource-group', $ResourceGroup, '--name', $appName, '--query', 'functionKeys.default', '--output', 'tsv'
                ) + $subscription))
        $connection = Get-DbvcConnection -Environment $Environment -BaseUrl $baseUrl -FunctionKey $key
        if ($managedId) {
            $row = [ordered] @{
                type         = 'cosmos'
                engine       = 'cosmos'
                environment  = $Environment
                serverName   = [string] $outputs.managedCosmosServer.value
                databaseName = $managedId
                folder       = 'cosmos'
                connection   = [string] $outputs.managedCosmosConnection.value
            }
            $path = "databases/$([System.Uri]::EscapeDataString($managedId))?executor=$([System.Uri]::EscapeDataString((Get-DbvcPerson)))"
            $put = Invoke-DbvcRequest -Connection $connection -Method 'PUT' -Path $path -Body $row
            Assert-DbvcAnswer -Answer $put
            $registered = $managedId
        }
        $keyInVault = Save-Key -VaultName $vaultName -Key $key
    }

    $exitCode = 0
    if (-not $healthy -and ($hasCode -or $Package)) { $exitCode = 1 }
    $made = [ordered] @{
        environment     = $Environment
        resourceGroup   = $ResourceGroup
        functionAppName = $appName
        baseUrl         = $baseUrl
        keyVaultName    = $vaultName
        archiveEndpoint = [string] $outputs.archiveEndpoint.value
        app             = $state
        registered      = $registered
        keyInVault      = $keyInVault
        sqlGrant        = $grant
    }
    if ($Json) {
        ConvertTo-Json -InputObject $made -Compress
        exit $exitCode
    }

    'Made, or there already:'
    "  resource group  $ResourceGroup"
    "  app             $appName, $state"
    "  address         $baseUrl"
    "  vault           $vaultName"
    "  archive         $($made.archiveEndpoint)"
    if ($registered) { "  registered      $registered" }
    $variable = $Environment.ToUpperInvariant() -replace '[^A-Z0-9]', '_'
    ''
    if ($grant) {
        'Once, in the home database, as its Entra ID administrator:'
        "  $grant"
    }
    if (-not $hasCode) {
        'Next: publish the app, and give the same command again: it then looks whether the app is healthy, registers the Cosmos DB'
        "database and saves the key. For example: func azure functionapp publish $appName --no-build"
    }
    elseif (-not $healthy) {
        "Next: the app is $state. Run the statement above if it was not run yet, look at the log of $appName, and give the same command again."
    }
    elseif ($keyInVault) {
        'For the other scripts:'
        "  `$env:DBVC_BASE_URL_$variable = '$baseUrl'"
        "  `$env:DBVC_KEY_VAULT_$variable = '$vaultName'"
    }
    else {
        "Next: the function key could not be saved in $vaultName. A new role takes some minutes to be known: give the same command again."
    }
    exit $exitCode
}
catch {
    if ($Json) { Get-DbvcFailureJson -ErrorRecord $_ } else { Write-DbvcFailure -ErrorRecord $_ }
    exit (Get-DbvcExitCode -ErrorRecord $_)
}
