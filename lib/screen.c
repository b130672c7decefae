/* SPDX-License-Identifier: MIT */
#include "screen.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH = 80, NARROWEST = 40, WIDEST = 400 };

/* The locale's character set by its name: the program itself stays in the C locale. */
static bool names_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
    }
    return false;
}

struct screen screen_of(int fd)
{
    const char *term = getenv("TERM"), *none = getenv("NO_COLOR");
    struct screen s = {.width = WIDTH};
    struct winsize size;

    if (fd < 0 || !isatty(fd))
        return s;
    s.tty = true;
    s.utf8 = names_utf8();
    s.colour = !(none && *none) && term && strcmp(term, "dumb") != 0;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        s.width = size.ws_col < NARROWEST ? NARROWEST
                  : size.ws_col > WIDEST  ? WIDEST
                                          : size.ws_col;
    return s;
}

int screen_bar(const struct screen *s, double share, int width, struct buf *out, struct err *e)
{
    /* Blocks of an eighth to a whole column: U+258F up to U+2588. */
    const int eighths = (int)(share * width * 8 + 0.5);
    int whole = s->utf8 ? eighths / 8 : (eighths + 4) / 8;
    int rest = s->utf8 ? eighths % 8 : 0;

    if (share > 0 && whole == 0 && rest == 0) {
        whole = !s->utf8;
        rest = s->utf8;
    }
    for (int i = 0; i < whole; i++)
        if (buf_puts(out, s->utf8 ? "\xe2\x96\x88" : "#", e))
            return -1;
    return rest ? buf_addf(out, e, "\xe2\x96%c", 0x90 - rest) : 0;
}

/* First and last code points that terminals draw two columns wide. */
static const uint32_t wide[][2] = {
    {0x1100, 0x115f}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xa960, 0xa97c}, {0xac00, 0xd7a3},
    {0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x1f300, 0x1f64f},
    {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

int screen_columns(uint32_t c)
{
    if (c < 0x300)
        return 1;
    if (c < 0x370 || (c >= 0x200b && c <= 0x200f) || (c >= 0xfe00 && c <= 0xfe0f) ||
        c == 0xfeff)
        return 0;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++)
        if (c >= wide[i][0] && c <= wide[i][1])
            return 2;
    return 1;
}
