# Shell functions for the scripts beside this file: find a Python, make a virtual environment.
# shellcheck shell=sh

suitable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}

find_python() {
    for name in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
        if suitable "$name"; then
            command -v "$name"
            return
        fi
    done
    echo "no Python 3.10 or later found; set PYTHON to one" >&2
    return 1
}

# make_venv PYTHON FOLDER
make_venv() {
    if [ -e "$2" ] && [ ! -f "$2/pyvenv.cfg" ]; then
        echo "$2 exists and is not a virtual environment; remove it or name another" >&2
        return 1
    fi
    rm -rf -- "$2"
    if ! "$1" -m venv "$2" >/dev/null 2>&1; then
        # Some systems ship Python without ensurepip: let the pip that is there fill the environment.
        rm -rf -- "$2"
        "$1" -m venv --without-pip "$2"
        "$1" -m pip --python "$2/bin/python" install --quiet pip
    fi
}

# stamp FILE…: changes when any of the files does
stamp() {
    cat -- "$@" | cksum
}
