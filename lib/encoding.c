/* SPDX-License-Identifier: MIT */
#include "encoding.h"
#include "utf8.h"

#include <string.h>

/* What is no text.  `binary`: a text may start so, unless a control character follows soon. */
static const struct magic {
    const char *start;
    uint8_t n;
    bool binary;
    const char *why;
} magics[] = {
    {"PAR1", 4, true, "this is Parquet, which is not read; make CSV or JSON lines of it first "
     "(duckdb -c \"COPY (FROM 'FILE') TO 'FILE.csv'\")"},
    {"ARROW1", 6, true, "this is an Arrow file, which is not read; make CSV or JSON lines of it first"},
    {"FEA1", 4, true, "this is a Feather file, which is not read; make CSV or JSON lines of it first"},
    {"Obj\1", 4, false, "this is Avro, which is not read; make JSON lines of it first"},
    {"ORC", 3, true, "this is ORC, which is not read; make CSV or JSON lines of it first"},
    {"%PDF-", 5, true, "this is PDF, which is not read; make text of it first (pdftotext FILE -)"},
    {"{\\rtf1", 6, false, "this is RTF, which is not read; save it as plain text first"},
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, false, "this is an Office document (doc, xls), which is not "
     "read; save it as CSV or plain text first"},
    {"SQLite format 3\0", 16, false, "this is an SQLite database, which is not read; make CSV of it "
     "first (sqlite3 -csv -header FILE 'SELECT ...')"},
    {"\x89HDF\r\n\x1a\n", 8, false, "this is HDF5, which is not read; make CSV or JSON lines of it first"},
    {"\x93NUMPY", 6, false, "this is a NumPy array, which is no text"},
    {"7z\xbc\xaf\x27\x1c", 6, false, "this is a 7-Zip archive, which is not read; unpack it first (7z x FILE)"},
    {"Rar!\x1a\x07", 6, false, "this is a RAR archive, which is not read; unpack it first (unrar x FILE)"},
    {"\x04\x22\x4d\x18", 4, false, "this is compressed with lz4, which is not read; undo that first "
     "(lz4 -dc FILE)"},
    {"LZIP\1", 5, false, "this is compressed with lzip, which is not read; undo that first (lzip -dc FILE)"},
    {"\x1f\x9d", 2, false, "this is compressed with compress, which is not read; undo that first "
     "(uncompress -c FILE)"},
};

static bool has_control(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)p[i] < 0x20 && !strchr("\t\n\r\f", p[i]))
            return true;
    return n > 0 && memchr(p, '\0', n);
}

static const char *no_text(const char *head, size_t n)
{
    for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
        const struct magic *m = &magics[i];

        if (n >= m->n && memcmp(head, m->start, m->n) == 0 &&
            (!m->binary || has_control(head + m->n, n - m->n) ||
             (m->start[0] == '%' && n > m->n && head[m->n] >= '1' && head[m->n] <= '2')))
            return m->why;
    }
    return NULL;
}

const char *encoding_office(const char *head, size_t n)
{
    static const char *const first[] = {"[Content_Types].xml", "_rels/.rels", "docProps/app.xml",
                                        "docProps/core.xml", "xl/workbook.xml", "word/document.xml"};
    const size_t name = 30; /* where a zip's first local header has it (APPNOTE 4.3.7) */

    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++)
        if (n >= name + strlen(first[i]) && memcmp(head + name, first[i], strlen(first[i])) == 0)
            return "this is an Office document (docx, xlsx), which is not read; save it as CSV or "
                   "plain text first";
    if (n >= name + 20 && memcmp(head + name, "mimetypeapplication/", 20) == 0)
        return "this is an OpenDocument file or an e-book, which is not read; save it as CSV or plain "
               "text first";
    return NULL;
}

/* Text of two or four bytes a character, by where its zeros are; NULL for none. */
static const char *wide(const char *head, size_t n)
{
    size_t zeros[4] = {0};
    const size_t groups = n / 4, many = groups - groups / 8, few = groups / 8;

    if (groups < 4)
        return NULL;
    for (size_t i = 0; i < 4 * groups; i++)
        zeros[i % 4] += head[i] == '\0';
    if (zeros[0] <= few && zeros[1] >= many && zeros[2] <= few && zeros[3] >= many)
        return "this looks like UTF-16 without a byte order mark; convert it first: "
               "iconv -f UTF-16LE -t UTF-8";
    if (zeros[0] >= many && zeros[1] <= few && zeros[2] >= many && zeros[3] <= few)
        return "this looks like UTF-16 without a byte order mark; convert it first: "
               "iconv -f UTF-16BE -t UTF-8";
    if (zeros[0] <= few && zeros[2] >= many && zeros[3] >= many)
        return "this looks like UTF-32; convert it first: iconv -f UTF-32LE -t UTF-8";
    if (zeros[0] >= many && zeros[1] >= many && zeros[3] <= few)
        return "this looks like UTF-32; convert it first: iconv -f UTF-32BE -t UTF-8";
    return NULL;
}

enum encoding encoding_of(const char *head, size_t n, const char **why)
{
    *why = NULL;
    if (n >= 4 && (memcmp(head, "\xff\xfe\0\0", 4) == 0 || memcmp(head, "\0\0\xfe\xff", 4) == 0)) {
        *why = "this is UTF-32 (it starts with its byte order mark); convert it first: "
               "iconv -f UTF-32 -t UTF-8";
        return ENCODING_REFUSED;
    }
    if (n >= 2 && memcmp(head, "\xff\xfe", 2) == 0)
        return ENCODING_UTF16LE;
    if (n >= 2 && memcmp(head, "\xfe\xff", 2) == 0)
        return ENCODING_UTF16BE;
    *why = no_text(head, n);
    if (!*why)
        *why = wide(head, n);
    return *why ? ENCODING_REFUSED : ENCODING_BYTES;
}

/* ---- UTF-16 (RFC 2781) ---- */

static size_t put_unit(struct utf16 *u, uint16_t unit, char *out)
{
    uint8_t *to = (uint8_t *)out;
    const uint32_t high = u->high;
    size_t n = 0;

    u->high = 0;
    if (high) {
        if (unit >= 0xdc00 && unit <= 0xdfff)
            return utf8_put(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00u), to);
        to[n++] = 0xff;
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        u->high = unit;
        return n;
    }
    if (unit >= 0xdc00 && unit <= 0xdfff) {
        to[n++] = 0xff;
        return n;
    }
    return n + utf8_put(unit, to + n);
}

size_t utf16_convert(struct utf16 *u, const uint8_t *in, size_t n, char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        if (!u->have_odd) {
            u->odd = in[i];
            u->have_odd = true;
            continue;
        }
        u->have_odd = false;
        used += put_unit(u, (uint16_t)(u->big ? u->odd << 8 | in[i] : in[i] << 8 | u->odd),
                         out + used);
    }
    return used;
}

size_t utf16_end(struct utf16 *u, char *out)
{
    size_t n = 0;

    if (u->high)
        out[n++] = '\xff';
    if (u->have_odd)
        out[n++] = '\xff';
    *u = (struct utf16){.big = u->big};
    return n;
}
