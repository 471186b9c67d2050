# Shows the whole pipeline on a Windows machine with nothing but Python (3.10 or later) and pip; see scripts/quickstart.
#
#   $env:PYTHON   the Python to use (default: the newest that the launcher py finds, otherwise python)
$ErrorActionPreference = 'Stop'
$start = Join-Path $PSScriptRoot 'quickstart_start.py'
if ($env:PYTHON) { & $env:PYTHON $start }
elseif (Get-Command py -ErrorAction SilentlyContinue) { & py -3 $start }
else { & python $start }
exit $LASTEXITCODE
