#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The window as its user meets it: through accessibility and the keyboard, on an X server and message bus of its own, with real machines.

One machine without anything to boot ("No bootable device") is enough to see power on, pause, resume, reset, power off, a killed process, a window
that is closed and found again, and a new machine from the sequence. The virtual networks' window has a lodge-vmnet with a port made here."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import uiwalk  # noqa: E402

uiwalk.own_session(__file__)

import pyatspi  # noqa: E402
from gi.repository import Gio, GLib  # noqa: E402
from uiwalk import HERE, action, app, clashes, end, env, find, focused, key, log, machine_file, ok, press, running, start, stop, text_of, unnamed, until, vm_call, wait, walk  # noqa: E402

home = os.environ['HOME']
vm_dir = os.path.join(home, 'machine')
vmx = machine_file(os.path.join(vm_dir, 'test.vmx'), 'Test machine', 'ide1:0.present = "TRUE"\nide1:0.deviceType = "cdrom-raw"\nide1:0.fileName = "auto detect"\n'
                   'ide1:0.startConnected = "FALSE"\n', memsize=64)

p = start()
t0 = time.monotonic()
if not ok(wait('Create a virtual machine…', pyatspi.ROLE_PUSH_BUTTON), 'the window opens with an empty library'):
    print('# is the accessibility bus there?')
    end()
print('# first window after %.1f s' % (time.monotonic() - t0))
ok(not unnamed(), 'home: every widget that takes the focus has a name')
ok(subprocess.run(['./lodge', vmx], env=env, timeout=300).returncode == 0, 'a second call ends at once')
ok(wait('Test machine, Powered off'), 'and its machine is in the library of the first one')
ok(wait('Hardware', pyatspi.ROLE_LIST_BOX) and wait('Memory: 64 MB'), 'its page lists the hardware')
ok(not unnamed(), 'summary: every widget that takes the focus has a name')

ok(press('Power on'), 'the button powers on')
ok(wait('Test machine, Running'), 'the machine runs')
ok(len(running()) == 1, 'in one process')
ok(not unnamed(), 'console: every widget that takes the focus has a name')
action('vm-memory')
graph = wait('Memory of Test machine')
ok(graph and wait('Memory of all machines together'), 'the memory window shows a graph of the machine, and one of all')
ok(wait('64.0 MB', pyatspi.ROLE_LABEL), 'with its numbers')
ok(not unnamed(), 'memory: every widget that takes the focus has a name')
key('Escape')
ok(until(lambda: not find('Memory of Test machine')), 'Escape closes it')

# What all machines may use together: kept in lodge-vmx's own file.
config = os.path.join(os.environ.get('XDG_CONFIG_HOME', os.path.join(home, '.config')), 'lodge', 'config')


def says(line):
    return os.path.exists(config) and line in open(config).read()


action('preferences', '')
ok(wait('Shortcuts', pyatspi.ROLE_RADIO_BUTTON) and press('Memory', pyatspi.ROLE_RADIO_BUTTON), 'the preferences have a page about memory')
box = wait('Recommended: ', pyatspi.ROLE_CHECK_BOX, contains=True)
ok(box and not os.path.exists(config), 'which changes nothing by being shown')
level = wait('Half of it, the rest may be swapped', pyatspi.ROLE_COMBO_BOX)
if ok(level and box, 'with the level and the limit'):
    level.querySelection().selectChild(0)
    ok(until(lambda: says('prefvmx.minVmMemPct = "100"')), 'the level is written')
    box.queryAction().doAction(0)
    ok(until(lambda: says('prefvmx.allVMMemoryLimit = "')), 'a limit of one\'s own, too')
    level.querySelection().selectChild(1)
    box.queryAction().doAction(0)
    ok(until(lambda: says('prefvmx.minVmMemPct = "50"') and says('useRecommendedLockedMemSize = "TRUE"') and not says('allVMMemoryLimit')), 'and back')
ok(not unnamed(), 'preferences: every widget that takes the focus has a name')
ok(not clashes(), 'preferences: no letter is given twice')
key('Escape')
until(lambda: not find('Shortcuts', pyatspi.ROLE_RADIO_BUTTON))


# The toggles of memory thrift act in the running machine.
def machine_statistics():
    out = vm_call(vmx, 'org.lodge.Vm1.GetStatistics')
    return {k: int(v) for k, v in re.findall(r"'([\w.]+)': (?:uint64 )?(\d+)", out)}


was = machine_statistics()
ok(was.get('trim.rate', 0) > 0 and was.get('memory.sharing') == 1, 'trimming and sharing are on')
for value in (0, 1):
    action('vm-settings')
    for name in ('Give unused memory back to the host (memory trimming)', 'Share identical memory pages (page sharing)'):
        box = wait(name, pyatspi.ROLE_CHECK_BOX)
        if ok(box, 'settings have: ' + name):
            box.queryAction().doAction(0)
    ok(wait('The machine is running: this takes effect at once.'), 'the settings say that they act at once')
    ok(press('Apply'), 'apply')
    ok(until(lambda: (machine_statistics().get('trim.rate', -1) > 0) == (value == 1) and machine_statistics().get('memory.sharing') == value),
       'both are %s in the running machine' % ('on again' if value else 'off'))
    ok(until(lambda: 'sched.mem.pshare.enable = "%s"' % ('TRUE' if value else 'FALSE') in open(vmx).read()), 'and in its file')
    key('Escape')
    until(lambda: not find('Settings pages'))
ok(press('Pause') and wait('Test machine, Paused'), 'pause')
ok(press('Resume') and wait('Test machine, Running'), 'resume')

ok(press('Close') and wait('Run in background', pyatspi.ROLE_PUSH_BUTTON), 'closing the window asks what becomes of the machine')
press('Run in background')
ok(until(lambda: p.poll() is not None), 'the window ends')
ok(len(running()) == 1, 'the machine survives it')
p = start(vmx)
ok(wait('Test machine, Running'), 'and is found again')
pid = (running() or [0])[0]
if pid:
    os.kill(pid, signal.SIGKILL)
ok(wait('ended unexpectedly', contains=True), 'a process that is killed is reported')
ok(wait('Show log', pyatspi.ROLE_PUSH_BUTTON), 'with its log')
ok(press('Show log') and wait('Search the log'), 'which opens')
key('Escape')

# The new machine, by the keyboard alone.
until(lambda: not find('Search the log'))
key('ctrl+n')
ok(wait('I install the system later', pyatspi.ROLE_RADIO_BUTTON), 'the sequence for a new machine opens by Ctrl+N')
ok(not unnamed(), 'its first page: every widget has a name')
key('alt+l', 'Return')
uiwalk.through_the_sequence()
ok(until(lambda: any(f.endswith('.vmx') for _, _, fs in os.walk(os.path.join(home, 'Virtual Machines')) for f in fs)), 'Enter makes the machine')
ok(wait('Debian 12, Running'), 'and it runs')
check = subprocess.run(['./lodge-vmx', '--check', *[os.path.join(d, f) for d, _, fs in os.walk(os.path.join(home, 'Virtual Machines')) for f in fs if f.endswith('.vmx')]],
                       capture_output=True, text=True)
ok('error' not in check.stdout and check.returncode == 0 or 'uuid' in check.stdout, 'its file is correct')
ok(press('More power actions', pyatspi.ROLE_TOGGLE_BUTTON), 'the menu of power actions opens')
time.sleep(0.5)
key('Escape')

# Settings.
stop(p)
for q in running():
    os.kill(q, signal.SIGKILL)
until(lambda: not running())
p = start(vmx)
ok(wait('Edit settings…', pyatspi.ROLE_PUSH_BUTTON) and press('Edit settings…'), 'settings open')
ok(wait('Settings pages'), 'with a list of pages')
ok(not unnamed(), 'settings: every widget that takes the focus has a name')
pages = find('Settings pages')
for i, row in enumerate(pages):
    pages.querySelection().selectChild(i)
    time.sleep(0.3)
    ok(not clashes(), 'settings, %s: no letter is given twice' % row.name)
pages.querySelection().selectChild(0)
list(pages)[0].queryComponent().grabFocus()
ok(until(lambda: focused().getRole() == pyatspi.ROLE_LIST_ITEM), 'the list of pages has the focus')
key('Tab')
ok(until(lambda: focused().getRole() != pyatspi.ROLE_LIST_ITEM), 'Tab leaves the list: the arrow keys go from row to row')
key('shift+Tab')
ok(until(lambda: focused().name.startswith('Memory')), 'and comes back to the row that is chosen')
spin = wait('Memory of the guest', pyatspi.ROLE_SPIN_BUTTON)
before = open(vmx).read().splitlines()
if ok(spin, 'memory has a number'):
    spin.queryValue().currentValue = 128
ok(press('Apply'), 'apply')
ok(until(lambda: 'memsize = "128"' in open(vmx).read()), 'is written')
after = open(vmx).read().splitlines()
ok(len(before) == len(after) and sum(a != b for a, b in zip(before, after)) == 1, 'as one other line')
stop(p)


# Virtual networks: the file, and a running lodge-vmnet.
def labelled(name):
    for node in walk(app()):
        if node.getRole() == pyatspi.ROLE_TEXT and node.getState().contains(pyatspi.STATE_VISIBLE):
            for r in node.getRelationSet():
                if r.getRelationType() == pyatspi.RELATION_LABELLED_BY and r.getTarget(0).name == name:
                    return node


def ready():
    return find('Edit settings…', pyatspi.ROLE_PUSH_BUTTON) or find('Create a virtual machine…', pyatspi.ROLE_PUSH_BUTTON)


networks = os.path.join(os.environ['XDG_CONFIG_HOME'], 'lodge', 'networks')
os.makedirs(os.path.dirname(networks), exist_ok=True)
lines = ['.encoding = "UTF-8"', '# the laboratory', 'vmnet1.subnet   =  "192.168.50.0/24"', 'vmnet1.name = "Lab"', '', 'vmnet8.forward3 = "tcp 127.0.0.1:2222 192.168.108.20:22"']
with open(networks, 'w') as f:
    f.write('\n'.join(lines) + '\n')
p = start()
ok(until(ready), 'the window again')
action('networks')
ok(wait('vmnet1 – Lab, Host-only, 192.168.50.0/24', pyatspi.ROLE_LIST_ITEM) and find('vmnet8, NAT, 192.168.108.0/24') and find('vmnet0, Bridged, automatic'),
   'the virtual networks are listed')
ok(not unnamed(), 'networks: every widget that takes the focus has a name')
ok(not clashes(), 'networks: no letter is given twice')
key('Down')
subnet = until(lambda: labelled('Subnet:'))
ok(subnet and text_of(subnet) == '192.168.50.0/24', 'the arrow keys go to the next network')
if subnet:
    subnet.queryEditableText().setTextContents('192.168.50.7/24')
    ok(wait("It has bits behind its mask; write the network's first address."), 'a wrong subnet is told beside it')
    press('Apply')
    ok(wait('Nothing was saved.', contains=True) and open(networks).read().splitlines() == lines, 'and nothing is written')
    subnet.queryEditableText().setTextContents('192.168.60.0/24')
    ok(until(lambda: not find("It has bits behind its mask; write the network's first address.")), 'the sentence goes when the value is right')
    press('Apply')
    ok(wait('Saved.', contains=True), 'apply')
    lines[2] = 'vmnet1.subnet   =  "192.168.60.0/24"'
    ok(open(networks).read().splitlines() == lines, 'changes the one line, and leaves its spaces')
key('Escape')
until(lambda: not find('vmnet8, NAT, 192.168.108.0/24'), 10)
stop(p)

# A running lodge-vmnet with a machine in vmnet8: who is in it is shown, and it takes what is applied.
vmnet = subprocess.Popen(['./lodge-vmnet', '--foreground'], env=env, stdout=log, stderr=log)
uiwalk.started.append(vmnet)


def is_free(port):
    with socket.socket() as s:
        try:
            s.bind(('127.0.0.1', port))
            return True
        except OSError:
            return False


def attach():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(os.path.join(os.environ['XDG_RUNTIME_DIR'], 'lodge', 'vmnet.sock'))
    s.send(b'attach\nnetwork=vmnet8\nmac=00:0c:29:aa:bb:cc\nname=My guest 00:11\nid=1\nfollow=0')
    return s if s.recv(4096).startswith(b'ok') else None


guest = until(attach)
ok(guest, 'a machine is in vmnet8')
p = start()
until(ready)
action('networks')
wait('vmnet8, NAT, 192.168.108.0/24', pyatspi.ROLE_LIST_ITEM)
key('End')
ok(wait('My guest 00:11', pyatspi.ROLE_TABLE_CELL) and find('00:0c:29:aa:bb:cc'), 'its name and MAC address are shown')
ok(press('Add a forward') and wait('Address and port of this computer, forward 2', pyatspi.ROLE_TEXT), 'a forward is added')
ok(not unnamed(), 'forwards: every widget that takes the focus has a name')
port = find('Address and port of this computer, forward 2', pyatspi.ROLE_TEXT)
if port:
    ok(text_of(port) == '127.0.0.1:2223', 'with a port that no other forward has')
    port.queryEditableText().setTextContents('127.0.0.1:99999')
    ok(wait('Write tcp or udp', contains=True), 'a wrong port is told')
    forward = '127.0.0.1:%d' % next(x for x in range(2230, 3000) if is_free(x))
    port.queryEditableText().setTextContents(forward)
    press('Apply')
    ok(wait('Saved. The networks that run have taken it.'), 'the running networks take it')
    lines.append('vmnet8.forward0 = "tcp %s 192.168.108.128:22"' % forward)
    ok(open(networks).read().splitlines() == lines, 'the file has one more line')
    press('Remove forward 2')
    press('Apply')
    ok(until(lambda: open(networks).read().splitlines() == lines[:-1]), 'a removed forward takes its line with it')
ok(press('Reserve an address') and wait('MAC address of reservation 1', pyatspi.ROLE_TEXT), 'an address is reserved')
mac = find('MAC address of reservation 1', pyatspi.ROLE_TEXT)
ok(mac and text_of(mac) == '00:0c:29:aa:bb:cc', 'for the machine that is in the network')
address = find('Address of reservation 1', pyatspi.ROLE_TEXT)
if address:
    address.queryEditableText().setTextContents('192.168.109.5')
    ok(wait('is not in the network', contains=True), 'an address of another network is told')
    address.queryEditableText().setTextContents('192.168.108.50')
    until(lambda: not find('is not in the network', contains=True))
more = find('More settings', pyatspi.ROLE_TOGGLE_BUTTON)
if ok(more, 'there are more settings'):
    more.queryComponent().grabFocus()
    key('Tab')
    ok(until(lambda: focused().queryComponent().getExtents(pyatspi.DESKTOP_COORDS).width > 1), 'which take no focus while they are not shown')
    more.queryAction().doAction(0)
    lease = until(lambda: labelled('Lease time in seconds:'))
    ok(lease and labelled('IPv6 prefix:') and labelled('Folder shared by TFTP:') and labelled('Boot file:') and labelled('Domain:'), 'lease time, domain, IPv6 prefix, TFTP')
    lease.queryEditableText().setTextContents('5')
    ok(until(lambda: any(x.name == 'Write seconds, from 60 to 31536000.' and x.getState().contains(pyatspi.STATE_VISIBLE) for x in walk(app()))), 'a wrong lease time is told')
    lease.queryEditableText().setTextContents('600')
    ok(not unnamed(), 'reservations and more: every widget that takes the focus has a name')
    press('Apply')
    ok(until(lambda: sorted(open(networks).read().splitlines()) == sorted([*lines[:-1], 'vmnet8.dhcp.leaseTime = "600"', 'vmnet8.dhcp.reservation0 = "00:0c:29:aa:bb:cc 192.168.108.50"'])),
       'each is a line of the file')
    press('Remove reservation 1')
    press('Apply')
    ok(until(lambda: 'reservation' not in open(networks).read()), 'a removed reservation takes its line with it')
if os.environ.get('LODGE_TEST_SHOTS'):
    time.sleep(2)
    subprocess.run(['import', '-window', 'root', '%s/networks.png' % os.environ['LODGE_TEST_SHOTS']])
stop(p)
stop(vmnet)

# The address that a guest has got: here the boot ROM's, from NAT.
net_vmx = os.path.join(vm_dir, 'net.vmx')
with open(net_vmx, 'w') as f:
    f.write(open(vmx).read().replace('Test machine', 'Net machine') + 'ethernet0.present = "TRUE"\nethernet0.connectionType = "nat"\nethernet0.virtualDev = "e1000"\n'
            'bios.bootOrder = "ethernet"\n')
p = start(net_vmx)
ok(press('Power on') and wait('Net machine, Running'), 'a machine with an adapter')


def address():
    button = find('Network adapter', pyatspi.ROLE_TOGGLE_BUTTON, contains=True)
    button.queryAction().doAction(0)
    found = wait('10.0.2.15', contains=True, seconds=1.5)
    if not found:
        button.queryAction().doAction(0)
        time.sleep(0.5)
    return found


ok(until(address), 'the address that its guest has got is shown at its adapter')
ok(not unnamed(), 'popover: every widget that takes the focus has a name')
if os.environ.get('LODGE_TEST_SHOTS'):
    subprocess.run(['import', '-window', 'root', '%s/address.png' % os.environ['LODGE_TEST_SHOTS']])
stop(p)
for q in running():
    os.kill(q, signal.SIGKILL)
until(lambda: not running())

# A double click in a file manager: opens and runs, by the desktop file, the MIME type and the message bus.
if all(shutil.which(t) for t in ('gio', 'update-mime-database', 'update-desktop-database')) and os.path.exists('gen/org.lodge.Lodge.desktop'):
    data, here, src = os.environ['XDG_DATA_HOME'], os.getcwd(), os.path.join(HERE, '..', '..')
    for d in ('applications', 'mime/packages', 'dbus-1/services'):
        os.makedirs(os.path.join(data, d), exist_ok=True)
    with open('gen/org.lodge.Lodge.desktop') as f, open(os.path.join(data, 'applications/org.lodge.Lodge.desktop'), 'w') as g:
        g.write(f.read().replace('Exec=lodge', 'Exec=%s/lodge' % here))
    shutil.copy(os.path.join(src, 'resources/desktop/org.lodge.Lodge.mime.xml'), os.path.join(data, 'mime/packages'))
    with open(os.path.join(data, 'dbus-1/services/org.lodge.Lodge.service'), 'w') as f:
        f.write('[D-BUS Service]\nName=org.lodge.Lodge\nExec=%s/lodge --gapplication-service\n' % here)
    subprocess.run(['update-mime-database', os.path.join(data, 'mime')], capture_output=True)
    subprocess.run(['update-desktop-database', os.path.join(data, 'applications')], capture_output=True)
    bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
    bus.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'ReloadConfig', None, None, 0, 100000, None)
    ok('org.lodge.Lodge.desktop' in subprocess.run(['gio', 'mime', 'application/x-lodge-vmx'], capture_output=True, text=True).stdout, '.vmx files are opened by lodge')
    subprocess.run(['gio', 'open', vmx], capture_output=True, timeout=300)
    ok(wait('Test machine, Running'), 'a double click opens and runs')
    try:
        pid = bus.call_sync('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'GetConnectionUnixProcessID', GLib.Variant('(s)', ('org.lodge.Lodge',)),
                            None, 0, 100000, None).unpack()[0]
        os.kill(pid, signal.SIGTERM)
    except GLib.Error:
        pass
end()
