// A double-ended queue that holds no memory while it is empty and says when there is none. std::deque allocates in its default and move constructors already, which ends the process inside of a
// noexcept constructor.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace kwik {

// A ring in one block, which doubles and is given back by clear(). Elements move when it grows: their addresses mean nothing after a push.
template <class T>
class Queue {
    static_assert(std::is_nothrow_move_constructible_v<T>);

public:
    Queue() = default;
    Queue(Queue&& other) noexcept
        : items_(std::exchange(other.items_, nullptr)), capacity_(std::exchange(other.capacity_, 0)), head_(std::exchange(other.head_, 0)), size_(std::exchange(other.size_, 0)) {}
    Queue& operator=(Queue other) noexcept {
        std::swap(items_, other.items_);
        std::swap(capacity_, other.capacity_);
        std::swap(head_, other.head_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Queue() { clear(); }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    T& operator[](std::size_t index) noexcept { return items_[(head_ + index) & (capacity_ - 1)]; }
    T& front() noexcept { return (*this)[0]; }
    T& back() noexcept { return (*this)[size_ - 1]; }

    // False: no memory; `item` is as it was.
    [[nodiscard]] bool push_back(T&& item) noexcept {
        if (size_ == capacity_ && !grow()) return false;
        std::construct_at(&(*this)[size_], std::move(item));
        ++size_;
        return true;
    }
    void pop_front() noexcept {
        std::destroy_at(&front());
        head_ = (head_ + 1) & (capacity_ - 1);
        --size_;
    }
    void pop_back() noexcept {
        std::destroy_at(&back());
        --size_;
    }
    void clear() noexcept {
        while (!empty()) pop_front();
        ::operator delete(items_);
        items_ = nullptr;
        capacity_ = head_ = 0;
    }

private:
    bool grow() noexcept {
        const std::size_t wanted = capacity_ == 0 ? 4 : 2 * capacity_;
        auto* fresh = static_cast<T*>(::operator new(wanted * sizeof(T), std::nothrow));
        if (fresh == nullptr) return false;
        for (std::size_t i = 0; i < size_; ++i) {
            std::construct_at(fresh + i, std::move((*this)[i]));
            std::destroy_at(&(*this)[i]);
        }
        ::operator delete(items_);
        items_ = fresh;
        capacity_ = wanted;
        head_ = 0;
        return true;
    }

    T* items_ = nullptr;
    std::size_t capacity_ = 0;  // A power of two, or 0.
    std::size_t head_ = 0;
    std::size_t size_ = 0;
};

}  // namespace kwik
