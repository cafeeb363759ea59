#include "worker.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <future>

namespace kwik {
namespace {

struct Task final : Actor, Timed, Deferred, Readable {
    explicit Task(Worker& w) : worker(w) {}
    void execute(Command& command) noexcept override { on_command(command); }
    void on_timer(std::uint64_t) noexcept override { timer_fired.set_value(); }
    void run_deferred() noexcept override {
        if (++deferred_runs == 1) deferred.set_value();
    }
    void on_readable() noexcept override {
        worker.unwatch(fd);
        readable.set_value();
    }
    Worker& worker;
    std::function<void(Command&)> on_command = [](Command&) {};
    std::promise<void> timer_fired, readable, deferred;
    int fd = -1;
    int deferred_runs = 0;
};

struct WorkerTest : testing::Test {
    std::unique_ptr<Worker> worker = Worker::start(0, 1);
    Ref<Task> task = Ref<Task>::adopt(new Task(*worker));
    // Runs `action` on the worker and waits for it.
    void run(std::function<void()> action) {
        task->on_command = [action](Command&) { action(); };
        worker->post_and_wait(Ref<Actor>::share(task.get()), {});
    }
    void TearDown() override {
        worker->stop();
        task = {};
    }
};

TEST_F(WorkerTest, Post_Commands_RunOnTheWorkerInOrder) {
    std::vector<std::uint64_t> seen;
    bool current = false;
    task->on_command = [&](Command& c) {
        seen.push_back(c.value);
        current = worker->is_current();
    };
    for (std::uint64_t i = 0; i < 100; ++i) ASSERT_TRUE(worker->post(Ref<Actor>::share(task.get()), {.value = i}));
    worker->post_and_wait(Ref<Actor>::share(task.get()), {.value = 100});
    ASSERT_EQ(seen.size(), 101u);
    for (std::uint64_t i = 0; i <= 100; ++i) EXPECT_EQ(seen[i], i);
    EXPECT_TRUE(current);
    EXPECT_FALSE(worker->is_current());
}

TEST_F(WorkerTest, Timer_Due_FiresWithoutAnotherEvent) {
    run([&] { EXPECT_TRUE(worker->set_timer(*task, worker->now() + 5'000'000)); });
    EXPECT_EQ(task->timer_fired.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
}

TEST_F(WorkerTest, Watch_ReadableDescriptor_IsReported) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    task->fd = pipe_ends[0];
    run([&] { EXPECT_TRUE(worker->watch(pipe_ends[0], *task)); });
    ASSERT_EQ(write(pipe_ends[1], "x", 1), 1);
    EXPECT_EQ(task->readable.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    run([] {});
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
}

TEST_F(WorkerTest, Defer_SeveralTimesInATurn_RunsOnce) {
    run([&] {
        for (int i = 0; i < 5; ++i) worker->defer(*task, *task);
    });
    EXPECT_EQ(task->deferred.get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    // A command may still join the turn that deferred, but not one whose deferred work has begun: this one comes after all of it.
    run([] {});
    EXPECT_EQ(task->deferred_runs, 1);
}

TEST_F(WorkerTest, Drain_AfterStop_RunsWhatIsLeft) {
    worker->stop();
    int runs = 0;
    task->on_command = [&](Command&) { ++runs; };
    ASSERT_TRUE(worker->post(Ref<Actor>::share(task.get()), {}));
    EXPECT_TRUE(worker->set_timer(*task, TimerHeap::never / 2));
    worker->drain();
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(task->timer_fired.get_future().wait_for(std::chrono::seconds(0)), std::future_status::ready);
}

}  // namespace
}  // namespace kwik
