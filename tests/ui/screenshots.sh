#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# screenshots.sh OUTDIR [VMX]: pictures of the window for the README and for looking at: home, summary, console, settings, new machine. Run from the build folder.
# LODGE_TEST_LANGUAGE=de, SHOT_DARK=1, GDK_SCALE=2 vary them.
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd) || exit 1
if [ -z "$SHOT_INSIDE" ]; then
    vmx=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/lodge/demo/demo.vmx}
    SHOT_INSIDE=1 SHOT_VMX=$vmx LODGE_TEST_SCREEN=${LODGE_TEST_SCREEN:-1280x860x24} NO_AT_BRIDGE=1 exec sh "$here/session.sh" sh "$here/screenshots.sh" "$out"
fi
[ -z "$SHOT_DARK" ] || export GTK_THEME=Adwaita:dark
mkdir -p "$HOME/Machines/Debian" "$HOME/Machines/Windows XP" "$HOME/Machines/Build box"
cp "$(dirname "$SHOT_VMX")/demo.iso" "$HOME/Machines/Debian/" 2>/dev/null
cat >"$HOME/Machines/Debian/Debian.vmx" <<'END'
.encoding = "UTF-8"
config.version = "8"
virtualHW.version = "19"
displayName = "Debian 12"
guestOS = "debian12-64"
annotation = "Mail and web, moved here from the old computer."
memsize = "512"
numvcpus = "1"
ide1:0.present = "TRUE"
ide1:0.deviceType = "cdrom-image"
ide1:0.fileName = "demo.iso"
floppy0.present = "FALSE"
serial0.present = "TRUE"
serial0.fileType = "pty"
END
sed 's/Debian 12/Windows XP/; s/debian12-64/winXPPro/; /annotation/d' "$HOME/Machines/Debian/Debian.vmx" >"$HOME/Machines/Windows XP/xp.vmx"
sed 's/Debian 12/Build box/; s/debian12-64/fedora-64/; /annotation/d' "$HOME/Machines/Debian/Debian.vmx" >"$HOME/Machines/Build box/build.vmx"
mkdir -p "$XDG_DATA_HOME/lodge"
cat >"$XDG_DATA_HOME/lodge/library.ini" <<END
[library]
folders=Work;
[entry 1]
path=$HOME/Machines/Debian/Debian.vmx
[entry 2]
path=$HOME/Machines/Windows XP/xp.vmx
[entry 3]
path=$HOME/Machines/Build box/build.vmx
folder=Work
[entry 4]
remote=vnc://lab.example:5901
folder=Work
END
shot() { sleep "${2:-1.5}"; import -window root -crop "$(xdotool search --onlyvisible --class lodge getwindowgeometry --shell 2>/dev/null | tail -n 0)" "$out/$1.png" 2>/dev/null || import -window root "$out/$1.png"; convert "$out/$1.png" -trim +repage -bordercolor none "$out/$1.png"; }
act() {
    if [ -n "$2" ]; then v="[<'$2'>]"; else v='[]'; fi
    gdbus call --session --dest org.lodge.Lodge --object-path /org/lodge/Lodge/window/1 --method org.gtk.Actions.Activate "$1" "$v" '{}' >/dev/null
}
./lodge >"$out/lodge.log" 2>&1 &
pid=$!
xdotool mousemove 1 1
shot home 3
./lodge "$HOME/Machines/Debian/Debian.vmx"
shot summary 2
act vm-settings-page memory
shot settings 2
xdotool key Escape
sleep 0.5
act new-vm
sleep 1
xdotool key Escape
./lodge -x "$HOME/Machines/Debian/Debian.vmx"
shot console "${SHOT_WAIT:-25}"
act memory
shot memory "${SHOT_MEMORY_WAIT:-12}"
xdotool key Escape
sleep 0.5
act vm-power-off
shot question 1
xdotool key Return
sleep 2
gdbus call --session --dest org.lodge.Lodge --object-path /org/lodge/Lodge --method org.gtk.Actions.Activate quit '[]' '{}' >/dev/null 2>&1
sleep 1
kill $pid 2>/dev/null
[ -s "$out/lodge.log" ] && cat "$out/lodge.log"
exit 0
