/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A near branch to an address that is not canonical is a fault of the branch (SDM vol. 2, JMP, CALL, RET: #GP(0)), not of its target. Translated
 * code does not look at the target, and C hears of it only when the branch has been made; by which instruction is then found out here: by the
 * youngest block that ends in an indirect branch to just that address.
 */
#include "bt/bt_private.h"

/* The address that the branch at page offset off goes to with the registers as they are; *sp: RSP before it. */
static bool branch_target(struct bt_cpu *bc, const struct bt_block *b, uint16_t off, uint64_t *target, uint64_t *sp)
{
    struct cpu *c = &bc->c;
    const struct bt_cpage *p = &bc->cpages[b->cpage];
    uint8_t *page = bt_ram_ptr(bc, p->gpa, false);
    ZydisDecodedInstruction in;
    ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
    if (!page || !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&bc->dec[2], page + off, PAGE - off < 15 ? PAGE - off : 15, &in, op)))
        return false;
    uint64_t lin, rsp = c->s.gpr[R_RSP];
    unsigned acc = c->cpl == 3 ? ACC_USER : 0;
    *sp = rsp;
    if (in.mnemonic == ZYDIS_MNEMONIC_RET && in.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR) {
        *sp = rsp - 8 - (in.raw.imm[0].size ? (uint16_t)in.raw.imm[0].value.u : 0);
        return cpu_seg_check(c, S_SS, *sp, 8, ACC_R, &lin) == 0 && cpu_mem_read(c, lin, target, 8, acc) == 0;
    }
    if (in.opcode != 0xff || in.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT || (in.raw.modrm.reg != 2 && in.raw.modrm.reg != 4))
        return false;
    uint64_t next = bc->cells[b->cpage].va + off + in.length;
    bool call = in.raw.modrm.reg == 2;
    if (call) {
        uint64_t ret;
        if (cpu_seg_check(c, S_SS, rsp, 8, ACC_R, &lin) < 0 || cpu_mem_read(c, lin, &ret, 8, acc) < 0 || ret != next)
            return false;
        *sp = rsp + 8;
    }
    uint64_t gpr[17];
    cpu_copy(gpr, c->s.gpr, sizeof c->s.gpr);
    gpr[R_RSP] = *sp;
    if (op[0].type == ZYDIS_OPERAND_TYPE_REGISTER) {
        *target = gpr[op[0].reg.value - ZYDIS_REGISTER_RAX];
        return true;
    }
    uint64_t ea = op[0].mem.disp.has_displacement ? (uint64_t)op[0].mem.disp.value : 0;
    ZydisRegister r[2] = {ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op[0].mem.base),
                          ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op[0].mem.index)};
    for (unsigned i = 0; i < 2; i++) {
        if (r[i] >= ZYDIS_REGISTER_RAX && r[i] <= ZYDIS_REGISTER_R15)
            ea += gpr[r[i] - ZYDIS_REGISTER_RAX] * (i ? op[0].mem.scale : 1);
        else if (r[i] == ZYDIS_REGISTER_RIP)
            ea += next;
    }
    if (in.address_width == 32)
        ea = (uint32_t)ea;
    unsigned seg = op[0].mem.segment >= ZYDIS_REGISTER_ES && op[0].mem.segment <= ZYDIS_REGISTER_GS ? op[0].mem.segment - ZYDIS_REGISTER_ES : S_DS;
    return cpu_seg_check(c, seg, ea, 8, ACC_R, &lin) == 0 && cpu_mem_read(c, lin, target, 8, acc) == 0;
}

/* s.rip is not canonical: back to the branch that led there. False: it is not known. */
bool bt_branch_back(struct bt_cpu *bc)
{
    uint64_t target, sp, rip = bc->c.s.rip;
    bt_fpu_out(bc); /* the decoder may use vector registers */
    for (uint32_t i = bc->n_blocks; i-- > 1;) {
        const struct bt_block *b = &bc->blocks[i];
        const struct bt_cpage *p = &bc->cpages[b->cpage];
        if (b->dead || b->tramp_target || !b->n_map || b->cross || (p->mode & M_CODE) != M_CODE64 || CPL_OF(p->mode) != bc->c.cpl ||
            bc->cells[b->cpage].ctx != (p->global ? bc->real_gctx : bc->real_ctx))
            continue;
        uint16_t off = bc->maps[b->map + b->n_map - 1u].off;
        if (!branch_target(bc, b, off, &target, &sp) || target != rip)
            continue;
        bc->c.s.rip = bc->cells[b->cpage].va + off;
        bc->c.s.gpr[R_RSP] = sp;
        return true;
    }
    return false;
}
