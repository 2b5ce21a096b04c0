#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The main job, as a user does it: from an empty library to a running Debian, by accessible names and xdotool's keys alone.

The CD is Debian's kernel with a shell. What the guest shows is read from the screen: it paints it green when its shell is there, and blue when
that is typed. Needs Debian's kernel package, which tests/boot/fetch.sh downloads once."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import uiwalk  # noqa: E402

WAYLAND = os.environ.get('LODGE_JOB_WAYLAND')
os.environ.setdefault('LODGE_CACHE', os.path.join(os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'), 'lodge'))
uiwalk.own_session(__file__, ['sh', os.path.join(uiwalk.HERE, 'sway.sh'), '1.25'] if WAYLAND else (),
                   ['grub-mkrescue', 'import', *(['sway'] if WAYLAND else [])], {'NO_MANAGER': '1', 'LODGE_TEST_SCREEN': '1600x1120x24'} if WAYLAND else {})

import pyatspi  # noqa: E402
from uiwalk import HERE, end, find, key, need, ok, press, running, showing, start, stop, unnamed, until, wait, walk  # noqa: E402

INIT = r'''#!/bin/sh
. /lib/setup
printf '\033[42m\033[2J\033[H' >/dev/tty1
while :; do setsid sh -c 'exec sh </dev/tty1 >/dev/tty1 2>&1'; done
'''
home = os.environ['HOME']


def make_cd(path):
    boot = os.path.join(HERE, '..', 'boot')
    r = subprocess.run([boot + '/fetch.sh', 'linux-image-cloud-amd64'], capture_output=True, text=True)
    if r.returncode:
        uiwalk.skip('Debian\'s kernel cannot be had: ' + (r.stderr.strip().splitlines() or ['?'])[-1])
    pkg = r.stdout.split()[0]
    kernel = [f for f in os.listdir(pkg + '/boot') if f.startswith('vmlinuz-')][0]
    with open(path + '.init', 'w') as f:
        f.write(INIT)
    subprocess.run([boot + '/mkinitrd.sh', '-i', path + '.init', path + '.initrd'], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([boot + '/mkiso.sh', path, 'menuentry linux {\nlinux /vmlinuz console=tty0 quiet\ninitrd /initrd\n}', pkg + '/boot/' + kernel + '=vmlinuz',
                    path + '.initrd=initrd'], check=True)
    os.remove(path + '.init')
    os.remove(path + '.initrd')
    with open(path, 'r+b') as f:  # the name that Debian's own CDs have
        f.seek(16 * 2048 + 40)
        f.write(b'Debian 12.8.0 amd64 1'.ljust(32))


def share_of(colour):
    """The part of the screen, in percent, that has nearly this colour."""
    rgb = subprocess.run(['import', '-window', 'root', '-resize', '64x48!', '-depth', '8', 'rgb:-'], capture_output=True).stdout
    near = sum(all(abs(rgb[i + k] - colour[k]) < 40 for k in range(3)) for i in range(0, len(rgb) - 2, 3))
    return 100 * near // max(1, len(rgb) // 3)


def type_keys(text):
    subprocess.run(['xdotool', 'type', '--delay', '60', text], check=True)


cd = os.path.join(home, 'debian.iso')
make_cd(cd)
subprocess.run(['xdotool', 'mousemove', '2', '2'])
# GTK's own file chooser gets the release of the key that closed it, and complains; any other complaint is an error, below.
uiwalk.env.pop('G_DEBUG')
p = start()
need(wait('Create a virtual machine…', pyatspi.ROLE_PUSH_BUTTON), 'an empty library' + (', under Wayland' if WAYLAND else ''))
time.sleep(1)
key('ctrl+n')
need(wait('From an installation CD or DVD image (ISO)', pyatspi.ROLE_RADIO_BUTTON), 'Ctrl+N: the sequence for a new machine')
need(press('Choose a CD image'), 'the button that chooses the CD image')
need(until(lambda: any(x.getRole() == pyatspi.ROLE_FILE_CHOOSER for x in walk(uiwalk.app()))), 'opens a dialog')
time.sleep(1)
key('ctrl+l')  # where a path is typed; GTK loses keys, and complains, when that is not there yet
until(lambda: any(x.getRole() == pyatspi.ROLE_TEXT and showing(x) and x.getState().contains(pyatspi.STATE_FOCUSED) for x in walk(uiwalk.app())))
type_keys(cd)
time.sleep(0.5)
key('Return')
need(wait('This is Debian 12', contains=True), 'libosinfo knows what it is')
key('Return')
uiwalk.through_the_sequence()
need(wait('Debian 12, Running', seconds=300), 'Enter: made, and powered on')
ok(len(running()) == 1, 'in a process of its own')
made = [os.path.join(d, f) for d, _, fs in os.walk(os.path.join(home, 'Virtual Machines')) for f in fs]
text = ''.join(open(f).read() for f in made if f.endswith('.vmx'))
ok('guestOS = "debian12-64"' in text and 'debian.iso' in text and any(f.endswith('.vmdk') for f in made), 'its file names guest and CD, its disk is there')
need(until(lambda: share_of((0, 170, 0)) > 30, 600), 'Debian runs: its shell is on the screen')
ok(not unnamed(), 'console: every widget that takes the focus has a name')
time.sleep(1)
type_keys("printf '\\033[44m\\033[2J'")
key('Return')
need(until(lambda: share_of((0, 0, 170)) > 30), 'what is typed arrives in it')
ok(find('Debian 12, Running'), 'and it runs on')
type_keys('poweroff -f')
key('Return')
need(wait('Debian 12, Powered off', seconds=300), 'it powers itself off')
need(until(lambda: not running()), 'and its process is gone')
need(wait('Power on', pyatspi.ROLE_PUSH_BUTTON), 'it can be powered on again')
stop(p)
with open(uiwalk.log.name) as f:
    ok(not [x for x in f if 'CRITICAL' in x and 'WIDGET_REALIZED_FOR_EVENT' not in x], 'no complaint in the log')
end()
