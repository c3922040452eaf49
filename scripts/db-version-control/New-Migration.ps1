#Requires -Version 5.1

<#
.SYNOPSIS
Creates a migration: registers its scripts with dbvc and writes their files into the folder of the database.

.DESCRIPTION
With a script (-UpScript or -UpScriptPath) the migration is registered; the service gives its version, and the files
V<version>__<name> and U<version>__<name> are written with it. A file that has such a name already keeps its version, and is
copied into the folder if it is not there.

Without a script, and without a file of that name in the folder, two drafts are written for you to fill in. A draft cannot be
registered as long as its first line is there. Once the scripts are written, the same command registers them.

Ends with 0 when all is well, 1 when something is wrong, 2 when it was called wrongly.

.PARAMETER Name
What it does: action_entity_detail, in lower case letters, digits and _.

.PARAMETER Database
The id of the database.

.PARAMETER Author
Who wrote it.

.PARAMETER Description
One sentence about it.

.PARAMETER UpScript
The text of the up script.

.PARAMETER DownScript
The text of the down script, which undoes it.

.PARAMETER UpScriptPath
The file of the up script. When its name has a version, the down script is looked for beside it.

.PARAMETER DownScriptPath
The file of the down script.

.PARAMETER Version
A version such as 102, instead of the one that the service gives.

.PARAMETER Reregister
Replaces the text of a registered migration. For an applied one it records the new checksum and runs nothing.

.PARAMETER MigrationsPath
The folder of the migrations. Default: DBVC_MIGRATIONS_DIR, then the folder migrations of this repository.

.PARAMETER Environment
The environment, to find the address and the key of its app: dev or prod.

.PARAMETER BaseUrl
The address of the app. Default: DBVC_BASE_URL_<ENVIRONMENT>, then DBVC_BASE_URL, then http://127.0.0.1:7071.

.PARAMETER FunctionKey
The function key. Default: DBVC_FUNCTION_KEY_<ENVIRONMENT>, then DBVC_FUNCTION_KEY, then the vault.

.PARAMETER KeyVaultName
The Key Vault whose secret dbvc-function-key is the key. Default: DBVC_KEY_VAULT_<ENVIRONMENT>, then DBVC_KEY_VAULT.

.PARAMETER Json
Prints the answer of the service, and nothing else, on standard output; for drafts an object that names the files.

.EXAMPLE
./New-Migration.ps1 -Name "add_user_preferences" -Database "lpa-bloom-sql-dev" -Author "Your Name"

.EXAMPLE
./New-Migration.ps1 -Name "add_colour_themes" -Database "lpa-bloom-sql-dev" -Author "Your Name" `
    -UpScript "CREATE TABLE colour_themes (id INTEGER PRIMARY KEY, name TEXT NOT NULL);" -DownScript "DROP TABLE colour_themes;"

.EXAMPLE
./New-Migration.ps1 -Name "add_colour_themes" -Database "lpa-bloom-sql-dev" -Author "Your Name" -UpScriptPath themes.sql
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [string] $Name,
    [Parameter(Mandatory)] [Alias('DatabaseId')] [string] $Database,
    [Parameter(Mandatory)] [string] $Author,
    [string] $Description = '',
    [string] $UpScript = '',
    [string] $DownScript = '',
    [string] $UpScriptPath = '',
    [string] $DownScriptPath = '',
    [string] $Version = '',
    [switch] $Reregister,
    [string] $MigrationsPath = '',
    [string] $Environment = '',
    [string] $BaseUrl = '',
    [string] $FunctionKey = '',
    [string] $KeyVaultName = '',
    [switch] $Json
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path $PSScriptRoot 'Dbvc.psd1') -Force -Verbose:$false

function Read-Script {
    # The text of a script file: UTF-8, or what its byte order mark says.
    param([string] $Path, [string] $Parameter)
    $file = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Path)
    if (-not [System.IO.File]::Exists($file)) {
        throw (New-DbvcFailure -ExitCode 2 -Message "There is no file $file; $Parameter must name the script.")
    }
    [System.IO.File]::ReadAllText($file)
}

function Assert-Free {
    # A file is never replaced by another text, unless the migration is registered anew.
    param([string] $Path, [string] $Text)
    if ($Reregister -or -not [System.IO.File]::Exists($Path) -or [System.IO.File]::ReadAllText($Path) -ceq $Text) { return }
    throw (New-DbvcFailure -ExitCode 2 -Message "The file $Path is there already, with another text. Nothing was done. Choose another name or version, or give -Reregister to replace the text.")
}

function Write-Script {
    # As it was sent, in UTF-8 without a byte order mark; gives the path when something was written.
    param([string] $Path, [string] $Text)
    if ([System.IO.File]::Exists($Path) -and [System.IO.File]::ReadAllText($Path) -ceq $Text) { return }
    [void] [System.IO.Directory]::CreateDirectory([System.IO.Path]::GetDirectoryName($Path))
    [System.IO.File]::WriteAllText($Path, $Text, (New-Object System.Text.UTF8Encoding -ArgumentList $false))
    $Path
}

try {
    if ($UpScript -and $UpScriptPath) { throw (New-DbvcFailure -ExitCode 2 -Message 'Give either -UpScript or -UpScriptPath, not both.') }
    if ($DownScript -and $DownScriptPath) { throw (New-DbvcFailure -ExitCode 2 -Message 'Give either -DownScript or -DownScriptPath, not both.') }
    if ($Version -and $UpScriptPath -and ([System.IO.Path]::GetFileName($UpScriptPath) -match '^V[0-9._]+__')) {
        throw (New-DbvcFailure -ExitCode 2 -Message 'The file of -UpScriptPath has a version in its name already: leave -Version out.')
    }
    $connection = Get-DbvcConnection -Environment $Environment -BaseUrl $BaseUrl -FunctionKey $FunctionKey -KeyVaultName $KeyVaultName

    # Engine and folder are the database's, and only the service knows them.
    $known = Invoke-DbvcRequest -Connection $connection -Path "databases/$([System.Uri]::EscapeDataString($Database))"
    Assert-DbvcAnswer -Answer $known
    $suffix = Get-DbvcScriptSuffix -Engine $known.Body.engine
    if (-not $MigrationsPath) { $MigrationsPath = [string] [System.Environment]::GetEnvironmentVariable('DBVC_MIGRATIONS_DIR') }
    if (-not $MigrationsPath) { $MigrationsPath = [System.IO.Path]::Combine($PSScriptRoot, '..', '..', 'migrations') }
    $folder = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($MigrationsPath)
    $folder = [System.IO.Path]::GetFullPath([System.IO.Path]::Combine($folder, [string] $known.Body.folder))

    # A file of that name is what the person has written: it is registered as it is.
    $fileName = ''
    if (-not $UpScript -and -not $UpScriptPath) {
        $there = @()
        if ([System.IO.Directory]::Exists($folder)) {
            $form = "^V[0-9._]+__$([regex]::Escape($Name))$([regex]::Escape($suffix))$"
            $there = @([System.IO.Directory]::GetFiles($folder) | Where-Object { [System.IO.Path]::GetFileName($_) -cmatch $form })
        }
        if ($there.Count -gt 1) {
            throw (New-DbvcFailure -ExitCode 2 -Message "The folder $folder has $($there.Count) scripts of the name ${Name}: say which one by -UpScriptPath.")
        }
        if ($there.Count -eq 1) { $UpScriptPath = $there[0] }
    }

    if ($UpScriptPath) {
        $UpScript = Read-Script -Path $UpScriptPath -Parameter '-UpScriptPath'
        $leaf = [System.IO.Path]::GetFileName($UpScriptPath)
        if ($leaf -cmatch '^(V[0-9._]+|R)__') {
            $fileName = $leaf
            if (-not $DownScript -and -not $DownScriptPath -and $leaf -cmatch '^V') {
                $parent = [System.IO.Path]::GetDirectoryName($ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($UpScriptPath))
                $beside = [System.IO.Path]::Combine($parent, 'U' + $leaf.Substring(1))
                if ([System.IO.File]::Exists($beside)) { $DownScriptPath = $beside }
            }
        }
    }
    if ($DownScriptPath) { $DownScript = Read-Script -Path $DownScriptPath -Parameter '-DownScriptPath' }

    if (-not $UpScript) {
        if ($DownScript) { throw (New-DbvcFailure -ExitCode 2 -Message 'A down script needs an up script: give -UpScript or -UpScriptPath.') }
        if ($Name -cnotmatch '^[a-z][a-z0-9_]{0,99}$') {
            throw (New-DbvcFailure -ExitCode 2 -Message '-Name must be 1 to 100 lower case letters, digits or _, a letter first, such as add_user_preferences.')
        }
        # The version is the service's time, as it would have given it.
        $draftVersion = $Version
        if (-not $draftVersion) { $draftVersion = $known.ServedAt }
        if (-not $draftVersion) { $draftVersion = [System.DateTime]::UtcNow.ToString('yyyyMMddHHmmss', [System.Globalization.CultureInfo]::InvariantCulture) }
        $upFile = [System.IO.Path]::Combine($folder, "V${draftVersion}__$Name$suffix")
        $downFile = [System.IO.Path]::Combine($folder, "U${draftVersion}__$Name$suffix")
        if (-not $PSCmdlet.ShouldProcess($upFile, 'Write drafts of the up and the down script')) { exit 0 }
        if ($suffix -eq '.cosmos.json') {
            # Without an operation dbvc refuses it.
            $up = "{`n  `"comment`": `"${Name}: list the operations, see docs/cosmos-scripts.md`",`n  `"operations`": []`n}`n"
            $down = "{`n  `"comment`": `"undoes ${Name}: list the operations`",`n  `"operations`": []`n}`n"
        }
        else {
            # An unknown directive: dbvc refuses the script until the line is gone.
            $mark = "-- dbvc: draft=delete this line when the script is written`n"
            $up = "$mark-- ${Name}: the change`n"
            $down = "$mark-- ${Name}: how it is undone`n"
        }
        Assert-Free -Path $upFile -Text $up
        Assert-Free -Path $downFile -Text $down
        [void] (Write-Script -Path $upFile -Text $up)
        [void] (Write-Script -Path $downFile -Text $down)
        if ($Json) {
            ConvertTo-Json -Compress -InputObject ([ordered] @{ status = 'draft'; databaseId = $Database; name = $Name; version = $draftVersion; upScriptPath = $upFile; downScriptPath = $downFile })
            exit 0
        }
        'Nothing is registered yet: there is no script. Two drafts were written:'
        "  $upFile"
        "  $downFile"
        'Next: write the scripts, delete their first line, and give the same command again; it registers them.'
        exit 0
    }

    if ($Reregister -and -not $fileName -and -not $Version) {
        throw (New-DbvcFailure -ExitCode 2 -Message '-Reregister must know which migration: give the file with the version in its name by -UpScriptPath, or -Version.')
    }
    # The names of the files, where they are known before the service has given a version.
    $upName = ''
    $downName = ''
    if ($fileName) {
        $upName = $fileName
        # A repeatable script has no file that undoes it.
        if ($fileName -cmatch '^V') { $downName = 'U' + $fileName.Substring(1) }
    }
    elseif ($Version) {
        $upName = "V${Version}__$Name$suffix"
        $downName = "U${Version}__$Name$suffix"
    }
    if ($upName) {
        Assert-Free -Path ([System.IO.Path]::Combine($folder, $upName)) -Text $UpScript
        if ($DownScript -and $downName) { Assert-Free -Path ([System.IO.Path]::Combine($folder, $downName)) -Text $DownScript }
    }

    $body = [ordered] @{
        name       = $Name
        databaseId = $Database
        author     = $Author
        upScript   = $UpScript
    }
    if ($Description) { $body['description'] = $Description }
    if ($DownScript) { $body['downScript'] = $DownScript }
    if ($fileName) { $body['fileName'] = $fileName } elseif ($Version) { $body['version'] = $Version }
    if ($Reregister) { $body['reregister'] = $true }

    if (-not $PSCmdlet.ShouldProcess($Database, "Register the migration $Name and write its files to $folder")) { exit 0 }
    $answer = Invoke-DbvcRequest -Connection $connection -Method 'POST' -Path 'migrations' -Body $body
    Assert-DbvcAnswer -Answer $answer
    $migration = $answer.Body

    if (-not $upName) {
        $upName = "V$($migration.version)__$($migration.name)$suffix"
        $downName = "U$($migration.version)__$($migration.name)$suffix"
    }
    $written = @(
        Write-Script -Path ([System.IO.Path]::Combine($folder, $upName)) -Text $UpScript
        if ($DownScript -and $downName) { Write-Script -Path ([System.IO.Path]::Combine($folder, $downName)) -Text $DownScript }
    )

    if ($Json) {
        $answer.Text
        exit 0
    }
    $verb = 'Registered'
    if ($answer.Status -ne 201) {
        $verb = 'Registered already:'
        if ($Reregister) { $verb = 'Registered anew:' }
    }
    "$verb $($migration.migrationId) on $($migration.databaseId)."
    $down = 'no'
    if ($migration.hasDownScript) { $down = 'yes' }
    Format-DbvcTable -Indent '  ' -Rows @([ordered] @{ version = $migration.version; status = $migration.status; 'undo script' = $down; author = $migration.author })
    foreach ($file in $written) { "  wrote $file" }
    foreach ($warning in @($migration.warnings)) {
        "  $($warning.severity), line $($warning.line): $($warning.message) ($($warning.code))"
        if ($warning.suggestion) { "    $($warning.suggestion)" }
    }
    if ($migration.status -ne 'applied') { "Next: Invoke-Migrations.ps1 -Environment $($known.Body.environment) -Database `"$Database`" applies it." }
    exit 0
}
catch {
    if ($Json) { Get-DbvcFailureJson -ErrorRecord $_ } else { Write-DbvcFailure -ErrorRecord $_ }
    exit (Get-DbvcExitCode -ErrorRecord $_)
}
