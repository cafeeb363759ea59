// A queue of references that runs through the objects themselves, so that joining it takes no memory.
#pragma once

#include <utility>

#include "object.h"

namespace kwik {

// First in, first out. `next` is the member that links the objects of this chain; an object is in it at most once, and whoever adds it knows that.
template <class T, T* T::*next>
class Chain {
public:
    Chain() = default;
    Chain(Chain&& other) noexcept { swap(other); }
    Chain& operator=(Chain other) noexcept {
        swap(other);
        return *this;
    }
    ~Chain() {
        while (!empty()) (void)pop_front();
    }

    bool empty() const noexcept { return first_ == nullptr; }
    T& front() const noexcept { return *first_; }
    void push_back(T& object) noexcept {
        object.retain();
        link(object);
    }
    Ref<T> pop_front() noexcept { return Ref<T>::adopt(unlink()); }
    // The first goes behind the last.
    void rotate() noexcept { link(*unlink()); }

private:
    void swap(Chain& other) noexcept {
        std::swap(first_, other.first_);
        std::swap(last_, other.last_);
    }
    void link(T& object) noexcept {
        object.*next = nullptr;
        (first_ == nullptr ? first_ : last_->*next) = &object;
        last_ = &object;
    }
    T* unlink() noexcept { return std::exchange(first_, first_->*next); }

    T* first_ = nullptr;
    T* last_ = nullptr;
};

}  // namespace kwik
