/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GObject types of the enumerations. */
#include "ui/mks/mks_view.h"

#define ENUM_TYPE(Type, func, ...)                                              \
    GType func(void)                                                            \
    {                                                                           \
        static gsize type;                                                      \
        static const GEnumValue values[] = {__VA_ARGS__, {0, NULL, NULL}};      \
        if (g_once_init_enter(&type))                                           \
            g_once_init_leave(&type, g_enum_register_static(#Type, values));    \
        return (GType)type;                                                     \
    }
#define V(name, nick) {name, #name, nick}

ENUM_TYPE(LodgeMksState, lodge_mks_state_get_type, V(LODGE_MKS_CLOSED, "closed"), V(LODGE_MKS_CONNECTING, "connecting"),
          V(LODGE_MKS_NO_PICTURE, "no-picture"), V(LODGE_MKS_RUNNING, "running"), V(LODGE_MKS_PAUSED, "paused"), V(LODGE_MKS_OFF, "off"),
          V(LODGE_MKS_FAULT, "fault"))
ENUM_TYPE(LodgeMksScaling, lodge_mks_scaling_get_type, V(LODGE_MKS_STRETCH, "stretch"), V(LODGE_MKS_ACTUAL, "actual"),
          V(LODGE_MKS_FIT_GUEST, "fit-guest"))
ENUM_TYPE(LodgeMksFilter, lodge_mks_filter_get_type, V(LODGE_MKS_FILTER_AUTO, "auto"), V(LODGE_MKS_FILTER_NEAREST, "nearest"),
          V(LODGE_MKS_FILTER_BILINEAR, "bilinear"))
ENUM_TYPE(LodgeMksHotkey, lodge_mks_hotkey_get_type, V(LODGE_MKS_HOTKEY_RELEASE, "release"), V(LODGE_MKS_HOTKEY_GRAB, "grab"),
          V(LODGE_MKS_HOTKEY_FULLSCREEN, "fullscreen"), V(LODGE_MKS_HOTKEY_PREVIOUS, "previous"), V(LODGE_MKS_HOTKEY_NEXT, "next"),
          V(LODGE_MKS_HOTKEY_CTRL_ALT_DEL, "ctrl-alt-del"))
