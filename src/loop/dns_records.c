#define CARES_NO_DEPRECATED /* 1.18 has no other functions for this */
#include <arpa/nameser.h>
#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "loop/dns.h"
#include "loop/dns_own.h"
#include "loop/fiber.h"

struct question {
    struct sl_dns_question asked; /* first */
    unsigned char *answer;
    int length;
};

static void question_free(struct question *question)
{
    free(question->answer);
    free(question);
}

static void on_answer(void *ctx, int status, int timeouts, unsigned char *answer, int length)
{
    (void)timeouts;
    struct question *question = ctx;
    if (answer && length > 0) {
        question->answer = sl_alloc((size_t)length);
        memcpy(question->answer, answer, (size_t)length);
        question->length = length;
    }
    if (!sl_dns_answered(&question->asked, status))
        question_free(question);
}

static int failed(const char *name, const char *reason, struct sl_err *err)
{
    return sl_err_set(err, SL_CLOSED, "cannot look %s up: %s", name, reason);
}

static int failed_by(const char *name, int status, struct sl_err *err)
{
    if (status == ARES_ENODATA || status == ARES_ENOTFOUND)
        return sl_err_set(err, SL_NOTFOUND, "DNS has no such records for %s", name);
    return failed(name, ares_strerror(status), err);
}

/* The answered question, which the caller frees; NULL: *ret_rc and err tell why not. */
static struct question *ask(const char *name, int type, uint64_t deadline_ms, int *ret_rc,
                            struct sl_err *err)
{
    ares_channel *channel = sl_dns_channel();
    if (!channel) {
        *ret_rc = failed(name, "the resolver does not start", err);
        return NULL;
    }
    struct question *question = SL_NEW(struct question);
    question->asked.fiber = sl_fiber_self();
    ares_query(*channel, name, ns_c_in, type, on_answer, question);
    int rc = sl_dns_await(&question->asked, deadline_ms);
    if (rc != SL_OK) {
        *ret_rc = sl_err_set(err, (enum sl_code)rc, "cannot look %s up: %s", name,
                             rc == SL_TIMEOUT ? "no answer in time" : "cancelled");
        return NULL;
    }
    if (question->asked.status == ARES_SUCCESS)
        return question;
    *ret_rc = failed_by(name, question->asked.status, err);
    question_free(question);
    return NULL;
}

int sl_dns_services(const char *name, uint64_t deadline_ms, struct sl_services *ret,
                    struct sl_err *err)
{
    int rc;
    struct ares_srv_reply *all = NULL;
    struct question *question = ask(name, ns_t_srv, deadline_ms, &rc, err);
    if (!question)
        return rc;
    int status = ares_parse_srv_reply(question->answer, question->length, &all);
    question_free(question);
    if (status != ARES_SUCCESS)
        return failed_by(name, status, err);

    *ret = (struct sl_services){0};
    for (const struct ares_srv_reply *one = all; one && ret->count < SL_SERVICES_MAX;
         one = one->next) {
        struct sl_service *service = &ret->item[ret->count++];
        snprintf(service->host, sizeof service->host, "%s", one->host);
        service->port = one->port;
    }
    ares_free_data(all);
    return ret->count ? SL_OK : failed_by(name, ARES_ENODATA, err); /* an alias alone */
}

int sl_dns_text(const char *name, uint64_t deadline_ms, struct sl_buf *out, struct sl_err *err)
{
    int rc;
    struct ares_txt_ext *all = NULL;
    struct question *question = ask(name, ns_t_txt, deadline_ms, &rc, err);
    if (!question)
        return rc;
    int status = ares_parse_txt_reply_ext(question->answer, question->length, &all);
    question_free(question);
    if (status != ARES_SUCCESS)
        return failed_by(name, status, err);

    size_t records = 0;
    for (const struct ares_txt_ext *part = all; part; part = part->next) {
        records += part->record_start ? 1 : 0;
        sl_buf_add(out, part->txt, part->length);
    }
    ares_free_data(all);
    if (!records)
        return failed_by(name, ARES_ENODATA, err);
    return records == 1 ? SL_OK : failed(name, "there are several TXT records, one is usual", err);
}
