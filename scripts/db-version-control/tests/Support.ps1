# For the tests: a real dbvc on a free port with a folder of its own, and the scripts as a person calls them.

$PSNativeCommandUseErrorActionPreference = $false

function Get-DbvcBinary {
    # DBVC_TEST_BINARY, else what cargo built.
    $binary = [System.Environment]::GetEnvironmentVariable('DBVC_TEST_BINARY')
    if (-not $binary) {
        $name = 'dbvc'
        if ([System.Environment]::OSVersion.Platform -eq 'Win32NT') { $name = 'dbvc.exe' }
        $binary = [System.IO.Path]::Combine($PSScriptRoot, '..', '..', '..', 'target', 'release', $name)
    }
    $binary = [System.IO.Path]::GetFullPath($binary)
    if (-not [System.IO.File]::Exists($binary)) { throw "There is no dbvc at ${binary}: run cargo build --release, or set DBVC_TEST_BINARY." }
    $binary
}

function Get-FreePort {
    $listener = New-Object System.Net.Sockets.TcpListener -ArgumentList ([System.Net.IPAddress]::Loopback), 0
    $listener.Start()
    $port = $listener.LocalEndpoint.Port
    $listener.Stop()
    $port
}

function Start-Dbvc {
    # Starts dbvc for an environment; gives its process, address and folder.
    param([Parameter(Mandatory)] [string] $Environment)
    $folder = [System.IO.Path]::Combine([System.IO.Path]::GetTempPath(), 'dbvc-' + [System.Guid]::NewGuid().ToString('N'))
    [void] [System.IO.Directory]::CreateDirectory($folder)
    $port = Get-FreePort
    $mine = @{ FUNCTIONS_CUSTOMHANDLER_PORT = "$port"; DBVC_DATA_DIR = $folder; DBVC_ENVIRONMENT = $Environment }
    foreach ($name in $mine.Keys) { [System.Environment]::SetEnvironmentVariable($name, $mine[$name]) }
    try {
        $process = Start-Process -FilePath (Get-DbvcBinary) -ArgumentList 'serve' -PassThru -RedirectStandardOutput (Join-Path $folder 'out.log') -RedirectStandardError (Join-Path $folder 'err.log')
    }
    finally {
        foreach ($name in $mine.Keys) { [System.Environment]::SetEnvironmentVariable($name, $null) }
    }
    for ($try = 0; $try -lt 300; $try++) {
        if ($process.HasExited) { throw "dbvc ended: $([System.IO.File]::ReadAllText((Join-Path $folder 'err.log')))" }
        $socket = New-Object System.Net.Sockets.TcpClient
        try { $socket.Connect('127.0.0.1', $port) } catch { $socket.Dispose(); Start-Sleep -Milliseconds 100; continue }
        $socket.Dispose()
        return [pscustomobject] @{ Process = $process; BaseUrl = "http://127.0.0.1:$port"; Folder = $folder }
    }
    throw 'dbvc did not open its port within 30 s.'
}

function Stop-Dbvc {
    param($Server)
    if ($null -eq $Server) { return }
    if (-not $Server.Process.HasExited) {
        $Server.Process.Kill()
        [void] $Server.Process.WaitForExit(10000)
    }
    Remove-Item -LiteralPath $Server.Folder -Recurse -Force -ErrorAction SilentlyContinue
}

function Invoke-Script {
    # Runs a script in a PowerShell of its own, as a pipeline does; gives its exit code and all that it printed.
    param([Parameter(Mandatory)] [string] $Name, [string[]] $Arguments = @(), [switch] $OutputOnly)
    $powershell = [System.Diagnostics.Process]::GetCurrentProcess().MainModule.FileName
    $path = [System.IO.Path]::Combine($PSScriptRoot, '..', $Name)
    $call = @('-NoProfile', '-NonInteractive', '-File', $path) + $Arguments
    if ($OutputOnly) { $lines = @(& $powershell @call 2>$null) } else { $lines = @(& $powershell @call 2>&1) }
    $code = $LASTEXITCODE
    [pscustomobject] @{ ExitCode = $code; Text = (@($lines | ForEach-Object { "$_" }) -join "`n") }
}
