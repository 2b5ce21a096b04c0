/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The check of a .vmx against the key table: which problems, at which line and key, with what severity. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "config/vmx_schema.h"
#include "tests/tap.h"

struct seen {
    char text[8192];
    unsigned n[3];
};

static void problem(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text)
{
    struct seen *w = u;
    size_t l = strlen(w->text);
    snprintf(w->text + l, sizeof w->text - l, "%u: %s: %s\n", line, key, text);
    w->n[s]++;
}

#define HEAD "config.version = \"8\"\nvirtualHW.version = \"20\"\nmemsize = \"256\"\n"

static void check(const char *text, struct seen *w)
{
    struct vmx_dict *d = vmx_dict_parse(text, strlen(text), NULL);
    *w = (struct seen){0};
    vmx_check(d, problem, w);
    vmx_dict_free(d);
}

/* One problem of that severity whose "line: key: text" holds all of want1 and want2; with more, other == true. */
static void one(const char *text, enum vmx_severity s, const char *want1, const char *want2, const char *name)
{
    struct seen w;
    char full[2048];
    snprintf(full, sizeof full, HEAD "%s", text);
    check(full, &w);
    if (!ok(w.n[s] == 1 && w.n[0] + w.n[1] + w.n[2] == 1 && strstr(w.text, want1) && strstr(w.text, want2), "%s", name))
        printf("# errors %u, warnings %u, notes %u:\n# %s", w.n[0], w.n[1], w.n[2], w.text);
}

static void none(const char *text, const char *name)
{
    struct seen w;
    char full[2048];
    snprintf(full, sizeof full, HEAD "%s", text);
    check(full, &w);
    if (!ok(!*w.text, "%s", name))
        printf("# %s", w.text);
}

static void values(void)
{
    none("", "the smallest file");
    none("displayName = \"x\"\nannotation = \"a|0Ab\"\nnumvcpus = \"4\"\ncpuid.coresPerSocket = \"2\"\n", "good values");
    none("hpet0.present = \"true\"\nlogging = \"0\"\nmonitor.virtual_exec = \"Software\"\n", "words without case, 0 and 1 for booleans");
    none("numvcpus = \"\"\nsvga.vramSize = \"\"\nuuid.bios = \"\"\n", "empty values mean the default");
    none("uuid.bios = \"56 4d c2 9c 0a 1b 2c 3d-4e 5f 60 71 82 c7 3b 64\"\nuuid.location = \"564dc29c-0a1b-2c3d-4e5f-607182c73b64\"\n", "both forms of a UUID");
    none("floppy0.present = \"FALSE\"\nsound.present = \"FALSE\"\nserial0.yieldOnMsrRead = \"\"\n", "what is switched off is not reported");
    one("numvcpus = \"two\"\n", VMX_ERROR, "4: numvcpus: \"two\"", "whole number; write one from 1 to 32", "not a number");
    one("numvcpus = \"99\"\n", VMX_ERROR, "4: numvcpus: 99", "1 to 32", "out of range");
    one("svga.vramSize = \"1048577\"\n", VMX_ERROR, "svga.vramSize", "multiple of 4096", "not a multiple");
    one("logging = \"maybe\"\n", VMX_ERROR, "4: logging", "TRUE nor FALSE", "not a boolean");
    one("monitor.virtual_exec = \"fast\"\n", VMX_ERROR, "monitor.virtual_exec", "automatic, hardware, software", "not one of the words");
    one("uuid.bios = \"56 4d\"\n", VMX_ERROR, "uuid.bios", "32 hexadecimal", "not a UUID");
    one("bios.bootOrder = \"hdd, usb\"\n", VMX_ERROR, "bios.bootOrder", "\"usb\"", "an unknown boot device");
    one("ethernet0.address = \"00:50\"\n", VMX_WARNING, "ethernet0.address", "MAC", "a wrong value of a key that does not act is a warning");
    struct seen w;
    check("config.version = \"8\"\nvirtualHW.version = \"20\"\nmemsize = \"255\"\n", &w);
    ok(w.n[VMX_ERROR] == 1 && strstr(w.text, "3: memsize: 255 is not a multiple of 4; write 252 or 256"), "memory not a multiple of 4: %s", w.text);
    check("memsize = \"256\"\n", &w);
    ok(w.n[VMX_WARNING] == 2 && strstr(w.text, "config.version") && strstr(w.text, "virtualHW.version"), "missing versions");
}

static void names(void)
{
    one("memsise = \"512\"\n", VMX_WARNING, "4: memsise", "did you mean memsize?", "a misspelt key");
    one("ide0:0.presnt = \"TRUE\"\n", VMX_NOTE, "ide0:0.presnt", "not acted on", "a further key of a drive");
    one("numvcpu = \"2\"\n", VMX_WARNING, "numvcpu", "did you mean numvcpus?", "a letter missing");
    one("my.private.thing = \"x\"\n", VMX_WARNING, "my.private.thing", "unknown key, kept", "an unknown key");
    one("ide2:0.present = \"TRUE\"\n", VMX_WARNING, "ide2:0.present", "no such device number", "a device number that does not exist");
    one("sound.present = \"TRUE\"\n", VMX_NOTE, "4: sound.present", "not acted on yet", "a key that does not act yet");
    one("aiomgr.something = \"3\"\n", VMX_NOTE, "aiomgr.something", "not acted on yet", "a group of other programs");
    one("numvcpus = \"1\"\nNUMVCPUS = \"2\"\n", VMX_WARNING, "4: numvcpus", "line 5", "a duplicate");
    one("memsize 256\n", VMX_WARNING, "4: memsize 256", "not name", "a malformed line");
    one(".encoding = \"klingon\"\n", VMX_WARNING, "4: .encoding", "UTF-8", "an unknown charset");
    none("// Hardware\n# comment\n\n", "comments of all kinds");
}

static void contradictions(void)
{
    one("numvcpus = \"3\"\ncpuid.coresPerSocket = \"2\"\n", VMX_ERROR, "5: cpuid.coresPerSocket", "numvcpus = 3", "cores do not divide processors");
    one("ide0:0.present = \"TRUE\"\n", VMX_ERROR, "ide0:0.present", "ide0:0.fileName", "a disk without a file");
    one("ide0:0.fileName = \"a.vmdk\"\n", VMX_WARNING, "ide0:0.fileName", "ide0:0.present = \"TRUE\"", "a disk that is not present");
    none("ide0:0.present = \"FALSE\"\nide0:0.fileName = \"a.vmdk\"\n", "a disk that is switched off");
    one("ide0:0.present = \"TRUE\"\nide0:0.fileName = \"a.vmdk\"\nide0:1.present = \"TRUE\"\nide0:1.fileName = \"a.vmdk\"\n", VMX_ERROR, "7: ide0:1.fileName",
        "ide0:0 has the same file", "two disks on one file");
    one("ide1:0.present = \"TRUE\"\nide1:0.fileName = \"a.iso\"\n", VMX_ERROR, "ide1:0.fileName", "cdrom-image", "a CD image as a disk");
    one("ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"cdrom-image\"\nide1:0.fileName = \"a.vmdk\"\n", VMX_ERROR, "ide1:0.deviceType", "disk",
        "a disk image as a CD");
    none("ide1:0.present = \"TRUE\"\nide1:0.deviceType = \"cdrom-raw\"\nide1:0.fileName = \"auto detect\"\n", "an empty CD drive");
    one("ide0:0.present = \"TRUE\"\nide0:0.fileName = \"a.vmdk\"\nide0:0.mode = \"append\"\n", VMX_ERROR, "ide0:0.mode", "persistent", "an old disk mode");
    one("serial0.present = \"TRUE\"\nserial0.fileType = \"file\"\n", VMX_ERROR, "serial0.fileType", "serial0.fileName", "a serial file without a name");
    one("serial0.present = \"TRUE\"\nserial0.fileType = \"thinprint\"\n", VMX_WARNING, "serial0.fileType", "not supported", "a serial type of other products");
    one("serial0.present = \"TRUE\"\nserial0.fileType = \"banana\"\nserial0.fileName = \"a\"\n", VMX_ERROR, "5: serial0.fileType", "banana",
        "a word that is no serial type: one sentence");
    one("ide0:0.present = \"TRUE\"\nide0:0.deviceType = \"banana\"\n", VMX_ERROR, "5: ide0:0.deviceType", "banana", "nor a kind of drive");
    one("numvcpus = \"0\"\ncpuid.coresPerSocket = \"2\"\n", VMX_ERROR, "4: numvcpus", "1 to", "nor a number of processors");
    one("RemoteDisplay.vnc.ip = \"here\"\n", VMX_ERROR, "RemoteDisplay.vnc.ip", "not an IP", "a wrong address");
    one("RemoteDisplay.vnc.enabled = \"TRUE\"\n", VMX_NOTE, "RemoteDisplay.vnc.enabled", "password", "an open screen");
    none("RemoteDisplay.vnc.enabled = \"TRUE\"\nRemoteDisplay.vnc.ip = \"127.0.0.1\"\n", "a local screen");
    one("RemoteDisplay.vnc.port = \"70000\"\n", VMX_ERROR, "RemoteDisplay.vnc.port", "1 to 65535", "a port that is none");
    one("firmware = \"efi\"\n", VMX_ERROR, "firmware", "EFI", "EFI firmware");
    one("checkpoint.vmState = \"x.vmss\"\n", VMX_ERROR, "checkpoint.vmState", "suspended", "a suspended machine");
    one("encryption.keySafe = \"vmware:key/list\"\n", VMX_ERROR, "encryption.keySafe", "encrypted", "an encrypted machine");
    one("guestOS = \"debian12-64\"\nmonitor_control.disable_longmode = \"TRUE\"\n", VMX_WARNING, "monitor_control.disable_longmode", "64-bit",
        "no long mode for a 64-bit guest");
}

static void table(void)
{
    size_t n;
    const struct vmx_key *k = vmx_key_table(&n);
    bool docs = true, defaults = true;
    for (size_t i = 0; i < n; i++) {
        if (!k[i].name)
            continue;
        size_t l = strlen(k[i].doc);
        docs &= l > 3 && k[i].doc[l - 1] == '.';
        bool b;
        int64_t v;
        if (*k[i].def && ((k[i].type == VMX_BOOL && !vmx_parse_bool(k[i].def, &b)) || (k[i].type == VMX_INT && !vmx_parse_int(k[i].def, &v)))) {
            printf("# %s\n", k[i].name);
            defaults = false;
        }
    }
    ok(docs, "every key has its line of documentation");
    ok(defaults, "every default is a value of its type");
    static const char text[] = "numvcpus = \"0x4\"\nmemsize = \"wrong\"\nide0:1.present = \"yes\"\n";
    struct vmx_dict *d = vmx_dict_parse(text, sizeof text - 1, NULL);
    is_u64((unsigned long long)vmx_get_int(d, "numvcpus"), 4, "hexadecimal numbers");
    is_u64((unsigned long long)vmx_get_int(d, "memsize"), 32, "a wrong value gives the default");
    ok(!strcmp(vmx_get_str(d, "log.fileName"), "vmware.log"), "default of an absent key");
    ok(vmx_get_bool_f(d, "ide%d:%d.present", 0, 1) && !vmx_get_bool_f(d, "ide%d:%d.present", 1, 1), "indexed keys");
    vmx_dict_free(d);
}

int main(void)
{
    values();
    names();
    contradictions();
    table();
    return TAP_DONE();
}
