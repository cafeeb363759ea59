#include "timer_heap.h"

#include <algorithm>
#include <new>

namespace kwik {

void TimerHeap::place(std::size_t slot, Timed* timed) noexcept {
    heap_[slot] = timed;
    timed->slot_ = slot;
}

void TimerHeap::sift_up(std::size_t slot) noexcept {
    Timed* moving = heap_[slot];
    while (slot > 0) {
        const std::size_t parent = (slot - 1) / 2;
        if (heap_[parent]->deadline_ <= moving->deadline_) break;
        place(slot, heap_[parent]);
        slot = parent;
    }
    place(slot, moving);
}

void TimerHeap::sift_down(std::size_t slot) noexcept {
    Timed* moving = heap_[slot];
    for (;;) {
        std::size_t child = 2 * slot + 1;
        if (child >= heap_.size()) break;
        if (child + 1 < heap_.size() && heap_[child + 1]->deadline_ < heap_[child]->deadline_) ++child;
        if (moving->deadline_ <= heap_[child]->deadline_) break;
        place(slot, heap_[child]);
        slot = child;
    }
    place(slot, moving);
}

bool TimerHeap::set(Timed& timed, std::uint64_t deadline) noexcept {
    if (deadline == never) {
        cancel(timed);
        return true;
    }
    if (!timed.timer_set()) {
        try {
            heap_.push_back(&timed);
            due_.reserve(heap_.capacity());
        } catch (const std::bad_alloc&) {
            if (!heap_.empty() && heap_.back() == &timed) heap_.pop_back();
            return false;
        }
        timed.deadline_ = deadline;
        timed.slot_ = heap_.size() - 1;
        sift_up(timed.slot_);
        return true;
    }
    const bool earlier = deadline < timed.deadline_;
    timed.deadline_ = deadline;
    earlier ? sift_up(timed.slot_) : sift_down(timed.slot_);
    return true;
}

bool TimerHeap::reserve(std::size_t timers) noexcept {
    try {
        // Doubled, or each further timer would copy the heap.
        if (timers > heap_.capacity()) heap_.reserve(std::max(timers, 2 * heap_.capacity()));
        due_.reserve(heap_.capacity());
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void TimerHeap::cancel(Timed& timed) noexcept {
    // An element that run() already took out may be cancelled, or destroyed, by an earlier one of the same run.
    if (auto it = std::find(due_.begin(), due_.end(), &timed); it != due_.end()) *it = nullptr;
    if (!timed.timer_set()) return;
    const std::size_t slot = timed.slot_;
    timed.slot_ = Timed::none;
    Timed* last = heap_.back();
    heap_.pop_back();
    if (last == &timed) return;
    place(slot, last);
    sift_up(slot);
    sift_down(last->slot_);
}

void TimerHeap::run(std::uint64_t now) noexcept {
    while (!heap_.empty() && heap_.front()->deadline_ <= now) {
        Timed* timed = heap_.front();
        cancel(*timed);
        due_.push_back(timed);  // Within the capacity that set() reserved.
    }
    for (std::size_t i = 0; i < due_.size(); ++i) {
        if (due_[i] != nullptr) {
            Timed* timed = due_[i];
            due_[i] = nullptr;
            timed->on_timer(now);
        }
    }
    due_.clear();
}

}  // namespace kwik
