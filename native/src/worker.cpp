#include "worker.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <new>
#include <system_error>

namespace kwik {

namespace {
thread_local const Worker* current_worker = nullptr;

std::uint64_t monotonic_now() noexcept {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}
}  // namespace

std::unique_ptr<Worker> Worker::start(unsigned index, unsigned count) noexcept {
    std::unique_ptr<Worker> worker(new (std::nothrow) Worker(index, count));
    if (!worker) return nullptr;
    worker->now_ = monotonic_now();
    worker->epoll_ = epoll_create1(EPOLL_CLOEXEC);
    worker->event_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    if (worker->epoll_ < 0 || worker->event_ < 0 || epoll_ctl(worker->epoll_, EPOLL_CTL_ADD, worker->event_, &event) != 0) return nullptr;
    try {
        worker->thread_ = std::thread([self = worker.get()] { self->run(); });
    } catch (const std::system_error&) {
        return nullptr;
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
    return worker;
}

void Worker::stop() noexcept {
    if (!thread_.joinable()) return;
    stopping_.store(true);
    wake();
    thread_.join();
}

void Worker::turn(std::uint64_t time) noexcept {
    current_worker = this;
    execute_commands();
    timers_.run(time);
    run_deferred();
    drop_retired();
    current_worker = nullptr;
}

void Worker::drain() noexcept {
    // Two timers in a row, of less than a second each, are the most that anything sets after its end.
    constexpr std::uint64_t far_future = TimerHeap::never / 2, second = 1'000'000'000;
    for (unsigned round = 0; round < 4; ++round) turn(far_future + round * second);
}

Worker::~Worker() {
    stop();
    drop_retired();
    for (Deferred* work = deferred_; work != nullptr;) {
        const Ref<Object> owner = std::move(work->owner_);
        work = work->next_;
    }
    if (event_ >= 0) ::close(event_);
    if (epoll_ >= 0) ::close(epoll_);
}

bool Worker::is_current() const noexcept { return current_worker == this; }

void Worker::wake() noexcept {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then the thread wakes anyway.
    (void)!::write(event_, &one, sizeof one);
}

bool Worker::post(Ref<Actor> target, Command command) noexcept {
    {
        std::lock_guard lock(mutex_);
        if (reserved_ != nullptr || !has_room()) return false;
        posted_.push_back({std::move(target), std::move(command)});
    }
    wake_if_asleep();
    return true;
}

void Worker::post(ReservedCommand& place, Ref<Actor> target, Command command) noexcept {
    {
        std::lock_guard lock(mutex_);
        if (reserved_ == nullptr && has_room()) {
            posted_.push_back({std::move(target), std::move(command)});
        } else {
            place.next = nullptr;
            place.target = std::move(target);
            place.command = std::move(command);
            ReservedCommand** last = &reserved_;
            while (*last != nullptr) last = &(*last)->next;
            *last = &place;
        }
    }
    wake_if_asleep();
}

// Under mutex_.
bool Worker::has_room() noexcept {
    if (posted_.size() < posted_.capacity()) return true;
    try {
        posted_.reserve(std::max<std::size_t>(16, 2 * posted_.capacity()));
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void Worker::wake_if_asleep() noexcept {
    // Sequentially consistent on both sides: either we see that it sleeps, or it sees the post before it sleeps.
    has_posts_.store(true);
    if (!is_current() && sleeping_.exchange(false)) wake();
}

void Worker::post_and_wait(Ref<Actor> target, Command command) noexcept {
    Waiter waiter;
    command.waiter = &waiter;
    ReservedCommand place;
    post(place, std::move(target), std::move(command));
    waiter.wait();
}

std::uint64_t Worker::refresh_clock() noexcept { return now_ = monotonic_now(); }

bool Worker::watch(int fd, Readable& readable) noexcept {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &readable;
    return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Worker::unwatch(int fd) noexcept { (void)epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr); }

void Worker::defer(Deferred& work, Object& owner) noexcept {
    // Asked for with each packet: a reference counted here each time would cost 3 % of a bulk transfer.
    if (work.queued_) return;
    work.queued_ = true;
    work.owner_ = Ref<Object>::share(&owner);
    work.next_ = nullptr;
    *last_deferred_ = &work;
    last_deferred_ = &work.next_;
}

void Worker::retire(Ref<Object> object) noexcept {
    Object* const retired = object.leak();
    retired->next_retired_ = std::exchange(retired_, retired);
}

void Worker::drop_retired() noexcept {
    while (retired_ != nullptr) {
        Object* const object = std::exchange(retired_, retired_->next_retired_);
        object->release();
    }
}

bool Worker::reserve_timer() noexcept {
    if (!timers_.reserve(reserved_timers_ + 1)) return false;
    ++reserved_timers_;
    return true;
}

void Worker::execute_commands() noexcept {
    // A command may post others to this worker (from a callback of the application): they are executed in this turn too, before the worker would sleep.
    while (has_posts_.exchange(false)) {
        ReservedCommand* reserved;
        {
            std::lock_guard lock(mutex_);
            running_.swap(posted_);
            reserved = std::exchange(reserved_, nullptr);
        }
        for (Posted& posted : running_) {
            posted.target->execute(posted.command);
            if (posted.command.waiter != nullptr) posted.command.waiter->signal();
        }
        running_.clear();
        while (reserved != nullptr) {
            // Its place may be used again, or be gone, once it is executed.
            const Ref<Actor> target = std::move(reserved->target);
            Command command = std::move(reserved->command);
            reserved = reserved->next;
            target->execute(command);
            if (command.waiter != nullptr) command.waiter->signal();
        }
    }
}

void Worker::run_deferred() noexcept {
    // What is deferred meanwhile has its turn after the sockets.
    last_deferred_ = &deferred_;
    for (Deferred* work = std::exchange(deferred_, nullptr); work != nullptr;) {
        Deferred& current = *work;
        const Ref<Object> owner = std::move(current.owner_);
        work = current.next_;
        current.queued_ = false;
        current.run_deferred();
    }
}

bool Worker::wait_for_events() noexcept {
    epoll_event events[64];
    timespec timeout{0, 0};
    const timespec* wait = &timeout;
    if (deferred_ == nullptr) {
        const std::uint64_t deadline = timers_.earliest();
        refresh_clock();
        if (deadline == TimerHeap::never) wait = nullptr;
        else if (deadline > now_) timeout = {static_cast<time_t>((deadline - now_) / 1'000'000'000u), static_cast<long>((deadline - now_) % 1'000'000'000u)};
        sleeping_.store(true);
        if (has_posts_.load()) wait = &(timeout = {0, 0});
    }
    static_assert(sizeof(events) / sizeof(events[0]) == 64);
    int count = epoll_pwait2(epoll_, events, 64, wait, nullptr);
    if (count < 0 && errno == ENOSYS) {
        const int ms = wait == nullptr ? -1 : static_cast<int>(std::min<long>(wait->tv_sec * 1000 + (wait->tv_nsec + 999'999) / 1'000'000, 3'600'000));
        count = epoll_wait(epoll_, events, 64, ms);
    }
    sleeping_.store(false);
    refresh_clock();
    for (int i = 0; i < count; ++i) {
        if (events[i].data.ptr == nullptr) {
            std::uint64_t drained;
            (void)!::read(event_, &drained, sizeof drained);
        } else {
            static_cast<Readable*>(events[i].data.ptr)->on_readable();
        }
    }
    return !stopping_.load();
}

void Worker::run() noexcept {
    current_worker = this;
    char name[16];
    std::snprintf(name, sizeof name, "kwik-quic-%u", index_);
    pthread_setname_np(pthread_self(), name);
    // The kernel may delay a sleep's end by the timer slack, 50 us by default, which is as long as a round trip on loopback.
    prctl(PR_SET_TIMERSLACK, 1000);
    do {
        execute_commands();
        timers_.run(now_);
        run_deferred();
        drop_retired();
    } while (wait_for_events());
}

}  // namespace kwik
