#include "timer_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

namespace kwik {
namespace {

struct Probe final : Timed {
    std::function<void(std::uint64_t)> action = [](std::uint64_t) {};
    int fired = 0;
    void on_timer(std::uint64_t now) noexcept override {
        ++fired;
        action(now);
    }
};

TEST(TimerHeap, Run_DueTimers_FireInOrderOfTheirDeadlines) {
    TimerHeap heap;
    std::vector<int> order;
    Probe probes[5];
    const std::uint64_t deadlines[] = {50, 10, 40, 20, 30};
    for (int i = 0; i < 5; ++i) {
        probes[i].action = [&order, i](std::uint64_t) { order.push_back(i); };
        ASSERT_TRUE(heap.set(probes[i], deadlines[i]));
    }
    EXPECT_EQ(heap.earliest(), 10u);
    heap.run(40);
    EXPECT_EQ(order, (std::vector<int>{1, 3, 4, 2}));
    EXPECT_EQ(heap.earliest(), 50u);
    EXPECT_FALSE(probes[1].timer_set());
}

TEST(TimerHeap, Run_TimerSetsItself_WaitsForTheNextRun) {
    TimerHeap heap;
    Probe probe;
    probe.action = [&](std::uint64_t now) { ASSERT_TRUE(heap.set(probe, now)); };
    ASSERT_TRUE(heap.set(probe, 1));
    heap.run(5);
    EXPECT_EQ(probe.fired, 1);
    EXPECT_EQ(heap.earliest(), 5u);
    heap.run(5);
    EXPECT_EQ(probe.fired, 2);
    heap.cancel(probe);
}

TEST(TimerHeap, Run_TimerCancelsAnotherThatIsDue_OnlyTheFirstFires) {
    TimerHeap heap;
    Probe first, second;
    first.action = [&](std::uint64_t) { heap.cancel(second); };
    ASSERT_TRUE(heap.set(first, 1));
    ASSERT_TRUE(heap.set(second, 2));
    heap.run(10);
    EXPECT_EQ(first.fired, 1);
    EXPECT_EQ(second.fired, 0);
    EXPECT_EQ(heap.size(), 0u);
}

TEST(TimerHeap, RandomOperations_AgreeWithAModel) {
    std::mt19937 random(7);
    TimerHeap heap;
    std::vector<Probe> probes(64);
    std::vector<std::uint64_t> model(probes.size(), TimerHeap::never);
    std::vector<int> expected(probes.size(), 0);
    std::uint64_t now = 0;
    for (int step = 0; step < 20'000; ++step) {
        const std::size_t i = random() % probes.size();
        switch (random() % 4) {
        case 0:
        case 1: {
            const std::uint64_t deadline = now + 1 + random() % 1000;
            ASSERT_TRUE(heap.set(probes[i], deadline));
            model[i] = deadline;
            break;
        }
        case 2:
            ASSERT_TRUE(heap.set(probes[i], TimerHeap::never));
            model[i] = TimerHeap::never;
            break;
        default:
            now += random() % 50;
            heap.run(now);
            for (std::size_t k = 0; k < model.size(); ++k) {
                if (model[k] > now) continue;
                ++expected[k];
                model[k] = TimerHeap::never;
            }
        }
        ASSERT_EQ(heap.earliest(), *std::ranges::min_element(model));
    }
    for (std::size_t k = 0; k < probes.size(); ++k) {
        EXPECT_EQ(probes[k].fired, expected[k]);
        heap.cancel(probes[k]);
    }
}

}  // namespace
}  // namespace kwik
