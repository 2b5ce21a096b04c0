#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""No letter is given twice in a menu, or on a page of the settings with what stands around it; in every language. Read from the sources: no display."""
import os
import re
import sys
import xml.etree.ElementTree as ET

src = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')


def read(name):
    with open(os.path.join(src, name), encoding='utf-8') as f:
        return f.read()


def catalogue(language):
    """msgid to msgstr; a string may go over several lines."""
    found = {}
    for block in read('po/%s.po' % language).split('\n\n'):
        lines = [x for x in block.splitlines() if not x.startswith('#')]
        m = re.fullmatch(r'msgid ((?:"[^\n]*"\n)+)msgstr ((?:"[^\n]*"\n)+)', '\n'.join(lines) + '\n')
        if m:
            key, value = (''.join(x[1:-1] for x in g.splitlines()).replace('\\"', '"') for g in m.groups())
            found[key] = value
    return found


def of_menu(node, inside):
    """Labels of one menu with its sections; menus in it are others."""
    labels = []
    for e in node:
        if e.tag == 'section':
            labels += of_menu(e, inside)
        elif e.tag in ('item', 'submenu'):
            label = [a.text for a in e.findall('attribute') if a.get('name') == 'label'][0]
            labels.append(label)
            if e.tag == 'submenu':
                inside.append((label, e))
    return labels


groups = {}
menus = [(m.get('id'), m) for m in ET.fromstring(read('ui/menus.ui')).iter('menu')]
while menus:
    name, node = menus.pop()
    groups['menu ' + name.replace('_', '')] = of_menu(node, menus)
around = re.findall(r'mnemonic\(_\("([^"]+)"\)\)', re.search(r'void app_settings_show.*', read('app/app-settings.c'), re.S).group())
around += re.findall(r'label_new_with_mnemonic\(_\("(A[^"]+)"\)\)|expander_new\(_\("([^"]+)"\)', read('app/app-settings.c'))[0][:1]
pages = read('app/app-settings-pages.c')
around += re.findall(r'expander_new\(_\("([^"]+)"\)', pages)
for page, key, label in re.findall(r'\{"(\w+)", "([^"]+)", N_\("([^"]+)"\), \w+\}', pages):
    g = groups.setdefault('settings ' + page, list(around))
    g.append(label)
    more = '_Browse…' if key in ('.fileName', 'workingDir') else '_Generate' if key == '.address' else None
    if more:
        g.append(more)

n = failed = 0
for language in ['en', *read('po/LINGUAS').split()]:
    known = catalogue(language) if language != 'en' else None
    for name, labels in sorted(groups.items()):
        letters = {}
        for text in set(labels):
            if known is not None:
                text = known.get(text) or text
            m = re.search(r'_(\w)', text)
            if m:
                letters.setdefault(m.group(1).lower(), []).append(text)
        twice = {k: v for k, v in letters.items() if len(v) > 1}
        n += 1
        failed += bool(twice)
        print('%sok %d - %s, %s' % ('not ' if twice else '', n, language, name))
        for k, v in sorted(twice.items()):
            print('# %s: %s' % (k, ', '.join(sorted(v))))
print('1..%d' % n)
sys.exit(1 if failed else 0)
