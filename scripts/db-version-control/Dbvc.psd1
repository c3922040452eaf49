@{
    RootModule        = 'Dbvc.psm1'
    ModuleVersion     = '0.1.0'
    GUID              = '5d0f7f0e-6f57-4b6e-9c53-3a1b6f0f7f4b'
    Author            = 'LPA Development Team'
    Description       = 'Calls the HTTP API of dbvc, and shows its answers and problems to a person.'
    PowerShellVersion = '5.1'
    FunctionsToExport = @(
        'Assert-DbvcAnswer'
        'Format-DbvcMigrationList'
        'Format-DbvcRun'
        'Format-DbvcTable'
        'Format-DbvcTime'
        'Get-DbvcConnection'
        'Get-DbvcExitCode'
        'Get-DbvcFailureJson'
        'Get-DbvcPerson'
        'Get-DbvcRunExitCode'
        'Get-DbvcScriptSuffix'
        'Get-DbvcValue'
        'Invoke-DbvcAz'
        'Invoke-DbvcRequest'
        'Invoke-DbvcRun'
        'New-DbvcFailure'
        'Write-DbvcFailure'
    )
    CmdletsToExport   = @()
    VariablesToExport = @()
    AliasesToExport   = @()
}
