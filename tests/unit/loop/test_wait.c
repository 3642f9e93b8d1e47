/* Wait lists, mutexes, and readiness of file descriptors. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/in_fiber.h"

/* --- wait lists --- */

struct queue {
    struct sl_waitlist list;
    unsigned tokens;
    char order[32];
    unsigned length;
};

struct taker {
    struct queue *queue;
    char name;
    uint64_t deadline_ms;
    int rc;
};

static void take_token(void *arg)
{
    struct taker *taker = arg;
    struct queue *queue = taker->queue;
    while (!queue->tokens) {
        taker->rc = sl_wait(&queue->list, taker->deadline_ms);
        if (taker->rc != SL_OK)
            return;
    }
    queue->tokens--;
    queue->order[queue->length++] = taker->name;
}

static void put_token(struct queue *queue)
{
    queue->tokens++;
    sl_wake_one(&queue->list);
}

enum { TAKERS = 5 };

static void start_takers(struct queue *queue, struct taker takers[TAKERS],
                         struct sl_fiber *fibers[TAKERS])
{
    for (int i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){queue, (char)('a' + i), SL_FOREVER, SL_OK};
        fibers[i] = sl_fiber_spawn_joinable("taker", take_token, &takers[i]);
    }
    EXPECT(sl_fiber_sleep(2) == SL_OK);
}

static void wake_in_order(void *arg)
{
    (void)arg;
    struct queue queue = {0};
    struct taker takers[TAKERS];
    struct sl_fiber *fibers[TAKERS];
    sl_wake_one(&queue.list); /* nobody there: no harm */
    start_takers(&queue, takers, fibers);
    put_token(&queue);
    EXPECT(sl_fiber_sleep(2) == SL_OK);
    EXPECT(queue.length == 1);
    put_token(&queue);
    put_token(&queue);
    EXPECT(sl_fiber_sleep(2) == SL_OK);
    queue.tokens += 2;
    sl_wake_all(&queue.list);
    for (int i = 0; i < TAKERS; i++)
        sl_fiber_join(fibers[i]);
    queue.order[queue.length] = 0;
    EXPECT(!strcmp(queue.order, "abcde"));
}

static void waiters_are_woken_first_come_first_served(void **state)
{
    (void)state;
    run_in_fiber(wake_in_order, NULL);
}

static void cancel_the_woken(void *arg)
{
    (void)arg;
    struct queue queue = {0};
    struct taker takers[TAKERS];
    struct sl_fiber *fibers[TAKERS];
    start_takers(&queue, takers, fibers);
    put_token(&queue);          /* wakes a … */
    sl_fiber_cancel(fibers[0]); /* … who is cancelled before it runs: b must get the wake */
    EXPECT(sl_fiber_sleep(5) == SL_OK);
    EXPECT(takers[0].rc == SL_CANCELED);
    EXPECT(queue.length == 1 && queue.order[0] == 'b');

    sl_fiber_cancel(fibers[3]); /* out of the middle of the list */
    EXPECT(sl_fiber_sleep(2) == SL_OK);
    EXPECT(takers[3].rc == SL_CANCELED);
    put_token(&queue);
    put_token(&queue);
    for (int i = 0; i < TAKERS; i++)
        sl_fiber_join(fibers[i]);
    EXPECT(queue.length == 3 && queue.order[1] == 'c' && queue.order[2] == 'e');
    EXPECT(!queue.list.first && !queue.list.last);
}

static void a_wake_is_not_lost_when_the_woken_one_is_cancelled(void **state)
{
    (void)state;
    run_in_fiber(cancel_the_woken, NULL);
}

static void time_out(void *arg)
{
    (void)arg;
    struct queue queue = {0};
    struct taker patient = {&queue, 'p', SL_FOREVER, SL_OK};
    struct taker hasty = {&queue, 'h', sl_deadline_in(10), SL_OK};
    struct sl_fiber *first = sl_fiber_spawn_joinable("hasty", take_token, &hasty);
    struct sl_fiber *second = sl_fiber_spawn_joinable("patient", take_token, &patient);
    sl_fiber_join(first);
    EXPECT(hasty.rc == SL_TIMEOUT);
    put_token(&queue);
    sl_fiber_join(second);
    EXPECT(queue.length == 1 && queue.order[0] == 'p');
}

static void a_wait_that_timed_out_has_left_the_list(void **state)
{
    (void)state;
    run_in_fiber(time_out, NULL);
}

/* --- mutexes --- */

struct visitor {
    struct sl_mutex *mutex;
    uint64_t deadline_ms;
    unsigned *inside, *visits;
    int rc;
};

static void visit(void *arg)
{
    struct visitor *visitor = arg;
    struct sl_err err = {0};
    visitor->rc = sl_mutex_lock(visitor->mutex, visitor->deadline_ms, &err);
    EXPECT(err.code == (enum sl_code)visitor->rc);
    if (visitor->rc != SL_OK)
        return;
    EXPECT(++*visitor->inside == 1);
    sl_fiber_sleep(3);
    --*visitor->inside;
    ++*visitor->visits;
    sl_mutex_unlock(visitor->mutex);
}

enum { VISITORS = 6, CANCELLED = 1, HASTY = 2 };

static void take_turns(void *arg)
{
    (void)arg;
    struct sl_mutex mutex = {0};
    struct visitor visitors[VISITORS];
    struct sl_fiber *fibers[VISITORS];
    unsigned inside = 0, visits = 0;
    EXPECT(sl_mutex_try(&mutex));
    EXPECT(!sl_mutex_try(&mutex));
    for (int i = 0; i < VISITORS; i++) {
        visitors[i] = (struct visitor){&mutex, i == HASTY ? sl_deadline_in(5) : SL_FOREVER, &inside,
                                       &visits, SL_OK};
        fibers[i] = sl_fiber_spawn_joinable("visitor", visit, &visitors[i]);
    }
    sl_fiber_sleep(20);
    EXPECT(visits == 0);
    sl_mutex_unlock(&mutex);
    sl_fiber_cancel(fibers[CANCELLED]);
    for (int i = 0; i < VISITORS; i++)
        sl_fiber_join(fibers[i]);
    EXPECT(visitors[CANCELLED].rc == SL_CANCELED && visitors[HASTY].rc == SL_TIMEOUT);
    EXPECT(visits == VISITORS - 2);
    EXPECT(sl_mutex_try(&mutex));
}

static void a_mutex_is_had_by_one_at_a_time(void **state)
{
    (void)state;
    run_in_fiber(take_turns, NULL);
}

/* --- file descriptors --- */

struct pipe {
    int fds[2];
    struct sl_watch *watch; /* of the reading end */
};

static void open_pipe(struct pipe *pipe_)
{
    if (pipe(pipe_->fds))
        abort();
    int status;
    pipe_->watch = sl_watch_new(pipe_->fds[0], &status);
    EXPECT(pipe_->watch && status == 0);
}

static void close_pipe(struct pipe *pipe_)
{
    sl_watch_free(pipe_->watch);
    close(pipe_->fds[0]);
    if (pipe_->fds[1] >= 0)
        close(pipe_->fds[1]);
}

static void write_later(void *arg)
{
    sl_fiber_sleep(10);
    EXPECT(write(*(int *)arg, "x", 1) == 1);
}

static void poll_one(void *arg)
{
    (void)arg;
    struct pipe p;
    int events = -1;
    open_pipe(&p);
    uint64_t start = sl_now_ms();
    EXPECT(sl_fiber_poll(p.watch, UV_READABLE, sl_deadline_in(20), &events) == SL_TIMEOUT);
    EXPECT(events == 0);
    EXPECT(sl_now_ms() - start >= 19);

    sl_fiber_spawn("writer", write_later, &p.fds[1]);
    sl_fiber_wake(sl_fiber_self()); /* a stray wake is not an event */
    EXPECT(sl_fiber_poll(p.watch, UV_READABLE, sl_deadline_in(10000), &events) == SL_OK);
    EXPECT(events == UV_READABLE);
    char c;
    EXPECT(read(p.fds[0], &c, 1) == 1 && c == 'x');

    close(p.fds[1]); /* the end of the stream is readable too */
    p.fds[1] = -1;
    EXPECT(sl_fiber_poll(p.watch, UV_READABLE, sl_deadline_in(10000), NULL) == SL_OK);
    EXPECT(read(p.fds[0], &c, 1) == 0);
    close_pipe(&p);
}

static void a_pipe_becomes_readable(void **state)
{
    (void)state;
    run_in_fiber(poll_one, NULL);
}

static void poll_many(void *arg)
{
    (void)arg;
    struct pipe pipes[4];
    struct sl_pollset set[4];
    for (int i = 0; i < 4; i++) {
        open_pipe(&pipes[i]);
        set[i] = (struct sl_pollset){pipes[i].watch, UV_READABLE};
    }
    EXPECT(sl_fiber_poll_any(set, 4, sl_deadline_in(5)) == SL_TIMEOUT);
    for (int i = 3; i >= 0; i--) {
        char c;
        sl_fiber_spawn("writer", write_later, &pipes[i].fds[1]);
        EXPECT(sl_fiber_poll_any(set, 4, sl_deadline_in(10000)) == SL_OK);
        EXPECT(read(pipes[i].fds[0], &c, 1) == 1);
    }
    EXPECT(sl_fiber_poll_any(set, 4, sl_deadline_in(5)) == SL_TIMEOUT);
    EXPECT(write(pipes[1].fds[1], "ab", 2) == 2); /* two at once are one success */
    EXPECT(write(pipes[2].fds[1], "ab", 2) == 2);
    EXPECT(sl_fiber_poll_any(set, 4, sl_deadline_in(10000)) == SL_OK);
    for (int i = 0; i < 4; i++)
        close_pipe(&pipes[i]);
}

static void the_first_of_several_ends_the_wait(void **state)
{
    (void)state;
    run_in_fiber(poll_many, NULL);
}

static void poll_forever(void *arg)
{
    struct pipe *p = arg;
    EXPECT(sl_fiber_poll(p->watch, UV_READABLE, SL_FOREVER, NULL) == SL_CANCELED);
}

static void cancel_a_poll(void *arg)
{
    (void)arg;
    struct pipe p;
    open_pipe(&p);
    struct sl_fiber *fiber = sl_fiber_spawn_joinable("poll", poll_forever, &p);
    EXPECT(sl_fiber_sleep(5) == SL_OK);
    sl_fiber_cancel(fiber);
    sl_fiber_join(fiber);
    EXPECT(!p.watch->polling);
    close_pipe(&p);
}

static void a_cancelled_poll_stops(void **state)
{
    (void)state;
    run_in_fiber(cancel_a_poll, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiters_are_woken_first_come_first_served),
        cmocka_unit_test(a_wake_is_not_lost_when_the_woken_one_is_cancelled),
        cmocka_unit_test(a_wait_that_timed_out_has_left_the_list),
        cmocka_unit_test(a_mutex_is_had_by_one_at_a_time),
        cmocka_unit_test(a_pipe_becomes_readable),
        cmocka_unit_test(the_first_of_several_ends_the_wait),
        cmocka_unit_test(a_cancelled_poll_stops),
    };
    return cmocka_run_group_tests(tests, NULL, loop_closes);
}
