# The scripts against a real dbvc: what a person and a pipeline do with them.

BeforeAll {
    . (Join-Path $PSScriptRoot 'Support.ps1')
}

Describe 'A dev app' {
    BeforeAll {
        $server = Start-Dbvc -Environment 'dev'
        $migrations = Join-Path $server.Folder 'migrations'
        $where = @('-Database', 'lpa-bloom-sql-dev', '-Environment', 'dev', '-BaseUrl', $server.BaseUrl)
        $create = @('-Database', 'lpa-bloom-sql-dev', '-Author', 'Ada', '-BaseUrl', $server.BaseUrl, '-MigrationsPath', $migrations)
    }
    AfterAll {
        Stop-Dbvc -Server $server
    }

    It 'registers a migration and writes its files with the version that the service gave' {
        $result = Invoke-Script 'New-Migration.ps1' (@('-Name', 'add_colour_themes', '-UpScript', 'CREATE TABLE colour_themes (id INTEGER PRIMARY KEY);', '-DownScript', 'DROP TABLE colour_themes;', '-Json') + $create) -OutputOnly
        $result.ExitCode | Should -Be 0
        $migration = $result.Text | ConvertFrom-Json
        $migration.status | Should -Be 'pending'
        $up = Join-Path $migrations "V$($migration.version)__add_colour_themes.sqlite.sql"
        $down = Join-Path $migrations "U$($migration.version)__add_colour_themes.sqlite.sql"
        [System.IO.File]::ReadAllText($up) | Should -BeExactly 'CREATE TABLE colour_themes (id INTEGER PRIMARY KEY);'
        [System.IO.File]::ReadAllText($down) | Should -BeExactly 'DROP TABLE colour_themes;'
    }

    It 'finds the file again and registers it once' {
        $result = Invoke-Script 'New-Migration.ps1' (@('-Name', 'add_colour_themes') + $create)
        $result.ExitCode | Should -Be 0
        $result.Text | Should -Match 'Registered already'
    }

    It 'registers nothing under -WhatIf' {
        $result = Invoke-Script 'New-Migration.ps1' (@('-Name', 'add_nothing', '-UpScript', 'SELECT 1;', '-WhatIf') + $create)
        $result.ExitCode | Should -Be 0
        $status = (Invoke-Script 'Get-MigrationStatus.ps1' @('-Environment', 'dev', '-Detailed', '-Json', '-BaseUrl', $server.BaseUrl) -OutputOnly).Text | ConvertFrom-Json
        @($status.databases[0].migrations | Where-Object { $_.name -eq 'add_nothing' }).Count | Should -Be 0
    }

    It 'previews a run, under -DryRun and under -WhatIf, and applies nothing' {
        foreach ($switch in @('-DryRun', '-WhatIf')) {
            $result = Invoke-Script 'Invoke-Migrations.ps1' (@($switch) + $where)
            $result.ExitCode | Should -Be 0
            $result.Text | Should -Match 'planned .*add_colour_themes'
        }
        $status = (Invoke-Script 'Get-MigrationStatus.ps1' @('-Environment', 'dev', '-Json', '-BaseUrl', $server.BaseUrl) -OutputOnly).Text | ConvertFrom-Json
        $status.databases[0].counts.pending | Should -Be 1
    }

    It 'rehearses a run and rolls it back' {
        $result = Invoke-Script 'Invoke-Migrations.ps1' (@('-DryRun', '-Execute') + $where)
        $result.ExitCode | Should -Be 0
        $result.Text | Should -Match 'rolled back'
        (Invoke-Script 'Invoke-Migrations.ps1' (@('-Execute') + $where)).ExitCode | Should -Be 2
    }

    It 'runs what is pending, and then has nothing to do' {
        $result = Invoke-Script 'Invoke-Migrations.ps1' $where
        $result.ExitCode | Should -Be 0
        $result.Text | Should -Match 'succeeded'
        $result.Text | Should -Match 'applied .*add_colour_themes'
        $again = Invoke-Script 'Invoke-Migrations.ps1' @('-Environment', 'dev', '-Database', 'all', '-BaseUrl', $server.BaseUrl)
        $again.ExitCode | Should -Be 0
        $again.Text | Should -Match 'nothing-to-do'
    }

    It 'shows the state as a table and as JSON' {
        $table = Invoke-Script 'Get-MigrationStatus.ps1' @('-Environment', 'dev', '-Detailed', '-BaseUrl', $server.BaseUrl)
        $table.ExitCode | Should -Be 0
        $table.Text | Should -Match 'database +engine +version +applied'
        $table.Text | Should -Match 'add_colour_themes +applied +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ'
        $json = Invoke-Script 'Get-MigrationStatus.ps1' @('-Environment', 'dev', '-Json', '-BaseUrl', $server.BaseUrl) -OutputOnly
        ($json.Text | ConvertFrom-Json).databases[0].counts.applied | Should -Be 1
    }

    It 'captures a snapshot and writes it into a file' {
        $file = Join-Path $server.Folder 'schema.json'
        $result = Invoke-Script 'Export-SchemaSnapshot.ps1' (@('-Type', 'baseline', '-OutFile', $file) + $where)
        $result.ExitCode | Should -Be 0
        $result.Text | Should -Match 'Captured a baseline snapshot'
        $schema = ([System.IO.File]::ReadAllText($file) | ConvertFrom-Json).schema
        @($schema.tables)[0].name | Should -Be 'colour_themes'
    }

    It 'verifies, with and without mending' {
        $result = Invoke-Script 'Test-MigrationIntegrity.ps1' $where
        $result.ExitCode | Should -Be 0
        $result.Text | Should -Match 'is healthy'
        (Invoke-Script 'Test-MigrationIntegrity.ps1' (@('-Fix') + $where)).ExitCode | Should -Be 0
        (Invoke-Script 'Test-MigrationIntegrity.ps1' (@('-Fix', '-WhatIf') + $where)).ExitCode | Should -Be 0
        (Invoke-Script 'Test-MigrationIntegrity.ps1' (@('-ResolveAs', 'applied') + $where)).ExitCode | Should -Be 2
    }

    It 'shows the server''s error with its line, ends with 1, and registers the mended script anew' {
        $file = Join-Path $server.Folder 'V99990101000000__add_bad_table.sqlite.sql'
        [System.IO.File]::WriteAllText($file, "CREATE TABLE good (id INTEGER PRIMARY KEY);`nGO`nCREATE TABLE bad (;`n")
        $named = @('-Name', 'add_bad_table', '-UpScriptPath', $file, '-DownScript', 'DROP TABLE bad; DROP TABLE good;') + $create
        (Invoke-Script 'New-Migration.ps1' $named).ExitCode | Should -Be 0
        $result = Invoke-Script 'Invoke-Migrations.ps1' $where
        $result.ExitCode | Should -Be 1
        $result.Text | Should -Match 'line 3: .*syntax error'
        [System.IO.File]::WriteAllText($file, "CREATE TABLE good (id INTEGER PRIMARY KEY);`nGO`nCREATE TABLE bad (id INTEGER PRIMARY KEY);`n")
        (Invoke-Script 'New-Migration.ps1' $named).Text | Should -Match '-Reregister'
        (Invoke-Script 'New-Migration.ps1' (@('-Reregister') + $named)).ExitCode | Should -Be 0
        (Invoke-Script 'Invoke-Migrations.ps1' $where).ExitCode | Should -Be 0
    }

    It 'rolls back, and says what to do where it cannot' {
        $status = (Invoke-Script 'Get-MigrationStatus.ps1' @('-Environment', 'dev', '-Detailed', '-Json', '-BaseUrl', $server.BaseUrl) -OutputOnly).Text | ConvertFrom-Json
        $newest = @($status.databases[0].migrations | Where-Object { $_.name -eq 'add_bad_table' })[0].migrationId
        $older = @($status.databases[0].migrations | Where-Object { $_.name -eq 'add_colour_themes' })[0].migrationId
        $result = Invoke-Script 'Undo-Migration.ps1' (@('-MigrationId', $older) + $where)
        $result.ExitCode | Should -Be 1
        $result.Text | Should -Match '-Cascade'
        $preview = Invoke-Script 'Undo-Migration.ps1' (@('-MigrationId', $older, '-Cascade', '-WhatIf') + $where)
        $preview.ExitCode | Should -Be 0
        $preview.Text | Should -Match 'planned'
        (Invoke-Script 'Undo-Migration.ps1' (@('-MigrationId', $newest, '-Reason', 'A test') + $where)).Text | Should -Match 'rolled-back'
        $gone = Invoke-Script 'Undo-Migration.ps1' (@('-MigrationId', $newest) + $where)
        $gone.ExitCode | Should -Be 1
        $gone.Text | Should -Match 'not applied'
    }

    It 'writes drafts where there is no script, and registers them once they are written' {
        $draft = Invoke-Script 'New-Migration.ps1' (@('-Name', 'add_later', '-Json') + $create) -OutputOnly
        $draft.ExitCode | Should -Be 0
        $files = $draft.Text | ConvertFrom-Json
        $files.status | Should -Be 'draft'
        $files.version | Should -Match '^\d{14}$'
        $refused = Invoke-Script 'New-Migration.ps1' (@('-Name', 'add_later') + $create)
        $refused.ExitCode | Should -Be 2
        $refused.Text | Should -Match '-UpScript \(upScript\): line 1'
        [System.IO.File]::WriteAllText($files.upScriptPath, 'CREATE TABLE later (id INTEGER PRIMARY KEY);')
        [System.IO.File]::WriteAllText($files.downScriptPath, 'DROP TABLE later;')
        $result = Invoke-Script 'New-Migration.ps1' (@('-Name', 'add_later') + $create)
        $result.ExitCode | Should -Be 0
        $result.Text | Should -Match 'Registered \d{8}_\d{6}_add_later'
    }

    It 'says what is wrong with a call, and ends with 2' {
        $unknown = Invoke-Script 'Invoke-Migrations.ps1' @('-Environment', 'dev', '-Database', 'nope', '-BaseUrl', $server.BaseUrl)
        $unknown.ExitCode | Should -Be 2
        $unknown.Text | Should -Match 'No such database \(404 unknown-database\)'
        $other = Invoke-Script 'Get-MigrationStatus.ps1' @('-Environment', 'prod', '-BaseUrl', $server.BaseUrl)
        $other.ExitCode | Should -Be 2
        $other.Text | Should -Match 'serves the environment dev, not prod'
        $json = Invoke-Script 'Get-MigrationStatus.ps1' @('-Environment', 'prod', '-Json', '-BaseUrl', $server.BaseUrl) -OutputOnly
        ($json.Text | ConvertFrom-Json).code | Should -Be 'wrong-environment'
    }

    It 'says where nobody answers, and ends with 1' {
        $result = Invoke-Script 'Get-MigrationStatus.ps1' @('-BaseUrl', "http://127.0.0.1:$(Get-FreePort)")
        $result.ExitCode | Should -Be 1
        $result.Text | Should -Match 'cannot be reached'
    }

    It 'sends no key without encryption to another machine, and prints none' {
        $result = Invoke-Script 'Get-MigrationStatus.ps1' @('-BaseUrl', 'http://app.example', '-FunctionKey', 'a-secret-key')
        $result.ExitCode | Should -Be 2
        $result.Text | Should -Match 'https'
        $result.Text | Should -Not -Match 'a-secret-key'
        $inUrl = Invoke-Script 'Get-MigrationStatus.ps1' @('-BaseUrl', 'https://app.example/?code=a-secret-key')
        $inUrl.ExitCode | Should -Be 2
        $inUrl.Text | Should -Not -Match 'a-secret-key'
    }
}

Describe 'A database that holds objects already' {
    BeforeAll {
        $server = Start-Dbvc -Environment 'dev'
        $where = @('-Database', 'lpa-bloom-sql-dev', '-Environment', 'dev', '-BaseUrl', $server.BaseUrl)
        # SQLite: CREATE TABLE orders (id INTEGER PRIMARY KEY), with one row.
        $packed = 'H4sIAAAAAAACAwsO9MksSVVIyy/KTSxRMGZgYmBkZHBQUGBgADIhGAYYgZgFjU8IMDHoJTPyghQz7mIAolFANeDCyCYuKcmYWpKYlJOaX5SSWlQMIZmcg1wdQ1wVQhydfFwVIGIKGpkpCp5+Ia7urkEKAUGevo5BkQrerpGakLj5wwBEo2CEASZ2JgYA6fWb9gAEAAA='
        $reader = New-Object System.IO.Compression.GZipStream -ArgumentList (New-Object System.IO.MemoryStream -ArgumentList (, [System.Convert]::FromBase64String($packed))), ([System.IO.Compression.CompressionMode]::Decompress)
        $file = Join-Path $server.Folder 'lpa-bloom-sql-dev.sqlite'
        $writer = [System.IO.File]::Create($file)
        $reader.CopyTo($writer)
        $writer.Dispose()
    }
    AfterAll {
        Stop-Dbvc -Server $server
    }

    It 'is refused at its first run, with what is there and both ways on' {
        $before = [System.Convert]::ToBase64String([System.IO.File]::ReadAllBytes($file))
        foreach ($more in @(@(), @('-DryRun'), @('-DryRun', '-Execute'))) {
            $result = Invoke-Script 'Invoke-Migrations.ps1' ($where + $more)
            $result.ExitCode | Should -Be 1
            $result.Text | Should -Match '409 not-empty'
            $result.Text | Should -Match 'it holds 1 table\.'
            $result.Text | Should -Match '-Baseline <version>'
            $result.Text | Should -Match '-AllowNotEmpty'
            # The words of the API, which cannot be typed here.
            $result.Text | Should -Not -Match 'allowNotEmpty: true'
        }
        [System.Convert]::ToBase64String([System.IO.File]::ReadAllBytes($file)) | Should -BeExactly $before
    }

    It 'takes -Baseline, and is asked no more' {
        foreach ($version in @('1', '2')) {
            $made = Invoke-Script 'New-Migration.ps1' @('-Name', "orders_$version", '-Version', $version, '-Database', 'lpa-bloom-sql-dev', '-Author', 'Ada', '-BaseUrl', $server.BaseUrl, '-MigrationsPath', (Join-Path $server.Folder 'migrations'), '-UpScript', "CREATE TABLE orders_$version (id INTEGER PRIMARY KEY);")
            $made.ExitCode | Should -Be 0
        }
        (Invoke-Script 'Invoke-Migrations.ps1' $where).Text | Should -Match 'not-empty'
        $preview = Invoke-Script 'Invoke-Migrations.ps1' (@('-AllowNotEmpty', '-DryRun') + $where)
        $preview.ExitCode | Should -Be 0
        $preview.Text | Should -Match 'planned .*orders_1'
        $ran = Invoke-Script 'Invoke-Migrations.ps1' (@('-Baseline', '1', '-Json') + $where) -OutputOnly
        $ran.ExitCode | Should -Be 0
        ($ran.Text | ConvertFrom-Json).databases[0].migrations[0].note | Should -Match 'baseline'
        (Invoke-Script 'Invoke-Migrations.ps1' $where).Text | Should -Match 'nothing-to-do'
    }
}

Describe 'A prod app' {
    BeforeAll {
        $server = Start-Dbvc -Environment 'prod'
        $where = @('-Database', 'lpa-bloom-sql-prod', '-Environment', 'prod', '-BaseUrl', $server.BaseUrl)
        $named = @{ Database = 'lpa-bloom-sql-prod'; Environment = 'prod'; BaseUrl = $server.BaseUrl }
        $undo = [System.IO.Path]::Combine($PSScriptRoot, '..', 'Undo-Migration.ps1')
        foreach ($name in @('add_one', 'add_two')) {
            $version = 101
            if ($name -eq 'add_two') { $version = 102 }
            $made = Invoke-Script 'New-Migration.ps1' @('-Name', $name, '-Version', "$version", '-Database', 'lpa-bloom-sql-prod', '-Author', 'Ada', '-BaseUrl', $server.BaseUrl, '-MigrationsPath', (Join-Path $server.Folder 'migrations'), '-UpScript', "CREATE TABLE $name (id INTEGER PRIMARY KEY);", '-DownScript', "DROP TABLE $name;")
            if ($made.ExitCode -ne 0) { throw $made.Text }
        }
        $ran = Invoke-Script 'Invoke-Migrations.ps1' $where
        if ($ran.ExitCode -ne 0) { throw $ran.Text }
    }
    AfterAll {
        Stop-Dbvc -Server $server
    }

    It 'rolls nothing back where nobody can be asked' {
        (Invoke-Script 'Undo-Migration.ps1' (@('-MigrationId', 'V102__add_two') + $where)).ExitCode | Should -Not -Be 0
        (Invoke-Script 'Undo-Migration.ps1' (@('-MigrationId', 'V102__add_two', '-Json') + $where)).ExitCode | Should -Be 2
        $wrong = Invoke-Script 'Undo-Migration.ps1' (@('-MigrationId', 'V102__add_two', '-ConfirmMigrationId', 'V101__add_one') + $where)
        $wrong.ExitCode | Should -Be 1
        $wrong.Text | Should -Match 'confirmation-required'
        $status = (Invoke-Script 'Get-MigrationStatus.ps1' @('-Json', '-BaseUrl', $server.BaseUrl) -OutputOnly).Text | ConvertFrom-Json
        $status.databases[0].counts.applied | Should -Be 2
    }

    It 'rolls nothing back when another id is typed' {
        Mock Read-Host { 'V101__add_one' }
        & $undo -MigrationId 'V102__add_two' @named
        $LASTEXITCODE | Should -Be 1
        Should -Invoke Read-Host -Times 1 -Exactly
    }

    It 'rolls back when the id is typed' {
        Mock Read-Host { 'V102__add_two' }
        $text = & $undo -MigrationId 'V102__add_two' @named
        $LASTEXITCODE | Should -Be 0
        ($text -join "`n") | Should -Match 'rolled-back'
    }

    It 'rolls back where the id was given twice' {
        $result = Invoke-Script 'Undo-Migration.ps1' (@('-MigrationId', 'V101__add_one', '-ConfirmMigrationId', 'V101__add_one', '-Json') + $where) -OutputOnly
        $result.ExitCode | Should -Be 0
        ($result.Text | ConvertFrom-Json).databases[0].migrations[0].status | Should -Be 'rolled-back'
    }
}

Describe 'The calls that the first documentation of the system shows' {
    BeforeAll {
        $dev = Start-Dbvc -Environment 'dev'
        $prod = Start-Dbvc -Environment 'prod'
        $settings = @{ DBVC_BASE_URL_DEV = $dev.BaseUrl; DBVC_BASE_URL_PROD = $prod.BaseUrl; DBVC_BASE_URL = $dev.BaseUrl; DBVC_MIGRATIONS_DIR = (Join-Path $dev.Folder 'migrations') }
        foreach ($name in $settings.Keys) { [System.Environment]::SetEnvironmentVariable($name, $settings[$name]) }
    }
    AfterAll {
        foreach ($name in $settings.Keys) { [System.Environment]::SetEnvironmentVariable($name, $null) }
        Stop-Dbvc -Server $dev
        Stop-Dbvc -Server $prod
    }

    It 'takes <Name> <Arguments>' -ForEach @(
        @{ Name = 'New-Migration.ps1'; Arguments = @('-Name', 'add_user_preferences', '-Database', 'lpa-bloom-sql-dev', '-Author', 'Your Name'); Code = 0 }
        @{ Name = 'Invoke-Migrations.ps1'; Arguments = @('-Environment', 'dev', '-Database', 'lpa-bloom-sql-dev'); Code = 0 }
        @{ Name = 'Invoke-Migrations.ps1'; Arguments = @('-Environment', 'dev', '-Database', 'all', '-DryRun'); Code = 0 }
        @{ Name = 'Invoke-Migrations.ps1'; Arguments = @('-Environment', 'dev', '-Database', 'lpa-bloom-sql-dev', '-DryRun'); Code = 0 }
        @{ Name = 'Get-MigrationStatus.ps1'; Arguments = @('-Environment', 'dev', '-Detailed'); Code = 0 }
        # Nobody registered it here, and that is what it says.
        @{ Name = 'Undo-Migration.ps1'; Arguments = @('-MigrationId', '20251127_143000_add_user_preferences', '-Database', 'lpa-bloom-sql-dev', '-Environment', 'dev'); Code = 2 }
        @{ Name = 'Export-SchemaSnapshot.ps1'; Arguments = @('-Database', 'lpa-bloom-sql-prod', '-Environment', 'prod', '-Type', 'baseline'); Code = 0 }
        @{ Name = 'Test-MigrationIntegrity.ps1'; Arguments = @('-Database', 'lpa-bloom-sql-prod', '-Environment', 'prod'); Code = 0 }
        @{ Name = 'Test-MigrationIntegrity.ps1'; Arguments = @('-Database', 'lpa-bloom-sql-dev', '-Environment', 'dev', '-Fix'); Code = 0 }
    ) {
        $result = Invoke-Script $Name $Arguments
        $result.Text | Should -Not -BeNullOrEmpty
        $result.ExitCode | Should -Be $Code
    }
}
