# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of the whole window share: a session of their own, widgets by their accessible names, keys by xdotool, TAP."""
import atexit
import os
import shutil
import signal
import subprocess
import sys
import time

try:
    import pyatspi
except Exception:
    pyatspi = None

HERE = os.path.dirname(os.path.abspath(__file__))
WAIT = float(os.environ.get('LODGE_TEST_WAIT', '120'))


def skip(why):
    print('1..0 # SKIP ' + why)
    sys.exit(0)


def own_session(program, wrap=(), tools=(), env=None):
    """Runs program again in a session of its own; returns inside of it."""
    if 'LODGE_UI_SESSION' in os.environ:
        return
    for tool in ('Xvfb', 'dbus-daemon', 'openbox', 'xdotool', *tools):
        if not shutil.which(tool):
            skip(tool + ' is not installed')
    if not pyatspi:
        skip('no pyatspi')
    if not os.access('lodge', os.X_OK):
        skip('lodge was not built')
    r = subprocess.run(['sh', os.path.join(HERE, 'session.sh'), *wrap, sys.executable, os.path.abspath(program)],
                       env=dict(os.environ, LODGE_UI_SESSION='1', **(env or {})))
    if r.returncode == 77:
        skip('no X server or message bus')
    sys.exit(r.returncode)


n = failed = 0


def ok(good, name):
    global n, failed
    n += 1
    print('%sok %d - %s' % ('' if good else 'not ', n, name), flush=True)
    if not good:
        failed += 1
        if os.environ.get('LODGE_TEST_SHOTS'):
            subprocess.run(['import', '-window', 'root', '%s/fail-%d.png' % (os.environ['LODGE_TEST_SHOTS'], n)])
    return good


def until(f, seconds=WAIT):
    end = time.monotonic() + seconds
    while True:
        try:
            v = f()
        except Exception:
            v = None
        if v or time.monotonic() > end:
            return v
        time.sleep(0.1)


def app():
    desktop = pyatspi.Registry.getDesktop(0)
    for a in desktop:
        if a and a.name in ('lodge', 'Lodge'):
            return a


def walk(node, depth=0):
    if node is None or depth > 40:
        return
    yield node
    try:
        children = list(node)
    except Exception:
        children = []
    for c in children:
        yield from walk(c, depth + 1)


def showing(node):
    s = node.getState()
    return s.contains(pyatspi.STATE_SHOWING)


def find(name, role=None, contains=False):
    for node in walk(app()):
        try:
            if (node.name == name or (contains and name in (node.name or ''))) and (role is None or node.getRole() == role) and showing(node):
                return node
        except Exception:
            pass
    return None


def wait(name, role=None, contains=False, seconds=WAIT):
    return until(lambda: find(name, role, contains), seconds)


def press(name, role=None):
    role = pyatspi.ROLE_PUSH_BUTTON if role is None else role
    node = until(lambda: (lambda x: x if x and x.getState().contains(pyatspi.STATE_SENSITIVE) else None)(find(name, role)))
    if not node:
        return False
    node.queryAction().doAction(0)
    return True


def key(*keys):
    for k in keys:
        until(active, 10)  # a window of the program has the keyboard
        subprocess.run(['xdotool', 'key', k], check=True)
        time.sleep(0.5)


def running():
    out = subprocess.run(['pgrep', '-f', 'lodge-vmx --quiet ' + os.environ['HOME']], capture_output=True, text=True).stdout.split()
    pids = [int(x) for x in out]
    def parent(pid):
        try:
            with open('/proc/%d/stat' % pid) as f:
                return int(f.read().rsplit(')', 1)[1].split()[1])
        except OSError:
            return 0
    return [x for x in pids if parent(x) not in pids]  # each machine has a launcher as its child


def unnamed():
    bad = []
    for node in walk(app()):
        try:
            s = node.getState()
            if not s.contains(pyatspi.STATE_FOCUSABLE) or not showing(node) or not s.contains(pyatspi.STATE_SENSITIVE):
                continue
            named = node.name or any(r.getRelationType() == pyatspi.RELATION_LABELLED_BY for r in node.getRelationSet())
            if not named and node.getRole() not in (pyatspi.ROLE_SCROLL_PANE, pyatspi.ROLE_VIEWPORT, pyatspi.ROLE_SCROLL_BAR, pyatspi.ROLE_PAGE_TAB_LIST,
                                                    pyatspi.ROLE_SPLIT_PANE, pyatspi.ROLE_DIALOG, pyatspi.ROLE_FRAME, pyatspi.ROLE_MENU):
                path, up = [], node
                while up is not None and len(path) < 5:
                    path.append('%s "%s"' % (up.getRoleName(), up.name))
                    up = up.parent
                bad.append(' in '.join(path))
        except Exception:
            pass
    for b in bad:
        print('# no name: ' + b)
    return bad


def active():
    for w in app():
        if w and w.getState().contains(pyatspi.STATE_ACTIVE):
            return w
    return None


def clashes():
    """Letters with Alt that more than one widget of the active window has."""
    have = {}
    for node in walk(active()):
        try:
            if not showing(node):
                continue
            a = node.queryAction()
            for i in range(a.nActions):
                for k in a.getKeyBinding(i).split(';'):
                    if k.startswith('<Alt>'):
                        have.setdefault(k, set()).add('%s "%s"' % (node.getRoleName(), node.name))
        except Exception:
            pass
    bad = {k: v for k, v in have.items() if len(v) > 1}
    for k, v in bad.items():
        print('# %s: %s' % (k, ', '.join(sorted(v))))
    return bad


def focused():
    for node in walk(active()):
        try:
            if node.getState().contains(pyatspi.STATE_FOCUSED) and showing(node):
                return node
        except Exception:
            pass
    return None


env = dict(os.environ, G_DEBUG='fatal-criticals')
log = open(os.path.join(os.environ['HOME'], 'lodge.log'), 'w') if 'LODGE_UI_SESSION' in os.environ else None
started = []


def start(*args):
    p = subprocess.Popen([*os.environ.get('LODGE_TEST_WRAP', '').split(), './lodge', *args], env=env, stdout=log, stderr=log)
    started.append(p)
    return p


def need(good, name):
    """A step without which the next make no sense."""
    if not ok(good, name):
        end()


def stop(p):
    p.terminate()
    try:
        p.wait(60)
    except subprocess.TimeoutExpired:
        p.kill()
        p.wait()


def end_all():
    """Machines outlive the window, so they are ended by themselves; also when the test's own code fails."""
    for pid in running():
        os.kill(pid, signal.SIGKILL)
    for p in started:
        if p.poll() is None:
            p.kill()


if log:
    atexit.register(end_all)


def end():
    """What is left ends, and the plan is printed."""
    end_all()
    log.flush()
    if failed:
        with open(log.name) as f:
            for line in f.read().splitlines()[-20:]:
                print('# ' + line)
    print('1..%d' % n)
    sys.exit(1 if failed else 0)


def through_the_sequence():
    """The sequence for a new machine from its second page on, by Enter alone: each page's default is good enough."""
    for wanted, contains, name in (('Search a system', False, 'Enter: the guest'), ('Name:', True, 'Enter: name and place'), ('Store the disk in one file', True, 'Enter: size'),
                                   ('Power on after creation', True, 'Enter: summary')):
        need(wait(wanted, contains=contains), name)
        ok(not unnamed(), name + ': every widget that takes the focus has a name')
        ok(not clashes(), name + ': no letter is given twice')
        key('Return')


HEAD = ('.encoding = "UTF-8"\nconfig.version = "8"\nvirtualHW.version = "19"\ndisplayName = "%s"\nguestOS = "debian12-64"\nmemsize = "%d"\n'
        'monitor.virtual_exec = "software"\nfloppy0.present = "FALSE"\n')


def machine_file(path, name, lines='', memsize=32):
    """A machine with nothing but these lines. Returns path, whose folder is made."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write(HEAD % (name, memsize) + lines)
    return path


def vm_call(path, method, *args):
    """What a running machine answers to a call of its control API."""
    addr = subprocess.run(['./lodge-vmx', '--address', path], capture_output=True, text=True).stdout.strip()
    return subprocess.run(['gdbus', 'call', '--address', addr, '--dest', 'org.lodge.Vm1', '--object-path', '/org/lodge/Vm1', '--method', method, *args],
                          capture_output=True, text=True, timeout=300).stdout


def settings_page(page):
    action('vm-settings-page', args="[<'%s'>]" % page)
    return wait('Settings pages', pyatspi.ROLE_LIST_BOX)


def action(name, path='/window/1', args='[]'):
    """One of the window's; path '': of the program's."""
    subprocess.run(['gdbus', 'call', '--session', '--dest', 'org.lodge.Lodge', '--object-path', '/org/lodge/Lodge' + path, '--method', 'org.gtk.Actions.Activate',
                    name, args, '{}'], env=env, capture_output=True, timeout=300)


def text_of(node):
    t = node.queryText()
    return t.getText(0, t.characterCount)
