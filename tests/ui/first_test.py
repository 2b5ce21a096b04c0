#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What people try in the first minutes, and what goes wrong then: the same file twice, a new name while it runs, files that are none, text that no keyboard
has, a guest that hangs, a full disk, keys alone. Through accessibility, with real machines."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import uiwalk  # noqa: E402

uiwalk.own_session(__file__, env={'LODGE_TEST_SCREEN': '1280x900x24'})

import pyatspi  # noqa: E402
from uiwalk import action, end, env, find, key, machine_file, need, ok, press, running, start, stop, text_of, unnamed, until, wait, walk  # noqa: E402

home = os.environ['HOME']
vms = os.path.join(home, 'vms')
os.makedirs(vms)


def machine(folder, name, lines=''):
    return machine_file(os.path.join(vms, folder, folder + '.vmx'), name, lines)


def lodge(*args):
    return subprocess.run(['./lodge', *args], env=env, timeout=300)


def tabs():
    return [x.name for x in walk(uiwalk.app()) if x.getRole() == pyatspi.ROLE_PAGE_TAB and uiwalk.showing(x)]


def entry(wanted):
    return until(lambda: [x for x in walk(uiwalk.active()) if x.getRole() == pyatspi.ROLE_TEXT and uiwalk.showing(x) and text_of(x) == wanted][0])


def shot(name):
    if os.environ.get('LODGE_TEST_SHOTS'):
        subprocess.run(['import', '-window', 'root', '%s/first-%s.png' % (os.environ['LODGE_TEST_SHOTS'], name)])


# ---- the same file twice ----
one = machine('one', 'First machine')
os.symlink(one, os.path.join(home, 'link.vmx'))
p = start(one)
need(wait('First machine, Powered off'), 'a machine is opened')
before = len(tabs())
lodge(one)
lodge(os.path.relpath(one))
lodge(os.path.join(home, 'link.vmx'))
time.sleep(1)
ok(len(tabs()) == before, 'opened again, by a relative path and by a link: the same tab (%d)' % before)

# ---- by keys alone ----
key('ctrl+b')
need(wait('First machine, Running'), 'Ctrl+B powers it on')
action('vm-rename')
name = entry('First machine')
need(name, 'a new name while it runs: asked for')
name.queryEditableText().setTextContents('Renamed “machine”')
key('Return')
ok(wait('Renamed “machine”, Running'), 'it has it in the library, and runs on')
ok(until(lambda: 'displayName = "Renamed “machine”"' in open(one, encoding='utf8').read()), 'and in its file')

# ---- text from the clipboard ----
subprocess.Popen([sys.executable, '-c', 'import gi\ngi.require_version("Gtk", "3.0")\nfrom gi.repository import Gtk, Gdk, GLib\n'
                  'c = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)\nc.set_text("Zeichen: ü", -1)\nGLib.timeout_add_seconds(300, Gtk.main_quit)\nGtk.main()'], env=dict(env, NO_AT_BRIDGE='1'))


def typed_clipboard():
    action('vm-type-clipboard')  # again, where that program has not come to it yet
    return until(lambda: find('“ü” cannot be typed', contains=True), 5)


told = until(typed_clipboard)
ok(told, 'text with a letter that a US keyboard does not have: it is said which')
shot('clipboard')

# ---- a guest that hangs: here one that knows of no power button ----
action('vm-power-off')
ok(press('Power off') and until(lambda: not running()), 'it is powered off whatever it does')
need(wait('Renamed “machine”, Powered off'), 'off; and what was refused while it ran is no problem any more')
ok(until(lambda: not find('cannot be typed', contains=True)), 'nor said')

# ---- files that are none ----
for name, content, says in (('noise.vmx', bytes(range(256)) * 12, 'noise'), ('empty.vmx', b'', 'empty'), ('letter.txt', b'hello', 'The file cannot be opened')):
    path = os.path.join(vms, name)
    with open(path, 'wb') as f:
        f.write(content)
    lodge(path)
    found = wait(says, contains=True)
    ok(found, '%s: %s' % (name, found.name if found else 'nothing is said'))
    time.sleep(1)
    shot(name)
    ok(p.poll() is None, 'and the window lives')
    if name == 'noise.vmx':
        button = find('Edit settings…', pyatspi.ROLE_PUSH_BUTTON)
        ok(button and not button.getState().contains(pyatspi.STATE_SENSITIVE), 'what has no settings offers none')
    key('Escape')
lodge(os.path.join(vms, 'nothing.vmx'))
ok(wait('The machine cannot be opened', contains=True), 'a file that is not there')
key('Escape')
time.sleep(0.5)

# ---- a full disk ----
full = os.path.join(home, 'full')
os.makedirs(full)
if os.geteuid() == 0 and subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', full], capture_output=True).returncode == 0:
    try:
        path = machine_file(os.path.join(full, 'full.vmx'), 'On a full disk', 'annotation = "old"\n')
        try:
            with open(os.path.join(full, 'filler'), 'wb') as f:
                while True:
                    f.write(bytes(4096))
        except OSError:
            pass
        old = open(path).read()
        lodge(path)
        need(wait('On a full disk, Powered off'), 'a machine on a full disk')
        action('vm-rename')
        name = entry('On a full disk')
        name.queryEditableText().setTextContents('Another name')
        key('Return')
        ok(wait('No space left on device; it is as it was before. Make room on its drive', contains=True), 'a change of its settings: it is said that there is no room')
        shot('full')
        ok(open(path).read() == old, 'and its file is as it was')
        press('Close this message')
        action('vm-power-on')
        got = until(lambda: find('On a full disk, Running') or find('“On a full disk” cannot power on', contains=True))
        ok(got, 'powered on: %s' % (got.name if got else 'nothing'))
        shot('full-on')
        for q in running():
            os.kill(q, signal.SIGTERM)
        ok(until(lambda: not running()), 'off')
        ok(open(path).read().startswith(old[:100]), 'its file is there')
    finally:
        for q in running():
            os.kill(q, signal.SIGKILL)
        until(lambda: not running(), 10)
        subprocess.run(['umount', '-l', full])
else:
    print('# no right to mount: the part with a full disk is left out')
ok(not unnamed(), 'every widget that takes the focus has a name')
stop(p)
for q in running():
    os.kill(q, signal.SIGKILL)
end()
