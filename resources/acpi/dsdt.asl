/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What does not change from machine to machine: a 440FX board with the PIIX4 at 00:07. What does are the values of the five names below, which
 * chipset/acpi_tables.c sets in the compiled table, and the processors, for which it makes an SSDT. The power button is a fixed one (FADT),
 * sleep states are S0 and S5.
 */
DefinitionBlock ("", "DSDT", 1, "INTEL ", "440BX   ", 0x06040000)
{
    Name (LPMN, 0x1DDE1DDE) /* first byte of the 32-bit PCI memory window */
    Name (LHPT, 0x1DDE1DDE) /* the HPET is there */
    Name (LCOM, 0x1DDE1DDE) /* bit n: COMn+1 is there */
    Name (LKBD, 0x1DDE1DDE) /* the keyboard controller is there */
    Name (LFDC, 0x1DDE1DDE) /* the floppy controller is there */

    /* SLP_TYP of the PIIX4: 0 is soft off */
    Name (_S5, Package () { 0, 0, 0, 0 })

    /* 0: the OS uses the 8259s, 1: the I/O APIC */
    Name (PICM, 0)
    Method (_PIC, 1) { PICM = Arg0 }

    /* _STA of a device: there and working, or not there */
    Method (PRES, 1)
    {
        If (Arg0) { Return (0x0F) }
        Return (0)
    }

    Scope (_SB)
    {
        /* PIRQ route register: bit 7 disables, bits 3:0 ISA interrupt (PIIX4 4.1.10) */
        Method (LSTA, 1)
        {
            If (Arg0 & 0x80) { Return (0x09) }
            Return (0x0B)
        }
        Name (RBUF, ResourceTemplate () { IRQ (Level, ActiveLow, Shared) {} })
        Method (LCRS, 1, Serialized)
        {
            CreateWordField (RBUF, 1, RMSK)
            If (Arg0 & 0x80) { RMSK = 0 }
            Else { RMSK = 1 << (Arg0 & 0x0F) }
            Return (RBUF)
        }
        Method (LSRS, 1, Serialized)
        {
            CreateWordField (Arg0, 1, SMSK)
            FindSetRightBit (SMSK, Local0)
            If (Local0 == 0) { Return (0x80) }
            Return (Local0 - 1)
        }

        Device (LNKA)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 1)
            Name (_PRS, ResourceTemplate () { IRQ (Level, ActiveLow, Shared) {5, 10, 11} })
            Method (_STA) { Return (LSTA (\_SB.PCI0.ISA.PRQA)) }
            Method (_DIS, 0, Serialized) { \_SB.PCI0.ISA.PRQA |= 0x80 }
            Method (_CRS, 0, Serialized) { Return (LCRS (\_SB.PCI0.ISA.PRQA)) }
            Method (_SRS, 1, Serialized) { \_SB.PCI0.ISA.PRQA = LSRS (Arg0) }
        }

        Device (LNKB)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 2)
            Name (_PRS, ResourceTemplate () { IRQ (Level, ActiveLow, Shared) {5, 10, 11} })
            Method (_STA) { Return (LSTA (\_SB.PCI0.ISA.PRQB)) }
            Method (_DIS, 0, Serialized) { \_SB.PCI0.ISA.PRQB |= 0x80 }
            Method (_CRS, 0, Serialized) { Return (LCRS (\_SB.PCI0.ISA.PRQB)) }
            Method (_SRS, 1, Serialized) { \_SB.PCI0.ISA.PRQB = LSRS (Arg0) }
        }

        Device (LNKC)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 3)
            Name (_PRS, ResourceTemplate () { IRQ (Level, ActiveLow, Shared) {5, 10, 11} })
            Method (_STA) { Return (LSTA (\_SB.PCI0.ISA.PRQC)) }
            Method (_DIS, 0, Serialized) { \_SB.PCI0.ISA.PRQC |= 0x80 }
            Method (_CRS, 0, Serialized) { Return (LCRS (\_SB.PCI0.ISA.PRQC)) }
            Method (_SRS, 1, Serialized) { \_SB.PCI0.ISA.PRQC = LSRS (Arg0) }
        }

        Device (LNKD)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Name (_PRS, ResourceTemplate () { IRQ (Level, ActiveLow, Shared) {5, 10, 11} })
            Method (_STA) { Return (LSTA (\_SB.PCI0.ISA.PRQD)) }
            Method (_DIS, 0, Serialized) { \_SB.PCI0.ISA.PRQD |= 0x80 }
            Method (_CRS, 0, Serialized) { Return (LCRS (\_SB.PCI0.ISA.PRQD)) }
            Method (_SRS, 1, Serialized) { \_SB.PCI0.ISA.PRQD = LSRS (Arg0) }
        }

        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)

            Name (WINS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0D00, 0xFFFF, 0, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                             0, 0x000A0000, 0x000BFFFF, 0, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                             0, 0xC0000000, 0xFEBFFFFF, 0, 0x3EC00000, , , PMEM)
            })
            Method (_CRS, 0, Serialized)
            {
                CreateDWordField (WINS, ^PMEM._MIN, WMIN)
                CreateDWordField (WINS, ^PMEM._MAX, WMAX)
                CreateDWordField (WINS, ^PMEM._LEN, WLEN)
                WMIN = LPMN
                WLEN = WMAX - WMIN + 1
                Return (WINS)
            }

            /* Slot s, pin p (0 = INTA#) is wired to PIRQ (s + p - 1) & 3; PIRQA-D are I/O APIC inputs 16 to 19. */
            Name (PRTA, Package ()
            {
                Package () { 0x0000FFFF, 0, 0, 0x13 }, Package () { 0x0000FFFF, 1, 0, 0x10 },
                Package () { 0x0000FFFF, 2, 0, 0x11 }, Package () { 0x0000FFFF, 3, 0, 0x12 },
                Package () { 0x0001FFFF, 0, 0, 0x10 }, Package () { 0x0001FFFF, 1, 0, 0x11 },
                Package () { 0x0001FFFF, 2, 0, 0x12 }, Package () { 0x0001FFFF, 3, 0, 0x13 },
                Package () { 0x0002FFFF, 0, 0, 0x11 }, Package () { 0x0002FFFF, 1, 0, 0x12 },
                Package () { 0x0002FFFF, 2, 0, 0x13 }, Package () { 0x0002FFFF, 3, 0, 0x10 },
                Package () { 0x0003FFFF, 0, 0, 0x12 }, Package () { 0x0003FFFF, 1, 0, 0x13 },
                Package () { 0x0003FFFF, 2, 0, 0x10 }, Package () { 0x0003FFFF, 3, 0, 0x11 },
                Package () { 0x0004FFFF, 0, 0, 0x13 }, Package () { 0x0004FFFF, 1, 0, 0x10 },
                Package () { 0x0004FFFF, 2, 0, 0x11 }, Package () { 0x0004FFFF, 3, 0, 0x12 },
                Package () { 0x0005FFFF, 0, 0, 0x10 }, Package () { 0x0005FFFF, 1, 0, 0x11 },
                Package () { 0x0005FFFF, 2, 0, 0x12 }, Package () { 0x0005FFFF, 3, 0, 0x13 },
                Package () { 0x0006FFFF, 0, 0, 0x11 }, Package () { 0x0006FFFF, 1, 0, 0x12 },
                Package () { 0x0006FFFF, 2, 0, 0x13 }, Package () { 0x0006FFFF, 3, 0, 0x10 },
                Package () { 0x0007FFFF, 0, 0, 0x12 }, Package () { 0x0007FFFF, 1, 0, 0x13 },
                Package () { 0x0007FFFF, 2, 0, 0x10 }, Package () { 0x0007FFFF, 3, 0, 0x11 },
                Package () { 0x0008FFFF, 0, 0, 0x13 }, Package () { 0x0008FFFF, 1, 0, 0x10 },
                Package () { 0x0008FFFF, 2, 0, 0x11 }, Package () { 0x0008FFFF, 3, 0, 0x12 },
                Package () { 0x0009FFFF, 0, 0, 0x10 }, Package () { 0x0009FFFF, 1, 0, 0x11 },
                Package () { 0x0009FFFF, 2, 0, 0x12 }, Package () { 0x0009FFFF, 3, 0, 0x13 },
                Package () { 0x000AFFFF, 0, 0, 0x11 }, Package () { 0x000AFFFF, 1, 0, 0x12 },
                Package () { 0x000AFFFF, 2, 0, 0x13 }, Package () { 0x000AFFFF, 3, 0, 0x10 },
                Package () { 0x000BFFFF, 0, 0, 0x12 }, Package () { 0x000BFFFF, 1, 0, 0x13 },
                Package () { 0x000BFFFF, 2, 0, 0x10 }, Package () { 0x000BFFFF, 3, 0, 0x11 },
                Package () { 0x000CFFFF, 0, 0, 0x13 }, Package () { 0x000CFFFF, 1, 0, 0x10 },
                Package () { 0x000CFFFF, 2, 0, 0x11 }, Package () { 0x000CFFFF, 3, 0, 0x12 },
                Package () { 0x000DFFFF, 0, 0, 0x10 }, Package () { 0x000DFFFF, 1, 0, 0x11 },
                Package () { 0x000DFFFF, 2, 0, 0x12 }, Package () { 0x000DFFFF, 3, 0, 0x13 },
                Package () { 0x000EFFFF, 0, 0, 0x11 }, Package () { 0x000EFFFF, 1, 0, 0x12 },
                Package () { 0x000EFFFF, 2, 0, 0x13 }, Package () { 0x000EFFFF, 3, 0, 0x10 },
                Package () { 0x000FFFFF, 0, 0, 0x12 }, Package () { 0x000FFFFF, 1, 0, 0x13 },
                Package () { 0x000FFFFF, 2, 0, 0x10 }, Package () { 0x000FFFFF, 3, 0, 0x11 },
                Package () { 0x0010FFFF, 0, 0, 0x13 }, Package () { 0x0010FFFF, 1, 0, 0x10 },
                Package () { 0x0010FFFF, 2, 0, 0x11 }, Package () { 0x0010FFFF, 3, 0, 0x12 },
                Package () { 0x0011FFFF, 0, 0, 0x10 }, Package () { 0x0011FFFF, 1, 0, 0x11 },
                Package () { 0x0011FFFF, 2, 0, 0x12 }, Package () { 0x0011FFFF, 3, 0, 0x13 },
                Package () { 0x0012FFFF, 0, 0, 0x11 }, Package () { 0x0012FFFF, 1, 0, 0x12 },
                Package () { 0x0012FFFF, 2, 0, 0x13 }, Package () { 0x0012FFFF, 3, 0, 0x10 },
                Package () { 0x0013FFFF, 0, 0, 0x12 }, Package () { 0x0013FFFF, 1, 0, 0x13 },
                Package () { 0x0013FFFF, 2, 0, 0x10 }, Package () { 0x0013FFFF, 3, 0, 0x11 },
                Package () { 0x0014FFFF, 0, 0, 0x13 }, Package () { 0x0014FFFF, 1, 0, 0x10 },
                Package () { 0x0014FFFF, 2, 0, 0x11 }, Package () { 0x0014FFFF, 3, 0, 0x12 },
                Package () { 0x0015FFFF, 0, 0, 0x10 }, Package () { 0x0015FFFF, 1, 0, 0x11 },
                Package () { 0x0015FFFF, 2, 0, 0x12 }, Package () { 0x0015FFFF, 3, 0, 0x13 },
                Package () { 0x0016FFFF, 0, 0, 0x11 }, Package () { 0x0016FFFF, 1, 0, 0x12 },
                Package () { 0x0016FFFF, 2, 0, 0x13 }, Package () { 0x0016FFFF, 3, 0, 0x10 },
                Package () { 0x0017FFFF, 0, 0, 0x12 }, Package () { 0x0017FFFF, 1, 0, 0x13 },
                Package () { 0x0017FFFF, 2, 0, 0x10 }, Package () { 0x0017FFFF, 3, 0, 0x11 },
                Package () { 0x0018FFFF, 0, 0, 0x13 }, Package () { 0x0018FFFF, 1, 0, 0x10 },
                Package () { 0x0018FFFF, 2, 0, 0x11 }, Package () { 0x0018FFFF, 3, 0, 0x12 },
                Package () { 0x0019FFFF, 0, 0, 0x10 }, Package () { 0x0019FFFF, 1, 0, 0x11 },
                Package () { 0x0019FFFF, 2, 0, 0x12 }, Package () { 0x0019FFFF, 3, 0, 0x13 },
                Package () { 0x001AFFFF, 0, 0, 0x11 }, Package () { 0x001AFFFF, 1, 0, 0x12 },
                Package () { 0x001AFFFF, 2, 0, 0x13 }, Package () { 0x001AFFFF, 3, 0, 0x10 },
                Package () { 0x001BFFFF, 0, 0, 0x12 }, Package () { 0x001BFFFF, 1, 0, 0x13 },
                Package () { 0x001BFFFF, 2, 0, 0x10 }, Package () { 0x001BFFFF, 3, 0, 0x11 },
                Package () { 0x001CFFFF, 0, 0, 0x13 }, Package () { 0x001CFFFF, 1, 0, 0x10 },
                Package () { 0x001CFFFF, 2, 0, 0x11 }, Package () { 0x001CFFFF, 3, 0, 0x12 },
                Package () { 0x001DFFFF, 0, 0, 0x10 }, Package () { 0x001DFFFF, 1, 0, 0x11 },
                Package () { 0x001DFFFF, 2, 0, 0x12 }, Package () { 0x001DFFFF, 3, 0, 0x13 },
                Package () { 0x001EFFFF, 0, 0, 0x11 }, Package () { 0x001EFFFF, 1, 0, 0x12 },
                Package () { 0x001EFFFF, 2, 0, 0x13 }, Package () { 0x001EFFFF, 3, 0, 0x10 },
                Package () { 0x001FFFFF, 0, 0, 0x12 }, Package () { 0x001FFFFF, 1, 0, 0x13 },
                Package () { 0x001FFFFF, 2, 0, 0x10 }, Package () { 0x001FFFFF, 3, 0, 0x11 }
            })
            Name (PRTP, Package ()
            {
                Package () { 0x0000FFFF, 0, LNKD, 0 }, Package () { 0x0000FFFF, 1, LNKA, 0 },
                Package () { 0x0000FFFF, 2, LNKB, 0 }, Package () { 0x0000FFFF, 3, LNKC, 0 },
                Package () { 0x0001FFFF, 0, LNKA, 0 }, Package () { 0x0001FFFF, 1, LNKB, 0 },
                Package () { 0x0001FFFF, 2, LNKC, 0 }, Package () { 0x0001FFFF, 3, LNKD, 0 },
                Package () { 0x0002FFFF, 0, LNKB, 0 }, Package () { 0x0002FFFF, 1, LNKC, 0 },
                Package () { 0x0002FFFF, 2, LNKD, 0 }, Package () { 0x0002FFFF, 3, LNKA, 0 },
                Package () { 0x0003FFFF, 0, LNKC, 0 }, Package () { 0x0003FFFF, 1, LNKD, 0 },
                Package () { 0x0003FFFF, 2, LNKA, 0 }, Package () { 0x0003FFFF, 3, LNKB, 0 },
                Package () { 0x0004FFFF, 0, LNKD, 0 }, Package () { 0x0004FFFF, 1, LNKA, 0 },
                Package () { 0x0004FFFF, 2, LNKB, 0 }, Package () { 0x0004FFFF, 3, LNKC, 0 },
                Package () { 0x0005FFFF, 0, LNKA, 0 }, Package () { 0x0005FFFF, 1, LNKB, 0 },
                Package () { 0x0005FFFF, 2, LNKC, 0 }, Package () { 0x0005FFFF, 3, LNKD, 0 },
                Package () { 0x0006FFFF, 0, LNKB, 0 }, Package () { 0x0006FFFF, 1, LNKC, 0 },
                Package () { 0x0006FFFF, 2, LNKD, 0 }, Package () { 0x0006FFFF, 3, LNKA, 0 },
                Package () { 0x0007FFFF, 0, LNKC, 0 }, Package () { 0x0007FFFF, 1, LNKD, 0 },
                Package () { 0x0007FFFF, 2, LNKA, 0 }, Package () { 0x0007FFFF, 3, LNKB, 0 },
                Package () { 0x0008FFFF, 0, LNKD, 0 }, Package () { 0x0008FFFF, 1, LNKA, 0 },
                Package () { 0x0008FFFF, 2, LNKB, 0 }, Package () { 0x0008FFFF, 3, LNKC, 0 },
                Package () { 0x0009FFFF, 0, LNKA, 0 }, Package () { 0x0009FFFF, 1, LNKB, 0 },
                Package () { 0x0009FFFF, 2, LNKC, 0 }, Package () { 0x0009FFFF, 3, LNKD, 0 },
                Package () { 0x000AFFFF, 0, LNKB, 0 }, Package () { 0x000AFFFF, 1, LNKC, 0 },
                Package () { 0x000AFFFF, 2, LNKD, 0 }, Package () { 0x000AFFFF, 3, LNKA, 0 },
                Package () { 0x000BFFFF, 0, LNKC, 0 }, Package () { 0x000BFFFF, 1, LNKD, 0 },
                Package () { 0x000BFFFF, 2, LNKA, 0 }, Package () { 0x000BFFFF, 3, LNKB, 0 },
                Package () { 0x000CFFFF, 0, LNKD, 0 }, Package () { 0x000CFFFF, 1, LNKA, 0 },
                Package () { 0x000CFFFF, 2, LNKB, 0 }, Package () { 0x000CFFFF, 3, LNKC, 0 },
                Package () { 0x000DFFFF, 0, LNKA, 0 }, Package () { 0x000DFFFF, 1, LNKB, 0 },
                Package () { 0x000DFFFF, 2, LNKC, 0 }, Package () { 0x000DFFFF, 3, LNKD, 0 },
                Package () { 0x000EFFFF, 0, LNKB, 0 }, Package () { 0x000EFFFF, 1, LNKC, 0 },
                Package () { 0x000EFFFF, 2, LNKD, 0 }, Package () { 0x000EFFFF, 3, LNKA, 0 },
                Package () { 0x000FFFFF, 0, LNKC, 0 }, Package () { 0x000FFFFF, 1, LNKD, 0 },
                Package () { 0x000FFFFF, 2, LNKA, 0 }, Package () { 0x000FFFFF, 3, LNKB, 0 },
                Package () { 0x0010FFFF, 0, LNKD, 0 }, Package () { 0x0010FFFF, 1, LNKA, 0 },
                Package () { 0x0010FFFF, 2, LNKB, 0 }, Package () { 0x0010FFFF, 3, LNKC, 0 },
                Package () { 0x0011FFFF, 0, LNKA, 0 }, Package () { 0x0011FFFF, 1, LNKB, 0 },
                Package () { 0x0011FFFF, 2, LNKC, 0 }, Package () { 0x0011FFFF, 3, LNKD, 0 },
                Package () { 0x0012FFFF, 0, LNKB, 0 }, Package () { 0x0012FFFF, 1, LNKC, 0 },
                Package () { 0x0012FFFF, 2, LNKD, 0 }, Package () { 0x0012FFFF, 3, LNKA, 0 },
                Package () { 0x0013FFFF, 0, LNKC, 0 }, Package () { 0x0013FFFF, 1, LNKD, 0 },
                Package () { 0x0013FFFF, 2, LNKA, 0 }, Package () { 0x0013FFFF, 3, LNKB, 0 },
                Package () { 0x0014FFFF, 0, LNKD, 0 }, Package () { 0x0014FFFF, 1, LNKA, 0 },
                Package () { 0x0014FFFF, 2, LNKB, 0 }, Package () { 0x0014FFFF, 3, LNKC, 0 },
                Package () { 0x0015FFFF, 0, LNKA, 0 }, Package () { 0x0015FFFF, 1, LNKB, 0 },
                Package () { 0x0015FFFF, 2, LNKC, 0 }, Package () { 0x0015FFFF, 3, LNKD, 0 },
                Package () { 0x0016FFFF, 0, LNKB, 0 }, Package () { 0x0016FFFF, 1, LNKC, 0 },
                Package () { 0x0016FFFF, 2, LNKD, 0 }, Package () { 0x0016FFFF, 3, LNKA, 0 },
                Package () { 0x0017FFFF, 0, LNKC, 0 }, Package () { 0x0017FFFF, 1, LNKD, 0 },
                Package () { 0x0017FFFF, 2, LNKA, 0 }, Package () { 0x0017FFFF, 3, LNKB, 0 },
                Package () { 0x0018FFFF, 0, LNKD, 0 }, Package () { 0x0018FFFF, 1, LNKA, 0 },
                Package () { 0x0018FFFF, 2, LNKB, 0 }, Package () { 0x0018FFFF, 3, LNKC, 0 },
                Package () { 0x0019FFFF, 0, LNKA, 0 }, Package () { 0x0019FFFF, 1, LNKB, 0 },
                Package () { 0x0019FFFF, 2, LNKC, 0 }, Package () { 0x0019FFFF, 3, LNKD, 0 },
                Package () { 0x001AFFFF, 0, LNKB, 0 }, Package () { 0x001AFFFF, 1, LNKC, 0 },
                Package () { 0x001AFFFF, 2, LNKD, 0 }, Package () { 0x001AFFFF, 3, LNKA, 0 },
                Package () { 0x001BFFFF, 0, LNKC, 0 }, Package () { 0x001BFFFF, 1, LNKD, 0 },
                Package () { 0x001BFFFF, 2, LNKA, 0 }, Package () { 0x001BFFFF, 3, LNKB, 0 },
                Package () { 0x001CFFFF, 0, LNKD, 0 }, Package () { 0x001CFFFF, 1, LNKA, 0 },
                Package () { 0x001CFFFF, 2, LNKB, 0 }, Package () { 0x001CFFFF, 3, LNKC, 0 },
                Package () { 0x001DFFFF, 0, LNKA, 0 }, Package () { 0x001DFFFF, 1, LNKB, 0 },
                Package () { 0x001DFFFF, 2, LNKC, 0 }, Package () { 0x001DFFFF, 3, LNKD, 0 },
                Package () { 0x001EFFFF, 0, LNKB, 0 }, Package () { 0x001EFFFF, 1, LNKC, 0 },
                Package () { 0x001EFFFF, 2, LNKD, 0 }, Package () { 0x001EFFFF, 3, LNKA, 0 },
                Package () { 0x001FFFFF, 0, LNKC, 0 }, Package () { 0x001FFFFF, 1, LNKD, 0 },
                Package () { 0x001FFFFF, 2, LNKA, 0 }, Package () { 0x001FFFFF, 3, LNKB, 0 }
            })
            Method (_PRT)
            {
                If (PICM) { Return (PRTA) }
                Return (PRTP)
            }

            Device (ISA)
            {
                Name (_ADR, 0x00070000)
                OperationRegion (PRRG, PCI_Config, 0x60, 4)
                Field (PRRG, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8,
                    PRQB, 8,
                    PRQC, 8,
                    PRQD, 8
                }

                Device (PIC)
                {
                    Name (_HID, EisaId ("PNP0000"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0020, 0x0020, 1, 2)
                        IO (Decode16, 0x00A0, 0x00A0, 1, 2)
                        IO (Decode16, 0x04D0, 0x04D0, 1, 2)
                        IRQNoFlags () {2}
                    })
                }
                Device (TIMR)
                {
                    Name (_HID, EisaId ("PNP0100"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0040, 0x0040, 1, 4)
                        IRQNoFlags () {0}
                    })
                }
                Device (DMAC)
                {
                    Name (_HID, EisaId ("PNP0200"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0000, 0x0000, 1, 0x10)
                        IO (Decode16, 0x0081, 0x0081, 1, 0x0F)
                        IO (Decode16, 0x00C0, 0x00C0, 1, 0x20)
                        DMA (Compatibility, NotBusMaster, Transfer8_16) {4}
                    })
                }
                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 1, 4)
                        IRQNoFlags () {8}
                    })
                }
                Device (SPKR)
                {
                    Name (_HID, EisaId ("PNP0800"))
                    Name (_CRS, ResourceTemplate () { IO (Decode16, 0x0061, 0x0061, 1, 1) })
                }
                Device (FPU)
                {
                    Name (_HID, EisaId ("PNP0C04"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x00F0, 0x00F0, 1, 1)
                        IRQNoFlags () {13}
                    })
                }
                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Method (_STA) { Return (PRES (LKBD)) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 1, 1)
                        IO (Decode16, 0x0064, 0x0064, 1, 1)
                        IRQNoFlags () {1}
                    })
                }
                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Method (_STA) { Return (PRES (LKBD)) }
                    Name (_CRS, ResourceTemplate () { IRQNoFlags () {12} })
                }
                Device (FDC)
                {
                    Name (_HID, EisaId ("PNP0700"))
                    Method (_STA) { Return (PRES (LFDC)) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F2, 0x03F2, 1, 4)
                        IO (Decode16, 0x03F7, 0x03F7, 1, 1)
                        IRQNoFlags () {6}
                        DMA (Compatibility, NotBusMaster, Transfer8) {2}
                    })
                }

                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501")) /* 16550A */
                    Name (_UID, 1)
                    Method (_STA) { Return (PRES (LCOM & 1)) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 1, 8)
                        IRQNoFlags () {4}
                    })
                }

                Device (COM2)
                {
                    Name (_HID, EisaId ("PNP0501")) /* 16550A */
                    Name (_UID, 2)
                    Method (_STA) { Return (PRES (LCOM & 2)) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02F8, 0x02F8, 1, 8)
                        IRQNoFlags () {3}
                    })
                }

                Device (COM3)
                {
                    Name (_HID, EisaId ("PNP0501")) /* 16550A */
                    Name (_UID, 3)
                    Method (_STA) { Return (PRES (LCOM & 4)) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03E8, 0x03E8, 1, 8)
                        IRQNoFlags () {4}
                    })
                }

                Device (COM4)
                {
                    Name (_HID, EisaId ("PNP0501")) /* 16550A */
                    Name (_UID, 4)
                    Method (_STA) { Return (PRES (LCOM & 8)) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02E8, 0x02E8, 1, 8)
                        IRQNoFlags () {3}
                    })
                }

                /* Ports of the board: 92h, SMI command, firmware configuration, PIIX4 PM and SMBus, VMware backdoor */
                Device (MBRD)
                {
                    Name (_HID, EisaId ("PNP0C02"))
                    Name (_UID, 1)
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0092, 0x0092, 1, 1)
                        IO (Decode16, 0x00B2, 0x00B2, 1, 2)
                        IO (Decode16, 0x0510, 0x0510, 1, 0x0C)
                        IO (Decode16, 0x0600, 0x0600, 1, 0x40)
                        IO (Decode16, 0x0700, 0x0700, 1, 0x10)
                        IO (Decode16, 0x5658, 0x5658, 1, 2)
                    })
                }
            }
            Device (IDE0)
            {
                Name (_ADR, 0x00070001)
            }
            Device (PMGT)
            {
                Name (_ADR, 0x00070003)
            }
            Device (SVGA)
            {
                Name (_ADR, 0x000F0000)
            }
        }

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_UID, 0)
            Method (_STA) { Return (PRES (LHPT)) }
            Name (_CRS, ResourceTemplate () { Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400) })
        }
    }
}
