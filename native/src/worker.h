// A worker: one thread, one epoll, one timer heap, one command queue. Every connection belongs to one worker for life; nothing of a connection's protocol state is locked.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "cid_table.h"
#include "object.h"
#include "timer_heap.h"

namespace kwik {

// Blocks an API thread until the worker executed its command.
class Waiter {
public:
    void signal() noexcept {
        std::lock_guard lock(mutex_);
        done_ = true;
        condition_.notify_one();
    }
    void wait() noexcept {
        std::unique_lock lock(mutex_);
        condition_.wait(lock, [this] { return done_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable condition_;
    bool done_ = false;
};

// Has a readable descriptor. Alive while watched: the worker holds no reference, so unwatch() before the last release and release through Worker::retire.
class Readable {
public:
    virtual void on_readable() noexcept = 0;

protected:
    ~Readable() = default;
};

// Work that is worth doing once after a batch of causes, such as writing one flight of packets after many datagrams or commands.
class Deferred {
public:
    virtual void run_deferred() noexcept = 0;

protected:
    ~Deferred() = default;

private:
    friend class Worker;
    bool queued_ = false;
    Deferred* next_ = nullptr;
    Ref<Object> owner_;  // While queued.
};

class Worker {
public:
    // Starts the thread. nullptr: out of memory, descriptors or threads.
    static std::unique_ptr<Worker> start(unsigned index, unsigned count) noexcept;
    ~Worker();
    // Ends the thread. What is posted from now on waits for drain(). Not from a worker.
    void stop() noexcept;
    // After stop() of all workers: on the calling thread, executes what is queued and lets all timers run out, so that what lingers goes. Cross posts may need another round.
    void drain() noexcept;
    // One turn of it, in which the timers until `time` run out: for tests that play the thread.
    void turn(std::uint64_t time) noexcept;
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Any thread. ------------------------------------------------------------------------------------------------
    // Queues a command; it is executed after this call returned, on the worker's thread, in the order of the calls. Takes the system call to wake the thread only if it sleeps.
    // False: out of memory, nothing happened.
    [[nodiscard]] bool post(Ref<Actor> target, Command command) noexcept;
    // The same without a failure: when memory is out, the command waits in `place`, and is executed after those that were posted before it.
    void post(ReservedCommand& place, Ref<Actor> target, Command command) noexcept;
    // post, then wait for its execution. Deadlock if called on the worker.
    void post_and_wait(Ref<Actor> target, Command command) noexcept;
    bool is_current() const noexcept;  // The calling thread is this worker's, or drains it.
    unsigned index() const noexcept { return index_; }
    std::atomic<std::size_t> undelivered{0};  // Bytes that sockets have read for it and it has not looked at: kept by Binding.

    // On the worker. ---------------------------------------------------------------------------------------------
    // Nanoseconds of CLOCK_MONOTONIC, read once per turn of the loop and again by refresh_clock().
    std::uint64_t now() const noexcept { return now_; }
    std::uint64_t refresh_clock() noexcept;
    [[nodiscard]] bool watch(int fd, Readable& readable) noexcept;
    void unwatch(int fd) noexcept;
    // Makes room for one more timer, so that setting it never fails, until drop_timer(). False: out of memory.
    [[nodiscard]] bool reserve_timer() noexcept;
    void drop_timer() noexcept { --reserved_timers_; }
    // False: out of memory, which cannot be for a timer with room of its own. The deadline is then as it was.
    bool set_timer(Timed& timed, std::uint64_t deadline) noexcept { return timers_.set(timed, deadline); }
    void cancel_timer(Timed& timed) noexcept { timers_.cancel(timed); }
    // Runs `work` once before the worker sleeps next; a second request before that is the same one. `owner` lives until then.
    void defer(Deferred& work, Object& owner) noexcept;
    // Keeps `object` until the end of this turn: events of the descriptors already read may still name it.
    void retire(Ref<Object> object) noexcept;

    // Connections of this worker by connection id, for the sockets that many connections share.
    CidTable& connections() noexcept { return connections_; }

private:
    struct Posted { Ref<Actor> target; Command command; };

    Worker(unsigned index, unsigned count) noexcept : index_(index), connections_(index, count) {}
    void run() noexcept;
    void wake() noexcept;
    void execute_commands() noexcept;
    void run_deferred() noexcept;
    void drop_retired() noexcept;
    bool has_room() noexcept;
    void wake_if_asleep() noexcept;
    bool wait_for_events() noexcept;

    const unsigned index_;
    int epoll_ = -1;
    int event_ = -1;
    std::thread thread_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> sleeping_{false};
    std::atomic<bool> has_posts_{false};
    std::mutex mutex_;
    std::vector<Posted> posted_;           // Guarded by mutex_.
    ReservedCommand* reserved_ = nullptr;  // Likewise; after all of posted_, first to last.
    std::vector<Posted> running_;
    Deferred* deferred_ = nullptr;  // First to last.
    Deferred** last_deferred_ = &deferred_;
    Object* retired_ = nullptr;
    std::size_t reserved_timers_ = 0;
    TimerHeap timers_;
    CidTable connections_;
    std::uint64_t now_ = 0;
};

}  // namespace kwik
