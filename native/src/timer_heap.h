// Deadlines of one worker, earliest first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kwik {

// Something that waits for a point in time, in at most one heap. Must be cancelled before it is destroyed.
class Timed {
public:
    virtual void on_timer(std::uint64_t now) noexcept = 0;  // The timer is no longer set when this runs; it may set itself again.
    bool timer_set() const noexcept { return slot_ != none; }

protected:
    ~Timed() = default;

private:
    friend class TimerHeap;
    static constexpr std::size_t none = SIZE_MAX;
    std::uint64_t deadline_ = 0;
    std::size_t slot_ = none;
};

// A binary heap in which every element knows its slot, so that moving a deadline costs O(log n) without a search. Nanoseconds of CLOCK_MONOTONIC. Not thread-safe.
class TimerHeap {
public:
    static constexpr std::uint64_t never = UINT64_MAX;

    // Sets, moves, or (deadline == never) cancels. False: no memory, the timer is as before.
    [[nodiscard]] bool set(Timed& timed, std::uint64_t deadline) noexcept;
    void cancel(Timed& timed) noexcept;
    // After it, as many timers as this can be set without further memory. False: no memory.
    [[nodiscard]] bool reserve(std::size_t timers) noexcept;
    std::uint64_t earliest() const noexcept { return heap_.empty() ? never : heap_.front()->deadline_; }
    // Calls on_timer for everything due at `now`; what is set meanwhile for a time not after `now` waits for the next call, so that the loop ends.
    void run(std::uint64_t now) noexcept;
    std::size_t size() const noexcept { return heap_.size(); }

private:
    void place(std::size_t slot, Timed* timed) noexcept;
    void sift_up(std::size_t slot) noexcept;
    void sift_down(std::size_t slot) noexcept;

    std::vector<Timed*> heap_;
    std::vector<Timed*> due_;
};

}  // namespace kwik
