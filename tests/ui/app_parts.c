/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of the desktop application without a machine: lists, files that it writes, settings, templates. Run by
 * app_test.sh on an X server of its own. */
#include <glib/gstdio.h>
#include <libintl.h>
#include <locale.h>
#include <gtk/gtk.h>
#include <stdlib.h>
#include <string.h>

#include "app-application.h"
#include "app-detect.h"
#include "app-error.h"
#include "app-guest-os.h"
#include "app-hardware.h"
#include "app-home.h"
#include "app-library.h"
#include "app-new-vm.h"
#include "app-preferences.h"
#include "app-process.h"
#include "app-settings-pages.h"
#include "app-settings-raw.h"
#include "app-settings.h"
#include "app-sidebar.h"
#include "app-vm-maker.h"
#include "app-vm-page.h"
#include "app-window.h"
#include "tests/tap.h"

#define diag(...) (printf("# " __VA_ARGS__), printf("\n"))

/* So many milliseconds, and as many turns of the main loop as an idle machine makes in them. */
static void spin(guint ms)
{
    for (guint i = 0; i < ms; i += 2) {
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_usleep(2000);
    }
}

/* Until *what, but not for ever. */
static void wait_for(gboolean *what)
{
    for (int i = 0; i < 12000 && !*what; i++) {
        g_main_context_iteration(NULL, FALSE);
        g_usleep(5000);
    }
}

static char *tmp_vmx(const char *dir, const char *name, const char *text)
{
    char *path = g_build_filename(dir, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_mkdir_with_parents(parent, 0700);
    g_file_set_contents(path, text, -1, NULL);
    return path;
}

/* ---- guests: the ids that the .vmx reference lists, first and last of each group, and with odd spellings ---- */
static void test_guests(void)
{
    static const char *const ids[] = {"win31",
                                      "winMe",
                                      "winNT",
                                      "win2000AdvServ",
                                      "winXPPro-64",
                                      "winNetDatacenter-64",
                                      "winNetBusiness",
                                      "longhorn-64",
                                      "winServer2008Web-64",
                                      "winServer2008StorageWorkgroup-32",
                                      "winVistaStarter-64",
                                      "windows7srv-64",
                                      "windows9-64",
                                      "windows2022srvNext-64",
                                      "windows12-64",
                                      "winHyperV",
                                      "redhat",
                                      "rhel2",
                                      "rhel7-64",
                                      "rhel10-64",
                                      "centos7",
                                      "centos9-64",
                                      "oraclelinux10-64",
                                      "sles16-64",
                                      "mandriva-64",
                                      "turbolinux-64",
                                      "ubuntu-64",
                                      "debian4",
                                      "debian13-64",
                                      "asianux9-64",
                                      "miraclelinux-64",
                                      "pardus-64",
                                      "nld9",
                                      "oes",
                                      "sjds",
                                      "opensuse-64",
                                      "fedora-64",
                                      "coreos-64",
                                      "vmware-photon-64",
                                      "other24xlinux",
                                      "other7xlinux-64",
                                      "otherlinux-64",
                                      "linux",
                                      "genericlinux",
                                      "amazonlinux3-64",
                                      "almalinux-64",
                                      "rockylinux-64",
                                      "prolinux-64",
                                      "kylinlinux-64",
                                      "fusionos-64",
                                      "flatcar-64",
                                      "CRXPod1-64",
                                      "CRXSys1-64",
                                      "netware6",
                                      "solaris6",
                                      "solaris11-64",
                                      "darwin",
                                      "darwin11-64",
                                      "darwin23-64",
                                      "vmkernel",
                                      "vmkernel65",
                                      "vmkernel9",
                                      "dos",
                                      "os2",
                                      "eComStation2",
                                      "freeBSD",
                                      "freeBSD15-64",
                                      "openserver6",
                                      "unixware7",
                                      "other",
                                      "other-64"};
    guint n, bad = 0;
    const AppGuestOs *t = app_guest_os_table(&n);
    for (guint i = 0; i < G_N_ELEMENTS(ids); i++) {
        if (!app_guest_os_find(ids[i])) {
            diag("%s is missing", ids[i]);
            bad++;
        }
    }
    ok(bad == 0, "the ids of the reference can be chosen");
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    bad = 0;
    for (guint i = 0; i < n; i++)
        if (!g_hash_table_add(seen, g_ascii_strdown(t[i].id, -1)) || (*t[i].alias && !app_guest_os_find(t[i].alias)) ||
            t[i].memory_mb % 4 || !t[i].disk_gb)
            bad++;
    ok(bad == 0, "no id twice, every other name leads somewhere, every size is one");
    ok(app_guest_os_find("WINXPPRO") != NULL, "ids compare without case");
    ok(!strcmp(app_guest_os_name("made-up"), "made-up"), "an unknown id is shown as it is");
}

static void test_detect(void)
{
    static const struct {
        const char *id, *distro, *version, *want;
        gboolean is_64;
    } t[] = {{"debian12", "debian", "12", "debian12-64", TRUE},
             {"debian12", "debian", "12", "debian12", FALSE},
             {"debian99", "debian", "99", "debian13-64", TRUE},
             {"ubuntu22.04", "ubuntu", "22.04", "ubuntu-64", TRUE},
             {"win10", "win", "10.0", "windows9-64", TRUE},
             {"win10", "win", "10.0", "windows9", FALSE},
             {"win11", "win", "10.0", "windows11-64", TRUE},
             {"rhel9.2", "rhel", "9.2", "rhel9-64", TRUE},
             {"freebsd13.1", "freebsd", "13.1", "freeBSD13-64", TRUE},
             {"alpinelinux3.18", "alpinelinux", "3.18", "other6xlinux-64", TRUE},
             {"winxp", "winnt", "5.1", "winXPPro", FALSE},
             {"unheard", "of", "1", NULL, TRUE}};
    for (guint i = 0; i < G_N_ELEMENTS(t); i++) {
        const char *got = app_detect_guest_id(t[i].id, t[i].distro, t[i].version, t[i].is_64);
        ok(!g_strcmp0(got, t[i].want) && (!got || app_guest_os_find(got)), "%s is %s", t[i].id,
           t[i].want ? t[i].want : "unknown");
    }
}

static gboolean detected;
static AppDetected *detection;
static void on_detected(GObject *o, GAsyncResult *r, gpointer u)
{
    g_autoptr(GError) e = NULL;
    detection = app_detect_iso_finish(r, &e);
    if (e)
        diag("%s", e->message);
    detected = TRUE;
}

/* A CD image in the form of ISO 9660 and El Torito, as far as a reader looks: descriptors only. */
static char *fake_iso(const char *dir, const char *volume)
{
    char *path = g_build_filename(dir, "fake.iso", NULL), *iso = g_malloc0(40 * 2048);
    guchar *pvd = (guchar *)iso + 16 * 2048, *boot = pvd + 2048, *end = boot + 2048;
    pvd[0] = 1;
    memcpy(pvd + 1, "CD001\1", 6);
    memset(pvd + 8, ' ', 64);
    memcpy(pvd + 40, volume, strlen(volume));
    pvd[80] = 40;
    pvd[128] = 0;
    pvd[129] = 8;
    memset(pvd + 318, ' ', 384);
    memcpy(boot + 1, "CD001\1EL TORITO SPECIFICATION", 30);
    end[0] = 255;
    memcpy(end + 1, "CD001\1", 6);
    g_file_set_contents(path, iso, 40 * 2048, NULL);
    g_free(iso);
    return path;
}

static void test_iso(const char *dir)
{
    g_autofree char *name = NULL, *iso = fake_iso(dir, "Debian 12.5.0 amd64 n"), *none = NULL;
    ok(!g_strcmp0(app_detect_volume("Debian 12.5.0 amd64 n", &name), "debian12-64") && !g_strcmp0(name, "Debian 12"),
       "a volume newer than the database");
    ok(!g_strcmp0(app_detect_volume("Fedora-WS-Live-40-1-14", NULL), "fedora-64") &&
           !app_detect_volume("MY_PHOTOS", &none),
       "others, and nothing");
    app_detect_iso_async(iso, NULL, on_detected, NULL);
    wait_for(&detected);
    ok(detection && !g_strcmp0(detection->guest_id, "debian12-64"), "a CD image is recognized");
    app_detected_free(detection);
}

static void test_texts(void)
{
    g_autofree char *a = app_sentence("the machine is off"), *b = app_sentence("memsize is wrong"),
                    *c = app_sentence("disk.vmdk is in use"), *d = app_sentence("Done.");
    ok(!strcmp(a, "The machine is off.") && !strcmp(b, "Memsize is wrong.") && !strcmp(c, "disk.vmdk is in use.") &&
           !strcmp(d, "Done."),
       "sentences begin large and end in a stop");
    g_autofree char *t = app_process_tidy(
        "/a/b.vmx:7: memsize: \"3\" is odd\nlodge-vmx: it did not start\n/a/b.vmx: x: warning: never mind\n",
        "/a/b.vmx");
    ok(!strcmp(t, "memsize: \"3\" is odd\nit did not start") ||
           !strcmp(t, "memsize: \"3\" is odd\nit did not start\nx: warning: never mind"),
       "messages lose file and line");
    g_autofree char *m1 = app_format_mb(512), *m2 = app_format_mb(2048), *m3 = app_format_mb(1536);
    ok(!strcmp(m1, "512 MB") && !strcmp(m2, "2 GB") && !strcmp(m3, "1.5 GB"), "sizes");
    g_autofree char *mac = app_mac_generate();
    ok(app_mac_valid(mac) && g_str_has_prefix(mac, "00:50:56:") && strtoul(mac + 9, NULL, 16) <= 0x3f,
       "a MAC address of the range for static ones");
    ok(!app_mac_valid("00:50:56:12:34") && !app_mac_valid("00-50-56-12-34-56") && !app_mac_valid("00:50:56:12:34:5g"),
       "wrong MAC addresses are seen");
}

/* ---- the .vmx of a new machine ---- */

static void on_problem(void *u, enum vmx_severity s, unsigned line, const char *key, const char *text)
{
    if (s != VMX_NOTE) {
        diag("%u %s: %s", line, key, text);
        (*(guint *)u)++;
    }
}

static gboolean made;
static char *made_path;
static GError *made_error;
static void on_made(GObject *o, GAsyncResult *r, gpointer u)
{
    made_path = app_vm_make_finish(r, &made_error);
    made = TRUE;
}

static double last_part;
static void on_progress(gpointer u, double part) { last_part = part; }

/* Every sentence that lodge-vmx can say, with names and numbers in it, becomes the German one of its own, with the same names and numbers. */
static void test_messages(void)
{
#define N_(s) s
    static const char *const formats[] = {
#include "app/messages.def"
    };
#undef N_
    guint wrong = 0;
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        const char *german = gettext(formats[i]);
        g_autofree char *both[2] = {NULL, NULL};
        for (int k = 0; k < 2; k++) {
            g_autoptr(GString) s = g_string_new(NULL);
            int at = 0;
            for (const char *p = k ? german : formats[i]; *p; p++) {
                if (*p != '%') {
                    g_string_append_c(s, *p);
                    continue;
                }
                char *end;
                long which = strtol(++p, &end, 10);
                if (*end == '$')
                    p = end + 1;
                p += strspn(p, "0123456789.*lzh");
                if (*p == '%')
                    g_string_append_c(s, '%');
                else
                    g_string_append_printf(s, *p == 's' ? "/a/b%ld" : "%ld", *end == '$' ? which : ++at);
            }
            both[k] = g_string_free(g_steal_pointer(&s), FALSE);
        }
        g_autofree char *said = app_translate(both[0]);
        if ((german == formats[i] && strspn(formats[i], "%sS: ") < strlen(formats[i])) || strcmp(said, both[1])) {
            printf("# %s\n# -> %s\n#  , not %s\n", both[0], said, both[1]);
            wrong++;
        }
    }
    ok(!wrong, "%u sentences of lodge-vmx are said in German", (unsigned)G_N_ELEMENTS(formats));
}

/* Sentences of lodge-vmx in German: the catalogue is the build folder's. */
static void test_translate(void)
{
    static const char *const said[][2] = {
        {"Debian 12/debian.vmdk is in use by process 4711; power that one off first",
         "Debian 12/debian.vmdk wird von Prozess 4711 benutzt; schalten Sie zuerst diese Maschine aus"},
        {"test.vmx: ide0:0: disk.vmdk: there is no such file; check the name", "test.vmx: ide0:0: disk.vmdk: Diese Datei gibt es nicht; prüfen Sie den Namen"},
        {"TCP port 5900 on 127.0.0.1 is in use by process 12 (Xvnc): set RemoteDisplay.vnc.port = \"5901\", which is free.",
         "TCP-Port 5900 an 127.0.0.1 wird von process 12 (Xvnc) benutzt: Stellen Sie RemoteDisplay.vnc.port = \"5901\" ein, der ist frei."},
        {"ide0:0.fileName: the disk image /a/gone.vmdk does not exist; correct the name, or remove the drive",
         "ide0:0.fileName: das Festplattenabbild /a/gone.vmdk ist nicht da; berichtigen Sie den Namen, oder entfernen Sie das Laufwerk"},
        {"the machine is off", "Die Maschine ist ausgeschaltet"},
        {"something that nobody knows: %s 100%", "something that nobody knows: %s 100%"},
        {"", ""},
    };
    g_autofree char *language = g_strdup(g_getenv("LANGUAGE")), *locale = g_strdup(setlocale(LC_ALL, NULL));
    g_setenv("LANGUAGE", "de", TRUE);
    if (!setlocale(LC_ALL, "C.UTF-8")) {
        printf("# no locale C.UTF-8\n");
        return;
    }
    bindtextdomain("lodge", "gen/locale");
    bind_textdomain_codeset("lodge", "UTF-8");
    textdomain("lodge");
    for (guint i = 0; i < G_N_ELEMENTS(said); i++) {
        g_autofree char *s = app_translate(said[i][0]);
        if (!ok(!strcmp(s, said[i][1]), "lodge-vmx's sentence %u in German", i))
            printf("# %s\n", s);
    }
    test_messages();
    setlocale(LC_ALL, locale);
    g_setenv("LANGUAGE", language ? language : "", TRUE);
}

static void test_make(const char *dir)
{
    struct err e = {0};
    guint problems = 0;
    gboolean warning;
    AppVmSpec s = {.name = (char *)"My: new / machine",
                   .guest_id = (char *)"debian12-64",
                   .memory_mb = 1024,
                   .processors = 2,
                   .iso = (char *)"/cd/debian.iso",
                   .disk_gb = 5};
    g_autofree char *file = app_vm_spec_file_name(s.name);
    s.dir = g_build_filename(dir, "vms", file, NULL);
    ok(!strpbrk(file, "/:"), "a file name without what it cannot have");
    struct vmx_dict *d = app_vm_spec_dict(&s, &e);
    vmx_check(d, on_problem, &problems);
    ok(problems == 0, "the new .vmx has no problem");
    ok(!strcmp(vmx_dict_get(d, "displayName"), s.name) &&
           !strcmp(vmx_dict_get(d, "ide1:0.fileName"), "/cd/debian.iso") && !strcmp(vmx_dict_get(d, "memsize"), "1024"),
       "it holds what was asked for");
    ok(!vmx_dict_get(d, "firmware") && !g_ascii_strcasecmp(vmx_dict_get(d, "floppy0.present"), "FALSE"),
       "and what other programs insist on");
    vmx_dict_free(d);
    g_autofree char *vms = g_build_filename(dir, "vms", NULL);
    g_autofree char *fine = app_vm_spec_problem("x", vms, 0, FALSE, &warning),
                    *noname = app_vm_spec_problem("  ", vms, 0, FALSE, &warning),
                    *nowhere = app_vm_spec_problem("x", "/dev/null/nothing", 0, FALSE, &warning),
                    *huge = app_vm_spec_problem("x", vms, 63000, TRUE, &warning);
    ok(!fine && noname && nowhere && huge && !warning, "name, place and room are checked");
    app_vm_make_async(&s, on_progress, NULL, NULL, on_made, NULL);
    wait_for(&made);
    ok(made_path && g_file_test(made_path, G_FILE_TEST_EXISTS), "a machine is made%s%s", made_error ? ": " : "",
       made_error ? made_error->message : "");
    g_autofree char *disk = g_strconcat(s.dir, "/", file, ".vmdk", NULL);
    g_autofree char *head = NULL;
    gsize len = 0;
    ok(g_file_get_contents(disk, &head, &len, NULL) && len > 512 && !memcmp(head, "KDMV", 4), "with a sparse VMDK");
    g_autofree char *again = app_vm_spec_problem(s.name, vms, 0, FALSE, &warning);
    ok(again != NULL, "the same name is taken then");
    /* Cancelled while the space is taken: nothing stays. */
    g_autoptr(GCancellable) c = g_cancellable_new();
    AppVmSpec s2 = s;
    s2.name = (char *)"big";
    s2.dir = g_build_filename(dir, "other", "big", NULL);
    s2.allocate = TRUE;
    s2.split = TRUE;
    g_clear_pointer(&made_path, g_free);
    made = FALSE;
    app_vm_make_async(&s2, on_progress, NULL, c, on_made, NULL);
    g_cancellable_cancel(c);
    wait_for(&made);
    g_autofree char *other = g_build_filename(dir, "other", NULL);
    ok(!made_path && g_error_matches(made_error, G_IO_ERROR, G_IO_ERROR_CANCELLED) &&
           !g_file_test(other, G_FILE_TEST_EXISTS),
       "a cancelled one leaves nothing behind");
    g_clear_error(&made_error);
    g_free(s.dir);
    g_free(s2.dir);
}

/* ---- hardware list and settings ---- */

static const char sample[] =
    ".encoding = \"UTF-8\"\n# a comment\nconfig.version = \"8\"\nvirtualHW.version = \"19\"\nguestOS = "
    "\"winXPPro\"\ndisplayName = \"Sample\"\nmemsize = \"512\"\n"
    "numvcpus = \"2\"\nide0:0.present = \"TRUE\"\nide0:0.fileName = \"a disk.vmdk\"\nide1:0.present = "
    "\"TRUE\"\nide1:0.deviceType = \"cdrom-raw\"\n"
    "ide1:0.fileName = \"auto detect\"\nethernet0.present = \"TRUE\"\nethernet0.connectionType = "
    "\"nat\"\nserial0.present = \"TRUE\"\nserial0.fileType = \"pty\"\n"
    "sound.present = \"TRUE\"\nusb.present = \"TRUE\"\nfloppy0.present = \"FALSE\"\n";

static const AppHwItem *item(GPtrArray *a, const char *node)
{
    for (guint i = 0; i < a->len; i++)
        if (!strcmp(((AppHwItem *)a->pdata[i])->node, node))
            return a->pdata[i];
    return NULL;
}

static void test_hardware(void)
{
    struct err e = {0};
    struct vmx_dict *d = vmx_dict_parse(sample, strlen(sample), &e);
    g_autoptr(GPtrArray) a = app_hardware_list(d);
    ok(item(a, "memory") && !strcmp(item(a, "memory")->value, "512 MB") && !strcmp(item(a, "processors")->value, "2"),
       "memory and processors");
    ok(item(a, "ide0:0") && item(a, "ide0:0")->kind == HW_DISK && !strcmp(item(a, "ide0:0")->value, "a disk.vmdk") &&
           item(a, "ide0:0")->acts,
       "a disk");
    ok(item(a, "ide1:0") && item(a, "ide1:0")->kind == HW_CD, "a CD drive");
    ok(item(a, "ethernet0") && item(a, "ethernet0")->acts == app_key_acts("ethernet0.present"),
       "a network adapter, with what the key table says of it");
    ok(item(a, "serial0") && item(a, "usb") && item(a, "sound") && !item(a, "floppy0"),
       "serial port, USB, sound; no floppy");
    vmx_dict_free(d);
}

static gboolean saved;
static void on_saved(gpointer u, const GError *e)
{
    if (e)
        diag("%s", e->message);
    saved = TRUE;
}

static guint different_lines(const char *a, const char *b)
{
    g_auto(GStrv) la = g_strsplit(a, "\n", -1), lb = g_strsplit(b, "\n", -1);
    guint n = 0, i;
    for (i = 0; la[i] && lb[i]; i++)
        n += strcmp(la[i], lb[i]) != 0;
    return n + g_strv_length(la + i) + g_strv_length(lb + i);
}

struct named {
    const char *prefix;
    guint n;
};
static void count_named(GtkWidget *w, gpointer u)
{
    struct named *c = u;
    const char *name = GTK_IS_ENTRY(w) ? atk_object_get_name(gtk_widget_get_accessible(w)) : NULL;
    c->n += name && g_str_has_prefix(name, c->prefix);
    if (GTK_IS_CONTAINER(w))
        gtk_container_forall(GTK_CONTAINER(w), count_named, c);
}

/* Words of the file are for the file: in the settings each has a name. */
static void test_words(void)
{
    size_t n;
    const struct vmx_key *t = vmx_key_table(&n);
    guint raw = 0;
    for (size_t i = 0; i < n; i++) {
        if (t[i].section || t[i].type != VMX_ENUM || g_str_has_suffix(t[i].name, ".deviceType"))
            continue;
        g_auto(GStrv) list = g_strsplit(t[i].range, "|", -1);
        for (char **w = list; *w; w++)
            if (!strcmp(app_word_label(*w), *w)) {
                printf("# %s: %s\n", t[i].name, *w);
                raw++;
            }
    }
    ok(!raw, "each word that a setting can have is shown with a name");
}

static void find_expander(GtkWidget *w, gpointer u)
{
    if (GTK_IS_EXPANDER(w))
        *(GtkWidget **)u = w;
    else if (GTK_IS_CONTAINER(w))
        gtk_container_forall(GTK_CONTAINER(w), find_expander, u);
}

static void find_lists(GtkWidget *w, gpointer u)
{
    if (GTK_IS_LIST_BOX(w))
        *(GtkWidget **)u = gtk_widget_get_ancestor(w, GTK_TYPE_SCROLLED_WINDOW);
    else if (GTK_IS_CONTAINER(w))
        gtk_container_forall(GTK_CONTAINER(w), find_lists, u);
}

static void ignore(gpointer u, gboolean differs) { (void)u, (void)differs; }

/* What nothing acts on, and has no name of its own, is in a part that is closed; the text's list of problems is there when there are some. */
static void test_rest(AppEdit *e)
{
    GtkWidget *page = g_object_ref_sink(app_settings_page_new(e, HW_KINDS, "identity")), *kept = NULL, *raw, *list = NULL;
    struct named asset = {"Asset tag in the DMI tables", 0}, uuid = {"The machine's UUID", 0}, inside = {"Asset tag in the DMI tables", 0};
    find_expander(page, &kept);
    count_named(page, &asset);
    count_named(page, &uuid);
    if (kept)
        count_named(kept, &inside);
    ok(kept && !gtk_expander_get_expanded(GTK_EXPANDER(kept)) && inside.n == asset.n && asset.n && uuid.n,
       "settings that nothing acts on are together, in a part that can be opened");
    gtk_widget_destroy(page);
    g_object_unref(page);
    raw = g_object_ref_sink(app_settings_raw_new(e, ignore, NULL));
    gtk_widget_show_all(raw);
    find_lists(raw, &list);
    ok(list && !gtk_widget_get_visible(list), "no empty list below the text of a correct file");
    gtk_widget_destroy(raw);
    g_object_unref(raw);
}

static void test_settings(const char *dir)
{
    test_words();
    g_autofree char *path = tmp_vmx(dir, "settings/sample.vmx", sample), *text = NULL;
    AppVm *vm = app_vm_new(path, "");
    for (int i = 0; i < 6000 && !app_vm_get_dict(vm); i++)
        spin(10);
    ok(app_vm_get_dict(vm) && !strcmp(app_vm_get_name(vm), "Sample") && app_vm_get_state(vm) == APP_VM_OFF,
       "a machine reads its file");
    AppEdit *e = app_edit_new(vm);
    test_rest(e);
    app_edit_set(e, "memsize", "768");
    app_edit_set(e, "memsize", "512");
    ok(g_hash_table_size(e->changes) == 0, "back at the file's value: no change");
    app_edit_set(e, "monitor_control.disable_longmode", "FALSE");
    ok(g_hash_table_size(e->changes) == 0, "a default needs no line");
    app_edit_set(e, "memsize", "1024");
    GPtrArray *pairs = app_edit_pairs(e);
    ok(pairs->len == 2, "one change");
    app_vm_set_keys(vm, pairs, on_saved, NULL);
    wait_for(&saved);
    g_file_get_contents(path, &text, NULL, NULL);
    ok(different_lines(sample, text) == 1 && strstr(text, "memsize = \"1024\"") && strstr(text, "# a comment"),
       "one line of the file is another");
    app_edit_free(e);
    /* Every page, with every control, also a machine with one of each. */
    e = app_edit_new(vm);
    g_autoptr(GPtrArray) items = app_hardware_list(app_vm_get_dict(vm));
    guint n, before;
    const AppOptionPage *o = app_option_pages(&n);
    GtkWidget *w = gtk_offscreen_window_new(), *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 0);
    gtk_container_add(GTK_CONTAINER(w), box);
    for (guint i = 0; i < items->len; i++)
        gtk_container_add(GTK_CONTAINER(box), app_settings_page_new(e, ((AppHwItem *)items->pdata[i])->kind,
                                                                    ((AppHwItem *)items->pdata[i])->node));
    for (guint i = 0; i < n; i++)
        if (strcmp(o[i].name, "raw"))
            gtk_container_add(GTK_CONTAINER(box), app_settings_page_new(e, HW_KINDS, o[i].name));
    gtk_widget_show_all(w);
    spin(100);
    before = g_hash_table_size(e->changes);
    gtk_widget_destroy(w);
    ok(before == 0, "showing the pages changes nothing");
    app_edit_set(e, "ethernet0.natForward1", "tcp:2222:22");
    GtkWidget *network = g_object_ref_sink(app_settings_page_new(e, HW_NETWORK, "ethernet0"));
    struct named forwards = {"A port of this computer", 0}, limits = {"Most that the guest", 0};
    count_named(network, &forwards);
    count_named(network, &limits);
    ok(forwards.n == 2 && limits.n == 2, "an adapter's page has its forwards and room for one more, and its limits");
    gtk_widget_destroy(network);
    g_object_unref(network);
    app_edit_free(e);
    /* The file goes: the machine stays, and says so. */
    g_unlink(path);
    for (int i = 0; i < 6000 && app_vm_get_state(vm) != APP_VM_MISSING; i++)
        spin(10);
    ok(app_vm_get_state(vm) == APP_VM_MISSING, "a file that goes is noticed");
    g_object_unref(vm);
}

/* ---- library ---- */

static gboolean scanned;
static int n_found, n_added;
static void on_scanned(gpointer u, int found, int added)
{
    n_found = found;
    n_added = added;
    scanned = TRUE;
}

static void test_library(const char *dir)
{
    g_autofree char *a = tmp_vmx(dir, "lib/a/a.vmx",
                                 "displayName = \"Alpha\"\nguestOS = \"debian12-64\"\nannotation = \"mail server\"\n"),
                    *b = tmp_vmx(dir, "lib/b/sub/b.vmx", "displayName = \"Beta\"\n"),
                    *root = g_build_filename(dir, "lib", NULL), *file = g_build_filename(dir, "library.ini", NULL);
    AppLibrary *l = app_library_new(file);
    AppVm *vm = app_library_add(l, a, "Work");
    ok(vm == app_library_add(l, a, "") && g_list_model_get_n_items(app_library_get_model(l)) == 1,
       "a machine is in the library once");
    app_library_scan(l, root, NULL, on_scanned, NULL);
    wait_for(&scanned);
    ok(n_found == 2 && n_added == 1, "a folder is searched, what is known is not added again");
    g_autofree char *nowhere = g_build_filename(dir, "nowhere", NULL);
    scanned = FALSE;
    app_library_scan(l, nowhere, NULL, on_scanned, NULL);
    wait_for(&scanned);
    ok(n_found == APP_SCAN_UNREADABLE, "a folder that cannot be read is not one without machines");
    for (int i = 0; i < 6000 && strcmp(app_vm_get_name(vm), "Alpha"); i++)
        spin(10);
    ok(app_library_matches(vm, "alph") && app_library_matches(vm, "MAIL") && app_library_matches(vm, "debian") &&
           !app_library_matches(vm, "beta"),
       "search in name, notes and guest");
    app_library_add_remote(l, "vnc://lab:5901", "");
    app_library_add_folder(l, "Empty");
    app_library_save(l);
    g_object_unref(l);
    l = app_library_new(file);
    g_auto(GStrv) folders = app_library_get_folders(l);
    AppVm *remote = app_library_find(l, "vnc://lab:5901");
    ok(g_list_model_get_n_items(app_library_get_model(l)) == 3 && g_strv_length(folders) == 2 && remote &&
           app_vm_is_remote(remote),
       "it is there the next day");
    app_library_rename_folder(l, "Work", "Job");
    ok(!strcmp(app_vm_get_folder(app_library_find(l, a)), "Job"), "folders are renamed with what is in them");
    app_library_remove(l, app_library_find(l, b));
    ok(!app_library_find(l, b) && g_file_test(b, G_FILE_TEST_EXISTS), "removing leaves the file");
    g_object_unref(l);
}

/* ---- windows ---- */

static void collect_widgets(GtkWidget *w, gpointer a)
{
    g_ptr_array_add(a, w);
    if (GTK_IS_CONTAINER(w))
        gtk_container_forall(GTK_CONTAINER(w), collect_widgets, a);
}

static void test_windows(AppApplication *app, const char *dir)
{
    g_autofree char *path = tmp_vmx(dir, "win/w.vmx", sample),
                    *broken = tmp_vmx(dir, "win/broken.vmx",
                                      "memsize = \"7\"\nide0:0.present = \"TRUE\"\nide0:0.fileName = \"gone.vmdk\"\n");
    AppWindow *w = app_window_new(app);
    gtk_widget_show(GTK_WIDGET(w));
    spin(200);
    ok(app_window_get_vm(w) == NULL, "the window begins at home");
    AppVm *vm = app_window_add_file(w, path);
    app_window_open_vm(w, vm);
    for (int i = 0; i < 6000 && !app_vm_get_dict(vm); i++)
        spin(10);
    spin(300);
    ok(app_window_get_vm(w) == vm && g_str_has_prefix(gtk_window_get_title(GTK_WINDOW(w)), "Sample"),
       "a machine has a tab, the window its name");
    GActionGroup *g = G_ACTION_GROUP(w);
    ok(g_action_group_get_action_enabled(g, "vm-power-on") && !g_action_group_get_action_enabled(g, "vm-power-off") &&
           g_action_group_get_action_enabled(g, "vm-settings"),
       "what can be done with a machine that is off");
    app_settings_show(GTK_WINDOW(w), vm, "ethernet0");
    spin(200);
    GtkWidget *settings = g_object_get_data(G_OBJECT(vm), "settings-window");
    ok(settings != NULL, "settings open at a page");
    gtk_widget_destroy(settings);
    ok(!g_object_get_data(G_OBJECT(vm), "settings-window"), "and close");
    app_new_vm_show(GTK_WINDOW(w), NULL);
    app_preferences_show(GTK_WINDOW(w));
    spin(300);
    guint shown = 0;
    for (gboolean found = TRUE; found;) {
        g_autoptr(GList) tops = gtk_window_list_toplevels();
        found = FALSE;
        for (GList *t = tops; t && !found; t = t->next)
            if (gtk_widget_get_visible(t->data) &&
                (GTK_IS_ASSISTANT(t->data) || !g_strcmp0(gtk_window_get_title(t->data), "Preferences"))) {
                shown++;
                gtk_widget_destroy(t->data);
                found = TRUE;
            }
    }
    ok(shown == 2, "new machine and preferences open and close");
    /* A machine that cannot start says why, in its page. */
    AppVm *bad = app_window_add_file(w, broken);
    app_window_open_vm(w, bad);
    for (int i = 0; i < 6000 && !app_vm_get_dict(bad); i++)
        spin(10);
    app_vm_power_on(bad);
    const char *action = NULL;
    for (int i = 0; i < 6000 && !app_vm_get_problem(bad, &action, NULL); i++)
        spin(10);
    const char *problem = app_vm_get_problem(bad, &action, NULL);
    ok(problem && strstr(problem, "broken") && (strstr(problem, "gone.vmdk") || strstr(problem, "emsize")) &&
           !g_strcmp0(action, "win.vm-settings"),
       "a start that fails: %s", problem ? problem : "nothing said");
    ok(app_vm_get_state(bad) == APP_VM_OFF, "and it is off");
    /* The library's own actions follow its selection. */
    GActionGroup *row = NULL;
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    collect_widgets(GTK_WIDGET(w), all);
    for (guint i = 0; i < all->len && !row; i++)
        if (APP_IS_SIDEBAR(all->pdata[i])) {
            row = gtk_widget_get_action_group(all->pdata[i], "row");
            app_sidebar_select(all->pdata[i], vm);
        }
    ok(row && g_action_group_get_action_enabled(row, "vm-power-on") &&
           !g_action_group_get_action_enabled(row, "vm-reset") && g_action_group_get_action_enabled(row, "vm-remove"),
       "a row of the library offers what its machine can do");
    app_window_tear(w, vm);
    spin(200);
    guint windows = 0;
    for (GList *t = gtk_application_get_windows(GTK_APPLICATION(app)); t; t = t->next)
        windows += APP_IS_WINDOW(t->data);
    ok(windows == 2, "a tab becomes a window");
    for (GList *t = gtk_application_get_windows(GTK_APPLICATION(app)); t; t = t->next)
        if (APP_IS_WINDOW(t->data) && app_window_is_torn(t->data)) {
            app_window_tear(t->data, vm);
            break;
        }
    spin(200);
    windows = 0;
    for (GList *t = gtk_application_get_windows(GTK_APPLICATION(app)); t; t = t->next)
        windows += APP_IS_WINDOW(t->data);
    ok(windows == 1 && app_window_get_vm(w) == vm, "and a tab again");
    app_window_save_state(w);
    g_auto(GStrv) tabs = g_settings_get_strv(app_prefs(), "open-tabs");
    ok(g_strv_length(tabs) == 2, "open tabs are remembered");
    gtk_widget_destroy(GTK_WIDGET(w));
    spin(50);
}

int main(int argc, char **argv)
{
    g_autofree char *dir = g_dir_make_tmp("lodge-app-XXXXXX", NULL);
    gtk_init(&argc, &argv);
    g_set_prgname("lodge");
    AppApplication *app = app_application_new();
    g_application_set_flags(G_APPLICATION(app), G_APPLICATION_NON_UNIQUE);
    g_application_register(G_APPLICATION(app), NULL, NULL);
    g_application_set_default(G_APPLICATION(app));
    g_settings_set_boolean(app_prefs(), "notifications", FALSE); /* nobody here shows them */
    test_translate();
    test_guests();
    test_detect();
    test_iso(dir);
    test_texts();
    test_make(dir);
    test_hardware();
    test_settings(dir);
    test_library(dir);
    test_windows(app, dir);
    return TAP_DONE();
}
