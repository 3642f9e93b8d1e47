#include "http/mime.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "format/base64.h"

enum {
    WORD_BYTES = 42,      /* of a header in one encoded word: 56 of base64 + 12 = under 75 */
    LINE_BYTES = 57,      /* of a text in one line: 76 of base64 */
    PLAIN_LINE_MAX = 990, /* RFC 5322 allows 998 */
};

bool sl_mime_address(const char *text, char *out, size_t size)
{
    const char *open = strrchr(text, '<');
    const char *start = open ? open + 1 : text;
    size_t length = open ? strcspn(start, ">") : strlen(start);
    const char *at = memchr(start, '@', length);
    if (!at || at == start || at + 1 == start + length || length >= size)
        return false;
    if (open && (start[length] != '>' || start[length + 1]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (start[i] <= 0x20 || start[i] == 0x7f || strchr("<>,;\"", start[i]))
            return false;
    memcpy(out, start, length);
    out[length] = 0;
    return true;
}

static bool is_plain(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] >= 0x7f)
            return false;
    return true;
}

/* Header text: as it is when it is ASCII, else as encoded words of whole characters. */
static void add_header_text(struct sl_buf *buf, const char *text, size_t length)
{
    struct sl_buf clean;
    sl_buf_init(&clean);
    for (size_t i = 0; i < length; i++)
        sl_buf_add_char(&clean, (unsigned char)text[i] < 0x20 ? ' ' : text[i]);

    if (is_plain(text, length)) {
        sl_buf_add(buf, clean.data ? clean.data : "", clean.length);
    } else {
        for (size_t at = 0, step; at < clean.length; at += step) {
            step = sl_utf8_cut(clean.data + at, clean.length - at, WORD_BYTES);
            sl_buf_add_text(buf, at ? "\r\n =?UTF-8?B?" : "=?UTF-8?B?");
            sl_base64_encode(buf, clean.data + at, step);
            sl_buf_add_text(buf, "?=");
        }
    }
    sl_buf_done(&clean);
}

/* "Störung <ops@contoso.com>": the name may need encoding, the address never does. */
static void add_mailbox(struct sl_buf *buf, const char *text)
{
    const char *open = strrchr(text, '<');
    char address[256];
    size_t length = open ? (size_t)(open - text) : 0;
    while (length && (text[length - 1] == ' ' || text[length - 1] == '"'))
        length--;
    const char *name = text;
    while (length && (*name == ' ' || *name == '"')) {
        name++;
        length--;
    }
    if (!sl_mime_address(text, address, sizeof address))
        return;
    if (!length) {
        sl_buf_add_text(buf, address);
        return;
    }
    if (is_plain(name, length))
        sl_buf_add_char(buf, '"');
    add_header_text(buf, name, length);
    if (is_plain(name, length))
        sl_buf_add_char(buf, '"');
    sl_buf_printf(buf, " <%s>", address);
}

static void add_date(struct sl_buf *buf, int64_t date_ms)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(date_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    sl_buf_printf(buf, "%s, %d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday,
                  months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static bool has_long_line(const char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length > PLAIN_LINE_MAX)
            return true;
        text += length + (text[length] == '\n');
    }
    return false;
}

/* \n becomes CR LF; a CR of the text is dropped. */
static void add_lines(struct sl_buf *buf, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            sl_buf_add_text(buf, "\r\n");
        else if (*text != '\r')
            sl_buf_add_char(buf, *text);
    }
    if (buf->length < 2 || memcmp(buf->data + buf->length - 2, "\r\n", 2))
        sl_buf_add_text(buf, "\r\n");
}

static void add_encoded_body(struct sl_buf *buf, const char *text)
{
    struct sl_buf lines;
    sl_buf_init(&lines);
    add_lines(&lines, text);
    for (size_t at = 0; at < lines.length; at += LINE_BYTES) {
        size_t left = lines.length - at;
        sl_base64_encode(buf, lines.data + at, left < LINE_BYTES ? left : LINE_BYTES);
        sl_buf_add_text(buf, "\r\n");
    }
    sl_buf_done(&lines);
}

void sl_mime_write(struct sl_buf *buf, const struct sl_mime_mail *mail)
{
    char address[256] = "";
    bool plain = is_plain(mail->text, strlen(mail->text)) && !has_long_line(mail->text);
    sl_mime_address(mail->from, address, sizeof address);
    const char *domain = strchr(address, '@');

    sl_buf_add_text(buf, "Date: ");
    add_date(buf, mail->date_ms);
    sl_buf_add_text(buf, "\r\nFrom: ");
    add_mailbox(buf, mail->from);
    sl_buf_add_text(buf, "\r\nTo: ");
    for (const char *const *to = mail->to; *to; to++) {
        if (to != mail->to)
            sl_buf_add_text(buf, ",\r\n ");
        add_mailbox(buf, *to);
    }
    sl_buf_add_text(buf, "\r\nSubject: ");
    add_header_text(buf, mail->subject, strlen(mail->subject));
    sl_buf_printf(buf, "\r\nMessage-ID: <%s%s>\r\n", mail->id, domain ? domain : "@localhost");
    /* RFC 3834: no out-of-office reply to a program. */
    sl_buf_add_text(buf, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                         "Content-Type: text/plain; charset=utf-8\r\n");
    sl_buf_printf(buf, "Content-Transfer-Encoding: %s\r\n\r\n", plain ? "7bit" : "base64");
    if (plain)
        add_lines(buf, mail->text);
    else
        add_encoded_body(buf, mail->text);
}
