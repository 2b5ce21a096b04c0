#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to the files of machines: cloning, deleting from disk, dragging one in from a file manager; and what is to be known when one is
powered on. Through accessibility, keyboard and pointer, with real machines."""
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import uiwalk  # noqa: E402

uiwalk.own_session(__file__, env={'LODGE_TEST_SCREEN': '1280x900x24'})

import pyatspi  # noqa: E402
from uiwalk import action, end, env, find, key, machine_file, need, ok, press, running, start, started, stop, text_of, unnamed, until, vm_call, wait, walk  # noqa: E402

home = os.environ['HOME']
vms = os.path.join(home, 'vms')
tool = os.path.abspath('./lodge-vdiskmanager')


def machine(folder, name, lines):
    return machine_file(os.path.join(vms, folder, folder + '.vmx'), name, lines)


def disk(path, kind, fill):
    raw = os.path.join(home, 'raw.img')
    with open(raw, 'wb') as f:
        f.write(fill)
    subprocess.run([tool, '-q', '-r', raw, '-t', kind, path], check=True)
    os.remove(raw)


def content(path):
    """A disk's bytes: those of a flat copy."""
    flat = os.path.join(home, 'flat.vmdk')
    if subprocess.run([tool, '-q', '-r', path, '-t', '2', flat]).returncode:
        return None
    with open(os.path.join(home, 'flat-flat.vmdk'), 'rb') as f:
        data = f.read()
    subprocess.run([tool, '-U', flat], check=True)
    return data


def value(path, name):
    found = re.findall(r'(?m)^%s = "(.*)"' % re.escape(name), open(path).read())
    return found[-1] if found else None


def power_off(path):
    vm_call(path, 'org.lodge.Vm1.PowerOff')


def is_off():
    def shown():
        button = find('Power on', pyatspi.ROLE_PUSH_BUTTON)
        return button and button.getState().contains(pyatspi.STATE_SENSITIVE)
    return until(lambda: not running()) and until(shown)


def files(folder):
    return sorted(os.listdir(os.path.join(vms, folder)))


def rows(name):
    box = find(name, pyatspi.ROLE_LIST_BOX)
    return sorted(x.name.rsplit(', ', 1)[0] for x in box) if box else None


def three_free_ports():
    """One after another, and more behind them, below those that the kernel gives out; the third is taken by this test."""
    for p in range(10000 + os.getpid() % 9000, 32000, 7):
        socks = [socket.socket() for _ in range(12)]
        try:
            for i, s in enumerate(socks):
                s.bind(('127.0.0.1', p + i))
            socks[2].listen()
            return p, socks[2]
        except OSError:
            pass


port, listener = three_free_ports()
first, second, third = os.urandom(3 << 20) + bytes(5 << 20), bytes(1 << 20) + os.urandom(1 << 20), os.urandom(1 << 20)
orig = machine('orig', 'Original', 'ide0:0.present = "TRUE"\nide0:0.fileName = "disk.vmdk"\nide0:1.present = "TRUE"\nide0:1.fileName = "flat.vmdk"\n'
               'ide1:0.present = "TRUE"\nide1:0.deviceType = "cdrom-image"\nide1:0.fileName = "boot.iso"\nide1:1.present = "TRUE"\nide1:1.fileName = "lent.vmdk"\n'
               'ethernet0.present = "TRUE"\nethernet0.connectionType = "nat"\nethernet0.virtualDev = "e1000"\nethernet0.addressType = "generated"\n'
               'ethernet0.natForward0 = "tcp:127.0.0.1:%d:22"\nRemoteDisplay.vnc.enabled = "TRUE"\nRemoteDisplay.vnc.port = "%d"\n'
               'serial0.present = "TRUE"\nserial0.fileType = "pipe"\nserial0.fileName = "%s/com1"\nserial1.present = "TRUE"\nserial1.fileType = "pipe"\n'
               'serial1.fileName = "com2"\nserial2.present = "TRUE"\nserial2.fileType = "file"\nserial2.fileName = "%s/com3.txt"\n' % (port, port + 1, home, home))
disk(os.path.join(vms, 'orig', 'disk.vmdk'), '1', first)
disk(os.path.join(vms, 'orig', 'flat.vmdk'), '2', second)
disk(os.path.join(vms, 'orig', 'lent.vmdk'), '0', third)
with open(os.path.join(vms, 'orig', 'boot.iso'), 'wb') as f:
    f.write(bytes(64 << 10))
with open(os.path.join(vms, 'orig', 'notes.txt'), 'w') as f:
    f.write('mine\n')
other = machine('other', 'Borrower', 'RemoteDisplay.vnc.enabled = "TRUE"\nRemoteDisplay.vnc.port = "%d"\nide0:0.present = "TRUE"\nide0:0.fileName = "../orig/lent.vmdk"\n' % (port + 3))

p = start(other)
need(wait('Borrower, Powered off'), 'a machine that uses a disk of another one')
subprocess.run(['./lodge', orig], env=env, timeout=300)
need(wait('Original, Powered off'), 'and that other one')

# Running: neither, with a sentence.
press('Power on')
need(wait('Original, Running'), 'it runs')
before = files('orig')
action('vm-delete')
ok(wait('“Original” cannot be deleted. The machine is running. Shut it down or power it off first.'), 'a running machine is not deleted, and it is said why')
action('vm-clone')
ok(wait('“Original” cannot be cloned. The machine is running.', contains=True), 'nor cloned')
ok(set(before) <= set(files('orig')), 'all its files are there')
power_off(orig)
need(is_off(), 'it is off')

# A clone, by the keyboard.
key('ctrl+shift+c')
name = until(lambda: [x for x in walk(uiwalk.app()) if x.getRole() == pyatspi.ROLE_TEXT and text_of(x) == 'Clone of Original'][0])
need(name, 'Ctrl+Shift+C asks for the name of the clone')
ok(not unnamed(), 'clone: every widget that takes the focus has a name')
name.queryEditableText().setTextContents('orig')
ok(wait('There is already a folder “orig”', contains=True), 'a name that is taken is told')
name.queryEditableText().setTextContents('The copy')
key('Return')
copy = os.path.join(vms, 'The copy', 'The copy.vmx')
need(until(lambda: os.path.exists(copy)) and wait('The copy, Powered off'), 'the clone is in the library')
for node, here, fill in (('ide0:0', 'The copy.vmdk', first), ('ide0:1', 'The copy-1.vmdk', second), ('ide1:1', 'The copy-2.vmdk', third)):
    ok(value(copy, node + '.fileName') == here and content(os.path.join(vms, 'The copy', here)) == fill, node + ': a disk of its own with the same content')
ok('The copy-s001.vmdk' in files('The copy') and 'The copy-1-flat.vmdk' in files('The copy'), 'of the type that the original has')
ok(value(copy, 'ide1:0.fileName') == os.path.join(vms, 'orig', 'boot.iso'), 'the CD image is the same one')
ok(value(copy, 'nvram') == 'The copy.nvram' and value(copy, 'displayName') == 'The copy', 'name and CMOS memory are its own')
ok(value(copy, 'uuid.bios') and value(copy, 'uuid.bios') != value(orig, 'uuid.bios') and value(copy, 'uuid.bios').startswith('56 4d'), 'it has a UUID of its own')
made = value(copy, 'uuid.bios')
ok(not value(copy, 'ethernet0.generatedAddress'), 'and no MAC address of the other one')
ok(int(value(copy, 'RemoteDisplay.vnc.port')) == port + 4, 'its VNC port is the next that no program and no other machine of the library has: %s, not %d to %d'
   % (value(copy, 'RemoteDisplay.vnc.port'), port + 1, port + 3))
forward = value(copy, 'ethernet0.natForward0').split(':')
ok(forward[:2] + forward[3:] == ['tcp', '127.0.0.1', '22'] and int(forward[2]) > port + 4, 'so is the port that leads into the guest: ' + ':'.join(forward))
ok(value(copy, 'serial0.fileName') == home + '/com1-2' and value(copy, 'serial1.fileName') == 'com2', 'serial sockets are its own')
ok(value(copy, 'serial2.fileName') == 'com3.txt', 'and so is the file of the third port')
listener.close()
check = subprocess.run(['./lodge-vmx', '--check', copy], capture_output=True, text=True)
ok(check.returncode == 0, 'its file is correct: ' + (check.stdout + check.stderr).strip())
press('Power on')
ok(wait('The copy, Running'), 'it runs')
ok(until(lambda: value(copy, 'ethernet0.generatedAddress') not in (None, value(orig, 'ethernet0.generatedAddress'))), 'with a MAC address of its own')
ok(value(copy, 'uuid.bios') == made, 'and keeps its UUID')
subprocess.run(['./lodge', '-x', orig], env=env, timeout=300)
ok(wait('Original, Running'), 'the original beside it')


def listens(number):
    with socket.create_connection(('127.0.0.1', number), 5):
        return True


ok(until(lambda: listens(port + 1) and listens(port + 4)), 'both have their VNC servers')
ok(until(lambda: os.path.exists(home + '/com1') and os.path.exists(home + '/com1-2')), 'and their serial sockets')
power_off(orig)
power_off(copy)
need(is_off(), 'it is off')

# Cancelled: nothing is left, in the folder nor of the program that copies.
big = machine('big', 'Big one', 'ide0:0.present = "TRUE"\nide0:0.fileName = "big.vmdk"\n')
subprocess.run([tool, '-c', '-s', '4TB', os.path.join(vms, 'big', 'big.vmdk')], check=True)
subprocess.run(['./lodge', big], env=env, timeout=300)
need(wait('Big one, Powered off'), 'a machine with a disk of 4 TB')
action('vm-clone')
wait('Clone', pyatspi.ROLE_PUSH_BUTTON)
press('Clone')
ok(wait('Progress of the copy', pyatspi.ROLE_PROGRESS_BAR), 'a long copy shows its progress')
ok(until(lambda: os.path.exists(os.path.join(vms, 'Clone of Big one', 'Clone of Big one.vmdk'))), 'and works')
ok(not unnamed(), 'progress: every widget that takes the focus has a name')
if os.environ.get('LODGE_TEST_SHOTS'):
    time.sleep(1)
    subprocess.run(['import', '-window', 'root', '%s/clone.png' % os.environ['LODGE_TEST_SHOTS']])
t0 = time.monotonic()
press('Cancel')
ok(until(lambda: not os.path.exists(os.path.join(vms, 'Clone of Big one'))), 'Cancel takes away what was made (%.1f s)' % (time.monotonic() - t0))
ok(until(lambda: subprocess.run(['pgrep', '-f', 'lodge-vdiskmanager -r ' + vms], capture_output=True).returncode == 1, 10), 'and ends the copying')
ok(not find('Clone of Big one', contains=True), 'nothing of it is in the library')

# Deleting. The keyboard's default changes nothing.
subprocess.run(['./lodge', orig], env=env, timeout=300)
need(wait('Hardware', pyatspi.ROLE_LIST_BOX), 'the original again')
all_files = files('orig')
locked = open(os.path.join(vms, 'orig', 'disk-s001.vmdk'), 'r+b')
fcntl.fcntl(locked, 37, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
action('vm-delete')
ok(wait('in use by process %d' % os.getpid(), contains=True), 'a disk that another program has locked: refused, and it is said who has it')
locked.close()
ok(files('orig') == all_files, 'nothing is gone')
key('ctrl+shift+Delete')
need(wait('Files that are deleted', pyatspi.ROLE_LIST_BOX), 'Ctrl+Shift+Delete lists the files that are deleted')
ok(not unnamed(), 'delete: every widget that takes the focus has a name')
expected = [f for f in all_files if f not in ('notes.txt', 'boot.iso', 'lent.vmdk')]
ok(rows('Files that are deleted') == sorted(expected), 'all of the machine, and no more')
print('# ' + ', '.join(rows('Files that are deleted') or []))
ok(find('lent.vmdk, “Borrower” uses it.') and rows('Files that stay') == ['lent.vmdk'], 'and which stays, because another machine uses it')
if os.environ.get('LODGE_TEST_SHOTS'):
    subprocess.run(['import', '-window', 'root', '%s/delete.png' % os.environ['LODGE_TEST_SHOTS']])
key('Return')
ok(until(lambda: not find('Files that are deleted')) and files('orig') == all_files, 'Enter deletes nothing')
key('ctrl+shift+Delete')
wait('Files that are deleted', pyatspi.ROLE_LIST_BOX)
ok(press('Delete'), 'Delete')
ok(until(lambda: files('orig') == ['boot.iso', 'lent.vmdk', 'notes.txt']), 'deletes them: %s are left' % ', '.join(files('orig')))
ok(until(lambda: not find('Original', contains=True)), 'its row and its tab are gone')
ok(content(os.path.join(vms, 'orig', 'lent.vmdk')) == third, 'the other machine has its disk')

# From the library's menu, by the keyboard; with nothing else in the folder, that goes too.
os.remove(os.path.join(vms, 'The copy', 'com3.txt'))  # what a serial port wrote stays, as any file of the user
row = wait('The copy, Powered off')
row.queryComponent().grabFocus() if row else None
time.sleep(0.5)
key('Menu')
item = wait('Delete from disk…', pyatspi.ROLE_MENU_ITEM)
ok(item and find('Clone…', pyatspi.ROLE_MENU_ITEM), 'the menu of a machine in the library has both')
if item:
    item.queryAction().doAction(0)
ok(wait('Files that are deleted', pyatspi.ROLE_LIST_BOX) and press('Delete'), 'delete the clone')
ok(until(lambda: not os.path.exists(os.path.join(vms, 'The copy'))), 'its folder is gone')
ok(os.path.exists(os.path.join(vms, 'orig', 'boot.iso')), 'the CD image is not')

# A .vmx dragged in by the pointer.
dragged = machine('dragged', 'Dragged machine', '')
source = subprocess.Popen(['tests/ui/drag_source', dragged], env=dict(env, NO_AT_BRIDGE='1'), stdout=subprocess.PIPE, text=True)
started.append(source)
window = until(lambda: subprocess.run(['xdotool', 'getactivewindow'], capture_output=True, text=True).stdout.split())
need(window, 'the window')
subprocess.run(['xdotool', 'windowmove', '--sync', window[-1], '120', '80'])
time.sleep(1)


def pointer(*steps):
    for s in steps:
        subprocess.run(['xdotool', *[str(x) for x in s]], check=True)
        time.sleep(0.15)


pointer(('mousemove', 30, 30), ('mousedown', 1), *[('mousemove', 30 + i * 40, 30 + i * 30) for i in range(1, 16)], ('mousemove', 700, 480), ('mousemove', 704, 484))
time.sleep(0.5)
pointer(('mouseup', 1))
ok(wait('Dragged machine, Powered off'), 'a .vmx dragged from another program and dropped on the window is in the library')
ok(source.stdout.readline() == 'ended\n', 'and its source knows that it was taken')

# Something to know at power on: more memory than all machines may have.
much = machine('much', 'Much memory', 'prefvmx.allVMMemoryLimit = "96"\nprefvmx.minVmMemPct = "25"\n')
text = open(much).read().replace('memsize = "32"', 'memsize = "128"')
with open(much, 'w') as f:
    f.write(text)
subprocess.run(['./lodge', much], env=env, timeout=300)
need(wait('Much memory, Powered off'), 'a machine with more memory than all may have together')
press('Power on')
ok(wait('All machines that are on have 128 MB together, of 96 MB', contains=True), 'powered on, it says so in the info bar')
ok(find('Show memory', pyatspi.ROLE_PUSH_BUTTON) and find('Much memory, Running'), 'with the action that shows it; it runs')
ok(not unnamed(), 'info bar: every widget that takes the focus has a name')
ok(press('Show memory') and wait('Memory of all machines together'), 'which opens')
key('Escape')
for q in running():
    os.kill(q, signal.SIGKILL)
stop(p)
end()
