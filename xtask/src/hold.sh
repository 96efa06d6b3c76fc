#!/bin/sh
# Holds a group of programs and ends all of them together.
#
# usage: sh hold.sh tied|detached SIGNAL DIR [REMOVE]
#
# Each file DIR/NAME.argv (one argument a line) is a program: it is started when the file appears, with its output
# in DIR/NAME.log and its process id in DIR/NAME.pid. The group ends, by SIGNAL and after ten seconds by KILL,
#   - when this script gets TERM, INT or HUP,
#   - when it is tied and its standard input ends, which happens however the process at the other end dies,
#   - when one program ends by itself; its name is then in DIR/died.
# REMOVE, if given, is deleted at the end. Where setpriv is there (Linux), programs also die when this script is killed.
set -u
how=$1 signal=$2 dir=$3 remove=${4-}

bind=
if setpriv --pdeathsig KILL true 2>/dev/null; then bind='setpriv --pdeathsig KILL --'; fi
pids=
reader=

finish() {
    trap '' TERM INT HUP
    for pid in $pids; do kill -s "$signal" "$pid" 2>/dev/null; done
    patience=50
    for pid in $pids; do
        while [ "$patience" -gt 0 ] && kill -0 "$pid" 2>/dev/null; do
            patience=$((patience - 1))
            sleep 0.2 2>/dev/null || sleep 1
        done
        kill -s KILL "$pid" 2>/dev/null
    done
    [ -z "$reader" ] || kill "$reader" 2>/dev/null
    wait
    [ -z "$remove" ] || rm -rf -- "$remove"
    exit 0
}
trap finish TERM INT HUP

if [ "$how" = tied ]; then
    # A background command would read /dev/null instead of the pipe.
    exec 3<&0
    cat <&3 >/dev/null &
    reader=$!
    exec 3<&-
fi
exec </dev/null

begin() {
    set --
    while IFS= read -r word; do set -- "$@" "$word"; done <"$dir/$name.argv"
    $bind "$@" >>"$dir/$name.log" 2>&1 &
    pids="$! $pids"
    echo "$!" >"$dir/$name.pid.new" && mv "$dir/$name.pid.new" "$dir/$name.pid"
}

while :; do
    for argv in "$dir"/*.argv; do
        [ -e "$argv" ] || continue
        name=${argv##*/}
        name=${name%.argv}
        if [ ! -e "$dir/$name.pid" ]; then begin; fi
        read -r pid <"$dir/$name.pid"
        if ! kill -0 "$pid" 2>/dev/null; then
            echo "$name" >"$dir/died"
            finish
        fi
    done
    if [ -n "$reader" ] && ! kill -0 "$reader" 2>/dev/null; then finish; fi
    sleep 0.2 2>/dev/null || sleep 1
done
