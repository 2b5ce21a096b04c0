/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MC146818 real-time clock and the CMOS RAM of the 82371AB: 128 bytes behind ports 70h/71h, 128 more behind 72h/73h.
 *
 * The clock does not tick: the time is clock_wall() + offset, the flags of register C are worked out when they are looked at, and the timer
 * runs only while an interrupt is enabled. While SET (register B) or a divider reset (register A) holds the clock, `held` is the time and the
 * registers are what the guest writes; letting go computes the offset anew.
 * The update takes no time here: UIP is 1 for the 244 us before each second (data sheet, "Update cycle"), and the registers change at once.
 */
#include "chipset/rtc.h"

#include <string.h>

#include "core/vm.h"

enum {
    RTC_SEC, RTC_SEC_ALARM, RTC_MIN, RTC_MIN_ALARM, RTC_HOUR, RTC_HOUR_ALARM, RTC_WDAY, RTC_MDAY, RTC_MONTH, RTC_YEAR, RTC_A, RTC_B, RTC_C, RTC_D,
    RTC_CENTURY = 0x32
};
enum { A_UIP = 0x80, A_DV = 0x70, A_RS = 0x0f };
enum { B_SET = 0x80, B_PIE = 0x40, B_AIE = 0x20, B_UIE = 0x10, B_DM = 0x04, B_24 = 0x02 };
enum { C_IRQF = 0x80, C_PF = 0x40, C_AF = 0x20, C_UF = 0x10 };
enum { D_VRT = 0x80 };
#define NS 1000000000ll
#define UIP_NS 244000
#define DAY 86400ll
#define MIN_TIMER_NS 50000

struct rtc {
    struct dev dev;
    struct rtc_params p;
    struct rtc_preset preset[64];
    uint8_t ram[RTC_NVRAM_SIZE]; /* 0-9 and 32h only current while held; B, and A without UIP; C: flags */
    uint8_t index, index_high;
    int64_t offset;       /* ns: time shown = clock_wall + offset */
    int64_t held;         /* ns since 1970: the time while the clock stands */
    int64_t flags_until;  /* clock_now up to which C is worked out */
    int64_t alarm_at;     /* clock_now of the next alarm match; 0: to be computed */
    int64_t periodic_base; /* clock_now at which the divider chain stood at 0 */
    uint32_t owed;         /* periodic interrupts that came late */
    bool irq;
    struct vtimer timer;
    struct port_range ports;
};

static bool rtc_stands(const struct rtc *s)
{
    return (s->ram[RTC_B] & B_SET) || (s->ram[RTC_A] & 0x60) == 0x60;
}

static int64_t rtc_time(struct rtc *s)
{
    return rtc_stands(s) ? s->held : clock_wall(s->dev.vm) + s->offset;
}

/* ---- calendar ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b < 0);
}

/* Days since 1970-01-01 of a proleptic Gregorian date; month 1..12. */
static int64_t rtc_days(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = floor_div(y, 400);
    unsigned yoe = (unsigned)(y - era * 400), doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

struct rtc_date {
    unsigned sec, min, hour, wday, mday, month, year; /* wday 1..7 from Sunday */
};

static void rtc_split(int64_t ns, struct rtc_date *d)
{
    int64_t s = floor_div(ns, NS), days = floor_div(s, DAY), sod = s - days * DAY;
    d->sec = sod % 60;
    d->min = sod / 60 % 60;
    d->hour = sod / 3600;
    d->wday = (unsigned)((days + 4) - floor_div(days + 4, 7) * 7) + 1;
    int64_t z = days + 719468, era = floor_div(z, 146097);
    unsigned doe = (unsigned)(z - era * 146097), yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    d->mday = doy - (153 * mp + 2) / 5 + 1;
    d->month = mp < 10 ? mp + 3 : mp - 9;
    d->year = (unsigned)(yoe + era * 400 + (d->month <= 2));
}

static uint8_t rtc_enc(const struct rtc *s, unsigned v)
{
    return s->ram[RTC_B] & B_DM ? v : v / 10 % 10 << 4 | v % 10;
}

static unsigned rtc_dec(const struct rtc *s, uint8_t v)
{
    return s->ram[RTC_B] & B_DM ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t rtc_enc_hour(const struct rtc *s, unsigned h)
{
    if (s->ram[RTC_B] & B_24)
        return rtc_enc(s, h);
    return rtc_enc(s, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0);
}

static unsigned rtc_dec_hour(const struct rtc *s, uint8_t v)
{
    if (s->ram[RTC_B] & B_24)
        return rtc_dec(s, v);
    return rtc_dec(s, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static bool rtc_is_time(unsigned i)
{
    return i == RTC_SEC || i == RTC_MIN || i == RTC_HOUR || (i >= RTC_WDAY && i <= RTC_YEAR) || i == RTC_CENTURY;
}

static void rtc_show(struct rtc *s, int64_t ns)
{
    struct rtc_date d;
    rtc_split(ns, &d);
    s->ram[RTC_SEC] = rtc_enc(s, d.sec);
    s->ram[RTC_MIN] = rtc_enc(s, d.min);
    s->ram[RTC_HOUR] = rtc_enc_hour(s, d.hour);
    s->ram[RTC_WDAY] = rtc_enc(s, d.wday);
    s->ram[RTC_MDAY] = rtc_enc(s, d.mday);
    s->ram[RTC_MONTH] = rtc_enc(s, d.month);
    s->ram[RTC_YEAR] = rtc_enc(s, d.year % 100);
    s->ram[RTC_CENTURY] = rtc_enc(s, d.year / 100 % 100);
}

/* The time that the registers say; out-of-range fields carry over. */
static int64_t rtc_said(const struct rtc *s)
{
    unsigned month = rtc_dec(s, s->ram[RTC_MONTH]), mday = rtc_dec(s, s->ram[RTC_MDAY]);
    month = month < 1 ? 1 : month > 12 ? 12 : month;
    unsigned year = rtc_dec(s, s->ram[RTC_CENTURY]) * 100 + rtc_dec(s, s->ram[RTC_YEAR]);
    if (year > 9999)
        year = 9999; /* keeps the nanoseconds within 64 bits after the clamp below */
    int64_t days = rtc_days(year, month, 1) + mday - 1;
    int64_t sec = days * DAY + rtc_dec_hour(s, s->ram[RTC_HOUR]) * 3600 + rtc_dec(s, s->ram[RTC_MIN]) * 60 + rtc_dec(s, s->ram[RTC_SEC]);
    const int64_t limit = INT64_MAX / NS / 2; /* the years 1824 to 2116 */
    sec = sec > limit ? limit : sec < -limit ? -limit : sec;
    return sec * NS;
}

/* ---- interrupts ---- */

static int64_t rtc_period(const struct rtc *s)
{
    unsigned rs = s->ram[RTC_A] & A_RS, dv = s->ram[RTC_A] >> 4 & 7;
    if (!rs || dv > 2)
        return 0;
    if (rs <= 2 && dv == 2)
        rs += 7; /* 32.768 kHz time base: 256 and 128 Hz (data sheet, table 5) */
    return (NS << (rs - 1)) / 32768;
}

/* clock_now of the first second boundary after t. */
static int64_t rtc_next_second(struct rtc *s, int64_t t)
{
    int64_t shown = rtc_time(s) + (t - clock_now(s->dev.vm));
    return t + NS - (shown - floor_div(shown, NS) * NS);
}

static bool rtc_alarm_field(const struct rtc *s, unsigned reg, unsigned v)
{
    uint8_t a = s->ram[reg];
    if ((a & 0xc0) == 0xc0)
        return true; /* "don't care" */
    return (reg == RTC_HOUR_ALARM ? rtc_dec_hour(s, a) : rtc_dec(s, a)) == v;
}

/* clock_now of the first alarm after t; INT64_MAX when the registers name no time of day. */
static int64_t rtc_next_alarm(struct rtc *s, int64_t t)
{
    int64_t first = rtc_next_second(s, t), shown = rtc_time(s) + (first - clock_now(s->dev.vm));
    int64_t sec = floor_div(shown + NS / 2, NS), sod = sec - floor_div(sec, DAY) * DAY;
    for (int64_t k = 0; k <= DAY;) {
        unsigned now = (unsigned)((sod + k) % DAY);
        if (!rtc_alarm_field(s, RTC_HOUR_ALARM, now / 3600))
            k += 3600 - now % 3600;
        else if (!rtc_alarm_field(s, RTC_MIN_ALARM, now / 60 % 60))
            k += 60 - now % 60;
        else if (!rtc_alarm_field(s, RTC_SEC_ALARM, now % 60))
            k++;
        else
            return first + k * NS;
    }
    return INT64_MAX;
}

/* First multiple of the period after t. */
static int64_t rtc_next_tick(const struct rtc *s, int64_t t, int64_t period)
{
    return s->periodic_base + (floor_div(t - s->periodic_base, period) + 1) * period;
}

/* Sets the flags of register C for everything up to now, and the interrupt line. */
static void rtc_update(struct rtc *s)
{
    int64_t now = clock_now(s->dev.vm), from = s->flags_until;
    if (now > from) {
        int64_t period = rtc_period(s);
        int64_t ticks = period ? floor_div(now - s->periodic_base, period) - floor_div(from - s->periodic_base, period) : 0;
        if (ticks > 0) {
            /* Guests that keep time by this interrupt get each one: those that found PF set are given after the next reads of C. */
            int64_t owed = s->owed + ticks - (s->ram[RTC_C] & C_PF ? 0 : 1);
            s->owed = !(s->ram[RTC_B] & B_PIE) ? 0 : owed > NS / period ? NS / period : owed;
            s->ram[RTC_C] |= C_PF;
        }
        if (!rtc_stands(s)) {
            if (rtc_next_second(s, from) <= now)
                s->ram[RTC_C] |= C_UF;
            if (!s->alarm_at)
                s->alarm_at = rtc_next_alarm(s, from);
            if (s->alarm_at <= now) {
                s->ram[RTC_C] |= C_AF;
                s->alarm_at = rtc_next_alarm(s, now);
                if (s->ram[RTC_B] & B_AIE)
                    irq_pulse(&s->p.alarm);
            }
        }
        s->flags_until = now;
    }
    /* Flags and enables stand in the same bits. */
    bool irq = s->ram[RTC_C] & s->ram[RTC_B] & (C_PF | C_AF | C_UF);
    s->ram[RTC_C] = (s->ram[RTC_C] & ~C_IRQF) | (irq ? C_IRQF : 0);
    if (irq != s->irq) {
        s->irq = irq;
        irq_set(&s->p.irq8, irq);
    }
}

/* Arms the timer for the next flag that would interrupt. */
static void rtc_arm(struct rtc *s)
{
    uint8_t b = s->ram[RTC_B];
    int64_t now = clock_now(s->dev.vm), due = INT64_MAX, t;
    if (!s->irq) { /* with IRQF set, nothing new happens to the line */
        int64_t period = rtc_period(s);
        if ((b & B_PIE) && period) {
            due = rtc_next_tick(s, now, period);
            if (s->owed && now + period / 4 < due)
                due = now + period / 4;
        }
        if (!rtc_stands(s)) {
            if ((b & B_UIE) && (t = rtc_next_second(s, now)) < due)
                due = t;
            if (b & B_AIE) {
                if (!s->alarm_at)
                    s->alarm_at = rtc_next_alarm(s, now);
                if (s->alarm_at < due)
                    due = s->alarm_at;
            }
        }
    }
    if (due == INT64_MAX)
        vtimer_cancel(&s->timer);
    else
        vtimer_arm(&s->timer, due < now + MIN_TIMER_NS ? now + MIN_TIMER_NS : due);
}

static void rtc_fire(void *dev)
{
    struct rtc *s = dev;
    rtc_update(s);
    if (s->owed && (s->ram[RTC_B] & B_PIE) && !(s->ram[RTC_C] & C_PF)) {
        s->owed--;
        s->ram[RTC_C] |= C_PF;
        rtc_update(s);
    }
    rtc_arm(s);
}

/* ---- registers ---- */

static void rtc_ram_written(struct rtc *s, unsigned i, uint8_t val)
{
    s->ram[i] = val;
    if (s->p.nvram && s->p.nvram[i] != val) {
        s->p.nvram[i] = val;
        if (s->p.nvram_changed)
            s->p.nvram_changed(s->p.nvram_u);
    }
}

static void rtc_write_reg(struct rtc *s, unsigned i, uint8_t val)
{
    rtc_update(s);
    bool stood = rtc_stands(s);
    switch (i) {
    case RTC_A:
    case RTC_B: {
        int64_t time = rtc_time(s);
        bool reset_before = (s->ram[RTC_A] & 0x60) == 0x60;
        uint8_t was_b = s->ram[RTC_B];
        if (!stood)
            rtc_show(s, time);
        if (i == RTC_A) {
            if ((s->ram[RTC_A] ^ val) & (A_DV | A_RS)) {
                s->periodic_base = clock_now(s->dev.vm);
                s->owed = 0;
            }
            s->ram[RTC_A] = val & ~A_UIP;
        } else {
            if (val & B_SET)
                val &= ~B_UIE; /* SET clears UIE (data sheet, register B) */
            s->ram[RTC_B] = val;
        }
        if (!stood && rtc_stands(s)) {
            s->held = time;
        } else if (stood && !rtc_stands(s)) {
            /* The fraction of the second goes on, or is half a second after a divider reset (data sheet, "Divider control bits"). */
            int64_t part = s->held - floor_div(s->held, NS) * NS;
            if (reset_before)
                part = NS / 2;
            s->offset = rtc_said(s) + part - clock_wall(s->dev.vm);
        } else if (!stood && ((was_b ^ s->ram[RTC_B]) & (B_DM | B_24))) {
            rtc_show(s, time); /* same time, other format */
        }
        s->alarm_at = 0;
        break;
    }
    case RTC_C:
    case RTC_D: /* read only */
        return;
    default:
        if (rtc_is_time(i)) {
            int64_t time = rtc_time(s);
            if (!stood)
                rtc_show(s, time);
            s->ram[i] = val;
            if (!stood)
                s->offset += rtc_said(s) - floor_div(time, NS) * NS;
        } else {
            rtc_ram_written(s, i, val);
        }
        s->alarm_at = 0;
        break;
    }
    rtc_update(s);
    rtc_arm(s);
}

static uint8_t rtc_read_reg(struct rtc *s, unsigned i)
{
    switch (i) {
    case RTC_A: {
        uint8_t v = s->ram[RTC_A] & ~A_UIP;
        if (!rtc_stands(s)) {
            int64_t t = rtc_time(s);
            if (t - floor_div(t, NS) * NS >= NS - UIP_NS)
                v |= A_UIP;
        }
        return v;
    }
    case RTC_C: {
        rtc_update(s);
        uint8_t v = s->ram[RTC_C];
        s->ram[RTC_C] = 0;
        rtc_update(s);
        rtc_arm(s);
        return v;
    }
    case RTC_D:
        return D_VRT;
    default:
        if (rtc_is_time(i) && !rtc_stands(s))
            rtc_show(s, rtc_time(s));
        return s->ram[i];
    }
}

static uint64_t rtc_read(void *dev, uint64_t off, unsigned size)
{
    struct rtc *s = dev;
    switch (off) {
    case 1:
        return rtc_read_reg(s, s->index);
    case 3:
        return s->ram[128 + s->index_high];
    default:
        return 0xff; /* the index registers are write only (82371AB, 4.2.6) */
    }
}

static void rtc_write(void *dev, uint64_t off, unsigned size, uint64_t val)
{
    struct rtc *s = dev;
    switch (off) {
    case 0: /* bit 7 masks NMI; this machine's NMI comes from its APICs */
        s->index = val & 0x7f;
        break;
    case 1:
        rtc_write_reg(s, s->index, val);
        break;
    case 2:
        s->index_high = val & 0x7f;
        break;
    case 3:
        rtc_ram_written(s, 128 + s->index_high, val);
        break;
    }
}

static const struct io_ops rtc_ops = {.read = rtc_read, .write = rtc_write, .widths = IO_8};

static void rtc_apply_preset(struct rtc *s)
{
    for (unsigned i = 0; i < s->p.n_preset; i++)
        rtc_ram_written(s, s->preset[i].index, s->preset[i].value);
}

static void rtc_reset(struct dev *dev, enum reset_kind k)
{
    struct rtc *s = (struct rtc *)dev;
    /* RESET does not touch the clock or the RAM; it clears PIE, AIE, UIE, SQWE and the flags (data sheet, "RESET"). */
    bool stood = rtc_stands(s);
    int64_t time = rtc_time(s);
    s->ram[RTC_B] &= ~(B_PIE | B_AIE | B_UIE | 0x08);
    s->ram[RTC_C] = 0;
    s->index = s->index_high = 0;
    s->owed = 0;
    s->irq = false;
    if (k == RESET_COLD) {
        /* Power-on of a machine whose clock runs on its battery. */
        s->ram[RTC_A] = 0x26;
        s->ram[RTC_B] = B_24;
        if (stood)
            s->offset = time - clock_wall(dev->vm);
        rtc_apply_preset(s);
    }
    s->flags_until = clock_now(dev->vm);
    s->alarm_at = 0;
    vtimer_cancel(&s->timer);
}

static void rtc_reset_done(struct dev *dev)
{
    struct rtc *s = (struct rtc *)dev;
    irq_set(&s->p.irq8, s->irq);
}

static int rtc_init(struct dev *dev, const void *params, struct err *e)
{
    struct rtc *s = (struct rtc *)dev;
    s->p = *(const struct rtc_params *)params;
    if (s->p.n_preset > sizeof s->preset / sizeof s->preset[0])
        return err_set(e, ERR_CONFIG, 0, "Too many preset CMOS bytes: %u.", s->p.n_preset);
    for (unsigned i = 0; i < s->p.n_preset; i++)
        s->preset[i] = s->p.preset[i];
    s->p.preset = s->preset;
    vtimer_init(&s->timer, dev->vm, rtc_fire, s);
    s->timer.on_vcpu = true;
    if (s->p.nvram)
        memcpy(s->ram, s->p.nvram, sizeof s->ram);
    s->offset = s->p.wall_diff;
    s->ram[RTC_A] = 0x26; /* 32.768 kHz, 1024 Hz periodic rate */
    s->ram[RTC_B] = B_24;
    rtc_reset(dev, RESET_COLD);
    s->ports = (struct port_range){.owner = dev->id, .first = 0x70, .count = 4, .ops = &rtc_ops, .dev = s};
    return port_claim(dev->vm, &s->ports, e);
}

static void rtc_destroy(struct dev *dev)
{
    vtimer_cancel(&((struct rtc *)dev)->timer);
}

static int rtc_post_load(void *dev, unsigned version, struct err *e)
{
    struct rtc *s = dev;
    int64_t now = clock_now(s->dev.vm), limit = INT64_MAX / 4 * 3;
    s->index &= 0x7f;
    s->index_high &= 0x7f;
    s->ram[RTC_A] &= ~A_UIP;
    if (s->offset > limit || s->offset < -limit || s->held > limit || s->held < -limit)
        return err_set(e, ERR_CORRUPT, 0, "The saved time of the real-time clock is out of range.");
    if (s->flags_until < 0 || s->flags_until > now)
        s->flags_until = now;
    if (s->periodic_base < 0 || s->periodic_base > now)
        s->periodic_base = now;
    s->alarm_at = 0;
    if (s->p.nvram)
        memcpy(s->p.nvram, s->ram, sizeof s->ram);
    rtc_arm(s);
    return 0;
}

static const struct state_field rtc_fields[] = {
    SF_BUF(struct rtc, ram),
    SF(struct rtc, index, SF_U8),
    SF(struct rtc, index_high, SF_U8),
    SF(struct rtc, offset, SF_U64),
    SF(struct rtc, held, SF_U64),
    SF(struct rtc, flags_until, SF_U64),
    SF(struct rtc, periodic_base, SF_U64),
    SF_MAX(struct rtc, owed, SF_U32, 32768),
    SF(struct rtc, irq, SF_BOOL),
    {0},
};
static const struct state_desc rtc_state = {
    .name = "rtc", .version = 1, .min_version = 1, .fields = rtc_fields, .post_load = rtc_post_load};

const struct dev_class rtc_class = {
    .name = "rtc",
    .size = sizeof(struct rtc),
    .init = rtc_init,
    .reset = rtc_reset,
    .reset_done = rtc_reset_done,
    .destroy = rtc_destroy,
    .state = &rtc_state,
};
