/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lodge: the desktop application. Languages first, then the application object does the rest. */
#include <glib/gi18n.h>
#include <locale.h>

#include "app-application.h"

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "");
    /* From the build folder: its own catalogues. */
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL),
                    *dir = self ? g_path_get_dirname(self) : g_strdup(".");
    g_autofree char *beside = g_build_filename(dir, "gen", "locale", NULL);
    bindtextdomain("lodge", g_file_test(beside, G_FILE_TEST_IS_DIR) ? beside : LODGE_LOCALEDIR);
    bind_textdomain_codeset("lodge", "UTF-8");
    textdomain("lodge");
    g_set_application_name("Lodge");
    g_autoptr(AppApplication) app = app_application_new();
    return g_application_run(G_APPLICATION(app), argc, argv);
}
