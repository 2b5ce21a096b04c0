#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""On a small screen every window fits, and everything in it can be reached; with larger letters, too."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import uiwalk  # noqa: E402

WIDTH, HEIGHT = 800, 600
uiwalk.own_session(__file__, env={'LODGE_TEST_SCREEN': '%dx%dx24' % (WIDTH, HEIGHT)})

import pyatspi  # noqa: E402
from uiwalk import action, end, env, find, key, machine_file, need, ok, settings_page, start, stop, until, wait  # noqa: E402

vms = os.path.join(os.environ['HOME'], 'vms')
vmx = machine_file(os.path.join(vms, 'small.vmx'), 'Small screen', 'ide1:0.present = "TRUE"\nide1:0.deviceType = "cdrom-raw"\nide1:0.fileName = "auto detect"\n'
                   'ide1:0.startConnected = "FALSE"\nethernet0.present = "TRUE"\nethernet0.connectionType = "nat"\nnumvcpus = "many"\n')


def size():
    out = subprocess.run('xdotool getwindowgeometry --shell $(xdotool getactivewindow)', shell=True, capture_output=True, text=True).stdout
    v = dict(x.split('=') for x in out.split())
    return int(v['WIDTH']), int(v['HEIGHT'])


def fits(what, w=WIDTH, h=HEIGHT):
    time.sleep(0.8)
    s = until(size)
    ok(s[0] <= w and s[1] <= h, '%s: %d x %d' % (what, *s))
    if os.environ.get('LODGE_TEST_SHOTS'):
        subprocess.run(['import', '-window', 'root', '%s/size-%s.png' % (os.environ['LODGE_TEST_SHOTS'], what.replace(' ', '-'))])


def inside(name, role=pyatspi.ROLE_PUSH_BUTTON):
    node = wait(name, role)
    x, y, w, h = node.queryComponent().getExtents(pyatspi.DESKTOP_COORDS)
    return 0 <= x and x + w <= WIDTH and 0 <= y and y + h <= HEIGHT


def walk_through(letters):
    p = start(vmx)
    need(wait('Small screen, Powered off') and wait('This machine cannot be powered on', contains=True), 'a machine with a message, ' + letters)
    fits('page, ' + letters)
    ok(inside('Show in the file') and inside('Menu', pyatspi.ROLE_TOGGLE_BUTTON), 'the ends of its bars are on the screen')
    for page in ('memory', 'ethernet0', 'ide1:0', 'general', 'raw'):
        ok(settings_page(page), 'settings')
        fits('settings %s, %s' % (page.replace(':', '.'), letters))
        ok(inside('Apply'), 'Apply is on the screen')
    key('Escape')
    until(lambda: not find('Settings pages', pyatspi.ROLE_LIST_BOX))
    for name, path, button in (('new-vm', '/window/1', 'Cancel'), ('vm-clone', '/window/1', 'Clone'), ('preferences', '', None), ('networks', '/window/1', None),
                               ('memory', '/window/1', None), ('vm-log', '/window/1', None), ('connect', '/window/1', None), ('vm-rename', '/window/1', None)):
        action(name, path)
        time.sleep(1)
        fits('%s, %s' % (name, letters))
        if button:
            ok(inside(button), name + ': ' + button + ' is on the screen')
        key('Escape')
    stop(p)


walk_through('usual letters')
env['GDK_DPI_SCALE'] = '1.2'
walk_through('letters of 120 percent')
end()
