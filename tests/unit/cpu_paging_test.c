/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page walks of every kind against a second, slow model of SDM vol. 3 section 4.6 and 4.7, over all combinations of
 * rights. */
#include "tests/unit/cpu_fake.h"

enum kind { K_32, K_32_4M, K_PAE, K_PAE_2M, K_LONG, K_LONG_2M, K_LONG_1G, K_COUNT };
static const char *names[] = {"32-bit 4K", "32-bit 4M", "PAE 4K", "PAE 2M", "long 4K", "long 2M", "long 1G"};

#define LIN 0x40201123ull /* PML4 0, PDPT 1, PD 1, PT 1 (long); PDPTE 1 (PAE); PDE 256, PTE 513 (32-bit) */

static unsigned setup(enum kind k, uint64_t *entry[4], unsigned *level_of)
{
    unsigned n = 0;
    base_machine();
    C.s.cr0 |= CR0_PE | CR0_PG;
    switch (k) {
    case K_32:
    case K_32_4M:
        C.s.cr4 = CR4_PSE;
        C.s.cr3 = PT;
        entry[n++] = (uint64_t *)(ram + PT + 256 * 4);
        if (k == K_32)
            entry[n++] = (uint64_t *)(ram + PT + 0x1000 + 513 * 4);
        break;
    case K_PAE:
    case K_PAE_2M:
        C.s.cr4 = CR4_PAE;
        C.s.cr3 = PT;
        C.s.pdpte[1] = (PT + 0x1000) | 1;
        entry[n++] = (uint64_t *)(ram + PT + 0x1000 + 1 * 8);
        if (k == K_PAE)
            entry[n++] = (uint64_t *)(ram + PT + 0x2000 + 1 * 8);
        break;
    default:
        C.s.cr4 = CR4_PAE;
        C.s.cr3 = PT;
        C.s.efer = EFER_LME | EFER_LMA;
        entry[n++] = (uint64_t *)(ram + PT);
        entry[n++] = (uint64_t *)(ram + PT + 0x1000 + 1 * 8);
        if (k != K_LONG_1G)
            entry[n++] = (uint64_t *)(ram + PT + 0x2000 + 1 * 8);
        if (k == K_LONG)
            entry[n++] = (uint64_t *)(ram + PT + 0x3000 + 1 * 8);
    }
    return n;
}
static bool is32(enum kind k) { return k <= K_32_4M; }
static bool large(enum kind k) { return k == K_32_4M || k == K_PAE_2M || k == K_LONG_2M || k == K_LONG_1G; }
static void set(enum kind k, uint64_t *e, uint64_t v)
{
    if (is32(k))
        *(uint32_t *)e = (uint32_t)v;
    else
        *e = v;
}
static uint64_t get(enum kind k, uint64_t *e) { return is32(k) ? *(uint32_t *)e : *e; }
/* The next table, or the page. */
static uint64_t target(enum kind k, unsigned i, unsigned n)
{
    if (i < n - 1)
        return PT + 0x1000 * (i + 1 + (k == K_PAE || k == K_PAE_2M));
    switch (k) {
    case K_32_4M: return 0x800000;
    case K_PAE_2M:
    case K_LONG_2M: return 0x600000;
    case K_LONG_1G: return 0;
    default: return 0x7000;
    }
}
static uint64_t page_size(enum kind k)
{
    return k == K_32_4M ? 4 << 20 : k == K_PAE_2M || k == K_LONG_2M ? 2 << 20 : k == K_LONG_1G ? 1 << 30 : 4096;
}

/* SDM 4.6.1 in its own words. Returns whether the access is allowed. */
static bool model(unsigned acc, bool user_page, bool rw, bool xd, bool wp, bool smep, bool smap, bool ac, bool nxe)
{
    bool user_mode = acc & ACC_USER;
    if (!user_mode) {
        if (acc & ACC_X) {
            if (user_page && smep)
                return false;
            return !(nxe && xd);
        }
        if (acc & ACC_W) {
            if (!user_page)
                return wp ? rw : true;
            if (smap && !ac)
                return false;
            return wp ? rw : true;
        }
        return user_page && smap ? ac : true;
    }
    if (!user_page)
        return false;
    if (acc & ACC_X)
        return !(nxe && xd);
    if (acc & ACC_W)
        return rw;
    return true;
}

static void rights(enum kind k)
{
    uint64_t *e[4];
    unsigned bad = 0, total = 0, n;
    static const unsigned accs[] = {ACC_R, ACC_W, ACC_X, ACC_R | ACC_USER, ACC_W | ACC_USER, ACC_X | ACC_USER};
    n = setup(k, e, NULL);
    bool has_nx = !is32(k);
    for (unsigned rights = 0; rights < 1u << (2 * n); rights++) {
        for (unsigned nxm = 0; nxm < (has_nx ? 1u << n : 1u); nxm++) {
            for (unsigned ctl = 0; ctl < 32; ctl++) {
                for (unsigned a = 0; a < 6; a++) {
                    bool us = true, rw = true, xd = false, nxe = ctl & 16;
                    if (nxm && !nxe)
                        continue; /* bit 63 is reserved then: tested below */
                    C.s.cr0 = (C.s.cr0 & ~(uint64_t)CR0_WP) | (ctl & 1 ? CR0_WP : 0);
                    C.s.cr4 = (C.s.cr4 & ~(uint64_t)(CR4_SMEP | CR4_SMAP)) | (ctl & 2 ? CR4_SMEP : 0) |
                              (ctl & 4 ? CR4_SMAP : 0);
                    C.s.rflags = 2 | (ctl & 8 ? FL_AC : 0);
                    C.s.efer = (C.s.efer & ~(uint64_t)EFER_NXE) | (nxe ? EFER_NXE : 0);
                    C.cpl = accs[a] & ACC_USER ? 3 : 0;
                    for (unsigned i = 0; i < n; i++) {
                        unsigned b = rights >> (2 * i) & 3;
                        bool x = nxm >> i & 1;
                        us &= b & 1;
                        rw &= b >> 1;
                        xd |= x;
                        set(k, e[i],
                            target(k, i, n) | 1 | (b & 1 ? 4 : 0) | (b & 2) | (x ? 1ull << 63 : 0) |
                                (i == n - 1 && large(k) ? 0x80 : 0));
                    }
                    struct cpu_walk w;
                    int r = cpu_walk(&C, LIN, accs[a], &w);
                    bool want = model(accs[a], us, rw, xd, ctl & 1, ctl & 2, ctl & 4, ctl & 8, nxe);
                    total++;
                    bool good = (r == 0) == want;
                    if (good && !want) {
                        unsigned code = 1 | (accs[a] & ACC_W ? 2 : 0) | (accs[a] & ACC_USER ? 4 : 0);
                        if ((accs[a] & ACC_X) && ((ctl & 2) || (nxe && has_nx)))
                            code |= 16;
                        good = C.fault.vector == 14 && C.fault.has_code && C.fault.code == code && C.fault.cr2 == LIN;
                        for (unsigned i = 0; i < n; i++)
                            good &= !(get(k, e[i]) & 0x60); /* no A or D on a fault */
                    } else if (good) {
                        good = w.gpa == (target(k, n - 1, n) | (LIN & (page_size(k) - 1))) &&
                               w.page_size == page_size(k) && w.user == us && w.writable == rw && w.nx == xd;
                        for (unsigned i = 0; i < n; i++)
                            good &= (get(k, e[i]) & 0x60) == (i == n - 1 && (accs[a] & ACC_W) ? 0x60u : 0x20u);
                        good &= w.dirty == !!(accs[a] & ACC_W);
                    }
                    if (!good && bad++ < 5)
                        printf("# rights=%x nx=%x ctl=%x acc=%x r=%d want=%d code=%x\n", rights, nxm, ctl, accs[a], r,
                               want, C.fault.code);
                }
            }
        }
    }
    ok(bad == 0, "%s: %u combinations of rights", names[k], total);
}

/* Every bit of every entry: present and reserved bits (SDM 4.3 to 4.5, tables 4-4 to 4-20). */
static void reserved(enum kind k)
{
    uint64_t *e[4];
    unsigned bad = 0, n = setup(k, e, NULL), m = feat.phys_bits;
    for (unsigned nxe = 0; nxe < 2; nxe++) {
        for (unsigned lv = 0; lv < n; lv++) {
            for (unsigned bit = 0; bit < (is32(k) ? 32 : 64); bit++) {
                n = setup(k, e, NULL);
                if (nxe)
                    C.s.efer |= EFER_NXE;
                for (unsigned i = 0; i < n; i++)
                    set(k, e[i], target(k, i, n) | 7 | (i == n - 1 && large(k) ? 0x80 : 0));
                bool leaf = lv == n - 1, rsvd = false;
                if (bit >= 12 && bit < (is32(k) ? 32u : m) && !(leaf && large(k)))
                    continue; /* address bits */
                if (bit == 7 && !(leaf && !large(k)) && !(k >= K_LONG && lv == 0))
                    continue; /* makes it another kind of entry */
                if (leaf && large(k)) {
                    if (k == K_32_4M) {
                        rsvd = bit == 21;
                        if (bit >= 13 && bit < 21)
                            rsvd = bit - 13 + 32 >= m;
                        else if (bit >= 22)
                            continue;
                    } else {
                        unsigned sh = k == K_LONG_1G ? 30 : 21;
                        rsvd = bit >= 13 && bit < sh;
                        if (bit >= sh && bit < m)
                            continue;
                    }
                }
                if (!is32(k)) {
                    unsigned top = k <= K_PAE_2M ? 62 : 51;
                    if (bit >= m && bit <= top)
                        rsvd = true;
                    if (bit == 63)
                        rsvd = !nxe;
                    if (k >= K_LONG && lv == 0 && (bit == 7 || (bit == 8 && feat.amd)))
                        rsvd = true;
                }
                set(k, e[lv], get(k, e[lv]) ^ 1ull << bit);
                struct cpu_walk w;
                unsigned acc = ACC_R;
                int r = cpu_walk(&C, LIN, acc, &w);
                bool good;
                if (bit == 0)
                    good = r == -1 && C.fault.code == 0;
                else if (rsvd)
                    good = r == -1 && C.fault.code == (PF_P | PF_RSVD);
                else
                    good = r == 0;
                if (!good && bad++ < 8)
                    printf("# level %u bit %u nxe %u: r=%d code=%x rsvd=%d\n", lv, bit, nxe, r, C.fault.code, rsvd);
            }
        }
    }
    ok(bad == 0, "%s: present and reserved bits", names[k]);
}

static void others(void)
{
    struct cpu_walk w;
    uint64_t *e[4];
    unsigned n;

    base_machine();
    ok(cpu_walk(&C, 0x12345678, ACC_W, &w) == 0 && w.gpa == 0x12345678 && w.writable && w.user, "paging off");

    n = setup(K_LONG, e, NULL);
    for (unsigned i = 0; i < n; i++)
        set(K_LONG, e[i], target(K_LONG, i, n) | 7);
    faults(cpu_walk(&C, 0x800000000000ull, ACC_R, &w), X_GP, 0, "non-canonical address");
    *e[3] |= 0x100;
    ok(!cpu_walk(&C, LIN, ACC_R, &w) && !w.global, "G without CR4.PGE");
    C.s.cr4 |= CR4_PGE;
    ok(!cpu_walk(&C, LIN, ACC_R, &w) && w.global, "G with CR4.PGE");
    n_pte_written = 0;
    ok(!cpu_walk(&C, LIN, ACC_R, &w) && n_pte_written == 0, "nothing is written when A is set already");
    ok(!cpu_walk(&C, LIN, ACC_W, &w) && n_pte_written == 1 && (*e[3] & 0x40) && !(*e[2] & 0x40),
       "D goes into the last entry only");
    uint64_t gpa;
    ok(cpu_walk_debug(&C, LIN, &gpa) == 0 && gpa == 0x7123, "debug walk");
    ok(cpu_walk_debug(&C, 0x123456789000ull, &gpa) == -1, "debug walk of nothing");

    /* SMAP: an implicit supervisor access at CPL 3 ignores AC */
    C.s.cr4 |= CR4_SMAP;
    C.s.rflags |= FL_AC;
    C.cpl = 3;
    faults(cpu_walk(&C, LIN, ACC_R, &w), X_PF, PF_P, "SMAP: implicit access at CPL 3 does not look at AC");
    C.cpl = 0;
    ok(cpu_walk(&C, LIN, ACC_R, &w) == 0, "SMAP: AC allows at CPL 0");
    faults(cpu_walk(&C, LIN, ACC_R | ACC_IMPL, &w), X_PF, PF_P, "SMAP: implicit access at CPL 0 does not look at AC");

    /* CR4.PSE clear: bit 7 of a PDE is ignored */
    n = setup(K_32, e, NULL);
    C.s.cr4 = 0;
    set(K_32, e[0], target(K_32, 0, n) | 0x87);
    set(K_32, e[1], 0x7007);
    ok(cpu_walk(&C, LIN, ACC_R, &w) == 0 && w.gpa == 0x7123 && w.page_size == 4096, "no CR4.PSE: PS is ignored");
    /* PSE-36 */
    n = setup(K_32_4M, e, NULL);
    set(K_32_4M, e[0], 0x00800087 | 5 << 13);
    ok(cpu_walk(&C, LIN, ACC_R, &w) == 0 && w.gpa == (5ull << 32 | 0x800000 | (LIN & 0x3fffff)), "PSE-36 address");
    /* PDPTE not present */
    n = setup(K_PAE, e, NULL);
    C.s.pdpte[1] = 0;
    faults(cpu_walk(&C, LIN, ACC_W | ACC_USER, &w), X_PF, PF_W | PF_U, "PAE: PDPTE not present");
    /* page tables outside of RAM read as all ones: reserved bits */
    n = setup(K_LONG, e, NULL);
    C.s.cr3 = 0x40000000;
    faults(cpu_walk(&C, LIN, ACC_R, &w), X_PF, PF_P | PF_RSVD, "page tables in nowhere");

    /* an access that crosses pages writes nothing unless both can be written */
    n = setup(K_LONG, e, NULL);
    for (unsigned i = 0; i < n; i++)
        set(K_LONG, e[i], target(K_LONG, i, n) | 7);
    uint32_t v = 0x11223344;
    ram[0x7fff] = 0x55;
    ok(cpu_mem_write(&C, 0x40201fff, &v, 4, 0) == -1 && ram[0x7fff] == 0x55 && C.fault.cr2 == 0x40202000,
       "crossing write with the second page missing");
    e[3][1] = 0x9007;
    ok(cpu_mem_write(&C, 0x40201fff, &v, 4, 0) == 0 && ram[0x7fff] == 0x44 && ram[0x9000] == 0x33 &&
           ram[0x9002] == 0x11,
       "crossing write");
    v = 0;
    ok(cpu_mem_read(&C, 0x40201fff, &v, 4, 0) == 0 && v == 0x11223344, "crossing read");
}

int main(void)
{
    for (unsigned k = 0; k < K_COUNT; k++) {
        rights(k);
        reserved(k);
    }
    others();
    return TAP_DONE();
}
