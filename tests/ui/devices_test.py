#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices of a machine in the status bar: a CD and a cable are connected or not, and only the other of the two is offered; and what keeps a machine
from powering on, told before anybody tries. Through accessibility, with real machines."""
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import uiwalk  # noqa: E402

uiwalk.own_session(__file__, env={'LODGE_TEST_SCREEN': '1280x900x24'})

import pyatspi  # noqa: E402
from uiwalk import clashes, end, find, key, machine_file, need, ok, press, running, settings_page, start, stop, text_of, unnamed, until, vm_call, wait, walk  # noqa: E402

vms = os.path.join(os.environ['HOME'], 'vms')
os.makedirs(vms)
for name in ('tools.iso', 'other.iso'):
    with open(os.path.join(vms, name), 'wb') as f:
        f.write(bytes(64 << 10))


def machine(name, lines):
    return machine_file(os.path.join(vms, name.lower() + '.vmx'), name, lines)


def medium(path):
    return vm_call(path, 'org.freedesktop.DBus.Properties.Get', 'org.lodge.Vm1', 'Media')


def device(name):
    return wait(name, pyatspi.ROLE_TOGGLE_BUTTON, contains=True)


def offered():
    """The words of the popover that is open."""
    words = ('Connect', 'Disconnect', 'Eject', 'Choose a CD image…', 'Settings…')
    return sorted(x.name for x in walk(uiwalk.app()) if x.name in words and x.getRole() == pyatspi.ROLE_PUSH_BUTTON and uiwalk.showing(x))


def popover(name):
    """Opened, when its words stand."""
    until(lambda: not offered(), 5)
    device(name).queryAction().doAction(0)
    until(lambda: 'Settings…' in offered())
    time.sleep(0.5)
    return offered()


def shot(name):
    if os.environ.get('LODGE_TEST_SHOTS'):
        subprocess.run(['import', '-window', 'root', '%s/%s.png' % (os.environ['LODGE_TEST_SHOTS'], name)])


# ---- a CD ----
cd = machine('Reader', 'ide1:0.present = "TRUE"\nide1:0.deviceType = "cdrom-image"\nide1:0.fileName = "tools.iso"\n'
             'ethernet0.present = "TRUE"\nethernet0.connectionType = "nat"\nethernet0.virtualDev = "e1000"\n')
p = start(cd)
need(press('Power on') and wait('Reader, Running'), 'a machine with a CD in its drive')
need(wait('CD/DVD (IDE 1:0): tools.iso', pyatspi.ROLE_TOGGLE_BUTTON), 'its icon tells which')
found = popover('CD/DVD (IDE 1:0)')
ok(found == ['Choose a CD image…', 'Disconnect', 'Settings…'], 'a CD that is in can be disconnected, not connected: %s' % found)
ok(not unnamed(), 'popover: every widget that takes the focus has a name')
shot('cd-in')
ok(press('Disconnect') and wait('CD/DVD (IDE 1:0): tools.iso, disconnected', pyatspi.ROLE_TOGGLE_BUTTON), 'Disconnect: the icon tells')
ok("'ide1:0': ''" in medium(cd), 'the drive is empty')
found = popover('CD/DVD (IDE 1:0)')
ok(found == ['Choose a CD image…', 'Connect', 'Settings…'], 'one that is out can be connected, not disconnected: %s' % found)
shot('cd-out')
ok(press('Connect') and wait('CD/DVD (IDE 1:0): tools.iso', pyatspi.ROLE_TOGGLE_BUTTON), 'Connect: the icon tells')
ok('tools.iso' in medium(cd), 'it is in the drive')
vm_call(cd, 'org.lodge.Vm1.ChangeMedium', 'ide1:0', os.path.join(vms, 'other.iso'), 'true')
ok(wait('CD/DVD (IDE 1:0): other.iso', pyatspi.ROLE_TOGGLE_BUTTON), 'another program changes it: the window hears of it')
vm_call(cd, 'org.lodge.Vm1.ChangeMedium', 'ide1:0', '', 'true')
ok(wait('CD/DVD (IDE 1:0): tools.iso, disconnected', pyatspi.ROLE_TOGGLE_BUTTON), 'or takes it out')
os.remove(os.path.join(vms, 'tools.iso'))
found = popover('CD/DVD (IDE 1:0)')
ok(press('Connect') and wait('The CD of “Reader” could not be changed.', contains=True), 'an image that is gone: Connect says so')
ok(find('tools.iso', contains=True) and wait('Close this message') and press('Close this message'), 'with its name')

# ---- a cable ----
connected = lambda: "'connected': <true>" in vm_call(cd, 'org.lodge.Vm1.GetNetworks')
ok(until(connected), 'the cable of an adapter is plugged in')
found = popover('Network adapter')
ok('Disconnect' in found and 'Connect' not in found, 'it can be disconnected: %s' % found)
shot('cable')
ok(press('Disconnect') and until(lambda: not connected()), 'Disconnect pulls it')
found = popover('Network adapter')
ok('Connect' in found and 'Disconnect' not in found, 'it can be connected: %s' % found)
ok(wait('The cable is not plugged in.'), 'and it is said that it is not')
ok(press('Connect') and until(connected), 'Connect plugs it in')
vm_call(cd, 'org.lodge.Vm1.PowerOff')
need(until(lambda: not running()), 'off')

# ---- what keeps a machine from powering on ----
first = wait('This machine cannot be powered on as its file is:', contains=True)
ok(first and 'tools.iso' in text_of(first), 'an image that is gone is told on the page of the machine, before it is powered on')
with open(os.path.join(vms, 'tools.iso'), 'wb') as f:
    f.write(bytes(64 << 10))
subprocess.run(['./lodge', machine('Broken', 'ide0:0.present = "TRUE"\nide0:0.fileName = "gone.vmdk"\nnumvcpus = "many"\n')], env=uiwalk.env, timeout=300)
need(wait('Broken, Powered off'), 'a machine whose file has errors')
bar = wait('This machine cannot be powered on as its file is:', contains=True)
need(bar, 'its page says so')
said = text_of(bar)
ok('Line 11, numvcpus: ' in said and 'Line 10, ide0:0.fileName: The disk image' in said, 'which lines, and what is wrong: ' + said.replace('\n', ' / '))
ok(said.index('Line 10') < said.index('Line 11'), 'in the order of the file')
ok(not unnamed() and not clashes(), 'names and letters')
shot('broken')
ok(press('Show in the file'), 'a button leads there')
text = wait('Text of the .vmx file', pyatspi.ROLE_TEXT)
need(text, 'the page with the file')
ok(until(lambda: text.queryText().getNSelections() == 1 and text.queryText().getSelection(0)[1] > 0), 'a line is selected')
a, b = text.queryText().getSelection(0)[-2:]
ok(text.queryText().getText(a, b) == 'ide0:0.fileName = "gone.vmdk"', 'the first that is wrong')
shot('broken-raw')
key('Escape')
ok(until(lambda: not find('Text of the .vmx file')), 'closed')
with open(os.path.join(vms, 'broken.vmx')) as f:
    good = f.read().replace('"many"', '"1"').replace('"gone.vmdk"', '""').replace('ide0:0.present = "TRUE"', 'ide0:0.present = "FALSE"')
with open(os.path.join(vms, 'broken.vmx'), 'w') as f:
    f.write(good)
ok(until(lambda: not find('This machine cannot be powered on', contains=True)), 'mended by another program: the page says nothing more')
ok(press('Power on') and wait('Broken, Running'), 'and it runs')
for q in running():
    os.kill(q, signal.SIGTERM)
need(until(lambda: not running()) and wait('Broken, Powered off'), 'off')


# ---- settings that are choices, and the engines of this computer ----
def choose(combo, word):
    box = wait(combo, pyatspi.ROLE_COMBO_BOX)
    items = [x for x in walk(box) if x.getRole() == pyatspi.ROLE_MENU_ITEM]
    names = [x.name for x in items]
    box.querySelection().selectChild(names.index(word))
    return names


def value(name):
    with open(os.path.join(vms, 'broken.vmx')) as f:
        found = [x.split('"')[1] for x in f if x.startswith(name + ' = ')]
    return found[-1] if found else None


def page(name):
    until(lambda: not find('Settings pages', pyatspi.ROLE_LIST_BOX), 5)
    return settings_page(name)


ok(page('memory'), 'settings: memory')
ok(choose('Weight when memory is short', 'High') == ['Low', 'Normal', 'High', 'A number'], 'the weight is a choice')
ok(press('Apply') and until(lambda: value('sched.mem.shares') == 'high'), 'High is in the file')
page('memory')
choose('Weight when memory is short', 'A number')
number = wait('Weight', pyatspi.ROLE_SPIN_BUTTON)
ok(number and number.queryValue().currentValue == 320, 'a number: it starts at what Normal is, ten for each MB')
number.queryValue().currentValue = 77
ok(press('Apply') and until(lambda: value('sched.mem.shares') == '77'), 'another number is in the file')
page('memory')
ok(wait('Weight', pyatspi.ROLE_SPIN_BUTTON).queryValue().currentValue == 77, 'and is shown again')
key('Escape')
page('log')
box = wait('Log more, for developers', pyatspi.ROLE_CHECK_BOX)
ok(box and box.queryAction().doAction(0) and press('Apply') and until(lambda: value('debug') == 'TRUE'), 'more in the log: a check box')
subprocess.run(['./lodge', cd], env=uiwalk.env, timeout=300)
wait('Reader, Powered off')
page('ethernet0')
box = wait('Model', pyatspi.ROLE_COMBO_BOX)
ok(box and 'VMware VMXNET 3 (vmxnet3)' in [x.name for x in walk(box)], 'models of adapters have names')
key('Escape')
uiwalk.action('about', path='')
ok(wait('Binary translation: ready', contains=True) and find('Hardware virtualization: ', contains=True), 'About tells the engines of this computer')
shot('about')
key('Escape')
stop(p)
for q in running():
    os.kill(q, signal.SIGKILL)
end()
