# Initialize-Infrastructure.ps1 with a double of the Azure command line and a real dbvc as the app.

BeforeAll {
    . (Join-Path $PSScriptRoot 'Support.ps1')
}

Describe 'Initialize-Infrastructure.ps1' {
    BeforeAll {
        $server = Start-Dbvc -Environment 'dev'
        $double = Join-Path $server.Folder 'double'
        [void] [System.IO.Directory]::CreateDirectory($double)
        $log = Join-Path $server.Folder 'az.log'
        $outputs = ConvertTo-Json -Compress -InputObject ([ordered] @{
                functionAppName         = @{ value = 'func-dbvc-dev-test' }
                baseUrl                 = @{ value = $server.BaseUrl }
                keyVaultName            = @{ value = 'kv-dbvc-dev-test' }
                archiveEndpoint         = @{ value = 'https://cosmos-dbvc-dev-test.documents.azure.com:443/' }
                managedCosmosDatabase   = @{ value = 'lpa-dbvc-dev' }
                managedCosmosServer     = @{ value = 'cosmos-managed-dev-test.documents.azure.com' }
                managedCosmosConnection = @{ value = 'keyvault:https://kv-dbvc-dev-test.vault.azure.net/secrets/managed-cosmos-connection-string' }
                sqlGrant                = @{ value = 'CREATE USER [func-dbvc-dev-test] FROM EXTERNAL PROVIDER;' }
            })
        $text = @"
`$line = `$args -join ' '
[System.IO.File]::AppendAllText('$log', "`$line``n")
switch -Wildcard (`$line) {
    'account show*' { 'user' }
    'ad signed-in-user*' { '11111111-2222-3333-4444-555555555555' }
    'group exists*' { 'true' }
    'deployment group what-if*' { 'Resource changes: 21 to create.' }
    'deployment group create*' { '$outputs' }
    'functionapp keys list*' { 'a-secret-key' }
    'keyvault secret set*' { 'dbvc-function-key' }
}
exit 0
"@
        [System.IO.File]::WriteAllText((Join-Path $double 'az.ps1'), $text)
        $pathBefore = $env:PATH
        $env:PATH = $double + [System.IO.Path]::PathSeparator + $env:PATH
        $sqlBefore = [System.Environment]::GetEnvironmentVariable('SQL_SERVER')
        [System.Environment]::SetEnvironmentVariable('SQL_SERVER', $null)
    }
    BeforeEach {
        [System.IO.File]::WriteAllText($log, '')
    }
    AfterAll {
        $env:PATH = $pathBefore
        [System.Environment]::SetEnvironmentVariable('SQL_SERVER', $sqlBefore)
        Stop-Dbvc -Server $server
    }

    It 'asks Azure what would change under -WhatIf, and makes nothing' {
        $result = Invoke-Script 'Initialize-Infrastructure.ps1' @('-Environment', 'dev', '-SqlServer', 'example.database.windows.net', '-WhatIf')
        $result.ExitCode | Should -Be 0
        $result.Text | Should -Match '21 to create'
        [System.IO.File]::ReadAllText($log) | Should -Not -Match 'deployment group create'
    }

    It 'deploys, registers the Cosmos DB database, and saves the key without printing it' {
        $result = Invoke-Script 'Initialize-Infrastructure.ps1' @('-Environment', 'dev', '-SqlServer', 'example.database.windows.net')
        $result.ExitCode | Should -Be 0
        $result.Text | Should -Match 'CREATE USER'
        $result.Text | Should -Not -Match 'a-secret-key'
        $calls = [System.IO.File]::ReadAllText($log)
        $calls | Should -Match 'deployment group create --resource-group rg-dbvc-dev .*main\.dev\.bicepparam'
        $calls | Should -Match 'keyvault secret set --vault-name kv-dbvc-dev-test --name dbvc-function-key'
        $calls | Should -Not -Match 'a-secret-key'
        $status = (Invoke-Script 'Get-MigrationStatus.ps1' @('-Environment', 'dev', '-Json', '-BaseUrl', $server.BaseUrl) -OutputOnly).Text | ConvertFrom-Json
        @($status.databases | ForEach-Object { $_.databaseId }) | Should -Contain 'lpa-dbvc-dev'
    }

    It 'needs to know the home database, and a parameter file' {
        (Invoke-Script 'Initialize-Infrastructure.ps1' @('-Environment', 'dev')).ExitCode | Should -Be 2
        (Invoke-Script 'Initialize-Infrastructure.ps1' @('-Environment', 'nope', '-SqlServer', 'example.database.windows.net')).ExitCode | Should -Be 2
    }
}
