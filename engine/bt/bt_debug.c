/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A debugger's breakpoints, watchpoints and steps. Guest memory and the guest's debug registers stay as they are. Blocks end before the page offset
 * of a breakpoint, and one that begins there has no entry but the dispatcher's, which compares the whole address: code pages may be bound to
 * another address later, but never to another offset. Watched pages take the slow path, as for the guest's own data breakpoints.
 */
#include "bt/bt_private.h"

bool bt_debug_off(const struct bt_vm *bv, uint32_t off)
{
    for (unsigned i = 0; i < bv->n_dbg; i++)
        if (bv->dbg[i].kind == DEBUG_EXEC && (bv->dbg[i].lin & 0xfff) == off)
            return true;
    return false;
}

bool bt_debug_exec(struct bt_cpu *bc, uint64_t lin)
{
    for (unsigned i = 0; i < bc->bv->n_dbg; i++)
        if (bc->bv->dbg[i].kind == DEBUG_EXEC && bc->bv->dbg[i].lin == lin) {
            bc->v->debug_why = DEBUG_EXEC;
            bc->v->debug_lin = lin;
            return true;
        }
    return false;
}

bool bt_debug_page(const struct bt_vm *bv, uint64_t lin)
{
    for (unsigned i = 0; i < bv->n_dbg; i++) {
        const struct debug_point *p = &bv->dbg[i];
        if (p->kind != DEBUG_EXEC && (p->lin & ~0xfffull) <= lin && ((p->lin + p->len - 1) | 0xfff) >= lin)
            return true;
    }
    return false;
}

bool bt_debug_access(struct bt_cpu *bc, uint64_t lin, unsigned size, bool write)
{
    for (unsigned i = 0; i < bc->bv->n_dbg; i++) {
        const struct debug_point *p = &bc->bv->dbg[i];
        if (p->kind == DEBUG_EXEC || (p->kind == DEBUG_WRITE && !write) || lin >= p->lin + p->len || p->lin >= lin + size)
            continue;
        bc->v->debug_why = p->kind;
        bc->v->debug_lin = p->lin;
        bc->watch_hit = true;
        bc->watch_dr6 |= WATCH_DEBUGGER;
        return true;
    }
    return false;
}

int bt_debug_points(struct vm *vm, const struct debug_point *p, unsigned n)
{
    struct bt_vm *bv = vm_backend_data(vm);
    if (n > DEBUG_POINTS)
        return -1;
    bv->n_dbg = n;
    bv->dbg_exec = bv->dbg_data = false;
    for (unsigned i = 0; i < n; i++) {
        bv->dbg[i] = p[i];
        *(p[i].kind == DEBUG_EXEC ? &bv->dbg_exec : &bv->dbg_data) = true;
    }
    for (unsigned i = 0; i < bv->n; i++)
        if (bv->cpu[i]) {
            bv->cpu[i]->cache_full = true; /* blocks are cut otherwise now */
            bt_watch_update(bv->cpu[i]);
            bt_tlb_flush(bv->cpu[i], true);
        }
    return 0;
}

void bt_debug_resume(struct vcpu *v, enum debug_resume how) { ((struct bt_cpu *)v->be)->dbg_how = (uint8_t)how; }

size_t bt_debug_mem(struct vcpu *v, uint64_t lin, void *buf, size_t n, bool write)
{
    struct bt_cpu *bc = v->be;
    size_t done = 0;
    while (done < n) {
        uint64_t a = lin + done, gpa;
        size_t k = PAGE - (a & 0xfff);
        if (k > n - done)
            k = n - done;
        if (!cpu_in_lm(&bc->c))
            a = (uint32_t)a;
        if (cpu_walk_debug(&bc->c, a, &gpa) < 0)
            break;
        if (write ? gmem_write(v->vm, gpa, (uint8_t *)buf + done, k) : gmem_read(v->vm, gpa, (uint8_t *)buf + done, k))
            break;
        done += k;
    }
    return done;
}
